"""A job's curves in Trackio (https://github.com/gradio-app/trackio), beside TensorBoard's.

Told from the progress lines, so that every engine has it. Trackio is not part of the engines'
environments: ``pip install trackio`` into the interpreter that shall have it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, Final

from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.job import Job

_CURVES: Final = ("loss", "learning_rate")


@contextmanager
def tracked(job: Job) -> Iterator[None]:
    """Tell Trackio of every step meanwhile, when the specification wants that.

    Raises Refused (``unavailable``) when Trackio is not installed or cannot open the project.
    """
    wanted = job.spec.trackio
    if wanted is None:
        yield
        return
    os.environ["TRACKIO_DIR"] = str(job.folder / "trackio")
    if job.token is not None:
        os.environ.setdefault("HF_TOKEN", job.token)  # where Trackio's client looks for it
    try:
        import trackio

        run = trackio.init(
            project=wanted.project,
            name=job.spec.job_id,
            space_id=wanted.space,
            config=asdict(job.spec.hyperparameters),
            resume="allow",  # a job that was cut off goes on under its name
            embed=False,
            auto_log_cpu=False,
            auto_log_gpu=False,
        )
    except (ImportError, OSError, ValueError) as error:
        raise Refused(
            "unavailable",
            f"Trackio cannot show project {wanted.project!r}: {error}",
            "Install trackio into the engine's interpreter, or unset CHEF_TRACKIO_PROJECT.",
        ) from error

    def tell(line: Mapping[str, Any]) -> None:
        curves = {name: line[name] for name in _CURVES if line.get(name) is not None}
        if line["event"] == "step" and curves:
            run.log(curves, step=line["step"])

    job.progress.listeners.append(tell)
    try:
        yield
    finally:
        job.progress.listeners.remove(tell)
        trackio.finish()
