"""Counts and lines in sentences."""

from __future__ import annotations

import pytest

from agent_orchestrator.domain.wording import counted, lines_of


@pytest.mark.parametrize(
    ("count", "sentence"),
    [
        (0, "0 examples hold secrets; they are kept"),
        (1, "1 example holds secret; it is kept"),
        (2, "2 examples hold secrets; they are kept"),
    ],
)
def test_noun_and_verb_agree_with_the_count(count: int, sentence: str) -> None:
    """One thing is told in the singular, none and several in the plural."""
    text = "[example holds|examples hold] secret[s]; [it is|they are] kept"
    assert counted(count, text) == sentence


def test_what_follows_a_list_is_no_part_of_it() -> None:
    """Markdown takes the next line for the last item's, unless an empty one comes before it."""
    told = ["Scores:", "- accuracy: 0.9", "- latency: 0.2", "Recommendation: deploy."]
    assert lines_of(told).splitlines() == [*told[:3], "", told[3]]
    assert lines_of(told[:3]) == "\n".join(told[:3])
