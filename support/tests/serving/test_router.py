"""Who answers: stickiness, failover, breakers, and the outcome of every attempt."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.serving.harness import (
    AGENT,
    CANDIDATE,
    FALLBACK,
    PATIENT,
    STABLE,
    Recording,
    Tables,
    ask,
    routing_table,
    upstream,
)

from agent_orchestrator.domain.routing import Arm, Endpoint, Rollout
from agent_orchestrator.errors import NotFoundError, UnknownAgentError
from agent_orchestrator.serving.breaker import BreakerPolicy
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.serving.router import (
    NoAnswerError,
    OutOfTimeError,
    Routed,
    RoutedStream,
    Router,
)

QUICK_TRIP = BreakerPolicy(threshold=0.5, minimum=3, window_seconds=60, cooldown_seconds=30)


class Bench:
    """A router over three upstreams: stable, candidate, fallback."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.recording = Recording()
        self.servers = {m: OpenAIServer(Reply(m)) for m in (STABLE, CANDIDATE, FALLBACK)}
        self._stack = AsyncExitStack()

    async def open(self, *, weight: int | None, breaker: BreakerPolicy = PATIENT) -> Bench:
        """Start everything."""
        for server in self.servers.values():
            await self._stack.enter_async_context(server)
        urls = {model: server.url for model, server in self.servers.items()}
        self.tables = Tables(routing_table(urls, weight=weight, fallbacks=(FALLBACK,)))
        models = await self._stack.enter_async_context(upstream())
        self.router = Router(
            self.tables,
            models,
            self.recording,
            breaker=breaker,
            clock=lambda: 1.8e9,
            timer=lambda: self.now,
        )
        return self

    async def close(self) -> None:
        """Stop everything."""
        await self._stack.aclose()

    def answer(self, **replies: Reply) -> None:
        """Change what the upstreams answer."""
        for name, reply in replies.items():
            self.servers[f"team/{name}"].answer_with(reply)

    async def complete(self, task: str = "t", **changes: Any) -> Routed:
        """Send one request."""
        return await self.router.complete(
            AGENT, ask(**changes), task_id=task, request_id=str(uuid4())
        )

    async def stream(self, task: str = "t") -> RoutedStream:
        """Send one request for a stream."""
        return await self.router.stream(
            AGENT, ask(stream=True), task_id=task, request_id=str(uuid4())
        )

    def seen(self) -> list[tuple[str, int, str | None, bool | None]]:
        """Return arm, attempt, error and validity of the outcomes so far."""
        return [(o.arm, o.attempt, o.error, o.valid_output) for o in self.recording.outcomes]


@pytest.fixture
async def bench(request: pytest.FixtureRequest):
    """A bench with all traffic on the stable arm and the candidate as its stand-in, or as asked."""
    options: Mapping[str, Any] = getattr(request, "param", {"weight": None})
    made = await Bench().open(**options)
    yield made
    await made.close()


def bench_with(**options: Any) -> pytest.MarkDecorator:
    """Parametrise the bench."""
    return pytest.mark.parametrize("bench", [options], indirect=True, ids=[""])


TO_CANDIDATE = {"weight": 100}
SPLIT = {"weight": 20}


async def test_without_a_rollout_the_stable_model_answers(bench: Bench):
    """One arm, its model, and one outcome with everything a verdict reads."""
    bench.servers[STABLE].answer_with(Reply("one two three"))
    routed = await bench.complete("task-1")
    assert routed.completion.text == "one two three"
    assert routed.served.arm == Arm("stable", STABLE)
    [outcome] = bench.recording.outcomes
    assert outcome.request_id == routed.served.request_id
    assert (outcome.agent, outcome.task_id, outcome.model) == (AGENT, "task-1", STABLE)
    assert (outcome.arm, outcome.version, outcome.rollout_id) == ("stable", None, None)
    assert (outcome.error, outcome.valid_output, outcome.at) == (None, True, 1.8e9)
    assert (outcome.prompt_tokens, outcome.completion_tokens) == (7, 3)


