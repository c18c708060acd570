"""The whole loop on this machine, through the doors a user has: ``make demo``.

A tiny model learns to name defects in functions of Python's standard library; a sentence asks for a
better one; it is trained, evaluated, given a share of real HTTP traffic and promoted on evidence.
Then a bad model is forced onto a canary and rolled back by itself.

Everything happens under ``.chef/demo`` on a copy of the configuration. The commands are those of
the ``chef`` command line; only the traffic and the drawing of the report are this script's own.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from demo_report import RolloutSample, Watch, write_demo_report
from demo_traffic import Function, Traffic, held_out_functions
from rich.console import Console
from rich.syntax import Syntax

from agent_orchestrator.agents.infrastructure.modelops.authorisation import Caller
from agent_orchestrator.agents.infrastructure.modelops.coordinator import Coordinator
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.stdlib_defects import (
    Row,
    shuffle_labels,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.usecases.rollouts import (
    RolloutReport,
    RolloutStatusRequest,
)
from agent_orchestrator.settings import load_settings
from agent_orchestrator.wiring.embedded import compose

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".chef" / "demo"
CONFIG = HOME / "config"
STATE = HOME / "state"
MODELS_YAML = CONFIG / "agents" / "models.yaml"
AGENT = "code_review"
BASE = "local/tiny-code"
DATASET = "stdlib-defects"
SENTENCE = (
    "@chef The code_review agent misses too many defects. "
    "Train it better with the stdlib-defects data set, demo run"
)
OVERRIDE = "Rehearsal of a model that only fails in production."
BASELINE_EXAMPLES = "700"
BAD_EXAMPLES = "1200"

console = Console(highlight=False)


class DemoError(Exception):
    """Something the demo promises did not happen."""


@dataclass
class Story:
    """What happened, for the summary and the report."""

    started: float = field(default_factory=time.monotonic)
    steps: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Announce a step and time it."""
        console.print()
        console.rule(f"[bold]{len(self.steps) + 1}. {title}", align="left")
        begun = time.monotonic()
        yield
        seconds = time.monotonic() - begun
        self.steps.append({"title": title, "seconds": round(seconds, 2)})


def main() -> int:
    """Run the demo; return 0 when everything that it promises has happened."""
    story = Story()
    gateway = prepare_workspace()
    with serving():
        build_data(story)
        train_baseline(story)
        train_candidate(story)
        promote_on_evidence(story, gateway)
        roll_back_on_evidence(story, gateway)
        story.facts["audit"] = chef_json("audit", "--limit", "200")
        story.facts["models"] = chef_json("models", AGENT)
        story.facts["status"] = chef_json("status")
    return conclude(story)


# -- the workspace ---------------------------------------------------------------------------------


def prepare_workspace() -> Traffic:
    """Make the demo's own configuration and state; return a client of its gateway."""
    shutil.rmtree(HOME, ignore_errors=True)
    shutil.copytree(ROOT / "config", CONFIG, ignore=shutil.ignore_patterns(".*", "models"))
    policy = ROOT / "support" / "data" / "demo" / "rollout_defaults.yaml"
    shutil.copy(policy, CONFIG / "modelops" / policy.name)
    STATE.mkdir(parents=True)
    token, port = os.urandom(16).hex(), _free_port()
    os.environ.update(
        CHEF_CONFIG=str(CONFIG),
        CHEF_STATE=str(STATE),
        CHEF_GATEWAY_PORT=str(port),
        CHEF_GATEWAY_TOKEN=token,
        CHEF_TRAINER_PYTHON=str(ROOT / ".venv-trainer" / "bin" / "python"),
        CHEF_TIMER_SECONDS="0.2",
    )
    return Traffic(f"http://127.0.0.1:{port}", token)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def serving() -> Iterator[None]:
    """Run ``chef serve`` for as long as the block takes."""
    with (STATE / "serve.log").open("wb") as log:
        process = subprocess.Popen([*CHEF, "serve", "--no-api"], stdout=log, stderr=log)
        try:
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


# -- chef ------------------------------------------------------------------------------------------

CHEF = (str(ROOT / ".venv" / "bin" / "chef"),)


