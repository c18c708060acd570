"""The data set of planted defects: right labels, no leak, the same again by its seed."""

import ast
import random
from collections import Counter
from pathlib import Path

import pytest

from agent_orchestrator.agents.infrastructure.modelops.datasets.sources import stdlib_defects
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.defect_rules import (
    DEFECTS,
    defects_of,
)
from agent_orchestrator.agents.infrastructure.modelops.datasets.sources.stdlib_defects import (
    CLEAN,
    LABELS,
    PROMPT,
    Row,
    build,
    shuffle_labels,
)
from agent_orchestrator.errors import DatasetError

Splits = tuple[list[Row], list[Row]]


@pytest.fixture(scope="module")
def splits() -> Splits:
    """Return the data set as it is built by default."""
    return build()


def code_of(row: Row) -> str:
    """Return the function that an example shows."""
    task: str = row["inputs"]["task"]
    return task.removeprefix(PROMPT)


@pytest.mark.untraced
def test_there_is_enough_to_train_and_to_judge(splits: Splits):
    """At least 3,000 examples to train on and 360 held out, of at least six defects and clean."""
    train, held_out = splits
    assert len(train) >= 3000
    assert len(held_out) >= 360
    assert len(LABELS) >= 7
    assert CLEAN in LABELS


@pytest.mark.untraced
def test_every_label_has_the_same_share(splits: Splits):
    """Guessing one label is right in one of ``len(LABELS)`` cases."""
    for rows in splits:
        counts = Counter(row["outputs"]["answer"] for row in rows)
        assert counts == dict.fromkeys(LABELS, len(rows) // len(LABELS))


@pytest.mark.untraced
def test_an_example_has_the_defect_that_its_label_names_and_no_other(splits: Splits):
    """The detectors, run on the text that a model sees, agree with every label."""
    for row in [*splits[0], *splits[1]]:
        expected = {row["outputs"]["answer"]} - {CLEAN}
        assert defects_of(ast.parse(code_of(row))) == expected, code_of(row)


@pytest.mark.untraced
def test_no_file_lends_functions_to_both_splits(splits: Splits):
    """The held-out functions come from files that training never saw."""
    train, held_out = ({row["metadata"]["group"] for row in rows} for rows in splits)
    assert train.isdisjoint(held_out)
    assert len(held_out) >= 10


@pytest.mark.untraced
def test_no_function_appears_twice(splits: Splits):
    """Not even with its names or constants changed."""
    rows = [*splits[0], *splits[1]]
    assert len({row["id"] for row in rows}) == len(rows)
    assert len({code_of(row) for row in rows}) == len(rows)
    clean = [code_of(row) for row in rows if row["outputs"]["answer"] == CLEAN]
    assert len({stdlib_defects._normalised(code) for code in clean}) == len(clean)


@pytest.mark.untraced
def test_functions_have_a_readable_size(splits: Splits):
    """80 to 420 characters, printed the same way with and without a defect."""
    for row in [*splits[0], *splits[1]]:
        code = code_of(row)
        assert 80 <= len(code) <= 420
        assert ast.unparse(ast.parse(code)) == code


@pytest.mark.untraced
def test_an_example_has_langsmiths_shape(splits: Splits):
    """Inputs, outputs and the metadata that the evaluation groups by."""
    row = splits[1][0]
    assert set(row) == {"id", "inputs", "outputs", "metadata"}
    assert row["metadata"]["agent"] == "code_review"
    assert row["metadata"]["success"] is True
    assert row["metadata"]["category"] == row["outputs"]["answer"]
    assert row["metadata"]["source"].startswith(row["metadata"]["group"])


def test_the_seed_decides():
    """The same seed gives the same examples, another one others."""
    small = {"train_per_label": 20, "eval_per_label": 5}
    assert build(1, **small) == build(1, **small)
    assert build(1, **small) != build(2, **small)


def test_too_small_a_library_is_an_error(tmp_path: Path):
    """A library that cannot fill the labels says so; what cannot be parsed has no functions."""
    (tmp_path / "old.py").write_text("print 'Python 2'")
    (tmp_path / "latin.py").write_bytes(b"# \xff\n")
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "test_it.py").write_text(HARMLESS)
    (tmp_path / "one.py").write_text(HARMLESS)
    with pytest.raises(DatasetError, match="too few functions"):
        build(library=tmp_path, train_per_label=1, eval_per_label=1)


@pytest.mark.untraced
def test_shuffled_labels_are_the_same_labels_elsewhere(splits: Splits):
    """Each answer still occurs as often, but tells nothing about its function."""
    train = splits[0]
    shuffled = shuffle_labels(train, seed=1)
    assert [row["id"] for row in shuffled] == [row["id"] for row in train]
    answers = [[row["outputs"]["answer"] for row in rows] for rows in (train, shuffled)]
    assert Counter(answers[0]) == Counter(answers[1])
    right = sum(a == b for a, b in zip(*answers, strict=True)) / len(train)
    assert right == pytest.approx(1 / len(LABELS), abs=0.03)
    assert all(row["metadata"]["category"] == row["outputs"]["answer"] for row in shuffled)
    assert shuffle_labels(train, seed=1) == shuffled


BY_NATURE = {
    "mutable_default": "def f(a, b=[]): pass",
    "none_comparison": "def f(a): return a != None",
    "bare_except": "def f():\n try: g()\n except: return 1",
    "swallowed_error": "def f():\n try: g()\n except OSError: pass",
    "type_comparison": "def f(a): return type(a) is int",
    "literal_identity": "def f(a): return a is 'x'",
    "assert_tuple": "def f(a): assert (a, 'message')",
}
HARMLESS = """
def f(a, b=None, c=(), *, d=0):
    assert a, 'message'
    try:
        kind = type(a)
    except (OSError, ValueError) as error:
        raise KeyError(a) from error
    return a is None or a == '' or isinstance(a, kind) or b is True or a is ...
"""


@pytest.mark.parametrize("name", DEFECTS)
def test_each_detector_finds_its_defect_alone(name: str):
    """One line per defect, and the others stay silent."""
    assert defects_of(ast.parse(BY_NATURE[name])) == {name}


def test_harmless_code_has_no_defect():
    """What looks similar but is right is clean."""
    assert defects_of(ast.parse(HARMLESS)) == set()


@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_can_be_planted(name: str):
    """In a function that offers every place for it, whatever is drawn."""
    for seed in range(20):
        tree = ast.parse(HARMLESS).body[0]
        assert isinstance(tree, ast.FunctionDef)
        assert DEFECTS[name].plant(tree, random.Random(seed))  # noqa: S311
        assert defects_of(ast.parse(ast.unparse(tree))) == {name}


@pytest.mark.parametrize("name", DEFECTS)
def test_where_nothing_fits_nothing_changes(name: str):
    """A function without a place for the defect is left as it was."""
    tree = ast.parse("def f(self):\n    '''Only a docstring.'''").body[0]
    assert isinstance(tree, ast.FunctionDef)
    before = ast.dump(tree)
    assert not DEFECTS[name].plant(tree, random.Random(0))  # noqa: S311
    assert ast.dump(tree) == before