@bench_with(**SPLIT)
async def test_a_task_keeps_its_arm_and_the_split_is_the_one_asked_for(bench: Bench):
    """200 tasks of three requests each: one arm a task, about 20 % on the candidate."""
    arms: dict[str, set[str]] = {}
    for task in map(str, range(200)):
        for _ in range(3):
            routed = await bench.complete(task)
            arms.setdefault(task, set()).add(routed.served.arm.name)
            assert routed.completion.text == routed.served.arm.model
            assert routed.served.rollout_id == "ro_1"
    assert all(len(names) == 1 for names in arms.values())
    share = Counter(name for names in arms.values() for name in names)["candidate"] / len(arms)
    assert 0.12 < share < 0.30


@bench_with(**SPLIT)
async def test_a_new_weight_holds_from_the_next_request_and_moves_tasks_one_way(bench: Bench):
    """After 20 → 60 no task has moved from the candidate back to the stable arm."""
    tasks = [str(n) for n in range(100)]
    before = [(await bench.complete(task)).served.arm.name for task in tasks]
    bench.tables.current = routing_table(
        {m: s.url for m, s in bench.servers.items()}, weight=60, fallbacks=(FALLBACK,)
    )
    after = [(await bench.complete(task)).served.arm.name for task in tasks]
    moves = Counter(zip(before, after, strict=True))
    assert moves["stable", "candidate"] > 0
    assert moves["candidate", "stable"] == 0


@bench_with(**TO_CANDIDATE)
async def test_a_failed_arm_is_replaced_by_the_stable_one_and_counted(bench: Bench):
    """The client gets an answer; the failure stands against the arm that failed."""
    bench.answer(candidate=Reply("broken", status=500))
    routed = await bench.complete()
    assert routed.completion.text == STABLE
    assert [outcome.arm for outcome in routed.served.failed] == ["candidate"]
    assert bench.seen() == [("candidate", 0, "status", None), ("stable", 1, None, True)]
    assert len({outcome.request_id for outcome in bench.recording.outcomes}) == 1


@bench_with(**TO_CANDIDATE)
async def test_the_fallback_chain_comes_after_every_arm(bench: Bench):
    """Both arms are down: a model of the chain answers, as arm 'fallback'."""
    bench.answer(candidate=Reply(disconnect=True), stable=Reply(status=503))
    routed = await bench.complete()
    assert routed.completion.text == FALLBACK
    assert [(arm, error) for arm, _, error, _ in bench.seen()] == [
        ("candidate", "connection"),
        ("stable", "status"),
        ("fallback", None),
    ]


@bench_with(weight=0)
async def test_an_arm_without_traffic_does_not_stand_in(bench: Bench):
    """A candidate that was given no traffic yet is no way out when the stable arm fails."""
    bench.answer(stable=Reply(status=500))
    assert (await bench.complete()).served.arm.name == "fallback"


@bench_with(**TO_CANDIDATE)
async def test_when_all_fail_the_error_names_them(bench: Bench):
    """The client learns which models were tried and why; every failure is counted."""
    down = Reply("down", status=500)
    bench.answer(candidate=down, stable=down, fallback=Reply(disconnect=True))
    with pytest.raises(NoAnswerError, match=r"team/candidate \(status\).*\(connection\)") as caught:
        await bench.complete()
    assert [outcome.attempt for outcome in caught.value.attempts] == [0, 1, 2]
    assert caught.value.retry_after_s is None
    assert len(bench.recording.outcomes) == 3


@bench_with(**TO_CANDIDATE)
async def test_a_request_at_fault_is_not_counted_and_not_tried_elsewhere(bench: Bench):
    """A prompt that is too long says nothing about the arm."""
    bench.answer(candidate=Reply("too long", status=400))
    with pytest.raises(UpstreamFailure, match="too long"):
        await bench.complete()
    with pytest.raises(UpstreamFailure, match="too long"):
        await bench.stream()
    assert bench.seen() == []
    assert bench.servers[STABLE].requests == []


