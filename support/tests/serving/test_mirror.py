"""Copies for arms that are only looked at: off the path, judged in pairs, bounded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.serving.harness import (
    AGENT,
    CANDIDATE,
    PATIENT,
    STABLE,
    MemorySink,
    Recording,
    Tables,
    ask,
    gateway,
    settled,
    several_arms,
    upstream,
)

from agent_orchestrator.domain.outcomes import Outcome
from agent_orchestrator.domain.routing import Arm
from agent_orchestrator.serving.background import Background
from agent_orchestrator.serving.breaker import BreakerPolicy
from agent_orchestrator.serving.router import Routed, Router

JUDGE = "team/judge"
SHADOW = (
    Arm("stable", STABLE, "v1.0.0", 100),
    Arm("candidate", CANDIDATE, "v1.1.0", 0, mirror=100),
)


class Scene:
    """A router with a shadow."""

    def __init__(self, router: Router, servers: Mapping[str, OpenAIServer]) -> None:
        self.router = router
        self.servers = servers
        self.recording: Any = router._tools.recorder

    @property
    def mirrored(self) -> list[Outcome]:
        """The mirrors' outcomes."""
        return [o for o in self.recording.outcomes if o.role == "mirror"]

    def answer(self, model: str, *replies: Reply) -> None:
        """Change what a model answers."""
        self.servers[model].answer_with(list(replies))

    async def complete(self, task: str = "t", **changes: Any) -> Routed:
        """Send one request."""
        return await self.router.complete(
            AGENT, ask(**changes), task_id=task, request_id=str(uuid4())
        )

    async def stream(self, **changes: Any) -> bytes:
        """Send one request for a stream and read it."""
        body = ask(stream=True, stream_options={"include_usage": True}, **changes)
        stream = await self.router.stream(AGENT, body, task_id="t", request_id=str(uuid4()))
        async with stream:
            return b"".join([chunk.raw async for chunk in stream])

    async def idle(self) -> None:
        """Wait for the mirrors."""
        await settled(lambda: not self.router.mirrors.running)


@asynccontextmanager
async def scene(
    *arms: Arm, judge: str | None = None, breaker: BreakerPolicy = PATIENT, **replies: Reply
) -> AsyncIterator[Scene]:
    """A stable arm, a candidate that mirrors all, and a judge."""
    async with (
        OpenAIServer(replies.get("stable", Reply("same"))) as stable,
        OpenAIServer(replies.get("candidate", Reply("same"))) as candidate,
        OpenAIServer(replies.get("judge", Reply("?"))) as model_judge,
        upstream() as models,
    ):
        servers = {STABLE: stable, CANDIDATE: candidate, JUDGE: model_judge}
        urls = {model: server.url for model, server in servers.items()}
        tables = Tables(several_arms(urls, arms or SHADOW, judge=judge))
        async with Router(tables, models, Recording(), breaker=breaker) as router:
            yield Scene(router, servers)


async def test_a_mirror_gets_the_request_and_leaves_an_outcome_of_its_own():
    """The client hears the stable arm; the copy is the next attempt, of role mirror."""
    async with scene(candidate=Reply("other words")) as shadow:
        routed = await shadow.complete("task-1", temperature=0.3)
        assert (routed.served.arm.name, routed.completion.text) == ("stable", "same")
        await shadow.idle()
        served, mirrored = shadow.recording.outcomes
        assert (served.role, served.attempt, served.arm) == ("serve", 0, "stable")
        assert (mirrored.role, mirrored.attempt, mirrored.arm) == ("mirror", 1, "candidate")
        assert (mirrored.request_id, mirrored.task_id) == (served.request_id, "task-1")
        assert (mirrored.version, mirrored.rollout_id) == ("v1.1.0", "ro_1")
        assert mirrored.valid_output is True
        bodies = [shadow.servers[m].requests[0].body for m in (STABLE, CANDIDATE)]
        assert {**bodies[0], "model": CANDIDATE} == bodies[1]
        assert shadow.recording.feedback == []
        assert shadow.router.mirrors.undecided == 1


