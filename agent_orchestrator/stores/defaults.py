"""The files of ``config/modelops/``: defaults of training, evaluation and rollouts."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from agent_orchestrator.domain.cost import HardwareTier
from agent_orchestrator.domain.models import TrainingMode
from agent_orchestrator.domain.rollout import RolloutPolicy
from agent_orchestrator.errors import InputError, SettingsError
from agent_orchestrator.stores.yaml_text import load_yaml

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Reward = Literal["exact_match", "json_schema", "python_tests"]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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
    lr_scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    adam_beta2: Share = 0.999
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    seed: Annotated[int, Field(ge=0)] = 0
    beta: Share = 0.1
    """How strongly DPO and GRPO hold the model to its base."""
    rewards: Annotated[tuple[Reward, ...], Field(min_length=1)] = ("exact_match",)
    """What GRPO rewards."""
    num_generations: Annotated[int, Field(ge=2)] = 8
    """Answers that GRPO compares with each other."""
    max_completion_length: Annotated[int, Field(ge=1)] = 256
    """Tokens of an answer that GRPO lets the model write."""
    temperature: Positive = 1.0
    max_steps: Annotated[int, Field(ge=1)] | None = None
    checkpoint_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps between checkpoints; None for one only when cancelled."""
    auto_batch_size: bool = True
    """Whether to go on with a smaller batch where the memory is not enough."""
    early_stopping: Annotated[int, Field(ge=1)] | None = None
    """Validations without a lower loss that end the training; a tenth of the rows is held out."""
    eval_steps: Annotated[int, Field(ge=1)] | None = None
    """Steps between validations; None for a tenth of the training."""
    lora: LoraDefaults | None = LoraDefaults()
    """None for full fine-tuning."""
    trackio: Annotated[str, Field(min_length=1)] | None = None
    """Trackio project that keeps the metrics too, beside the TensorBoard files."""
    quantization: Literal["int4"] | None = None
    """int4 keeps the base in four bits while adapters are trained, on a GPU."""

    def replaced(self, values: Mapping[str, Any], source: str) -> Hyperparameters:
        """Return these with ``values`` in place; InputError names ``source`` and the bad key.

        ``lora_rank`` and ``lora_alpha`` are accepted as short forms.
        """
        known = (*Hyperparameters.model_fields, "lora_rank", "lora_alpha")
        merged = self.model_dump()
        for key, value in values.items():
            if key not in known:
                near = difflib.get_close_matches(key, known, n=1)
                hint = f"Did you mean {near[0]!r}? " if near else ""
                raise InputError(
                    f"{source}: there is no setting {key!r}.",
                    remedy=f"{hint}Known settings: {', '.join(known)}.",
                    field=f"{source}.{key}",
                )
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
                remedy="config/modelops/training_defaults.yaml shows values that work.",
                field=f"{source}.{key}",
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
    """What jobs may cost, one and those of a calendar month (UTC) together."""

    max_cost_usd: Positive
    max_hours: Positive
    max_usd_per_month: Positive
    max_hours_per_month: Positive
    """Of rented machines."""
    approval_above_usd: Annotated[float, Field(ge=0)]


class HfJobsDefaults(_Strict):
    """How trainings run on HF Jobs."""

    image: str = "ghcr.io/astral-sh/uv:python3.12-bookworm"
    """Docker image; it must have ``uv``."""
    python: str = "3.12"
    autotrain_image: str = "ghcr.io/astral-sh/uv:python3.11-bookworm"
    """The image for AutoTrain, which needs Python 3.11."""
    max_hours: Positive = 3
    """Of one machine; a longer training goes on, within ``limits``, on another one."""
    start_minutes: Positive = 15
    """Until the worker runs: the image, its libraries, the rows."""
    upload_minutes: Positive = 15
    """For the last checkpoint or the model."""
    checkpoints: Annotated[int, Field(ge=1)] = 8
    """Checkpoints in the course of a training, each uploaded."""


class Preset(_Strict):
    """A base model we know."""

    base_model: str
    parameters: Positive
    training: dict[str, Any] = {}
    modes: dict[TrainingMode, dict[str, Any]] = {}
    """Values that replace those of ``modes`` for this base."""


