"""The process of one conversion job: the worker converts, then the file meets its parent.

``python -m agent_orchestrator.wiring.conversion_process JOB_DIR``. The worker has a folder of its
own in the job's (``worker/``); the evaluation is the same as ``evaluation_process``'s, through the
local model server, which runs parent and GGUF file side by side.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.backends.job_folder import JobFolder
from agent_orchestrator.agents.infrastructure.modelops.conversion import SPEC, ConversionSpec
from agent_orchestrator.agents.infrastructure.modelops.evaluation.jobs import (
    EvaluationSpec,
    registry_scores,
    summarise,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.report import write_report
from agent_orchestrator.agents.infrastructure.modelops.hub.publishing import publish
from agent_orchestrator.agents.infrastructure.modelops.usecases.conversion import (
    BesideParent,
    ConversionResult,
    ModelFile,
)
from agent_orchestrator.domain.evaluation import EvalReport
from agent_orchestrator.domain.jobs import Failure
from agent_orchestrator.errors import ConfigurationError
from agent_orchestrator.settings import Settings, load_settings
from agent_orchestrator.stores.files import sha256_file
from agent_orchestrator.wiring.backends import local_backend
from agent_orchestrator.wiring.evaluation_process import evaluate
from agent_orchestrator.wiring.hub import open_hub
from agent_orchestrator.wiring.job_process import DiagnosedError, JobLog, run

_LOOK_SECONDS: Final = 0.3
_STOP_SECONDS: Final = 15.0
_SILENT: Final = Failure("unknown", "The worker left no result.", "Read the job's worker.log.")


async def carry_out(folder: Path, log: JobLog) -> dict[str, Any]:
    """Convert, evaluate beside the parent, publish; return the manifest."""
    settings = load_settings()
    spec = SPEC.validate_json((folder / "spec.json").read_bytes())
    made = await _convert(settings, folder / "worker", spec, log)
    output = Path(made["output_dir"])
    report = await evaluate(settings, spec.gate, folder.name, log) if spec.gate else None
    beside, evaluation, scores = None, None, None
    if report is not None and spec.gate is not None:
        beside = _beside_parent(report, made, output)
        evaluation, scores = _written(report, spec.gate, log)
        _extend_card(output / "README.md", beside, report.comparison.recommendation)
    rejected = report is not None and report.comparison.recommendation == "reject"
    wanted = spec.hub_repo is not None
    url = await _publish(settings, spec, output, log) if wanted and not rejected else None
    result = _result(
        spec,
        made,
        hub_url=url,
        not_published="the evaluation rejects it" if wanted and rejected else None,
        beside_parent=beside,
    )
    return {
        "protocol": 1,
        "status": "completed",
        "conversion": result.model_dump(mode="json"),
        "weights_sha256": made["weights_sha256"],
        "evaluation": evaluation,
        "scores": scores,
    }


def _result(spec: ConversionSpec, made: Mapping[str, Any], **found: Any) -> ConversionResult:
    """Return what there is now, files and all."""
    output, checks = Path(made["output_dir"]), made["tokenizer_checks"]
    return ConversionResult(
        model=spec.model,
        source=spec.source,
        quantization=made["quantization"],
        folder=str(output),
        files=[_file(path, output) for path in sorted(output.iterdir())],
        parameters=made["parameters"],
        tokenizer_checks=(checks["equal"], checks["texts"]),
        ollama_template=made["ollama_template"],
        usage=made["usage"],
        not_evaluated=spec.not_evaluated,
        **found,
    )


async def _convert(
    settings: Settings, folder: Path, spec: ConversionSpec, log: JobLog
) -> Mapping[str, Any]:
    """Run the worker and return its manifest; being cancelled cancels it.

    Raises DiagnosedError with what it says when it fails, ConfigurationError.
    """
    backend = local_backend(settings)
    if not backend.trainer_python.exists():
        raise ConfigurationError(
            f"No interpreter at CHEF_TRAINER_PYTHON={str(backend.trainer_python)!r}.",
            remedy="Run `make setup-trainer`.",
        )
    job = JobFolder(folder)
    job.create({"spec.json": json.dumps(dict(spec.worker), indent=2).encode()})
    worker = await asyncio.create_subprocess_exec(
        backend.trainer_python,
        *("-m", "agent_orchestrator.trainer.gguf", folder),
        env=backend.worker_environment(),
    )
    try:
        await _follow(worker, job, log)
    finally:
        await _stop(worker)
    progress = job.progress()
    if progress.result is None:
        raise DiagnosedError(progress.failure or _SILENT)
    return progress.result


async def _follow(worker: asyncio.subprocess.Process, job: JobFolder, log: JobLog) -> None:
    """Pass the worker's messages on until it ends."""
    said = ""
    while worker.returncode is None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_SECONDS):
                await worker.wait()
        message = job.progress().message
        if message not in {said, "completed"}:
            said = message
            log.event("converting", message)


