"""The use cases about the Space that trains."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.backends.space_protocol import Health
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan
from agent_orchestrator.agents.infrastructure.modelops.usecases.spaces import (
    DeploySpace,
    PauseSpace,
    RestartSpace,
    SpaceReport,
    SpaceStatus,
)
from agent_orchestrator.errors import (
    ChefError,
    ConfigurationError,
    ConflictError,
    InputError,
    NotFoundError,
    UnavailableError,
)
from agent_orchestrator.stores.audit import AuditLog

if TYPE_CHECKING:
    from agent_orchestrator.agents.infrastructure.modelops.spaces.hub import SpaceHub, SpaceState

_NAME: Final = "modelops-trainer"
_TOKEN: Final = "MODELOPS_SPACE_TOKEN"  # noqa: S105 - the variable's name
_HUB_TOKEN: Final = "HUGGINGFACE_TOKEN"  # noqa: S105
_GB: Final = 1e9
#: Stages of the Hub in which the app answers.
_AT_WORK: Final = frozenset({"RUNNING", "RUNNING_BUILDING", "RUNNING_APP_STARTING"})


class AskHealth(Protocol):
    """Asks the app at a URL how it is."""

    def __call__(self, url: str) -> Health:
        """Raise ConfigurationError, UnavailableError, FailedError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceAccess:
    """How this installation reaches its Space."""

    hub: Callable[[], SpaceHub | None]
    """The way to the Hub, None without a token."""
    health: AskHealth
    owner: str | None
    """Whose Space it is; None for the token's user."""
    url: str | None
    """MODELOPS_SPACE_URL."""
    token: str | None
    """MODELOPS_SPACE_TOKEN."""
    hub_token: str | None