class TrainingDefaults(_Strict):
    """training_defaults.yaml."""

    training: Hyperparameters
    modes: Modes
    hardware: tuple[HardwareTier, ...]
    this_machine: ThisMachine
    limits: Limits
    presets: dict[str, Preset] = {}
    hf_jobs: HfJobsDefaults = HfJobsDefaults()

    @model_validator(mode="after")
    def _check_presets(self) -> Self:
        """Find a wrong value now, not when somebody trains with it."""
        for name, preset in self.presets.items():
            try:
                self.training.replaced(preset.training, "training")
                for mode in preset.modes:
                    self.mode(mode, preset.base_model)
            except InputError as error:
                raise ValueError(f"presets.{name}: {error.message.rstrip('.')}") from None
        return self

    def preset(self, base_model: str) -> Preset | None:
        """Return the preset of a base model, by its model id."""
        found = (p for p in self.presets.values() if p.base_model == base_model)
        return next(found, None)

    def mode(self, name: TrainingMode, base_model: str) -> Mode:
        """Return a mode as its base model's preset has it."""
        mode: Mode = getattr(self.modes, name)
        preset = self.preset(base_model)
        changes = preset.modes.get(name, {}) if preset else {}
        try:
            return Mode.model_validate(mode.model_dump() | changes)
        except ValidationError as error:
            key, message = _first(error)
            raise InputError(
                f"modes.{name}.{key}: {message}.",
                remedy=f"Mend the preset of {base_model} in training_defaults.yaml.",
            ) from None


class SandboxDefaults(_Strict):
    """Where code that a model wrote is tested."""

    seconds: Positive = 10.0
    """Wall-clock and processor time of a program."""
    memory_mb: Annotated[int, Field(ge=64)] = 512
    without_isolation: bool = False
    """Whether code may run where the kernel offers no isolation; only its limits hold then."""


class EvaluationDefaults(_Strict):
    """evaluation_defaults.yaml."""

    weights: Annotated[dict[str, Annotated[float, Field(ge=0)]], Field(min_length=1)]
    target_tokens: Positive = 2000
    latency_limit_s: Positive = 5.0
    max_completion_tokens: Annotated[int, Field(ge=1)] = 512
    max_turns: Annotated[int, Field(ge=1)] = 8
    """Model calls of a run on an example that brings tools, at most."""
    concurrency: Annotated[int, Field(ge=1)] = 2
    max_age_hours: Positive = 168
    usd_per_call: Annotated[float, Field(ge=0)] = 0.01
    cache_mb: Annotated[int, Field(ge=1)] = 256
    """Answers that experiments keep; those used longest ago give way."""
    upload: bool = True
    """Whether experiments go to LangSmith when a key is set."""
    sandbox: SandboxDefaults = SandboxDefaults()


class LangSmithDefaults(_Strict):
    """Where an agent's examples are in LangSmith."""

    dataset: Annotated[str, Field(min_length=1)] = "code-chef-{agent}"
    """Name of the agent's own data set."""
    feedback_keys: Annotated[tuple[str, ...], Field(min_length=1)] = ("feedback_score",)
    """The first of them that a run has is its score."""
    runs_since_days: Positive = 30.0