async def test_an_invalid_answer_is_recorded_and_passed_on(bench: Bench):
    """The client gets what the arm said; the verdict hears that it was unusable."""
    bench.answer(stable=Reply("", body=None))
    assert (await bench.complete()).completion.text == ""
    bench.answer(stable=Reply("no json"))
    await bench.complete(response_format={"type": "json_object"})
    assert bench.seen() == [("stable", 0, None, False)] * 2


async def test_latency_is_that_of_the_attempt(bench: Bench):
    """Measured with the monotonic clock from sending to the last byte."""

    def answer(_: Mapping[str, Any]) -> Reply:
        bench.now += 0.25
        return Reply("x")

    bench.servers[STABLE].answer_with(answer)
    assert (await bench.complete()).completion.latency_ms == pytest.approx(250)
    assert bench.recording.outcomes[0].latency_ms == pytest.approx(250)


@bench_with(weight=100, breaker=QUICK_TRIP)
async def test_a_broken_arm_is_kept_out_until_a_trial_goes_well(bench: Bench):
    """Three failures: no more calls for the cool-down, then one trial, then traffic again."""
    bench.answer(candidate=Reply("down", status=500))
    for _ in range(5):
        assert (await bench.complete()).served.arm.name == "stable"
    assert len(bench.servers[CANDIDATE].requests) == 3
    kept_out = [o for o in bench.recording.outcomes if o.error == "breaker_open"]
    assert [(o.arm, o.attempt, o.latency_ms) for o in kept_out] == [("candidate", 0, 0.0)] * 2
    stable, candidate = bench.router.health(AGENT)
    assert (stable.state, candidate.state) == ("closed", "open")
    assert "status 500: down" in candidate.trip_reason
    assert candidate.retry_after_s == 30
    bench.now += 31
    bench.answer(candidate=Reply("back"))
    assert (await bench.complete()).completion.text == "back"
    assert bench.router.health(AGENT)[1].state == "closed"


@bench_with(weight=100, breaker=QUICK_TRIP)
async def test_a_breaker_is_reset_by_hand(bench: Bench):
    """A person who knows better need not wait."""
    bench.answer(candidate=Reply(status=500))
    for _ in range(3):
        await bench.complete()
    health = bench.router.reset_breaker(AGENT, "candidate")
    assert [arm.state for arm in health] == ["closed", "closed"]
    with pytest.raises(NotFoundError, match="stable, candidate"):
        bench.router.reset_breaker(AGENT, "canary")
    with pytest.raises(UnknownAgentError):
        bench.router.reset_breaker("nobody", "stable")


@bench_with(weight=100, breaker=QUICK_TRIP)
async def test_when_every_breaker_is_open_the_wait_is_told(bench: Bench):
    """Nothing is called; the client learns when to come back."""
    down = Reply(status=500)
    bench.answer(candidate=down, stable=down, fallback=down)
    for _ in range(3):
        with pytest.raises(NoAnswerError):
            await bench.complete()
    bench.now += 10
    with pytest.raises(NoAnswerError, match="breaker_open") as caught:
        await bench.complete()
    assert caught.value.retry_after_s == 20
    assert sum(len(server.requests) for server in bench.servers.values()) == 9


@bench_with(weight=100, breaker=QUICK_TRIP)
async def test_a_new_rollout_begins_healthy_and_old_breakers_are_forgotten(bench: Bench):
    """The next candidate does not inherit the last one's breaker; memory stays bounded."""
    bench.answer(candidate=Reply(status=500))
    for _ in range(3):
        await bench.complete()
    table = bench.tables.current
    again = Rollout("ro_2", "canary", table.rollouts[AGENT].arms)
    bench.tables.current = replace(table, rollouts={AGENT: again})
    await bench.complete()
    assert len(bench.servers[CANDIDATE].requests) == 4
    bench.tables.current = replace(table, rollouts={})
    await bench.complete()
    assert {key[1] for key in bench.router._breakers._breakers} == {"ro_2", None}


