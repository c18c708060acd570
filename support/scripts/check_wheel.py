"""Check an installed wheel, run by the interpreter of the environment it was installed into.

    /tmp/throw-away/bin/python support/scripts/check_wheel.py dist/code_chef-*.whl

Every file of the package, the web page too, must be in the wheel, and every module outside
``trainer`` must import with nothing installed but what the wheel itself asks for, except those of
an extra.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from zipfile import ZipFile

PACKAGE = "agent_orchestrator"
#: What ``make page`` builds: git does not have it.
PAGE = f"{PACKAGE}/api/page_files/views.js"
#: Modules that need an extra.
EXTRAS = {f"{PACKAGE}.agents.infrastructure.modelops.mlflow_mirror.mirror"}


def missing_files(wheel: Path) -> list[str]:
    """Return the package's files that the wheel lacks."""
    files = {
        str(path)
        for path in Path(PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with ZipFile(wheel) as archive:
        return sorted({*files, PAGE} - set(archive.namelist()))


def import_everything() -> list[str]:
    """Import every module of the installed package; return their names."""
    package = importlib.import_module(PACKAGE)
    if "site-packages" not in str(package.__file__):
        sys.exit(f"{PACKAGE} comes from {package.__file__}, not from the wheel.")
    names = [
        module.name
        for module in pkgutil.walk_packages(package.__path__, f"{PACKAGE}.")
        if not module.name.startswith(f"{PACKAGE}.trainer")
        and not module.name.endswith("__main__")
        and module.name not in EXTRAS
    ]
    for name in names:
        importlib.import_module(name)
    return names


def main(wheel: Path) -> None:
    """Print what was checked; exit with 1 and the reason if the wheel is incomplete."""
    if missing := missing_files(wheel):
        sys.exit(f"{wheel.name} lacks {', '.join(missing)}.")
    print(f"{wheel.name}: complete, {len(import_everything())} modules import")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
