"""What a month's jobs may cost: spent, reserved, left. Months are those of UTC."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from agent_orchestrator.errors import InputError

_REMEDY = (
    "Wait for the next month, cancel a job that runs, or raise limits.{key} in "
    "config/modelops/training_defaults.yaml."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class MonthlyLimits:
    """What the jobs of a calendar month may take together."""

    max_usd: float
    max_hours: float
    """Of rented machines; this machine's own hours are free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What one job takes from a month: what it did once that is known, its estimate until then."""

    at: float
    """When it was started, seconds since the epoch: the month that it counts in."""
    usd: float
    hours: float
    """Of a rented machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What has been spent, or is reserved by jobs that run."""

    usd: float = 0.0
    hours: float = 0.0


def month_of(at: float) -> str:
    """Return the month of a time in seconds since the epoch, ``2026-11``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m")


def month_start(at: float) -> float:
    """Return when the month of ``at`` began, seconds since the epoch."""
    now = datetime.fromtimestamp(at, UTC)
    return datetime(now.year, now.month, 1, tzinfo=UTC).timestamp()


def spent(charges: Iterable[Charge], month: str) -> Spending:
    """Return what a month's jobs take together."""
    own = [charge for charge in charges if month_of(charge.at) == month]
    return Spending(usd=sum(c.usd for c in own), hours=sum(c.hours for c in own))


def left(limits: MonthlyLimits, spending: Spending) -> Spending:
    """Return what is left of a month; never below 0."""
    return Spending(
        usd=max(0.0, limits.max_usd - spending.usd),
        hours=max(0.0, limits.max_hours - spending.hours),
    )


def check_month(charge: Charge, spending: Spending, limits: MonthlyLimits) -> None:
    """Raise InputError when a job would take more than is left of its month.

    A job that costs nothing and rents nothing is always free to run.
    """
    room, month = left(limits, spending), month_of(charge.at)
    if charge.usd > room.usd:
        raise InputError(
            f"The job is estimated at ${charge.usd:.2f}; ${room.usd:.2f} of ${limits.max_usd:.2f} "
            f"are left in {month}.",
            remedy=_REMEDY.format(key="max_usd_per_month"),
        )
    if charge.hours > room.hours:
        raise InputError(
            f"The job is estimated at {charge.hours:.1f} hours of a rented machine; "
            f"{room.hours:.1f} of {limits.max_hours:g} are left in {month}.",
            remedy=_REMEDY.format(key="max_hours_per_month"),
        )
