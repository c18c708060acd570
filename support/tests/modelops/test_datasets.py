"""Data sets on disk."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.doubles.planted_models import example
from tests.doubles.sources import open_local, read

from agent_orchestrator.agents.infrastructure.modelops.datasets.drafts import (
    Recipe,
    choose_groups,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import (
    Source,
    stdlib_defects,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import (
    Dataset,
    DatasetStore,
    check_name,
    training_rows,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.training_rows import stratified
from agent_orchestrator.errors import DatasetError, StorageError

EXAMPLES = tuple(example(n) for n in range(40))
SOURCE = Source("reviews", "reviews.jsonl", EXAMPLES)


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    """Return a store whose clock moves a second with each look."""
    ticks = iter(range(10**6))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    return DatasetStore(tmp_path / "datasets", clock=lambda: start + timedelta(seconds=next(ticks)))


# ---------------------------------------------------------------- building


def test_a_data_set_is_split_hashed_and_described(store: DatasetStore, tmp_path: Path) -> None:
    """Two files whose SHA-256 the description carries; no group stands in both."""
    dataset = store.build("code_review", SOURCE)
    folder = tmp_path / "datasets" / dataset.id
    assert sorted(path.name for path in folder.iterdir()) == [
        "dataset.json",
        "eval.jsonl",
        "train.jsonl",
    ]
    train, held_out = dataset.examples("train"), dataset.examples("eval")
    assert (
        dataset.counts == {"train": len(train), "eval": len(held_out)} == {"train": 32, "eval": 8}
    )
    assert {e.group for e in train}.isdisjoint(e.group for e in held_out)
    assert {e.id for e in (*train, *held_out)} == {e.id for e in EXAMPLES}
    for split in ("train", "eval"):
        content = (folder / f"{split}.jsonl").read_bytes()
        assert hashlib.sha256(content).hexdigest() == dataset.splits[split].sha256  # type: ignore[index]
    assert dataset.id == f"reviews-{dataset.hash[:12]}"
    assert dataset.findings == ()
    assert dataset.splits["eval"].categories == dict(
        sorted(Counter(e.category for e in held_out).items())
    )


def test_the_same_content_is_the_same_data_set(store: DatasetStore) -> None:
    """Building again finds what is there; another seed or content gives another id."""
    first = store.build("code_review", SOURCE)
    again = store.build("code_review", SOURCE)
    other_seed = store.build("code_review", SOURCE, recipe=Recipe(seed=1))
    fewer = store.build("code_review", Source("reviews", "r", EXAMPLES[:36]))
    assert again == first
    assert len({first.id, other_seed.id, fewer.id}) == 3
    assert len(store.list()) == 3


def test_the_split_does_not_depend_on_the_order_of_the_rows(store: DatasetStore) -> None:
    """Shuffled rows give the same held-out examples."""
    one = store.build("code_review", SOURCE)
    other = store.build("code_review", Source("reviews", "r", EXAMPLES[::-1]))
    assert {e.id for e in one.examples("eval")} == {e.id for e in other.examples("eval")}


@given(
    sizes=st.lists(st.integers(1, 12), min_size=2, max_size=30),
    fraction=st.floats(0.05, 0.5),
)
def test_at_most_half_and_never_nothing_is_held_out(sizes: list[int], fraction: float) -> None:
    """Groups are taken whole, in their order, until the fraction is reached."""
    groups = [(bytes([number]), size) for number, size in enumerate(sizes)]
    chosen = list(choose_groups(groups, total=sum(sizes), fraction=fraction))
    assert len(set(chosen)) == len(chosen)
    assert 0 < sum(sizes[group[0]] for group in chosen) <= sum(sizes) / 2


def test_a_split_never_parts_a_group(store: DatasetStore) -> None:
    """Each group is on one side."""
    examples = [example(n, group=f"g{n % 7}") for n in range(60)]
    dataset = store.build("code_review", Source("g", "g", examples))
    train, held_out = dataset.examples("train"), dataset.examples("eval")
    assert {e.group for e in train}.isdisjoint(e.group for e in held_out)
    assert len(train) + len(held_out) == 60


def test_one_group_cannot_be_split(store: DatasetStore) -> None:
    """A data set of one group is refused with what to do about it."""
    one = Source("one", "one", tuple(example(n, group="same.py") for n in range(9)))
    with pytest.raises(DatasetError, match=r"one group.*metadata\.group"):
        store.build("code_review", one)
    assert store.list() == []


def test_a_source_that_is_split_already_stays_so(store: DatasetStore) -> None:
    """Given splits are kept as they are."""
    source = Source("pre", "pre", EXAMPLES[:32], EXAMPLES[32:])
    dataset = store.build("code_review", source)
    assert [e.id for e in dataset.examples("eval")] == [e.id for e in EXAMPLES[32:]]


def variant(of: Example, new_id: str, task: str, label: str | None = None) -> Example:
    """Return ``of`` with another id, task and label."""
    answer = {"answer": label} if label else dict(of.outputs)
    return Example(id=new_id, inputs={"task": task}, outputs=answer, metadata=of.metadata)


def test_leaks_are_found_and_kept_out_of_training(store: DatasetStore) -> None:
    """A held-out task that is trained on, exactly or nearly, leaves the training split."""
    held_out = EXAMPLES[32:]
    exact = variant(EXAMPLES[0], "leak-1", held_out[0].task)
    near = variant(EXAMPLES[1], "leak-2", "  " + held_out[1].task.upper())
    dataset = store.build(
        "code_review", Source("leaky", "leaky", (*EXAMPLES[:32], exact, near), held_out)
    )
    found = {finding.kind: finding for finding in dataset.findings}
    assert found["leak_exact"].examples == (held_out[0].id,)
    assert found["leak_normalised"].examples == (held_out[1].id,)
    assert found["leak_exact"].message.startswith("1 held-out task also stands in the training")
    assert found["leak_exact"].suggestion
    assert {e.id for e in dataset.examples("train")} == {e.id for e in EXAMPLES[:32]}


def test_duplicates_contradictions_and_missing_answers_are_found(store: DatasetStore) -> None:
    """Each kind of fault is named with its count, examples and a suggestion."""
    task = EXAMPLES[0].task
    rows = (
        *EXAMPLES[:32],
        variant(EXAMPLES[0], "copy", task),
        variant(EXAMPLES[0], "other", task, "something else"),
        Example(id="mute", inputs={"task": "?"}, outputs={}, metadata=EXAMPLES[0].metadata),
    )
    dataset = store.build("code_review", Source("faulty", "faulty", rows, EXAMPLES[32:]))
    found = {finding.kind: (finding.count, finding.examples) for finding in dataset.findings}
    assert found == {
        "contradiction": (3, ("ex-0000", "copy", "other")),
        "duplicate": (1, ("copy",)),
        "missing_answer": (1, ("mute",)),
    }


def test_a_group_in_both_given_splits_is_found(store: DatasetStore) -> None:
    """A source that parts a group is reported: its examples are not independent."""
    shared = (example(100, group="a.py"), example(101, group="b.py"))
    dataset = store.build(
        "code_review", Source("s", "s", (example(102, group="a.py"), EXAMPLES[0]), shared)
    )
    assert [(f.kind, f.examples) for f in dataset.findings] == [("shared_group", ("ex-0100",))]


def test_nothing_left_to_train_on_is_refused(store: DatasetStore) -> None:
    """When every training task is held out there is no data set."""
    copies = tuple(variant(e, f"copy-{e.id}", e.task) for e in EXAMPLES)
    with pytest.raises(DatasetError, match="0 examples to train on, 40 held out"):
        store.build("code_review", Source("all", "all", copies, EXAMPLES))


# ---------------------------------------------------------------- finding and reading


def test_data_sets_are_found_by_id_and_by_name(store: DatasetStore) -> None:
    """A name means its newest; lists go newest first and by agent."""
    old = store.build("code_review", SOURCE)
    new = store.build("code_review", SOURCE, recipe=Recipe(seed=1))
    other = store.build("cicd", Source("pipelines", "p", EXAMPLES))
    assert store.get(old.id) == old
    assert store.get("reviews") == new
    assert store.list() == [other, new, old]
    assert store.list("code_review") == [new, old]


@pytest.mark.parametrize(
    "ref", ["nope", "../../etc/passwd", "..", "", "a/b", "/etc", "A", "x" * 99]
)
def test_what_is_no_data_set_is_refused(store: DatasetStore, ref: str) -> None:
    """Unknown and hostile names are refused with what is known; none becomes a path."""
    store.build("code_review", SOURCE)
    with pytest.raises(DatasetError, match=r"No data set .*Known: reviews"):
        store.get(ref)


def test_an_empty_store_says_how_to_fill_it(store: DatasetStore) -> None:
    """Without any data set the remedy is build_dataset."""
    with pytest.raises(DatasetError, match="build_dataset"):
        store.get("reviews")


@pytest.mark.parametrize("name", ["../x", "a b", "", ".hidden", "a..b", "x" * 49, "Ä", "trailing."])
def test_names_that_cannot_be_a_folder_are_refused(store: DatasetStore, name: str) -> None:
    """A data set's name is checked before it becomes part of a path."""
    with pytest.raises(DatasetError, match="Not a data set name"):
        check_name(name)
    if name:
        with pytest.raises(DatasetError, match="Not a data set name"):
            store.build("code_review", SOURCE, name=name)


