"""Prompts: how to go about the two things that people ask for most, as a client's menu entries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from mcp import types

from agent_orchestrator.errors import InputError


@dataclass(frozen=True, slots=True)
class _Prompt:
    description: str
    arguments: Mapping[str, str]
    """Name → what it is; all are needed."""
    text: str


_PROMPTS: Final[Mapping[str, _Prompt]] = {
    "improve_agent": _Prompt(
        "Train a better model for an agent, and show that it is better.",
        {"agent": "Agent, e.g. feature_dev", "complaint": "What it does badly"},
        """\
The {agent} agent does not do well: {complaint}.

1. list_agent_models and list_datasets: what serves it, and what there is to learn from. Without a \
data set: check_dataset, then build_dataset.
2. train_subagent_model in mode demo, first with dry_run: tell me its price.
3. follow_job; when it failed, tell me its error and remedy.
4. evaluate_model_vs_baseline, follow_job: tell me the improvement, its interval, and what is worse.
5. Only if that speaks for it: a production run, evaluated again.
6. Ask me before deploy_model_to_agent. Where an approval is needed, tell me its id and wait.""",
    ),
    "ship_version": _Prompt(
        "Put a version in front of an agent's traffic, step by step.",
        {"agent": "Agent, e.g. feature_dev", "version": "Version, e.g. v1.2.0"},
        """\
Put {version} in front of the traffic of {agent}.

1. list_agent_models: its scores and recommendation. simulate_canary: how long a canary would take.
2. deploy_model_to_agent with strategy canary and dry_run: tell me what would happen.
3. The same without dry_run. Where an approval is needed, tell me its id and wait.
4. rollout_status until there is a verdict. It is promoted or rolled back by itself on evidence; \
inconclusive means that more traffic is needed, not that it is well.
5. If something is wrong that the guardrails do not see, rollback_deployment.""",
    ),
}


def list_prompts() -> list[types.Prompt]:
    """Return the prompts."""
    return [
        types.Prompt(
            name=name,
            description=prompt.description,
            arguments=[
                types.PromptArgument(name=argument, description=description, required=True)
                for argument, description in prompt.arguments.items()
            ],
        )
        for name, prompt in _PROMPTS.items()
    ]


def get_prompt(name: str, arguments: Mapping[str, str]) -> types.GetPromptResult:
    """Return a prompt with its arguments filled in. Raises InputError."""
    prompt = _PROMPTS.get(name)
    if prompt is None:
        raise InputError(
            f"There is no prompt {name!r}.", remedy=f"Use one of: {', '.join(_PROMPTS)}."
        )
    missing = [argument for argument in prompt.arguments if not arguments.get(argument)]
    if missing:
        raise InputError(f"{name} needs {missing[0]!r}.", remedy=prompt.arguments[missing[0]] + ".")
    text = prompt.text.format_map({key: arguments[key] for key in prompt.arguments})
    message = types.PromptMessage(role="user", content=types.TextContent(type="text", text=text))
    return types.GetPromptResult(description=prompt.description, messages=[message])
