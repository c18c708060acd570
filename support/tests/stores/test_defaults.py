"""The defaults files: the checked-in ones are as the documentation says, wrong ones say where."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from agent_orchestrator.domain.rollout import RolloutPolicy
from agent_orchestrator.errors import InputError, SettingsError
from agent_orchestrator.stores.defaults import (
    Hyperparameters,
    LoraDefaults,
    TrainingDefaults,
    load_evaluation_defaults,
    load_rollout_policy,
    load_training_defaults,
)
from agent_orchestrator.trainer import spec

CONFIG = Path(__file__).resolve().parents[3] / "config"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return a copy of the checked-in configuration."""
    shutil.copytree(CONFIG, tmp_path / "config")
    return tmp_path / "config"


def edit(config: Path, name: str, *path: str, value: Any) -> None:
    """Set a value in one of the files."""
    file = config / "modelops" / name
    yaml = YAML(typ="safe", pure=True)
    whole = data = yaml.load(file.read_text(encoding="utf-8"))
    for key in path[:-1]:
        data = data.setdefault(key, {})
    data[path[-1]] = value
    with file.open("w", encoding="utf-8") as stream:
        yaml.dump(whole, stream)


# -- the checked-in files -------------------------------------------------------------------------


def test_the_checked_in_training_defaults_are_the_documented_ones():
    """Hyperparameters, tiers, modes and limits as the design states them."""
    defaults = load_training_defaults(CONFIG)
    assert defaults.training == Hyperparameters(
        learning_rate=2e-5,
        num_epochs=3,
        batch_size=4,
        gradient_accumulation=4,
        warmup_ratio=0.1,
        max_length=8192,
        checkpoint_steps=200,
        lora=LoraDefaults(rank=32, alpha=64),
    )
    tiers = [(t.name, int(t.max_parameters / 1e9), t.usd_per_hour) for t in defaults.hardware]
    assert tiers == [("t4-small", 1, 0.75), ("t4-medium", 3, 1.0), ("a10g-large", 7, 2.2)]
    assert [t.lora_required for t in defaults.hardware] == [False, False, True]
    assert (defaults.modes.demo.max_examples, defaults.modes.demo.cost_usd) == (100, 0.5)
    production = defaults.modes.production
    assert (production.max_examples, production.minutes, production.cost_usd) == (None, 90, 15)
    limits = defaults.limits
    assert (limits.max_cost_usd, limits.max_hours, limits.approval_above_usd) == (50, 6, 10)
    assert {"phi-3-mini", "codellama-7b", "codellama-13b", "qwen2.5-coder-7b"} <= set(
        defaults.presets
    )


def test_the_checked_in_evaluation_defaults_are_the_documented_ones():
    """Weights and targets as the design states them."""
    defaults = load_evaluation_defaults(CONFIG)
    assert list(defaults.weights.values()) == [30, 25, 20, 15, 10]
    assert (defaults.target_tokens, defaults.latency_limit_s) == (2000, 5.0)


def test_the_checked_in_rollout_policy_is_20_50_100():
    """A request's own values replace the file's."""
    assert load_rollout_policy(CONFIG, {}).steps == (20, 50, 100)
    changed = load_rollout_policy(CONFIG, {"steps": [5, 100], "alpha": 0.01})
    assert isinstance(changed, RolloutPolicy)
    assert (changed.steps, changed.alpha) == ((5, 100), 0.01)


def test_every_hyperparameter_is_one_that_the_worker_knows():
    """The worker refuses an unknown key, so the two lists must not drift apart."""
    assert set(Hyperparameters.model_fields) <= {
        f.name for f in dataclasses.fields(spec.Hyperparameters)
    }
    assert set(LoraDefaults.model_fields) <= {f.name for f in dataclasses.fields(spec.Lora)}


# -- overrides ------------------------------------------------------------------------------------


def test_overrides_replace_single_values():
    """Everything else stays; lora_rank and lora_alpha reach into the adapters."""
    changed = Hyperparameters().replaced({"num_epochs": 1, "lora_rank": 8}, "overrides")
    assert (changed.num_epochs, changed.batch_size) == (1, 4)
    assert changed.lora == LoraDefaults(rank=8, alpha=64)
    assert Hyperparameters(lora=None).replaced({"lora_alpha": 4}, "o").lora.alpha == 4
    assert Hyperparameters().replaced({"lora": None}, "o").lora is None


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"learning_rat": 1}, "there is no setting 'learning_rat'"),
        ({"learning_rate": 0}, "learning_rate: Input should be greater than 0 (got 0)"),
        ({"learning_rate": float("inf")}, "learning_rate: Input should be a finite number"),
        ({"learning_rate": "fast"}, "learning_rate: Input should be a valid number"),
        ({"lr_scheduler": "bogus"}, "lr_scheduler: Input should be 'linear'"),
        ({"lora_rank": 0}, "lora.rank: Input should be greater than or equal to 1"),
        ({"lora": {"r": 1}}, "lora.r: Extra inputs are not permitted"),
        ({"max_steps": 1.5}, "max_steps: Input should be a valid integer"),
    ],
)
def test_a_wrong_override_is_named_with_its_value(values: dict[str, Any], said: str):
    """The message says where it came from, which key, and what was given."""
    with pytest.raises(InputError) as error:
        Hyperparameters().replaced(values, "overrides")
    assert error.value.message.startswith(f"overrides: {said}")
    key = said.partition(": ")[0] if ": " in said else next(iter(values))
    assert error.value.field == f"overrides.{key}"
    assert error.value.remedy