def test_an_edited_split_is_noticed(store: DatasetStore) -> None:
    """Reading a file that is not the one that was hashed is an error that names it."""
    dataset = store.build("code_review", SOURCE)
    path = dataset.folder / "eval.jsonl"
    path.write_text(path.read_text().replace("clean", "dirty"))
    with pytest.raises(DatasetError, match=r"eval\.jsonl is not the file that was built"):
        dataset.examples("eval")
    path.unlink()
    with pytest.raises(StorageError, match=r"Cannot read .*eval\.jsonl"):
        dataset.examples("eval")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"id": 3}', "\udcff"])
def test_a_torn_description_is_named(store: DatasetStore, content: str) -> None:
    """A dataset.json that is not what was written is an error with the remedy."""
    dataset = store.build("code_review", SOURCE)
    (dataset.folder / "dataset.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(DatasetError, match=r"dataset\.json cannot be read.*build it again"):
        store.get(dataset.id)


@given(st.text(min_size=1).filter(lambda text: text.strip()))
def test_any_text_survives_the_disk(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """Separators, quotes and every script come back as they were."""
    store = DatasetStore(tmp_path_factory.mktemp("any"))
    first, second = example(0, note=text), example(4, note=text)
    first = variant(first, "one", text, "x")
    dataset = store.build("code_review", Source("any", "any", (first,), (second,)))
    kept = [*dataset.examples("train"), *dataset.examples("eval")]
    assert any(e == first for e in kept) or text.strip() == second.task
    assert all(e.metadata["note"] == text for e in kept)


# ---------------------------------------------------------------- faults while writing

_BUILDER = """
import sys
from pathlib import Path
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Source

def rows(seed):
    return tuple(
        Example(id=f"{n}", inputs={"task": f"task {seed} {n} " + "x" * 400},
                outputs={"answer": "a"}, metadata={"group": str(n % 50)})
        for n in range(300))

store = DatasetStore(Path(sys.argv[1]))
print("ready", flush=True)
for seed in range(1000):
    store.build("code_review", Source(f"set-{seed}", "x", rows(seed)))
"""


@pytest.mark.slow
def test_a_killed_builder_leaves_whole_data_sets_only(tmp_path: Path) -> None:
    """Whatever moment the process is killed at, each data set there is can be read whole."""
    seen = 0
    for attempt in range(6):
        root = tmp_path / str(attempt)
        with subprocess.Popen(
            [sys.executable, "-c", _BUILDER, root], stdout=subprocess.PIPE, text=True
        ) as builder:
            assert builder.stdout is not None
            assert builder.stdout.readline() == "ready\n"
            while len(list(root.glob("set-*"))) < attempt:
                time.sleep(0.001)
            time.sleep(0.013 * attempt)  # somewhere within the next one
            builder.send_signal(signal.SIGKILL)
        for dataset in DatasetStore(root).list():
            assert len(dataset.examples("train")) == dataset.counts["train"]
            assert len(dataset.examples("eval")) == dataset.counts["eval"]
            seen += 1
    assert seen >= 15


_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import DatasetStore
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import Wanted
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.opening import Sources
from agent_orchestrator.errors import StorageError

source = Sources().open(sys.argv[2], Wanted(agent="code_review"))
resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500))
try:
    DatasetStore(Path(sys.argv[1])).build("code_review", source)
