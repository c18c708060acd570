"""The model registry's contract, on a real file."""

import json
from pathlib import Path

import pytest

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry
from agent_orchestrator.domain.models import EvalScores, TrainingConfig
from agent_orchestrator.errors import (
    ConflictError,
    InputError,
    ModelIdError,
    VersionNotFoundError,
)

AGENT = "feature_dev"
CONFIG = {"base_model": "Qwen/Qwen2.5-Coder-7B", "training_dataset": "ds_1", "num_epochs": 2}


class Clock:
    """A clock that goes a second further at every look."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        """Return the time, seconds since the epoch."""
        self.now += 1
        return self.now


@pytest.fixture
def registry(tmp_path: Path) -> ModelRegistry:
    """Return an empty registry in a folder that is not there yet."""
    return ModelRegistry(tmp_path / "models" / "registry.json", clock=Clock())


def add(registry: ModelRegistry, *numbers: int) -> None:
    """Register that many versions of one agent."""
    for number in numbers:
        registry.add_model_version(AGENT, model_id=f"acme/m{number}", training_config=CONFIG)


def test_an_empty_registry_knows_nothing(registry: ModelRegistry) -> None:
    """Reading what is not there yet gives nothing and writes nothing."""
    assert registry.list_versions(AGENT) == []
    assert registry.get_current_model(AGENT) is None
    assert registry.get_canary_model(AGENT) is None
    assert registry.previous_version(AGENT) is None
    assert registry.read().revision == 0
    with pytest.raises(VersionNotFoundError, match="none yet"):
        registry.get_version(AGENT, "v1.0.0")
    with pytest.raises(InputError, match="Not an agent's name"):
        registry.list_versions("../x")


def test_a_version_is_kept_with_all_it_is_made_of(registry: ModelRegistry) -> None:
    """Everything given is stored, and the file is JSON of the documented schema."""
    made = registry.add_model_version(
        AGENT,
        model_id="acme/m1",
        training_config={**CONFIG, "warmup_ratio": 0.1, "extra": {"optimizer": "adamw"}},
        trained_at="2026-11-20T10:00:00+00:00",
        trained_by="ada",
        job_id="job_1",
        hub_repo="acme/m1",
        dataset_hash="d" * 64,
        weights_sha256="e" * 64,
        eval_scores={"accuracy": 0.9},
        tags=["demo", "demo"],
        changelog="first",
        notes="note",
    )
    assert made == registry.get_version(AGENT, "v1.0.0")
    assert made.content_id.startswith("20270115T0800")
    assert made.training_config is not None
    assert made.training_config.extra == {"optimizer": "adamw", "warmup_ratio": 0.1}
    assert made.tags == ("demo",)
    assert made.eval_scores is not None
    assert made.eval_scores.evaluated_at is not None
    path = registry._file.path
    data = json.loads(path.read_text())
    assert set(data) == {"schema_version", "created_at", "updated_at", "revision", "agents"}
    assert data["revision"] == 1
    record = data["agents"][AGENT]
    assert set(record) == {
        "agent_name", "current", "canary", "challengers", "history", "served",
    }  # fmt: skip
    assert record["history"][0]["training_config"]["base_model"] == "Qwen/Qwen2.5-Coder-7B"


def test_versions_count_up_by_themselves(registry: ModelRegistry) -> None:
    """Left out, the number is the next one; given, it is taken if it is free."""
    add(registry, 1, 2)
    patch = registry.add_model_version(AGENT, model_id="acme/m3", part="patch")
    major = registry.add_model_version(AGENT, model_id="acme/m4", version="v2.0.0-rc.1")
    after = registry.add_model_version(AGENT, model_id="acme/m5")
    assert [patch.version, major.version, after.version] == ["v1.1.1", "v2.0.0-rc.1", "v2.1.0"]
    newest = registry.list_versions(AGENT, limit=2)
    assert [version.version for version in newest] == ["v2.1.0", "v2.0.0-rc.1"]
    assert registry.list_versions(AGENT, limit=0) == []
    with pytest.raises(InputError, match="already has a version"):
        registry.add_model_version(AGENT, model_id="acme/m6", version="v2.1.0")
    with pytest.raises(InputError, match="Not a version"):
        registry.add_model_version(AGENT, model_id="acme/m6", version="2.1")
    with pytest.raises(InputError, match="Not a limit"):
        registry.list_versions(AGENT, limit=-1)


def test_what_a_job_made_is_registered_once(registry: ModelRegistry) -> None:
    """Registering a job's model again returns the version that is there."""
    first = registry.add_model_version(AGENT, model_id="acme/m1", job_id="job_1")
    again = registry.add_model_version(AGENT, model_id="acme/m1", job_id="job_1")
    assert again == first
    assert registry.read().revision == 1
    with pytest.raises(ConflictError, match="'job_1' is registered as v1"):
        registry.add_model_version(AGENT, model_id="acme/other", job_id="job_1")


