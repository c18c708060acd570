"""Version numbers of models: ``v{major}.{minor}.{patch}[-suffix]``.

Grammar and order are those of Semantic Versioning 2.0.0 (https://semver.org), with a leading ``v``
and without build metadata.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import total_ordering
from typing import Literal, Self

from agent_orchestrator.errors import InputError

Part = Literal["major", "minor", "patch"]

_NUMBER = r"(0|[1-9][0-9]*)"
_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SUFFIX = rf"{_IDENTIFIER}(?:\.{_IDENTIFIER})*"
_VERSION = re.compile(rf"v{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-({_SUFFIX}))?")
_MAX_LENGTH = 64

#: Sorts after every pre-release key: a release is newer than its release candidates.
_RELEASE = (1,)


@total_ordering
@dataclass(frozen=True, slots=True)
class SemVer:
    """A version; ordered by precedence (``v1.0.0-rc.1 < v1.0.0 < v1.0.1``)."""

    major: int
    minor: int
    patch: int
    suffix: str = ""
    """Pre-release identifiers joined by dots, e.g. ``rc.1``; empty for a release."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the version written as ``text``; raise InputError when it is not one."""
        match = _VERSION.fullmatch(text) if len(text) <= _MAX_LENGTH else None
        if match is None:
            raise InputError(
                f"Not a version: {text!r}.",
                remedy="Use v{major}.{minor}.{patch}[-suffix], for example v1.2.0 or v1.2.0-rc.1.",
            )
        major, minor, patch, suffix = match.groups()
        return cls(int(major), int(minor), int(patch), suffix or "")

    def bump(self, part: Part) -> SemVer:
        """Return the release that follows this one: ``part`` rises, the lower parts are 0."""
        match part:
            case "major":
                return SemVer(self.major + 1, 0, 0)
            case "minor":
                return SemVer(self.major, self.minor + 1, 0)
            case "patch":
                return SemVer(self.major, self.minor, self.patch + 1)
        raise InputError(f"Not a part of a version: {part!r}.", remedy="major, minor or patch.")

    def __str__(self) -> str:
        dashed = f"-{self.suffix}" if self.suffix else ""
        return f"v{self.major}.{self.minor}.{self.patch}{dashed}"

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, SemVer):
            return NotImplemented
        return self._precedence() < other._precedence()

    def _precedence(self) -> tuple[object, ...]:
        """Key of section 11: numbers sort below words, a longer list above its prefix."""
        if not self.suffix:
            return (self.major, self.minor, self.patch, _RELEASE)
        identifiers = tuple(
            (0, int(part), "") if part.isdigit() else (1, 0, part)
            for part in self.suffix.split(".")
        )
        return (self.major, self.minor, self.patch, (0, identifiers))


def next_version(existing: Iterable[str], part: Part = "minor", suffix: str = "") -> str:
    """Return the version after all ``existing`` ones; ``v1.0.0`` when there is none.

    The highest one is bumped, whatever its suffix, so that the new version is newer than all of
    them and was never used before. Raises InputError for a bad version, part or suffix.
    """
    versions = [SemVer.parse(text) for text in existing]
    release = max(versions).bump(part) if versions else SemVer(1, 0, 0)
    return str(SemVer.parse(f"{release}-{suffix}")) if suffix else str(release)
