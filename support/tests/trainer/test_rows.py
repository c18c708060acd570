"""Training rows in their two forms; what is wrong is named by column and row."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.rows import Example, parse_row, read_rows

GOOD = '{"prompt": "a", "completion": "b"}'


def test_messages_become_prompt_and_answer():
    """The assistant's last message is the answer, all before it the prompt."""
    system = {"role": "system", "content": "s"}
    user = {"role": "user", "content": "u"}
    line = json.dumps({"messages": [system, user, {"role": "assistant", "content": "a"}]})
    assert parse_row(line, 1) == Example((system, user), "a")


def test_prompt_and_completion_become_a_conversation():
    """A prompt is what the user said."""
    assert parse_row(GOOD, 1) == Example(({"role": "user", "content": "a"},), "b")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "Column 'messages', row 7: the line is not JSON"),
        ("[]", "Column 'messages', row 7: the line is not a JSON object"),
        ('{"text": "x"}', "Column 'messages', row 7: neither 'messages' nor"),
        ('{"prompt": "a"}', "Column 'completion', row 7: is missing"),
        ('{"prompt": 3, "completion": "b"}', "Column 'prompt', row 7: is 3, no text"),
        ('{"prompt": "a", "completion": " "}', "Column 'completion', row 7"),
        ('{"messages": []}', "needs at least a question and an answer"),
        ('{"messages": [1, 2]}', "a message needs a role"),
        (
            '{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}',
            "the assistant must speak last",
        ),
        (
            '{"messages": [{"role": "user"}, {"role": "assistant", "content": "b"}]}',
            "Column 'content', row 7: is missing",
        ),
    ],
)
def test_a_bad_row_is_named_by_column_and_row(line: str, said: str):
    """The message says where to look."""
    with pytest.raises(Refused) as caught:
        parse_row(line, 7)
    assert caught.value.failure.kind == "bad_column"
    assert said in caught.value.failure.message


def test_rows_are_counted_as_an_editor_counts_lines(tmp_path: Path):
    """Empty lines are passed over, but counted."""
    path = tmp_path / "train.jsonl"
    path.write_text(f"{GOOD}\n\n{{}}\n")
    with pytest.raises(Refused, match="row 3"):
        read_rows(path)


@pytest.mark.parametrize("text", [None, "", "\n\n"])
def test_a_data_set_without_rows_is_refused(tmp_path: Path, text: str | None):
    """Nothing to train on is a failure, not an empty training."""
    path = tmp_path / "train.jsonl"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Refused):
        read_rows(path)


@given(st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1))
def test_any_text_survives_a_file(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
):
    """Line separators of Unicode inside a text do not split its row."""
    pairs = [(a, b) for a, b in pairs if a.strip() and b.strip()] or [("a", "b")]
    path = tmp_path_factory.mktemp("rows") / "train.jsonl"
    rows = [{"prompt": a, "completion": b} for a, b in pairs]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    assert [example.answer for example in read_rows(path)] == [b for _, b in pairs]
