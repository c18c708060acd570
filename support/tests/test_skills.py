"""Skills: well formed, loaded on demand, their commands run, their scenarios played."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import httpx
import pytest
from pydantic import BaseModel, ConfigDict, Field
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.ports import free_neighbours
from tests.doubles.workspace import Workspace, eventually
from tests.test_docs import script_of, serving

from agent_orchestrator.agents._shared.skills import Skills, skills_folder
from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.errors import NotFoundError, SettingsError
from agent_orchestrator.settings import own_python
from agent_orchestrator.stores.defaults import load_document
from agent_orchestrator.stores.gateways import running_gateways
from agent_orchestrator.stores.models_yaml import ModelsYaml

NAME: Final = "model-deployment-monitoring"
FOLDER: Final = skills_folder() / NAME
SCENARIOS: Final = sorted(FOLDER.glob("scenarios/*.yaml"))
ROUND: Final = 40
MOST_ROUNDS: Final = 40


@dataclass(frozen=True)
class Candidate:
    """What the model that is to be deployed does."""

    text: str = "looks good"
    """To a task."""
    review: str = "{}"
    """To a task of the traffic, which asks for a review as JSON."""
    hello: str | None = None
    """To who only says hello."""
    latency: float = 0.0
    """Seconds."""

    def __call__(self, body: Mapping[str, Any]) -> Reply:
        """Answer like the server of the double."""
        asked = str(body["messages"][-1].get("content"))
        text = self.text
        if "Review:" in asked:
            text = self.review
        elif asked.lower() == "hello" and self.hello is not None:
            text = self.hello
        return Reply(text, latency=self.latency)


class Scenario(BaseModel):
    """A situation, and where the two ways lead."""

    model_config = ConfigDict(extra="forbid")

    task: str
    pressure: str
    patterns: list[int]
    candidate: Candidate = Candidate()
    recommendation: str = "deploy"
    """Of the evaluation of v1.0.0."""
    traffic: int | Literal["until_settled"] | None = None
    gateway: bool = False
    without: str
    with_skill: str = Field(alias="with")
    shows: dict[Literal["without", "with"], dict[str, Any]]
    lesson: str


# -- loading --------------------------------------------------------------------------------------


def test_a_skill_is_known_by_its_name_and_description_before_it_is_loaded() -> None:
    """What an agent carries along is a line; the body comes when it is asked for."""
    skills = Skills(skills_folder())
    skill = skills.all[NAME]
    assert len(skill.description) < len(skills.load(NAME)) / 10
    assert skills.load(NAME).startswith("# Deploying a model")
    assert "Six situations" in skills.load(NAME, "reference/scenarios.md")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../..", "/etc", f"{NAME}/..", f"{NAME}/reference", "no-such-skill"]
)
def test_a_name_is_no_path(name: str) -> None:
    """Only the names that were found are loaded, of skills and of their pages."""
    skills = Skills(skills_folder())
    with pytest.raises(NotFoundError, match=f"There are: {NAME}"):
        skills.load(name)
    page = name or "../SKILL.md"
    with pytest.raises(NotFoundError, match=r"It has: SKILL\.md"):
        skills.load(NAME, page)


@pytest.mark.parametrize(
    "text",
    [
        "# no front matter",
        "---\nname: a\n---\n",
        "---\nname: A b\ndescription: x\n---\n",
        "---\nname: other\ndescription: x\n---\n",
        "---\nname: a\ndescription: x\nallowed: yes\n---\n",
        "---\nname: [\n---\n",
    ],
)
def test_a_skill_that_is_not_well_formed_is_named(tmp_path: Path, text: str) -> None:
    """The file and what it lacks, instead of a skill that is silently missing."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "SKILL.md").write_text(text)
    with pytest.raises(SettingsError, match=r"SKILL\.md"):
        Skills(tmp_path)


# -- the skill says what it must ------------------------------------------------------------------


def test_each_of_the_seven_patterns_has_a_command_that_is_run() -> None:
    """The heading of a pattern is followed by a marked block before the next one."""
    text = (FOLDER / "SKILL.md").read_text()
    sections = re.split(r"^### (\d)\. ", text.split("\n## Excuses")[0], flags=re.MULTILINE)[1:]
    found = dict(zip(sections[::2], sections[1::2], strict=True))
    assert list(found) == list("1234567")
    assert all("<!-- runs in CI -->\n```bash\n" in section for section in found.values())


def test_every_pattern_is_played_by_a_scenario() -> None:
    """Six situations, and none of the seven patterns without one."""
    scenarios = [load_document(path, Scenario) for path in SCENARIOS]
    assert len(scenarios) == 6
    assert {pattern for s in scenarios for pattern in s.patterns} == set(range(1, 8))


# -- its commands ---------------------------------------------------------------------------------


