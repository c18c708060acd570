"""The peers' environments: what is pinned in ``peers/``, installed under ``.venv-peers/``.

``make bench-peers`` installs those that are missing or whose pins have changed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_PINS = ROOT / "support" / "benchmarks" / "peers"
_ENVIRONMENTS = ROOT / ".venv-peers"
_PORTKEY = "@portkey-ai/gateway"


@dataclass(frozen=True, slots=True)
class Peer:
    """A package of other people, in an environment of its own."""

    name: str
    pins: Path
    """The file that names its version."""

    @property
    def folder(self) -> Path:
        """Its environment."""
        return _ENVIRONMENTS / self.name

    @property
    def python(self) -> Path:
        """Its interpreter, if it is Python's."""
        return self.folder / "bin" / "python"

    @property
    def version(self) -> str:
        """The pinned version."""
        text = self.pins.read_text(encoding="utf-8")
        if self.pins.suffix == ".json":
            return str(json.loads(text)["dependencies"][_PORTKEY])
        found = re.search(rf"^{self.name}(?:\[\w+\])?==(\S+)", text, re.MULTILINE)
        if found is None:
            raise ValueError(f"{self.pins.name} does not pin {self.name}.")
        return found[1]

    def is_installed(self) -> bool:
        """Return whether the environment holds what is pinned now."""
        stamp = self._stamp
        return stamp.exists() and stamp.read_bytes() == self.pins.read_bytes()

    def install(self) -> None:
        """Make the environment anew. Raises CalledProcessError, FileNotFoundError without npm."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        if self.pins.suffix == ".json":
            shutil.copy(self.pins, self.folder)
            flags = ["--ignore-scripts", "--no-fund", "--no-audit", "--silent"]
            subprocess.run(["npm", "install", *flags], cwd=self.folder, check=True)
        else:
            subprocess.run([sys.executable, "-m", "venv", str(self.folder)], check=True)
            pip = [str(self.python), "-m", "pip", "install", "--quiet"]
            subprocess.run([*pip, "--requirement", str(self.pins)], check=True)
        shutil.copy(self.pins, self._stamp)

    @property
    def _stamp(self) -> Path:
        return self.folder / ".installed"


LITELLM = Peer("litellm", _PINS / "litellm.txt")
TENSORZERO = Peer("tensorzero", _PINS / "tensorzero.txt")
PORTKEY = Peer("portkey", _PINS / "portkey" / "package.json")
PEERS = (LITELLM, TENSORZERO, PORTKEY)


def install_missing() -> dict[str, str]:
    """Install what is not there; return why where that failed, by the peer's name."""
    failures = {}
    for peer in PEERS:
        if peer.is_installed():
            continue
        print(f"Installing {peer.name} {peer.version} …", flush=True)
        try:
            peer.install()
        except (subprocess.CalledProcessError, OSError) as error:
            failures[peer.name] = f"{type(error).__name__}: {error}"
    return failures


if __name__ == "__main__":
    problems = install_missing()
    for name, problem in problems.items():
        print(f"{name} cannot be installed: {problem}", file=sys.stderr)
    sys.exit(1 if problems else 0)
