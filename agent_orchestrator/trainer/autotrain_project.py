"""A training as AutoTrain 0.8.36 wants it: a base model, a data set and its parameters, as files.

::

    JOB_DIR/autotrain/
        base/             the base model in the form of transformers 4.48; weights are links
        data/train.parquet
        params.json       ``LLMTrainingParams``
        project/          what AutoTrain writes
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent_orchestrator.trainer.base_model import check_local_base
from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.rows import Example, Preference
from agent_orchestrator.trainer.spec import Hyperparameters, Lora, Spec
from agent_orchestrator.trainer.tokenizing import rendered

FOLDER: Final = "autotrain"
PROJECT: Final = "project"
SEED: Final = 42
"""AutoTrain passes no seed on, so that transformers' own default counts."""
_FROM_HUB: Final = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")
_ADAM_BETA2: Final = 0.999
_BETA: Final = 0.1


@dataclass(frozen=True, slots=True)
class Rows:
    """A data set as text, measured in tokens."""

    rows: list[dict[str, str]]
    """``text``, or ``prompt``, ``chosen`` and ``rejected``."""
    tokens: int
    longest: int
    """Tokens of the longest row, its end included."""


def check(spec: Spec) -> None:
    """Refuse what AutoTrain has no way to do. Raises Refused (``bad_spec``)."""
    chosen = spec.hyperparameters
    lora = chosen.lora
    refused: Mapping[str, bool] = {
        "max_steps": chosen.max_steps is not None,
        "num_epochs": chosen.num_epochs != round(chosen.num_epochs),
        "trackio": chosen.trackio is not None,
        "early_stopping": chosen.early_stopping is not None,
        "lora.modules_to_save": lora is not None and bool(lora.modules_to_save),
        "beta": spec.method == "orpo" and chosen.beta != _BETA,
    }
    for name, wrong in refused.items():
        if wrong:
            raise Refused(
                "bad_spec",
                f"hyperparameters.{name} is set, but AutoTrain cannot be told: it counts whole "
                f"epochs, validates nothing, reports to TensorBoard alone, and its ORPO has beta = "
                f"{_BETA}.",
                f"Leave {name} out, or train with engine 'trl'.",
            )


def notes(spec: Spec, validation: int, block: int) -> tuple[str, ...]:
    """Return what AutoTrain does otherwise than one may expect, in sentences."""
    said = [
        "AutoTrain has no validation split of local data: no validation loss was measured"
        + (f", and the {validation} validation rows were not used." if validation else "."),
        f"AutoTrain cannot be given a seed: it trained with {SEED}.",
        "AutoTrain's checkpoints cannot be resumed from: a job that is cut off starts anew.",
    ]
    if spec.method == "sft":
        said.append(
            "AutoTrain has no prompt mask: the loss is on the questions too, and conversations "
            f"are packed into blocks of {block} tokens, which parts some of them."
        )
    if spec.hyperparameters.adam_beta2 != _ADAM_BETA2:
        given = spec.hyperparameters.adam_beta2
        said.append(f"adam_beta2 = {given:g} was not used: AutoTrain has {_ADAM_BETA2}.")
    return tuple(said)


def copy_base(spec: Spec, token: str | None, folder: Path) -> None:
    """Leave the base in ``folder``, readable by transformers 4.48; the original stays as it is.

    Only safetensors are taken, and no code. Raises Refused, and huggingface_hub's errors.
    """
    source = Path(spec.base_model).expanduser()
    if not source.is_dir():
        from huggingface_hub import snapshot_download

        patterns = list(_FROM_HUB)
        source = Path(
            snapshot_download(  # nosec B615 - the revision is the specification's
                spec.base_model, revision=spec.base_revision, token=token, allow_patterns=patterns
            )
        )
        check_local_base(str(source))
    folder.mkdir(parents=True)
    for path in source.iterdir():
        if path.is_file() and any(path.match(pattern) for pattern in _FROM_HUB):
            (folder / path.name).symlink_to(path.resolve())
    _rewrite(folder / "config.json", older_config)
    template = folder / "chat_template.jinja"
    text = template.read_text(encoding="utf-8") if template.exists() else None
    _rewrite(folder / "tokenizer_config.json", lambda data: older_tokenizer(data, text))


def older_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a configuration that transformers 4.48 understands as transformers 5 meant it.

    The older one would pass over ``rope_parameters`` without a word and take another base of the
    rotary embedding than the model was trained with.
    """
    older = dict(config)
    if "dtype" in older:
        older["torch_dtype"] = older.pop("dtype")
    rope = older.pop("rope_parameters", None)
    if isinstance(rope, Mapping):
        scaling = dict(rope)
        if "rope_theta" in scaling:
            older["rope_theta"] = scaling.pop("rope_theta")
        plain = scaling.get("rope_type", "default") == "default"
        older["rope_scaling"] = None if plain else scaling
    return older


def older_tokenizer(config: Mapping[str, Any], template: str | None) -> dict[str, Any]:
    """Return a tokenizer's configuration that transformers 4.48 reads."""
    older = dict(config)
    if older.get("tokenizer_class") in {None, "TokenizersBackend"}:
        older["tokenizer_class"] = "PreTrainedTokenizerFast"
    # transformers 5 has a list here where the older one wants names.
    extra = older.get("extra_special_tokens")
    if isinstance(extra, list):
        del older["extra_special_tokens"]
        older["additional_special_tokens"] = extra
    if template is not None:
        older.setdefault("chat_template", template)
    return older


