"""The process of one experiment's job: see ``job_process``.

``python -m agent_orchestrator.wiring.experiment_process JOB_DIR``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.evaluation.answer_cache import CachedCaller
from agent_orchestrator.agents.infrastructure.modelops.evaluation.upload import (
    MODELS_COMPARED,
    ExampleSet,
    FinishedExperiment,
    LangSmithAccount,
    upload_experiments,
)
from agent_orchestrator.agents.infrastructure.modelops.experiments.judging import AnswerJudge
from agent_orchestrator.agents.infrastructure.modelops.experiments.plans import (
    SPEC,
    ExperimentSpec,
    summarise,
)
from agent_orchestrator.agents.infrastructure.modelops.experiments.report import write_experiment
from agent_orchestrator.agents.infrastructure.modelops.experiments.runner import (
    ExperimentRunner,
    FinishedRuns,
)
from agent_orchestrator.settings import Settings, load_settings
from agent_orchestrator.stores.defaults import load_evaluation_defaults
from agent_orchestrator.wiring.experiment_upload import try_upload
from agent_orchestrator.wiring.experiments import answer_cache
from agent_orchestrator.wiring.job_process import JobLog, run
from agent_orchestrator.wiring.model_access import Metered, direct_access, traced_calls
from agent_orchestrator.wiring.model_answers import keeping_judge, model_caller
from agent_orchestrator.wiring.tracing import compose_tracer


async def run_arms(
    settings: Settings, spec: ExperimentSpec, job_id: str, log: JobLog
) -> FinishedRuns:
    """Let every arm answer. Raises as ``ExperimentRunner.run``."""
    tracer = compose_tracer(settings) if spec.upload else None  # what stays here, stays here whole
    defaults = load_evaluation_defaults(settings.config_dir)
    template = spec.template
    store = answer_cache(settings) if spec.use_cache else None
    log.event("loading", "waiting for the models")
    async with direct_access(settings, list(spec.endpoints.values())) as complete:
        metered = Metered(complete, spec.prices)
        calls = traced_calls(metered, tracer, spec.versions, agent=spec.agent, job_id=job_id)
        ask = CachedCaller(model_caller(calls), spec.endpoints, store, spec.fingerprints)
        judge = None
        if template.judge is not None:
            model = keeping_judge(ask, template.judge.model)
            judge = AnswerJudge(model, template.judge, defaults.concurrency)
        runner = ExperimentRunner(ask, defaults, prices=spec.prices, judge=judge)
        with log.adding_up(metered):
            return await runner.run(template, spec.examples, log.counting("calling the models"))


async def carry_out(settings: Settings, folder: Path, log: JobLog) -> dict[str, Any]:
    """Do what ``spec.json`` says and return the manifest."""
    spec = SPEC.validate_json((folder / "spec.json").read_bytes())
    finished = await run_arms(settings, spec, folder.name, log)
    report = finished.report
    log.event("saving", "writing the report")
    paths = write_experiment(report, spec.report_dir)
    if spec.upload:  # only now that the result is safe
        send = partial(_send, spec=spec, finished=finished, job_id=folder.name)
        url, why = await try_upload(settings, log, send)
        report = replace(report, experiment_url=url, upload_error=why)
        paths = write_experiment(report, spec.report_dir)
    named = {kind: str(path) for kind, path in paths.items()}
    return {
        "protocol": 1,
        "status": "completed",
        "experiment": summarise(report, named).model_dump(mode="json"),
    }


def _send(
    account: LangSmithAccount, *, spec: ExperimentSpec, finished: FinishedRuns, job_id: str
) -> str:
    examples = ExampleSet(
        name=spec.set_name,
        hash=spec.set_hash,
        agent=spec.agent,
        origin=spec.template.examples,
        examples=spec.examples,
    )
    return upload_experiments(account, examples, list(_experiments(spec, finished, job_id)))


def _experiments(
    spec: ExperimentSpec, finished: FinishedRuns, job_id: str
) -> Iterator[FinishedExperiment]:
    """Yield the arms, the baseline first, as LangSmith's page shows them."""
    baseline = spec.template.baseline_arm
    for run_ in sorted(finished.runs, key=lambda one: one.arm != baseline):
        yield FinishedExperiment(
            name=f"{spec.template.name}-{run_.arm.name}",
            run_name=spec.agent or spec.template.name,
            description=f"Arm {run_.arm.name} of experiment {job_id}.",
            calls=run_.calls,
            metadata={
                "agent": spec.agent,
                "model": run_.arm.model,
                "model_version": spec.versions.get(run_.arm.model, ""),
                "mode": run_.arm.mode,
                "experiment_type": MODELS_COMPARED,
                "experiment": spec.template.name,
                "arm": run_.arm.name,
                "job_id": job_id,
                "dataset": spec.set_name,
                "dataset_hash": spec.set_hash,
            },
            repetitions=spec.template.repetitions,
        )


def main() -> int:
    """Run the job whose folder is the only argument."""
    return run(Path(sys.argv[1]), partial(carry_out, load_settings()))


if __name__ == "__main__":
    sys.exit(main())
