"""A change and its review: one agent changes the workspace, another one decides whether it holds.

::

    START → begin → develop → check → review → settle → END
                       ↑                 ↓
                       └── send back ←───┘  at most N times; without a change, check → settle

Where an agent's calls of tools wait for approvals, the loop ends with its state, and is entered
again at that agent once they are answered.

What the tests and the linter say is measured here, in the sandbox; no model is believed on it. A
change is accepted when the tests pass, the linter has nothing to say, and the reviewer accepts it.
The outcome is a judgement on the arm of the model that made the change.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, TypedDict, cast

import anyio.to_thread
from langchain_core.messages import AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from pydantic import BaseModel, Field

from agent_orchestrator.agents._shared.base_agent import AgentResult, BaseAgent, PausedRun, Turn
from agent_orchestrator.agents._shared.commands import Check, Commands
from agent_orchestrator.agents._shared.model_calls import ModelCall
from agent_orchestrator.domain.verdict import Verdict


class Finding(BaseModel):
    """Something that is wrong with a change."""

    path: str = Field(description="File, relative to the workspace's root.")
    line: int | None = None
    problem: str = Field(description="What is wrong, and the input or situation that shows it.")
    remedy: str = Field(default="", description="What would mend it.")
    minor: bool = Field(default=False, description="Whether the change may go in all the same.")


class Review(BaseModel):
    """The verdict on a change. Give it once you have seen what you need."""

    accepted: bool = Field(description="Whether the change may go in as it is.")
    summary: str = Field(description="Why, in one or two sentences.")
    findings: list[Finding] = []


class Judge(Protocol):
    """Takes a judgement of the work that a call ended (``wiring.agent_models``)."""

    def __call__(self, call: ModelCall, *, source: str, score: float) -> None:
        """Record it; returns at once."""


class CheckedChange(TypedDict):
    """A change as it was handed in; plain data, for it is checkpointed."""

    diff: str
    tests: dict[str, str]
    linter: dict[str, str]


class ReviewState(TypedDict, total=False):
    """The state of the loop."""

    task: str
    messages: Annotated[list[AnyMessage], add_messages]
    """The developer's conversation."""
    last_call: dict[str, Any] | None
    """The developer's last ModelCall."""
    before: str
    """The diff before anybody began."""
    change: CheckedChange | None
    """None: nothing was changed."""
    review: dict[str, Any] | None
    """A Review; None: the reviewer came to no verdict."""
    paused: PausedRun | None
    """The run that waits for approvals, of the developer or of the reviewer."""
    paused_in: Literal["develop", "review"]
    sent_back: int
    verdict: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewedWork:
    """What came of a task."""

    verdict: Verdict
    """PASS: accepted. FAIL: not, after all that was tried. INCONCLUSIVE: nothing was changed, or
    nobody could tell: the tests did not run, or the reviewer came to no verdict."""
    text: str
    """What the developer said last."""
    diff: str
    tests: Check | None
    linter: Check | None
    review: Review | None
    sent_back: int
    """How often the change was sent back."""
    call: ModelCall | None
    """The call that ended the work: whoever judges it later names its request id."""

    def report(self) -> str:
        """Return the outcome in words, for a person."""
        often = "once" if self.sent_back == 1 else f"{self.sent_back} times"
        times = f" after it was sent back {often}" if self.sent_back else ""
        if not self.diff:
            return self.text
        how = {Verdict.PASS: "accepted", Verdict.FAIL: "not accepted"}.get(self.verdict)
        lines = [self.text, f"The change was {how or 'not judged'}{times}."]
        lines += [f"{c.name}: {c.ending}." for c in (self.tests, self.linter) if c]
        lines += (
            [f"Review: {self.review.summary}"] if self.review else ["The review has no verdict."]
        )
        return "\n".join(
            [*lines, *(_said(f) for f in (self.review.findings if self.review else []))]
        )


@dataclass(frozen=True, slots=True)
class PausedReview:
    """Work that waits for approvals."""

    kept: ReviewState
    """What ``ReviewLoop.go_on`` takes."""


