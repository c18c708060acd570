"""Checks of Python that a model wrote: does it compile, is it clean. They run nothing of it."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Final

from agent_orchestrator.errors import ConfigurationError
from agent_orchestrator.trainer.rewards import code_of

_RULES: Final = "E4,E7,E9,F"  # ruff's own defaults, named so that they stay
_LINT_SECONDS: Final = 20.0


def compiles(answer: str) -> bool:
    """Return whether the answer's Python parses; what holds no code does not."""
    return bool(_body(code_of(answer)))


def lint_score(answer: str) -> float | None:
    """Return max(0, 1 − findings of ruff / lines with something on them).

    0 for what does not parse; None where ruff is not installed. Raises ConfigurationError when
    ruff cannot check.
    """
    ruff, code = _ruff(), code_of(answer)
    if ruff is None:
        return None
    if not _body(code):
        return 0.0
    lines = sum(bool(line.strip()) for line in code.splitlines())
    return max(0.0, 1.0 - _findings(ruff, code) / lines)


def _body(code: str) -> list[ast.stmt]:
    """Return the code's statements, none when it does not parse."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an odd escape in the answer is no matter of ours
        try:
            return ast.parse(code).body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return []


def _findings(ruff: str, code: str) -> int:
    command = (
        *(ruff, "check", "--isolated", "--no-cache", "--exit-zero", "--select", _RULES),
        *("--output-format", "json", "--stdin-filename", "answer.py", "-"),
    )
    try:
        done = subprocess.run(  # noqa: S603 - our own tool; the code is only its input
            command, input=code, capture_output=True, text=True, timeout=_LINT_SECONDS, check=True
        )
        return len(json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError) as error:
        raise ConfigurationError(
            f"{ruff} cannot check code: {error}.", remedy="Install ruff again, or remove it."
        ) from error


@cache
def _ruff() -> str | None:
    """Return ruff beside our interpreter, else on the path."""
    beside = Path(sys.executable).parent / "ruff"
    return str(beside) if beside.exists() else shutil.which("ruff")
