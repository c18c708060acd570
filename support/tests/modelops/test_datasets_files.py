"""Examples from users' files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.doubles.sources import open_local, read

from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.errors import DatasetError

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a file and returns its path."""

    def write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


def jsonl(*rows: object) -> str:
    """Return rows as JSON lines."""
    return "".join(json.dumps(row) + "\n" for row in rows)


OK = {"prompt": "Say b.", "completion": "b"}


def test_langsmith_examples_are_taken_as_they_stand(write: Write) -> None:
    """Ids, inputs, outputs and metadata are kept; the label is the answer, else the code."""
    path = write(
        "traces.jsonl",
        jsonl(
            {
                "id": "a1",
                "inputs": {"task": "Say a."},
                "outputs": {"answer": "a"},
                "metadata": {"group": "g", "category": "c", "success": True},
            },
            {"inputs": {"task": "Write f."}, "outputs": {"code": "def f(): ..."}},
        ),
    )
    first, second = read(open_local(path))
    assert (first.id, first.task, first.label, first.group, first.category) == (
        "a1",
        "Say a.",
        "a",
        "g",
        "c",
    )
    assert (second.id, second.label) == ("traces-2", "def f(): ...")


def test_conversations_end_with_the_answer(write: Write) -> None:
    """The assistant's last turn is the label; the turns before it are kept as the question."""
    system = {"role": "system", "content": "Be terse."}
    user = {"role": "user", "content": "Say a."}
    answer = {"role": "assistant", "content": "a"}
    path = write(
        "c.jsonl", jsonl({"messages": [system, user, answer]}, {"messages": [user, answer]})
    )
    first, second = read(open_local(path))
    assert first.messages == [system, user]
    assert (first.task, first.label) == ("Say a.", "a")
    assert second.messages == [user]
    assert "messages" not in second.inputs


def test_prompt_and_completion_with_other_columns_as_metadata(write: Write) -> None:
    """Other columns become metadata; a missing answer is none, not an empty one."""
    path = write(
        "p.jsonl", jsonl({**OK, "group": "g1", "stars": 5}, {"prompt": "?", "completion": None})
    )
    first, second = read(open_local(path))
    assert (first.task, first.label) == ("Say b.", "b")
    assert first.metadata == {"group": "g1", "stars": 5, "agent": "code_review"}
    assert second.label is None


def test_the_csv_form(write: Write) -> None:
    """text,response with quotes, new lines, a byte-order mark and Windows line ends."""
    path = write(
        "d.csv",
        b'\xef\xbb\xbftext,response,success\r\n"Fix, please:\n x == None",comparison,true\r\n'
        b"Say \xc3\xbc.,\xc3\xbc,false\r\n",
    )
    first, second = read(open_local(path))
    assert (first.task, first.label) == ("Fix, please:\n x == None", "comparison")
    assert (second.task, second.label) == ("Say ü.", "ü")
    assert (first.successful, second.successful) == (True, False)


