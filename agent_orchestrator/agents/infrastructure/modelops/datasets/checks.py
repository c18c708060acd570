"""What is wrong with a data set's content, and what cleaning does about it.

Each check is a question to the index of rows. ``e`` is a held-out row, ``t`` one to train on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from agent_orchestrator.agents.infrastructure.modelops.datasets.index import RowIndex
from agent_orchestrator.domain.wording import counted

FindingKind = Literal[
    "leak_exact",
    "leak_normalised",
    "leak_near",
    "shared_group",
    "secret",
    "personal_data",
    "bad_row",
    "empty_row",
    "duplicate_id",
    "contradiction",
    "duplicate",
    "near_duplicate",
    "missing_answer",
    "weak_tests",
    "untried_tests",
    "wrong_for_method",
    "too_long",
]
SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that the check found."""

    kind: FindingKind
    count: int
    """Examples concerned."""
    message: str
    suggestion: str
    examples: tuple[str, ...]
    """Ids of the first few."""
    action: Literal["kept", "removed", "scrubbed"] = "kept"
    """What cleaning did: removed the examples (of a leak: those to train on), or scrubbed them."""


@dataclass(frozen=True, slots=True)
class Check:
    """A question to the index, and what its answer means."""

    kind: FindingKind
    message: str
    """What is the matter with so many, both forms where they differ (see ``counted``)."""
    suggestion: str
    found: str | None = None
    """Query of the rows concerned; None where they were marked as they came."""
    removes: str | None = None
    """Query of the rows that cleaning removes; None: those that are concerned."""
    always: bool = False
    """Whether these rows are left out even when nobody asked for cleaning."""
    cleans: bool = True
    """Whether cleaning removes anything."""


def _trained(condition: str) -> str:
    """Return the query of held-out rows of which a trained row is so and so."""
    trained = f"SELECT 1 FROM rows t WHERE {condition} AND t.held_out = 0"  # noqa: S608  # nosec B608 - our own text
    return f"SELECT e.n FROM rows e WHERE e.held_out = 1 AND EXISTS ({trained})"  # noqa: S608  # nosec B608


def _held_out(condition: str) -> str:
    """Return the query of trained rows of which a held-out row is so and so."""
    held_out = f"SELECT 1 FROM rows e WHERE {condition} AND e.held_out = 1"  # noqa: S608  # nosec B608 - our own text
    return f"SELECT t.n FROM rows t WHERE t.held_out = 0 AND EXISTS ({held_out})"  # noqa: S608  # nosec B608


