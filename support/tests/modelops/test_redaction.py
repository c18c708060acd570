"""What may be sent in a trace: no secret, and nothing without bounds."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.agents.infrastructure.modelops.tracing.redaction import Limits, Redaction

SECRET = "correct-horse-battery-staple"
REDACTION = Redaction([SECRET, "short"])

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "secret",
    [
        "hf_" + "a1B2" * 9,
        "lsv2_pt_" + "0123456789abcdef" * 2 + "_0123456789",
        "sk-or-v1-" + "0123456789abcdef" * 4,
        "AKIA" + "IOSFODNN7EXAMPLF",
        SECRET,
    ],
)
def test_a_secret_in_a_text_is_removed(secret: str):
    """Secrets of a known form, and our own, are found anywhere in a payload."""
    sent = REDACTION.payload({"messages": [{"content": f"use {secret} please"}], secret: "x"})
    assert secret not in json.dumps(sent)
    assert "please" in json.dumps(sent)


@pytest.mark.parametrize(
    "name",
    ["api_key", "Authorization", "HUGGINGFACE_TOKEN", "db_password", "client-secret", "X-Api-Key"],
)
def test_a_value_with_a_secrets_name_is_removed(name: str):
    """A key that is named like a secret loses its value."""
    assert REDACTION.payload({name: "abc"}) == {name: "<removed>"}


@pytest.mark.parametrize("name", ["max_tokens", "prompt_tokens", "max_token", "key", "tokenizer"])
def test_innocent_names_stay(name: str):
    """Names that merely resemble a secret's keep their value."""
    assert REDACTION.payload({name: "abc"}) == {name: "abc"}


def test_what_is_cut_says_how_long_it_was():
    """A long text, a long list and a deep nest are cut, with their size."""
    deep: Any = "x"
    for _ in range(50):
        deep = [deep]
    sent = REDACTION.payload({"text": "word " * 10_000, "list": list(range(1000)), "deep": deep})
    assert "50000 characters in all" in sent["text"]
    assert sent["list"][-1] == "… (1000 items in all)"
    assert "nested too deeply" in json.dumps(sent)


def test_a_payload_that_is_still_too_large_is_left_out():
    """Many texts that are each short enough are replaced by a note."""
    sent = REDACTION.payload({str(n): "word " * 1500 for n in range(100)})
    assert list(sent) == ["note"]
    assert len(json.dumps(sent)) < 2000


def test_a_secret_at_the_cut_does_not_show_its_half():
    """A secret that the cut would split is removed before."""
    text = "a" * 7_990 + " " + SECRET
    assert SECRET[:8] not in REDACTION.payload({"text": text})["text"]


@given(st.dictionaries(st.text(), json_values))
def test_every_payload_is_json_without_our_secret(value: dict[str, Any]):
    """Whatever a payload holds, what is sent is JSON of bounded size without our secret."""
    limits = Limits(characters=50, items=5, depth=4, total=5_000)
    sent = json.dumps(Redaction([SECRET], limits).payload({"value": value, "also": SECRET}))
    assert SECRET not in sent
    assert len(sent) <= 5_100
