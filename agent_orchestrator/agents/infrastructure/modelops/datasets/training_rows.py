"""Examples as the rows that a training method reads, and samples of them."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example, Message
from agent_orchestrator.domain.models import TrainingMethod


def row_of(example: Example, method: TrainingMethod) -> dict[str, Any] | None:
    """Return the example as a row of the method, None when it lacks what the method needs.

    ``sft``: ``messages``, the assistant's answer last. ``dpo``, ``orpo``: ``prompt`` (messages),
    ``chosen``, ``rejected``. ``grpo``: ``problem`` (messages) and of ``solution``, ``tests`` and
    ``schema`` what there is.
    """
    return _ROWS[method][0](example)


def needs(method: TrainingMethod) -> str:
    """Return what examples need for the method, for people."""
    return _ROWS[method][1]


def _conversation(example: Example) -> dict[str, Any] | None:
    if not example.label:
        return None
    return {"messages": [*example.messages, Message(role="assistant", content=example.label)]}


def _pair(example: Example) -> dict[str, Any] | None:
    chosen, rejected = (example.outputs.get(key) for key in ("chosen", "rejected"))
    if not (chosen and rejected) or chosen == rejected:
        return None
    return {"prompt": example.messages, "chosen": chosen, "rejected": rejected}


def _problem(example: Example) -> dict[str, Any] | None:
    right = {"solution": example.label, **{k: example.outputs.get(k) for k in ("tests", "schema")}}
    given = {k: v if isinstance(v, str) else json.dumps(v) for k, v in right.items() if v}
    return {"problem": example.messages, **given} if given else None


#: Method → what makes a row of an example (None when it lacks something), and what that needs.
_ROWS: Final[Mapping[TrainingMethod, tuple[Callable[[Example], dict[str, Any] | None], str]]] = {
    "sft": (_conversation, "answers"),
    "dpo": (_pair, "chosen and rejected answers that differ"),
    "orpo": (_pair, "chosen and rejected answers that differ"),
    "grpo": (_problem, "solutions, tests or schemas"),
}
METHODS: Final[Sequence[TrainingMethod]] = tuple(_ROWS)


def stratified(examples: Sequence[Example], size: int | None, seed: int = 0) -> list[Example]:
    """Return at most ``size`` examples, each category with its share, in their old order."""
    if size is None or size >= len(examples):
        return list(examples)
    by_category: dict[str, list[int]] = defaultdict(list)
    for index, example in enumerate(examples):
        by_category[example.category].append(index)
    exact = {c: size * len(members) / len(examples) for c, members in by_category.items()}
    taken = {category: int(share) for category, share in exact.items()}
    by_remainder = sorted(exact, key=lambda c: (taken[c] - exact[c], c))
    for category in by_remainder[: size - sum(taken.values())]:
        taken[category] += 1
    rng = random.Random(seed)  # noqa: S311 - a reproducible draw, not a secret
    chosen = [i for c in sorted(by_category) for i in rng.sample(by_category[c], taken[c])]
    return [examples[index] for index in sorted(chosen)]
