"""What a LoRA fine-tuning of 7 B parameters takes: tokens a second, MFU, hours and dollars.

    PYTHONPATH=support .venv/bin/python support/benchmarks/gpu_training.py [--shape 7b]

Makes a model of random weights in the shape of Qwen2.5-Coder-7B (the time of a step does not depend
on the weights' values), has the worker train it by SFT with LoRA as a job would, and takes the
steady rate from its progress lines: the first steps, which compile and allocate, are left out. From
it follow the hours and dollars of a production run on the hardware of
``config/modelops/training_defaults.yaml``. Without a GPU a tiny shape is trained instead, which
checks this program and says nothing about 7 B.

MFU (PaLM, Chowdhery et al. 2022, appendix B) counts the model's own operations, not those that
gradient checkpointing repeats: 4 for each weight and token with LoRA (2 forwards, 2 backwards
through activations; the frozen weights get no gradient).
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from agent_orchestrator.domain.cost import HardwareTier
from agent_orchestrator.stores.defaults import load_training_defaults

ROOT: Final = Path(__file__).resolve().parents[2]
RESULTS: Final = Path(__file__).resolve().parent / "results" / "gpu_training.json"
FLOPS_PER_WEIGHT_AND_TOKEN: Final = 4.0
GOAL_HOURS: Final = 2.0
GOAL_USD: Final = 5.0
#: Dense tensor-core operations a second in 16 bits, by the makers' data sheets.
PEAK_FLOPS: Final[Mapping[str, float]] = {
    "H200": 989e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10G": 70e12,
    "T4": 65e12,
}
#: What transformers calls the sizes of a model.
SHAPES: Final[Mapping[str, Mapping[str, int]]] = {
    "7b": {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 152064,
    },
    "tiny": {
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 1024,
    },
}
#: Runs in the trainer's interpreter: a model of random weights, and what it runs on.
MAKE: Final = """
import json, sys, torch
from transformers import Qwen2Config, Qwen2ForCausalLM
from agent_orchestrator.trainer.tiny_base import train_tokenizer

