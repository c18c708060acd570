"""What people answer, and what is proposed next."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.domain.intents import Intent, parse
from agent_orchestrator.domain.next_steps import Proposal, without_dataset
from agent_orchestrator.domain.replies import (
    Declined,
    Question,
    Reply,
    Topic,
    Unclear,
    Wish,
    read_reply,
    short_answers,
)

DEMO = Proposal("train_subagent_model", {"agent": "feature_dev", "mode": "demo"}, "Shall I?")
CANARY = Proposal(
    "deploy_model_to_agent",
    {"agent": "feature_dev", "version": "v1.0.0", "strategy": "canary_20pct"},
    "Deploy?",
)
BUILD = without_dataset("feature_dev", langsmith=False)
TOPIC = Topic("feature_dev", "job_1")


@pytest.mark.parametrize(
    "text",
    ["yes", "Yes, please.", "ok, do it!", "y", "sure", "yes yes", "go ahead", "@chef yes", "okay"],
)
def test_a_yes_accepts_exactly_what_was_proposed(text: str):
    """With the price that was said."""
    assert read_reply(text, TOPIC, DEMO) == Wish(DEMO.use_case, DEMO.values, accepted=True)


@pytest.mark.parametrize(
    "text",
    [
        "yes, but not now",
        "yes, without dpo",
        "wait",
        "what does it cost?",
        "I am not sure",
        "yesterday it failed",
        "okay is not an answer",
        "",
        "?",
    ],
)
def test_a_yes_with_a_reservation_is_none(text: str):
    """Only a reply that is a yes as a whole starts anything."""
    assert read_reply(text, TOPIC, DEMO) == Unclear()


@pytest.mark.parametrize("text", ["no", "No thanks.", "not now", "later", "don't", "never mind"])
def test_a_no_declines(text: str):
    """The proposal is dropped."""
    assert read_reply(text, TOPIC, DEMO) == Declined()


@pytest.mark.parametrize(
    ("proposal", "text", "changed"),
    [
        (DEMO, "yes, with dpo", {"method": "dpo"}),
        (DEMO, "no, use dpo", {"method": "dpo"}),
        (DEMO, "production", {"mode": "production"}),
        (DEMO, "go on with production", {"mode": "production"}),
        (CANARY, "50%", {"strategy": "canary_50pct"}),
        (CANARY, "yes, with 50 %", {"strategy": "canary_50pct"}),
        (CANARY, "immediately", {"strategy": "immediate"}),
        (BUILD, "From reviews.jsonl, please.", {"source": "reviews.jsonl"}),
        (BUILD, "hub:Acme/Errors", {"source": "hub:Acme/Errors"}),
        (BUILD, "langsmith", {"source": "langsmith"}),
    ],
)
def test_another_choice_is_a_wish_of_its_own(
    proposal: Proposal, text: str, changed: dict[str, str]
):
    """It keeps the rest of the proposal, and its price has to be said again."""
    wish = read_reply(text, TOPIC, proposal)
    assert wish == Wish(proposal.use_case, {**proposal.values, **changed})


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        (
            "evaluate it first",
            Wish("evaluate_model_vs_baseline", {"agent": "feature_dev"}),
        ),
        ("roll it back", Wish("rollback_deployment", {"agent": "feature_dev"})),
        ("train docs instead", Wish("train_subagent_model", {"agent": "documentation"})),
        ("how is it going?", Wish("monitor_training_job", {"job_id": "job_1"})),
        ("cancel the job", Wish("cancel_training_job", {"job_id": "job_1"})),
    ],
)
def test_a_new_wish_is_completed_by_what_is_talked_about(text: str, reply: Reply):
    """The agent and the job of the conversation stand for "it"."""
    assert read_reply(text, TOPIC, DEMO) == reply
    assert read_reply(text, TOPIC) == reply


def test_nothing_is_completed_where_nothing_was_talked_about():
    """Then the question stays."""
    reply = read_reply("train it", Topic())
    assert isinstance(reply, Question)
    assert reply.intent.about == "train_subagent_model"


@pytest.mark.parametrize(
    ("first", "answer", "reply"),
    [
        ("train it", "feature_dev", Wish("train_subagent_model", {"agent": "feature_dev"})),
        ("train it", "the code reviewer", Wish("train_subagent_model", {"agent": "code_review"})),
        ("train it", "not feature_dev", Unclear()),
        ("train it", "no", Declined()),
        ("train it", "yes", Unclear(agreed=True)),
        (
            "could you maybe train docs?",
            "yes",
            Wish("train_subagent_model", {"agent": "documentation"}),
        ),
        (
            "how is the job?",
            "job_2025-12-10_a1",
            Wish("monitor_training_job", {"job_id": "job_2025-12-10_a1"}),
        ),
    ],
)
def test_an_answer_completes_the_question(first: str, answer: str, reply: Reply):
    """The answer to a clarifying question is read with what is known."""
    assert read_reply(answer, Topic(), asked=parse(first)) == reply


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str):
    """It raises nothing, and accepts nothing without a word of agreement."""
    reply = read_reply(text, TOPIC, DEMO, parse("train it"))
    if isinstance(reply, Wish) and reply.accepted:
        assert any(
            word in text.lower() for word in ("y", "o", "sure", "fine", "agree", "ab", "co", "pr")
        )


@pytest.mark.parametrize(
    ("proposal", "asked", "words"),
    [
        (DEMO, None, ("yes", "no")),
        (without_dataset("cicd", langsmith=True), None, ("yes", "no")),
        (BUILD, None, ("no",)),
        (None, parse("train"), ("no",)),
        (None, None, ()),
    ],
)
def test_what_is_open_offers_the_words_that_answer_it(
    proposal: Proposal | None, asked: Intent | None, words: tuple[str, ...]
):
    """A yes is offered only where it is enough; each offered word is understood."""
    assert short_answers(proposal, asked) == words
    for word in words:
        assert isinstance(read_reply(word, TOPIC, proposal, asked), Wish | Declined)
