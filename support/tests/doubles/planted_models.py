"""Models whose quality is known because it is planted."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.evaluation.evaluators import ModelAnswer
from agent_orchestrator.errors import UpstreamError

LABELS = ("bare-except", "clean", "mutable-default")


def example(number: int, *, group: str | None = None, **metadata: Any) -> Example:
    """Return an example with one of three labels."""
    label = LABELS[number % len(LABELS)]
    return Example(
        id=f"ex-{number:04d}",
        inputs={"task": f"Name the defect in function number {number}."},
        outputs={"answer": label},
        metadata={
            "agent": "code_review",
            "success": True,
            "group": group or f"file-{number // 4}.py",
            "category": label,
            **metadata,
        },
    )


@dataclass
class PlantedModels:
    """Answers a known share of the tasks rightly. A ``ModelCaller`` for tests.

    ``accuracy``: model → share of right answers; ``failing``: model → whether its call for a task
    fails; ``answers``: model → its answer in full, else a short one is made up.
    """

    right: Mapping[str, str]
    """Task → right answer."""
    accuracy: Mapping[str, float]
    failing: Mapping[str, Callable[[str], bool]] = field(default_factory=dict)
    answer: ModelAnswer = field(
        default_factory=lambda: ModelAnswer(
            text="", latency_s=0.25, prompt_tokens=80, completion_tokens=4
        )
    )
    calls: list[tuple[str, str]] = field(default_factory=list)
    """(model, task) in the order of the calls."""
    bodies: list[Mapping[str, Any]] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    @classmethod
    def over(cls, examples: Sequence[Example], **accuracy: float) -> PlantedModels:
        """Return models that know the examples' answers; model ``a`` of accuracy ``a=0.9``."""
        return cls({e.task: e.label or "" for e in examples}, accuracy)

    async def __call__(self, model: str, body: Mapping[str, Any], /) -> ModelAnswer:
        """Answer as planted."""
        task = body["messages"][-1]["content"]
        self.calls.append((model, task))
        self.bodies.append(body)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        if self.failing.get(model, lambda _task: False)(task):
            raise UpstreamError(f"{model} did not answer.", remedy="Start it.")
        return replace(self.answer, text=self._text(model, task))

    def _text(self, model: str, task: str) -> str:
        """Rank the tasks by a hash: a better model is right wherever a worse one is."""
        ranked = sorted(self.right, key=lambda t: hashlib.sha256(t.encode()).digest())
        knows = set(ranked[: round(self.accuracy[model] * len(ranked))])
        answer = self.right[task]
        return answer if task in knows else LABELS[(LABELS.index(answer) + 1) % len(LABELS)]