async def test_the_same_words_are_a_tie():
    """Without a judge model text is compared: equal answers are 0.5, given by the judge."""
    async with scene() as shadow:
        routed = await shadow.complete()
        await shadow.idle()
        [given] = shadow.recording.feedback
        assert (given.score, given.kind, given.arm) == (0.5, "preference", "candidate")
        assert (given.request_id, given.source) == (routed.served.request_id, "judge")


@pytest.mark.parametrize(
    ("stable", "candidate", "score"), [("{}", "no json", 0.0), ("no json", "{}", 1.0)]
)
async def test_a_valid_answer_is_better_than_an_invalid_one(
    stable: str, candidate: str, score: float
):
    """That much text tells."""
    async with scene(stable=Reply(stable), candidate=Reply(candidate)) as shadow:
        await shadow.complete(response_format={"type": "json_object"})
        await shadow.idle()
        assert [given.score for given in shadow.recording.feedback] == [score]


async def test_only_the_share_of_tasks_is_mirrored_and_always_the_same_ones():
    """Sticky like the arms."""
    arms = (SHADOW[0], Arm("candidate", CANDIDATE, None, 0, mirror=30))
    async with scene(*arms) as shadow:
        for _ in range(2):
            for task in range(60):
                await shadow.complete(str(task))
                await shadow.idle()
        tasks = [o.task_id for o in shadow.mirrored]
        assert 5 <= len(set(tasks)) <= 35
        assert len(tasks) == 2 * len(set(tasks))


async def test_a_mirror_that_fails_or_is_slow_touches_nobody():
    """The answer is there long before; the failure stands against the arm that failed."""
    async with scene(candidate=Reply(status=500)) as shadow:
        await shadow.complete()
        await shadow.idle()
        assert [o.error for o in shadow.mirrored] == ["status"]
        assert shadow.recording.feedback == []
        shadow.answer(CANDIDATE, Reply(latency=30))
        await shadow.complete()
        assert len(shadow.recording.outcomes) == 3


async def test_a_request_that_the_mirror_finds_fault_with_is_not_counted():
    """A prompt too long for it says nothing about the arm."""
    async with scene(candidate=Reply(status=400)) as shadow:
        await shadow.complete()
        await shadow.idle()
        assert shadow.mirrored == []


async def test_a_full_house_drops_mirrors_and_counts_them():
    """Requests never wait for room."""
    async with scene(candidate=Reply(latency=30)) as shadow:
        shadow.router._background._limit = 2
        for _ in range(5):
            await shadow.complete()
        assert (shadow.router.mirrors.running, shadow.router.mirrors.dropped) == (2, 3)
        assert len(shadow.recording.outcomes) == 5


async def test_a_caller_may_go_on_with_its_messages():
    """The copy is taken when the answer is there, not when the mirror gets round to it."""
    async with scene() as shadow:
        body = ask()
        await shadow.router.complete(AGENT, body, task_id="t", request_id="r")
        body["messages"].append({"role": "assistant", "content": "same"})
        await shadow.idle()
        assert len(shadow.servers[CANDIDATE].requests[0].body["messages"]) == 1


async def test_an_arm_that_served_or_failed_is_not_asked_again():
    """A pair needs two arms, and a failure is counted once."""
    arms = (Arm("stable", STABLE, None, 0), Arm("candidate", CANDIDATE, None, 100, mirror=100))
    async with scene(*arms) as both:
        await both.complete()
        both.answer(CANDIDATE, Reply(status=500))
        assert (await both.complete()).served.arm.name == "stable"
        await both.idle()
        assert both.mirrored == []


async def test_pairs_are_judged_against_the_stable_arm_only():
    """A preference is read as one over the stable arm: beside another it says nothing."""
    arms = (Arm("stable", STABLE, None, 0, mirror=100), Arm("candidate", CANDIDATE, None, 100))
    async with scene(*arms) as guard:
        await guard.complete()
        await guard.idle()
        assert [o.arm for o in guard.mirrored] == ["stable"]
        assert guard.recording.feedback == []


