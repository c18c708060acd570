"""Several arms asked together: who wins, who is left out, and what stays on record."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import openai
import pytest
from tests.doubles.openai_server import OpenAIServer, Reply
from tests.serving.harness import (
    AGENT,
    PATIENT,
    Recording,
    Tables,
    ask,
    gateway,
    settled,
    several_arms,
    upstream,
)

from agent_orchestrator.domain.routing import Arm, RoutingTable, choose_arm
from agent_orchestrator.serving.breaker import BreakerPolicy
from agent_orchestrator.serving.failures import UpstreamFailure
from agent_orchestrator.serving.router import NoAnswerError, Routed, Router

MODELS = ("team/a", "team/b", "team/c")
ARMS = (
    Arm("stable", "team/a", "v1.0.0", 40),
    Arm("candidate", "team/b", "v1.1.0", 30),
    Arm("third", "team/c", None, 30),
)
SPARE, JUDGE = "team/spare", "team/judge"


class Choir:
    """A router whose agent is answered by an ensemble."""

    def __init__(self, router: Router, servers: Mapping[str, OpenAIServer]) -> None:
        self.router = router
        self.servers = servers
        self.recording: Any = router._tools.recorder

    def answer(self, *replies: Reply) -> None:
        """Set what the members answer, in order."""
        for model, reply in zip(MODELS, replies, strict=True):
            self.servers[model].answer_with(reply)

    async def complete(self, task: str = "t", **changes: Any) -> Routed:
        """Send one request."""
        return await self.router.complete(
            AGENT, ask(**changes), task_id=task, request_id=str(uuid4())
        )

    def seen(self) -> list[tuple[str, str, int, str | None]]:
        """Return role, arm, attempt and error of the outcomes, by attempt."""
        ordered = sorted(self.recording.outcomes, key=lambda o: o.attempt)
        return [(o.role, o.arm, o.attempt, o.error) for o in ordered]


@asynccontextmanager
async def choir(
    *replies: Reply, breaker: BreakerPolicy = PATIENT, **table: Any
) -> AsyncIterator[Choir]:
    """Three members, a fallback and a judge."""
    async with AsyncExitStack() as stack:
        servers = {m: OpenAIServer(Reply(m)) for m in (*MODELS, SPARE, JUDGE)}
        for server in servers.values():
            await stack.enter_async_context(server)
        models = await stack.enter_async_context(upstream())
        made = Tables(table_of(servers, **table))
        router = Router(made, models, Recording(), breaker=breaker)
        singing = Choir(await stack.enter_async_context(router), servers)
        if replies:
            singing.answer(*replies)
        yield singing


def table_of(servers: Mapping[str, OpenAIServer], **options: Any) -> RoutingTable:
    """Return a table with the ensemble."""
    urls = {model: server.url for model, server in servers.items()}
    options = {"strategy": "ensemble", "fallbacks": (SPARE,), **options}
    return several_arms(urls, options.pop("arms", ARMS), **options)


async def test_the_majority_answers_and_everybody_is_on_record():
    """60 votes beat 40; the request's own attempt is the ensemble's, the members come after it."""
    async with choir(Reply("no"), Reply("yes"), Reply("yes ")) as singing:
        routed = await singing.complete()
        assert routed.completion.text.strip() == "yes"
        assert (routed.served.arm.name, routed.served.arm.version) == ("ensemble", None)
        await settled(lambda: len(singing.recording.outcomes) == 4)
        assert singing.seen() == [
            ("serve", "ensemble", 0, None),
            ("member", "stable", 1, None),
            ("member", "candidate", 2, None),
            ("member", "third", 3, None),
        ]
        whole = next(o for o in singing.recording.outcomes if o.role == "serve")
        assert (whole.model, whole.valid_output) == ("team/b", True)


async def test_a_tie_goes_to_the_tasks_own_arm():
    """Two answers, equal votes: each task hears the arm that it would have had alone."""
    equal = (Arm("stable", "team/a", None, 50), Arm("candidate", "team/b", None, 50))
    async with choir(arms=equal) as singing:
        for task in map(str, range(12)):
            routed = await singing.complete(task)
            assert routed.completion.text == choose_arm(equal, task, "ro_1").model


async def test_a_failing_member_is_left_out():
    """The others answer; its failure is on record, also with the answer."""
    async with choir(Reply(status=500), Reply("yes"), Reply(disconnect=True)) as singing:
        routed = await singing.complete()
        assert routed.completion.text == "yes"
        assert {o.arm for o in routed.served.failed} == {"stable", "third"}
        assert [error for *_, error in singing.seen()] == [None, "status", None, "connection"]


async def test_an_invalid_answer_has_no_vote_beside_a_valid_one():
    """What cannot be used is no answer; if nobody has better, it is what there is."""
    async with choir(Reply("x"), Reply("x"), Reply("{}")) as singing:
        wanted = {"response_format": {"type": "json_object"}}
        assert (await singing.complete(**wanted)).completion.text == "{}"
        singing.answer(Reply("x"), Reply("x"), Reply("y"))
        routed = await singing.complete(**wanted)
        assert (routed.completion.text, routed.completion.valid_output) == ("x", False)


async def test_when_all_members_fail_the_fallback_answers():
    """As for a single arm; the ensemble's own attempt is a failure."""
    down = Reply("down", status=503)
    async with choir(down, down, down) as singing:
        routed = await singing.complete()
        assert (routed.served.arm.name, routed.completion.text) == ("fallback", SPARE)
        assert singing.seen()[0] == ("serve", "ensemble", 0, "status")
        assert singing.seen()[-1] == ("serve", "fallback", 4, None)
        singing.servers[SPARE].answer_with(down)
        with pytest.raises(NoAnswerError, match="down"):
            await singing.complete()


