"""One command for each use case, its options made from the request's fields.

So every field of a request is on the command line, under its own name, with its own docstring.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from agent_orchestrator.agents.infrastructure.modelops.usecases.base import (
    ChangingRequest,
    Result,
)
from agent_orchestrator.agents.infrastructure.modelops.usecases.index import USE_CASES
from agent_orchestrator.agents.infrastructure.modelops.usecases.requests import build_request
from agent_orchestrator.agents.infrastructure.modelops.usecases.simulation import CanarySimulated
from agent_orchestrator.cli import options, session
from agent_orchestrator.domain.approvals import UseCaseName
from agent_orchestrator.errors import InputError

#: What a person types for each use case.
_NAMES: Mapping[UseCaseName, str] = {
    "build_dataset": "build-dataset",
    "train_subagent_model": "train",
    "evaluate_model_vs_baseline": "evaluate",
    "deploy_model_to_agent": "deploy",
    "promote_canary": "promote",
    "rollback_deployment": "rollback",
    "rollout_status": "rollout",
    "reset_breaker": "reset-breaker",
    "simulate_canary": "simulate canary",
    "list_agent_models": "models",
    "monitor_training_job": "job",
    "cancel_training_job": "cancel",
    "resume_training_job": "resume",
    "convert_model_to_gguf": "convert",
    "list_costs": "costs",
    "check_dataset": "dataset check",
    "show_dataset": "dataset show",
    "list_datasets": "dataset list",
    "export_dataset": "dataset export",
    "search_hyperparameters": "search",
    "list_endpoints": "endpoints list",
    "endpoint_status": "endpoints status",
    "wake_endpoint": "endpoints wake",
    "sleep_endpoint": "endpoints sleep",
    "deploy_space": "space deploy",
    "space_status": "space status",
    "pause_space": "space pause",
    "restart_space": "space restart",
    "run_experiment": "experiment run",
    "score_runs": "score-runs",
}
#: Use cases that return a job, which ``--wait`` follows.
_JOB_STARTERS = {
    "train_subagent_model",
    "resume_training_job",
    "evaluate_model_vs_baseline",
    "convert_model_to_gguf",
    "search_hyperparameters",
    "run_experiment",
}


def command(use_case: UseCaseName) -> click.Command:
    """Return the use case's command: an option for each field, and those about how to run it."""
    kind = USE_CASES[use_case].request

    def run(
        as_json: bool, yes: bool = False, wait: bool = False, follow: bool = False, **given: Any
    ) -> None:
        values = {key: value for key, value in given.items() if value not in (None, (), [])}
        picture = values.get("plot")
        request = build_request(use_case, values | ({"plot": True} if picture else {}))
        session.run(
            use_case,
            request,
            as_json=as_json,
            yes=yes,
            wait=wait or follow,
            prepare=partial(_saved, picture) if picture else None,
        )

    made = click.Command(_NAMES[use_case].split()[-1], callback=run, help=kind.__doc__)
    made.params = [_parameter(use_case, field, info) for field, info in kind.model_fields.items()]
    options.as_json(made)
    if issubclass(kind, ChangingRequest):
        options.yes(made)
    if use_case in _JOB_STARTERS:
        options.wait(made)
    if use_case == "monitor_training_job":
        options.follow(made)
    return made


def _positional(use_case: UseCaseName) -> str | None:
    """Return the field that is written without an option's name: the job, the agent, the name."""
    fields = USE_CASES[use_case].request.model_fields
    if "job_id" in fields:
        return "job_id"
    required = (
        name
        for name in ("agent", "name", "template")
        if name in fields and fields[name].is_required()
    )
    return next(required, None)


