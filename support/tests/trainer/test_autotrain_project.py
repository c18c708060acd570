"""A training in AutoTrain's terms: what it is given, what it cannot do, and what is said of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from agent_orchestrator.trainer import autotrain_project as project
from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.spec import DatasetFiles, Hyperparameters, Lora, Spec


def spec(**changes: Any) -> Spec:
    """Return a job for AutoTrain; ``changes`` go into its hyperparameters but for a few."""
    own: dict[str, Any] = {
        key: changes.pop(key) for key in ("method", "base_model") if key in changes
    }
    given: dict[str, Any] = {
        "protocol": 1,
        "job_id": "job_1",
        "base_model": "a/b",
        "dataset": DatasetFiles(train="train.jsonl"),
        "output_dir": "artifact",
        "engine": "autotrain",
        "hyperparameters": Hyperparameters(**changes),
        **own,
    }
    return Spec(**given)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"max_steps": 5}, "max_steps"),
        ({"num_epochs": 1.5}, "num_epochs"),
        ({"early_stopping": 5}, "early_stopping"),
        ({"lora": Lora(modules_to_save=("embed_tokens",))}, "lora.modules_to_save"),
        ({"method": "orpo", "beta": 0.2}, "beta"),
    ],
)
def test_what_autotrain_cannot_be_told_is_refused_by_name(changes: dict[str, Any], name: str):
    """A setting is followed or refused, never passed over."""
    with pytest.raises(Refused) as refused:
        project.check(spec(**changes))
    assert refused.value.failure.kind == "bad_spec"
    assert f"hyperparameters.{name}" in refused.value.failure.message


def test_its_gaps_are_said():
    """Of validation, seed, checkpoints, mask and what else was asked for in vain."""
    said = " ".join(project.notes(spec(adam_beta2=0.98), validation=4, block=64))
    for part in ("4 validation rows", "seed", "starts anew", "prompt mask", "64", "adam_beta2"):
        assert part in said
    assert "prompt mask" not in " ".join(project.notes(spec(method="dpo"), 0, 64))


def test_parameters_are_the_jobs_own():
    """Nothing is left to AutoTrain's defaults that would change the training."""
    lora = Lora(rank=4, alpha=8, target_modules=("q_proj", "v_proj"))
    given = project.parameters(spec(lora=lora, num_epochs=2.0), 99, 3, gpu=False)
    assert given["trainer"] == "sft"
    assert (given["epochs"], given["lr"], given["logging_steps"]) == (2, 2e-5, 3)
    assert (given["peft"], given["lora_r"], given["target_modules"]) == (True, 4, "q_proj,v_proj")
    assert (given["quantization"], given["mixed_precision"]) == (None, None)
    assert given["push_to_hub"] is False
    assert "lora_r" not in project.parameters(spec(), 99, 3, gpu=False)
    assert project.parameters(spec(), 99, 3, gpu=True)["mixed_precision"] == "bf16"


def test_a_newer_configuration_means_the_same_to_the_older_library():
    """The rotary base above all, which it would otherwise replace by its default in silence."""
    newer = {"dtype": "bfloat16", "rope_parameters": {"rope_theta": 1e6, "rope_type": "default"}}
    assert project.older_config(newer) == {
        "torch_dtype": "bfloat16",
        "rope_theta": 1e6,
        "rope_scaling": None,
    }
    scaled = {"rope_parameters": {"rope_theta": 1e4, "rope_type": "yarn", "factor": 4.0}}
    assert project.older_config(scaled)["rope_scaling"] == {"rope_type": "yarn", "factor": 4.0}
    older = {"torch_dtype": "float32", "rope_theta": 5e5}
    assert project.older_config(older) == older


def test_a_newer_tokenizer_keeps_its_template_and_tokens():
    """The class is one that the older library has, and the template moves into the file."""
    newer = {"tokenizer_class": "TokenizersBackend", "extra_special_tokens": ["<|user|>"]}
    assert project.older_tokenizer(newer, "{{ x }}") == {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "additional_special_tokens": ["<|user|>"],
        "chat_template": "{{ x }}",
    }
    own = {"tokenizer_class": "Qwen2Tokenizer", "chat_template": "own"}
    assert project.older_tokenizer(own, "other") == own


def test_the_users_folder_stays_as_it_is(tmp_path: Path):
    """A copy is changed; weights are links, and nothing but safetensors and text is taken."""
    base = tmp_path / "base"
    base.mkdir()
    for name in ("config.json", "tokenizer_config.json"):
        (base / name).write_text("{}")
    for name in ("model.safetensors", "pytorch_model.bin", "modeling_own.py"):
        (base / name).write_bytes(b"x")
    (base / "chat_template.jinja").write_text("{{ messages }}")
    before = {path.name: path.read_bytes() for path in base.iterdir()}
    project.copy_base(spec(base_model=str(base)), None, tmp_path / "copy")
    copied = {path.name for path in (tmp_path / "copy").iterdir()}
    assert copied == set(before) - {"pytorch_model.bin", "modeling_own.py"}
    assert (tmp_path / "copy" / "model.safetensors").resolve() == base / "model.safetensors"
    told = json.loads((tmp_path / "copy" / "tokenizer_config.json").read_text())
    assert told["chat_template"] == "{{ messages }}"
    assert {path.name: path.read_bytes() for path in base.iterdir()} == before
