"""The steps of the ModelOps workflow: what is said decides, the coordinator acts."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

import anyio
from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig

from agent_orchestrator.agents._shared.callers import caller_of
from agent_orchestrator.agents._shared.telling import say, say_error, tell
from agent_orchestrator.agents.infrastructure.modelops.authorisation import (
    Caller,
    check_role,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.approvals import ApprovalView
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import (
    PlannedChange,
    Request,
    Result,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import (
    DatasetBuilt,
    DatasetList,
    ListDatasets,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    JobReport,
    MonitorTrainingJob,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.requests import (
    build_request,
    request_values,
)
from agent_orchestrator.agents.infrastructure.workflows.modelops import wording
from agent_orchestrator.domain import next_steps, replies
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.domain.intents import Intent
from agent_orchestrator.domain.jobs import TERMINAL
from agent_orchestrator.domain.use_cases import UseCase
from agent_orchestrator.errors import ApprovalRequired, ChefError
from agent_orchestrator.state import FollowedJob, ModelOpsState, PendingApproval, Proposal

NAME = "infrastructure"
POLL_SECONDS = 0.5
#: A turn does not last longer than this for a job's sake; the next one goes on following.
FOLLOW_SECONDS = 900.0


class UseCases(Protocol):
    """What the workflow needs of the coordinator."""

    async def run(self, use_case: UseCaseName, request: Request, caller: Caller, /) -> Result:
        """Run a use case; ApprovalRequired when a person must approve first."""

    async def resume(self, approval_id: str, caller: Caller, /) -> Result:
        """Carry out what was approved, once."""

    async def get_approval(self, approval_id: str, /) -> ApprovalView:
        """Return an approval as the store has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """The nodes. They return what changes in the state and raise nothing that a person can mend."""

    use_cases: UseCases
    langsmith: bool = False
    """Whether the agents' own traces can be had, to build data sets from."""
    consulted: Callable[[], bool] = lambda: False
    """Whether a language model is asked now what the parser does not know."""
    clock: Callable[[], float] = time.time
    poll_seconds: float = POLL_SECONDS
    follow_seconds: float = FOLLOW_SECONDS

    async def parse(self, state: ModelOpsState) -> ModelOpsState:
        """Read what the person said, in the light of what was asked or proposed."""
        reply = read(state)
        unclear = isinstance(reply, replies.Unclear) and not reply.agreed
        puzzled = unclear and self.consulted()
        fresh: ModelOpsState = {"wish": None, "asked": None, "done": None, "puzzled": puzzled}
        proposal, approval = state.get("proposal"), state.get("approval")
        if isinstance(reply, replies.Question):
            intent = reply.intent
            fresh["asked"] = {
                "about": intent.about,
                "slots": dict(intent.slots),
                "question": intent.clarify or "",
            }
        elif isinstance(reply, replies.Wish):
            values = request_values(Intent(cast("UseCase", reply.use_case), reply.slots))
            fresh["wish"] = {
                "use_case": reply.use_case,
                "values": dict(values),
                "accepted": reply.accepted,
                "by_model": False,
            }
            fresh["agent"] = values.get("agent", state.get("agent"))
        elif isinstance(reply, replies.Declined):
            fresh["proposal"] = fresh["postponed"] = None
            fresh["messages"] = [say(NAME, wording.declined(approval))]
        elif puzzled:
            pass  # the model answers
        elif approval is not None:
            if await self._is_pending(approval):
                fresh["messages"] = [say(NAME, wording.still_waits(approval["id"]))]
        elif proposal is not None:
            fresh["messages"] = [say(NAME, wording.not_understood(proposal["question"]))]
        elif not _is_followed(state):
            text = wording.nothing_open() if reply.agreed else wording.what_can_be_said()
            fresh["messages"] = [say(NAME, text)]
        return fresh

    async def clarify(self, state: ModelOpsState) -> ModelOpsState:
        """Ask back; the next message is read as the answer."""
        asked = state.get("asked")
        return {"messages": [say(NAME, asked["question"])] if asked else []}

    async def price(self, state: ModelOpsState, config: RunnableConfig) -> ModelOpsState:
        """Say what it would be and cost; keep the wish only where an approval asks that anyway."""
        wish = state.get("wish")
        if wish is None:
            return {}
        use_case, values = cast("UseCaseName", wish["use_case"]), wish["values"]
        try:
            if not values.get("dry_run"):  # nobody is asked whether they want what they may not do
                check_role(caller_of(config), "change")
            missing = await self._missing_dataset(use_case, values, config)
            if missing is not None:
                return {**self._proposed(missing), "postponed": dict(values)}
            planned = await self._preview(use_case, values, config)
            if planned.objection:
                return await self._instead(use_case, values, planned, config)
        except ChefError as error:
            return {"wish": None, "messages": [say_error(NAME, error)]}
        if planned.approval_needed:
            return {}
        wanted = next_steps.Proposal(use_case, _named(use_case, values, planned), "Shall I?")
        return self._proposed(wanted, planned)

    async def act(self, state: ModelOpsState, config: RunnableConfig) -> ModelOpsState:
        """Carry out what was wished or approved."""
        wish, approval = state.get("wish"), state.get("approval")
        caller = caller_of(config)
        try:
            if approval is not None and approval["status"] == "approved":
                given = await self.use_cases.get_approval(approval["id"])
                result = await self.use_cases.resume(approval["id"], caller)
                use_case = cast("UseCaseName", given.use_case)  # else that was refused
                values = dict(given.request)
                approval = None
            elif wish is not None:
                use_case, values = cast("UseCaseName", wish["use_case"]), wish["values"]
                result = await self.use_cases.run(use_case, build_request(use_case, values), caller)
            else:
                return {}
        except ApprovalRequired as needed:
            return {
                "wish": None,
                "proposal": None,
                "approval": {"id": needed.approval_id, "status": "pending"},
            }
        except ChefError as error:
            failed: ModelOpsState = {"wish": None, "messages": [say_error(NAME, error)]}
            return failed if wish else {**failed, "approval": None}
        shown = result.model_dump(mode="json")
        tell("result", {"use_case": use_case, "result": shown})
        return {
            "wish": None,
            "approval": approval,
            "proposal": None if USE_CASES[use_case].changes else state.get("proposal"),
            "done": {"use_case": use_case, "result": shown},
            "job": _started(state.get("job"), use_case, values, shown),
            "messages": [say(NAME, wording.said(result))],
        }

    async def follow(self, state: ModelOpsState, config: RunnableConfig) -> ModelOpsState:
        """Tell a job's progress until it ends, or nobody listens any more."""
        job = state.get("job")
        if job is None:
            return {}
        try:
            report = await self._followed(job["job_id"], config)
        except ChefError as error:
            return {"messages": [say_error(NAME, error)]}
        if report.status not in TERMINAL:
            return {"done": None, "messages": [say(NAME, wording.goes_on(report))]}
        shown = report.model_dump(mode="json")
        tell("result", {"use_case": "monitor_training_job", "result": shown})
        return {
            "job": {**job, "ended": True},
            "done": {"use_case": "monitor_training_job", "result": shown},
            "messages": [say(NAME, wording.said(report))],
        }

    async def propose(self, state: ModelOpsState, config: RunnableConfig) -> ModelOpsState:
        """Propose what comes next, at its price; or say again what is still open."""
        try:
            found = self._next(state)
            if found is None:
                return self._reminded(state)
            planned = None
            if found.use_case in next_steps.PRICED_FIRST:
                planned = await self._preview(found.use_case, found.values, config)
                if planned.objection:
                    return await self._instead(found.use_case, found.values, planned, config)
        except ChefError as error:
            return {"messages": [say_error(NAME, error)]}
        return self._proposed(found, planned)

    # --- what the steps are made of ----------------------------------------------------------

    async def _is_pending(self, approval: PendingApproval) -> bool:
        """Return whether words have to be told that they approve nothing."""
        try:
            return (await self.use_cases.get_approval(approval["id"])).status == "pending"
        except ChefError:
            return False  # ``approve``, which comes next, says what is wrong with it

    async def _preview(
        self, use_case: UseCaseName, values: Mapping[str, Any], config: RunnableConfig
    ) -> PlannedChange:
        request = build_request(use_case, {**values, "dry_run": True})
        planned = await self.use_cases.run(use_case, request, caller_of(config))
        if not isinstance(planned, PlannedChange):
            raise TypeError(f"A dry run of {use_case} returned {type(planned).__name__}.")
        return planned

    async def _missing_dataset(
        self, use_case: UseCaseName, values: Mapping[str, Any], config: RunnableConfig
    ) -> next_steps.Proposal | None:
        """Return the offer to build the data set that a training needs and does not have."""
        agent = values.get("agent")
        if use_case != "train_subagent_model" or values.get("dataset") or not agent:
            return None
        listed = await self.use_cases.run(
            "list_datasets", ListDatasets(agent=agent), caller_of(config)
        )
        if not isinstance(listed, DatasetList):
            raise TypeError(f"list_datasets returned {type(listed).__name__}.")
        if listed.datasets:
            return None
        return next_steps.without_dataset(agent, langsmith=self.langsmith)

    async def _instead(
        self,
        use_case: UseCaseName,
        values: Mapping[str, Any],
        planned: PlannedChange,
        config: RunnableConfig,
    ) -> ModelOpsState:
        """Say what stands against what was planned, and propose what may be done of it."""
        objected = say(NAME, wording.objected(planned))
        first = next_steps.instead(use_case, _named(use_case, values, planned))
        if first is None:
            return {"wish": None, "proposal": None, "messages": [objected]}
        found = await self._preview(first.use_case, first.values, config)
        told = found.model_copy(update={"afterwards": None})  # that was just said
        proposed = self._proposed(first, told)
        return {**proposed, "messages": [objected, *proposed.get("messages", [])]}

    def _proposed(
        self, proposal: next_steps.Proposal, planned: PlannedChange | None = None
    ) -> ModelOpsState:
        kept: Proposal = {
            "use_case": proposal.use_case,
            "values": dict(proposal.values),
            "question": proposal.question,
        }
        text = wording.proposed(proposal.question, planned)
        return {
            "wish": None,
            "proposal": kept,
            "postponed": None,
            "messages": [say(NAME, text)],
        }

    def _reminded(self, state: ModelOpsState) -> ModelOpsState:
        proposal = state.get("proposal")
        if proposal is None:
            return {}
        return {"messages": [say(NAME, wording.still_open(proposal["question"]))]}

    def _next(self, state: ModelOpsState) -> next_steps.Proposal | None:
        done, job = state.get("done"), state.get("job")
        if done is None:
            return None
        if done["use_case"] == "build_dataset":
            built = DatasetBuilt.model_validate(done["result"])
            wished = state.get("postponed") or {}
            its = wished if wished.get("agent") == built.agent else {}
            return next_steps.with_dataset(built.agent, built.dataset, its)
        if done["use_case"] != "monitor_training_job":
            return None
        report = JobReport.model_validate(done["result"])
        if report.status not in TERMINAL:
            return None
        own = job is not None and job["job_id"] == report.job_id
        return next_steps.after_job(_ended(report, job["values"] if own and job else {}))

    async def _followed(self, job_id: str, config: RunnableConfig) -> JobReport:
        """Return the last report that was told."""
        following: Callable[[], bool] = config.get("configurable", {}).get(
            "following", lambda: True
        )
        until = self.clock() + self.follow_seconds
        told: dict[str, Any] = {}
        while True:
            report = await self.use_cases.run(
                "monitor_training_job", MonitorTrainingJob(job_id=job_id), caller_of(config)
            )
            if not isinstance(report, JobReport):
                raise TypeError(f"monitor_training_job returned {type(report).__name__}.")
            news = wording.progress(report)
            if news != told:
                tell("progress", news)
                told = news
            if report.status in TERMINAL or not following() or self.clock() >= until:
                return report
            await anyio.sleep(self.poll_seconds)