async def _stop(worker: asyncio.subprocess.Process) -> None:
    """End a worker that still runs, in good order when it lets itself."""
    if worker.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        worker.terminate()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await worker.wait()
        except TimeoutError:
            worker.kill()
            await worker.wait()


def _beside_parent(report: EvalReport, made: Mapping[str, Any], output: Path) -> BesideParent:
    """Compare what parent and converted model answered."""
    parent = report.baseline
    if parent is None:
        raise TypeError("A conversion's evaluation has a baseline.")
    before = {call.example_id: call.answer for call in parent.calls}
    pairs = [(before[call.example_id], call.answer) for call in report.candidate.calls]
    both = [(old, new) for old, new in pairs if old is not None and new is not None]
    return BesideParent(
        dataset=report.dataset,
        n_examples=report.n_examples,
        answers_equal=sum(old == new for old, new in both),
        answers_compared=len(both),
        latency_ms=(parent.avg_latency_ms, report.candidate.avg_latency_ms),
        bytes=(made["source_bytes"], (output / made["file"]).stat().st_size),
    )


def _written(
    report: EvalReport, gate: EvaluationSpec, log: JobLog
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Write the evaluation's report; return its summary and the registry's scores."""
    log.event("saving", "writing the report")
    paths = write_report(report, gate.report_dir)
    named = {name: str(path) for name, path in asdict(paths).items()}
    return summarise(report, named).model_dump(mode="json"), registry_scores(
        report, str(paths.html)
    )


def _extend_card(card: Path, beside: BesideParent, recommendation: str) -> None:
    """Say in the model card how the file stands beside its parent."""
    before, after = beside.bytes
    text = (
        f"\n## Beside the model it was made from\n\n"
        f"On {beside.n_examples} held-out examples of `{beside.dataset}`: "
        f"{beside.answers_equal} of {beside.answers_compared} answers equal, "
        f"recommendation `{recommendation}`, {after / before:.0%} of the size.\n"
    )
    card.write_text(card.read_text(encoding="utf-8") + text, encoding="utf-8")


async def _publish(settings: Settings, spec: ConversionSpec, output: Path, log: JobLog) -> str:
    """Upload the artifact and return its page. Raises as ``publish``."""
    repo = str(spec.hub_repo)
    log.event("saving", f"publishing {repo}")
    message = f"{spec.worker['quantization']} in GGUF"
    return await anyio.to_thread.run_sync(publish, open_hub(settings), output, repo, message)


def _file(path: Path, folder: Path) -> ModelFile:
    size = path.stat().st_size
    return ModelFile(path=path.relative_to(folder).as_posix(), bytes=size, sha256=sha256_file(path))


def main() -> int:
    """Run the job whose folder is the only argument."""
    return run(Path(sys.argv[1]), carry_out)


if __name__ == "__main__":
    sys.exit(main())
