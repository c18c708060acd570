"""A small search for hyperparameters: successive halving, of which random search is one rung.

``trials`` settings are drawn from a space. All are trained for a small part of their epochs, the
better third is trained anew for three times as many, and so on, until the last rung has them all
(Jamieson & Talwalkar 1502.07943; with one rung: Bergstra & Bengio 2012). A rung begins when the one
before is complete. A trial that failed is worse than any that did not.

What to do next follows from the plan and from how the trials stand, so whoever looks, however
often, comes to the same: there is nothing to keep but the plan.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agent_orchestrator.errors import InputError

Goal = Literal["lowest", "highest"]
Setting = Mapping[str, Any]
"""Hyperparameter → value."""
Place = tuple[int, int]
"""A trial's rung and the number of its setting, both from 0."""

REDUCTION = 3
"""Of a rung's trials every third goes on."""
MAX_TRIALS, MAX_RUNGS = 64, 4
_TRIES = 50
_EXAMPLE = 'Write e.g. batch_size=[4,8] or learning_rate={"low":1e-5,"high":1e-3,"log":true}.'


@dataclass(frozen=True, slots=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def draw(self, chance: random.Random) -> Any:
        """Return one of them, each as likely."""
        return chance.choice(self.values)


@dataclass(frozen=True, slots=True)
class Range:
    """A number from ``low`` to ``high``, both included."""

    low: float
    high: float
    log: bool = False
    """Whether factors, and not differences, are as likely."""
    whole: bool = False

    def draw(self, chance: random.Random) -> float | int:
        """Return a number; five digits are plenty."""
        if self.log:
            value = math.exp(chance.uniform(math.log(self.low), math.log(self.high)))
        else:
            value = chance.uniform(self.low, self.high)
        value = min(max(value, self.low), self.high)
        return round(value) if self.whole else min(max(float(f"{value:.5g}"), self.low), self.high)


Space = Mapping[str, Choice | Range]


def read_space(given: Mapping[str, Any]) -> dict[str, Choice | Range]:
    """Return the space that a list (a choice) or a mapping (a range) of each name describes.

    Raises InputError for an empty space, an empty choice, or a range that is none.
    """
    if not given:
        raise InputError("The space to search is empty.", remedy=_EXAMPLE)
    return {name: _dimension(name, value) for name, value in given.items()}


def _dimension(name: str, value: Any) -> Choice | Range:
    if isinstance(value, list | tuple) and value:
        return Choice(tuple(value))
    if isinstance(value, Mapping) and {"low", "high"} <= value.keys() <= {"low", "high", "log"}:
        low, high, log = value["low"], value["high"], value.get("log", False)
        numbers = all(
            isinstance(n, int | float) and not isinstance(n, bool) and math.isfinite(n)
            for n in (low, high)
        )
        if numbers and isinstance(log, bool) and low < high and (low > 0 or not log):
            whole = isinstance(low, int) and isinstance(high, int)
            return Range(float(low), float(high), log, whole)
    raise InputError(f"space: {name} is neither a choice nor a range: {value!r}.", remedy=_EXAMPLE)


def draw(space: Space, trials: int, seed: int) -> list[dict[str, Any]]:
    """Return ``trials`` different settings, drawn at random; fewer when the space has no more.

    The same seed draws the same, and of a larger number the first ones are the same.
    """
    if all(isinstance(dimension, Choice) for dimension in space.values()):
        every = [d.values for d in space.values() if isinstance(d, Choice)]
        grid = [dict(zip(space, values, strict=True)) for values in itertools.product(*every)]
        random.Random(seed).shuffle(grid)  # noqa: S311 - a search, not a secret
        return grid[:trials]
    chance = random.Random(seed)  # noqa: S311
    found: list[dict[str, Any]] = []
    for _ in range(trials * _TRIES):
        setting = {name: dimension.draw(chance) for name, dimension in space.items()}
        if setting not in found:
            found.append(setting)
        if len(found) == trials:
            break
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchPlan:
    """What is tried. Frozen when the search begins."""

    settings: tuple[Setting, ...]
    rungs: int = 1
    goal: Goal = "lowest"

    def share(self, rung: int) -> float:
        """Return the part of the epochs that a rung's trials get; the last rung's get all."""
        return float(REDUCTION) ** (rung + 1 - self.rungs)

    def size(self, rung: int) -> int:
        """Return how many settings a rung tries, as long as none fails."""
        return max(1, math.ceil(len(self.settings) / math.pow(REDUCTION, rung)))

    @property
    def places(self) -> int:
        """How many trials there are in all, as long as none fails."""
        return sum(map(self.size, range(self.rungs)))


@dataclass(frozen=True, slots=True)
class Trial:
    """How one trial stands."""

    ended: bool
    value: float | None = None
    """What it reached; None while it runs, and for one that failed."""


def due(plan: SearchPlan, trials: Mapping[Place, Trial]) -> list[Place]:
    """Return the trials that may be started now, in order."""
    for rung in range(plan.rungs):
        entrants = _entrants(plan, trials, rung)
        waiting = [(rung, number) for number in entrants if (rung, number) not in trials]
        if waiting or not all(trials[rung, number].ended for number in entrants):
            return waiting
    return []


def is_over(plan: SearchPlan, trials: Mapping[Place, Trial]) -> bool:
    """Return whether no trial runs and none is due."""
    return all(trial.ended for trial in trials.values()) and not due(plan, trials)


def best(plan: SearchPlan, trials: Mapping[Place, Trial]) -> Place | None:
    """Return the best trial of the highest rung that has one; None when all failed."""
    for rung in reversed(range(plan.rungs)):
        ranked = _ranked(plan, trials, rung)
        if ranked:
            return rung, ranked[0]
    return None


def _entrants(plan: SearchPlan, trials: Mapping[Place, Trial], rung: int) -> Sequence[int]:
    if rung == 0:
        return range(len(plan.settings))
    return _ranked(plan, trials, rung - 1)[: plan.size(rung)]


def _ranked(plan: SearchPlan, trials: Mapping[Place, Trial], rung: int) -> list[int]:
    """Return the numbers of a rung's trials that reached something, best first."""
    sign = 1.0 if plan.goal == "lowest" else -1.0
    values = {
        number: sign * trial.value
        for (at, number), trial in trials.items()
        if at == rung and trial.value is not None and math.isfinite(trial.value)
    }
    return sorted(values, key=lambda number: (values[number], number))
