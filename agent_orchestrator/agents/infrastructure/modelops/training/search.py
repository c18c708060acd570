"""A search for hyperparameters: a job whose trials are jobs.

What is due follows from the search's plan and from how its trials stand (``domain.search``), and
whoever asks how a search stands starts it: a process that is started with the search and does
nothing else, a person, the timer. A trial's id follows from its place, so that two who look at once
start it once, and nothing is lost with any process of ours.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.backends import Ref
from agent_orchestrator.agents.infrastructure.modelops.jobs.costs import usd
from agent_orchestrator.agents.infrastructure.modelops.jobs.desk import Jobs
from agent_orchestrator.agents.infrastructure.modelops.plans import Plan, in_thread
from agent_orchestrator.agents.infrastructure.modelops.training.preparation import (
    Preparation,
    Prepared,
    divided,
)
from agent_orchestrator.agents.infrastructure.modelops.training.search_standing import (
    PLAN,
    Standing,
    read_standing,
    trial_id,
)
from agent_orchestrator.agents.infrastructure.modelops.training.training import Training, TrialOf
from agent_orchestrator.agents.infrastructure.modelops.usecases.search import (
    SearchHyperparameters,
    SearchStarted,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import TrainSubagentModel
from agent_orchestrator.domain import search
from agent_orchestrator.domain.jobs import Job, Progress
from agent_orchestrator.domain.models import TrainingMethod
from agent_orchestrator.domain.search import Place, SearchPlan
from agent_orchestrator.errors import (
    ChefError,
    ConflictError,
    InputError,
    NotAvailable,
    UnavailableError,
)
from agent_orchestrator.stores.defaults import Hyperparameters
from agent_orchestrator.stores.jobs import JobStore

BACKEND = "search"
#: What the worker measures on the rows that were kept back.
_METRICS: Mapping[TrainingMethod, str] = {
    "sft": "validation_loss",
    "dpo": "validation_loss",
    "grpo": "validation_reward",
}


class Searches:
    """Plans searches, and is where their jobs are followed (the desk's backend ``search``)."""

    def __init__(
        self,
        *,
        jobs: Jobs,
        store: JobStore,
        preparation: Preparation,
        training: Training,
        follow: Callable[[str], Ref],
        discard: Callable[[Job], bool],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``follow`` starts what looks at a search until it has ended, and returns how to find it.

        ``discard`` removes the model of a trial and returns whether it is gone.
        """
        self._jobs = jobs
        self._store = store
        self._preparation = preparation
        self._training = training
        self._follow = follow
        self._discard = discard
        self._clock = clock

    def plan(self, request: SearchHyperparameters, caller: Caller) -> Plan:
        """Draw the settings, check and price each.

        Raises as ``Preparation.prepare``; InputError for a space that is none, or a setting that is
        not allowed; DatasetError when there are too few examples to compare by.
        """
        settings = search.draw(search.read_space(request.space), request.trials, request.seed)
        goal: search.Goal = "highest" if request.method == "grpo" else "lowest"
        plan = SearchPlan(settings=tuple(settings), rungs=request.rungs, goal=goal)
        first = self._preparation.prepare(_training(request))
        divided(first, compared=True)  # raises when no example can be spared
        trials = [
            self._preparation.varied(first, _trial(first, request, plan, (rung, number)))
            for rung in range(plan.rungs)
            for number in range(plan.size(rung))  # who goes on is not known: these stand for them
        ]
        minutes = sum(trial.estimate.minutes for trial in trials)
        estimated = sum(trial.estimate.cost_usd for trial in trials)
        most = estimated if request.max_cost_usd is None else request.max_cost_usd
        pinned = request.model_copy(
            update={
                "dataset": first.dataset.id,
                "base_model": first.base_model,
                "max_cost_usd": most,
            }
        )

        def start(approval_id: str | None) -> SearchStarted:
            return self._start(pinned, plan, caller, approval_id, minutes=minutes)

        return Plan(
            summary=(
                f"Search {', '.join(request.space)} for {request.agent}: {plan.places} trainings "
                f"of {first.base_model} by {request.method} ({first.estimate.hardware}), about "
                f"{minutes:.1f} min and ${estimated:.2f} in all, at most ${most:.2f}."
            ),
            act=in_thread(start),
            cost_usd=most,
            minutes=round(minutes, 2),
            resolved={
                "dataset_hash": first.dataset.hash,
                "base_model": first.base_model,
                "backend": first.backend,
                "settings": settings,
            },
            details={
                "dataset": first.dataset.id,
                "metric": _METRICS[request.method],
                "settings": settings,
                "trainings": plan.places,
                "estimated_minutes": round(minutes, 2),
                "estimated_cost_usd": round(estimated, 2),
            },
            objection=first.objection,
        )

    def _start(
        self,
        request: SearchHyperparameters,
        plan: SearchPlan,
        caller: Caller,
        approval_id: str | None,
        *,
        minutes: float,
    ) -> SearchStarted:
        job_id, now = self._jobs.new_id(), self._clock()
        most = request.max_cost_usd or 0.0
        job = Job(
            id=job_id,
            kind="search",
            agent=request.agent,
            status="pending",
            backend=BACKEND,
            request={
                "request": request.model_dump(mode="json"),
                "plan": PLAN.dump_python(plan, mode="json"),
                "metric": _METRICS[request.method],
            },
            requester=caller.name,
            created_at=now,
            updated_at=now,
            estimated_cost_usd=most,
            estimated_minutes=minutes,
            approval_id=approval_id,
        )
        self._jobs.start(job, lambda: {"job_id": job_id, **self._follow(job_id)})
        with suppress(UnavailableError):  # else the next look starts the first trial
            self._jobs.refresh(job_id)
        return SearchStarted(
            job_id=job_id,
            dataset=str(request.dataset),
            base_model=str(request.base_model),
            metric=_METRICS[request.method],
            trials=len(plan.settings),
            trainings=plan.places,
            max_cost_usd=most,
            estimated_minutes=minutes,
            status_url=f"job:{job_id}",
            approval=approval_id or "none needed",
        )

    # -- the desk's backend -----------------------------------------------------------------------

    def advance(self, ref: Ref) -> None:
        """See ``Advances``."""
        for trial in self._standing(ref).running:
            self._jobs.refresh(trial.id)
        standing = self._standing(ref)
        if standing.job.ref.get("cancelled"):
            for trial in standing.running:
                self._jobs.cancel(trial)
        elif not standing.stopped:
            request = SearchHyperparameters.model_validate(standing.job.request["request"])
            room = request.parallel - len(standing.running)
            for place in search.due(standing.plan, standing.trials)[: max(0, room)]:
                self._start_trial(standing, request, place)

    def _start_trial(
        self, standing: Standing, request: SearchHyperparameters, place: Place
    ) -> None:
        job = standing.job
        own_id = trial_id(job.id, place)
        try:
            first = self._preparation.prepare(_training(request))
            wanted = _trial(first, request, standing.plan, place)
            prepared = self._preparation.varied(first, wanted)
            self._check_budget(
                self._standing({"job_id": job.id}), prepared, request.max_cost_usd or 0.0
            )
            self._training.start(
                wanted,
                prepared,
                Caller(job.requester, BACKEND),
                job.approval_id,
                trial=TrialOf(own_id, job.id),
            )
        except ConflictError:
            return  # somebody else has just started it
        except ChefError as error:
            if self._store.of([own_id]):
                return  # it is on record, as failed
            if isinstance(error, UnavailableError | NotAvailable):
                raise  # the next look tries again, perhaps from where the backend is known
            self._change(job.id, stopped=error.message)

    def _check_budget(self, standing: Standing, wanted: Prepared, most_usd: float) -> None:
        spent = sum(usd(trial) for trial in standing.jobs.values())
        if spent + wanted.estimate.cost_usd > most_usd + 1e-9:
            raise InputError(
                f"${spent:.2f} of the search's ${most_usd:.2f} are spent or reserved, and the next "
                f"trial is estimated at ${wanted.estimate.cost_usd:.2f}.",
                remedy="Search again with a higher max_cost_usd.",
            )

    def poll(self, ref: Ref) -> Progress:
        """See ``FollowsJobs``."""
        standing = self._standing(ref)
        ended = len(standing.jobs) - len(standing.running)
        best = standing.best()
        value = standing.value(standing.jobs[best]) if best else None
        progress = Progress(
            status="running",
            message=standing.message(),
            current_step=ended or None,
            total_steps=standing.plan.places,
            current_loss=value if standing.plan.goal == "lowest" else None,
        )
        if standing.running:
            return progress
        if standing.job.ref.get("cancelled"):
            return replace(progress, status="cancelled")
        if not standing.stopped and not search.is_over(standing.plan, standing.trials):
            return progress
        if best is None:
            return replace(progress, status="failed", failure=standing.failure())
        result = {"best": standing.jobs[best].id, "stopped": standing.stopped or None}
        return replace(progress, status="completed", result=result)

    def cancel(self, ref: Ref) -> None:
        """See ``FollowsJobs``: no further trial starts, and those that run are asked to stop."""
        self._change(ref["job_id"], cancelled=True)
        self.advance(ref)

    def logs(self, ref: Ref, tail: int) -> list[str]:
        """See ``FollowsJobs``: a line for each trial."""
        trials = self._standing(ref).reports()
        lines = [f"{t.job_id} {t.status} {t.value} {t.setting}" for t in trials]
        return lines[-tail:] if tail > 0 else []

    def settle(self, job: Job, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
        """Register the best trial's model, with the others as evidence, of whom no model stays.

        Repeatable. Raises as ``Training.register``.
        """
        standing = self._standing({"job_id": job.id})
        trial = self._store.get(manifest["best"])
        if trial.result is None:
            raise ConflictError(f"Trial {trial.id} has no result.", remedy="Search again.")
        found = self._training.register(trial, trial.result["manifest"])
        request = SearchHyperparameters.model_validate(job.request["request"])
        losers = [loser for loser in standing.jobs.values() if loser.id != trial.id]
        removed = {j.id for j in losers if request.keep == "best" and self._discard(j)}
        trials = [report.model_dump(mode="json") for report in standing.reports(removed)]
        return {**found, **manifest, "trials": trials}

    # -- where it stands --------------------------------------------------------------------------

    def _standing(self, ref: Ref) -> Standing:
        return read_standing(self._store, ref["job_id"])

    def _change(self, job_id: str, **changes: Any) -> Job:
        ref = {"job_id": job_id, **self._store.get(job_id).ref, **changes}
        return self._store.update(job_id, at=self._clock(), ref=ref)


def settle_trial(job: Job, manifest: Mapping[str, Any]) -> Mapping[str, Any]:
    """Keep what a trial reached; only the best trial of a search becomes a version."""
    return {"search": job.request["search"], "manifest": dict(manifest)}


def _training(request: SearchHyperparameters) -> TrainSubagentModel:
    """Return the training that all trials vary; its engine measures the rows that are kept back."""
    own = set(TrainSubagentModel.model_fields)
    shared = {name: value for name, value in request.model_dump().items() if name in own}
    return TrainSubagentModel(**shared, engine="trl")


def _trial(
    first: Prepared, request: SearchHyperparameters, plan: SearchPlan, place: Place
) -> TrainSubagentModel:
    """Return the training of one trial: its setting, and its rung's part of the work."""
    rung, number = place
    chosen = first.hyperparameters.replaced(plan.settings[number], "space")
    overrides = {**request.overrides, **plan.settings[number], **_work(chosen, plan.share(rung))}
    return _training(request).model_copy(update={"overrides": overrides})


def _work(chosen: Hyperparameters, share: float) -> dict[str, Any]:
    if chosen.max_steps is not None:
        return {"max_steps": max(1, round(chosen.max_steps * share))}
    return {"num_epochs": chosen.num_epochs * share}