class ReviewLoop:
    """Has a developer's change reviewed until it is accepted or was sent back often enough.

    Args:
        developer: changes the workspace.
        reviewer: reads it; made with ``answer=Review``.
        commands: of the same workspace.
        send_backs: how often a change may be sent back.
        judge: takes the outcome, for the arm that made the change.
        tell: told which agent works on what.
        turn: held while they work: nobody else may change the workspace meanwhile.
    """

    def __init__(
        self,
        developer: BaseAgent,
        reviewer: BaseAgent,
        commands: Commands,
        *,
        send_backs: int,
        judge: Judge,
        tell: Callable[[str, str], None] = lambda _agent, _task: None,
        turn: Turn | None = None,
    ) -> None:
        self._developer = developer
        self._reviewer = reviewer
        self._commands = commands
        self._send_backs = send_backs
        self._judge = judge
        self._tell = tell
        self._turn: Turn = turn or nullcontext()
        graph = StateGraph(ReviewState)
        graph.add_node("begin", self.begin)
        graph.add_node("develop", self.develop)
        graph.add_node("check", self.check)
        graph.add_node("review", self.review)
        graph.add_node("send_back", self.send_back)
        graph.add_node("settle", self.settle)
        graph.add_conditional_edges(START, _entering)
        graph.add_edge("begin", "develop")
        graph.add_conditional_edges("develop", _after_develop)
        graph.add_conditional_edges("check", _after_check)
        graph.add_conditional_edges("review", self._after_review)
        graph.add_edge("send_back", "develop")
        graph.add_edge("settle", END)
        self.graph: Any = graph.compile(name="review_loop")
        """Each step is checkpointed when it runs within a graph that has checkpoints."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What the two agents have to do without."""
        return (*self._developer.notes, *self._reviewer.notes)

    async def run(
        self, messages: list[AnyMessage], config: RunnableConfig | None = None
    ) -> ReviewedWork | PausedReview:
        """Work on the last message; raises as ``BaseAgent.run`` and ``Commands`` do."""
        return await self._ran(
            {"messages": messages, "task": messages[-1].text, "sent_back": 0}, config
        )

    async def go_on(
        self, paused: ReviewState, config: RunnableConfig | None = None
    ) -> ReviewedWork | PausedReview:
        """Go on with work whose approvals are answered; raises as ``run``."""
        return await self._ran(paused, config)

    async def _ran(
        self, begun: ReviewState, config: RunnableConfig | None
    ) -> ReviewedWork | PausedReview:
        async with self._turn:
            ended = cast(ReviewState, await self.graph.ainvoke(begun, config))
        if ended.get("paused"):
            return PausedReview(ended)
        change, review, call = ended.get("change"), ended.get("review"), ended.get("last_call")
        return ReviewedWork(
            verdict=Verdict(ended.get("verdict") or Verdict.INCONCLUSIVE),
            text=ended["messages"][-1].text,
            diff=change["diff"] if change else "",
            tests=_check(change["tests"]) if change else None,
            linter=_check(change["linter"]) if change else None,
            review=Review.model_validate(review) if review else None,
            sent_back=ended["sent_back"],
            call=ModelCall(**call) if call else None,
        )

    async def begin(self, state: ReviewState) -> ReviewState:
        """Note what was changed already, by others."""
        return {"before": await anyio.to_thread.run_sync(self._commands.diff)}

    async def develop(self, state: ReviewState, config: RunnableConfig) -> ReviewState:
        """Let the developer work, on the task or on what the review found."""
        self._tell(self._developer.name, state["messages"][-1].text)
        result = await _worked(self._developer, state, state["messages"], config)
        if result.paused:
            return {"paused": result.paused, "paused_in": "develop"}
        return {
            "messages": list(result.messages),
            "last_call": _last_call(result),
            "paused": None,
        }

    async def check(self, state: ReviewState) -> ReviewState:
        """Measure what was handed in."""
        diff = await anyio.to_thread.run_sync(self._commands.diff)
        if diff == state["before"]:
            return {"change": None}
        tests = await anyio.to_thread.run_sync(self._commands.tests)
        linter = await anyio.to_thread.run_sync(self._commands.linter)
        return {"change": {"diff": diff, "tests": _plain(tests), "linter": _plain(linter)}}

    async def review(self, state: ReviewState, config: RunnableConfig) -> ReviewState:
        """Have it reviewed; every review is a conversation of its own, not biased by the last."""
        change = cast(CheckedChange, state["change"])  # the edge leads here with one only
        handed_in = HumanMessage(_handed_in(state["task"], change))
        self._tell(self._reviewer.name, state["task"])
        result = await _worked(self._reviewer, state, [handed_in], config)
        if result.paused:
            return {"paused": result.paused, "paused_in": "review"}
        review = result.structured
        kept = review.model_dump() if isinstance(review, Review) else None
        return {"review": kept, "paused": None}

    async def send_back(self, state: ReviewState) -> ReviewState:
        """Hand the findings to the developer."""
        return {
            "messages": [HumanMessage(_sent_back(state))],
            "sent_back": state["sent_back"] + 1,
        }

    async def settle(self, state: ReviewState) -> ReviewState:
        """Judge the developer's model by what came of its work, where that is known.

        One piece of work is one judgement, on the call that ended it: calls of one task share their
        fate, and counted one by one they would make evidence look surer than it is.
        """
        verdict, source = judged(state)
        call = state.get("last_call")
        if call and verdict in {Verdict.PASS, Verdict.FAIL}:
            self._judge(ModelCall(**call), source=source, score=float(verdict is Verdict.PASS))
        return {"verdict": verdict.value}

    def _after_review(self, state: ReviewState) -> Literal["send_back", "settle", "__end__"]:
        if state.get("paused"):
            return "__end__"
        verdict, _ = judged(state)
        left = state["sent_back"] < self._send_backs
        return "send_back" if verdict is Verdict.FAIL and left else "settle"