folder, shape, corpus = sys.argv[1], json.loads(sys.argv[2]), open(sys.argv[3]).read().split("\\n")
tokenizer = train_tokenizer(corpus, 1024)
config = Qwen2Config(**shape, tie_word_embeddings=False, max_position_embeddings=32768,
                     eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
gpu = torch.cuda.is_available()
torch.manual_seed(0)
torch.set_default_dtype(torch.bfloat16 if gpu else torch.float32)
with torch.device("cuda" if gpu else "cpu"):
    model = Qwen2ForCausalLM(config)
model.save_pretrained(folder)
tokenizer.save_pretrained(folder)
print(json.dumps({
    "parameters": sum(p.numel() for p in model.parameters()),
    "gpu": torch.cuda.get_device_name() if gpu else None,
    "torch": torch.__version__,
}))
"""


@dataclass(frozen=True, slots=True)
class Measured:
    """One training."""

    shape: str
    parameters: int
    device: str
    tokens_per_second: float
    """Of the steady part."""
    tokens_per_step: float
    steps: int
    mfu: float | None
    """None where the device's peak is not known."""
    final_loss: float


@dataclass(frozen=True, slots=True)
class Production:
    """A production run on rented hardware."""

    hardware: str
    hours: float
    usd: float
    basis: str
    """Where its speed comes from."""

    @property
    def within_goal(self) -> bool:
        """Whether it takes less than two hours and five dollars."""
        return self.hours < GOAL_HOURS and self.usd < GOAL_USD


def peak_of(device: str) -> float | None:
    """Return a device's peak; the longest name that its own contains decides."""
    names = [name for name in PEAK_FLOPS if name in device.upper()]
    return PEAK_FLOPS[max(names, key=len)] if names else None


def steady_rate(events: Sequence[Mapping[str, Any]], tokens_per_step: float) -> float:
    """Return tokens a second between the second step that was told of and the last."""
    steps = [event for event in events if event["event"] == "step"][1:]
    first, last = steps[0], steps[-1]
    seconds = float(last["at"] - first["at"])
    return tokens_per_step * int(last["step"] - first["step"]) / seconds


def production_runs(
    parameters: float, tokens: float, mfu: float | None, tiers: Sequence[HardwareTier]
) -> list[Production]:
    """Return the run on each tier that holds the model: as configured, and at the measured MFU."""
    work = FLOPS_PER_WEIGHT_AND_TOKEN * parameters * tokens
    runs = []
    for tier in (tier for tier in tiers if parameters <= tier.max_parameters):
        speeds = {"training_defaults.yaml": tier.effective_flops}
        peak = peak_of(tier.name.split("-")[0])
        if mfu is not None and peak is not None:
            speeds["measured MFU of its peak"] = mfu * peak
        for basis, speed in speeds.items():
            hours = work / speed / 3600
            runs.append(Production(tier.name, hours, hours * tier.usd_per_hour, basis))
    return runs


def measure(python: Path, shape: str, *, length: int, batch: int, steps: int) -> Measured:
    """Make the model, let the worker train it, and read what it told."""
    with tempfile.TemporaryDirectory(prefix="chef-gpu-") as scratch:
        folder = Path(scratch)
        corpus = folder / "corpus.txt"
        corpus.write_text("\n".join(_text(n, 40) for n in range(200)), encoding="utf-8")
        made = json.loads(
            _run(
                (str(python), "-c", MAKE, str(folder / "base")),
                json.dumps(SHAPES[shape]),
                str(corpus),
            ).splitlines()[-1]
        )
        job = _job(folder / "job", folder / "base", length=length, batch=batch, steps=steps)
        _run((str(python), "-m", "agent_orchestrator.trainer"), str(job))
        metrics = json.loads((job / "manifest.json").read_text(encoding="utf-8"))["metrics"]
        lines = (job / "progress.jsonl").read_text(encoding="utf-8").splitlines()
    per_step = metrics["tokens"] / metrics["steps"]
    rate = steady_rate([json.loads(line) for line in lines], per_step)
    device = made["gpu"] or f"CPU ({platform.machine()})"
    peak = peak_of(device)
    flops = FLOPS_PER_WEIGHT_AND_TOKEN * made["parameters"] * rate
    return Measured(
        shape=shape,
        parameters=made["parameters"],
        device=device,
        tokens_per_second=rate,
        tokens_per_step=per_step,
        steps=metrics["steps"],
        mfu=flops / peak if peak else None,
        final_loss=metrics["train_loss_final"],
    )


def _text(seed: int, words: int) -> str:
    """Return so many words of a fixed order, the same in every run."""
    return " ".join(f"w{(seed * 31 + n * 7) % 97}" for n in range(words))


def _job(folder: Path, base: Path, *, length: int, batch: int, steps: int) -> Path:
    """Write a job whose rows have about ``length`` tokens each."""
    folder.mkdir()
    words = length // 3  # a word and its blank have about three tokens
    rows = [
        {"prompt": _text(n, words // 2), "completion": _text(n + 1, words // 2)}
        for n in range(batch * steps)
    ]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = {
        "protocol": 1,
        "job_id": "gpu-training",
        "method": "sft",
        "base_model": str(base),
        "dataset": {"train": "train.jsonl"},
        "output_dir": "artifact",
        "hyperparameters": {
            "max_steps": steps,
            "batch_size": batch,
            "gradient_accumulation": 1,
            "max_length": 2 * length,
            "learning_rate": 1e-4,
            "lora": {"rank": 32, "alpha": 64},
        },
    }
    (folder / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
    return folder


def _run(command: Sequence[str], *arguments: str) -> str:
    """Run a program of the trainer's; return its output. Exits with its error when it fails."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode != 0:
        sys.exit(f"{command[-1]} failed:\n{(done.stderr or done.stdout)[-3000:]}")
    return done.stdout


def show(found: Measured, runs: Sequence[Production], tokens: float) -> None:
    """Print the tables."""
    mfu = "unknown peak" if found.mfu is None else f"{found.mfu:.1%}"
    print(f"{'shape':8}{'parameters':>14}{'device':>28}{'tokens/s':>12}{'MFU':>14}")
    print(
        f"{found.shape:8}{found.parameters:>14,}{found.device:>28}"
        f"{found.tokens_per_second:>12,.0f}{mfu:>14}\n"
    )
    if found.shape != "7b":
        print("The tiny shape checks this program. 7 B: not measured yet (needs a GPU).")
    print(f"A production run of 7 B: {tokens:,.0f} tokens read, LoRA, SFT")
    print(f"{'hardware':14}{'hours':>8}{'USD':>8}  {'goal':6}speed by")
    for run in runs:
        goal = "met" if run.within_goal else "missed"
        print(f"{run.hardware:14}{run.hours:>8.2f}{run.usd:>8.2f}  {goal:6}{run.basis}")


def main() -> int:
    """Measure, print and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", type=Path, default=ROOT / ".venv-trainer/bin/python")
    parser.add_argument("--shape", choices=[*SHAPES], help="default: 7b with a GPU, else tiny")
    parser.add_argument("--length", type=int, default=1024, help="tokens of an example")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--examples", type=int, default=5000, help="of the production run")
    parser.add_argument("--epochs", type=float, default=1.0)
    parser.add_argument("--output", type=Path, default=RESULTS)
    given = parser.parse_args()
    probe = "import torch; print(torch.cuda.is_available())"
    gpu = _run((str(given.python), "-c", probe)).strip() == "True"
    shape = given.shape or ("7b" if gpu else "tiny")
    small = {} if shape == "7b" else {"length": min(given.length, 96), "batch": 4}
    settings = {"length": given.length, "batch": given.batch, "steps": given.steps} | small
    found = measure(given.python, shape, **settings)
    tokens = float(given.examples * given.length * given.epochs)
    is_real = found.shape == "7b"
    preset = load_training_defaults(ROOT / "config")
    parameters = found.parameters if is_real else preset.presets["qwen2.5-coder-7b"].parameters
    runs = production_runs(parameters, tokens, found.mfu if is_real else None, preset.hardware)
    show(found, runs, tokens)
    report = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "settings": settings,
        "measured": asdict(found),
        "production": {"tokens": tokens, "runs": [asdict(run) for run in runs]},
    }
    given.output.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
