"""The text of models.yaml as a RoutingTable, and a table as plain data.

Whatever is wrong is one ModelsYamlError that names file, line, key path, value and remedy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from annotated_types import Ge, Le, MinLen
from pydantic import BaseModel, ConfigDict, ValidationError, field_validator
from pydantic_core import ErrorDetails
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from agent_orchestrator.domain.models import check_model_id
from agent_orchestrator.domain.registry import check_agent_name
from agent_orchestrator.domain.routing import (
    STABLE,
    Arm,
    Endpoint,
    Provider,
    Rollout,
    RolloutPhase,
    RoutingTable,
    Strategy,
)
from agent_orchestrator.domain.semver import SemVer
from agent_orchestrator.errors import InputError, ModelsYamlError
from agent_orchestrator.stores.yaml_text import load_yaml
from agent_orchestrator.stores.yaml_tree import Path, parse_tree

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_Percent = Annotated[int, Ge(0), Le(100)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _OpenRouter(_Strict):
    agent_models: Annotated[dict[str, str], MinLen(1)]


class _Endpoint(_Strict):
    provider: Provider = "openrouter"
    endpoints: list[str] = []
    api_key_env: str | None = None


class _Arm(_Strict):
    name: str
    version: str | None = None
    model: str
    weight: _Percent
    mirror: _Percent = 0


class _Rollout(_Strict):
    id: str
    strategy: Strategy
    phase: RolloutPhase = "running"
    judge: str | None = None
    arms: Annotated[list[_Arm], MinLen(2)]


class _Document(_Strict):
    openrouter: _OpenRouter
    models: dict[str, _Endpoint] = {}
    fallbacks: dict[str, list[str]] = {}
    rollouts: dict[str, _Rollout] = {}

    @field_validator("models", "fallbacks", "rollouts", mode="before")
    @classmethod
    def _empty_section(cls, value: Any) -> Any:
        """A section without an entry reads as null."""
        return {} if value is None else value


@dataclass(frozen=True, slots=True)
class _Fault:
    """What is wrong at a path; ``message`` continues "<path> …"."""

    path: Path
    message: str
    remedy: str


def parse_routing_table(text: str, source: str) -> RoutingTable:
    """Return the table that ``text`` says; ``source`` names the file in errors.

    Raises ModelsYamlError.
    """
    data = _load(text, source)
    if data is None:
        raise ModelsYamlError(f"{source} is empty.", remedy="Add openrouter.agent_models.")
    document = _validated(data, text, source)
    for fault in _faults(document):
        raise _error(text, source, fault)
    return RoutingTable(
        agent_models=document.openrouter.agent_models,
        models={
            model: Endpoint(model, place.provider, tuple(place.endpoints), place.api_key_env)
            for model, place in document.models.items()
        },
        fallbacks={agent: tuple(models) for agent, models in document.fallbacks.items()},
        rollouts={
            agent: Rollout(
                id=rollout.id,
                strategy=rollout.strategy,
                phase=rollout.phase,
                judge=rollout.judge,
                arms=tuple(Arm(**arm.model_dump()) for arm in rollout.arms),
            )
            for agent, rollout in document.rollouts.items()
        },
    )


def to_plain(table: RoutingTable) -> dict[str, Any]:
    """Return the table as models.yaml has it, defaults left out."""
    return {
        "openrouter": {"agent_models": dict(table.agent_models)},
        "models": {model: _plain_endpoint(place) for model, place in table.models.items()},
        "fallbacks": {agent: list(models) for agent, models in table.fallbacks.items()},
        "rollouts": {
            agent: {
                "id": rollout.id,
                "strategy": rollout.strategy,
                "phase": rollout.phase,
                **({} if rollout.judge is None else {"judge": rollout.judge}),
                "arms": [_plain_arm(arm) for arm in rollout.arms],
            }
            for agent, rollout in table.rollouts.items()
        },
    }


def _plain_endpoint(place: Endpoint) -> dict[str, Any]:
    plain: dict[str, Any] = {"provider": place.provider}
    if place.endpoints:
        plain["endpoints"] = list(place.endpoints)
    if place.api_key_env is not None:
        plain["api_key_env"] = place.api_key_env
    return plain


def _plain_arm(arm: Arm) -> dict[str, Any]:
    version = {} if arm.version is None else {"version": arm.version}
    mirror = {"mirror": arm.mirror} if arm.mirror else {}
    return {"name": arm.name, **version, "model": arm.model, "weight": arm.weight, **mirror}


# -- shape --------------------------------------------------------------------------------------


def _load(text: str, source: str) -> Any:
    """Return the data of the text's one document."""
    try:
        return load_yaml(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        problem = str(error.problem or error.context).splitlines()[0]
        raise ModelsYamlError(
            f"{source}{line}: not YAML: {problem}.",
            remedy="Indent with spaces, never with tabs, and give every key once."
            if "\\t" in problem or "duplicate" in problem
            else "Correct that line.",
        ) from None
    except (YAMLError, ValueError, RecursionError) as error:
        problem = (str(error).splitlines() or [type(error).__name__])[0]
        raise ModelsYamlError(
            f"{source}: not YAML: {problem}.", remedy="Correct the file."
        ) from None


def _validated(data: Any, text: str, source: str) -> _Document:
    try:
        return _Document.model_validate(data)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False)
        # A misspelt key is also a missing one; the misspelling explains more.
        first = min(details, key=lambda detail: detail["type"] != "extra_forbidden")
        raise _error(text, source, _shape_fault(first)) from None