@bench_with(weight=100, breaker=QUICK_TRIP)
async def test_a_split_that_is_away_for_a_moment_comes_back_to_its_breakers(bench: Bench):
    """A drill must not send requests to an arm that is known to be broken."""
    bench.answer(candidate=Reply(status=500))
    for _ in range(3):
        await bench.complete()
    table = bench.tables.current
    for moment in (replace(table, rollouts={}), table):
        bench.tables.current = moment
        await bench.complete()
    assert len(bench.servers[CANDIDATE].requests) == 3


async def test_an_unknown_agent_is_named_with_the_known_ones(bench: Bench):
    """A typing error is told apart from a failure."""
    with pytest.raises(UnknownAgentError, match=AGENT):
        await bench.router.complete("feature_def", ask(), task_id="t", request_id="r")
    assert bench.router.agents() == [AGENT]


async def test_a_stream_is_passed_on_and_settled_at_its_end(bench: Bench):
    """All events, the arm known before the first, one valid outcome with the reported usage."""
    stream = await bench.router.stream(
        AGENT,
        ask(stream=True, stream_options={"include_usage": True}),
        task_id="t",
        request_id="r",
    )
    assert stream.served.arm.name == "stable"
    async with stream:
        chunks = [chunk async for chunk in stream]
    assert chunks[-1].is_done
    [outcome] = bench.recording.outcomes
    assert (outcome.valid_output, outcome.completion_tokens) == (True, 1)


@bench_with(**TO_CANDIDATE)
@pytest.mark.parametrize(
    "reply", [Reply(status=500), Reply(cut_after=0), Reply(events=[b"data: x\n\n"])]
)
async def test_a_stream_that_fails_before_its_first_byte_fails_over(bench: Bench, reply: Reply):
    """The client sees only the other arm's stream."""
    bench.answer(candidate=reply)
    stream = await bench.stream()
    async with stream:
        text = b"".join([chunk.raw async for chunk in stream])
    assert STABLE.encode() in text
    assert [(o.arm, bool(o.error)) for o in bench.recording.outcomes] == [
        ("candidate", True),
        ("stable", False),
    ]


@bench_with(**TO_CANDIDATE)
async def test_a_stream_cut_after_its_first_byte_raises_and_counts(bench: Bench):
    """No other arm can go on in the middle of an answer."""
    bench.answer(candidate=Reply("a b c", cut_after=3))
    async with await bench.stream() as stream:
        with pytest.raises(UpstreamFailure, match="broke off"):
            _ = [chunk async for chunk in stream]
    assert bench.seen() == [("candidate", 0, "cut_off", None)]


async def test_a_reader_that_leaves_early_leaves_how_long_it_waited(bench: Bench):
    """The upstream call ends; on record is no failure of the arm, and no answer."""
    bench.answer(stable=Reply("a b c d", between=0.1))
    async with await bench.stream() as stream:
        await anext(stream)
    await asyncio.wait_for(bench.servers[STABLE].client_left.wait(), 5)
    assert bench.seen() == [("stable", 0, "abandoned", None)]
    assert bench.recording.outcomes[0].latency_ms >= 0.0
    assert not bench.router.health(AGENT)[0].failures


async def test_a_reader_that_leaves_at_the_end_counts(bench: Bench):
    """Clients stop at [DONE], or already at the finish reason: the answer was whole."""
    for enough in (lambda c: c.is_done, lambda c: c.ends_answer):
        async with await bench.stream() as stream:
            async for chunk in stream:
                if enough(chunk):
                    break
    assert bench.seen() == [("stable", 0, None, True)] * 2


