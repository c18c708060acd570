"""The scores of an evaluation in a model's card on the Hub."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.doubles.hub import USER, WRITE, HubDouble

from agent_orchestrator.agents.infrastructure.modelops.hub.card import publish_scores
from agent_orchestrator.agents.infrastructure.modelops.hub.client import Hub
from agent_orchestrator.domain.models import EvalScores
from agent_orchestrator.errors import UnavailableError

MODEL = f"{USER}/better"
CARD = """---
library_name: "transformers"
base_model: "acme/tiny"
base_model_relation: "finetune"
license: "mit"
---

# better

A fine-tune of acme/tiny.
"""
SCORES = EvalScores(accuracy=0.9, token_efficiency=0.5, avg_latency_ms=12.0, n_examples=40)


@pytest.fixture
def hub() -> Iterator[HubDouble]:
    """Return a Hub that has the model."""
    with HubDouble() as double:
        double.repos.add("model", MODEL, {"README.md": CARD}, private=True)
        yield double


def test_scores_stand_in_the_card_beside_what_was_there(hub: HubDouble):
    """Only what was measured, by its data set; a later evaluation replaces them."""
    ours = Hub(WRITE, hub.url)
    assert publish_scores(ours, MODEL, SCORES, "reviews-1")
    repo = hub.repos.get("model", MODEL)
    card = repo.page()["cardData"]
    assert (card["base_model"], card["license"]) == ("acme/tiny", "mit")
    assert card["metrics"] == ["accuracy", "token_efficiency"]
    (entry,) = card["model-index"]
    (result,) = entry["results"]
    assert result["dataset"]["name"] == "reviews-1"
    assert {one["type"]: one["value"] for one in result["metrics"]} == {
        "accuracy": 0.9,
        "token_efficiency": 0.5,
    }
    assert "A fine-tune of acme/tiny." in repo.files["README.md"].content.decode()
    commits = len(repo.commits)
    publish_scores(ours, MODEL, SCORES, "reviews-1")
    assert len(repo.commits) == commits
    publish_scores(ours, MODEL, EvalScores(accuracy=0.7), "reviews-2")
    assert repo.page()["cardData"]["metrics"] == ["accuracy"]


def test_a_model_that_was_not_pushed_has_no_card_to_change(hub: HubDouble):
    """Nor one whose repository has none; and nothing measured is nothing to say."""
    ours = Hub(WRITE, hub.url)
    hub.repos.add("model", f"{USER}/bare")
    assert not publish_scores(ours, f"{USER}/absent", SCORES, "reviews-1")
    assert not publish_scores(ours, f"{USER}/bare", SCORES, "reviews-1")
    assert not publish_scores(ours, MODEL, EvalScores(), "reviews-1")
    assert not hub.seen("POST", "/commit/")


def test_a_hub_that_fails_is_not_taken_for_one_without_the_model(hub: HubDouble):
    """It may be tried again."""
    hub.fail(None, path="/resolve/", times=99)
    with pytest.raises(UnavailableError):
        publish_scores(Hub(WRITE, hub.url), MODEL, SCORES, "reviews-1")
