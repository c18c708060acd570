"""A program: an installation to drive from outside, where training is real and takes seconds.

    python -m tests.doubles.training_ground FOLDER

It makes the installation under FOLDER, serves models, a Hub and a tracker until its input ends,
and prints one line of JSON once it is ready: ``variables`` (the environment of ``chef``),
``tokens`` (of the API, by name), ``gateway_token``, ``examples`` (a source for ``build_dataset``),
``bad_model`` (a model id in the catalogue that passes smoke tests and fails at the agent's work),
``hub_base`` (a base model that the Hub trains for a price; every price waits for an approval),
``calls`` (what the model of cicd calls a tool for) and ``issues`` (the file of those that cicd has
opened).
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from tests.doubles import mcp_tracker, workshop
from tests.doubles.complaints import mostly_wrong
from tests.doubles.hub import USER, WRITE, HubDouble
from tests.doubles.hub_workshop import publish, really_run
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.ports import free_neighbours
from tests.doubles.tool_caller import ToolCaller
from tests.doubles.workspace import Workspace

from agent_orchestrator.domain.roles import Role
from agent_orchestrator.stores.access_tokens import AccessTokens

_PEOPLE: dict[str, Role] = {
    "ada": "operator",
    "bob": "approver",
    "grace": "admin",
    "victor": "viewer",
}
_BAD = "acme/broken"
_HUB_BASE = "acme/tiny"
_AGENT = "cicd"
_OPEN_ISSUE = "Open an issue about the failing build"
_BUILD_DATASET = "Make a data set of the errors"
_GATEWAY_TOKEN = "a-token-for-the-tests-of-the-editor"


def _prepared(folder: Path) -> Workspace:
    folder.mkdir(parents=True, exist_ok=True)
    workspace = Workspace(folder, {"MODELOPS_DEFAULT_BASE_MODEL": "local/tiny-code"})
    gateway = free_neighbours()
    workspace.variables |= {
        "CHEF_TRAINER_PYTHON": str(workshop.trainer_python()),
        "CHEF_GATEWAY_PORT": str(gateway),
        "CHEF_API_PORT": str(gateway + 1),
        "CHEF_GATEWAY_TOKEN": _GATEWAY_TOKEN,
        "OMP_NUM_THREADS": "1",
    }
    base = workshop.tiny_base(folder)
    shutil.copytree(base, workspace.state / "artifacts" / "local" / "tiny-code")
    _set_prices(workspace.config / "modelops" / "training_defaults.yaml")
    return workspace


def _set_prices(defaults: Path) -> None:
    """Have a training of seconds cost cents on a rented machine, and cents need an approval."""
    values = YAML().load(defaults)
    values["limits"]["approval_above_usd"] = 0
    for machine in values["hardware"]:
        machine["usd_per_hour"] *= 100
    values["presets"]["hub-tiny"] = {**values["presets"]["tiny-code"], "base_model": _HUB_BASE}
    YAML().dump(values, defaults)


def _rents_machines(hub: HubDouble, workspace: Workspace) -> dict[str, str]:
    """Have the Hub train on this machine; return what lets ``chef`` use it."""
    base = workspace.folder / "tiny-base"
    (base / "README.md").write_text("---\nlicense: apache-2.0\n---\n", encoding="utf-8")
    publish(hub, _HUB_BASE, base)
    really_run(hub, workspace.folder)
    home = {"HF_HOME": str(workspace.folder / "hf-home")}
    allowed = {"HUGGINGFACE_JOBS_ENABLED": "true", "MODELOPS_HUB_ORG": USER}
    return hub.environment(WRITE) | home | allowed


def _calls_tools(folder: Path) -> ToolCaller:
    """Return a model for an agent with a tracker, and for a chat with our tools."""
    issue = {"title": "The build of main fails"}
    source = {"agent": "feature_dev", "source": str(folder / "errors.jsonl")}
    return ToolCaller(
        _AGENT,
        {
            _OPEN_ISSUE: ("tracker_create_issue", issue),
            _BUILD_DATASET: ("codechef_build_dataset", source),
        },
    )


def _lend_tracker(workspace: Workspace, url: str) -> None:
    mapping = {
        "servers": {"tracker": {"transport": "http", "url": url}},
        "agents": {_AGENT: {"tracker": {"tools": ["create_issue"]}}},
    }
    YAML().dump(mapping, workspace.config / "mcp-agent-tool-mapping.yaml")


def _fails_at_work(body: Mapping[str, Any]) -> Reply:
    return Reply(status=500) if "defect" in json.dumps(body["messages"]) else Reply("ok")


async def main(folder: Path, hub: HubDouble) -> None:
    """Serve until the input ends."""
    workspace = await asyncio.to_thread(_prepared, folder)
    tokens = AccessTokens(workspace.settings().api_tokens_file)
    bearers = {name: tokens.add(name, role, 0.0) for name, role in _PEOPLE.items()}
    issues = folder / "issues"
    os.environ["TRACKER_FILE"] = str(issues)
    async with (
        OpenAIServer(_calls_tools(folder)) as caller,
        mostly_wrong(workspace, supervisor=caller.url, **{_AGENT: caller.url}) as examples,
        OpenAIServer(_fails_at_work, models=(_BAD,)) as broken,
        mcp_tracker.served() as tracker,
    ):
        _lend_tracker(workspace, tracker)
        workspace.variables |= _rents_machines(hub, workspace)
        with workspace.models_yaml.open("a", encoding="utf-8") as catalogue:
            catalogue.write(f'  {_BAD}: {{provider: self_hosted, endpoints: ["{broken.url}"]}}\n')
        ready = {
            "variables": {**workspace.variables, "PATH": os.environ["PATH"]},
            "tokens": bearers,
            "gateway_token": _GATEWAY_TOKEN,
            "examples": str(examples),
            "bad_model": _BAD,
            "hub_base": _HUB_BASE,
            "calls": {"open_issue": _OPEN_ISSUE, "build_dataset": _BUILD_DATASET},
            "issues": str(issues),
        }
        print(json.dumps(ready), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    with HubDouble() as hub:
        asyncio.run(main(Path(sys.argv[1]), hub))