def chef(*arguments: str, expect: int = 0) -> None:
    """Run a command as a user would, its output on the terminal."""
    shown = " ".join(f'"{a}"' if " " in a else a for a in arguments)
    console.print(f"[bold cyan]$ chef {shown}[/]", soft_wrap=True)
    code = subprocess.run([*CHEF, *arguments], check=False).returncode
    if code != expect:
        raise DemoError(f"`chef {shown}` ended with exit code {code}, not {expect}.")


def chef_json(*arguments: str, expect: int = 0) -> Any:
    """Run a command for its JSON."""
    done = subprocess.run([*CHEF, *arguments, "--json"], check=False, capture_output=True)
    if done.returncode != expect:
        raise DemoError(f"`chef {' '.join(arguments)}`: {done.stderr.decode().strip()}")
    return json.loads(done.stdout)


# -- the steps -------------------------------------------------------------------------------------


def build_data(story: Story) -> None:
    """Functions of the standard library with one planted defect each, and a tiny base model."""
    with story.step("A data set from the standard library of this Python"):
        chef("build-dataset", AGENT, "--source", DATASET)
    with story.step("A tiny base model, made on the spot"):
        dataset = DatasetStore(STATE / "datasets").get(DATASET)
        story.facts["dataset"] = {"id": dataset.id, "counts": dataset.counts, "hash": dataset.hash}
        make_base_model(dataset.folder)


def make_base_model(dataset: Path) -> None:
    """Make a tokenizer and an untrained model from the training functions."""
    corpus = STATE / "corpus.jsonl"
    with corpus.open("w", encoding="utf-8") as file:
        for line in (dataset / "train.jsonl").read_bytes().splitlines():
            file.write(json.dumps({"text": json.loads(line)["inputs"]["task"]}) + "\n")
    python = ROOT / ".venv-trainer" / "bin" / "python"
    module = "agent_orchestrator.trainer.tiny_base"
    arguments = ("--corpus", str(corpus), "--output", str(STATE / "artifacts" / BASE))
    subprocess.run([python, "-m", module, *arguments], check=True, stderr=subprocess.DEVNULL)


def train_baseline(story: Story) -> None:
    """v1.0.0: the base, trained on a small share of the data, serving all traffic."""
    with story.step("v1.0.0, trained on a small share of the data, serves"):
        chef("train", AGENT, "--dataset", DATASET, "--base-model", BASE, "--mode", "demo",
             "--max-examples", BASELINE_EXAMPLES, "--wait")  # fmt: skip
        chef(
            "evaluate", AGENT, "--baseline", "none", "--max-examples", "48", "--no-cache", "--wait"
        )
        chef("deploy", AGENT, "--strategy", "immediate", "--yes")
        wait_for_phase("promoted", 60)


def train_candidate(story: Story) -> None:
    """The sentence; then candidate against baseline on the held-out functions."""
    with story.step("A sentence asks for a better model"):
        chef("ask", SENTENCE, "--yes", "--wait")
        story.facts |= {"sentence": SENTENCE, "training": newest_job()}
    with story.step("Candidate against baseline on the same held-out functions"):
        chef("evaluate", AGENT, "--no-cache", "--wait")
        story.facts["evaluation"] = newest_job()


def promote_on_evidence(story: Story, traffic: Traffic) -> None:
    """A canary of the candidate: 20 → 50 → 100 % by the verdicts on real HTTP requests."""
    with story.step("A canary: real requests decide about 20 → 50 → 100 %"):
        story.facts["canary_plan"] = plan_canary("canary", *accuracies(story))
        before = MODELS_YAML.read_text(encoding="utf-8")
        chef("deploy", AGENT, "--strategy", "canary", "--yes")
        show_diff(before, MODELS_YAML.read_text(encoding="utf-8"))
        story.facts["canary"] = watch(traffic, until="promoted", limit_s=240)
        chef("rollout", AGENT)


