"""Conversions to GGUF, really carried out by llama.cpp in the trainer's interpreter."""

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.hub import USER, HubDouble
from tests.doubles.llama_cpp import conversion_folder, convert, llama_cpp, start_conversion
from tests.doubles.workshop import environment, events, trainer_python

pytestmark = [pytest.mark.trainer, pytest.mark.slow]

MAKE_ADAPTER = """
import sys
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM
torch.manual_seed(0)
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
get_peft_model(model, config).save_pretrained(sys.argv[2])
"""


def read(path: Path) -> dict[str, Any]:
    """Return a JSON file."""
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return data


def failure_of(folder: Path, **variables: str) -> dict[str, Any]:
    """Run a conversion that fails; return its diagnosis."""
    assert convert(folder, **variables) == 1
    assert not (folder / "manifest.json").exists()
    assert not (folder / "artifact").exists()
    assert not (folder / "work").exists()
    return read(folder / "failure.json")


def test_a_model_becomes_a_file_with_all_that_belongs_to_it(base: Path, tmp_path: Path):
    """One GGUF file, a Modelfile and a card, vouched for by the manifest; nothing is left over."""
    folder = conversion_folder(tmp_path / "job_1", base, quantization="Q8_0")
    assert convert(folder) == 0, (folder / "worker.log").read_text()
    manifest = read(folder / "manifest.json")
    files = {entry["path"]: entry["bytes"] for entry in manifest["files"]}
    assert files == {
        name: (folder / "artifact" / name).stat().st_size
        for name in ("Modelfile", "README.md", "tiny.Q8_0.gguf")
    }
    assert (folder / "artifact" / "tiny.Q8_0.gguf").read_bytes()[:4] == b"GGUF"
    assert manifest["tokenizer_checks"]["equal"] == manifest["tokenizer_checks"]["texts"]
    assert manifest["ollama_template"]
    assert set(manifest["usage"]) == {"llama.cpp", "ollama", "lm_studio"}
    assert not (folder / "work").exists()
    assert [event["event"] for event in events(folder)][-1] == "completed"


def test_an_adapter_is_merged_first(base: Path, tmp_path: Path):
    """The file of an adapter holds other weights than that of its base, and as many."""
    adapter = tmp_path / "adapter"
    script = [trainer_python(), "-c", MAKE_ADAPTER, base, adapter]
    subprocess.run(script, env=environment(), check=True, capture_output=True)
    found = {}
    for name, model in (("merged", adapter), ("plain", base)):
        folder = conversion_folder(tmp_path / name, model, quantization="F16")
        assert convert(folder) == 0, (folder / "worker.log").read_text()
        found[name] = read(folder / "manifest.json")
    assert found["merged"]["weights_sha256"] != found["plain"]["weights_sha256"]
    assert found["merged"]["parameters"] == found["plain"]["parameters"]


def test_a_model_of_the_hub_is_fetched(base: Path, tmp_path: Path):
    """By its id, with the token; one that the token does not see is an unknown model."""
    files = {path.name: path.read_bytes() for path in base.iterdir()}
    with HubDouble() as hub:
        hub.repos.add("model", f"{USER}/tiny", files, private=True)
        variables = {**hub.environment(), "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path / "hf")}
        folder = conversion_folder(tmp_path / "job_1", f"{USER}/tiny", quantization="Q8_0")
        assert convert(folder, **variables) == 0, (folder / "worker.log").read_text()
        assert read(folder / "manifest.json")["file"] == "tiny.Q8_0.gguf"
        missing = conversion_folder(tmp_path / "job_2", f"{USER}/missing")
        assert failure_of(missing, **variables)["kind"] == "unknown_base_model"


def test_an_unknown_architecture_is_named(base: Path, tmp_path: Path):
    """What the converter does not know is diagnosed, not left as a traceback."""
    model = tmp_path / "model"
    model.mkdir()
    for path in base.iterdir():
        (model / path.name).write_bytes(path.read_bytes())
    config = read(model / "config.json")
    (model / "config.json").write_text(json.dumps({**config, "architectures": ["OurOwnLM"]}))
    failure = failure_of(conversion_folder(tmp_path / "job_1", model))
    assert failure["kind"] == "unknown_architecture"
    assert "'OurOwnLM'" in failure["message"]


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"quantization": "Q3_K_S"}, "bad_spec", "quantization = 'Q3_K_S': must be one of Q4_K_M"),
        ({"model": "./missing"}, "unknown_base_model", "'./missing' is not a folder"),
        ({"llama_cpp": "/nowhere"}, "unavailable", "no llama.cpp library in /nowhere/lib"),
    ],
)
def test_what_cannot_work_is_refused_at_once(
    base: Path, tmp_path: Path, changes: dict[str, Any], kind: str, words: str
):
    """Quantisation, model and llama.cpp are checked before anything heavy."""
    failure = failure_of(conversion_folder(tmp_path / "job_1", **{"model": base, **changes}))
    assert failure["kind"] == kind
    assert words in failure["message"]


def test_a_disk_that_fills_up_while_converting_fails_the_job(base: Path, tmp_path: Path):
    """The kernel's refusal to write more becomes a diagnosis; half a file is not left."""
    folder = conversion_folder(tmp_path / "job_1", base)
    assert convert(folder, largest_file=20_000) == 1
    assert read(folder / "failure.json")["kind"] == "disk_full"
    assert not (folder / "work").exists()
    assert not [path for path in folder.iterdir() if "artifact" in path.name]


def test_a_cancelled_conversion_leaves_nothing(base: Path, tmp_path: Path):
    """SIGTERM in the middle ends it with 143; neither artifact nor working files stay."""
    folder = conversion_folder(tmp_path / "job_1", base)
    process = start_conversion(folder)
    deadline = time.monotonic() + 120
    while not any(event["event"] == "converting" for event in _events(folder)):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert events(folder)[-1]["event"] == "cancelled"
    assert not (folder / "work").exists()
    assert not [path for path in folder.iterdir() if "artifact" in path.name]


def test_llama_cpp_of_another_release_is_refused(base: Path, tmp_path: Path):
    """A library whose structures may differ is never called."""
    fake = tmp_path / "llama.cpp" / "lib"
    fake.mkdir(parents=True)
    (fake / "libllama.so").symlink_to(next((llama_cpp() / "lib").glob("libggml-base*")))
    failure = failure_of(conversion_folder(tmp_path / "job_1", base, llama_cpp=str(fake.parent)))
    assert failure["kind"] == "unavailable"
    assert "cannot be used" in failure["message"]


def _events(folder: Path) -> list[dict[str, Any]]:
    return events(folder) if (folder / "progress.jsonl").exists() else []
