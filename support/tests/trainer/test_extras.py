"""What needs more than every trainer has: four bits, where there is a GPU, and Trackio."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.doubles.workshop import environment, job_folder, run_worker, trainer_python

pytestmark = pytest.mark.trainer

#: Merges the same adapters in both ways; prints the hashes of base and results.
MERGE = """
import sys, torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
from agent_orchestrator.trainer.artifact import weights_sha256
from agent_orchestrator.trainer.quantized import merged

def base():
    return AutoModelForCausalLM.from_pretrained(sys.argv[1])

lora = LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj"], init_lora_weights=False)
torch.manual_seed(0)
trained = get_peft_model(base(), lora)
by_us = weights_sha256(merged(trained, base()))
print(weights_sha256(base()), weights_sha256(trained.merge_and_unload()), by_us)
"""


def test_four_bits_need_a_gpu(base: Path, tmp_path: Path):
    """Without one the job is refused before the base is loaded, with the way out."""
    parameters = {"quantization": "int4", "lora": {"rank": 4, "alpha": 8}}
    folder = job_folder(tmp_path / "job", base, hyperparameters=parameters)
    assert run_worker(folder, CUDA_VISIBLE_DEVICES="") == 1
    failure = json.loads((folder / "failure.json").read_text())
    assert failure["kind"] == "unavailable"
    assert "needs a GPU" in failure["message"]
    assert "Leave quantization out" in failure["remedy"]


def test_adapters_go_into_the_base_as_it_was_saved(base: Path):
    """They change it as they would have changed the base they were trained with."""
    done = subprocess.run(
        [trainer_python(), "-c", MERGE, base],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    before, directly, by_us = done.stdout.split()
    assert before != directly == by_us


def test_trackio_is_asked_for_only_where_it_is_installed(base: Path, tmp_path: Path):
    """Otherwise the job is refused before the base is loaded, with what to install."""
    there = subprocess.run(
        [trainer_python(), "-c", "import trackio"], capture_output=True, check=False
    )
    folder = job_folder(tmp_path / "job", base, hyperparameters={"trackio": "chef"})
    if there.returncode == 0:
        assert run_worker(folder) == 0
        assert (folder / "trackio" / "chef.db").exists()
        return
    assert run_worker(folder) == 1
    failure = json.loads((folder / "failure.json").read_text())
    assert failure["kind"] == "unavailable"
    assert "pip install trackio" in failure["remedy"]
