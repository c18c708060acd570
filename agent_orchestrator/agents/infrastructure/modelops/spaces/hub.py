"""Spaces, through the Hub's own client (import it late: it is slow)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import httpx2  # the Hub client's own transport
from huggingface_hub import HfApi, SpaceRuntime
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, RepositoryNotFoundError

from agent_orchestrator.agents.infrastructure.modelops.spaces import content as space_content
from agent_orchestrator.errors import (
    ConfigurationError,
    FailedError,
    InputError,
    NotFoundError,
    UnavailableError,
)

FREE: Final = "cpu-basic"
"""The machine that costs nothing for a Space (for a Job it does, at the same name)."""
_UNAUTHORISED: Final = 401
_FORBIDDEN: Final = 403
_PAYMENT_REQUIRED: Final = 402
_SERVER_ERROR: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceState:
    """How a Space stands on the Hub."""

    stage: str
    hardware: str | None
    """What it runs on, or shall."""
    sleep_seconds: int | None


class SpaceHub:
    """The Hub's Spaces. Blocking.

    Every method raises ConfigurationError for a token that is refused, UnavailableError when the
    Hub does not answer, FailedError when it refuses what was asked.
    """

    def __init__(self, token: str, endpoint: str | None = None) -> None:
        """``endpoint`` None is the one of HF_ENDPOINT, else huggingface.co."""
        self._api = HfApi(token=token, endpoint=endpoint)

    @cached_property
    def user(self) -> str:
        """Whose token it is."""
        with _failures("account"):
            return str(self._api.whoami()["name"])

    @cached_property
    def prices(self) -> Mapping[str, float]:
        """Dollars an hour of each machine."""
        with _failures("hardware"):
            offered = self._api.list_spaces_hardware()
        return {one.name: one.unit_cost_usd for one in offered} | {FREE: 0.0}

    def state(self, space: str) -> SpaceState:
        """Return how a Space stands. Raises NotFoundError, InputError."""
        with _failures(space):
            return _state(self._api.get_space_runtime(space))

    def deploy(
        self,
        space: str,
        *,
        private: bool,
        secrets: Mapping[str, str],
        hardware: str,
        sleep_seconds: int,
    ) -> SpaceState:
        """Make the Space where there is none, upload the app, set secrets and hardware.

        Each part may be done again: one that was cut off is repeated whole. The machine that costs
        money comes last. Raises StorageError.
        """
        with _failures(space), tempfile.TemporaryDirectory(prefix="chef-space-") as folder:
            staged = Path(folder) / "space"
            space_content.stage(space_content.source_root(), staged)
            self._api.create_repo(
                space, repo_type="space", space_sdk="docker", private=private, exist_ok=True
            )
            for name, value in secrets.items():
                self._api.add_space_secret(space, name, value)
            self._api.upload_folder(
                repo_id=space,
                repo_type="space",
                folder_path=staged,
                commit_message="Deploy the training app",
                delete_patterns="*",
            )
            return self._on(space, hardware, sleep_seconds)

    def _on(self, space: str, hardware: str, sleep_seconds: int) -> SpaceState:
        """Put a Space on its machine; the free one sleeps when the Hub wants it to."""
        now = self._api.get_space_runtime(space)
        sleep = None if hardware == FREE else sleep_seconds
        if now.requested_hardware != hardware or (sleep and now.sleep_time != sleep):
            now = self._api.request_space_hardware(space, hardware, sleep_time=sleep)  # type: ignore[arg-type]
        return _state(now)

    def pause(self, space: str) -> SpaceState:
        """Pause a Space. Raises NotFoundError."""
        with _failures(space):
            return _state(self._api.pause_space(space))

    def restart(self, space: str) -> SpaceState:
        """Restart a Space. Raises NotFoundError."""
        with _failures(space):
            return _state(self._api.restart_space(space))


def _state(runtime: SpaceRuntime) -> SpaceState:
    hardware = runtime.requested_hardware or runtime.hardware
    return SpaceState(
        stage=str(runtime.stage),
        hardware=str(hardware) if hardware else None,
        sleep_seconds=runtime.sleep_time,
    )


@contextmanager
def _failures(what: str) -> Iterator[None]:
    """Turn what the Hub's client raises into our errors."""
    try:
        yield
    except RepositoryNotFoundError as error:
        raise NotFoundError(
            f"The Hub has no Space {what!r} that you may read.",
            remedy="Deploy one (`chef space deploy`).",
        ) from error
    except HFValidationError as error:
        raise InputError(f"Not a Space's name: {what!r}.", remedy="Use owner/name.") from error
    except HfHubHTTPError as error:
        raise _refusal(what, error) from error
    except httpx2.HTTPError as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UnavailableError(
            f"The Hub cannot be reached: {said}.", remedy="Try again."
        ) from error


def _refusal(what: str, error: HfHubHTTPError) -> Exception:
    status = error.response.status_code
    said = str(error.server_message or error.response.reason_phrase)
    if status in {_UNAUTHORISED, _FORBIDDEN}:
        return ConfigurationError(
            f"The Hub refuses HUGGINGFACE_TOKEN for {what}: {said}.",
            remedy="Use a token that may write there.",
        )
    if status == _PAYMENT_REQUIRED:
        return FailedError(
            f"The Hub wants to be paid for {what}: {said}.",
            remedy="Add a payment method at huggingface.co/settings/billing.",
        )
    if status >= _SERVER_ERROR:
        return UnavailableError(f"The Hub has a problem ({status}): {said}.", remedy="Try again.")
    return FailedError(
        f"The Hub refused {what} ({status}): {said}.", remedy="Look at the Space's page on the Hub."
    )
