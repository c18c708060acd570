"""Which of an agent's tools a model is offered: what the task needs, within a budget of tokens.

Descriptions of tools are sent with every request of a conversation, and a model chooses worse the
more of them there are. So a request carries the tools that its task speaks of, and one tool to ask
for more.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Strategy = Literal["minimal", "agent_profile", "progressive", "full"]
"""minimal: the core tools. agent_profile: core and profile. progressive: the core, and what the
task needs of all others. full: everything, whatever it costs."""


@dataclass(frozen=True, slots=True)
class ToolCard:
    """What is known of a tool before it is offered."""

    name: str
    description: str
    tokens: int
    """What offering it costs of every request, about."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The tools of one request."""

    names: tuple[str, ...]
    left_out: tuple[str, ...]


def choose(
    strategy: Strategy,
    cards: Sequence[ToolCard],
    *,
    core: Collection[str],
    profile: Collection[str] = (),
    task: str = "",
    asked: Sequence[str] = (),
    budget: int = 4000,
) -> Offer:
    """Return which tools to offer, in the order of ``cards``: caches of prompts like it stable.

    Core tools always are offered. ``asked`` are tools that the model asked for, oldest first. In
    ``progressive`` the newest asked come next, then those whose words the task uses, best first,
    each if it fits into the rest of ``budget`` tokens (core included).
    """
    wanted: set[str] = {card.name for card in cards if card.name in core}
    if strategy == "full":
        wanted = {card.name for card in cards}
    elif strategy == "agent_profile":
        wanted |= {card.name for card in cards if card.name in profile}
    elif strategy == "progressive":
        left = budget - sum(card.tokens for card in cards if card.name in wanted)
        for card in _by_need(cards, task, asked, profile):
            if card.name not in wanted and card.tokens <= left:
                wanted.add(card.name)
                left -= card.tokens
    names = tuple(card.name for card in cards if card.name in wanted)
    return Offer(names, tuple(card.name for card in cards if card.name not in wanted))


def rank(cards: Sequence[ToolCard], text: str, prefer: Collection[str] = ()) -> list[ToolCard]:
    """Return the tools that share words with ``text``, the best match first.

    A shared word counts by its rarity among the tools (inverse document frequency); equal matches
    stand in the order given, those in ``prefer`` first.
    """
    words = {card.name: set(_words(f"{card.name} {card.description}")) for card in cards}
    frequency = Counter(word for of_tool in words.values() for word in of_tool)
    asked = set(_words(text))
    scores = {
        name: sum(math.log(1 + len(cards) / frequency[word]) for word in asked & of_tool)
        for name, of_tool in words.items()
    }
    matching = [card for card in cards if scores[card.name] > 0]
    return sorted(matching, key=lambda card: (-scores[card.name], card.name not in prefer))


def _by_need(
    cards: Sequence[ToolCard], task: str, asked: Sequence[str], profile: Collection[str]
) -> Iterator[ToolCard]:
    named = {card.name: card for card in cards}
    yield from (named[name] for name in reversed(asked) if name in named)
    yield from rank(cards, task, profile)


_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be by can do does for from has have how i if in into is it its me my "
        "not of on or our please so that the their then there these this to us use used was we "
        "what when which will with you your",
    )
)
_ENDINGS = re.compile(r"(?:ing|ed|es|s)$")


def _words(text: str) -> Iterator[str]:
    """Yield a text's words, those within names too (snake_case, camelCase), without endings."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", text)
    for word in re.findall(r"[a-z0-9]+", spaced.lower()):
        if word not in _STOP_WORDS:
            yield _ENDINGS.sub("", word) if len(word) > 4 else word  # noqa: PLR2004 - "test", "runs"