def _rewrite(path: Path, change: Any) -> None:
    """Put a changed copy in the place of a link."""
    data = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    path.unlink(missing_ok=True)
    path.write_text(json.dumps(change(data), indent=2), encoding="utf-8")


def rows_of(examples: Sequence[Any], tokenizer: Any, parameters: Hyperparameters) -> Rows:
    """Return the examples that fit into ``max_length``, as the base's chat template writes them.

    Raises Refused (``bad_column``) when none fits.
    """
    made = [_row(example, tokenizer) for example in examples]
    fitting = [(row, longest) for row, longest in made if longest <= parameters.max_length]
    if not fitting:
        raise Refused(
            "bad_column",
            f"None of the {len(examples)} examples fits into max_length = {parameters.max_length} "
            "tokens.",
            "Raise max_length or shorten the examples.",
        )
    rows = [row for row, _ in fitting]
    tokens = sum(_count(tokenizer, "".join(row.values())) for row in rows)
    return Rows(rows, tokens, max(longest for _, longest in fitting))


def _row(example: Example | Preference, tokenizer: Any) -> tuple[dict[str, str], int]:
    """Return a row and its length in tokens."""
    if isinstance(example, Example):
        text = "".join(rendered(tokenizer, example.prompt, example.answer))
        text = _without_start(tokenizer, text)
        return {"text": text}, _count(tokenizer, text) + 1  # AutoTrain ends it once more
    opening, chosen = rendered(tokenizer, example.prompt, example.chosen)
    _, rejected = rendered(tokenizer, example.prompt, example.rejected)
    end = tokenizer.eos_token or ""  # which its trainers add
    row = {
        "prompt": _without_start(tokenizer, opening),
        "chosen": chosen.removesuffix(end),
        "rejected": rejected.removesuffix(end),
    }
    answer = max(_count(tokenizer, row[name]) for name in ("chosen", "rejected"))
    return row, _count(tokenizer, row["prompt"]) + answer + 1


def _without_start(tokenizer: Any, text: str) -> str:
    """Return the text without the first token that its tokenizer would write once more."""
    start = tokenizer.bos_token
    doubled = start and tokenizer("").input_ids[:1] == [tokenizer.bos_token_id]
    return text.removeprefix(start) if doubled else text


def _count(tokenizer: Any, text: str) -> int:
    return len(tokenizer(text).input_ids)


def parameters(spec: Spec, block: int, logging_steps: int, *, gpu: bool) -> dict[str, Any]:
    """Return ``params.json``: what ``LLMTrainingParams`` takes, nothing left to its defaults.

    ``block`` is how many tokens a row may have; SFT packs its rows into blocks of that size.
    """
    chosen = spec.hyperparameters
    return {
        "model": "base",
        "project_name": PROJECT,
        "data_path": "data",
        "train_split": "train",
        "valid_split": None,
        "trainer": spec.method,
        "text_column": "text" if spec.method == "sft" else "chosen",
        "rejected_text_column": "rejected",
        "prompt_text_column": "prompt",
        "chat_template": None,  # the rows are rendered already
        "block_size": block,
        "model_max_length": block,
        "max_prompt_length": block,
        "max_completion_length": block,
        "epochs": round(chosen.num_epochs),
        "batch_size": chosen.batch_size,
        "gradient_accumulation": chosen.gradient_accumulation,
        "lr": chosen.learning_rate,
        "scheduler": chosen.lr_scheduler,
        "warmup_ratio": chosen.warmup_ratio,
        "weight_decay": chosen.weight_decay,
        "max_grad_norm": chosen.max_grad_norm,
        "dpo_beta": chosen.beta,
        "quantization": None,
        **_adapters(chosen.lora),
        "mixed_precision": "bf16" if gpu else None,
        "disable_gradient_checkpointing": not gpu,
        "logging_steps": logging_steps,
        "log": "tensorboard",
        "push_to_hub": False,
        "unsloth": False,
    }


def _adapters(lora: Lora | None) -> dict[str, Any]:
    if lora is None:
        return {"peft": False}
    return {
        "peft": True,
        "merge_adapter": False,  # it would merge in float16, whatever the base's type
        "lora_r": lora.rank,
        "lora_alpha": lora.alpha,
        "lora_dropout": lora.dropout,
        "target_modules": ",".join(lora.target_modules),
    }