async def test_when_all_are_kept_out_the_wait_is_told():
    """Also without a fallback."""
    trip = BreakerPolicy(minimum=1, threshold=0.1, cooldown_seconds=1000)
    down = Reply(status=500)
    async with choir(down, down, down, breaker=trip, fallbacks=()) as singing:
        with pytest.raises(NoAnswerError):
            await singing.complete()
        with pytest.raises(NoAnswerError) as caught:
            await singing.complete()
        assert caught.value.retry_after_s > 900


async def test_a_request_at_fault_is_told_when_nobody_can_answer_it():
    """One that some member can answer is answered."""
    fault = Reply("too long", status=400)
    async with choir(fault, fault, fault) as singing:
        with pytest.raises(UpstreamFailure, match="too long"):
            await singing.complete()
        assert singing.recording.outcomes == []
        singing.answer(fault, fault, Reply("fits"))
        assert (await singing.complete()).completion.text == "fits"


async def test_a_decided_vote_does_not_wait_for_the_rest_but_records_them():
    """The late member cannot change it; its outcome comes later."""
    async with choir(Reply("a"), Reply("a"), Reply("b", latency=1)) as singing:
        assert (await singing.complete()).completion.text == "a"
        assert all(o.arm != "third" for o in singing.recording.outcomes)
        await settled(lambda: len(singing.recording.outcomes) == 4)


async def test_without_room_a_late_member_is_let_go():
    """What runs in the background is bounded; on record is how long it was waited for."""
    async with choir(Reply("a"), Reply("a"), Reply("b", latency=30)) as singing:
        singing.router._background._limit = 0
        assert (await singing.complete()).completion.text == "a"
        await asyncio.wait_for(singing.servers["team/c"].client_left.wait(), 60)
        assert [o.error for o in singing.recording.outcomes] == [None, None, None, "abandoned"]


