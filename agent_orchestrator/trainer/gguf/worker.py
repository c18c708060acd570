"""One conversion from its first line to its manifest."""

from __future__ import annotations

import json
import os
import platform
import shutil
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from agent_orchestrator.trainer import artifact
from agent_orchestrator.trainer.base_model import check_local_base
from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.gguf import convert as steps
from agent_orchestrator.trainer.gguf.llama import LlamaError, load_library, opened
from agent_orchestrator.trainer.gguf.loaded import MOST_CONTEXT
from agent_orchestrator.trainer.gguf.publishing import Manners, model_card, modelfile, usage
from agent_orchestrator.trainer.gguf.spec import GgufSpec, read_spec
from agent_orchestrator.trainer.gguf.turns import read_turns
from agent_orchestrator.trainer.progress import ProgressLog
from agent_orchestrator.trainer.signals import Signals

#: Bytes a weight, rounded up: small matrices stay in wider types.
_BYTES_A_WEIGHT: Final = {"F16": 2.0, "Q8_0": 1.2, "Q5_K_M": 0.9, "Q4_K_M": 0.8}
_HUB_FILES: Final = ("*.safetensors", "*.json", "*.jinja", "tokenizer.model", "*.txt")
#: What pre-tokenizers disagree about.
_TEXTS: Final = (
    "def add(a, b):\n    return a + b\n",
    "\tif x == None:  # caf\u00e9\r\n\n\n   pass",
    "I'm sure you'll DON'T 1234567 3.14 0xFF",
    "\u4f60\u597d, \u043c\u0438\u0440! \U0001f680\U0001f999 e\u0301",
    "a  b   c    d\u00a0e   ",
    "{'k': [1, 2], \"s\": 'a\\n'} // ===>> !=",
)


@dataclass(frozen=True, slots=True)
class Job:
    """What the parts of a conversion share."""

    folder: Path
    spec: GgufSpec
    token: str | None
    progress: ProgressLog

    @property
    def library(self) -> Path:
        """Folder of llama.cpp's library."""
        return Path(self.spec.llama_cpp) / "lib"


def convert(job_dir: Path, progress: ProgressLog, signals: Signals) -> None:
    """Do what ``spec.json`` says. Raises Refused and what the libraries raise."""
    spec = read_spec(job_dir / "spec.json")
    if spec.max_seconds is not None:
        signals.limit(spec.max_seconds)
    token = os.environ.get("HUGGINGFACE_TOKEN") or None
    job = Job(job_dir, spec, token, progress)
    _check(job)
    work = job_dir / "work"
    output = job_dir / spec.output_dir
    try:
        source = _whole_model(job, work)
        with artifact.appearing(output, spec.job_id) as partial:
            facts = _make(job, source, work, partial)
            files = artifact.list_files(partial)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    signals.ignore()
    progress.release()
    progress.event("completed", "completed")
    artifact.write_json(
        job_dir / "manifest.json",
        {
            "protocol": spec.protocol,
            "status": "completed",
            "job_id": spec.job_id,
            "finished_at": time.time(),
            "quantization": spec.quantization,
            "output_dir": str(output),
            "files": [asdict(entry) for entry in files],
            "weights_sha256": next(e.sha256 for e in files if e.path == facts["file"]),
            "python": platform.python_version(),
            **facts,
        },
    )


def _check(job: Job) -> None:
    """Refuse what can be known to fail before anything heavy. Raises Refused."""
    spec = job.spec
    try:
        load_library(job.library)
    except LlamaError as error:
        raise Refused("unavailable", str(error), "Run `make setup-gguf`.") from error
    if (job.folder / spec.output_dir).exists():
        raise Refused(
            "bad_spec",
            f"output_dir {Path(spec.output_dir).name!r} exists already.",
            "An artifact is never written over: remove it, or use the one that is there.",
        )


def _whole_model(job: Job, work: Path) -> Path:
    """Return a folder with the whole model, its adapter merged. Raises Refused."""
    source = _source(job)
    weights = list(source.glob("*.safetensors"))
    if (source / "adapter_config.json").is_file():
        job.progress.event("loading", "merging the adapter into its base")
        merged = work / "merged"
        steps.merge_adapter(source, merged, token=job.token)
        source, weights = merged, list(merged.glob("*.safetensors"))
    _check_room(job, weights)
    steps.stage(source, work / "model")
    return work / "model"