except StorageError as error:
    print(error)
"""


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    """When a file cannot be written whole, the error says so and the store is as before."""
    path = tmp_path / "d.jsonl"
    path.write_text("".join(f'{{"prompt": "task {n}", "completion": "a"}}\n' for n in range(99)))
    root = tmp_path / "datasets"
    done = subprocess.run(
        [sys.executable, "-c", _ON_A_FULL_DISK, root, path],
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"Cannot write '{root}/d'" in done.stdout
    assert "Free some disk space" in done.stdout
    assert done.stdout.count("\n") == 1
    assert list(root.iterdir()) == []


def test_builders_of_one_data_set_agree(tmp_path: Path) -> None:
    """Whoever comes second, before or after the first one's rename, returns the first one's."""
    root = tmp_path / "datasets"
    for seed in range(5):
        start = threading.Barrier(8)

        def build(_: int, seed: int = seed, start: threading.Barrier = start) -> Dataset:
            start.wait()
            return DatasetStore(root).build("code_review", SOURCE, recipe=Recipe(seed=seed))

        with ThreadPoolExecutor(8) as builders:
            built = list(builders.map(build, range(8)))
        assert built == [built[0]] * 8
    assert len(list(root.iterdir())) == 5


# ---------------------------------------------------------------- sources


def test_a_file_is_a_source(tmp_path: Path) -> None:
    """A file's name becomes the data set's, its rows get the agent."""
    path = tmp_path / "My Reviews (v2).jsonl"
    path.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "c", "completion": "d"}\n')
    source = open_local(path)
    assert (source.name, source.origin) == ("my-reviews-v2", "My Reviews (v2).jsonl")
    assert [e.metadata["agent"] for e in read(source)] == ["code_review"] * 2
    assert source.held_out is None


def test_other_agents_examples_and_filtered_ones_are_left_out(tmp_path: Path) -> None:
    """Only the agent's own examples with the wanted metadata come through."""
    rows = [
        {"prompt": "a", "completion": "x", "agent": "cicd", "success": True},
        {"prompt": "b", "completion": "x", "agent": "code_review", "success": True, "stars": 5},
        {"prompt": "c", "completion": "x", "agent": "code_review", "success": False, "stars": 5},
        {"prompt": "d", "completion": "x", "stars": 4},
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def tasks(agent: str, **filters: object) -> list[str]:
        return [e.task for e in read(open_local(path, agent, **filters))]

    assert tasks("code_review") == ["b", "c", "d"]
    assert tasks("code_review", success="true") == ["b"]
    assert tasks("code_review", success=True, stars=5) == ["b"]
    assert tasks("cicd") == ["a", "d"]
    with pytest.raises(DatasetError, match=r"no example for agent 'cicd' with filters stars=9"):
        tasks("cicd", stars=9)
    with pytest.raises(DatasetError, match=r"agents there: cicd, code_review"):
        tasks("cicd", stars=9)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("moon", r"Unknown data set source 'moon'.*stdlib-defects"),
        ("no/such.jsonl", r"no data file 'no/such.jsonl'"),
        ("data.xlsx", r"'.xlsx' is not a known kind"),
    ],
)
def test_an_unknown_source_is_refused(source: str, message: str) -> None:
    """What is no source is named, with what would be one."""
    with pytest.raises(DatasetError, match=message):
        open_local(source)