def test_the_content_id_says_what_a_version_is_made_of(registry: ModelRegistry) -> None:
    """The same ingredients have the same hash, other ones another."""
    same = [registry.add_model_version(AGENT, model_id="acme/m1") for _ in range(2)]
    other = registry.add_model_version(AGENT, model_id="acme/m1", dataset_hash="x")
    hashes = [version.content_id.split("-")[1] for version in (*same, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert same[0].content_id != same[1].content_id


@pytest.mark.parametrize("model_id", ["../../etc/passwd", "a/b/c", "", "a b", "/etc", "a--b"])
def test_a_model_id_is_checked(registry: ModelRegistry, model_id: str) -> None:
    """What could become a path outside is refused, and nothing is written."""
    with pytest.raises(ModelIdError):
        registry.add_model_version(AGENT, model_id=model_id)
    assert not registry._file.path.exists()


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"training_dataset": "x"}, "training_config.base_model"),
        ({**CONFIG, "learning_rate": -1}, "training_config.learning_rate is '-1'"),
        ({**CONFIG, "learning_rate": float("nan")}, "training_config.learning_rate is nan"),
        ({**CONFIG, "training_method": "magic"}, "training_config.training_method is 'magic'"),
        ({**CONFIG, "other": {"deep": [float("inf")]}}, r"training_config.other.deep\[0\] is inf"),
        ({**CONFIG, "other": Path("x")}, "training_config.other is .*Use what JSON can say"),
    ],
)
def test_a_training_configuration_is_checked(
    registry: ModelRegistry, config: dict, says: str
) -> None:
    """A value that could not be true, or not be stored, is named."""
    with pytest.raises(InputError, match=says):
        registry.add_model_version(AGENT, model_id="acme/m", training_config=config)


def test_a_typed_configuration_is_taken_as_it_is(registry: ModelRegistry) -> None:
    """A TrainingConfig may be given in the place of a mapping."""
    config = TrainingConfig(base_model="acme/base", lora_rank=8)
    made = registry.add_model_version(AGENT, model_id="acme/m", training_config=config)
    assert made.training_config == config


@pytest.mark.parametrize(
    ("scores", "says"),
    [
        ({"accuracy": 1.01}, "eval_scores.accuracy is '1.01': less than or equal to 1"),
        ({"accuracy": -0.01}, "eval_scores.accuracy"),
        ({"avg_latency_ms": -1}, "eval_scores.avg_latency_ms"),
        ({"cost_per_1k_tokens": -1}, "eval_scores.cost_per_1k_tokens"),
        ({"accuracy": float("nan")}, "eval_scores.accuracy is nan"),
        ({"baseline_improvement_pct": float("inf")}, "eval_scores.baseline_improvement_pct is inf"),
        ({"accuracy": "good"}, "eval_scores.accuracy is 'good'"),
        ({"acuracy": 0.5}, "eval_scores.acuracy is '0.5'"),
    ],
)
def test_a_score_out_of_range_is_refused(registry: ModelRegistry, scores: dict, says: str) -> None:
    """Scores lie in 0..1, latency and cost are not negative, and none is invented."""
    add(registry, 1)
    with pytest.raises(InputError, match=says):
        registry.update_evaluation_scores(AGENT, "v1.0.0", scores)
    assert registry.get_version(AGENT, "v1.0.0").eval_scores is None


def test_scores_are_those_of_the_latest_evaluation(registry: ModelRegistry) -> None:
    """A new evaluation replaces the old one's numbers, so that none of them get mixed."""
    add(registry, 1)
    registry.update_evaluation_scores(AGENT, "v1.0.0", {"accuracy": 0.5, "token_efficiency": 0.4})
    scores = EvalScores(accuracy=0.75, evaluated_at="2026-11-20T10:00:00+00:00")
    assert registry.update_evaluation_scores(AGENT, "v1.0.0", scores).eval_scores == scores
    with pytest.raises(VersionNotFoundError, match=r"Known versions, newest first: v1\.0\.0"):
        registry.update_evaluation_scores(AGENT, "v9.0.0", scores)