def _source(job: Job) -> Path:
    """Return the model's folder; one of the Hub is fetched."""
    spec, folder = job.spec, Path(job.spec.model).expanduser()
    if (folder / "adapter_config.json").is_file():
        return folder
    check_local_base(spec.model)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download

    job.progress.event("loading", f"fetching {spec.model} from the Hub")
    fetched = snapshot_download(  # nosec B615 - the revision is the spec's
        spec.model, revision=spec.revision, token=job.token, allow_patterns=list(_HUB_FILES)
    )
    return Path(fetched)


def _check_room(job: Job, weights: Iterable[Path]) -> None:
    """Raise Refused when the disk has no room for the files that will be written."""
    count = sum(map(_count_weights, weights))
    kind = job.spec.quantization
    extra = 0.0 if kind == "F16" else _BYTES_A_WEIGHT[kind]
    needed = count * (_BYTES_A_WEIGHT["F16"] + extra)
    free = shutil.disk_usage(job.folder).free
    if free < needed:
        raise Refused(
            "disk_full",
            f"The conversion needs about {needed / 1e9:.2f} GB; {free / 1e9:.2f} GB are free.",
            "Free some space and submit the job again.",
        )


def _count_weights(path: Path) -> int:
    import math

    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        return sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118 - no mapping


def _make(job: Job, source: Path, work: Path, target: Path) -> dict[str, Any]:
    """Fill ``target`` with the artifact; returns what was measured of it."""
    spec, progress = job.spec, job.progress
    progress.event("converting", "converting to GGUF")
    whole = work / "f16.gguf"
    steps.write_f16(source, whole, Path(spec.llama_cpp))
    file = f"{spec.name}.{spec.quantization}.gguf"
    progress.event("converting", f"quantising to {spec.quantization}")
    threads = spec.threads or os.cpu_count() or 1
    steps.write_quantized(whole, target / file, spec.quantization, job.library, threads)
    progress.event("converting", "opening the file again")
    manners, facts = _look(job, source, target / file)
    (target / "Modelfile").write_text(modelfile(file, manners), encoding="utf-8")
    sizes = {file: (target / file).stat().st_size}
    card = model_card(spec, sizes, usage(spec, Path(), file, manners))  # no path of this machine
    (target / "README.md").write_text(card, encoding="utf-8")
    before = sum(path.stat().st_size for path in source.glob("*.safetensors"))
    return {
        **facts,
        "file": file,
        "source_bytes": before,
        "usage": usage(spec, Path(spec.output_dir), file, manners),
        "ollama_template": manners.turns is not None,
    }


def _look(job: Job, source: Path, file: Path) -> tuple[Manners, dict[str, Any]]:
    """Open the finished file and compare its tokenizer with the original's."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(  # nosec B615 - a local folder
        source, local_files_only=True, trust_remote_code=False
    )
    library = load_library(job.library)
    with opened(library, file, threads=1, most_context=MOST_CONTEXT) as model:
        same = sum(
            tokenizer(text, add_special_tokens=False).input_ids == model.tokenize(text)
            for text in _TEXTS
        )
        template, special, context = model.chat_template, model.special(), model.context_tokens
        parameters = model.parameters
    generation = _json(source / "generation_config.json")
    manners = Manners(
        turns=read_turns(template, special) if template else None,
        stops=_stops(tokenizer, generation),
        generation=generation,
        context_tokens=context,
    )
    return manners, {
        "parameters": parameters,
        "tokenizer_checks": {"equal": same, "texts": len(_TEXTS)},
    }


def _stops(tokenizer: Any, generation: dict[str, Any]) -> list[str]:
    """Return the texts of the tokens that end an answer."""
    configured = generation.get("eos_token_id")
    ids = configured if isinstance(configured, list) else [configured]
    ends = [token for token in (tokenizer.eos_token_id, *ids) if token is not None]
    return list(dict.fromkeys(tokenizer.decode([token]) for token in ends))


def _json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found
