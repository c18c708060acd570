"""An evaluation's report."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from agent_orchestrator.agents.infrastructure.modelops.evaluation import report_content as content
from agent_orchestrator.agents.infrastructure.modelops.evaluation.report import (
    Section,
    load_report,
    write_report,
)
from agent_orchestrator.agents.infrastructure.modelops.evaluation.report_pictures import Picture
from agent_orchestrator.agents.infrastructure.modelops.reports.rendering import render
from agent_orchestrator.domain.evaluation import CallRecord, EvalReport, ModelResult
from agent_orchestrator.domain.paired import paired_difference
from agent_orchestrator.domain.scoring import compare
from agent_orchestrator.errors import NotFoundError, StorageError

LABELS = ("bare_except", "clean", "mutable_default")


def call(
    number: int, answer: str | None, *, expected: str = "", latency: float = 0.01
) -> CallRecord:
    """Return a call; ``answer`` None: it failed."""
    expected = expected or LABELS[number % 3]
    right = float(answer == expected)
    scores = {"accuracy": right} | ({"latency_threshold": 1.0} if answer is not None else {})
    return CallRecord(
        example_id=f"ex-{number}",
        group=f"file-{number // 2}",
        category=LABELS[number % 3],
        expected=expected,
        answer=answer,
        latency_s=None if answer is None else latency * (1 + number % 5),
        prompt_tokens=20,
        completion_tokens=2,
        error=None if answer is not None else "Timed out.",
        scores=scores,
    )


def result(calls: Sequence[CallRecord], model: str, version: str | None) -> ModelResult:
    """Return the sum of the calls."""
    metrics = sorted({metric for c in calls for metric in c.scores})
    scores = {
        m: sum(c.scores[m] for c in calls if m in c.scores) / sum(m in c.scores for c in calls)
        for m in metrics
    }
    return ModelResult(
        model=model,
        version=version,
        calls=tuple(calls),
        scores=scores,
        failed_calls=sum(c.error is not None for c in calls),
        avg_latency_ms=20.0,
        total_tokens=22 * len(calls),
    )


def evaluated(
    candidate: Sequence[CallRecord],
    baseline: Sequence[CallRecord] | None,
    *,
    names: tuple[str, str] = ("v1.1.0", "v1.0.0"),
) -> EvalReport:
    """Return the report of these calls, compared as the runner does."""
    new = result(candidate, "org/new", names[0])
    old = result(baseline, "org/old", names[1]) if baseline is not None else None
    paired = None
    if baseline is not None:
        paired = paired_difference(
            [
                a.scores["accuracy"] - b.scores["accuracy"]
                for a, b in zip(candidate, baseline, strict=True)
            ],
            [c.group for c in candidate],
        )
    return EvalReport(
        agent="code_review",
        dataset="reviews-0123456789ab",
        dataset_hash="0123456789ab" * 5 + "0123",
        candidate=new,
        baseline=old,
        comparison=compare(
            old.scores if old else None,
            new.scores,
            differences={"accuracy": paired} if paired else None,
        ),
        n_examples=len(candidate),
        examples_needed=paired.examples_needed if paired else None,
        evaluated_at="2026-01-01T12:00:00+00:00",
        tasks={c.example_id: f"Name the defect of function {c.example_id}." for c in candidate},
        settings={"latency_limit_s": 0.05, "metrics": ["accuracy"], "weights": {"accuracy": 30.0}},
    )


def answers(wrong: set[int], failed: set[int] = frozenset(), n: int = 30) -> list[CallRecord]:  # type: ignore[assignment]
    """Return calls that are right but for these."""
    return [call(k, None if k in failed else LABELS[(k + (k in wrong)) % 3]) for k in range(n)]


BETTER = evaluated(answers({3, 20}, failed={7}), answers(set(range(12))))


class Page(HTMLParser):
    """What a page holds, and whether its elements are closed in order."""

    VOID = frozenset({"meta", "br", "link", "img", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the element."""
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element without content."""
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        """Check that the innermost element ends."""
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Keep what a reader sees."""
        if "style" not in self.open:
            self.text.append(data)

    @property
    def words(self) -> str:
        """The visible text with white space collapsed."""
        return " ".join(" ".join(self.text).split())