async def test_a_streamed_answer_is_mirrored_whole_and_compared():
    """The copy is asked for in one piece; the words that passed make the pair."""
    async with scene(stable=Reply("a b c"), candidate=Reply("a b c")) as shadow:
        assert b"[DONE]" in await shadow.stream()
        await shadow.idle()
        assert [o.role for o in shadow.recording.outcomes] == ["serve", "mirror"]
        assert [given.score for given in shadow.recording.feedback] == [0.5]
        asked = shadow.servers[CANDIDATE].requests[0].body
        assert "stream" not in asked
        assert "stream_options" not in asked


async def test_streamed_tool_calls_are_put_together_for_the_comparison():
    """Name and arguments count."""
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    same = [{"id": "c9", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}]
    stable, candidate = Reply("", tool_calls=calls), Reply("", tool_calls=same)
    async with scene(stable=stable, candidate=candidate) as shadow:
        await shadow.stream()
        await shadow.idle()
        assert [given.score for given in shadow.recording.feedback] == [0.5]


async def test_a_stream_without_a_mirror_is_not_collected():
    """Nothing is kept of what nobody compares."""
    async with scene(SHADOW[0], Arm("candidate", CANDIDATE, None, 0)) as plain:
        stream = await plain.router.stream(AGENT, ask(stream=True), task_id="t", request_id="r")
        async with stream:
            assert stream._account._collected is None


async def test_a_stream_too_long_to_keep_is_mirrored_without_a_judgement():
    """What is kept of a stream is bounded."""
    long = Reply("x" * 1024 + " " + "y" * 1024 * 1024)
    async with scene(stable=long, candidate=long) as shadow:
        await shadow.stream()
        await shadow.idle()
        assert len(shadow.mirrored) == 1
        assert shadow.recording.feedback == []


def verdict(better: str) -> Any:
    """Return a judge that finds the answer with ``better`` in it better, wherever it stands."""

    def judge(body: Mapping[str, Any]) -> Reply:
        pair = json.loads(body["messages"][1]["content"])
        place = next(p for p in ("first", "second") if better in pair[p][0]["content"])
        return Reply(f'Let me think {{}}. {{"better": "{place}"}}')

    return judge


@pytest.mark.parametrize(("better", "score"), [("red", 0.0), ("blue", 1.0)])
async def test_a_model_judges_pairs_in_both_orders(better: str, score: float):
    """A verdict that survives the swap is a preference."""
    async with scene(judge=JUDGE, stable=Reply("red"), candidate=Reply("blue")) as shadow:
        shadow.servers[JUDGE].answer_with(verdict(better))
        await shadow.complete()
        await shadow.idle()
        assert [given.score for given in shadow.recording.feedback] == [score]
        asked = [
            json.loads(r.body["messages"][1]["content"]) for r in shadow.servers[JUDGE].requests
        ]
        assert [pair["first"][0]["content"] for pair in asked] in (["red", "blue"], ["blue", "red"])
        assert asked[0]["request"]["messages"] == ask()["messages"]
        assert shadow.servers[JUDGE].requests[0].body["temperature"] == 0


@pytest.mark.parametrize(
    ("said", "scores"),
    [
        ('{"better": "first"}', [0.5]),
        ('{"better": "tie"}', [0.5]),
        ("the first one, I think", []),
        ('{"better": "both"}', []),
        ('{"better": ', []),
        ("{better: first}", []),
    ],
)
async def test_a_judge_is_read_strictly(said: str, scores: list[float]):
    """A judge that favours a place makes a tie; one that is not understood makes no statement."""
    async with scene(judge=JUDGE, candidate=Reply("other")) as shadow:
        shadow.answer(JUDGE, Reply(said))
        await shadow.complete()
        await shadow.idle()
        assert [given.score for given in shadow.recording.feedback] == scores


