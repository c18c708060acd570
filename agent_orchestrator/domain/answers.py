"""What a model said, and when two answers say the same.

Compared is meaning as far as it can be read off the text without judging it: a code fence around
the whole answer, trailing white space, line endings and the way JSON is laid out do not count;
wording, case and indentation do. Tool calls count by name and arguments, in any order.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

_FENCED = re.compile(r"```[^\n`]*\n(.*?)\n?```", re.DOTALL)

TIE = 0.5


@dataclass(frozen=True, slots=True)
class Said:
    """One model's answer, as far as comparing needs it."""

    messages: Sequence[Mapping[str, Any]]
    """The message of each choice, as in a chat completion."""
    valid: bool
    """Whether it passed output validation."""

    def key(self) -> str:
        """Return a text that is the same for answers which say the same."""
        return "\n\0".join(_message_key(message) for message in self.messages)


def preference_by_text(served: Said, other: Said) -> float | None:
    """Return 0.5 when both say the same, 1 or 0 when only the other or the served one is valid.

    None otherwise: text alone says that two answers differ, not which is better.
    """
    if served.valid != other.valid:
        return 1.0 if other.valid else 0.0
    return TIE if served.key() == other.key() else None


def agreed_preference(first: float, swapped: float) -> float:
    """Return what two verdicts on one pair, asked in both orders, come to: a tie unless they agree.

    Language models favour a position; a verdict that does not survive the swap is none (Zheng et
    al. 2023, *Judging LLM-as-a-Judge*, section 3.4).
    """
    return first if first == swapped else TIE


def majority(keys: Mapping[str, str], weights: Mapping[str, int], own: str | None) -> str:
    """Return the voice whose answer has the most weight behind it.

    Args:
        keys: voice → key of its answer; not empty.
        weights: voice → its votes.
        own: the voice that wins a tie if its answer is among the tied ones; otherwise the first
            voice of a tied answer does.
    """
    votes: dict[str, int] = {}
    for voice, key in keys.items():
        votes[key] = votes.get(key, 0) + weights[voice]
    most = max(votes.values())
    winners = [voice for voice, key in keys.items() if votes[key] == most]
    return own if own in winners else winners[0]


def is_decided(keys: Mapping[str, str], weights: Mapping[str, int]) -> bool:
    """Return whether one answer has more than half of all votes, whatever is still to come."""
    votes: dict[str, int] = {}
    for voice, key in keys.items():
        votes[key] = votes.get(key, 0) + weights[voice]
    return 2 * max(votes.values(), default=0) > sum(weights.values())


def normalised(text: str) -> str:
    """Return ``text`` without what does not count (see the module)."""
    plain = unicodedata.normalize("NFC", text).strip()
    fenced = _FENCED.fullmatch(plain)
    if fenced is not None and "```" not in fenced[1]:
        plain = fenced[1].strip("\n")
    if plain[:1] in {"{", "["}:
        with suppress(ValueError, RecursionError):
            return _canonical(json.loads(plain))
    return "\n".join(line.rstrip() for line in plain.splitlines())


def _message_key(message: Mapping[str, Any]) -> str:
    content = message.get("content") or message.get("refusal") or ""
    if isinstance(content, list):  # content parts
        content = "".join(str(p.get("text") or "") for p in content if isinstance(p, dict))
    calls = sorted(_call_key(call) for call in message.get("tool_calls") or ())
    return json.dumps([normalised(str(content)), calls])


def _call_key(call: Any) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return _canonical(call)
    arguments = function.get("arguments") or "{}"
    with suppress(TypeError, ValueError, RecursionError):  # what is no JSON counts as it came
        arguments = json.loads(arguments)
    return _canonical([function.get("name"), arguments])


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