def _shape_fault(detail: ErrorDetails) -> _Fault:
    path = tuple(step for step in detail["loc"] if step != "[key]")
    kind, value = detail["type"], detail["input"]
    if kind == "missing":
        return _Fault(path, "is missing", "Add it.")
    if kind == "extra_forbidden":
        return _Fault(path, "is an unknown key", f"Known here: {', '.join(_known(path))}.")
    if path and path[-1] == "api_key_env":
        return _Fault(path, "is not a variable's name", "Name the variable, not the key itself.")
    said = detail["msg"].removeprefix("Input should be ")
    where = "is" if path else "the file is"
    return _Fault(path, f"{where} {_short(value)}; wanted: {said}", "Correct the value.")


def _known(path: Path) -> list[str]:
    """Return the keys that may stand beside the last of ``path``."""
    by_depth: dict[tuple[Any, int], type[_Strict]] = {
        ("openrouter", 2): _OpenRouter,
        ("models", 3): _Endpoint,
        ("rollouts", 3): _Rollout,
        ("rollouts", 5): _Arm,
    }
    return list(by_depth.get((path[0], len(path)), _Document).model_fields)


def _error(text: str, source: str, fault: _Fault) -> ModelsYamlError:
    line = parse_tree(text).line_of(fault.path)
    path = "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in fault.path).lstrip(".")
    said = f"{path} {fault.message}" if path else fault.message
    return ModelsYamlError(f"{source}, line {line}: {_one_line(said)}.", remedy=fault.remedy)


