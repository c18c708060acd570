"""What AutoTrain prints, read line by line.

It has no other way to follow it: the losses stand in lines of loguru, the total in tqdm's bar, and
failures, which leave its exit status at 0, in lines that begin with ERROR.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_LOGGED: Final = re.compile(r"autotrain\.trainers\.common:on_log:\d+ - \{(.*)\}\s*$")
_VALUE: Final = re.compile(r"'([\w/]+)': (-?[\w.+-]+)")
_BAR: Final = re.compile(r"^\s*\d+%\|[^|]*\| \d+/(\d+) \[")
"""The bar of the training; those of reading and packing data have a name in front."""
_LEVEL: Final = re.compile(r"\b(INFO|WARNING|ERROR|CRITICAL)\s*\| \d{4}-\d\d-\d\d ")
_BROKEN: Final = frozenset({"ERROR", "CRITICAL"})


@dataclass(slots=True)
class LogReader:
    """What was understood so far."""

    logging_steps: int
    total_steps: int | None = None
    steps: int = 0
    logs: list[Mapping[str, float]] = field(default_factory=list)
    """Of the steps, in order: ``loss``, ``learning_rate``, and what the method adds."""
    summary: Mapping[str, float] = field(default_factory=dict)
    """``train_runtime`` and the like, at the end."""
    errors: list[str] = field(default_factory=list)
    """The lines of its errors, tracebacks included."""
    _in_error: bool = False

    def read(self, line: str) -> Mapping[str, float] | None:
        """Take one line, without its end; return what it says of a step, None for other lines."""
        if bar := _BAR.match(line):
            self.total_steps = int(bar[1])
        if level := _LEVEL.search(line):
            self._in_error = level[1] in _BROKEN
        if self._in_error:
            self.errors.append(line)
            return None
        logged = _LOGGED.search(line)
        if logged is None:
            return None
        values = {name: float(value) for name, value in _VALUE.findall(logged[1])}
        if "loss" not in values:
            self.summary = values
            return None
        self.logs.append(values)
        self.steps += self.logging_steps
        return values


def lines_of(text: str) -> tuple[list[str], str]:
    """Split output at line ends and at carriage returns; return the lines and the unended rest."""
    *lines, rest = re.split(r"[\r\n]+", text)
    return lines, rest
