"""What the import contracts of pyproject.toml cannot say about the architecture."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from threading import Timer

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "agent_orchestrator"
PACKAGES = sorted(
    ".".join(init.parent.relative_to(ROOT).parts) for init in SOURCES.rglob("__init__.py")
)


def third_parties_loaded_by(*modules: str, doing: str = "") -> set[str]:
    """Return the top-level third-party packages a fresh interpreter loads with ``modules``.

    ``doing``: a statement to run once they are loaded.
    """
    program = (
        "import importlib, json, sys\n"
        "before = set(sys.modules)\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"{doing}\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in set(sys.modules) - before})))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return set(json.loads(printed)) - sys.stdlib_module_names - {"agent_orchestrator"}


def modules_imported_by(source: Path) -> set[str]:
    """Return the modules that the import statements of ``source`` name, wherever they stand."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{source.name} has a relative import"
            names.add(str(node.module))
    return names


@pytest.mark.parametrize(
    "source", sorted((SOURCES / "domain").glob("*.py")), ids=lambda path: path.stem
)
def test_the_domain_knows_the_standard_library_and_its_annotations_only(source: Path) -> None:
    """A decision needs no client, no framework and no file: nothing can make it depend on one."""
    ours = ("agent_orchestrator.domain", "agent_orchestrator.errors")
    foreign = {
        name
        for name in modules_imported_by(source)
        if name.partition(".")[0] not in sys.stdlib_module_names | {"annotated_types"}
        and not name.startswith(ours)
    }
    assert not foreign


@pytest.mark.parametrize(
    "source", sorted((SOURCES / "domain").glob("*.py")), ids=lambda path: path.stem
)
def test_the_domain_reads_no_clock_and_does_no_io(source: Path) -> None:
    """Time, seed and content are arguments: the same ones give the same decision."""
    acting = {"asyncio", "io", "os", "pathlib", "secrets", "socket", "subprocess", "time"}
    assert not acting & {name.partition(".")[0] for name in modules_imported_by(source)}


def test_packages_load_nothing_by_themselves() -> None:
    """A package loads no third party but the domain's before one of its modules is used."""
    of_the_domain = {"annotated_types", "typing_extensions"}
    assert third_parties_loaded_by(*PACKAGES) <= of_the_domain


def test_composing_the_system_loads_nothing_that_only_some_commands_need(tmp_path: Path) -> None:
    """Every command starts light: servers, templates and agents are loaded by what uses them."""
    environment = {"CHEF_CONFIG": f"{ROOT}/config", "CHEF_STATE": f"{tmp_path}"}
    loaded = third_parties_loaded_by(
        "agent_orchestrator.wiring.embedded",
        "agent_orchestrator.settings",
        doing="from agent_orchestrator import settings, wiring\n"
        f"wiring.embedded.compose(settings.load_settings({environment}))",
    )
    assert "sqlalchemy" in loaded
    assert not loaded & {"aiohttp", "fastapi", "jinja2", "langgraph", "mcp", "rensa"}


def test_the_gateway_serves_without_langchain_and_torch(tmp_path: Path) -> None:
    """What carries traffic stays small: the running process loads no framework."""
    environment = {"CHEF_CONFIG": f"{ROOT}/config", "CHEF_STATE": f"{tmp_path}"}
    with subprocess.Popen(
        [
            *(sys.executable, "-X", "importtime"),
            *("-m", "agent_orchestrator.wiring.gateway_process", "--no-token"),
        ],
        env=os.environ | environment | {"CHEF_GATEWAY_PORT": "0"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        watchdog = Timer(60, process.kill)
        watchdog.start()
        log = []
        for line in process.stderr or ():
            log.append(line)
            if "Serving on" in line:
                process.terminate()
        watchdog.cancel()
    assert process.returncode == 0, "".join(log[-20:])
    imported = (line.rpartition("|")[2].strip() for line in log if line.startswith("import time:"))
    loaded = {name.partition(".")[0] for name in imported}
    assert "aiohttp" in loaded
    assert not loaded & {"langchain_core", "langgraph", "langsmith", "matplotlib", "torch"}
