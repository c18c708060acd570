import pytest
from pydantic import TypeAdapter, ValidationError

from agent_orchestrator.domain.jobs import Progress
from agent_orchestrator.domain.models import (
    EvalScores,
    ModelVersion,
    TrainingConfig,
    check_model_id,
    check_status,
)
from agent_orchestrator.errors import InputError, ModelIdError


@pytest.mark.parametrize(
    "model_id",
    [
        "gpt2",
        "Qwen/Qwen2.5-Coder-7B",
        "qwen/qwen-2.5-coder-32b-instruct",
        "deepseek/deepseek-chat:free",
        "a",
        "o/" + "x" * 96,
    ],
)
def test_model_ids_of_hub_and_openrouter_are_taken(model_id: str) -> None:
    """The id comes back unchanged."""
    assert check_model_id(model_id) == model_id


@pytest.mark.parametrize(
    "model_id",
    [
        "",
        "../../etc/passwd",
        "a/b/c",
        "/etc/passwd",
        "a/..",
        "a..b/c",
        "a--b/c",
        "-a/b",
        "a/b.",
        "a b",
        "a\n",
        "a/b\n",
        "ä/b",
        "o/" + "x" * 97,
        "a:",
        "a/b:c/d",
    ],
)
def test_what_could_become_another_path_is_no_model_id(model_id: str) -> None:
    """The message names the text and says what is accepted."""
    with pytest.raises(ModelIdError) as caught:
        check_model_id(model_id)
    assert repr(model_id) in caught.value.message
    assert "owner/name" in caught.value.remedy


@pytest.mark.parametrize(
    "status",
    [
        "not_deployed",
        "shadow",
        "challenger",
        "canary_0pct",
        "canary_5pct",
        "canary_20pct",
        "canary_100pct",
        "deployed",
        "archived",
    ],
)
def test_life_cycle_statuses_are_taken(status: str) -> None:
    """The status comes back unchanged."""
    assert check_status(status) == status


@pytest.mark.parametrize("status", ["", "Deployed", "canary_101pct", "canary_05pct", "canary", "x"])
def test_other_statuses_are_refused_by_name(status: str) -> None:
    """The message names the status and lists those that exist."""
    with pytest.raises(InputError, match="Not a deployment status") as caught:
        check_status(status)
    assert repr(status) in caught.value.message


@pytest.mark.parametrize(
    ("kind", "data", "key"),
    [
        (EvalScores, {"accuracy": 1.01}, "accuracy"),
        (EvalScores, {"avg_latency_ms": -1}, "avg_latency_ms"),
        (EvalScores, {"acuracy": 0.5}, "acuracy"),
        (TrainingConfig, {"base_model": "b", "learning_rate": -1}, "learning_rate"),
        (TrainingConfig, {"base_model": "b", "training_method": "magic"}, "training_method"),
        (ModelVersion, {"version": "v1.0.0", "content_id": "c"}, "model_id"),
    ],
)
def test_an_edge_refuses_values_out_of_range_and_unknown_keys(
    kind: type, data: dict[str, object], key: str
) -> None:
    """Validation names the key that is wrong."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(data)
    assert key in {error["loc"][0] for error in caught.value.errors()}


def test_progress_knows_its_percentage_only_when_it_knows_the_total() -> None:
    """Unknown stays None; completed is 100 whatever the last step was."""
    assert Progress("running").progress_pct is None
    assert Progress("running", total_steps=0, current_step=0).progress_pct is None
    assert Progress("running", total_steps=8).progress_pct is None
    assert Progress("running", total_steps=8, current_step=2).progress_pct == 25.0
    assert Progress("completed", total_steps=8, current_step=7).progress_pct == 100.0