def read(state: ModelOpsState) -> replies.Reply:
    """Return what the last message of the person says, in the light of the state."""
    said = next((m for m in reversed(state["messages"]) if isinstance(m, HumanMessage)), None)
    job = state.get("job")
    return replies.read_reply(
        said.text if said else "",
        replies.Topic(state.get("agent"), job["job_id"] if job else None),
        *_open(state),
    )


def short_answers(state: ModelOpsState) -> tuple[Literal["yes", "no"], ...]:
    """Return the words that would answer what is open in the state."""
    return replies.short_answers(*_open(state))


def _open(state: ModelOpsState) -> tuple[next_steps.Proposal | None, Intent | None]:
    """Return what was proposed and what was asked, each as far as it waits for an answer."""
    proposal, asked = state.get("proposal"), state.get("asked")
    return (
        next_steps.Proposal(
            cast("UseCaseName", proposal["use_case"]), proposal["values"], proposal["question"]
        )
        if proposal
        else None,
        Intent(None, asked["slots"], asked["question"], cast("UseCase | None", asked["about"]))
        if asked
        else None,
    )


def _is_followed(state: ModelOpsState) -> bool:
    job = state.get("job")
    return job is not None and not job["ended"]


def _named(
    use_case: UseCaseName, values: Mapping[str, Any], planned: PlannedChange
) -> Mapping[str, Any]:
    """Return the values with the data set that was found: a yes means that one."""
    takes = "dataset" in USE_CASES[use_case].request.model_fields
    found = planned.details.get("dataset")
    return {**values, "dataset": found} if takes and found else values


