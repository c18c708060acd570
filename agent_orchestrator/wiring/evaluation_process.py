"""The process of one evaluation job.

``python -m agent_orchestrator.wiring.evaluation_process JOB_DIR``. It speaks the job folder's
protocol like the training worker: ``spec.json`` in, ``progress.jsonl`` on the way,
``manifest.json`` last.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.evaluation.answer_cache import CachedCaller
from agent_orchestrator.agents.infrastructure.modelops.evaluation.comparison import (
    EvalRunner,
    Subject,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.jobs import (
    SPEC,
    EvaluationSpec,
    registry_scores,
    summarise,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.report import write_report
from agent_orchestrator.agents.infrastructure.modelops.evaluation.upload import (
    LangSmithAccount,
    upload_evaluation,
)
from agent_orchestrator.domain.evaluation import EvalReport
from agent_orchestrator.domain.expenses import TokenPrice
from agent_orchestrator.settings import Settings, load_settings
from agent_orchestrator.stores.defaults import load_evaluation_defaults
from agent_orchestrator.wiring.experiment_upload import try_upload
from agent_orchestrator.wiring.experiments import answer_cache
from agent_orchestrator.wiring.job_process import JobLog, run
from agent_orchestrator.wiring.model_access import Metered, direct_access, traced_calls
from agent_orchestrator.wiring.model_answers import keeping_judge, model_caller
from agent_orchestrator.wiring.tracing import compose_tracer


async def evaluate(
    settings: Settings, spec: EvaluationSpec, job_id: str, log: JobLog
) -> EvalReport:
    """Call both models and compare them. Raises as ``EvalRunner.run``."""
    tracer = compose_tracer(settings) if spec.upload else None  # what stays here, stays here whole
    versions = {ref.model: ref.version for ref in (spec.candidate, spec.baseline) if ref}
    places = (spec.candidate_endpoint, spec.baseline_endpoint, spec.judge_endpoint)
    endpoints = [place for place in places if place]
    dataset = DatasetStore(settings.datasets_dir).get(spec.dataset)
    log.event("loading", "waiting for the models")
    async with direct_access(settings, endpoints) as complete:
        defaults = load_evaluation_defaults(settings.config_dir)
        metered = Metered(complete, _prices(spec))
        calls = traced_calls(metered, tracer, versions, agent=spec.agent, job_id=job_id)
        ask = CachedCaller(
            model_caller(calls),
            {place.model: place for place in endpoints},
            answer_cache(settings) if spec.use_cache else None,
            spec.fingerprints,
        )
        judge = keeping_judge(ask, spec.judge_endpoint.model) if spec.judge_endpoint else None
        runner = EvalRunner(ask, defaults, judge=judge)
        baseline = spec.baseline
        with log.adding_up(metered):
            return await runner.run(
                spec.agent,
                dataset,
                Subject(spec.candidate.model, spec.candidate.version, spec.candidate_price),
                Subject(baseline.model, baseline.version, spec.baseline_price)
                if baseline
                else None,
                metrics=spec.metrics,
                max_examples=spec.max_examples,
                repetitions=spec.repetitions,
                progress=log.counting("calling the models"),
            )


def _prices(spec: EvaluationSpec) -> dict[str, TokenPrice | None]:
    """Return what the tokens of all models cost that are asked."""
    sides = (
        (spec.candidate_endpoint, spec.candidate_price),
        (spec.baseline_endpoint, spec.baseline_price),
        (spec.judge_endpoint, spec.judge_price),
    )
    return {place.model: price for place, price in sides if place}


async def carry_out(folder: Path, log: JobLog) -> dict[str, Any]:
    """Do what ``spec.json`` says and return the manifest."""
    spec = SPEC.validate_json((folder / "spec.json").read_bytes())
    report = await evaluate(load_settings(), spec, folder.name, log)
    log.event("saving", "writing the report")
    paths = write_report(report, spec.report_dir)
    if spec.upload:  # only now that the result is safe
        report = await _uploaded(load_settings(), report, folder.name, log)
        paths = write_report(report, spec.report_dir)
    named = {name: str(path) for name, path in asdict(paths).items()}
    return {
        "protocol": 1,
        "status": "completed",
        "evaluation": summarise(report, named).model_dump(mode="json"),
        "scores": registry_scores(report, str(paths.html)),
    }


async def _uploaded(settings: Settings, report: EvalReport, job_id: str, log: JobLog) -> EvalReport:
    """Upload the experiments; return the report with their page, or with why there is none."""
    dataset = DatasetStore(settings.datasets_dir).get(report.dataset)

    def send(account: LangSmithAccount) -> str:
        return upload_evaluation(account, report, dataset, job_id)

    url, why = await try_upload(settings, log, send)
    return replace(report, experiment_url=url, upload_error=why)


def main() -> int:
    """Run the job whose folder is the only argument."""
    return run(Path(sys.argv[1]), carry_out)


if __name__ == "__main__":
    sys.exit(main())