async def test_a_judge_that_is_down_makes_no_statement():
    """The mirror's outcome stands all the same."""
    async with scene(judge=JUDGE, candidate=Reply("other")) as shadow:
        shadow.answer(JUDGE, Reply(status=500))
        await shadow.complete()
        await shadow.idle()
        assert (len(shadow.mirrored), shadow.recording.feedback) == (1, [])


async def test_a_pair_too_long_for_the_judge_is_not_shown_to_it():
    """Half an answer would be another answer."""
    long = Reply("x" * 150_000), Reply("y" * 150_000)
    async with scene(judge=JUDGE, stable=long[0], candidate=long[1]) as shadow:
        await shadow.complete()
        await shadow.idle()
        assert (shadow.recording.feedback, shadow.servers[JUDGE].requests) == ([], [])


async def test_a_mirror_is_kept_out_by_its_breaker_as_any_arm():
    """A shadow that is down is not called for every request."""
    trip = BreakerPolicy(minimum=1, threshold=0.1, cooldown_seconds=1000)
    async with scene(candidate=Reply(status=500), breaker=trip) as shadow:
        for _ in range(3):
            await shadow.complete()
            await shadow.idle()
        assert [o.error for o in shadow.mirrored] == ["status", "breaker_open", "breaker_open"]
        assert len(shadow.servers[CANDIDATE].requests) == 1


async def test_under_load_a_flapping_mirror_costs_no_client_anything():
    """300 requests, 100 at a time: each is answered by the stable arm and mirrored at most once."""
    flapping = [Reply("same"), Reply(status=500), Reply(disconnect=True), Reply(body=b"x")]
    async with scene() as shadow:
        shadow.servers[CANDIDATE].answer_with(flapping * 100)
        for _ in range(3):
            answers = await asyncio.gather(*(shadow.complete(str(n)) for n in range(100)))
            assert {routed.completion.text for routed in answers} == {"same"}
        await shadow.idle()
        served = [o.request_id for o in shadow.recording.outcomes if o.role == "serve"]
        mirrored = [o.request_id for o in shadow.mirrored]
        assert (len(served), len(set(served))) == (300, 300)
        assert len(mirrored) == len(set(mirrored)) == 300 - shadow.router.mirrors.dropped
        judged = [given.request_id for given in shadow.recording.feedback]
        assert len(judged) == len(set(judged)) == sum(o.error is None for o in shadow.mirrored)


async def test_the_judge_is_spared_where_the_text_says_enough():
    """Equal answers cost nothing to judge."""
    async with scene(judge=JUDGE) as shadow:
        await shadow.complete()
        await shadow.idle()
        assert [given.score for given in shadow.recording.feedback] == [0.5]
        assert shadow.servers[JUDGE].requests == []


async def test_the_gateway_keeps_preferences_after_their_outcomes():
    """Over HTTP and through the outcome log; its end waits for the mirrors."""
    sink = MemorySink()
    async with OpenAIServer(Reply("same", latency=0.05)) as model:
        table = several_arms({STABLE: model.url, CANDIDATE: model.url}, SHADOW)
        async with gateway(table, sink=sink) as served:
            answer = await served.chat()
            assert answer.headers["X-Chef-Arm"] == "stable"
    assert [o.role for o in sink.outcomes] == ["serve", "mirror"]
    assert [given.score for given in sink.feedback] == [0.5]


async def test_the_background_cancels_what_does_not_end_in_time_and_takes_nothing_more():
    """The end of a process is not held up."""
    background = Background(1)
    background.start(asyncio.sleep(60), "long")
    await background.close(0.01)
    assert (background.running, background.has_room()) == (0, False)


async def test_a_failure_in_the_background_is_logged(caplog: pytest.LogCaptureFixture):
    """Nobody waits for it, so somebody must be told."""

    async def fail() -> None:
        raise ValueError("odd")

    background = Background(1)
    background.start(fail(), "the work")
    await settled(lambda: not background.running)
    await asyncio.sleep(0)
    assert "the work failed" in caplog.text
