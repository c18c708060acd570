"""Which examples are wanted, by what their metadata say."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agent_orchestrator.agents.infrastructure.modelops.usecases.datasets import DatasetFilters
from agent_orchestrator.agents.infrastructure.modelops.usecases.filters import NO_FILTERS, Filters

NEW_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
JSON = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.text())


@pytest.mark.parametrize(
    ("filters", "metadata", "expected"),
    [
        ({"success": True}, {"success": True}, True),
        ({"success": True}, {"success": "True"}, True),
        ({"success": True}, {"success": False}, False),
        ({"success": False}, {"success": "false"}, True),
        ({"success": True}, {}, False),
        ({"feedback_score": 4.0}, {"feedback_score": 4}, True),
        ({"feedback_score": 4.0}, {"feedback_score": "4.5"}, True),
        ({"feedback_score": 4.0}, {"feedback_score": 3.99}, False),
        ({"feedback_score": 4.0}, {"feedback_score": "good"}, False),
        ({"feedback_score": 4.0}, {"feedback_score": "nan"}, False),
        ({"feedback_score": 4.0}, {}, False),
        ({"hitl_approved": True}, {"hitl_approved": True}, True),
        ({"hitl_approved": True}, {"hitl_approved": None}, False),
        ({"since": NEW_YEAR}, {"created_at": "2026-01-01T00:00:00Z"}, True),
        ({"since": NEW_YEAR}, {"created_at": "2025-12-31T23:59:59"}, False),
        ({"since": NEW_YEAR}, {"created_at": "2026-01-01T00:30:00+01:00"}, False),
        ({"until": NEW_YEAR}, {"created_at": "2026-01-01T00:00:00Z"}, False),
        ({"until": NEW_YEAR}, {"created_at": "2025-12-31"}, True),
        ({"since": NEW_YEAR}, {"created_at": "yesterday"}, False),
        ({"since": NEW_YEAR}, {}, False),
        ({"tags": ("a", "b")}, {"tags": ["b", "a", "c"]}, True),
        ({"tags": ("a", "b")}, {"tags": "a, b"}, True),
        ({"tags": ("a", "b")}, {"tags": ["a"]}, False),
        ({"tags": ("a",)}, {"tags": 3}, False),
        ({"metadata": {"stars": "5"}}, {"stars": 5}, True),
        ({"metadata": {"stars": 5}}, {"stars": "5"}, True),
        ({"metadata": {"stars": 5}}, {"stars": 4}, False),
        ({"metadata": {"stars": 5}, "success": True}, {"stars": 5}, False),
    ],
)
def test_what_is_wanted(filters: dict[str, Any], metadata: dict[str, Any], expected: bool) -> None:
    """Everything that is asked for must be said; texts of CSV files count as what they mean."""
    assert Filters(**filters).match(metadata) is expected


@given(st.dictionaries(st.text(), JSON))
def test_no_filter_wants_everything(metadata: dict[str, Any]) -> None:
    """Whatever the metadata are."""
    assert NO_FILTERS.match(metadata)


@given(
    st.dictionaries(st.sampled_from(["success", "feedback_score", "tags", "created_at"]), JSON),
    st.floats(0, 5),
)
def test_any_metadata_are_answered_with_yes_or_no(metadata: dict[str, Any], score: float) -> None:
    """No value, however odd, is an error; more filters never want more."""
    some = Filters(feedback_score=score)
    more = Filters(feedback_score=score, tags=("a",), since=NEW_YEAR)
    assert not more.match(metadata) or some.match(metadata)


def test_a_request_says_the_same_in_its_own_words() -> None:
    """Times without a zone are UTC, tags may stand in one text, other keys are metadata."""
    filters = DatasetFilters.model_validate(
        {"success": "true", "since": "2026-01-01", "tags": "a,b", "repository": "shop"}
    ).selected()
    assert filters == Filters(
        success=True, since=NEW_YEAR, tags=("a", "b"), metadata={"repository": "shop"}
    )
    east = timezone(timedelta(hours=2))
    aware = DatasetFilters(until=datetime(2026, 1, 1, 2, tzinfo=east))
    assert aware.selected().until == NEW_YEAR
    assert str(filters).startswith("success=True, since=datetime")
    assert str(NO_FILTERS) == "none"


@pytest.mark.parametrize("wrong", [{"feedback_score": "high"}, {"since": "soon"}, {"success": 7}])
def test_a_value_of_the_wrong_type_is_refused(wrong: dict[str, Any]) -> None:
    """Before anything is read."""
    with pytest.raises(ValidationError):
        DatasetFilters.model_validate(wrong)