def roll_back_on_evidence(story: Story, traffic: Traffic) -> None:
    """A model trained on shuffled labels: blocked by its evaluation, forced, rolled back."""
    with story.step("A bad model: trained on shuffled labels, its evaluation says reject"):
        shuffled = write_shuffled_labels()
        chef("build-dataset", AGENT, "--source", str(shuffled), "--name", "shuffled-labels")
        chef("train", AGENT, "--dataset", "shuffled-labels", "--base-model", BASE, "--mode", "demo",
             "--max-examples", BAD_EXAMPLES, "--wait")  # fmt: skip
        chef(
            "evaluate", AGENT, "--dataset", DATASET, "--max-examples", "160", "--no-cache", "--wait"
        )
        story.facts["bad_evaluation"] = newest_job()
        chef("deploy", AGENT, "--strategy", "canary", expect=1)
    with story.step("An approver lets it through; the traffic's verdict rolls it back"):
        rates = accuracies(story, "bad_evaluation")
        story.facts["bad_canary_plan"] = plan_canary("bad-canary", *rates)
        asked = chef_json("deploy", AGENT, "--strategy", "canary", "--override-reason", OVERRIDE,
                          expect=3)  # fmt: skip
        chef("approvals")
        chef("approve", asked["approval_id"], "--reason", OVERRIDE)
        story.facts["bad_canary"] = watch(traffic, until="rolled_back", limit_s=240)
        chef("rollout", AGENT)
        chef("status")


def accuracies(story: Story, evaluation: str = "evaluation") -> tuple[float, float]:
    """Return what baseline and candidate got right in an evaluation."""
    scores = story.facts[evaluation]["result"]["evaluation"]["scores"]
    return scores["baseline"]["accuracy"], scores["candidate"]["accuracy"]


def plan_canary(name: str, stable: float, candidate: float) -> str:
    """Simulate the canary that these rates would make; return the picture, SVG."""
    picture = STATE / f"{name}-plan.svg"
    chef("simulate", "canary", "--stable-rate", f"{stable:.3f}", "--candidate-rate",
         f"{candidate:.3f}", "--weight", "20", "--guardrails", "4", "--max-requests", "500",
         "--runs", "300", "--plot", str(picture))  # fmt: skip
    return picture.read_text(encoding="utf-8")


# -- watching --------------------------------------------------------------------------------------


def watch(traffic: Traffic, *, until: str, limit_s: float) -> Watch:
    """Send real traffic until the rollout has ended by itself."""
    coordinator = compose(load_settings()).coordinator
    functions = held_out_functions(DatasetStore(STATE / "datasets").get(DATASET).folder, seed=1)
    before, failed = traffic.requests, traffic.failed
    samples: list[RolloutSample] = []
    console.print("real requests to the gateway, each answer judged by the planted defect:")
    report = asyncio.run(_watch(coordinator, traffic, functions, samples, limit_s))
    if report.phase != until:
        raise DemoError(f"The rollout ended as {report.phase}, not {until}: {report.reason}")
    ended = report.decisions[-1].at
    return Watch(
        report=report,
        samples=samples,
        requests=traffic.requests - before,
        failed=traffic.failed - failed,
        candidate_requests=next(arm.requests for arm in report.arms if arm.arm == "candidate"),
        seconds=ended - report.decisions[0].at,
    )


async def _watch(
    coordinator: Coordinator,
    traffic: Traffic,
    functions: list[Function],
    samples: list[RolloutSample],
    limit_s: float,
) -> RolloutReport:
    report = await rollout(coordinator)

    async def follow() -> None:
        nonlocal report
        told = 0
        while report.phase in {"running", "guard"}:
            report = await rollout(coordinator)
            samples.append(RolloutSample.of(report, time.time()))
            for decision in report.decisions[told:]:
                console.print(f"  [bold]{decision.actor}[/]: {decision.message}")
            told = len(report.decisions)
            await asyncio.sleep(0.5)

    following = asyncio.create_task(follow())
    await traffic.run(functions, following.done, limit_s)
    await following
    return report


async def rollout(coordinator: Coordinator) -> RolloutReport:
    """Return how the agent's rollout stands."""
    request = RolloutStatusRequest(agent=AGENT)
    report = await coordinator.run("rollout_status", request, Caller("demo", "script", "viewer"))
    if not isinstance(report, RolloutReport):
        raise TypeError(f"rollout_status returned {type(report).__name__}.")
    return report