def _parameter(use_case: UseCaseName, field: str, info: FieldInfo) -> click.Parameter:
    if field == _positional(use_case):
        return click.Argument([field], required=info.is_required())
    flag = "--" + field.replace("_", "-")
    if field == "plot":
        path = click.Path(dir_okay=False, path_type=Path)
        return click.Option([flag, field], type=path, metavar="FILE.svg", help=info.description)
    if info.annotation is bool:
        return click.Option([flag, field], is_flag=True, help=info.description)
    if _takes_pairs(info.annotation):
        return click.Option(
            [flag, field],
            multiple=True,
            required=info.is_required(),
            metavar="KEY=VALUE|FILE.yaml",
            callback=_pairs,
            help=info.description,
        )
    if typing.get_origin(info.annotation) is list:
        return click.Option([flag, field], multiple=True, help=info.description)
    default = info.default if info.default not in (None, "") else None
    shown = (
        f"{info.description or ''} [default: {default}]"
        if default is not None
        else info.description
    )
    return click.Option(
        [flag, field],
        help=shown,
        required=info.is_required(),
        metavar=_metavar(info.annotation),
        callback=_number if _takes_number(info.annotation) else None,
    )


def _takes_pairs(annotation: Any) -> bool:
    """Return whether a field is a mapping, or a model that is written as one."""
    is_model = isinstance(annotation, type) and issubclass(annotation, BaseModel)
    return is_model or typing.get_origin(annotation) is dict


def _takes_number(annotation: Any) -> bool:
    """Return whether a field is a number, which other doors hand over as one."""
    return annotation in (int, float) or any(map(_takes_number, typing.get_args(annotation)))


def _saved(path: Path, result: Result) -> Result:
    """Write the picture of a simulation to a file; return the rest. Raises InputError."""
    if not isinstance(result, CanarySimulated) or result.plot_svg is None:
        raise TypeError(f"{type(result).__name__} has no picture.")
    try:
        path.write_text(result.plot_svg, encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"--plot: cannot write {str(path)!r}: {error.strerror}.",
            remedy="Name a file in a folder that exists and is yours.",
        ) from None
    return result.model_copy(update={"plot_svg": None})


def _metavar(annotation: Any) -> str:
    """Return the values that a field takes where they are few, else ``VALUE``."""
    parts = (annotation, *typing.get_args(annotation))
    literals = next((p for p in parts if typing.get_origin(p) is typing.Literal), None)
    return f"[{'|'.join(typing.get_args(literals))}]" if literals else "VALUE"


def _number(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Any:
    """Return what was typed as a number where it is one; the request says what is wrong else."""
    return value if value is None else options.read_value(value)


def _pairs(
    _ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, Any] | None:
    return options.read_pairs(f"--{param.name}", values) or None


build_dataset = command("build_dataset")
train_subagent_model = command("train_subagent_model")
evaluate_model_vs_baseline = command("evaluate_model_vs_baseline")
deploy_model_to_agent = command("deploy_model_to_agent")
promote_canary = command("promote_canary")
rollback_deployment = command("rollback_deployment")
rollout_status = command("rollout_status")
reset_breaker = command("reset_breaker")
list_agent_models = command("list_agent_models")
monitor_training_job = command("monitor_training_job")
cancel_training_job = command("cancel_training_job")
resume_training_job = command("resume_training_job")
convert_model_to_gguf = command("convert_model_to_gguf")
list_costs = command("list_costs")
score_runs = command("score_runs")
search_hyperparameters = command("search_hyperparameters")

dataset = click.Group("dataset", help="Look into data before any money is spent.")
for _use_case in ("check_dataset", "show_dataset", "list_datasets", "export_dataset"):
    dataset.add_command(command(_use_case))

simulate = click.Group("simulate", help="Plan a canary by simulation.")
simulate.add_command(command("simulate_canary"))

endpoints = click.Group("endpoints", help="See and control the Inference Endpoints.")
for _endpoint_use_case in ("list_endpoints", "endpoint_status", "wake_endpoint", "sleep_endpoint"):
    endpoints.add_command(command(_endpoint_use_case))
