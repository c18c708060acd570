"""Data sets from the command line: checked, built from every kind of source, shown, exported."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from langsmith import Client
from tests.cli.conftest import Chef
from tests.doubles.hub import HubDouble
from tests.doubles.langsmith import KEY, LangSmith
from tests.doubles.planted_data import CLEAN, clean_row, write_planted
from tests.doubles.workspace import Workspace
from tokenizers import Tokenizer, models, pre_tokenizers

AGENT = "code_review"


@pytest.fixture
def planted(tmp_path: Path) -> str:
    """Return a source with every fault."""
    return str(write_planted(tmp_path / "planted.jsonl"))


@pytest.fixture
def langsmith(monkeypatch: pytest.MonkeyPatch) -> Iterator[LangSmith]:
    """Return LangSmith with the agent's own data set, where ``chef`` finds it."""
    with LangSmith() as service:
        client = Client(api_url=service.url, api_key=KEY)
        client.create_dataset(f"code-chef-{AGENT}")
        rows = [
            {
                "inputs": {"task": clean_row(n)["prompt"]},
                "reference_outputs": {"answer": clean_row(n)["completion"]},
                "metadata": {"agent": AGENT, "success": n % 2 == 0},
            }
            for n in range(20)
        ]
        client.create_examples(dataset_name=f"code-chef-{AGENT}", examples=rows)
        client.close()
        monkeypatch.setenv("LANGSMITH_ENDPOINT", service.url)
        monkeypatch.setenv("LANGSMITH_API_KEY", KEY)
        yield service


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[HubDouble]:
    """Return the Hub with a public data set, where ``chef`` finds it."""
    with HubDouble() as hub:
        lines = (json.dumps(clean_row(n)) for n in range(CLEAN))
        hub.repos.add("dataset", "acme/tasks", {"a.jsonl": "\n".join(lines)})
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


def test_from_the_check_to_the_export(chef: Chef, planted: str, tmp_path: Path) -> None:
    """The check tells what is built; people see each finding with its remedy."""
    checked = chef("dataset", "check", AGENT, "--source", planted)
    assert checked.code == 0
    assert "Rows read: 79" in checked.out
    assert "3 examples hold secrets (AWS Access Key 1" in checked.out
    assert "[scrubbed] Withdraw these keys" in checked.out
    assert chef("dataset", "list", "--json").json == {"datasets": []}
    built = chef("build-dataset", AGENT, "--source", planted, "--name", "clean", "--json").json
    shown = chef("dataset", "show", "clean", "--json").json
    assert shown["dataset"] == built["dataset"]
    assert built["dataset_hash"] in checked.out
    [listed] = chef("dataset", "list", "--json").json["datasets"]
    assert listed["counts"] == built["counts"]
    folder = str(tmp_path / "out")
    exported = chef(
        "dataset", "export", "clean", "--form", "autotrain_chat", "--folder", folder, "--json"
    ).json
    assert sum(exported["files"].values()) == sum(built["counts"].values())


def test_as_is_refuses_a_bad_row(chef: Chef, planted: str) -> None:
    """Exit code 2, and the place of the row."""
    refused = chef("build-dataset", AGENT, "--source", planted, "--as-is")
    assert refused.code == 2
    assert "planted.jsonl, line 67" in refused.err


def test_langsmith_is_a_source(chef: Chef, langsmith: LangSmith) -> None:
    """Without --source it is the agent's own data set; filters choose."""
    built = chef("build-dataset", AGENT, "--filters", "success=true", "--json").json
    assert sum(built["counts"].values()) == 10
    assert built["dataset"].startswith("code-chef-code-review-")
    nothing = chef("build-dataset", AGENT, "--filters", "feedback_score=4.0")
    assert nothing.code == 2
    assert "with filters feedback_score=4.0" in nothing.err
    wrong = chef("build-dataset", AGENT, "--filters", "feedback_score=high")
    assert (wrong.code, "feedback_score" in wrong.err) == (2, True)


def test_the_hub_is_a_source(chef: Chef, hub: HubDouble) -> None:
    """The origin names the commit."""
    report = chef("dataset", "check", AGENT, "--source", "hub:acme/tasks", "--json").json
    assert report["origin"].startswith("Hub data set acme/tasks@")
    assert sum(report["counts"].values()) == CLEAN


def test_public_and_own_examples_are_mixed(
    chef: Chef, langsmith: LangSmith, hub: HubDouble, workspace: Workspace
) -> None:
    """Four public ones for each of the agent's own, by the configuration's stages."""
    path = workspace.config / "modelops" / "dataset_defaults.yaml"
    path.write_text(path.read_text().replace("up_to: 199,", "up_to: 5,"))
    source = "evolution:hub:acme/tasks"
    filters = ("--filters", "success=true")
    mixed = chef("dataset", "check", AGENT, "--source", source, *filters, "--json").json
    assert mixed["origin"].startswith("stage hybrid: 10 own examples of langsmith, 40 of hub:")
    again = chef("dataset", "check", AGENT, "--source", source, *filters, "--json").json
    assert again["dataset_hash"] == mixed["dataset_hash"]


def test_tokens_are_counted_by_a_tokenizer_on_this_machine(
    chef: Chef, workspace: Workspace, planted: str
) -> None:
    """One token a word, for a tokenizer that is made so."""
    tokenizer = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    workspace.add_artifact("local/words")
    folder = workspace.state / "artifacts" / "local/words"
    tokenizer.save(str(folder / "tokenizer.json"))
    asked = ("dataset", "check", AGENT, "--source", planted, "--json", "--base-model")
    report = chef(*asked, "local/words").json
    assert report["tokens_exact"]
    assert report["tokens_how"] == "by the tokenizer of local/words"
    # Explain: and It means, and twenty words each; a quantile is an upper bound
    assert 43 <= report["tokens"]["p50"] <= 43 * 1.19
    (folder / "tokenizer.json").write_text("{")
    assert "is not a tokenizer" in chef(*asked, "local/words").err
