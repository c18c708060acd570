"""How a search stands: its plan, its trials as the store has them, what that means for people."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pydantic import TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.jobs.costs import usd
from agent_orchestrator.agents.infrastructure.modelops.usecases.search import TrialReport
from agent_orchestrator.domain import search
from agent_orchestrator.domain.jobs import TERMINAL, Failure, Job
from agent_orchestrator.domain.search import Place, SearchPlan, Trial
from agent_orchestrator.errors import NotFoundError
from agent_orchestrator.stores.jobs import JobStore

PLAN: TypeAdapter[SearchPlan] = TypeAdapter(SearchPlan)
"""A search's plan as its job keeps it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A search and its trials, as the store has them."""

    job: Job
    plan: SearchPlan
    jobs: Mapping[Place, Job]

    @property
    def trials(self) -> dict[Place, Trial]:
        """How the trials stand."""
        return {p: Trial(j.status in TERMINAL, self.value(j)) for p, j in self.jobs.items()}

    @property
    def running(self) -> list[Job]:
        """The trials that have not ended."""
        return [job for job in self.jobs.values() if job.status not in TERMINAL]

    @property
    def stopped(self) -> str:
        """Why no further trial is started; empty when they are."""
        return str(self.job.ref.get("stopped", ""))

    @property
    def metric(self) -> str:
        """What is compared."""
        return str(self.job.request["metric"])

    def value(self, trial: Job) -> float | None:
        """Return what a trial reached."""
        if trial.status != "completed" or trial.result is None:
            return None
        value = trial.result["manifest"].get("metrics", {}).get(self.metric)
        return None if value is None else float(value)

    def best(self) -> Place | None:
        """Return the best trial so far."""
        return search.best(self.plan, self.trials)

    def reports(self, removed: Collection[str] = ()) -> list[TrialReport]:
        """Return how each trial stands; the models of those ``removed`` are gone."""
        return [
            TrialReport(
                job_id=job.id,
                rung=rung + 1,
                setting=dict(self.plan.settings[number]),
                status=job.status,
                value=self.value(job),
                cost_usd=usd(job),
                model=job.request["hub_repo"]
                if job.status == "completed" and job.id not in removed
                else None,
            )
            for (rung, number), job in self.jobs.items()
        ]

    def message(self) -> str:
        """Return one line about it all."""
        ended = len(self.jobs) - len(self.running)
        line = f"{ended} of {self.plan.places} trials have ended"
        best = self.best()
        if best is not None:
            setting = dict(self.plan.settings[best[1]])
            line = f"{line}; best {self.metric} {self.value(self.jobs[best]):.4f} with {setting}"
        return f"{line}. Stopped: {self.stopped}" if self.stopped else line

    def failure(self) -> Failure:
        """Return why a search in which no trial was completed has failed."""
        failures = [job.failure for job in self.jobs.values() if job.failure is not None]
        if failures:
            last = failures[-1]
            text = f"No trial was completed. The last: {last.message}"
            return Failure(last.kind, text, last.remedy)
        what = self.stopped or f"No trial reached a {self.metric}."
        return Failure("unknown", what, "Look at its trials in the list of jobs (`chef jobs`).")


def read_standing(store: JobStore, search_id: str) -> Standing:
    """Return how a search stands. Raises NotFoundError."""
    job = store.get(search_id)
    if job.kind != "search":
        raise NotFoundError(
            f"Job {job.id} is no search.", remedy="See the list of jobs (`chef jobs`)."
        )
    plan = PLAN.validate_python(job.request["plan"])
    places = {
        trial_id(job.id, (rung, number)): (rung, number)
        for rung in range(plan.rungs)
        for number in range(len(plan.settings))
    }
    found = {places[trial.id]: trial for trial in store.of(list(places))}
    return Standing(job=job, plan=plan, jobs=dict(sorted(found.items())))


def trial_id(search_id: str, place: Place) -> str:
    """Return the id of a search's trial."""
    return f"{search_id}-r{place[0] + 1}t{place[1] + 1}"