class SpaceControl:
    """Deploys, shows, pauses and restarts a Space."""

    def __init__(
        self,
        access: SpaceAccess,
        audit: AuditLog,
        *,
        longest_job_hours: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._access = access
        self._audit = audit
        self._longest_job_hours = longest_job_hours
        self._clock = clock

    def status(self, request: SpaceStatus) -> SpaceReport:
        """Return how the Space stands. Raises ConfigurationError when none is named or set."""
        access = self._access
        hub = access.hub()
        known = access.url is not None and request.space is None
        if hub is None or (known and not _is_on_the_hub(access.url or "")):
            if access.url is None or request.space is not None:
                raise _no_hub_token()
            return self._with_health(SpaceReport(space=None, url=access.url))
        space = self._name(request.space, hub)
        return self._with_health(_report(space, hub, hub.state(space)))

    def plan_deploy(self, request: DeploySpace, caller: Caller) -> Plan:
        """Plan a deployment. A machine that costs money is approved by a person.

        Raises ConfigurationError without the tokens, InputError for a machine that the Hub does not
        offer, ConflictError while jobs run there.
        """
        hub = self._hub()
        token = self._access.token
        if not token:
            raise ConfigurationError(
                f"{_TOKEN} is not set: the Space's app would have no token to ask for.",
                remedy="Set it to a long random text, e.g. of `openssl rand -hex 32`.",
            )
        space = self._name(request.space, hub)
        price = _price(hub, request.hardware)
        self._check_idle(space, _stage(hub, space), request.force)
        sleep = request.sleep_minutes or round((self._longest_job_hours + 1) * 60)
        secrets = {_TOKEN: token}
        if self._access.hub_token:
            secrets[_HUB_TOKEN] = self._access.hub_token

        def deploy() -> SpaceReport:
            state = hub.deploy(
                space,
                private=not request.public,
                secrets=secrets,
                hardware=request.hardware,
                sleep_seconds=sleep * 60,
            )
            return self._done("space_deployed", _report(space, hub, state), caller)

        cost = f"${price:.2f} an hour while it runs, asleep after {sleep} min without a request"
        return _plan(
            f"Deploy the training app to the {'public' if request.public else 'private'} Space "
            f"{space} on {request.hardware}: {cost if price else 'free'}.",
            deploy,
            price,
            {"space": space, "hardware": request.hardware, "secrets": list(secrets)},
        )

    def plan_pause(self, request: PauseSpace, caller: Caller) -> Plan:
        """Plan a pause. Raises ConflictError while jobs run there."""
        hub = self._hub()
        space = self._name(request.space, hub)
        state = hub.state(space)
        self._check_idle(space, state.stage, request.force)

        def pause() -> SpaceReport:
            return self._done("space_paused", _report(space, hub, hub.pause(space)), caller)

        return _plan(f"Pause the Space {space} ({state.stage}).", pause, 0.0, {"space": space})

    def plan_restart(self, request: RestartSpace, caller: Caller) -> Plan:
        """Plan a restart; approved by a person where the machine costs money.

        Raises ConflictError while jobs run there.
        """
        hub = self._hub()
        space = self._name(request.space, hub)
        state = hub.state(space)
        hardware = state.hardware or "cpu-basic"
        price = _price(hub, hardware)
        self._check_idle(space, state.stage, request.force)

        def restart() -> SpaceReport:
            return self._done("space_restarted", _report(space, hub, hub.restart(space)), caller)

        cost = f"${price:.2f} an hour while it runs" if price else "free"
        summary = f"Restart the Space {space} on {hardware}: {cost}."
        return _plan(summary, restart, price, {"space": space, "hardware": hardware})

    def _check_idle(self, space: str, stage: str | None, force: bool) -> None:
        """Raise ConflictError when a Space that runs has work, or does not say whether it has."""
        if force or stage not in _AT_WORK:
            return
        try:
            health = self._access.health(app_url(space))
        except ChefError as error:
            raise ConflictError(
                f"Whether the Space {space} has work is not known: {error.message}",
                remedy="Set MODELOPS_SPACE_TOKEN to its token, or set force.",
            ) from error
        busy: Sequence[str] = (*health.running, *health.waiting)
        if busy:
            raise ConflictError(
                f"The Space {space} has work: {', '.join(busy)}.",
                remedy="Wait, cancel it, or set force: what is not pushed or fetched is lost.",
            )

    def _with_health(self, report: SpaceReport) -> SpaceReport:
        """Add what the app says of itself."""
        try:
            health = self._access.health(report.url)
        except (ConfigurationError, UnavailableError) as error:
            return report.model_copy(update={"reasons": [str(error)]})
        free = health.disk_free_bytes
        return report.model_copy(
            update={
                "health": health.status,
                "reasons": list(health.reasons),
                "engine": dict(health.engine),
                "gpus": [str(gpu["name"]) for gpu in health.gpus],
                "disk_free_gb": None if free is None else round(free / _GB, 1),
                "running": list(health.running),
                "waiting": list(health.waiting),
            }
        )

    def _done(self, action: str, report: SpaceReport, caller: Caller) -> SpaceReport:
        """Write down what was done."""
        detail = {"hardware": report.hardware, "stage": report.stage, "door": caller.door}
        self._audit.append(self._clock(), caller.name, action, report.space or "", detail)
        return report

    def _hub(self) -> SpaceHub:
        hub = self._access.hub()
        if hub is None:
            raise _no_hub_token()
        return hub

    def _name(self, given: str | None, hub: SpaceHub) -> str:
        """Return owner/name. Raises InputError."""
        space = given or f"{self._access.owner or hub.user}/{_NAME}"
        own = self._access.url
        if given is None and own and _is_on_the_hub(own) and app_url(space) != own.rstrip("/"):
            raise InputError(
                f"Which Space? MODELOPS_SPACE_URL={own!r} is not that of {space}.",
                remedy="Name it (space), as owner/name.",
            )
        if space.count("/") != 1:
            raise InputError(f"Not a Space's name: {space!r}.", remedy="Use owner/name.")
        return space


def app_url(space: str) -> str:
    """Return the address that the Hub gives a Space's app."""
    return f"https://{re.sub(r'[^a-z0-9]+', '-', space.lower()).strip('-')}.hf.space"


def _is_on_the_hub(url: str) -> bool:
    return url.rstrip("/").endswith(".hf.space")


def _report(space: str, hub: SpaceHub, state: SpaceState) -> SpaceReport:
    seconds = state.sleep_seconds
    return SpaceReport(
        space=space,
        url=app_url(space),
        stage=state.stage,
        hardware=state.hardware,
        usd_per_hour=hub.prices.get(state.hardware or ""),
        sleep_minutes=None if seconds is None or seconds < 0 else seconds // 60,
    )


def _stage(hub: SpaceHub, space: str) -> str | None:
    """Return the stage of a Space, None for one that is not there yet."""
    try:
        return hub.state(space).stage
    except NotFoundError:
        return None


def _price(hub: SpaceHub, hardware: str) -> float:
    """Return a machine's price. Raises InputError when the Hub does not offer it."""
    if hardware not in hub.prices:
        raise InputError(
            f"The Hub offers no machine {hardware!r}.",
            remedy=f"It offers {', '.join(sorted(hub.prices))}.",
        )
    return hub.prices[hardware]


def _plan(
    summary: str, act: Callable[[], SpaceReport], price: float, resolved: dict[str, object]
) -> Plan:
    """Return a plan; nobody knows for how long it costs money, so that a person decides."""

    async def carry_out(_approval_id: str | None) -> SpaceReport:
        return await anyio.to_thread.run_sync(act)

    return Plan(
        summary=summary,
        act=carry_out,
        cost_usd=price,
        per_hour=price > 0,
        changes_serving=price > 0,
        resolved=resolved | {"usd_per_hour": price},
        details={**resolved, "usd_per_hour": price},
    )


def _no_hub_token() -> ConfigurationError:
    return ConfigurationError(
        f"{_HUB_TOKEN} is not set.", remedy=f"Put a token with write access into {_HUB_TOKEN}."
    )
