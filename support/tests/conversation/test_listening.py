"""Who begins to listen while a turn runs."""

import asyncio
from contextlib import aclosing
from pathlib import Path

from tests.conversation.conftest import ADA, say
from tests.conversation.test_stopping import SLOW, working
from tests.doubles.openai_server import Reply
from tests.doubles.workspace import Workspace

from agent_orchestrator.conversation.events import Event, Problem, Said, Token
from agent_orchestrator.wiring.orchestrator import Orchestrator

LOOKS = Reply(
    "I look at it.",
    tool_calls=[
        {
            "id": "call_1",
            "type": "function",
            "function": {"name": "read_file", "arguments": '{"path": "stats.py"}'},
        }
    ],
)


def numbers(events: list[Event]) -> list[int]:
    """Return the numbers of the events that are kept."""
    return [event.seq for event in events if not isinstance(event, Token)]


def written(events: list[Event]) -> dict[str, str]:
    """Return what the tokens say, by their message."""
    found: dict[str, str] = {}
    for event in events:
        if isinstance(event, Token):
            found[event.message_id] = found.get(event.message_id, "") + event.text
    return found


async def heard(chef: Orchestrator, after: int) -> list[Event]:
    """Listen to the turn from a number on, to its end."""
    return [event async for event in chef.conversation.listen("t1", after)]


async def test_who_listens_in_the_middle_hears_every_event_once_and_in_order(
    workspace: Workspace, tmp_path: Path
):
    """From the beginning what the first listener heard; from a number on, only what came then."""
    async with working(workspace, tmp_path / "sample", LOOKS, SLOW) as (chef, _server):
        told: list[Event] = []
        listening: list[asyncio.Task[list[Event]]] = []
        async with aclosing(chef.conversation.send("t1", "Mend the mean", ADA)) as events:
            async for event in events:
                told.append(event)
                used = next((e for e in told if e.type == "agent" and e.tool), None)
                if used and isinstance(event, Token) and not listening:
                    starts = (0, used.seq)
                    listening = [asyncio.create_task(heard(chef, seq)) for seq in starts]
                    await asyncio.sleep(0)  # they begin
                    chef.conversation.stop("t1", "ada")
        everything, rest = [await one for one in listening]
    assert used is not None
    assert numbers(everything) == numbers(told) == sorted(set(numbers(told)))
    assert written(everything) == written(told)
    assert "I look at it." in written(told).values()
    places = [(e.type, e.seq) for e in everything]
    assert places.index(("token", used.seq - 1)) < places.index(("agent", used.seq))
    assert numbers(rest) == [seq for seq in numbers(told) if seq > used.seq]
    assert "I look at it." not in written(rest).values()


async def test_a_turn_whose_process_was_killed_has_an_end_for_who_comes_back(
    orchestrator: Orchestrator,
):
    """Until something is said again: then it is over, whatever became of it."""
    said = Said(text="hello", by="ada").model_dump(exclude={"seq"})
    [seq] = orchestrator.thread_events.append_many([("t1", said)])
    for after, told in ((0, ["said", "error", "end"]), (seq, ["error", "end"])):
        events = await heard(orchestrator, after)
        assert [(event.type, event.seq) for event in events] == [(one, seq) for one in told]
        [problem] = [event for event in events if isinstance(event, Problem)]
        assert "cut off" in problem.message
        assert problem.remedy
    turn = await say(orchestrator, "list the models of cicd")
    assert await heard(orchestrator, seq) == turn