@pytest.mark.untraced
def test_the_standard_library_is_a_source(store: DatasetStore) -> None:
    """stdlib-defects comes split by file, balanced and without leaks."""
    source = open_local(stdlib_defects.NAME)
    dataset = store.build("code_review", source)
    assert dataset.name == "stdlib-defects"
    assert {f.kind for f in dataset.findings} <= {"duplicate", "near_duplicate"}
    assert dataset.counts["eval"] >= 300


# ---------------------------------------------------------------- training rows


def test_training_rows_are_conversations_that_end_with_the_answer(store: DatasetStore) -> None:
    """A user's turn and the assistant's, from the training split only."""
    dataset = store.build("code_review", SOURCE)
    rows = training_rows(dataset)
    assert rows[0] == {
        "messages": [
            {"role": "user", "content": dataset.examples("train")[0].task},
            {"role": "assistant", "content": dataset.examples("train")[0].label},
        ]
    }
    asked = {row["messages"][0]["content"] for row in rows}
    assert asked.isdisjoint(e.task for e in dataset.examples("eval"))


def test_failures_and_unanswered_tasks_are_not_trained_on(store: DatasetStore) -> None:
    """success: false, in JSON or CSV, and a missing answer leave the training rows."""
    rows = (
        example(0),
        example(4, success=False),
        example(8, success="false"),
        Example(id="mute", inputs={"task": "?"}, outputs={"answer": ""}),
    )
    dataset = store.build("code_review", Source("s", "s", rows, EXAMPLES[32:]))
    assert len(training_rows(dataset)) == 1
    none = store.build("code_review", Source("n", "n", rows[1:], EXAMPLES[32:]))
    with pytest.raises(DatasetError, match="no successful example"):
        training_rows(none)


