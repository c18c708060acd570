"""The benchmark of conversations finds what it is there to find."""

from dataclasses import replace

from chat import faults
from tests.doubles.sse import SseEvent

SAID = SseEvent("said", {"type": "said"}, "3")
MESSAGE = SseEvent("message", {"message_id": "m", "text": "one two"}, "5")
END = SseEvent("end", {"type": "end"}, "8")
TOKENS = [
    SseEvent("token", {"message_id": "m", "text": "one "}, ""),
    SseEvent("token", {"message_id": "m", "text": "two"}, ""),
]
KEPT = [SAID, MESSAGE, END]


def heard(*, without: SseEvent | None = None) -> list[SseEvent]:
    """Return a whole turn, or one that lacks an event."""
    return [event for event in (SAID, *TOKENS, MESSAGE, END) if event is not without]


def test_a_whole_turn_has_no_fault():
    """Numbers rise, tokens join, it can be read again as it was heard."""
    assert faults(heard(), KEPT, KEPT) == []


def test_a_lost_token_is_a_fault():
    """It does not join to its message any more."""
    assert len(faults(heard(without=TOKENS[0]), KEPT, KEPT)) == 1


def test_events_out_of_order_lost_or_changed_are_faults():
    """Each of them."""
    assert faults(heard(), [MESSAGE, SAID, END], [MESSAGE, SAID, END])
    assert faults(heard(), [SAID, MESSAGE], [SAID, MESSAGE])
    assert faults(heard(), KEPT, [SAID, END])
    assert faults(heard(), KEPT, [SAID, MESSAGE, replace(END, data={"type": "end", "waiting": 1})])