def judged(state: ReviewState) -> tuple[Verdict, str]:
    """Return the verdict on what was handed in last, and who it comes from: tests or review.

    What the tests say comes first: no reviewer accepts a change that fails them.
    """
    change, review = state.get("change"), state.get("review")
    if change is None:
        return Verdict.INCONCLUSIVE, "tests"
    if change["tests"]["ending"] == "failed":
        return Verdict.FAIL, "tests"
    if review is None:
        return Verdict.INCONCLUSIVE, "review"
    if not review["accepted"] or change["linter"]["ending"] == "failed":
        return Verdict.FAIL, "review"
    if change["tests"]["ending"] == "not_run":
        return Verdict.INCONCLUSIVE, "tests"
    return Verdict.PASS, "review"


async def _worked(
    agent: BaseAgent,
    state: ReviewState,
    messages: list[AnyMessage],
    config: RunnableConfig,
) -> AgentResult:
    """Let an agent begin, or go on where it waited."""
    paused = state.get("paused")
    return await (agent.go_on(paused, config) if paused else agent.run(messages, config))


def _entering(state: ReviewState) -> Literal["begin", "develop", "review"]:
    return state["paused_in"] if state.get("paused") else "begin"


def _after_develop(state: ReviewState) -> Literal["check", "__end__"]:
    return "__end__" if state.get("paused") else "check"


def _after_check(state: ReviewState) -> Literal["review", "settle"]:
    return "review" if state.get("change") else "settle"


def _handed_in(task: str, change: CheckedChange) -> str:
    """Return what the reviewer is to look at; the material is fenced off from the request."""
    return "\n\n".join(
        [
            "Review this change.",
            f"<task>\n{task}\n</task>",
            f"<diff>\n{change['diff']}\n</diff>",
            f"<tests>\n{_check(change['tests'])}\n</tests>",
            f"<linter>\n{_check(change['linter'])}\n</linter>",
        ]
    )


def _sent_back(state: ReviewState) -> str:
    change, review = state.get("change"), state.get("review")
    lines = ["Your change was not accepted yet."]
    if change:
        checks = [_check(change["tests"]), _check(change["linter"])]
        lines += [str(check) for check in checks if check.ending == "failed"]
    if review:
        found = Review.model_validate(review)
        lines += [f"Review: {found.summary}", *(_said(finding) for finding in found.findings)]
    return "\n\n".join([*lines, "Answer each finding: mend it, or say why it should stay."])


def _said(finding: Finding) -> str:
    where = finding.path + (f":{finding.line}" if finding.line else "")
    weight = " (minor)" if finding.minor else ""
    return f"- {where}{weight}: {finding.problem} {finding.remedy}".rstrip()


def _last_call(result: AgentResult) -> dict[str, Any] | None:
    if not result.calls:
        return None
    last = result.calls[-1]
    return {"request_id": last.request_id, "arm": last.arm, "version": last.version}


def _plain(check: Check) -> dict[str, str]:
    return {"name": check.name, "ending": check.ending, "output": check.output}


def _check(plain: dict[str, str]) -> Check:
    return Check(**plain)  # type: ignore[arg-type]
