"""An installation of one's own: configuration, state, and an interpreter that trains in no time."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.doubles.sources import open_local

from agent_orchestrator.agents.infrastructure.modelops.datasets.store import (
    Dataset,
    DatasetStore,
)
from agent_orchestrator.settings import Settings, load_settings

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[3]
LABELS = ("bare-except", "clean", "mutable-default")


@dataclass
class Workspace:
    """Everything under one folder."""

    folder: Path
    variables: dict[str, str] = field(default_factory=dict)
    """The environment of ``chef``."""

    def __post_init__(self) -> None:
        if not self.config.exists():
            skip = shutil.ignore_patterns(".env", "registry.json", "backups")
            shutil.copytree(ROOT / "config", self.config, ignore=skip)
        self.scenario()
        interpreter = self.folder / "trainer-python"
        stub = ROOT / "support" / "tests" / "doubles" / "stub_trainer.py"
        interpreter.write_text(
            f'#!/bin/sh\nexec "{sys.executable}" "{stub}" "{self.folder}/scenario.json" "$@"\n'
        )
        interpreter.chmod(interpreter.stat().st_mode | stat.S_IXUSR)
        kept = ("PATH", "HOME", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
        self.variables = {
            **{name: os.environ[name] for name in kept if name in os.environ},
            "CHEF_CONFIG": str(self.config),
            "CHEF_STATE": str(self.state),
            "CHEF_TRAINER_PYTHON": str(interpreter),
            "OPENROUTER_BASE_URL": "http://127.0.0.1:9/api/v1",  # nobody: tests stay offline
            **self.variables,
        }

    @property
    def config(self) -> Path:
        """The configuration folder."""
        return self.folder / "config"

    @property
    def state(self) -> Path:
        """The state folder."""
        return self.folder / "state"

    @property
    def models_yaml(self) -> Path:
        """Which model serves which agent."""
        return self.config / "agents" / "models.yaml"

    def settings(self) -> Settings:
        """Return the settings that ``chef`` reads."""
        return load_settings(self.variables)

    def scenario(self, **changes: Any) -> None:
        """Say how trainings go and what local models answer."""
        usual = {"steps": 3, "seconds": 0.0, "failure": None, "answer": "clean"}
        text = json.dumps({**usual, **changes})
        whole = self.folder / "scenario.json.new"
        whole.write_text(text, encoding="utf-8")
        whole.replace(self.folder / "scenario.json")  # somebody may be reading it

    def serve_elsewhere(self, **urls: str) -> None:
        """Give agents models ``acme/<agent>`` that live at these base URLs; agent=url."""
        text = self.models_yaml.read_text(encoding="utf-8")
        models = "".join(
            f'  acme/{agent}: {{provider: self_hosted, endpoints: ["{url}"]}}\n'
            for agent, url in urls.items()
        )
        lines = []
        for line in text.splitlines():
            agent = line.strip().split(":")[0]
            named = agent in urls and line.startswith("    ")
            lines.append(f"    {agent}: acme/{agent}" if named else line)
        self.models_yaml.write_text("\n".join(lines) + f"\nmodels:\n{models}", encoding="utf-8")

    def write_examples(self, count: int = 60, name: str = "reviews") -> Path:
        """Write a source for ``build-dataset`` and return its path."""
        rows = [
            {
                "inputs": {"task": f"Name the defect in function number {number}."},
                "outputs": {"answer": LABELS[number % 3]},
                "metadata": {"agent": "code_review", "success": True, "group": f"f{number // 3}"},
            }
            for number in range(count)
        ]
        return self.write_rows(rows, name)

    def build_dataset(self) -> Dataset:
        """Build ``reviews`` for code_review."""
        source = open_local(self.write_examples())
        return DatasetStore(self.settings().datasets_dir).build("code_review", source)

    def add_artifact(self, model: str) -> None:
        """Make a local model that answers as the scenario says."""
        folder = self.state / "artifacts" / model
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}", encoding="utf-8")

    def write_rows(self, rows: Sequence[Mapping[str, Any]], name: str = "reviews") -> Path:
        """Write JSON lines into the workspace."""
        path = self.folder / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return path


async def eventually(look: Callable[[], T | None], seconds: float = 120.0) -> T:
    """Look until there is something; fail when nothing comes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = await asyncio.to_thread(look)
        if found:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"Nothing came within {seconds:g} s.")
