"""What `chef space deploy` uploads: complete, without secrets, and able to start."""

import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from ruamel.yaml import YAML
from tests.doubles.space import running_space
from tests.doubles.workspace import Workspace
from tests.test_architecture import third_parties_loaded_by

from agent_orchestrator.agents.infrastructure.modelops.spaces.content import (
    FOLDER,
    source_root,
    stage,
)

#: Import names that are not the name of what is installed.
_INSTALLED_AS = {"dotenv": "python-dotenv", "attr": "attrs"}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return the staged folder."""
    stage(source_root(), tmp_path / "image")
    return tmp_path / "image"


def instructions() -> list[tuple[str, str]]:
    """Return the Dockerfile's instructions in order."""
    text = (source_root() / FOLDER / "Dockerfile").read_text(encoding="utf-8")
    text = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.partition(" ") for line in text.splitlines() if line.strip()]
    return [(name, rest.strip()) for name, _, rest in lines]


def pins() -> list[Requirement]:
    """Return what the app's interpreter gets."""
    lines = (source_root() / FOLDER / "requirements.txt").read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def test_what_is_copied_into_the_image_is_there(image: Path):
    """Every source of a COPY, and what its pip commands read."""
    for name, rest in instructions():
        words = [word for word in shlex.split(rest) if not word.startswith("--")]
        if name == "COPY":
            for source in words[:-1]:
                assert (image / source).exists(), source
    assert {name for name, _ in instructions()} == {
        *("FROM", "RUN", "USER", "ENV", "WORKDIR", "COPY", "EXPOSE", "CMD"),
    }


def test_the_image_runs_as_the_hub_wants_it():
    """User 1000, listening on the port that the Space's header names, on all addresses."""
    text = dict(instructions()[::-1])  # the first of each name
    assert any("--uid 1000" in rest for name, rest in instructions() if name == "RUN")
    assert text["USER"] == "user"
    environment = " ".join(rest for name, rest in instructions() if name == "ENV")
    assert "CHEF_SPACE_HOST=0.0.0.0" in environment
    readme = (source_root() / FOLDER / "README.md").read_text(encoding="utf-8")
    header = YAML(typ="safe", pure=True).load(readme.split("---")[1])
    assert header["sdk"] == "docker"
    assert f"CHEF_SPACE_PORT={header['app_port']}" in environment
    assert ("EXPOSE", str(header["app_port"])) in instructions()
    assert len(header["short_description"]) <= 60  # the Hub refuses longer ones


def test_both_engines_are_in_the_image():
    """Each interpreter that the app is told of is made, and has its pins and the worker."""
    environment = " ".join(rest for name, rest in instructions() if name == "ENV")
    run = " ".join(rest for name, rest in instructions() if name == "RUN")
    for variable, folder, pins in (
        ("CHEF_TRAINER_PYTHON", ".venv-trainer", "trl.txt"),
        ("CHEF_AUTOTRAIN_PYTHON", ".venv-autotrain", "autotrain.txt"),
        ("CHEF_AUTOTRAIN_PYTHON", ".venv-autotrain", "itself.txt"),
    ):
        assert f"{variable}=/home/user/app/{folder}/bin/python" in environment
        assert f"uv venv {folder}" in run
        assert re.search(rf"--python {folder} (--no-deps )?--requirement {pins}", run)
        assert f"--python {folder} ./package" in run


def test_the_pins_are_those_of_the_project_and_enough():
    """Same bounds as pyproject.toml; everything that the app loads is among them."""
    project = tomllib.loads((source_root() / "pyproject.toml").read_text(encoding="utf-8"))
    bounds = {Requirement(text).name: text for text in project["project"]["dependencies"]}
    for pin in pins():
        assert Requirement(bounds[pin.name]).specifier == pin.specifier, pin.name
    installed, known = [pin.name for pin in pins()], set()
    while installed:
        name = installed.pop()
        if name not in known:
            known.add(name)
            needs = [Requirement(text) for text in requires(name) or ()]
            installed += [n.name for n in needs if n.marker is None or n.marker.evaluate()]
    loaded = third_parties_loaded_by("agent_orchestrator.training_space.process")
    named = {_INSTALLED_AS.get(name, name) for name in loaded if not name.startswith("_")}
    assert {name.replace("_", "-") for name in named} - {"cython-runtime"} <= known


def test_nothing_of_this_installation_is_uploaded(image: Path):
    """No configuration, no state, no environment file, no bytecode, no test."""
    files = [path.relative_to(image).as_posix() for path in image.rglob("*") if path.is_file()]
    assert {path.split("/")[0] for path in files} == {
        *("Dockerfile", "README.md", "app.py", "requirements.txt", "package"),
    }
    assert not [p for p in files if "__pycache__" in p or "/tests/" in p or p.endswith(".env")]
    trainer = "package/agent_orchestrator/trainer/requirements-trl.txt"
    assert trainer in files


def test_the_staged_app_starts(image: Path, workspace: Workspace, tmp_path: Path):
    """app.py serves with the staged package, and not with the one beside the tests."""
    python = workspace.settings().trainer_python
    program = f"import sys; sys.path.insert(0, {str(image / 'package')!r})\n" + (
        image / "app.py"
    ).read_text(encoding="utf-8")
    (image / "app.py").write_text(program, encoding="utf-8")
    with running_space(tmp_path / "space", python, program=(str(image / "app.py"),)) as space:
        assert space.client().get("/jobs").json() == {"jobs": []}
        look = f"{program.splitlines()[0]}\nimport agent_orchestrator as a\nprint(a.__file__)"
        where = subprocess.run(
            [sys.executable, "-c", look], capture_output=True, text=True, check=True
        )
        assert where.stdout.startswith(str(image))
