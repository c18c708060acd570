"""One command for each use case, its options made from the request's fields.

So every field of a request is on the command line, under its own name, with its own docstring.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

import click
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from agent_orchestrator.agents.infrastructure.modelops.usecases import (
    USE_CASES,
    ChangingRequest,
    Request,
)
from agent_orchestrator.cli import session
from agent_orchestrator.domain.intents import UseCase
from agent_orchestrator.errors import InputError

#: Use cases that return a job, which ``--wait`` follows.
_JOB_STARTERS = {"train_subagent_model", "evaluate_model_vs_baseline", "convert_model_to_gguf"}


def build_request(kind: type[Request], values: Mapping[str, Any]) -> Request:
    """Return the request; InputError names the field and the value that is wrong."""
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(
            f"{field}: {first['msg']} (got {first['input']!r}).",
            remedy=f"Known fields: {', '.join(kind.model_fields)}.",
        ) from None


def _command(use_case: UseCase, name: str) -> click.Command:
    kind = USE_CASES[use_case].request
    params = [_parameter(use_case, field, info) for field, info in kind.model_fields.items()]
    params.append(click.Option(["--json", "as_json"], is_flag=True, help="One JSON document."))
    if issubclass(kind, ChangingRequest):
        params.append(
            click.Option(["--yes"], is_flag=True, help="Approve as the user who runs this.")
        )
    if use_case in _JOB_STARTERS:
        params.append(click.Option(["--wait"], is_flag=True, help="Follow the job to its end."))
    if use_case == "monitor_training_job":
        params.append(click.Option(["--follow"], is_flag=True, help="Follow the job to its end."))

    def run(
        as_json: bool, yes: bool = False, wait: bool = False, follow: bool = False, **given: Any
    ) -> None:
        values = {key: value for key, value in given.items() if value not in (None, (), [])}
        request = build_request(kind, values)
        session.run(use_case, request, as_json=as_json, yes=yes, wait=wait or follow)

    return click.Command(name, params=params, callback=run, help=kind.__doc__)


def _positional(use_case: UseCase) -> str | None:
    """Return the field that is written without an option's name: the job, or the agent."""
    fields = USE_CASES[use_case].request.model_fields
    if "job_id" in fields:
        return "job_id"
    return "agent" if "agent" in fields and fields["agent"].is_required() else None


def _parameter(use_case: UseCase, field: str, info: FieldInfo) -> click.Parameter:
    if field == _positional(use_case):
        return click.Argument([field], required=info.is_required())
    flag = "--" + field.replace("_", "-")
    if info.annotation is bool:
        return click.Option([flag, field], is_flag=True, help=info.description)
    if typing.get_origin(info.annotation) is dict:
        return click.Option(
            [flag, field],
            multiple=True,
            metavar="KEY=VALUE",
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
    return click.Option([flag, field], help=shown, required=info.is_required(), metavar="VALUE")


def _pairs(
    _ctx: click.Context, param: click.Parameter, values: tuple[str, ...]
) -> dict[str, Any] | None:
    """Read ``key=value`` pairs; values are YAML scalars, lists or null."""
    if not values:
        return None
    from ruamel.yaml import YAML

    pairs: dict[str, Any] = {}
    for text in values:
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(
                f"--{param.name}: {text!r} is not KEY=VALUE.", remedy="Write e.g. num_epochs=2."
            )
        pairs[key.strip()] = YAML(typ="safe", pure=True).load(value)
    return pairs


build_dataset = _command("build_dataset", "build-dataset")
train_subagent_model = _command("train_subagent_model", "train")
evaluate_model_vs_baseline = _command("evaluate_model_vs_baseline", "evaluate")
deploy_model_to_agent = _command("deploy_model_to_agent", "deploy")
promote_canary = _command("promote_canary", "promote")
rollback_deployment = _command("rollback_deployment", "rollback")
rollout_status = _command("rollout_status", "rollout")
reset_breaker = _command("reset_breaker", "reset-breaker")
list_agent_models = _command("list_agent_models", "models")
monitor_training_job = _command("monitor_training_job", "job")
cancel_training_job = _command("cancel_training_job", "cancel")
convert_model_to_gguf = _command("convert_model_to_gguf", "convert")

simulate = click.Group("simulate", help="Plan a canary by simulation.")
simulate.add_command(_command("simulate_canary", "canary"))
