"""Server-sent events: however they are cut, kept alive while nothing happens, ended in order."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import hypothesis.strategies as st
import pytest
from fastapi import HTTPException
from hypothesis import given
from tests.doubles.sse import SseEvent, SseReader

from agent_orchestrator.api.limits import STREAMS, Rates
from agent_orchestrator.api.news import News
from agent_orchestrator.api.streams import EventStream, Sent, begun
from agent_orchestrator.errors import ConflictError, StorageError

#: What may stand in an event: also what looks like the wire format itself.
texts = st.text() | st.sampled_from(["data: x\n\n", "\r\n", "\r", ":", "id: 7\n", "\u2028", "\x00"])
data = st.dictionaries(texts, texts | st.integers() | st.none(), min_size=1)
events = st.lists(
    st.tuples(st.sampled_from(["job", "message", "token"]), data, st.integers(0, 2**53) | st.none())
)


@given(events, st.data())
def test_what_is_sent_is_read_however_the_network_cuts_it(
    sent: list[tuple[str, dict[str, Any], int | None]], draw: st.DataObject
):
    """Every event, in order, with its number; heartbeats in between change nothing."""
    wire = b"".join(Sent(*one).encode() + b": alive\n\n" for one in sent)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(wire)), max_size=8)))
    reader, found = SseReader(), list[SseEvent]()
    for start, end in zip([0, *cuts], [*cuts, len(wire)], strict=True):
        found += reader.feed(wire[start:end])
    assert [(one.event, one.data) for one in found] == [one[:2] for one in sent]
    last = ""
    for one, (_, _, number) in zip(found, sent, strict=True):
        last = str(number) if number is not None else last
        assert one.id == last
    assert reader.comments == len(sent)


async def read(stream: EventStream) -> tuple[SseReader, list[SseEvent]]:
    """Read a stream to its end."""
    reader, found = SseReader(), list[SseEvent]()
    async for piece in stream.body_iterator:
        assert isinstance(piece, bytes)
        found += reader.feed(piece)
    return reader, found


async def test_a_stream_says_that_it_is_alive_while_nothing_happens():
    """So that nobody between takes it for dead."""
    go_on = asyncio.Event()

    async def slow() -> AsyncGenerator[Sent, None]:
        await go_on.wait()
        yield Sent("job", {"n": 1}, 1)

    reader, found = SseReader(), list[SseEvent]()
    async for piece in EventStream(slow(), asyncio.Event(), heartbeat=0.01).body_iterator:
        assert isinstance(piece, bytes)
        found += reader.feed(piece)
        if reader.comments:
            go_on.set()
    assert [one.data for one in found] == [{"n": 1}]


async def test_an_error_in_the_middle_is_the_last_event():
    """With its remedy; what came before it was sent."""

    async def breaks() -> AsyncGenerator[Sent, None]:
        yield Sent("job", {"n": 1}, 1)
        raise StorageError("Disk full.", remedy="Free some space.")

    _, found = await read(EventStream(breaks(), asyncio.Event()))
    assert [one.event for one in found] == ["job", "error"]
    assert (found[1].data["status"], found[1].data["remedy"]) == (507, "Free some space.")


async def test_an_error_before_the_first_event_is_an_answer_of_its_own():
    """It has a status of its own, as any other request's."""

    async def refuses() -> AsyncGenerator[Sent, None]:
        raise ConflictError("No.")
        yield Sent("job", {})

    with pytest.raises(ConflictError, match="No"):
        await begun(refuses())


async def test_the_source_is_closed_when_the_server_closes():
    """Nothing is left running behind a stream that has ended."""
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[Sent, None]:
        try:
            yield Sent("job", {"n": 1}, 1)
            await asyncio.Event().wait()
        finally:
            closed.set()

    closing = asyncio.Event()
    reading = asyncio.create_task(read(EventStream(endless(), closing)))
    await asyncio.sleep(0)
    closing.set()
    await reading
    assert closed.is_set()


async def test_one_caller_reads_so_many_streams_at_a_time():
    """Others read theirs; a stream that has ended counts no more."""
    rates = Rates(1.0, 1)

    async def endless() -> AsyncGenerator[int, None]:
        while True:
            yield 1

    opened = [rates.streaming("ann", endless()) for _ in range(STREAMS)]
    for stream in opened:
        await anext(stream)
    with pytest.raises(HTTPException, match="ann"):
        rates.streaming("ann", endless())
    rates.streaming("bob", endless())
    await opened[0].aclose()
    rates.streaming("ann", endless())
    for stream in opened:
        await stream.aclose()


async def test_news_wake_everybody_once_for_what_is_new():
    """Many followers, one look; each gets everything after its number, in order."""
    kept: list[int] = []
    news = News(lambda: len(kept), seconds=0.001)
    watching = asyncio.create_task(news.watch())

    async def follow(after: int) -> list[int]:
        found: list[int] = []
        source = news.follow(lambda seq: [n for n in kept if n > seq], lambda n: n, after)
        async for number in source:
            found.append(number)
            if number == 30:
                break
        await source.aclose()
        return found

    followers = [asyncio.create_task(follow(after)) for after in range(20)]
    for number in range(1, 31):
        kept.append(number)
        await asyncio.sleep(0)
    assert [await one for one in followers] == [list(range(n + 1, 31)) for n in range(20)]
    watching.cancel()
