"""What a training Space consists of: its folder of ``deploy/`` and the package's source."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from agent_orchestrator.errors import ConfigurationError
from agent_orchestrator.stores.files import storage_error

FOLDER: Final = Path("deploy/huggingface-spaces/modelops-trainer")
PACKAGE: Final = "agent_orchestrator"
_PROJECT_FILES: Final = ("pyproject.toml", "README.md", "LICENSE")
_SOURCES: Final = frozenset({".py", ".md", ".txt", ".yaml", ".json"})


def source_root() -> Path:
    """Return the project's folder. Raises ConfigurationError where only the package is there."""
    root = Path(__file__).parents[5]
    missing = [name for name in (FOLDER, *_PROJECT_FILES) if not (root / name).exists()]
    if missing:
        raise ConfigurationError(
            f"A Space is made from the project's source; {root} has no {missing[0]}.",
            remedy="Run chef from a clone of the repository (make setup).",
        )
    return root


def stage(root: Path, target: Path) -> None:
    """Put everything that a Space is made of into ``target``. Raises StorageError.

    Nothing else of the project goes along: no configuration, no state, no secret.
    """
    try:
        shutil.copytree(root / FOLDER, target, ignore=shutil.ignore_patterns("__pycache__"))
        package = target / "package"
        package.mkdir()
        for name in _PROJECT_FILES:
            shutil.copyfile(root / name, package / name)
        for source in sorted((root / PACKAGE).rglob("*")):
            if source.suffix in _SOURCES and "__pycache__" not in source.parts:
                copy = package / source.relative_to(root)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, copy)
    except OSError as error:
        raise storage_error(target, error) from error
