"""A repository with a defect, and rules by which its commands run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from agent_orchestrator.agents._shared.commands import WorkspaceRules

# No plugins of ours: they are slow to load, and no part of the sample.
RULES = WorkspaceRules(
    seconds=60, memory_mb=2048, environment={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
)
BROKEN = "def mean(values):\n    return sum(values) / len(values)\n"
MENDED = (
    "def mean(values):\n"
    "    if not values:\n"
    '        raise ValueError("mean of nothing")\n'
    "    return sum(values) / len(values)\n"
)
_TESTS = """\
import pytest
from stats import mean


def test_mean():
    assert mean([1, 2, 3]) == 2


def test_mean_of_nothing():
    with pytest.raises(ValueError):
        mean([])
"""
_CONFIG = """\
[tool.pytest.ini_options]
pythonpath = ["."]

[tool.ruff.lint]
select = ["E", "F"]
"""


def sample_repository(root: Path) -> Path:
    """Make a repository with one commit; one of its two tests fails."""
    root.mkdir()
    for name, text in {
        "stats.py": BROKEN,
        "test_stats.py": _TESTS,
        "pyproject.toml": _CONFIG,
    }.items():
        (root / name).write_text(text, encoding="utf-8")
    author = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
    for command in (("init", "-q"), ("add", "."), (*author, "commit", "-qm", "Take means")):
        subprocess.run(["git", *command], cwd=root, check=True, capture_output=True)
    return root
