"""The models of trials that lost are taken away, unless somebody uses them."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.modelops.test_training import School

from agent_orchestrator.agents.infrastructure.modelops.backends.local import LocalBackend
from agent_orchestrator.agents.infrastructure.modelops.training.trial_models import TrialModels
from agent_orchestrator.domain.jobs import Job
from agent_orchestrator.errors import UnavailableError

MODEL = "local/code-chef-code-review-1-r1t1"


class Shop:
    """A trial's model on this machine, and what the Hub was asked to delete."""

    def __init__(self, folder: Path) -> None:
        self.school = School(folder)
        self.artifacts = folder / "artifacts"
        self.model = self.artifacts / MODEL
        (self.model / "deep").mkdir(parents=True)
        (self.model / "deep" / "model.safetensors").write_bytes(b"x")
        self.deleted: list[str] = []
        self.down = False
        local = LocalBackend(
            jobs_dir=folder / "jobs",
            artifacts_dir=self.artifacts,
            trainer_python=folder / "python",
            environment={},
        )
        self.models = TrialModels({"local": local}, self.school.catalogue, self._delete)

    def _delete(self, model: str) -> None:
        if self.down:
            raise UnavailableError("The Hub does not answer.")
        self.deleted.append(model)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Return a shop."""
    return Shop(tmp_path)


def trial(**changes: Any) -> Job:
    """Return a completed trial."""
    given: Mapping[str, Any] = {
        "id": "job_1-r1t1",
        "kind": "trial",
        "agent": "code_review",
        "status": "completed",
        "backend": "local",
        "request": {"hub_repo": MODEL, "search": "job_1"},
        "requester": "ada",
        "created_at": 1.0,
        "updated_at": 2.0,
        "result": {"manifest": {}},
        **changes,
    }
    return Job(**given)


def test_a_model_on_this_machine_is_removed(shop: Shop):
    """Whole, nothing hidden is left of it, and once more does no harm."""
    assert shop.models.discard(trial())
    assert not list(shop.model.parent.iterdir())
    assert shop.models.discard(trial())
    assert shop.deleted == []


def test_a_model_that_is_a_version_stays(shop: Shop):
    """Somebody has registered it."""
    shop.school.registry.add_model_version("cicd", model_id=MODEL)
    assert not shop.models.discard(trial())
    assert shop.model.is_dir()


def test_a_model_that_was_pushed_is_deleted_on_the_hub(shop: Shop):
    """A service that is down is logged, and the model is still there for all that is known."""
    pushed = trial(result={"manifest": {"hub_url": f"https://hub/{MODEL}"}}, backend="hf_jobs")
    assert shop.models.discard(pushed)
    assert shop.deleted == [MODEL]


def test_what_cannot_be_removed_now_stays(shop: Shop, caplog: pytest.LogCaptureFixture):
    """That is logged, with the model's name."""
    shop.down = True
    pushed = trial(result={"manifest": {"hub_url": f"https://hub/{MODEL}"}})
    with caplog.at_level(logging.WARNING):
        assert not shop.models.discard(pushed)
    assert MODEL in caplog.text


def test_a_trial_that_made_no_model_has_none(shop: Shop):
    """It failed."""
    assert shop.models.discard(trial(status="failed", result=None))
    assert shop.model.is_dir()