def page(report: EvalReport, folder: Path, **extra: object) -> Page:
    """Write the report and read its HTML."""
    return Page(write_report(report, folder, **extra).html.read_text())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def better(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the page of a better candidate."""
    return write_report(BETTER, tmp_path_factory.mktemp("better")).html.read_text()


# ---------------------------------------------------------------- what it says


def test_the_page_says_what_was_found(better: str) -> None:
    """Recommendation, scores, interval, reasons, failed calls and circumstances are all there."""
    words = Page(better).words
    assert "Deploy v1.1.0: clearly better than v1.0.0." in words
    assert "On 30 held-out examples, v1.1.0 got 90.0 % right and v1.0.0 60.0 %" in words
    assert "a difference of +30.0 points, 95 % interval +" in words
    assert "The examples support it." in words
    assert BETTER.comparison.reasons[0] in words
    assert "1 that only v1.0.0 got right, 10 that only v1.1.0 got right, 1 where both" in words
    assert "Failed calls 1 in all." in words
    assert "Timed out." in words
    assert BETTER.dataset_hash in words
    assert "Name the defect of function ex-7." in words


@pytest.mark.parametrize(
    ("candidate", "baseline", "expected"),
    [
        (answers(set()), answers(set(range(12))), "Deploy v1.1.0: clearly better than v1.0.0."),
        (answers({1, 2}), answers({1, 2, 3, 4, 5}), "Try v1.1.0 on a canary: better than v1.0.0."),
        (answers({1}), answers({1}), "v1.1.0 needs a review before anything is decided."),
        (answers(set(range(12))), answers(set()), "Reject v1.1.0: worse than v1.0.0."),
        (answers(set(range(20))), None, "Reject v1.1.0: it falls short."),
        (answers({1}), None, "Try v1.1.0 on a canary: there is no baseline to compare with."),
    ],
)
def test_the_headline_is_the_recommendation(
    candidate: list[CallRecord], baseline: list[CallRecord] | None, expected: str, tmp_path: Path
) -> None:
    """Each recommendation has its sentence, in the page and in the markdown."""
    paths = write_report(evaluated(candidate, baseline), tmp_path)
    assert expected in Page(paths.html.read_text()).words
    assert paths.markdown.read_text().startswith(f"# {expected}")


def test_an_unsettled_difference_says_how_many_more_examples_settle_it() -> None:
    """The lead does not let an unsupported change pass for a finding."""
    report = evaluated(answers({1, 2}), answers({1, 3, 4}))
    assert report.examples_needed is not None
    assert content.lead(report).endswith(
        f"These examples do not settle it; about {report.examples_needed} more would settle it."
    )


def test_what_was_not_measured_is_not_made_up(tmp_path: Path) -> None:
    """Without labels, latencies, categories or a baseline their sections are left out."""
    calls = [
        replace(call(n, f"long answer {n}\nof two lines"), latency_s=None, category="", scores={})
        for n in range(5)
    ]
    report = evaluated(
        [replace(c, expected=f"free text {n}\n…") for n, c in enumerate(calls)], None
    )
    report = replace(report, candidate=replace(report.candidate, avg_latency_ms=None, scores={}))
    found = page(report, tmp_path)
    assert "none of them says what is right" in found.words
    assert "Nothing was measured." in found.words
    ids = {attributes.get("id") for _, attributes in found.tags}
    assert ids.isdisjoint({"latency", "categories", "failed", "differing"})


def test_routing_sets_are_led_by_routing_accuracy() -> None:
    """Where agents are routed, the share of right routes is what is told first."""
    comparison = compare({"agent_routing_accuracy": 0.8}, {"agent_routing_accuracy": 0.9})
    report = replace(BETTER, comparison=comparison)
    assert "v1.1.0 got 90.0 % right and v1.0.0 80.0 %." in content.lead(report).replace("\xa0", " ")
    assert "Agent routing accuracy" in [tile.name for tile in content.tiles(report)]


def test_answers_are_counted_by_label() -> None:
    """Case makes no difference; what is no label, and no answer, have columns of their own."""
    calls = [
        call(1, "clean"),
        call(1, " CLEAN "),
        call(1, "bare_except"),
        call(1, "I think it is clean"),
        call(1, None),
    ]
    counts = content.confusion_counts(result(calls, "m", None), LABELS)
    assert counts == {
        ("clean", "clean"): 2,
        ("clean", "bare_except"): 1,
        ("clean", "(other)"): 1,
        ("clean", "(no answer)"): 1,
    }


def test_equal_answers_are_no_difference() -> None:
    """Only examples whose answers differ are listed, by who is right."""
    old = [call(0, "clean"), call(1, "clean"), call(2, "x"), call(3, "Clean"), call(4, None)]
    new = [call(0, "bare_except"), call(1, "y"), call(2, "z"), call(3, "clean"), call(4, None)]
    found = content.differing(evaluated(new, old))
    assert [(e.example_id, e.kind) for e in found] == [
        ("ex-0", "won"),
        ("ex-1", "lost"),
        ("ex-2", "other"),
    ]


def test_further_sections_are_put_in(tmp_path: Path) -> None:
    """A caller's section stands in both documents."""
    section = Section("Training", Markup("<p>It took <b>9 s</b>.</p>"), "It took **9 s**.")
    words = page(BETTER, tmp_path, sections=[section]).words
    assert "Training It took 9 s ." in words
    assert "## Training\n\nIt took **9 s**.\n" in (tmp_path / "report.md").read_text()


def test_a_page_of_ones_own_takes_the_reports_frame(tmp_path: Path) -> None:
    """A template elsewhere extends the base and uses the pieces; texts in them are escaped."""
    (tmp_path / "own.html.j2").write_text(
        '{% extends "base.html.j2" %}{% from "macros.html.j2" import picture, table, tile_list %}'
        "{% block headline %}{{ headline }}{% endblock %}"
        "{% block tiles %}{{ tile_list(tiles) }}{% endblock %}"
        '{% block content %}{{ picture(shown) }}{{ table("Steps", ["Step"], rows) }}{% endblock %}'
    )
    found = Page(
        render(
            "own.html.j2",
            folder=tmp_path,
            headline="It <works>",
            tiles=[content.Tile("Seconds", "9")],
            shown=Picture(Markup("<svg></svg>"), "A <caption>", ["What"], [["<b>x</b>"]]),
            rows=[["train & go"]],
        )
    )
    for text in ("It <works>", "A <caption>", "<b>x</b>", "train & go", "Seconds 9"):
        assert text in found.words


# ---------------------------------------------------------------- files


def test_the_json_is_the_report(tmp_path: Path) -> None:
    """What was written is read back equal."""
    assert load_report(write_report(BETTER, tmp_path / "new" / "folder").json) == BETTER


def test_the_same_report_gives_the_same_bytes(tmp_path: Path) -> None:
    """Also in another process: no clock, no random id, no order of a set."""
    first = write_report(BETTER, tmp_path / "a")
    program = (
        "import sys; from pathlib import Path\n"
        "from agent_orchestrator.agents.infrastructure.modelops.evaluation.report import *\n"
        "write_report(load_report(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    subprocess.run([sys.executable, "-c", program, first.json, tmp_path / "b"], check=True)
    for path in (first.json, first.markdown, first.html):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_a_missing_or_torn_report_is_named(tmp_path: Path) -> None:
    """Reading what is not there, or not whole, is one clear error."""
    with pytest.raises(NotFoundError, match="no report"):
        load_report(tmp_path / "report.json")
    path = write_report(BETTER, tmp_path).json
    path.write_text(path.read_text()[:500])
    with pytest.raises(StorageError, match=r"report\.json is not a report"):
        load_report(path)


def test_writing_where_nobody_may_is_one_error(tmp_path: Path) -> None:
    """A folder that cannot be made is a StorageError."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="Cannot write"):
        write_report(BETTER, tmp_path / "file" / "folder")


# ---------------------------------------------------------------- the page itself


def test_the_page_needs_no_network(better: str) -> None:
    """No script, no address but the names of XML, and a policy that forbids loading anything."""
    addresses = set(re.findall(r"(?:https?:)?//[\w./-]+", better))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "<script" not in better
    assert "default-src 'none'" in better
    assert not re.findall(r"url\((?!#)", better)
    assert not re.findall(r"""\b(?:src|srcset|data)=""", better)


def test_the_page_can_be_read_without_seeing_the_plots(better: str) -> None:
    """Every plot has a name, a caption and its numbers; tables have captions and headers."""
    found = Page(better)
    plots = [attributes for tag, attributes in found.tags if attributes.get("role") == "img"]
    assert len(plots) == 5
    assert all(plot["aria-label"] for plot in plots)
    kinds = Counter(tag for tag, _ in found.tags)
    assert kinds["figure"] == kinds["figcaption"] == 5
    assert kinds["details"] == 4
    assert kinds["table"] == kinds["caption"] == 7
    assert all("scope" in attributes for tag, attributes in found.tags if tag == "th")
    assert kinds["h1"] == kinds["main"] == 1
    assert ("html", {"lang": "en"}) in found.tags


def test_ids_are_unique(better: str) -> None:
    """The plots in one page do not share their definitions' names."""
    found = Page(better)
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_plots_take_the_pages_colours(better: str) -> None:
    """No colour is fixed: each follows the reader's scheme."""
    for svg in re.findall(r"<svg xmlns.*?</svg>", better, flags=re.DOTALL):
        colours = set(re.findall(r"(?:fill|stroke): ([^;\"]+)", svg)) - {"none"}
        assert colours
        assert all(colour.startswith("var(--") for colour in colours)


# ---------------------------------------------------------------- hostile texts

HOSTILE = [
    "</pre></section><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "--></svg></style><script>alert(1)</script>",
    "{{ 7 * 7 }} {% raw %}",
    "$\\frac{$ $x_{",
    "\u202etxet desrever\u202c \u2066isolated",
    "\x00\x08\x1b[31m",
    "שלום عالم",
    "漢字 🦄",
    "```\n# heading\n| a | b |\n```",
    "#010101",
    "&lt;b&gt; &amp;",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_texts_are_shown_as_text(text: str, better: str, tmp_path: Path) -> None:
    """As an answer, label, category, task, error, version or example id, none becomes markup."""
    clean = Page(better)
    calls = [
        replace(call(0, text, expected=text), category=text, example_id=text),
        replace(call(1, None), error=text),
        *answers(set())[2:],
    ]
    old = [replace(call(0, "x", expected=text), category=text, example_id=text), *answers({2})[1:]]
    report = evaluated(calls, old, names=(text, "v1.0.0"))
    report = replace(report, tasks={**report.tasks, text: text})
    found = page(report, tmp_path)
    assert {tag for tag, _ in found.tags} <= {tag for tag, _ in clean.tags} | {"article"}
    attributes = {name for _, pairs in found.tags for name in pairs}
    assert not any(name.startswith("on") for name in attributes)
    html = (tmp_path / "report.html").read_text()
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00\x08\x1b]", html)


def test_the_hostile_answer_can_still_be_read(tmp_path: Path) -> None:
    """What a model wrote stands in the page letter by letter."""
    nasty = "</pre><b>bold</b>"
    report = evaluated([call(0, nasty), *answers(set())[1:]], answers(set()))
    assert nasty in page(report, tmp_path).words
    override = evaluated([call(0, "a\u202eb"), *answers(set())[1:]], answers(set()))
    assert "a⟨U+202E⟩b" in page(override, tmp_path).words


def test_a_very_long_answer_is_cut(tmp_path: Path) -> None:
    """Megabytes of answer do not become megabytes of page; how much is missing is said."""
    report = evaluated([call(0, "y" * 3_000_000), *answers(set())[1:]], answers(set()))
    paths = write_report(report, tmp_path)
    assert paths.html.stat().st_size < 400_000
    assert paths.markdown.stat().st_size < 50_000
    assert "2 998 000 more characters" in paths.html.read_text().replace("\u202f", " ")


@given(st.text(max_size=60))
def test_markdown_keeps_texts_on_their_line(text: str) -> None:
    """No text breaks out of its table cell, its code span or its code block."""
    row = render("evaluation.md.j2", **_minimal(text)).split("CELL:")[1].split(":END")[0]
    assert "\n" not in row
    assert not re.search(r"(?<!\\)(?:\\\\)*\|", row)


def _minimal(text: str) -> dict[str, object]:
    return {
        "report": BETTER,
        "headline": f"CELL:{text}:END",
        "lead": "",
        "tiles": [],
        "metric_rows": [],
        "expense_columns": (),
        "expense_rows": [],
        "candidate_accuracy": {},
        "baseline": None,
        "failed_total": 0,
        "sections": [],
        "circumstances": [],
    }