def test_the_way_up_and_the_way_back(registry: ModelRegistry) -> None:
    """Current, canary, promotion and rollback, each read back from the file."""
    add(registry, 1, 2)
    assert registry.set_current_model(AGENT, "v1.0.0").deployment_status == "deployed"
    assert registry.set_canary_model(AGENT, "v1.1.0", 20).deployment_status == "canary_20pct"
    assert registry.get_canary_model(AGENT) == registry.get_version(AGENT, "v1.1.0")
    promoted = registry.promote_canary(AGENT)
    assert promoted == registry.get_current_model(AGENT)
    assert registry.list_versions(AGENT, status="archived")[0].version == "v1.0.0"
    before = registry.previous_version(AGENT)
    assert before is not None
    assert before.version == "v1.0.0"
    back = registry.rollback(AGENT)
    assert back is not None
    assert (back.version, back.deployment_status) == ("v1.0.0", "deployed")
    again = registry.rollback(AGENT, "v1.1.0")
    assert again is not None
    assert again.version == "v1.1.0"
    with pytest.raises(VersionNotFoundError):
        registry.rollback(AGENT, "v7.0.0")
    with pytest.raises(InputError, match="Not a deployment status"):
        registry.list_versions(AGENT, status="served")


def test_a_rolled_back_canary_without_a_registered_stable_model(registry: ModelRegistry) -> None:
    """Where the stable model is not registered, a rollback leaves no version current."""
    add(registry, 1)
    registry.set_canary_model(AGENT, "v1.0.0", 20)
    assert registry.rollback(AGENT) is None
    assert registry.get_version(AGENT, "v1.0.0").deployment_status == "archived"


def test_repeating_what_serves_writes_nothing(registry: ModelRegistry) -> None:
    """Saying what serves is absolute: recovery may say it again without a new revision."""
    add(registry, 1, 2)
    registry.set_serving(AGENT, current="v1.0.0", canary="v1.1.0", percent=20)
    revision = registry.read().revision
    registry.set_serving(AGENT, current="v1.0.0", canary="v1.1.0", percent=20)
    registry.set_serving("cicd", current=None, canary=None)
    assert registry.read().revision == revision
    assert "cicd" not in registry.read().agents


def test_labels_and_texts(registry: ModelRegistry) -> None:
    """Tags gather, notes and changelog are replaced one by one."""
    add(registry, 1)
    registry.add_tags(AGENT, "v1.0.0", "a", "b")
    assert registry.add_tags(AGENT, "v1.0.0", "b", "c").tags == ("a", "b", "c")
    registry.set_notes(AGENT, "v1.0.0", notes="n", changelog="c")
    version = registry.set_notes(AGENT, "v1.0.0", notes="m")
    assert (version.notes, version.changelog) == ("m", "c")


def test_challenger_retirement_lineage_and_comparison(registry: ModelRegistry) -> None:
    """The rest of a version's life: challenger, retired, its parents, its difference."""
    add(registry, 1)
    child = registry.add_model_version(
        AGENT,
        model_id="acme/m2",
        training_config={**CONFIG, "seed": 7},
        parent_version="v1.0.0",
    )
    assert [v.version for v in registry.lineage(AGENT, child.version)] == ["v1.1.0", "v1.0.0"]
    registry.set_status(AGENT, "v1.1.0", "challenger")
    assert registry.agent(AGENT).challengers == ("v1.1.0",)
    with pytest.raises(ConflictError, match="challenger"):
        registry.retire(AGENT, "v1.1.0")
    assert registry.retire(AGENT, "v1.0.0").deployment_status == "archived"
    diff = registry.compare_versions(AGENT, "v1.0.0", "v1.1.0")
    assert [(change.name, change.a, change.b) for change in diff.config] == [("seed", 0, 7)]


def test_an_error_in_a_change_leaves_the_file(registry: ModelRegistry) -> None:
    """When the function of an update raises, nothing is written and the lock is free again."""
    add(registry, 1)
    before = registry._file.path.read_bytes()

    def fail(_: object) -> object:
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        registry.update(fail)
    assert registry._file.path.read_bytes() == before
    add(registry, 2)
