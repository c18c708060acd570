"""A job's files as the worker reads them (``agent_orchestrator.trainer``, protocol 1)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from agent_orchestrator.domain.training import Row, TrainingSpec

_PROTOCOL: Final = 1


def worker_files(
    job_id: str,
    spec: TrainingSpec,
    *,
    base_model: str,
    output_dir: str,
    max_seconds: float | None,
) -> dict[str, bytes]:
    """Return specification and rows.

    ``base_model`` is where the worker finds the base, ``output_dir`` where the artifact appears.
    """
    told = _spec(job_id, spec) | {
        "base_model": base_model,
        "output_dir": output_dir,
        "max_seconds": max_seconds,
    }
    files = {"spec.json": json.dumps(told, indent=2).encode(), "train.jsonl": _lines(spec.rows)}
    if spec.validation_rows:
        files["validation.jsonl"] = _lines(spec.validation_rows)
    return files


def _spec(job_id: str, spec: TrainingSpec) -> dict[str, Any]:
    return {
        "protocol": _PROTOCOL,
        "job_id": job_id,
        "engine": spec.engine,
        "method": spec.method,
        "dataset": {
            "train": "train.jsonl",
            "validation": "validation.jsonl" if spec.validation_rows else None,
            "name": spec.dataset,
        },
        "hyperparameters": dict(spec.hyperparameters),
        "model_card": {"base_model": spec.base_model, **spec.card},
        "trackio": dict(spec.trackio) if spec.trackio else None,
        "push_to_hub": {"repo": spec.output_model} if spec.push_to_hub else None,
    }


def _lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
