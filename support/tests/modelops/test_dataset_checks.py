"""What the data report finds, and what cleaning does about it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.doubles.planted_data import (
    CLEAN,
    FOUND,
    SENSITIVE,
    clean_row,
    planted_rows,
    task,
    write_planted,
)
from tests.doubles.sources import open_local

from agent_orchestrator.agents.infrastructure.modelops.datasets.drafts import Draft, Recipe
from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.near_duplicates import (
    THRESHOLD,
    bands,
    shingles,
    similarity,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.scrubbing import scrub
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Source
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.errors import DatasetError

CLEANED = Recipe(clean=True, max_tokens=2000)


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    """Return an empty store."""
    return DatasetStore(tmp_path / "datasets")


def found(draft: Draft) -> dict[str, int]:
    """Return kind → count of the findings."""
    return {finding.kind: finding.count for finding in draft.findings}


# ---------------------------------------------------------------- the planted set


def test_every_planted_fault_is_found(store: DatasetStore, tmp_path: Path) -> None:
    """Each kind with its count, a message, a suggestion and where to look."""
    draft = store.check(open_local(write_planted(tmp_path / "p.jsonl")), recipe=CLEANED)
    kinds = found(draft)
    assert {kind: kinds.get(kind) for kind in FOUND} == FOUND
    assert kinds["duplicate"] == 2  # the copy, and the one in capitals: of the same group
    assert kinds.get("near_duplicate", 0) + kinds.get("leak_near", 0) == 1
    assert draft.rows_read == len(planted_rows())
    assert draft.fault is None
    for finding in draft.findings:
        assert str(finding.count) in finding.message
        assert finding.suggestion
        assert 1 <= len(finding.examples) <= 5
    secret = next(finding for finding in draft.findings if finding.kind == "secret")
    assert "AWS Access Key 1" in secret.message
    assert "Private Key 1" in secret.message
    assert store.list() == []


def test_cleaning_removes_every_fault(store: DatasetStore, tmp_path: Path) -> None:
    """What was built is clean: checking it again finds nothing but the long one."""
    source = open_local(write_planted(tmp_path / "p.jsonl"))
    dataset = store.build("code_review", source, recipe=CLEANED)
    text = "".join((dataset.folder / f"{s}.jsonl").read_text() for s in ("train", "eval"))
    assert not [value for value in SENSITIVE if value in text]
    assert "<EMAIL>" in text
    assert "<AWS_ACCESS_KEY>" in text
    again = store.check(
        Source("again", "again", dataset.examples("train"), dataset.examples("eval")),
        recipe=CLEANED,
    )
    assert found(again) == {"too_long": 1}
    kept = {e.id for s in ("train", "eval") for e in dataset.examples(s)}  # type: ignore[arg-type]
    untouched = {f"ok-{n}" for n in range(CLEAN) if n != 3}
    assert untouched - kept <= {"ok-2"}  # its near copy may have been the one that is held out
    assert not kept & {"copy", "case", "other", "ok-3", "mute", "empty", "renamed", "number"}


def test_as_it_is_the_first_bad_row_ends_it(store: DatasetStore, tmp_path: Path) -> None:
    """Without cleaning a bad row is an error that names its place; nothing is built."""
    with pytest.raises(DatasetError, match=r"p\.jsonl, line 67, column 'prompt'"):
        store.build("code_review", open_local(write_planted(tmp_path / "p.jsonl")))
    assert store.list() == []


def test_without_cleaning_findings_stay_and_say_so(store: DatasetStore) -> None:
    """Only leaks are left out; secrets are reported and kept."""
    rows = [
        Example(id=f"{n}", inputs={"task": task(n)}, outputs={"answer": "x"}) for n in range(20)
    ]
    secret = Example(id="s", inputs={"task": "a b c"}, outputs={"answer": SENSITIVE[0]})
    copy = Example(id="c", inputs={"task": task(0)}, outputs={"answer": "x"})
    dataset = store.build("code_review", Source("s", "s", [*rows, secret, copy]))
    assert {(f.kind, f.action) for f in dataset.findings} == {
        ("secret", "kept"),
        ("duplicate", "kept"),
    }
    assert sum(dataset.counts.values()) == 22


def test_a_source_with_the_wrong_columns_is_reported(store: DatasetStore, tmp_path: Path) -> None:
    """The report comes, with what the columns could be; there can be no data set."""
    path = tmp_path / "wrong.csv"
    path.write_text("question,verdict\na,b\nc,d\n")
    draft = store.check(open_local(path), recipe=CLEANED)
    assert found(draft) == {"bad_row": 1}
    assert "no known columns" in draft.findings[0].message
    assert "prompt + completion" in draft.findings[0].suggestion
    with pytest.raises(DatasetError, match="no known columns"):
        store.build("code_review", open_local(path), recipe=CLEANED)


def test_what_the_method_cannot_use_is_reported(store: DatasetStore) -> None:
    """Pairs are needed for DPO; answers alone are counted as wrong for it."""
    rows = [
        Example(id=f"{n}", inputs={"task": task(n)}, outputs={"answer": task(n + 50)})
        for n in range(9)
    ]
    draft = store.check(Source("s", "s", rows), recipe=Recipe(clean=True, method="dpo"))
    assert found(draft) == {"wrong_for_method": 9}
    assert "dpo needs chosen and rejected" in draft.findings[0].message
    assert draft.profile.usable == {"sft": 9, "dpo": 0, "orpo": 0, "grpo": 9}


def test_a_near_leak_leaves_training(store: DatasetStore) -> None:
    """A training row that is nearly a held-out one goes; one whose answer differs stays."""
    held_out = [
        Example(id=f"h{n}", inputs={"task": task(n)}, outputs={"answer": task(n + 99)})
        for n in range(3)
    ]
    near = Example(id="near", inputs={"task": task(0) + " please"}, outputs=held_out[0].outputs)
    differs = Example(id="differs", inputs={"task": task(1) + " please"}, outputs={"answer": "no"})
    rows = [
        near,
        differs,
        *(Example(id=f"t{n}", inputs={"task": task(n + 9)}, outputs={"answer": "x"})
          for n in range(5)),
    ]  # fmt: skip
    dataset = store.build("code_review", Source("s", "s", rows, held_out), recipe=CLEANED)
    leak = next(finding for finding in dataset.findings if finding.kind == "leak_near")
    assert (leak.count, leak.examples, leak.action) == (1, ("h0",), "removed")
    trained = {example.id for example in dataset.examples("train")}
    assert "near" not in trained
    assert "differs" in trained
    assert dataset.counts["eval"] == 3


# ---------------------------------------------------------------- the parts


@given(st.text(), st.text())
def test_similarity_is_symmetric_and_one_for_itself(one: str, other: str) -> None:
    """Between 0 and 1, the same both ways."""
    a, b = shingles(one), shingles(other)
    assert similarity(a, a) == 1.0
    assert 0.0 <= similarity(a, b) == similarity(b, a) <= 1.0


def test_nearly_equal_texts_share_a_band() -> None:
    """Of pairs above the threshold at least 19 of 20 are candidates; of unlike ones none."""
    together = alike = 0
    for number in range(200):
        words = [f"w{number}-{k}" for k in range(60)]
        changed = [*words[:30], "changed", *words[31:]]
        one, other = " ".join(words), " ".join(changed)
        if similarity(shingles(one), shingles(other)) >= THRESHOLD:
            alike += 1
            together += bool(set(bands(one)) & set(bands(other)))
        assert not set(bands(one)) & set(bands(task(number)))
    assert alike == 200
    assert together >= 190


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mail a.b+c@firm.co.uk, ok", "mail <EMAIL>, ok"),
        ("see user@example.com and git@github.com:a/b", None),
        ("import x@y", None),
        ("host 10.0.0.1 and 127.0.0.1", None),
        ("host 93.184.216.34:80", "host <IP_ADDRESS>:80"),
        ("card 4111111111111112", None),
        ("card 5500-0000-0000-0004", "card <CARD_NUMBER>"),
        ("IBAN DE89370400440532013000.", "IBAN <IBAN>."),
        ("IBAN DE89370400440532013001.", None),
        ("call +1 650-253-0000", "call <PHONE_NUMBER>"),
        ("x = a +1 650", None),
        ("Bearer hf_" + "abcdefghij" * 4, "Bearer <HUGGING_FACE_TOKEN>"),
        ("lsv2_pt_" + "0" * 32 + "_" + "1" * 10, "<LANGSMITH_KEY>"),
        ("postgres://joe:hunter2@db/x", "postgres<BASIC_AUTH_CREDENTIALS>db/x"),
        ("password = input()", None),
        ("sha = '0123456789abcdef0123456789abcdef01234567'", None),
    ],
)
def test_secrets_and_personal_data_are_replaced(text: str, expected: str | None) -> None:
    """By form and check digit; what only looks like one stays."""
    given_example = Example(id="x", inputs={"task": text}, outputs={"answer": text})
    cleaned = scrub(given_example).example
    assert cleaned.task == (expected or text)
    assert cleaned.label == (expected or text)


def test_metadata_are_scrubbed_but_not_the_group() -> None:
    """Who wrote it goes; by what examples are kept together stays."""
    row = Example(
        id="x",
        inputs={"task": "t", "messages": [{"role": "user", "content": "a@firm.com"}]},
        outputs={},
        metadata={"user": "a@firm.com", "group": "a@firm.com", "n": 3},
    )
    cleaned = scrub(row)
    assert cleaned.example.metadata == {"user": "<EMAIL>", "group": "a@firm.com", "n": 3}
    assert cleaned.example.messages[0]["content"] == "<EMAIL>"
    assert cleaned.personal == {"email": 2}


def test_what_is_clean_comes_back_as_it_was() -> None:
    """The same object, so that nothing is copied for nothing."""
    row = Example(id="x", inputs={"task": clean_row(1)["prompt"]}, outputs={})
    assert scrub(row).example is row
