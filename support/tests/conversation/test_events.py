"""Events of a conversation on their way to who listens."""

from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import given

from agent_orchestrator.conversation.events import AgentWorks, Event, Token, joined

written = st.builds(
    Token,
    agent=st.sampled_from("ab"),
    text=st.text(max_size=3),
    message_id=st.sampled_from("12"),
    seq=st.sampled_from([1, 2]),
)
events = st.lists(written | st.builds(AgentWorks, agent=st.just("a"), seq=st.integers(3, 5)))


@given(events)
def test_tokens_that_come_together_are_one_and_say_the_same(given_events: list[Event]):
    """Every message's text and every other event, in the same order; no two neighbours are left."""
    found = list(joined(given_events))
    for message in {(e.agent, e.message_id) for e in given_events if isinstance(e, Token)}:
        assert _text(found, message) == _text(given_events, message)
    assert [e for e in found if not isinstance(e, Token)] == [
        e for e in given_events if not isinstance(e, Token)
    ]
    for one, after in pairwise(found):
        if isinstance(one, Token) and isinstance(after, Token):
            assert (one.message_id, one.agent, one.seq) != (
                after.message_id,
                after.agent,
                after.seq,
            )


def _text(events: list[Event], message: tuple[str, str]) -> str:
    tokens = (e for e in events if isinstance(e, Token))
    return "".join(e.text for e in tokens if (e.agent, e.message_id) == message)