@dataclass
class Played:
    """An installation in which ``acme/stable`` serves and ``acme/candidate`` is v1.0.0."""

    workspace: Workspace
    gateway: str | None

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a script in one shell that stops at the first failure."""
        path = f"{Path(own_python()).parent}{os.pathsep}{self.workspace.variables['PATH']}"
        own = {"PATH": path, "CHEF_GATEWAY_TOKEN": "token-of-the-docs"}
        if self.gateway:
            script = script.replace("http://127.0.0.1:8130", self.gateway)
        return subprocess.run(
            ["bash", "-c", f"set -euo pipefail\n{script}"],
            env=self.workspace.variables | own,
            capture_output=True,
            check=False,
            text=True,
            cwd=self.workspace.folder,
        )

    def json(self, command: str) -> Any:
        """Return what a command says."""
        done = self.run(f"{command} --json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    async def broken_answers(self, requests: int, start: int) -> int:
        """Ask for reviews as JSON; return how many answers are none."""
        body = {
            "model": "agent/code_review",
            "messages": [{"role": "user", "content": "Review: x = 1"}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "review", "schema": {"type": "object"}},
            },
        }
        broken = 0
        headers = {"Authorization": "Bearer token-of-the-docs"}
        async with httpx.AsyncClient(base_url=self.gateway or "", headers=headers) as client:
            for number in range(start, start + requests):
                answer = await client.post(
                    "/v1/chat/completions",
                    json=body,
                    headers={"X-Task-Id": f"t{number}"},
                    timeout=60,
                )
                answer.raise_for_status()
                broken += answer.json()["choices"][0]["message"]["content"] != "{}"
        return broken


@asynccontextmanager
async def played(
    folder: Path, candidate: Candidate, *, recommendation: str, gateways: bool
) -> AsyncIterator[Played]:
    """Make the installation, with gateways and timer where they are needed."""
    names = ("acme/stable", "acme/candidate", "acme/unknown")
    async with (
        OpenAIServer(Candidate(), models=names) as stable,
        OpenAIServer(candidate, models=names) as other,
    ):
        workspace, port = Workspace(folder), free_neighbours()
        workspace.serve_elsewhere(code_review=stable.url)
        text = workspace.models_yaml.read_text().replace("acme/code_review", "acme/stable")
        entry = f'{{provider: self_hosted, endpoints: ["{other.url}"]}}'
        more = "".join(f"  {name}: {entry}\n" for name in names[1:])
        workspace.models_yaml.write_text(text + more)
        registry = ModelRegistry(workspace.settings().registry_json)
        registry.add_model_version("code_review", model_id="acme/candidate")
        scores = {"accuracy": 0.9, "recommendation": recommendation}
        registry.update_evaluation_scores("code_review", "v1.0.0", scores)
        registry.add_model_version("documentation", model_id="acme/unknown")
        with serving(workspace, port) if gateways else nullcontext():
            if gateways:
                where = workspace.settings().gateways_dir
                await eventually(lambda: len(running_gateways(where)) == 2)
            yield Played(workspace, f"http://127.0.0.1:{port}" if gateways else None)


@pytest.mark.slow
async def test_the_commands_of_the_skill_work(tmp_path: Path) -> None:
    """One shell runs them in their order, and stops at the first that fails."""
    async with played(tmp_path, Candidate(), recommendation="deploy", gateways=True) as there:
        done = await asyncio.to_thread(there.run, script_of(FOLDER / "SKILL.md"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "It has not been evaluated" in done.stderr


# -- its scenarios --------------------------------------------------------------------------------


async def facts(there: Played, scenario: Scenario, code: int) -> dict[str, Any]:
    """Send the scenario's traffic, and return what came of the script."""
    found: dict[str, Any] = {"exit": code}
    if scenario.traffic == "until_settled":
        asked = broken = 0
        for _ in range(MOST_ROUNDS):
            broken += await there.broken_answers(ROUND, asked)
            asked += ROUND
            report = await asyncio.to_thread(there.json, "chef rollout code_review")
            if report["phase"] != "running":
                break
        found["broken_answers"] = (
            "all" if broken == asked else "few" if 0 < broken <= asked / 2 else broken
        )
    elif scenario.traffic is not None:
        await there.broken_answers(scenario.traffic, 0)
        report = await eventually(lambda: _with_latencies(there))
        compared = [arm for arm in report["arms"] if arm["latency_ms"]]
        found["latency_compared"] = len(compared) == 2
    found["serving"] = ModelsYaml(there.workspace.models_yaml).read().agent_models["code_review"]
    served = await asyncio.to_thread(there.json, "chef registry served code_review")
    found["recorded"] = bool(served)
    return found


def _with_latencies(there: Played) -> Any:
    """Return the rollout's report once its outcomes are stored, or at once where none runs."""
    report = there.json("chef rollout code_review")
    return report if all(arm["requests"] for arm in report["arms"]) else None


@pytest.mark.slow
@pytest.mark.parametrize("way", ["without", "with"])
@pytest.mark.parametrize("path", SCENARIOS, ids=lambda path: path.stem)
async def test_a_scenario_ends_as_it_says(
    tmp_path: Path, path: Path, way: Literal["without", "with"]
) -> None:
    """What the agent types that knows the skill, or does not, leads where the file says."""
    scenario = load_document(path, Scenario)
    script = scenario.without if way == "without" else scenario.with_skill
    async with played(
        tmp_path,
        scenario.candidate,
        recommendation=scenario.recommendation,
        gateways=scenario.gateway or scenario.traffic is not None,
    ) as there:
        done = await asyncio.to_thread(there.run, script)
        found = await facts(there, scenario, done.returncode)
    wanted = scenario.shows[way]
    assert {name: found.get(name) for name in wanted} == wanted, done.stdout + done.stderr
