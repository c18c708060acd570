"""JSON as bytes: quick, and the standard library's own where that takes more."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.serving.json_bytes import dumps, loads

NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(exclude_categories=()))  # lone surrogates too
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(TEXT, parts, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_reads_and_writes_what_the_standard_library_does(value: Any) -> None:
    """Both directions agree with ``json`` for whatever it can write as JSON."""
    assert loads(json.dumps(value).encode()) == value
    assert json.loads(dumps(value)) == value


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'"\\ud83d"', "\ud83d"),
        (b"\xef\xbb\xbf[1]", [1]),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"[1e400]", [float("inf")]),
        (b"[Infinity]", [float("inf")]),
    ],
)
def test_reads_what_only_the_standard_library_takes(raw: bytes, value: Any) -> None:
    """Half an emoji, a byte order mark and Python's infinities are read, not refused."""
    assert loads(raw) == value


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[NaN]", b"[-Infinity]"])
def test_refuses_what_is_not_json(raw: bytes) -> None:
    """Without ``allow_nan``, NaN and infinities are refused like anything else that is not JSON."""
    with pytest.raises(ValueError, match=r"."):
        loads(raw, allow_nan=False)


def test_refuses_what_nests_too_deeply() -> None:
    """A bottomless body is an error that callers expect."""
    with pytest.raises((ValueError, RecursionError)):
        loads(b"[" * 100_000)


def test_writes_keys_and_numbers_that_only_the_standard_library_takes() -> None:
    """Keys that are not text become text; integers of any size are written."""
    assert json.loads(dumps({1: 2**70})) == {"1": 2**70}


def test_refuses_to_write_what_is_no_json_value() -> None:
    """Objects that the standard library refuses are refused."""
    with pytest.raises(TypeError):
        dumps({"x": object()})


def test_nan_is_written_as_null() -> None:
    """JSON has no word for it."""
    assert dumps([float("nan")]) == b"[null]"
