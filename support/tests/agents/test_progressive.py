"""Which tools a request offers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.agents._shared.progressive import Strategy, ToolCard, choose, rank

CARDS = [
    ToolCard("read_file", "Read a file of the workspace.", 50),
    ToolCard("edit_file", "Replace a passage of a file.", 80),
    ToolCard("run_tests", "Run the tests of the workspace.", 40),
    ToolCard("create_issue", "Create an issue in the tracker.", 200),
    ToolCard("searchDocs", "Search the documentation of libraries.", 100),
    ToolCard("deploy", "Deploy a container to the cluster.", 3000),
]
CORE, PROFILE = ("read_file",), ("run_tests", "edit_file")


@pytest.mark.parametrize(
    ("strategy", "task", "asked", "budget", "offered"),
    [
        ("minimal", "create an issue", (), 4000, ["read_file"]),
        ("minimal", "", ("edit_file",), 4000, ["read_file"]),
        ("agent_profile", "create an issue", (), 0, ["read_file", "edit_file", "run_tests"]),
        ("progressive", "", (), 4000, ["read_file"]),
        ("progressive", "Please create an issue!", (), 4000, ["read_file", "create_issue"]),
        ("progressive", "Please create an issue!", (), 249, ["read_file"]),
        ("progressive", "Please create an issue!", (), 250, ["read_file", "create_issue"]),
        ("progressive", "testing", (), 4000, ["read_file", "run_tests"]),
        ("progressive", "look into the docs", (), 4000, ["read_file", "searchDocs"]),
        ("progressive", "deploy the container", (), 500, ["read_file"]),
        ("progressive", "deploy the container", (), 3050, ["read_file", "deploy"]),
        ("progressive", "", ("edit_file", "run_tests"), 4000, [c.name for c in CARDS[:3]]),
        ("progressive", "", ("edit_file", "run_tests"), 100, ["read_file", "run_tests"]),
        ("progressive", "", ("gone",), 4000, ["read_file"]),
        ("progressive", "", (), 10, ["read_file"]),
        ("full", "", (), 0, [card.name for card in CARDS]),
    ],
)
def test_a_strategy_offers_what_the_task_needs_within_the_budget(
    strategy: Strategy, task: str, asked: tuple[str, ...], budget: int, offered: list[str]
):
    """Core tools always, then what was asked for, then what the task speaks of, while it fits."""
    offer = choose(
        strategy, CARDS, core=CORE, profile=PROFILE, task=task, asked=asked, budget=budget
    )
    assert list(offer.names) == offered
    assert list(offer.left_out) == [card.name for card in CARDS if card.name not in offered]


def test_a_rare_word_tells_more_than_a_common_one():
    """What only one tool speaks of decides; equal matches go to the agent's own tools first."""
    assert rank(CARDS, "a file to deploy")[0].name == "deploy"
    assert [card.name for card in rank(CARDS, "workspace", ("run_tests",))] == [
        "run_tests",
        "read_file",
    ]


@given(
    tokens=st.lists(st.integers(0, 300), min_size=1, max_size=8),
    task=st.text(max_size=40),
    budget=st.integers(0, 1000),
)
def test_no_text_breaks_the_choice_and_the_budget_holds(tokens: list[int], task: str, budget: int):
    """Whatever is asked, the order stands and beyond the core nothing exceeds the budget."""
    cards = [ToolCard(f"tool{i}", f"Does {task} {i}", n) for i, n in enumerate(tokens)]
    offer = choose("progressive", cards, core=["tool0"], task=task, budget=budget)
    costs = {card.name: card.tokens for card in cards}
    spent = sum(costs[name] for name in offer.names)
    assert offer.names[0] == "tool0"
    assert spent <= max(budget, costs["tool0"])
    assert sorted(offer.names + offer.left_out) == sorted(costs)