def test_a_mistyped_override_is_answered_with_the_nearest_setting():
    """So is one that only the short forms know."""
    for wrong, meant in (("learning_rat", "learning_rate"), ("lora_rnk", "lora_rank")):
        with pytest.raises(InputError, match=f"Did you mean '{meant}'"):
            Hyperparameters().replaced({wrong: 1}, "overrides")


# -- modes and presets ----------------------------------------------------------------------------


def test_a_preset_changes_the_mode_of_its_base_only(config: Path):
    """tiny-code trains on everything even in a demo run; others on 100 examples."""
    defaults = load_training_defaults(config)
    assert defaults.mode("demo", "local/tiny-code").max_examples is None
    assert defaults.mode("demo", "local/tiny-code").cost_usd == 0.5
    assert defaults.mode("demo", "somebody/else").max_examples == 100
    assert defaults.preset("local/tiny-code").parameters == 3.2e5
    assert defaults.preset("somebody/else") is None


# -- broken files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("training", "learning_rat"), 1, "training.learning_rat: Extra inputs"),
        (("training", "num_epochs"), -1, "training.num_epochs: Input should be greater than 0"),
        (("limits", "max_hours"), None, "limits.max_hours: Input should be a valid number"),
        (("limits",), {}, "limits.max_cost_usd: Field required"),
        (
            ("presets", "tiny-code", "training", "batch"),
            1,
            "presets.tiny-code: training: there is no setting 'batch'",
        ),
        (
            ("presets", "tiny-code", "modes", "demo", "minutes"),
            0,
            "presets.tiny-code: modes.demo.minutes: Input should be greater than 0",
        ),
        (("presets", "tiny-code", "modes", "dmo"), {}, "presets.tiny-code.modes.dmo"),
    ],
)
def test_a_wrong_value_is_an_error_at_once(
    config: Path, path: tuple[str, ...], value: Any, said: str
):
    """File and key are named, also inside a preset that nobody uses."""
    edit(config, "training_defaults.yaml", *path, value=value)
    with pytest.raises(SettingsError) as error:
        load_training_defaults(config)
    assert "training_defaults.yaml" in error.value.message
    assert said in error.value.message
    assert "\n" not in str(error.value)
    assert len(error.value.message) < 400


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"weights:\n\taccuracy: 30\n", "line 2: not YAML: found character '\\t'"),
        (b"weights: {accuracy: 1}\nweights: {accuracy: 2}\n", "line 2: not YAML: found duplicate"),
        (b"weights: {accuracy: 1", "not YAML"),
        (b"\xff\xfe\x00", "not YAML"),
        (b"", "the whole: Input should be"),
        (b"- 1\n", "the whole: Input should be"),
        (b"weights: {}\n", "weights: Dictionary should have at least 1 item"),
        (b"weights: {accuracy: .nan}\n", "weights.accuracy: Input should be"),
        (b"weights: !!python/object:os.system {}\n", "not YAML"),
    ],
)
def test_a_broken_file_is_one_line_that_names_it(config: Path, content: bytes, said: str):
    """Tabs, duplicate keys, torn and empty files, types that YAML must not make."""
    (config / "modelops" / "evaluation_defaults.yaml").write_bytes(content)
    with pytest.raises(SettingsError) as error:
        load_evaluation_defaults(config)
    assert "evaluation_defaults.yaml" in error.value.message
    assert said in error.value.message
    assert "\n" not in str(error.value)
    assert error.value.remedy


def test_a_file_that_cannot_be_read_is_named(config: Path):
    """Missing, or a folder in its place."""
    file = config / "modelops" / "rollout_defaults.yaml"
    file.unlink()
    with pytest.raises(SettingsError, match=r"Missing file .*rollout_defaults\.yaml") as error:
        load_rollout_policy(config, {})
    assert "CHEF_CONFIG" in error.value.remedy
    file.mkdir()
    with pytest.raises(SettingsError, match=r"Cannot read .*rollout_defaults\.yaml"):
        load_rollout_policy(config, {})


@pytest.mark.parametrize("changes", [{"stps": [1]}, {"alpha": 2}, {"steps": [0, 100]}])
def test_wrong_changes_of_the_policy_are_bad_input(changes: dict[str, Any]):
    """It is the request that is wrong, not the file."""
    with pytest.raises(InputError, match=f"Rollout policy: {next(iter(changes))}"):
        load_rollout_policy(CONFIG, changes)


def test_defaults_need_no_presets(config: Path):
    """The section may be left out."""
    file = config / "modelops" / "training_defaults.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text[: text.index("presets:")], encoding="utf-8")
    assert isinstance(load_training_defaults(config), TrainingDefaults)