def wait_for_phase(phase: str, limit_s: float) -> None:
    """Wait until the timer has brought the agent's rollout there."""
    coordinator = compose(load_settings()).coordinator
    deadline = time.monotonic() + limit_s
    while asyncio.run(rollout(coordinator)).phase != phase:
        if time.monotonic() > deadline:
            raise DemoError(f"The rollout did not become {phase} within {limit_s:.0f} s.")
        time.sleep(0.2)


def newest_job() -> dict[str, Any]:
    """Return the agent's newest job."""
    job: dict[str, Any] = chef_json("jobs", "--agent", AGENT, "--limit", "1")[0]
    return job


def show_diff(before: str, after: str) -> None:
    """Show what changed in models.yaml."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), "models.yaml", n=1)
    text = "\n".join(line.rstrip() for line in lines)
    console.print(Syntax(text, "diff", theme="ansi_dark", word_wrap=True))


def write_shuffled_labels() -> Path:
    """Write the training functions with each other's labels, as a user's JSONL file."""
    lines = (DatasetStore(STATE / "datasets").get(DATASET).folder / "train.jsonl").read_bytes()
    rows: list[Row] = [json.loads(line) for line in lines.splitlines()]
    for number, row in enumerate(rows):
        row["id"] = f"shuffled-{number}"
    rows = shuffle_labels(rows, seed=3)
    path = STATE / "shuffled.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# -- the end ---------------------------------------------------------------------------------------


def conclude(story: Story) -> int:
    """Write summary and report; return 0 when everything that the demo promises has happened."""
    facts = story.facts
    evaluation = facts["evaluation"]["result"]["evaluation"]
    good, bad = facts["canary"], facts["bad_canary"]
    summary = {
        "baseline_accuracy": evaluation["scores"]["baseline"]["accuracy"],
        "candidate_accuracy": evaluation["scores"]["candidate"]["accuracy"],
        "improvement_pct": evaluation["improvement_pct"],
        "recommendation": evaluation["recommendation"],
        "n_examples": evaluation["n_examples"],
        "steps": story.steps,
        "requests_served": good.requests + bad.requests,
        "failed_requests": good.failed + bad.failed,
        "bad_model": {
            "rolled_back": bad.report.phase == "rolled_back",
            "candidate_requests": bad.candidate_requests,
            "seconds": round(bad.seconds, 2),
        },
        "serving": serving_version(facts["status"]),
        "seconds_total": round(time.monotonic() - story.started, 1),
    }
    (HOME / "summary.json").write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    promises = {
        "the candidate is right on at least 90 % of 300 held-out functions": (
            summary["candidate_accuracy"] >= 0.90 and summary["n_examples"] >= 300
        ),
        "it is at least 15 points better than the baseline": (
            summary["candidate_accuracy"] - summary["baseline_accuracy"] >= 0.15
        ),
        "no request failed": summary["failed_requests"] == 0,
        "the bad model was rolled back by itself": summary["bad_model"]["rolled_back"],
        "the promoted model serves": summary["serving"] == facts["canary"].report.arms[1].version,
    }
    write_demo_report(HOME / "report.html", summary, promises, facts)
    console.print()
    console.rule("[bold]What happened", align="left")
    for promise, kept in promises.items():
        console.print(f"[{'green' if kept else 'red'}]{'yes' if kept else 'NO '}[/] {promise}")
    console.print(
        f"\nAccuracy {summary['baseline_accuracy']:.3f} → {summary['candidate_accuracy']:.3f}, "
        f"{summary['requests_served']} requests, bad model gone after "
        f"{bad.candidate_requests} of its requests ({bad.seconds:.1f} s), "
        f"{summary['seconds_total']:.0f} s in all."
    )
    console.print(f"Summary: {HOME / 'summary.json'}\nReport:  {HOME / 'report.html'}")
    return 0 if all(promises.values()) else 1


def serving_version(status: dict[str, Any]) -> str | None:
    """Return the version that serves the agent."""
    found: list[str | None] = [a["version"] for a in status["agents"] if a["agent"] == AGENT]
    return found[0]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except DemoError as error:
        console.print(f"[red]The demo failed:[/] {error}")
        sys.exit(1)
