"""Files of the workspace, and no way out of it."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.agents._shared.workspace import Match, Workspace
from agent_orchestrator.errors import ConfigurationError, InputError


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Return a workspace beside a secret."""
    (tmp_path / "secret").write_text("hush")
    root = tmp_path / "root"
    (root / "src").mkdir(parents=True)
    (root / "src" / "a.py").write_text("one = 1\ntwo = 2\n")
    (root / ".git").mkdir()
    (root / ".git" / "config").write_text("[core]\n")
    return Workspace(root)


def test_files_are_listed_searched_read_and_edited(workspace: Workspace):
    """Paths are relative to the root; an edit replaces the one place that it names."""
    workspace.edit("src/a.py", "two = 2", "two = 3")
    workspace.write("docs/new/b.md", "two words\n")
    assert workspace.read("./src//a.py") == "one = 1\ntwo = 3\n"
    assert list(workspace.files()) == ["docs/new/b.md", "src/a.py"]
    assert list(workspace.files("*.py")) == list(workspace.files("src/*")) == ["src/a.py"]
    assert list(workspace.search(r"^two\b", "*.py")) == [Match("src/a.py", 2, "two = 3")]


def test_a_file_keeps_its_mode(workspace: Workspace):
    """A script stays executable when it is written anew."""
    workspace.write("run.sh", "a")
    (workspace.root / "run.sh").chmod(0o700)
    workspace.write("run.sh", "b")
    assert (workspace.root / "run.sh").stat().st_mode & 0o777 == 0o700
    assert list(workspace.files("*run.sh*")) == ["run.sh"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/etc/passwd", "leads out"),
        ("../secret", "leads out"),
        ("src/../../secret", "leads out"),
        (".git/config", "belongs to git"),
        ("src/.GIT/hooks/x", "belongs to git"),
        ("", "no path"),
        (".", "no path"),
        ("a\0b", "no path"),
        ("link", "symbolic link"),
        ("up/secret", "Not a directory|symbolic link"),
        ("src", "no file|Is a directory"),
        ("pipe", "no file"),
        ("binary", "no text"),
        ("huge", "no file"),
        ("gone.py", "No such file"),
        ("src/a.py/x", "Not a directory"),
        ("n" * 300, "too long"),
    ],
)
def test_what_is_no_file_of_the_workspace_is_refused(workspace: Workspace, path: str, said: str):
    """No way leads out: not by dots, by an absolute path or by a link; the message names it."""
    root = workspace.root
    (root / "link").symlink_to(root.parent / "secret")
    (root / "up").symlink_to(root.parent)
    os.mkfifo(root / "pipe")
    (root / "binary").write_bytes(b"\xff\xfe")
    with (root / "huge").open("wb") as file:
        file.truncate(3_000_000)
    with pytest.raises(InputError, match=said):
        workspace.read(path)


@pytest.mark.parametrize("path", ["link", "up/new", "../new", "/new", ".git/hooks/x", "src"])
def test_nothing_is_written_elsewhere(workspace: Workspace, path: str):
    """A write goes through the same door as a read, and leaves nothing behind."""
    root = workspace.root
    (root / "link").symlink_to(root.parent / "secret")
    (root / "up").symlink_to(root.parent)
    with pytest.raises(InputError):
        workspace.write(path, "x")
    assert sorted(p.name for p in root.parent.iterdir()) == ["root", "secret"]
    assert (root.parent / "secret").read_text() == "hush"
    assert sorted(p.name for p in root.iterdir()) == [".git", "link", "src", "up"]


def test_a_search_follows_no_link(workspace: Workspace):
    """What lies outside is neither listed as a folder nor searched."""
    (workspace.root / "up").symlink_to(workspace.root.parent)
    (workspace.root / "link").symlink_to(workspace.root.parent / "secret")
    assert list(workspace.search("hush")) == []


def test_a_link_that_comes_and_goes_never_lets_out(workspace: Workspace):
    """A command that swaps a folder for a link meanwhile gains nothing."""
    root = workspace.root
    (root / "there").mkdir()
    (root / "there" / "secret").write_text("harmless")
    (root / "to-parent").symlink_to(root.parent)
    ended = threading.Event()

    def swap() -> None:
        while not ended.is_set():
            (root / "there").rename(root / "kept")
            (root / "to-parent").rename(root / "there")
            (root / "there").rename(root / "to-parent")
            (root / "kept").rename(root / "there")

    swapping = threading.Thread(target=swap)
    swapping.start()
    read = set()
    for _ in range(500):
        try:
            read.add(workspace.read("there/secret"))
        except InputError:
            read.add("refused")
    ended.set()
    swapping.join()
    assert "hush" not in read


@pytest.mark.parametrize(("old", "count"), [("= ", 2), ("gone", 0), ("", 0)])
def test_an_edit_that_is_not_clear_changes_nothing(workspace: Workspace, old: str, count: int):
    """A passage that occurs never or twice is an error that says how often."""
    with pytest.raises(InputError, match=f"says this {count} times"):
        workspace.edit("src/a.py", old, "x")
    assert workspace.read("src/a.py") == "one = 1\ntwo = 2\n"


def test_a_broken_pattern_is_said(workspace: Workspace):
    """The expression is the model's own: the error says what is wrong with it."""
    with pytest.raises(InputError, match=r"is no regular expression"):
        list(workspace.search("("))


@pytest.mark.parametrize("inner", [True, False])
def test_a_workspace_holds_nothing_that_governs_agents(tmp_path: Path, inner: bool):
    """Where the state lies within the workspace, or around it, there is no workspace."""
    state = tmp_path / "state"
    (state / "inner").mkdir(parents=True)
    with pytest.raises(ConfigurationError, match="overlap"):
        Workspace(tmp_path if inner else state / "inner", apart_from=[state])
    with pytest.raises(ConfigurationError, match="no folder"):
        Workspace(tmp_path / "gone")


@given(path=st.text(st.characters(codec="utf-8"), max_size=30) | st.from_regex(r"[./a]{1,12}"))
def test_no_path_leads_out(tmp_path_factory: pytest.TempPathFactory, path: str):
    """Whatever is asked for: a file under the root, or an error of ours."""
    root = tmp_path_factory.getbasetemp() / "any"
    root.mkdir(exist_ok=True)
    workspace = Workspace(root)
    try:
        workspace.write(path, "x")
    except InputError:
        return
    assert workspace.read(path) == "x"
    parts = [part for part in path.split("/") if part not in {"", "."}]
    assert (root.joinpath(*parts)).read_text() == "x"