def from_file(tmp_path: Path, rows: list[dict[str, Any]]) -> Source:
    """Return the source that a JSONL file of these rows is."""
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return open_local(path)


def test_preferences_are_trained_on_by_dpo(store: DatasetStore, tmp_path: Path) -> None:
    """A pair whose answers are equal teaches nothing; the chosen answer alone is one of SFT."""
    rows = [{"prompt": f"Review {n}.", "chosen": "good", "rejected": "bad"} for n in range(9)]
    same = {"prompt": "Review it.", "chosen": "good", "rejected": "good"}
    dataset = store.build("code_review", from_file(tmp_path, [*rows, same]))
    pairs = training_rows(dataset, "dpo")
    assert 0 < len(pairs) < dataset.counts["train"] + 1
    assert all((row["chosen"], row["rejected"]) == ("good", "bad") for row in pairs)
    assert pairs[0]["prompt"][0]["role"] == "user"
    assert training_rows(dataset, "sft")[0]["messages"][-1]["content"] == "good"


def test_problems_are_trained_on_by_grpo(store: DatasetStore, tmp_path: Path) -> None:
    """With what tells a right answer; a schema goes to the worker as text."""
    schema = {"type": "integer"}
    rows: list[dict[str, Any]] = [
        {"problem": f"Double {n}.", "solution": str(2 * n), "schema": schema} for n in range(8)
    ]
    dataset = store.build("code_review", from_file(tmp_path, rows))
    problems = training_rows(dataset, "grpo")
    assert len(problems) == dataset.counts["train"]
    assert all(row["schema"] == json.dumps(schema) for row in problems)
    assert all(row["problem"][0]["content"].startswith("Double") for row in problems)


def test_a_data_set_that_lacks_what_a_method_needs_says_so(store: DatasetStore) -> None:
    """Preference data need columns of their own."""
    with pytest.raises(DatasetError, match=r"by dpo: it needs chosen and rejected"):
        training_rows(store.build("code_review", SOURCE), "dpo")


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=8),
    size=st.integers(1, 200),
    seed=st.integers(0, 5),
)
def test_a_sample_keeps_each_categorys_share(counts: list[int], size: int, seed: int) -> None:
    """Within one example of the exact share, in the old order, the same for the same seed."""
    examples = [
        example(n, category=f"c{c}")
        for n, c in enumerate(c for c, count in enumerate(counts) for _ in range(count))
    ]
    chosen = stratified(examples, size, seed)
    assert len(chosen) == min(size, len(examples))
    assert [e.id for e in chosen] == sorted(e.id for e in chosen)
    assert [e.id for e in chosen] == [e.id for e in stratified(examples, size, seed)]
    share = len(chosen) / len(examples)
    for category, count in enumerate(counts):
        taken = sum(e.category == f"c{category}" for e in chosen)
        assert abs(taken - share * count) < 1
