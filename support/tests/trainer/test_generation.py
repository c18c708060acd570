"""What is told of an answer, token by token."""

import queue
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.trainer.generation import (
    Artifacts,
    Decoder,
    Generation,
    Loaded,
    Update,
    advance,
)

END = 0
HALVES = ("\u00e9".encode()[:1], "\u00e9".encode()[1:])
TOKENS: dict[int, str | bytes] = {
    1: "bare",
    2: "_",
    3: "except",
    4: "\n",
    5: HALVES[0],
    6: HALVES[1],
}


class Tokenizer:
    """Turns tokens into their texts, and half characters into the replacement character."""

    def decode(self, tokens: Sequence[int], *, skip_special_tokens: bool) -> str:
        """Return the text."""
        parts = (TOKENS[token] for token in tokens)
        raw = b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)
        return raw.decode(errors="replace")


LOADED = Loaded(model=None, tokenizer=Tokenizer(), end_tokens=frozenset({END}))


def answer(
    tokens: Sequence[int], *, stop: tuple[str, ...] = (), most: int = 100, leave_after: int = 1000
) -> list[Update]:
    """Feed the tokens until the answer has ended; return what was told."""
    told: list[Update] = []
    generation = Generation(
        model="owner/model",
        messages=[],
        max_tokens=most,
        temperature=0.0,
        stop=stop,
        seed=None,
        emit=told.append,
    )
    for number, token in enumerate(tokens):
        if number == leave_after:
            generation.cancelled.set()
        if advance(generation, token, LOADED):
            return told
    return told


def text(told: list[Update]) -> str:
    """Return all that was told."""
    return "".join(update.text for update in told)


def test_an_answer_ends_with_the_end_token():
    """The end token is no part of the text and is not counted."""
    told = answer([1, 2, 3, END, 1])
    assert [update.text for update in told] == ["bare", "_", "except", ""]
    assert (told[-1].finish, told[-1].completion_tokens) == ("stop", 3)


def test_the_limit_ends_an_answer():
    """As many tokens as asked for, and no more."""
    told = answer([1, 2, 3, END], most=2)
    assert (text(told), told[-1].finish, told[-1].completion_tokens) == ("bare_", "length", 2)


def test_a_stop_text_is_cut_off_wherever_the_tokens_end():
    """Also when it spans tokens, or stands in the middle of one."""
    assert text(answer([1, 2, 3], stop=("e_e",))) == "bar"
    assert text(answer([1, 2, 3], stop=("x", "ar"))) == "b"
    assert answer([1, 2, 3], stop=("_",))[-1].finish == "stop"


def test_the_beginning_of_a_stop_text_waits():
    """What may be the stop text is told only when it turns out not to be."""
    told = answer([1, 2, 3, END], stop=("e_X",))
    assert [update.text for update in told] == ["bar", "e_except", ""]


def test_half_a_character_waits_for_its_other_half():
    """No client sees a replacement character that the next token would mend."""
    told = answer([5, 6, END])
    assert [update.text for update in told] == ["\u00e9", ""]


def test_a_generation_whose_client_left_ends():
    """At the next token, as cancelled."""
    told = answer([1, 2, 3, 1, 1], leave_after=2)
    assert (told[-1].finish, told[-1].completion_tokens) == ("cancelled", 3)


@given(
    st.lists(st.sampled_from([1, 2, 3, 4])),
    st.lists(st.text("bare_xcpt\n", min_size=1, max_size=4), max_size=2),
)
def test_the_pieces_are_the_text_up_to_the_first_stop(tokens: list[int], stop: list[str]):
    """However the text is cut into tokens, what is told is the same."""
    whole = Tokenizer().decode(tokens, skip_special_tokens=True)
    told = answer([*tokens, END], stop=tuple(stop))
    # A stop text ends the answer at the token that completes it, before a later, longer one could.
    reached = ""
    for token in tokens:
        reached += str(TOKENS[token])
        cuts = [at for s in stop if (at := reached.find(s)) >= 0]
        if cuts:
            whole = reached[: min(cuts)]
            break
    assert text(told) == whole
    assert told[-1].finish == "stop"


@pytest.mark.parametrize("tokens", [[], [1]])
def test_an_answer_that_was_cut_short_has_no_finish(tokens: list[int]):
    """As long as tokens are missing nothing is said to be finished."""
    assert all(update.finish is None for update in answer(tokens))


def test_an_engine_that_does_not_load_is_said_to_whoever_asks(tmp_path: Path):
    """This interpreter lacks the engine: every request is told, none hangs."""
    (tmp_path / "local" / "tiny").mkdir(parents=True)
    (tmp_path / "local" / "tiny" / "config.json").write_text("{}")
    decoder = Decoder(Artifacts(tmp_path))
    told: queue.Queue[Update | Exception] = queue.Queue()
    for _ in range(3):
        generation = Generation(
            model="local/tiny",
            messages=[],
            max_tokens=1,
            temperature=0.0,
            stop=(),
            seed=None,
            emit=told.put,
        )
        assert decoder.submit(generation)
        assert isinstance(told.get(timeout=60), ImportError)
