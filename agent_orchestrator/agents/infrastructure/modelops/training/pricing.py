"""What a training will cost, from its sizes and from what past runs took; whether it may run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.datasets.profile import CHARACTERS_PER_TOKEN
from agent_orchestrator.agents.infrastructure.modelops.jobs.costs import past_runs
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import TrainSubagentModel
from agent_orchestrator.domain import budget, cost
from agent_orchestrator.domain.base_facts import BaseFacts
from agent_orchestrator.domain.budget import Spending
from agent_orchestrator.domain.calibration import base_family, calibrate, is_proven, similar
from agent_orchestrator.errors import InputError
from agent_orchestrator.stores.defaults import Hyperparameters, TrainingDefaults

#: Until the worker has started and read the model: the import of the engine dominates.
_STARTUP_MINUTES = 0.3
_ON_THIS_MACHINE = frozenset({"local", "fake"})


class Pricing:
    """Prices trainings and holds them to the limits."""

    def __init__(self, defaults: TrainingDefaults, jobs: Jobs) -> None:
        self._defaults = defaults
        self._jobs = jobs

    def estimate(
        self,
        request: TrainSubagentModel,
        base: BaseFacts,
        hyperparameters: Hyperparameters,
        rows: Sequence[Mapping[str, Any]],
        backend: str,
    ) -> cost.Estimate:
        """Return time and price, calibrated by the completed runs of this kind.

        Raises InputError for a model that no machine holds.
        """
        here = backend in _ON_THIS_MACHINE
        hardware = None if here else cost.choose_hardware(base.parameters, self._defaults.hardware)
        alike = similar(
            past_runs(self._jobs.trainings()),
            backend=backend,
            method=request.method,
            hardware=cost.hardware_name(hardware),
        )
        return cost.estimate(
            parameters=base.parameters,
            tokens_per_epoch=max(1, round(sum(map(_characters, rows)) / CHARACTERS_PER_TOKEN)),
            epochs=_epochs(hyperparameters, len(rows)),
            method=request.method,
            lora=hyperparameters.lora is not None,
            hardware=hardware,
            this_machine_flops=self._defaults.this_machine.effective_flops,
            startup_minutes=_STARTUP_MINUTES,
            calibration=calibrate(alike),
        )

    def check(self, estimate: cost.Estimate) -> Spending | None:
        """Return what is left of the month's budget before the job, None where there is none.

        Raises InputError for a job above a limit.
        """
        limits = self._defaults.limits
        cost.check_limits(estimate, max_cost_usd=limits.max_cost_usd, max_hours=limits.max_hours)
        if self._jobs.budget is None:
            return None
        wanted = budget.Charge(
            at=self._jobs.now(),
            usd=estimate.cost_usd,
            hours=estimate.minutes / 60.0 if estimate.usd_per_hour else 0.0,
        )
        room = self._jobs.budget.left()
        monthly = self._jobs.budget.limits
        taken = Spending(usd=monthly.max_usd - room.usd, hours=monthly.max_hours - room.hours)
        budget.check_month(wanted, taken, monthly)
        return room

    def most_seconds(self, estimate: cost.Estimate) -> float:
        """Return how long the job may run: to the limit of hours, or of what its machine costs."""
        limits = self._defaults.limits
        hours = limits.max_hours
        if estimate.usd_per_hour:
            hours = min(hours, limits.max_cost_usd / estimate.usd_per_hour)
        return hours * 3600.0

    def without_demo(
        self, request: TrainSubagentModel, backend: str, root_model: str
    ) -> InputError | None:
        """Return what stands against a production run of a kind of which none was ever completed.

        None where nothing does: one was, the request says why not, or it is no production run.
        """
        if request.mode != "production" or request.override_reason:
            return None
        runs = past_runs(self._jobs.trainings())
        if is_proven(runs, backend=backend, method=request.method, base_model=root_model):
            return None
        return InputError(
            f"No run by {request.method} of a {base_family(root_model)} model on {backend} has "
            "ever been completed, and a production run should not be the first.",
            remedy=(
                f"Make a demo run first (`chef train {request.agent} --mode demo`), or say why "
                "not (override_reason)."
            ),
            field="override_reason",
        )


def _characters(row: Mapping[str, Any]) -> int:
    """Return the length of a row's texts, conversations included."""
    texts = (v if isinstance(v, str) else "".join(m["content"] for m in v) for v in row.values())
    return sum(map(len, texts))


def _epochs(chosen: Hyperparameters, examples: int) -> float:
    """Return how often the examples are read; a number of steps beats one of epochs."""
    if chosen.max_steps is None:
        return chosen.num_epochs
    return chosen.max_steps * chosen.batch_size * chosen.gradient_accumulation / examples
