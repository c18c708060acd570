"""What can be read by address: the registry, rollouts, jobs, reports, approvals that wait.

::

    registry://feature_dev                  everything that is known about the agent's versions
    rollouts://feature_dev                  its rollout, with the evidence
    jobs://job_2026-11-20_1a2b3c4d          where a job stands
    report://job/<job_id>/markdown          what an evaluation found; json, markdown or html
    report://dataset/<dataset>/html         what is in a data set; json or html
    approvals://pending                     what waits for a person
    approvals://ap_1a2b3c4d5e6f             one approval, with the whole request

An address holds ids, never paths: a report's file is the one that its job or data set names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import anyio.to_thread
from mcp import types
from pydantic import AnyUrl, TypeAdapter

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller, check_role
from agent_orchestrator.agents.infrastructure.modelops.usecases.approvals import ApprovalView
from agent_orchestrator.agents.infrastructure.modelops.usecases.base import Result
from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import (
    DatasetReport,
    ShowDataset,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.jobs import (
    JobReport,
    MonitorTrainingJob,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import RolloutStatusRequest
from agent_orchestrator.domain.registry import AgentRecord
from agent_orchestrator.errors import NotFoundError
from agent_orchestrator.wiring.embedded import Embedded

_JSON: Final = "application/json"
_FORMS: Final[Mapping[str, str]] = {
    "json": _JSON,
    "markdown": "text/markdown",
    "html": "text/html",
}
_TEMPLATES: Final[Sequence[tuple[str, str, str]]] = (
    ("registry://{agent}", "Registry", "Everything that is known about an agent's versions."),
    ("rollouts://{agent}", "Rollout", "An agent's rollout, with the evidence."),
    ("jobs://{job_id}", "Job", "Where a job stands, and what it found."),
    ("approvals://{approval_id}", "Approval", "One approval, with the whole request."),
    ("report://job/{job_id}/{form}", "Evaluation report", "As json, markdown or html."),
    ("report://dataset/{dataset}/{form}", "Data set report", "As json or html."),
)
_NEWEST_JOBS: Final = 20
_RECORD: Final = TypeAdapter(AgentRecord)
_APPROVALS: Final = TypeAdapter(list[ApprovalView])


class Resources:
    """Reads through the coordinator, where there is a use case for it."""

    def __init__(self, embedded: Embedded) -> None:
        self._embedded = embedded
        self._coordinator = embedded.coordinator

    async def listed(self, caller: Caller) -> list[types.Resource]:
        """Return what there is: each agent's, the newest jobs, what waits."""
        check_role(caller, "read")
        overview = await anyio.to_thread.run_sync(self._embedded.overview.read)
        jobs = await anyio.to_thread.run_sync(
            lambda: self._embedded.jobs.newest(limit=_NEWEST_JOBS)
        )
        return [
            _resource("approvals://pending", "Approvals that wait for an answer"),
            *(
                _resource(f"{kind}://{serving.agent}", f"{title} of {serving.agent}")
                for serving in overview.agents
                for kind, title in (("registry", "Registry"), ("rollouts", "Rollout"))
            ),
            *(_resource(f"jobs://{job.id}", f"{job.kind} for {job.agent}") for job in jobs),
        ]

    @staticmethod
    def templates() -> list[types.ResourceTemplate]:
        """Return the forms of the addresses."""
        return [
            types.ResourceTemplate(uriTemplate=uri, name=name, description=description)
            for uri, name, description in _TEMPLATES
        ]

    async def read(self, uri: AnyUrl, caller: Caller) -> types.TextResourceContents:
        """Return what stands at an address. Raises NotFoundError, and what the use case raises."""
        check_role(caller, "read")
        address = urlsplit(str(uri))
        parts = [unquote(part) for part in (address.netloc, *address.path.split("/")) if part]
        match address.scheme, parts:
            case "registry", [agent]:
                record = await anyio.to_thread.run_sync(self._record, agent)
                return _json(uri, _RECORD.dump_json(record, indent=2).decode())
            case "rollouts", [agent]:
                rollout = RolloutStatusRequest(agent=agent)
                return _result(uri, await self._coordinator.run("rollout_status", rollout, caller))
            case "jobs", [job_id]:
                return _result(uri, await self._job(job_id, caller))
            case "report", [("job" | "dataset") as kind, name, form]:
                files = await self._reports(kind, name, caller)
                return await anyio.to_thread.run_sync(_report, uri, files, form)
            case "approvals", ["pending"]:
                pending = await self._coordinator.pending_approvals()
                return _json(uri, _APPROVALS.dump_json(pending, indent=2).decode())
            case "approvals", [approval_id]:
                return _result(uri, await self._coordinator.get_approval(approval_id))
        raise NotFoundError(
            f"There is nothing at {str(uri)!r}.", remedy="See the list, or the templates."
        )

    def _record(self, agent: str) -> AgentRecord:
        return self._embedded.registry.agent(agent)

    async def _job(self, job_id: str, caller: Caller) -> JobReport:
        request = MonitorTrainingJob(job_id=job_id)
        report = await self._coordinator.run("monitor_training_job", request, caller)
        if not isinstance(report, JobReport):
            raise TypeError(f"monitor_training_job returned {type(report).__name__}.")
        return report

    async def _reports(self, kind: str, name: str, caller: Caller) -> Mapping[str, str]:
        if kind == "job":
            found = (await self._job(name, caller)).evaluation
            return found.reports if found else {}
        shown = await self._coordinator.run("show_dataset", ShowDataset(name=name), caller)
        if not isinstance(shown, DatasetReport):
            raise TypeError(f"show_dataset returned {type(shown).__name__}.")
        return shown.reports


def _resource(uri: str, title: str) -> types.Resource:
    return types.Resource(uri=AnyUrl(uri), name=uri, title=title, mimeType=_JSON)


def _result(uri: AnyUrl, result: Result) -> types.TextResourceContents:
    return _json(uri, result.model_dump_json(indent=2))


def _json(uri: AnyUrl, text: str) -> types.TextResourceContents:
    return types.TextResourceContents(uri=uri, mimeType=_JSON, text=text)


def _report(uri: AnyUrl, files: Mapping[str, str], form: str) -> types.TextResourceContents:
    try:
        text = Path(files[form]).read_text(encoding="utf-8")
        return types.TextResourceContents(uri=uri, mimeType=_FORMS[form], text=text)
    except (KeyError, FileNotFoundError):
        raise NotFoundError(
            f"There is no report {str(uri)!r}.",
            remedy=f"There is: {', '.join(files)}." if files else "It has none, or not yet.",
        ) from None
