"""Model names become paths: none leads out of the artifacts."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.trainer.generation import Artifacts, ModelNotFoundError


def make(root: Path, name: str) -> Path:
    """Make what looks like a model."""
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def test_a_finished_model_is_found_by_its_name(tmp_path: Path):
    """``owner/name`` is the folder ``owner/name``, and both are listed."""
    made = [make(tmp_path, name) for name in ("owner/one", "owner/two")]
    artifacts = Artifacts(tmp_path)
    assert artifacts.folder("owner/one") == made[0].resolve()
    assert artifacts.names() == ["owner/one", "owner/two"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        "one",
        "owner/none",
        "../outside/model",
        "owner/../../outside/model",
        "..",
        "owner/..",
        "/etc/passwd",
        "owner//one",
        "owner/one/",
        "owner/one/config.json",
        "owner/.hidden.job.partial",
        "owner/empty",
        "owner/link",
        "owner/one\0",
        "owner\\one",
        "o" * 5000 + "/x",
    ],
)
def test_any_other_name_is_not_found(tmp_path: Path, name: str):
    """Nor are a folder without a model, one that is being written, and a link that leads out."""
    root = tmp_path / "artifacts"
    make(root, "owner/one")
    make(root, "owner/.hidden.job.partial")
    outside = make(tmp_path, "outside/model")
    (root / "owner" / "empty").mkdir()
    (root / "owner" / "link").symlink_to(outside)
    artifacts = Artifacts(root)
    with pytest.raises(ModelNotFoundError):
        artifacts.folder(name)
    assert artifacts.names() == ["owner/one"]


@given(st.text() | st.lists(st.sampled_from(["..", ".", "a", "", "~", "\0"])).map("/".join))
def test_no_name_whatever_leads_out(tmp_path_factory: pytest.TempPathFactory, name: str):
    """Either the folder lies within, or there is none."""
    root = tmp_path_factory.getbasetemp() / "artifacts-of-any-name"
    if not root.exists():
        make(root, "a/a")
        make(root.parent, "a")
    try:
        folder = Artifacts(root).folder(name)
    except ModelNotFoundError:
        return
    assert folder == (root / "a" / "a").resolve()