def test_blank_lines_are_passed_over(write: Write) -> None:
    """Empty lines in between and at the end are no rows."""
    path = write("b.jsonl", "\n" + jsonl(OK) + "\n\n" + jsonl({**OK, "prompt": "Say c."}) + "\n")
    assert [example.id for example in read(open_local(path))] == ["b-2", "b-5"]


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.jsonl", jsonl({"a": 1}, OK), r"d.jsonl, line 1: no known columns .*'a'.*prompt"),
        (
            "d.jsonl",
            jsonl(OK, {"prompt": "x"}),
            r"d.jsonl, line 2, column 'completion': missing .*there: 'prompt'",
        ),
        (
            "d.jsonl",
            jsonl({"prompt": "x", "chosen": "y"}, OK),
            r"d.jsonl, line 1, column 'rejected': missing",
        ),
        ("d.jsonl", jsonl({"problem": "x"}, OK), r"d.jsonl, line 1, column 'solution': missing"),
        ("d.csv", "text,label\na,b\nc,d\n", r"d.csv, line 2, column 'response': missing"),
        ("d.csv", "a,b\n1,2\n3,4\n", r"d.csv, line 1: no known columns .*'a', 'b'"),
        (
            "d.csv",
            "text,text,response\na,b,c\n",
            r"d.csv, line 1: column 'text' stands there twice",
        ),
        ("d.csv", "text,response\na,b\nc\n", r"d.csv, line 3: 1 columns, the header has 2"),
        ("d.csv", 'text,response\na,"b\n', r"d.csv, line 2: not CSV"),
        ("d.csv", f"text,response\n{'x' * 200_000},b\n", r"d.csv, line 2: not CSV: field larger"),
        ("d.csv", "text,response\n ,b\nc,d\n", r"d.csv, line 2, column 'text': the task is empty"),
        ("d.jsonl", jsonl(OK), r"d.jsonl holds one example"),
        ("d.jsonl", "", r"d.jsonl holds no example"),
        ("d.csv", "", r"d.csv holds no example"),
        ("d.csv", "text,response\n", r"d.csv holds no example"),
        (
            "d.jsonl",
            jsonl({"prompt": 3, "completion": "b"}, OK),
            r"line 1, column 'prompt': .*3 \(int",
        ),
        (
            "d.jsonl",
            jsonl({"prompt": "3", "completion": ["b"]}, OK),
            r"'completion': expected text",
        ),
        ("d.jsonl", jsonl(OK, [1]), r"line 2, column '\(row\)': expected a JSON object"),
        ("d.jsonl", jsonl(OK) + '{"prompt": \n', r"d.jsonl, line 2, column 12: not JSON"),
        ("d.jsonl", jsonl(OK) + '{"prompt": NaN}\n', r"d.jsonl, line 2: not JSON: NaN"),
        ("d.jsonl", jsonl(OK) + DEEP + "\n", r"d.jsonl, line 2: nested too deeply"),
        ("d.jsonl", jsonl(OK).encode() + b'{"prompt": "\xff"}\n', r"line 2, byte 13: not UTF-8"),
        ("d.jsonl", jsonl(OK) + '{"prompt": "\\ud800", "completion": "b"}\n', r"line 2: .*surrog"),
        (
            "d.jsonl",
            jsonl({**OK, "n": 1}) + jsonl(OK)[:-2] + ', "n": 1e999}\n',
            r"line 2: .*not JSON",
        ),
        (
            "d.jsonl",
            jsonl({"prompt": "a", "completion": ""}, {"prompt": "b", "completion": None}),
            r"d.jsonl: no example has an answer",
        ),
        ("d.jsonl", jsonl({**OK, "id": 7}, OK), r"line 1, column 'id': expected text, got 7"),
        ("d.jsonl", jsonl({"inputs": "t", "outputs": {}}, OK), r"'inputs': expected an object"),
        (
            "d.jsonl",
            jsonl({"inputs": {"question": "t"}}, OK),
            r"'inputs.task': missing .*'question'",
        ),
        ("d.jsonl", jsonl({"inputs": {"task": 1}}, OK), r"'inputs.task': expected text"),
        ("d.jsonl", jsonl({"inputs": {"task": " "}}, OK), r"'inputs.task': the task is empty"),
        (
            "d.jsonl",
            jsonl({"inputs": {"task": "t"}, "outputs": {"answer": 1}}, OK),
            r"'outputs.answer': expected text",
        ),
        (
            "d.jsonl",
            jsonl({"inputs": {"task": "t"}, "metadata": "m"}, OK),
            r"'metadata': expected an object",
        ),
        ("d.jsonl", jsonl({"messages": []}, OK), r"'messages': expected a list"),
        ("d.jsonl", jsonl({"messages": ["hi"]}, OK), r"'messages\[0\]': expected an object"),
        (
            "d.jsonl",
            jsonl({"messages": [{"role": "robot", "content": "a"}]}, OK),
            r"'messages\[0\].role': expected one of system",
        ),
        (
            "d.jsonl",
            jsonl({"messages": [{"role": "user", "content": None}]}, OK),
            r"'messages\[0\].content': expected text",
        ),
        (
            "d.jsonl",
            jsonl({"messages": [{"role": "user", "content": "a"}]}, OK),
            r"'messages\[0\].role': expected the assistant's answer last",
        ),
        (
            "d.jsonl",
            jsonl({"messages": [{"role": "assistant", "content": "a"}]}, OK),
            r"'messages': expected a user's turn",
        ),
        ("d.xlsx", "PK", r"'.xlsx' is not a known kind"),
        ("d.parquet", "PAR1", r"d.parquet: not Parquet"),
    ],
)
def test_a_bad_file_is_refused_by_file_line_and_column(
    write: Write, tmp_path: Path, name: str, content: str | bytes, message: str
) -> None:
    """One clear line that names the place, and a remedy."""
    with pytest.raises(DatasetError, match=message) as caught:
        DatasetStore(tmp_path).build("code_review", open_local(write(name, content)))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400
    assert caught.value.remedy


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path without a file is an error that shows the path."""
    with pytest.raises(DatasetError, match=r"no data file '.*/no\.jsonl'"):
        read(open_local(tmp_path / "no.jsonl"))
    with pytest.raises(DatasetError, match="cannot be read: File name too long"):
        read(open_local(tmp_path / ("x" * 300 + ".jsonl")))
