"""A model of 1.5 million parameters, from safetensors to four GGUF files that answer as it does.

Hidden 256 and intermediate 512 are multiples of 256, so that the K-quants are real.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.doubles.llama_cpp import llama_cpp
from tests.doubles.workshop import environment, trainer_python
from tests.doubles.workspace import LABELS, Workspace

from agent_orchestrator.agents.infrastructure.modelops.registry import ModelRegistry

pytestmark = [pytest.mark.trainer, pytest.mark.slow]

SIZE = ("--vocabulary", "300", "--hidden", "256", "--intermediate", "512", "--layers", "2")
TRAINING = {"learning_rate": 0.003, "max_steps": 60, "batch_size": 16, "adam_beta2": 0.98}
EXAMPLES = 24


def chef(workspace: Workspace, *arguments: str) -> dict[str, Any]:
    """Run a command as a user would; return its JSON."""
    variables = workspace.variables | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "agent_orchestrator", *arguments, "--json"],
        env=variables,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Return an installation whose code_review has a model that was really trained here."""
    folder = tmp_path_factory.mktemp("gguf")
    workspace = Workspace(folder)
    workspace.variables |= {
        "CHEF_TRAINER_PYTHON": os.path.abspath(trainer_python()),  # noqa: PTH100 - a venv's link
        "CHEF_LLAMA_CPP": str(llama_cpp()),
    }
    corpus = folder / "corpus.jsonl"
    examples = workspace.write_examples(120)
    lines = [json.loads(line) for line in examples.read_text().splitlines()]
    texts = [*(line["inputs"]["task"] for line in lines), *LABELS]
    corpus.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    base = workspace.state / "artifacts" / "local" / "small"
    module = ("-m", "agent_orchestrator.trainer.tiny_base")
    made = subprocess.run(
        [trainer_python(), *module, "--corpus", corpus, "--output", base, *SIZE],
        env=environment(),
        check=True,
        capture_output=True,
    )
    assert 1.3e6 < json.loads(made.stdout)["parameters"] < 1.6e6
    chef(workspace, "build-dataset", "code_review", "--source", str(examples), "--name", "reviews")
    changes = [part for k, v in TRAINING.items() for part in ("--overrides", f"{k}={v}")]
    given = ("--dataset", "reviews", "--base-model", "local/small", *changes)
    report = chef(workspace, "train", "code_review", *given, "--wait")
    assert report["version"] == "v1.0.0", report
    return workspace


@pytest.mark.parametrize(
    ("quantization", "version", "least", "most"),
    [
        ("F16", "v1.0.1", 0.45, 0.55),
        ("Q8_0", "v1.0.2", 0.25, 0.35),
        ("Q5_K_M", "v1.0.3", 0.17, 0.25),
        ("Q4_K_M", "v1.0.4", 0.14, 0.22),
    ],
)
def test_a_trained_model_answers_alike_in_gguf(
    workspace: Workspace, quantization: str, version: str, least: float, most: float
):
    """As large as the type says, the same answers within the gate, registered with its parent."""
    asked = ("convert", "--agent", "code_review", "--version", "v1.0.0")
    given = ("--quantization", quantization, "--max-examples", str(EXAMPLES))
    report = chef(workspace, *asked, *given, "--wait")
    made, evaluation = report["conversion"], report["evaluation"]
    sizes = {file["path"]: file["bytes"] for file in made["files"]}
    (name,) = (path for path in sizes if path.endswith(f".{quantization}.gguf"))
    assert sizes[name] == Path(made["folder"], name).stat().st_size
    beside = made["beside_parent"]
    before, after = beside["bytes"]
    assert after == sizes[name]
    assert least < after / before < most
    assert made["tokenizer_checks"][0] == made["tokenizer_checks"][1]
    assert beside["answers_compared"] == beside["n_examples"] == EXAMPLES
    assert beside["answers_equal"] >= (EXAMPLES if quantization == "F16" else 0.75 * EXAMPLES)
    assert evaluation["baseline"] == "v1.0.0"
    assert not any(evaluation["failed_calls"].values())
    registered = ModelRegistry(workspace.settings().registry_json).get_version(
        "code_review", version
    )
    assert (registered.parent_version, registered.quantization) == ("v1.0.0", quantization)
    assert registered.eval_scores.n_examples == EXAMPLES
