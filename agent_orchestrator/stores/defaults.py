"""The files of ``config/modelops/``: defaults of training, evaluation and rollouts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from agent_orchestrator.domain.cost import HardwareTier
from agent_orchestrator.domain.rollout import RolloutPolicy
from agent_orchestrator.errors import InputError, SettingsError

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LoraDefaults(_Strict):
    """Low-rank adapters instead of full fine-tuning."""

    rank: Annotated[int, Field(ge=1)] = 32
    alpha: Annotated[int, Field(ge=1)] = 64
    target_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")


class Hyperparameters(_Strict):
    """What a request's ``overrides`` may set; names as in the worker's spec."""

    learning_rate: Positive = 2e-5
    num_epochs: Positive = 3
    batch_size: Annotated[int, Field(ge=1)] = 4
    gradient_accumulation: Annotated[int, Field(ge=1)] = 4
    warmup_ratio: Share = 0.1
    max_length: Annotated[int, Field(ge=8)] = 8192
    lr_scheduler: str = "linear"
    adam_beta2: Share = 0.999
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    seed: Annotated[int, Field(ge=0)] = 0
    max_steps: Annotated[int, Field(ge=1)] | None = None
    lora: LoraDefaults | None = LoraDefaults()
    """None for full fine-tuning."""

    def replaced(self, values: Mapping[str, Any], source: str) -> Hyperparameters:
        """Return these with ``values`` in place; InputError names ``source`` and the bad key.

        ``lora_rank`` and ``lora_alpha`` are accepted as short forms.
        """
        merged = self.model_dump()
        for key, value in values.items():
            if key in {"lora_rank", "lora_alpha"}:
                lora = merged["lora"] or LoraDefaults().model_dump()
                merged["lora"] = lora | {key.removeprefix("lora_"): value}
            else:
                merged[key] = value
        try:
            return Hyperparameters.model_validate(merged)
        except ValidationError as error:
            key, message = _first(error)
            raise InputError(
                f"{source}: {key}: {message}.",
                remedy=f"Known settings: {', '.join(Hyperparameters.model_fields)}.",
            ) from None


class Mode(_Strict):
    """Demo or production: how much data, and the first guess of time and price."""

    max_examples: Annotated[int, Field(ge=2)] | None = None
    minutes: Positive
    cost_usd: Annotated[float, Field(ge=0)]


class Modes(_Strict):
    """Both modes."""

    demo: Mode
    production: Mode
    cpu_validation_usd: Annotated[float, Field(ge=0)] = 0.02


class ThisMachine(_Strict):
    """What training on this machine can do."""

    effective_flops: Positive


class Limits(_Strict):
    """What a job may cost."""

    max_cost_usd: Positive
    max_hours: Positive
    approval_above_usd: Annotated[float, Field(ge=0)]


class Preset(_Strict):
    """A base model we know."""

    base_model: str
    parameters: Positive
    training: dict[str, Any] = {}
    modes: dict[str, dict[str, Any]] = {}
    """Values that replace those of ``modes`` for this base."""


class TrainingDefaults(_Strict):
    """training_defaults.yaml."""

    training: Hyperparameters
    modes: Modes
    hardware: tuple[HardwareTier, ...]
    this_machine: ThisMachine
    limits: Limits
    presets: dict[str, Preset] = {}

    def preset(self, base_model: str) -> Preset | None:
        """Return the preset of a base model, by its model id."""
        found = (p for p in self.presets.values() if p.base_model == base_model)
        return next(found, None)

    def mode(self, name: str, base_model: str) -> Mode:
        """Return a mode as its base model's preset has it."""
        mode: Mode = getattr(self.modes, name)
        preset = self.preset(base_model)
        changes = preset.modes.get(name, {}) if preset else {}
        return Mode.model_validate(mode.model_dump() | changes)


class EvaluationDefaults(_Strict):
    """evaluation_defaults.yaml."""

    weights: dict[str, Annotated[float, Field(ge=0)]]
    target_tokens: Positive = 2000
    latency_limit_s: Positive = 5.0
    max_completion_tokens: Annotated[int, Field(ge=1)] = 512
    concurrency: Annotated[int, Field(ge=1)] = 2
    max_age_hours: Positive = 168


Document = TypeVar("Document")


def load_training_defaults(config_dir: Path) -> TrainingDefaults:
    """Read training_defaults.yaml; SettingsError names the file and the key."""
    return _load(config_dir / "modelops" / "training_defaults.yaml", TrainingDefaults)


def load_evaluation_defaults(config_dir: Path) -> EvaluationDefaults:
    """Read evaluation_defaults.yaml; SettingsError names the file and the key."""
    return _load(config_dir / "modelops" / "evaluation_defaults.yaml", EvaluationDefaults)


def load_rollout_policy(config_dir: Path, changes: Mapping[str, Any]) -> RolloutPolicy:
    """Read rollout_defaults.yaml with a request's ``changes`` in place.

    Raises SettingsError for the file, InputError for the changes.
    """
    base = _load(config_dir / "modelops" / "rollout_defaults.yaml", RolloutPolicy)
    adapter = TypeAdapter(RolloutPolicy)
    try:
        return adapter.validate_python(adapter.dump_python(base) | dict(changes))
    except ValidationError as error:
        key, message = _first(error)
        raise InputError(
            f"Rollout policy: {key}: {message}.",
            remedy="See config/modelops/rollout_defaults.yaml for the keys.",
        ) from None


def _load(path: Path, kind: type[Document]) -> Document:
    try:
        data = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        return TypeAdapter(kind).validate_python(data)
    except FileNotFoundError:
        raise SettingsError(
            f"Missing file {path}.", remedy="Set CHEF_CONFIG to the configuration folder."
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        line = str(error).strip().splitlines()[0]
        raise SettingsError(f"{path} is not valid YAML: {line}.", remedy="Mend the file.") from None
    except ValidationError as error:
        key, message = _first(error)
        raise SettingsError(f"{path}: {key}: {message}.", remedy="Mend the file.") from None


def _first(error: ValidationError) -> tuple[str, str]:
    """Return the place and text of a validation error's first finding."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "value"
    return place, f"{first['msg']} (got {first['input']!r})"