async def test_a_client_that_leaves_ends_all_members():
    """Nobody works for nobody; each outcome says how long it was waited for."""
    slow = Reply(latency=30)
    async with choir(slow, slow, slow) as singing:
        call = asyncio.create_task(singing.complete())
        await settled(lambda: all(singing.servers[m].requests for m in MODELS))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        for model in MODELS:
            await asyncio.wait_for(singing.servers[model].client_left.wait(), 60)
        assert {o.error for o in singing.recording.outcomes} == {"abandoned"}
        assert {o.role for o in singing.recording.outcomes} == {"member"}


async def test_tool_calls_are_compared_by_name_and_arguments():
    """Two members that want the same done outvote one with other words."""

    def call(arguments: str) -> Reply:
        function = {"name": "merge", "arguments": arguments}
        return Reply("", tool_calls=[{"id": "c", "type": "function", "function": function}])

    async with choir(Reply("no"), call('{"pr": 1}'), call('{"pr":1}')) as singing:
        message = (await singing.complete()).completion.answer.data["choices"][0]["message"]
        assert message["tool_calls"][0]["function"]["name"] == "merge"


async def test_a_judge_picks_among_different_answers():
    """Asked only when they differ; a judge that is not understood leaves it to the vote."""

    def best(body: Mapping[str, Any]) -> Reply:
        answers = json.loads(body["messages"][1]["content"])["answers"]
        assert [a[0]["content"] for a in answers] == ["a", "b"]
        return Reply('{"best": 0}')

    async with choir(Reply("a"), Reply("b"), Reply("b"), judge=JUDGE) as singing:
        singing.servers[JUDGE].answer_with(best)
        assert (await singing.complete()).completion.text == "a"
        for odd in ('{"best": 2}', '{"best": true}', "hm", ""):
            singing.servers[JUDGE].answer_with(Reply(odd))
            assert (await singing.complete()).completion.text == "b"
        singing.answer(Reply("b"), Reply("b"), Reply("b"))
        asked = len(singing.servers[JUDGE].requests)
        await singing.complete()
        assert len(singing.servers[JUDGE].requests) == asked


async def test_arms_without_weight_are_not_asked_and_one_voice_is_no_ensemble():
    """A single arm with all traffic serves as ever."""
    arms = (Arm("stable", "team/a", None, 100), Arm("candidate", "team/b", None, 0))
    async with choir(arms=arms) as singing:
        assert (await singing.complete()).served.arm.name == "stable"
        assert singing.servers["team/b"].requests == []


@pytest.mark.parametrize("tools", [False, True])
async def test_openais_client_reads_the_winner_as_a_stream(*, tools: bool):
    """Members are asked for whole answers; what the client gets is a valid stream of the winner."""
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    async with AsyncExitStack() as stack:
        reply = Reply("", tool_calls=[call]) if tools else Reply("hello there")
        servers = {m: OpenAIServer(reply) for m in MODELS}
        for server in servers.values():
            await stack.enter_async_context(server)
        served = await stack.enter_async_context(gateway(table_of(servers)))
        client = openai.AsyncOpenAI(base_url=f"{served.url}/v1", api_key="let-me-in")
        await stack.enter_async_context(client)
        raw = await client.chat.completions.with_raw_response.create(
            model=f"agent/{AGENT}",
            messages=[{"role": "user", "content": "Hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        assert raw.headers["X-Chef-Arm"] == "ensemble"
        assert "X-Chef-Version" not in raw.headers
        chunks = [chunk async for chunk in raw.parse()]
        choices = [choice for chunk in chunks for choice in chunk.choices]
        assert choices[-1].finish_reason == ("tool_calls" if tools else "stop")
        assert chunks[-1].usage.prompt_tokens == 7
        if tools:
            assert choices[0].delta.tool_calls[0].function.arguments == '{"a": 1}'
        else:
            assert "".join(c.delta.content or "" for c in choices) == "hello there"
        assert "stream" not in servers["team/a"].requests[0].body
        answer = await served.chat()
        feedback = {"request_id": answer.headers["X-Request-Id"], "thumbs": "up"}
        given = await served.http.post("/v1/feedback", json=feedback)
        assert given.status == 200
