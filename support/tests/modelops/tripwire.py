"""Stores that die or fail before or after any of their effects."""

from __future__ import annotations

from typing import Any, TypeVar, cast

T = TypeVar("T")


class Killed(BaseException):
    """Stands for SIGKILL: nothing of ours catches it, and the kernel lets go of the locks."""


class Tripwire:
    """Counts the effects of one change, from its entry in the journal on, and trips at one.

    ``at`` is the number of the point; points are "before X" and "after X", and ``where`` says which
    of the two are counted. ``error`` is raised there, once.
    """

    def __init__(
        self,
        at: int = 0,
        error: type[BaseException] = Killed,
        *,
        where: str = "after",
        since: str = "IntentJournal.write",
    ) -> None:
        self.arm(at, error, where=where, since=since)

    def arm(
        self,
        at: int,
        error: type[BaseException] = Killed,
        *,
        where: str = "after",
        since: str = "IntentJournal.write",
    ) -> None:
        """Begin to count anew."""
        self.at = at
        self.error = error
        self.where = where
        self.since = since
        self.passed: list[str] = []

    def step(self, when: str, effect: str) -> None:
        """Pass a point."""
        begun = bool(self.passed) or effect == self.since
        if when in self.where and begun:
            self.passed.append(f"{when} {effect}")
            if len(self.passed) == self.at:
                raise self.error(f"{when} {effect}")


class _Wired:
    def __init__(self, store: object, tripwire: Tripwire, effects: tuple[str, ...]) -> None:
        self._store = store
        self._tripwire = tripwire
        self._effects = effects

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)
        if name not in self._effects:
            return method
        effect = f"{type(self._store).__name__}.{name}"

        def wired(*args: Any, **kwargs: Any) -> Any:
            self._tripwire.step("before", effect)
            result = method(*args, **kwargs)
            self._tripwire.step("after", effect)
            return result

        return wired


def wired(store: T, tripwire: Tripwire, *effects: str) -> T:
    """Return the store with a tripwire around its methods that have effects."""
    return cast("T", _Wired(store, tripwire, effects))
