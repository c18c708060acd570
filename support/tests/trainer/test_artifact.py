"""The artifact appears whole or not at all."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from huggingface_hub.errors import HfHubHTTPError

from agent_orchestrator.trainer import artifact
from agent_orchestrator.trainer.base_model import check_local_base
from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.spec import DatasetFiles, ModelCard, Spec

SPEC = Spec(
    protocol=1,
    job_id="job_1",
    base_model="owner/base",
    dataset=DatasetFiles(train="train.jsonl", name="say-it"),
    output_dir="/somewhere/owner/better",
)


def test_a_folder_that_was_filled_appears(tmp_path: Path):
    """After the block the folder is there with its files, and nothing temporary stays."""
    with artifact.appearing(tmp_path / "a" / "model", "job_1") as partial:
        (partial / "x").write_text("1")
        assert not (tmp_path / "a" / "model").exists()
    assert (tmp_path / "a" / "model" / "x").read_text() == "1"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["model"]


def test_a_folder_whose_filling_failed_does_not_appear(tmp_path: Path):
    """A half artifact is never seen."""

    def fill() -> None:
        with artifact.appearing(tmp_path / "m", "j") as partial:
            (partial / "x").write_text("1")
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_an_artifact_is_never_written_over(tmp_path: Path):
    """The second job with the same output is refused, the first one's files stand."""
    (tmp_path / "model").mkdir()
    with (
        pytest.raises(Refused, match="exists already"),
        artifact.appearing(tmp_path / "model", "j"),
    ):
        pytest.fail("must not get here")
    assert (tmp_path / "model").is_dir()


def test_the_files_are_listed_with_hash_and_size(tmp_path: Path):
    """Folders within are walked; paths are relative."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b").write_bytes(b"content")
    (entry,) = artifact.list_files(tmp_path)
    assert entry.path == "sub/b"
    assert entry.sha256 == hashlib.sha256(b"content").hexdigest()
    assert entry.bytes == 7


def test_a_pickle_among_the_files_is_an_error(tmp_path: Path):
    """What would be saved as a pickle is noticed, whoever wrote it."""

    class Saves:
        def save_pretrained(self, folder: Path):
            (folder / "training_args.bin").write_bytes(b"")

    with pytest.raises(RuntimeError, match=r"training_args\.bin"):
        artifact.save_weights(Saves(), Saves(), tmp_path)


def front_matter(card: str) -> dict[str, object]:
    """Return the model card's front matter."""
    lines = card.split("---\n")[1].splitlines()
    return {key: json.loads(value) for key, value in (line.split(": ", 1) for line in lines)}


def test_the_model_card_names_base_and_data_set():
    """The Hub builds the model tree from these keys."""
    matter = front_matter(artifact.model_card(SPEC, {"steps": 5}))
    assert matter["base_model"] == "owner/base"
    assert matter["base_model_relation"] == "finetune"
    assert matter["datasets"] == ["say-it"]


def test_the_model_card_keeps_paths_of_this_machine_to_itself(tmp_path: Path):
    """A base model that is a folder is named by its name alone, or as the job says."""
    local = replace(SPEC, base_model=str(tmp_path))
    assert str(tmp_path.parent) not in artifact.model_card(local, {})
    named = replace(local, model_card=ModelCard(base_model="local/base", license="mit"))
    assert front_matter(artifact.model_card(named, {}))["base_model"] == "local/base"


def test_an_artifact_of_a_job_that_was_cut_off_at_its_end_is_made_again(tmp_path: Path):
    """The job itself may do that, and nobody else: its card says whose it is."""
    folder = tmp_path / "artifact"
    for _ in range(2):
        with artifact.appearing(folder, SPEC.job_id) as partial:
            card = artifact.model_card(SPEC, {}, ["It was cold."])
            (partial / "README.md").write_text(card)
    assert "- It was cold." in (folder / "README.md").read_text()
    with (
        pytest.raises(Refused, match="exists already"),
        artifact.appearing(folder, f"{SPEC.job_id}0"),
    ):
        pass


def test_metrics_stand_in_the_model_card():
    """What was measured is shown, what was not is left out."""
    card = artifact.model_card(SPEC, {"train_loss_final": 0.25, "validation_loss": None})
    assert "| train_loss_final | 0.25 |" in card
    assert "validation_loss" not in card


def test_json_is_replaced_whole(tmp_path: Path):
    """A reader sees the old or the new content, and nothing temporary stays."""
    path = tmp_path / "manifest.json"
    artifact.write_json(path, {"a": 1})
    artifact.write_json(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 2}
    assert [found.name for found in tmp_path.iterdir()] == ["manifest.json"]


def test_a_base_model_that_is_no_folder_is_unknown(tmp_path: Path):
    """A path is looked at before anything slow is imported."""
    with pytest.raises(Refused) as caught:
        check_local_base(str(tmp_path / "nothing"))
    assert caught.value.failure.kind == "unknown_base_model"


def test_pickled_weights_are_refused(tmp_path: Path):
    """A folder without safetensors is not loaded."""
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(Refused, match="pickles are never loaded"):
        check_local_base(str(tmp_path))


def test_a_hub_id_is_left_to_the_hub():
    """What is no path cannot be judged here."""
    check_local_base("owner/some-model")


def test_whatever_the_hubs_client_raises_counts_as_a_failed_upload():
    """Its transport's errors too, which are no OSErrors."""
    for error in (httpx2.ConnectError, HfHubHTTPError, RuntimeError):
        assert issubclass(error, artifact.hub_errors())
