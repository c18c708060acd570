"""Ids that are never used twice."""

from __future__ import annotations

from uuid import UUID

import pytest

from agent_orchestrator.serving.request_ids import RequestIds

OWN = "0D9C5B4C-8B1F-4C4E-9D55-0F0A7C3C4A11"


def test_a_clients_uuid_is_taken_once():
    """A client's own id is used in canonical form; its retry gets a fresh one."""
    ids = RequestIds()
    assert ids.take(OWN) == OWN.lower()
    assert ids.take(OWN) != OWN.lower()


def test_an_id_we_gave_out_cannot_be_brought_back():
    """A client that copies the last answer's id does not fold two requests into one."""
    ids = RequestIds()
    first = ids.take()
    assert ids.take(first) != first


def test_anything_else_is_replaced():
    """Only UUIDs are accepted: an id goes into headers, logs and the store."""
    for proposed in (None, "", "1", "x" * 10_000, "abc\r\nX-Evil: 1"):
        assert UUID(RequestIds().take(proposed)).version == 4


def test_a_retry_is_noticed_among_thousands_of_other_requests():
    """The ids of late are remembered, in memory that does not grow with them."""
    ids = RequestIds()
    brought = [str(UUID(int=number)) for number in range(1000)]
    assert [ids.take(own) for own in brought] == brought
    for _ in range(5000):
        ids.take()
    again = [ids.take(own) for own in brought]
    assert sum(new == old for new, old in zip(again, brought, strict=True)) <= 2
    assert len(ids._used._slots) == 4 * len(ids._used._oldest)


@pytest.mark.untraced
def test_ids_are_all_different():
    """Also when many more were given out than are remembered."""
    ids = RequestIds()
    assert len({ids.take() for _ in range(300_000)}) == 300_000