class EvolutionStage(_Strict):
    """One stage of the evolution of an agent's examples."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    up_to: Annotated[int, Field(ge=0)] | None = None
    """The most own examples of this stage; none for the last."""
    own_share: Share
    """Share of own examples in the mixture."""


class EvolutionDefaults(_Strict):
    """How public examples give way to an agent's own."""

    own: str = "langsmith"
    public: dict[str, str] = {}
    """Agent, or ``default`` → source."""
    public_examples: Annotated[int, Field(ge=1)] = 2000
    public_pool: Annotated[int, Field(ge=1)] = 50_000
    stages: Annotated[tuple[EvolutionStage, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_stages(self) -> Self:
        limits = [stage.up_to for stage in self.stages]
        *first, last = limits
        if last is not None or None in first:
            raise ValueError("stages: the last stage, and no other, has no up_to")
        if sorted(set(first), key=lambda limit: limit or 0) != first:
            raise ValueError("stages: up_to must rise from stage to stage")
        return self


class DatasetDefaults(_Strict):
    """dataset_defaults.yaml."""

    langsmith: LangSmithDefaults = LangSmithDefaults()
    evolution: EvolutionDefaults


class EndpointDefaults(_Strict):
    """endpoint_defaults.yaml: Inference Endpoints that a deployment makes."""

    vendor: str = "aws"
    region: str = "us-east-1"
    idle_minutes: Annotated[int, Field(ge=1)] = 60
    """Without a request, then it is scaled to zero."""
    sleep_when_retired: bool = True
    """Whether the timer scales to zero what a rollout left behind, after its guard period."""
    start_seconds: Positive = 1200.0
    poll_seconds: Positive = 5.0
    image: dict[str, Any] | None = None
    """The serving engine as the service takes it; None leaves the choice to Hugging Face."""
    arguments: tuple[str, ...] = ()
    """Added to the engine's command line; ``{model}`` stands for the model's id."""


Document = TypeVar("Document")


def load_training_defaults(config_dir: Path) -> TrainingDefaults:
    """Read training_defaults.yaml; SettingsError names the file and the key."""
    return load_document(config_dir / "modelops" / "training_defaults.yaml", TrainingDefaults)


def load_evaluation_defaults(config_dir: Path) -> EvaluationDefaults:
    """Read evaluation_defaults.yaml; SettingsError names the file and the key."""
    return load_document(config_dir / "modelops" / "evaluation_defaults.yaml", EvaluationDefaults)


def load_dataset_defaults(config_dir: Path) -> DatasetDefaults:
    """Read dataset_defaults.yaml; SettingsError names the file and the key."""
    return load_document(config_dir / "modelops" / "dataset_defaults.yaml", DatasetDefaults)


def load_endpoint_defaults(config_dir: Path) -> EndpointDefaults:
    """Read endpoint_defaults.yaml; SettingsError names the file and the key."""
    return load_document(config_dir / "modelops" / "endpoint_defaults.yaml", EndpointDefaults)


def load_rollout_policy(config_dir: Path, changes: Mapping[str, Any]) -> RolloutPolicy:
    """Read rollout_defaults.yaml with a request's ``changes`` in place.

    Raises SettingsError for the file, InputError for the changes.
    """
    base = load_document(config_dir / "modelops" / "rollout_defaults.yaml", RolloutPolicy)
    adapter = TypeAdapter(RolloutPolicy)
    try:
        return adapter.validate_python(adapter.dump_python(base) | dict(changes))
    except ValidationError as error:
        key, message = _first(error)
        raise InputError(
            f"Rollout policy: {key}: {message}.",
            remedy="See config/modelops/rollout_defaults.yaml for the keys.",
        ) from None


def load_document(path: Path, kind: type[Document]) -> Document:
    """Read a YAML file as a ``kind``; SettingsError names the file, the line or the key."""
    try:
        data = load_yaml(path.read_text(encoding="utf-8"))
        return TypeAdapter(kind).validate_python(data)
    except FileNotFoundError:
        raise SettingsError(
            f"Missing file {path}.", remedy="Set CHEF_CONFIG to the configuration folder."
        ) from None
    except OSError as error:
        raise SettingsError(
            f"Cannot read {path}: {error.strerror}.", remedy="Make it a file that you may read."
        ) from error
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f", line {mark.line + 1}" if mark else ""
        problem = str(error.problem or error.context).splitlines()[0]
        raise SettingsError(
            f"{path}{line}: not YAML: {problem}.",
            remedy="Indent with spaces, never with tabs, and give every key once.",
        ) from None
    except (YAMLError, UnicodeDecodeError) as error:
        problem = str(error).strip().splitlines()[0]
        raise SettingsError(f"{path}: not YAML: {problem}.", remedy="Mend the file.") from None
    except ValidationError as error:
        key, message = _first(error)
        raise SettingsError(f"{path}: {key}: {message}.", remedy="Mend the file.") from None


def _first(error: ValidationError) -> tuple[str, str]:
    """Return the place and text of a validation error's first finding."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "the whole"
    message = first["msg"].removeprefix("Value error, ")
    given = first["input"]
    is_whole = isinstance(given, Mapping | list | tuple)
    return place, message if is_whole else f"{message} (got {given!r})"