def _one_line(text: str) -> str:
    """Return ``text`` with its line breaks and control characters escaped."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= 60 else said[:57] + "..."  # noqa: PLR2004


# -- meaning ------------------------------------------------------------------------------------


def _faults(document: _Document) -> Iterator[_Fault]:
    agents = document.openrouter.agent_models
    for agent, model in agents.items():
        path = ("openrouter", "agent_models", agent)
        try:
            check_agent_name(agent)
        except InputError as error:
            yield _Fault(path, "is not an agent's name", error.remedy)
        yield from _model_faults(model, path)
    for model, place in document.models.items():
        yield from _model_faults(model, ("models", model))
        yield from _endpoint_faults(place, ("models", model))
    for agent, models in document.fallbacks.items():
        if agent != "default":
            yield from _agent_faults(agent, agents, ("fallbacks", agent))
        for position, model in enumerate(models):
            yield from _model_faults(model, ("fallbacks", agent, position))
    for agent, rollout in document.rollouts.items():
        yield from _agent_faults(agent, agents, ("rollouts", agent))
        yield from _rollout_faults(rollout, agents.get(agent), ("rollouts", agent))


def _agent_faults(agent: str, agents: dict[str, str], path: Path) -> Iterator[_Fault]:
    if agent not in agents:
        yield _Fault(
            path,
            f"is for {agent!r}, which has no entry in openrouter.agent_models",
            f"Known agents: {', '.join(agents)}.",
        )


def _model_faults(model: str, path: Path) -> Iterator[_Fault]:
    try:
        check_model_id(model)
    except InputError as error:
        yield _Fault(path, f"is {_short(model)}, not a model id", error.remedy)


def _endpoint_faults(place: _Endpoint, path: Path) -> Iterator[_Fault]:
    served = place.provider in {"huggingface", "self_hosted"}
    if served and not place.endpoints:
        yield _Fault(
            path, f"has provider {place.provider!r} but no endpoints", "Add endpoints: [<URL>/v1]."
        )
    if not served and place.endpoints:
        yield _Fault(
            (*path, "endpoints"),
            f"is given for provider {place.provider!r}, whose place is known",
            "Remove it, or use provider self_hosted.",
        )
    for position, endpoint in enumerate(place.endpoints):
        if not is_base_url(endpoint):
            yield _Fault(
                (*path, "endpoints", position),
                "is not an http(s) URL without credentials",
                "Write it as https://host/v1; a key belongs into the variable of api_key_env.",
            )
    if place.api_key_env is not None and not is_variable(place.api_key_env):
        yield _Fault(
            (*path, "api_key_env"),  # the value may be the key itself: never shown
            "is not a variable's name",
            "Name the environment variable (letters, digits, '_'), not the key itself.",
        )


def is_variable(text: str) -> bool:
    """Return whether ``text`` is the name of an environment variable."""
    return _VARIABLE.fullmatch(text) is not None


def is_base_url(text: str) -> bool:
    """Return whether ``text`` is an http(s) URL without credentials, query and fragment."""
    try:
        url = urlsplit(text)
        port_fits = url.port is None or url.port > 0
    except ValueError:
        return False
    plain = not (url.username or url.password or url.query or url.fragment)
    return url.scheme in {"http", "https"} and bool(url.hostname) and port_fits and plain


def _rollout_faults(rollout: _Rollout, serving: str | None, path: Path) -> Iterator[_Fault]:
    if not _NAME.fullmatch(rollout.id):
        yield _Fault((*path, "id"), f"is {_short(rollout.id)}, not an id", "As ro_20261120_7f3a.")
    arms = (*path, "arms")
    if rollout.arms[0].name != STABLE:
        yield _Fault(
            (*arms, 0, "name"),
            f"is {_short(rollout.arms[0].name)}; a rollout needs its stable arm first",
            f"Put the arm named {STABLE!r} first.",
        )
    if rollout.judge is not None:
        yield from _model_faults(rollout.judge, (*path, "judge"))
    names = [arm.name for arm in rollout.arms]
    for position, arm in enumerate(rollout.arms):
        yield from _arm_faults(arm, names[:position], (*arms, position))
    weights = [arm.weight for arm in rollout.arms]
    if sum(weights) != 100:  # noqa: PLR2004 - percent
        said = " + ".join(map(str, weights))
        yield _Fault(arms, f"have weights {said} = {sum(weights)}", "Make them sum to 100.")
    yield from _phase_faults(rollout, serving, arms)


def _arm_faults(arm: _Arm, before: Sequence[str], path: Path) -> Iterator[_Fault]:
    if arm.name in before or not _NAME.fullmatch(arm.name):
        yield _Fault(
            (*path, "name"), f"is {_short(arm.name)}", "Give every arm a short name of its own."
        )
    yield from _model_faults(arm.model, (*path, "model"))
    if arm.version is not None:
        try:
            SemVer.parse(arm.version)
        except InputError as error:
            yield _Fault((*path, "version"), f"is {_short(arm.version)}", error.remedy)


def _phase_faults(rollout: _Rollout, serving: str | None, arms: Path) -> Iterator[_Fault]:
    """Check that the agent's own model is the arm that the phase says."""
    guard = rollout.phase == "guard"
    full = [i for i, arm in enumerate(rollout.arms) if i and arm.weight == 100]  # noqa: PLR2004
    position = (full or [len(rollout.arms) - 1])[0] if guard else 0
    model = rollout.arms[position].model
    if serving is not None and model != serving:
        yield _Fault(
            (*arms, position, "model"),
            f"is {_short(model)}, but in phase {rollout.phase!r} it must be the agent's model in "
            f"openrouter.agent_models, which is {_short(serving)}",
            "Make both the same, or remove the rollout.",
        )
    if guard and not full:
        yield _Fault(
            (*arms, position, "weight"),
            f"is {rollout.arms[position].weight}; in phase 'guard' the promoted arm has all "
            "traffic",
            "Set it to 100 and the others to 0.",
        )
