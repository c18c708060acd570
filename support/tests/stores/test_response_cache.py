"""The bounded cache of answers."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.errors import StorageError
from agent_orchestrator.stores.response_cache import ResponseCache


def test_what_is_kept_is_found_by_others_too(tmp_path: Path) -> None:
    """By another process' cache on the same file, until it is cleared."""
    one, other = (ResponseCache(tmp_path / "deep" / "answers.db", 100) for _ in range(2))
    assert one.get("a") is None
    one.put("a", b"1")
    assert other.get("a") == b"1"
    other.put("a", b"2")
    assert one.get("a") == b"2"
    assert one.clear() == 1
    assert other.get("a") is None


def test_what_was_used_longest_ago_gives_way(tmp_path: Path) -> None:
    """Reading counts as use; what is too large for all the room is not kept."""
    now = iter(range(100))
    cache = ResponseCache(tmp_path / "answers.db", 30, clock=lambda: float(next(now)))
    for key in "abc":
        cache.put(key, b"x" * 10)
    assert cache.get("a")
    cache.put("d", b"x" * 10)
    assert [key for key in "abcd" if cache.get(key)] == ["a", "c", "d"]
    cache.put("e", b"x" * 31)
    assert cache.get("e") is None


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.binary(max_size=40)), max_size=20))
def test_it_never_holds_more_than_it_may(
    tmp_path_factory: pytest.TempPathFactory, puts: list[tuple[str, bytes]]
) -> None:
    """And what it gives is what was put last."""
    cache = ResponseCache(tmp_path_factory.mktemp("c") / "answers.db", 64)
    last = {}
    for key, value in puts:
        cache.put(key, value)
        last[key] = value
    held = {key: found for key in last if (found := cache.get(key)) is not None}
    assert sum(map(len, held.values())) <= 64
    assert all(last[key] == found for key, found in held.items())
    cache.close()


def test_what_was_put_survives_a_kill(tmp_path: Path) -> None:
    """No commit waits for the disk, and yet nothing is lost with the process."""
    path = tmp_path / "answers.db"
    program = (
        "import os, pathlib, signal, sys\n"
        "from agent_orchestrator.stores.response_cache import ResponseCache\n"
        "cache = ResponseCache(pathlib.Path(sys.argv[1]), 10_000)\n"
        "for number in range(50): cache.put(str(number), b'x' * 100)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    cache = ResponseCache(path, 10_000)
    assert all(cache.get(str(number)) for number in range(50))


def test_a_broken_file_is_named_and_may_be_deleted(tmp_path: Path) -> None:
    """By the same cache, once it is gone."""
    path = tmp_path / "answers.db"
    path.write_bytes(b"not a database, but long enough to look like one " * 20)
    cache = ResponseCache(path, 100)
    with pytest.raises(StorageError, match=r"answers\.db"):
        cache.get("a")
    path.unlink()
    cache.put("a", b"1")
    assert cache.get("a") == b"1"