_SAME_FORM: Final = "t.form = e.form"
#: The gravest first.
CHECKS: Final = (
    Check(
        "leak_exact",
        "held-out [task also stands|tasks also stand] in the training split; "
        "[its|their] training rows were left out",
        "Give such rows one metadata.group, or remove them from the source.",
        _trained(f"{_SAME_FORM} AND t.task = e.task"),
        _held_out(_SAME_FORM),
        always=True,
    ),
    Check(
        "leak_normalised",
        "held-out [task differs|tasks differ] from a training task in case or white space only; "
        "[its|their] training rows were left out",
        "Give such rows one metadata.group, or remove them from the source.",
        f"{_trained(_SAME_FORM)} AND e.n NOT IN leaked",
        _held_out(_SAME_FORM),
        always=True,
    ),
    Check(
        "leak_near",
        "held-out [example is|examples are] nearly the same as one to train on, task and answer",
        "Give such rows one metadata.group, or let cleaning remove those to train on.",
        """SELECT n FROM clusters WHERE held_out = 1
            AND root IN (SELECT root FROM clusters WHERE held_out = 0) AND n NOT IN leaked""",
        """SELECT n FROM clusters WHERE held_out = 0
            AND root IN (SELECT root FROM clusters WHERE held_out = 1)""",
    ),
    Check(
        "shared_group",
        "held-out [example belongs|examples belong] to a group that is also trained on",
        "Split the source by group, or leave the split to build_dataset.",
        f"{_trained('t.grp = e.grp')} AND e.n NOT IN leaked",
        _held_out("t.grp = e.grp"),
    ),
    Check(
        "secret",
        "[example holds|examples hold] secrets",
        "Withdraw these keys where they were issued, and build with cleaning.",
        cleans=False,
    ),
    Check(
        "personal_data",
        "[example holds|examples hold] personal data",
        "Build with cleaning, or remove it from the source.",
        cleans=False,
    ),
    Check(
        "duplicate_id",
        "[example has|examples have] an id that an earlier one has; [it was|they were] left out",
        "Give every example an id of its own, or leave the column out.",
        """SELECT n FROM (SELECT n, ROW_NUMBER() OVER (PARTITION BY id ORDER BY n) AS k FROM rows)
            WHERE k > 1""",
        always=True,
    ),
    Check(
        "contradiction",
        "[example has|examples have] the same task and different answers",
        "Keep the right answer and remove the others; cleaning, which cannot know it, removes all.",
        """SELECT n FROM rows WHERE pair = 0 AND form IN (
            SELECT form FROM rows WHERE pair = 0 AND answer IS NOT NULL
            GROUP BY form HAVING MIN(answer) <> MAX(answer))""",
    ),
    Check(
        "duplicate",
        "[example repeats|examples repeat] a task of [its|their] own split, and its answer",
        "Remove the copies: they count the same task twice.",
        """SELECT n FROM (SELECT n, ROW_NUMBER() OVER (
            PARTITION BY held_out, form, answer ORDER BY n) AS k FROM rows) WHERE k > 1""",
    ),
    Check(
        "near_duplicate",
        "[example is|examples are] nearly the same as an earlier one of [its|their] own split, "
        "task and answer",
        "Remove them: they count the same task twice.",
        """SELECT n FROM (SELECT n, ROW_NUMBER() OVER (
            PARTITION BY held_out, root ORDER BY n) AS k FROM clusters)
            WHERE k > 1 AND n NOT IN (SELECT n FROM found WHERE kind = 'duplicate')""",
    ),
    Check(
        "missing_answer",
        "[example has|examples have] no answer; [it is|they are] neither trained on nor scored "
        "for accuracy",
        "Fill outputs.answer or remove the rows.",
    ),
    Check(
        "weak_tests",
        "[example has|examples have] tests that pass with no answer at all; "
        "[it was|they were] left out",
        "Let the tests call a name of the task's own: a builtin is there without an answer.",
        always=True,
    ),
    Check(
        "untried_tests",
        "[example has|examples have] tests that were not tried without an answer",
        "Check the data where the kernel has user namespaces and Landlock, or set "
        "sandbox.without_isolation in config/modelops/evaluation_defaults.yaml.",
        cleans=False,
    ),
    Check(
        "wrong_for_method",
        "[example lacks|examples lack] what the method needs; [it is|they are] not trained on",
        "Choose the method that fits the columns, or add what it needs.",
        cleans=False,
    ),
    Check(
        "too_long",
        "[example is|examples are] longer than max_length; training leaves [it|them] out",
        "Shorten them, split them up, or raise max_length.",
        cleans=False,
    ),
)


def run_checks(
    index: RowIndex,
    *,
    clean: bool,
    name_of: Callable[[int], str],
    details: Mapping[FindingKind, str],
) -> list[Finding]:
    """Ask every check, leave out what is to be left out, and return the findings.

    ``name_of`` gives a row's id; ``details`` are added to the messages.
    """
    findings: list[Finding] = []
    for check in CHECKS:
        count = index.find(check.kind, check.found) if check.found else index.count(check.kind)
        if not count:
            continue
        removes = check.cleans and (clean or check.always)
        shown = tuple(name_of(n) for n in index.first(check.kind, SHOWN))
        if removes:
            index.remove(check.removes) if check.removes else index.remove_found(check.kind)
        action: Literal["kept", "removed", "scrubbed"] = "removed" if removes else "kept"
        if clean and check.kind in {"secret", "personal_data"}:
            action = "scrubbed"
        detail = f" ({details[check.kind]})" if check.kind in details else ""
        message = f"{counted(count, check.message)}{detail}."
        findings.append(Finding(check.kind, count, message, check.suggestion, shown, action))
    return findings