async def test_what_comes_after_done_changes_nothing(bench: Bench):
    """An answer is settled at [DONE]: a connection that breaks afterwards is no failure of it."""
    done = [b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n', b"data: [DONE]\n\n"]
    bench.answer(stable=Reply(events=[*done, b": bye\n\n"], cut_after=2))
    async with await bench.stream() as stream:
        assert [chunk.raw async for chunk in stream] == done
    assert bench.seen() == [("stable", 0, None, True)]


@bench_with(weight=100, breaker=replace(QUICK_TRIP, cooldown_seconds=0))
@pytest.mark.parametrize("streams", [False, True])
async def test_a_cancelled_call_gives_the_trial_back(bench: Bench, *, streams: bool):
    """A client that leaves during the half-open trial does not lock the arm out for ever."""
    bench.answer(candidate=Reply(status=500))
    for _ in range(3):
        await bench.complete()
    bench.answer(candidate=Reply(latency=0.2))
    work = bench.stream() if streams else bench.complete()
    call = asyncio.create_task(work)
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert bench.recording.outcomes[-1].error == "abandoned"
    bench.answer(candidate=Reply("well"))
    assert (await bench.complete()).completion.text == "well"


async def test_one_fixed_model_is_called_without_a_split_or_an_outcome(bench: Bench):
    """Evaluation and the smoke gate ask the model itself; its failures are theirs to count."""
    completion = await bench.router.complete_model(CANDIDATE, ask())
    assert (completion.text, completion.valid_output) == (CANDIDATE, True)
    assert completion.usage.completion_tokens == 1
    elsewhere = Endpoint("team/new", "self_hosted", (bench.servers[FALLBACK].url,))
    assert (await bench.router.complete_model("team/new", ask(), endpoint=elsewhere)).text
    bench.answer(candidate=Reply(status=500))
    with pytest.raises(UpstreamFailure):
        await bench.router.complete_model(CANDIDATE, ask())
    assert bench.seen() == []


async def test_a_text_in_parts_is_no_text(bench: Bench):
    """``text`` is the plain content; a tool call has none."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    bench.answer(stable=Reply("", tool_calls=[call]))
    routed = await bench.complete()
    assert (routed.completion.text, routed.completion.valid_output) == ("", True)


@bench_with(**TO_CANDIDATE)
@pytest.mark.parametrize("streams", [False, True])
async def test_all_attempts_share_the_time_that_the_client_gives(bench: Bench, *, streams: bool):
    """Failover adds no time-out up; an arm that was cut short so is not blamed."""
    bench.answer(candidate=Reply(status=500), stable=Reply(latency=60), fallback=Reply(latency=60))
    call = bench.router.stream if streams else bench.router.complete
    body = ask(stream=True) if streams else ask()
    with pytest.raises(OutOfTimeError, match=r"within 1.5 s"):
        await call(AGENT, body, task_id="t", request_id="r", timeout=1.5)
    assert bench.seen() == [
        ("candidate", 0, "status", None),
        ("stable", 1, "abandoned", None),
    ]
    assert bench.servers[FALLBACK].requests == []


@bench_with(weight=20, breaker=QUICK_TRIP)
async def test_tasks_come_back_to_their_arm_when_it_has_recovered(bench: Bench):
    """Failover moves a task for as long as its arm is out, and no other task."""
    before = {str(n): (await bench.complete(str(n))).served.arm.name for n in range(40)}
    assert set(before.values()) == {"stable", "candidate"}
    bench.answer(candidate=Reply(status=500))
    during = {task: (await bench.complete(task)).served.arm.name for task in before}
    assert set(during.values()) == {"stable"}
    bench.now += 31
    bench.answer(candidate=Reply("well"))
    after = {task: (await bench.complete(task)).served.arm.name for task in before}
    assert after == before


@bench_with(weight=50, breaker=replace(QUICK_TRIP, cooldown_seconds=0))
async def test_under_load_with_a_flapping_arm_every_request_is_answered_once(bench: Bench):
    """200 at a time: each gets an answer, and one outcome without an error."""
    bench.servers[CANDIDATE].answer_with(
        [Reply("x"), Reply(status=500), Reply(disconnect=True)] * 100 + [Reply("x")]
    )
    routed = await asyncio.gather(*(bench.complete(str(n % 50)) for n in range(400)))
    assert len(routed) == 400
    served = Counter(o.request_id for o in bench.recording.outcomes if o.error is None)
    assert len(served) == 400
    assert set(served.values()) == {1}
    assert all(not arm.trip_reason or arm.arm == "candidate" for arm in bench.router.health(AGENT))
