"""``chef ask``: a sentence in; the use case, one question, or a no."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.cli.conftest import Chef
from tests.doubles.workspace import Workspace

from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import BuildDataset
from agent_orchestrator.agents.infrastructure.modelops.usecases.requests import (
    build_request,
    request_values,
)
from agent_orchestrator.domain.intents import Intent, parse
from agent_orchestrator.errors import InputError

SENTENCES = Path(__file__).resolve().parents[1] / "data" / "intents.jsonl"


@pytest.mark.parametrize(
    ("sentence", "document"),
    [
        (
            "train feature_dev with dpo",
            {
                "use_case": "train_subagent_model",
                "slots": {"agent": "feature_dev", "method": "dpo"},
                "clarify": None,
            },
        ),
        ("what is the weather", {"use_case": None, "slots": {}, "clarify": None}),
    ],
)
def test_a_dry_run_prints_what_was_understood(chef: Chef, sentence: str, document: dict[str, Any]):
    """The contract's three keys; exit code 0 also when it is nothing of ours."""
    done = chef("ask", "--dry-run", "--json", sentence)
    assert (done.code, done.json, done.err) == (0, document, "")


def test_a_dry_run_shows_the_question(chef: Chef):
    """``use_case`` is null while the answer is missing."""
    done = chef("ask", "--dry-run", "--json", "train", "it")
    assert done.json["use_case"] is None
    assert done.json["clarify"].startswith("Which agent")
    said = chef("ask", "--dry-run", "train it")
    assert (said.code, said.out) == (0, "")
    assert said.err.startswith("Which agent")
    assert chef("ask", "--dry-run", "hello").err == "Not a ModelOps request.\n"


def test_a_dry_run_touches_nothing(chef: Chef, workspace: Workspace):
    """It does not even look for the configuration."""
    workspace.config.rename(workspace.folder / "elsewhere")
    assert chef("ask", "--dry-run", "deploy v1.2.0 to docs").code == 0
    assert not workspace.state.exists()


def test_a_sentence_is_carried_out(chef: Chef):
    """As the command of that use case would be."""
    done = chef("ask", "--json", "list the models of cicd")
    assert (done.code, done.json["agent"]) == (0, "cicd")
    said = chef("ask", "list the models of cicd")
    assert "Understood: list_agent_models(agent=cicd)" in said.err
    assert said.out.startswith("cicd is served by qwen/")
    assert "Versions: none." in said.out


@pytest.mark.parametrize(
    ("sentence", "said"),
    [
        ("train it", "Which agent shall I train?"),
        ("what is the weather", "That is not a ModelOps request. Try 'train feature_dev'"),
    ],
)
def test_what_is_not_clear_is_bad_input(chef: Chef, sentence: str, said: str):
    """Exit code 2, one line; for machines one document."""
    done = chef("ask", sentence)
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1
    document = chef("ask", "--json", sentence).json
    assert (document["error"], document["message"][:10]) == ("InputError", said[:10])


def test_every_sentence_that_is_understood_makes_a_valid_request():
    """Every slot of every use case has its place among the request's fields."""
    made = 0
    for line in SENTENCES.read_text(encoding="utf-8").splitlines():
        intent = parse(json.loads(line)["text"])
        if intent.use_case is not None:
            build_request(intent.use_case, request_values(intent))
            made += 1
    assert made > 100


@pytest.mark.parametrize(
    ("intent", "expected"),
    [
        (Intent("build_dataset", {"dataset": "a.jsonl"}), {"source": "a.jsonl"}),
        (Intent("check_dataset", {"dataset": "a.jsonl"}), {"source": "a.jsonl"}),
        (Intent("show_dataset", {"dataset": "pairs-v1"}), {"name": "pairs-v1"}),
        (Intent("wake_endpoint", {"endpoint": "docs-v2"}), {"name": "docs-v2"}),
        (Intent("evaluate_model_vs_baseline", {"version": "v1.0.0"}), {"candidate": "v1.0.0"}),
        (Intent("evaluate_model_vs_baseline", {"model": "a/b"}), {"candidate": "a/b"}),
        (Intent("evaluate_model_vs_baseline", {}), {}),
        (Intent("deploy_model_to_agent", {"version": "v1.0.0"}), {"version": "v1.0.0"}),
    ],
)
def test_slots_become_the_requests_fields(intent: Intent, expected: dict[str, Any]):
    """Some use cases call them by other names."""
    assert request_values(intent) == expected


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("Train feature_dev on a data set of 500 examples", {"agent": "feature_dev"}),
        ("build a data set of 500 examples for docs", {"agent": "documentation"}),
        ("evaluate cicd v1.1.0 on 500 samples", {"agent": "cicd", "candidate": "v1.1.0"}),
        (
            "collect 500 successful traces for cicd",
            {"agent": "cicd", "filters": {"success": True}},
        ),
    ],
)
def test_a_wished_size_is_no_filter(sentence: str, expected: dict[str, Any]):
    """It is what every use case of examples calls ``max_examples``."""
    assert request_values(parse(sentence)) == {**expected, "max_examples": 500}


def test_the_last_days_are_those_since_a_date():
    """Examples of the last week are chosen by when they were made, and by nothing else."""
    intent = parse("assemble a dataset for CI/CD from the last 7 days, feedback at least 0.8")
    request = build_request("build_dataset", request_values(intent))
    assert isinstance(request, BuildDataset)
    filters = request.filters.selected()
    assert filters.since is not None
    assert timedelta(days=7) <= datetime.now(UTC) - filters.since < timedelta(days=9)
    assert filters.feedback_score == 0.8
    assert not filters.metadata


def test_a_slot_without_a_place_is_refused():
    """What a use case cannot take is said, not ignored."""
    with pytest.raises(InputError) as error:
        build_request("rollout_status", {"agent": "cicd", "percent": 50})
    assert error.value.message == "rollout_status takes no 'percent' (got 50)."
    assert error.value.remedy == "It takes agent."
