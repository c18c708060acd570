"""The slots of each use case: only what the sentence says, as canonical values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from agent_orchestrator.domain.intents import names, values
from agent_orchestrator.domain.intents.region import Region, SlotValue
from agent_orchestrator.domain.intents.tokens import Kind
from agent_orchestrator.domain.use_cases import UseCase

Reader = Callable[[Region], SlotValue | None]


def _job_of(region: Region) -> str | None:
    return region.first(Kind.JOB)


def _quantization_of(region: Region) -> str | None:
    """Return the quantization; a number of bits means the usual one of that size."""
    bits = next((_BITS[t.norm] for t in region.included if t.norm in _BITS), None)
    return region.first(Kind.QUANT) or bits


_BITS: Final = {"4-bit": "Q4_K_M", "5-bit": "Q5_K_M", "8-bit": "Q8_0", "16-bit": "F16"}


#: Use case → slot → reader. The agent and simulate_canary's amounts are read apart.
READERS: Final[Mapping[UseCase, Mapping[str, Reader]]] = {
    "build_dataset": {
        "dataset": names.dataset_of,
        "method": values.method_of,
        "filters": values.filters_of,
    },
    "train_subagent_model": {
        "dataset": names.dataset_of,
        "base_model": names.base_model_of,
        "method": values.method_of,
        "mode": values.mode_of,
        "max_examples": values.trained_examples_of,
        "overrides": values.overrides_of,
        "backend": values.backend_of,
    },
    "monitor_training_job": {"job_id": _job_of},
    "cancel_training_job": {"job_id": _job_of},
    "resume_training_job": {"job_id": _job_of},
    "search_hyperparameters": {
        "space": values.space_of,
        "trials": values.trials_of,
        "dataset": names.dataset_of,
        "base_model": names.base_model_of,
        "method": values.method_of,
        "mode": values.mode_of,
        "max_examples": values.trained_examples_of,
        "backend": values.backend_of,
    },
    "evaluate_model_vs_baseline": {
        "model": names.model_of,
        "version": names.version_of,
        "baseline": names.baseline_of,
        "dataset": names.dataset_of,
        "metrics": values.metrics_of,
        "max_examples": values.examples_of,
        "judge": names.judge_of,
    },
    "run_experiment": {
        "template": names.template_of,
        "models": names.asked_models_of,
        "repetitions": values.repetitions_of,
        "max_examples": values.examples_of,
        "no_cache": values.no_cache_of,
    },
    "deploy_model_to_agent": {
        "model": names.model_of,
        "version": names.version_of,
        "target": values.target_of,
        "strategy": values.strategy_of,
        "challengers": names.challengers_of,
        "judge": names.judge_of,
    },
    "promote_canary": {"percent": values.promoted_to, "version": names.version_of},
    "rollback_deployment": {"version": names.goal_version_of, "drill": values.drill_of},
    "rollout_status": {},
    "reset_breaker": {"arm": values.arm_of},
    "simulate_canary": {},
    "list_agent_models": {},
    "list_costs": {"month": values.month_of},
    "check_dataset": {"dataset": names.dataset_of, "method": values.method_of},
    "show_dataset": {"dataset": names.dataset_of},
    "list_datasets": {},
    "list_endpoints": {},
    "endpoint_status": {"endpoint": names.endpoint_of},
    "wake_endpoint": {"endpoint": names.endpoint_of},
    "sleep_endpoint": {"endpoint": names.endpoint_of},
    "space_status": {"space": names.space_of},
    "convert_model_to_gguf": {
        "model": names.model_of,
        "version": names.version_of,
        "quantization": _quantization_of,
        "output_repo": names.output_repo_of,
    },
}


def read_slots(use_case: UseCase, region: Region) -> dict[str, SlotValue]:
    """Return the slots of ``use_case`` that the region names, without the agent."""
    if use_case == "simulate_canary":
        return values.simulated(region)
    found = ((name, reader(region)) for name, reader in READERS[use_case].items())
    return {name: value for name, value in found if value is not None}
