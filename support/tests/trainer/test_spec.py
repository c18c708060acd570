"""What a job asks for is checked key by key before anything is done."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.spec import Hyperparameters, Lora, parse_spec, read_spec

SMALLEST = {
    "protocol": 1,
    "job_id": "job_1",
    "base_model": "owner/name",
    "dataset": {"train": "train.jsonl"},
    "output_dir": "artifact",
}


def refusal(data: object) -> str:
    """Return how the specification is refused."""
    with pytest.raises(Refused) as caught:
        parse_spec(data)
    return f"{caught.value.failure.kind}: {caught.value.failure.message}"


def test_the_defaults_are_those_of_the_training_defaults_file():
    """A specification that says nothing trains as the configuration's defaults do."""
    spec = parse_spec(SMALLEST)
    assert spec.hyperparameters == Hyperparameters(
        learning_rate=2e-5, num_epochs=3, batch_size=4, gradient_accumulation=4, warmup_ratio=0.1
    )
    assert (spec.engine, spec.method, spec.push_to_hub) == ("trl", "sft", None)


def test_nested_objects_become_their_types():
    """LoRA and its lists are read as what they are."""
    lora = {"rank": 8, "alpha": 16, "target_modules": ["q_proj"]}
    spec = parse_spec({**SMALLEST, "hyperparameters": {"lora": lora, "learning_rate": 1}})
    assert spec.hyperparameters.lora == Lora(rank=8, alpha=16, target_modules=("q_proj",))
    assert type(spec.hyperparameters.learning_rate) is float


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"protocol": 2}, "bad_spec: protocol = 2"),
        ({"colour": "red"}, "bad_spec: colour = 'red': unknown key"),
        ({"hyperparameters": {"lr": 1.0}}, "bad_spec: hyperparameters.lr = 1.0: unknown key"),
        ({"hyperparameters": {"batch_size": "4"}}, "hyperparameters.batch_size = '4': must be"),
        ({"hyperparameters": {"batch_size": True}}, "hyperparameters.batch_size = True: must be"),
        ({"hyperparameters": {"batch_size": 0}}, "hyperparameters.batch_size = 0: must be above"),
        ({"hyperparameters": {"warmup_ratio": 1.5}}, "hyperparameters.warmup_ratio = 1.5"),
        ({"hyperparameters": {"lr_scheduler": "magic"}}, "lr_scheduler = 'magic': must be one of"),
        ({"hyperparameters": {"lora": {"rank": 0}}}, "hyperparameters.lora"),
        ({"hyperparameters": {"lora": {"target_modules": "q"}}}, "must be a list of strings"),
        ({"hyperparameters": {"quantization": "int4"}}, "quantization = 'int4': needs lora"),
        ({"hyperparameters": {"quantization": "int8"}}, "quantization = 'int8': must be one of"),
        (
            {"engine": "autotrain", "hyperparameters": {"quantization": "int4", "lora": {}}},
            "only engine trl has it",
        ),
        ({"dataset": {}}, "bad_spec: dataset.train = None: is missing"),
        ({"dataset": "train.jsonl"}, "bad_spec: dataset = 'train.jsonl': must be an object"),
        ({"max_seconds": 0}, "bad_spec: max_seconds = 0.0"),
        ({"method": "ppo"}, "method = 'ppo': must be one of sft, dpo, grpo"),
        ({"engine": "axolotl"}, "engine = 'axolotl': must be one of trl, autotrain"),
        ({"method": "orpo"}, "method = 'orpo': TRL has sft, dpo, grpo"),
        ({"engine": "autotrain", "method": "grpo"}, "AutoTrain has sft, dpo, orpo"),
    ],
)
def test_a_wrong_value_is_refused_by_its_key(change: dict[str, object], said: str):
    """The message names the key and the value."""
    assert said in refusal({**SMALLEST, **change})


def test_a_missing_key_is_named():
    """Each key that has no default must be there."""
    for key in ("job_id", "base_model", "dataset", "output_dir"):
        data = {name: value for name, value in SMALLEST.items() if name != key}
        assert refusal(data) == f"bad_spec: {key} = None: is missing."


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
def test_what_is_no_object_is_refused(data: object):
    """Any other JSON than an object is a bad specification, never a crash."""
    assert refusal(data).startswith("bad_spec")


@given(st.text(min_size=1), st.none() | st.integers() | st.text())
def test_any_unknown_key_is_refused(key: str, value: object):
    """Nothing that was asked for is silently dropped."""
    if key not in {*SMALLEST, "engine", "method", "base_revision", "hyperparameters", "model_card",
                   "push_to_hub", "max_seconds", "threads"}:  # fmt: skip
        assert "unknown key" in refusal({**SMALLEST, key: value})


@pytest.mark.parametrize("text", [None, "", "{", '{"protocol": 1'])
def test_a_file_that_is_missing_or_torn_is_a_bad_specification(tmp_path: Path, text: str | None):
    """A specification that cannot be read fails the job with a diagnosis."""
    path = tmp_path / "spec.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Refused) as caught:
        read_spec(path)
    assert caught.value.failure.kind == "bad_spec"


def test_a_whole_file_is_read(tmp_path: Path):
    """The file holds what ``parse_spec`` takes."""
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SMALLEST))
    assert read_spec(path) == parse_spec(SMALLEST)
