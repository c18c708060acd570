"""How many weights a safetensors file holds, read from its header."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.doubles.safetensors_file import write_weights

from agent_orchestrator.agents.infrastructure.modelops.training.base_models import (
    count_parameters,
)
from agent_orchestrator.errors import InputError


@given(
    st.dictionaries(
        st.text("abc.", min_size=1, max_size=5), st.lists(st.integers(0, 9), max_size=3)
    )
)
def test_weights_are_counted_from_the_header(
    tmp_path_factory: pytest.TempPathFactory, shapes: dict[str, list[int]]
):
    """The product of each shape, summed; a scalar counts one, the metadata nothing."""
    path = write_weights(tmp_path_factory.mktemp("w") / "model.safetensors", shapes)
    expected = 0
    for shape in shapes.values():
        product = 1
        for length in shape:
            product *= length
        expected += product
    assert count_parameters(path) == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100) + b'{"w": {"shape"',
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 12) + b'{"w": "text"}',
        struct.pack("<Q", 9) + b'{"w": {}}',
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0000\nsize 1\n",
        b"\x80\x04\x95" + bytes(100),
    ],
)
def test_a_file_that_is_no_safetensors_is_named(tmp_path: Path, content: bytes):
    """Torn, empty, a pickle or a Git LFS pointer: one clear line, no huge read."""
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"model\.safetensors is not a safetensors file"):
        count_parameters(path)
