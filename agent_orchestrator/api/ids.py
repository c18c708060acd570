"""What stands in a URL's path. None of it may be a path of its own."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import Path

WORD: Final = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,127}$"

JobId = Annotated[str, Path(pattern=WORD)]
ApprovalId = Annotated[str, Path(pattern=WORD)]
RolloutId = Annotated[str, Path(pattern=WORD)]
VersionName = Annotated[str, Path(pattern=WORD)]
AgentName = Annotated[str, Path(pattern=r"^[a-z][a-z0-9_-]{0,63}$")]
ThreadId = Annotated[str, Path(pattern=WORD)]