def _started(
    before: FollowedJob | None, use_case: UseCaseName, values: Mapping[str, Any], result: Any
) -> FollowedJob | None:
    """Return the job that a result names, else the one that was followed before."""
    job_id = result.get("job_id")
    if not job_id or use_case in {"monitor_training_job", "cancel_training_job"}:
        return before
    if use_case == "resume_training_job":
        known = before["values"] if before and before["job_id"] == job_id else {}
        agent = (before["agent"] if before else None) or values.get("agent") or ""
        return {"job_id": job_id, "agent": agent, "values": known, "ended": False}
    kept = {name: value for name, value in values.items() if value not in (None, [], {})}
    named = {name: result[name] for name in ("dataset", "base_model") if result.get(name)}
    mode = {"mode": values.get("mode") or "demo"} if use_case == "train_subagent_model" else {}
    return {
        "job_id": job_id,
        "agent": values.get("agent") or result.get("agent") or "",
        "values": {**kept, **named, **mode},
        "ended": False,
    }


def _ended(report: JobReport, values: Mapping[str, Any]) -> next_steps.EndedJob:
    evaluation = report.evaluation
    return next_steps.EndedJob(
        job_id=report.job_id,
        kind=cast("Any", report.kind),
        agent=report.agent,
        status=report.status,
        values=values,
        version=report.version,
        failure=cast("Any", report.error.kind) if report.error else None,
        candidate=evaluation.candidate if evaluation else None,
        recommendation=evaluation.recommendation if evaluation else None,
    )
