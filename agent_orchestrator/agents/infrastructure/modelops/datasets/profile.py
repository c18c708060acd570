"""What a data set looks like: lengths, tokens, languages, what it can train. In bounded memory."""

from __future__ import annotations

import math
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example
from agent_orchestrator.agents.infrastructure.modelops.datasets.training_rows import METHODS, row_of
from agent_orchestrator.domain.models import TrainingMethod

CHARACTERS_PER_TOKEN: Final = 3.5
"""English text and code average about this many characters a token."""
_PER_OCTAVE: Final = 4
_LANGUAGE_SAMPLE: Final = 1000
_LANGUAGE_CHARS: Final = 1000
_FEWEST_LETTERS: Final = 20
_FENCED: Final = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """How tokens are counted, and whether that is exact."""

    count: Callable[[str], int]
    how: str
    """For people: the tokenizer, or what the estimate rests on."""
    exact: bool


def estimated_tokens(why: str) -> TokenCounter:
    """Return the counter for when no tokenizer is at hand; ``why`` says so."""
    return TokenCounter(
        lambda text: math.ceil(len(text) / CHARACTERS_PER_TOKEN),
        f"estimated at {CHARACTERS_PER_TOKEN:g} characters a token: {why}",
        exact=False,
    )


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a histogram: values above the bar before it, up to ``upto``."""

    upto: int
    count: int


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long something is. Quantiles are upper bounds that exceed the true ones by 19 % at most.

    Bars are a quarter of an octave wide, so that memory does not grow with the number of values.
    """

    total: int
    mean: float
    p50: int
    p95: int
    max: int
    bars: tuple[Bar, ...]
    """Octaves: 1, 2, 4, 8 …; empty ones between the first and the last too."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What a data set looks like, before cleaning."""

    examples: int
    task_chars: Lengths
    answer_chars: Lengths
    tokens: Lengths
    """Of the whole example: conversation and answer."""
    tokens_how: str
    tokens_exact: bool
    languages: Mapping[str, float]
    """ISO 639-1 code → share of the sample; ``code`` for fenced code alone, ``?`` for too little
    text to tell. Code without a fence counts as the language of its words."""
    language_sample: int
    """Examples whose language was looked at."""
    usable: Mapping[TrainingMethod, int]
    """Method → examples that it could train on."""
    categories: Mapping[str, int]


class Histogram:
    """Counts values by quarter octaves."""

    def __init__(self) -> None:
        self._bars: Counter[int] = Counter()
        self._count = 0
        self._total = 0
        self._max = 0

    def add(self, value: int) -> None:
        """Count a value, 0 or more."""
        self._bars[math.ceil(_PER_OCTAVE * math.log2(value)) if value else -1] += 1
        self._count += 1
        self._total += value
        self._max = max(self._max, value)

    def lengths(self) -> Lengths:
        """Return what was counted."""
        mean = self._total / self._count if self._count else 0.0
        return Lengths(
            self._total, mean, self._quantile(0.5), self._quantile(0.95), self._max, self._octaves()
        )

    def _quantile(self, share: float) -> int:
        wanted, seen = share * self._count, 0
        for bar in sorted(self._bars):
            seen += self._bars[bar]
            if seen >= wanted:
                return min(self._max, math.floor(2 ** (bar / _PER_OCTAVE)))
        return 0

    def _octaves(self) -> tuple[Bar, ...]:
        octaves: Counter[int] = Counter()
        for bar, count in self._bars.items():
            octaves[max(0, math.ceil(bar / _PER_OCTAVE))] += count
        if not octaves:
            return ()
        return tuple(Bar(2**k, octaves[k]) for k in range(min(octaves), max(octaves) + 1))


class Profiler:
    """Makes a profile of examples as they come."""

    def __init__(self, tokens: TokenCounter, *, seed: int = 0) -> None:
        self._tokens = tokens
        self._rng = random.Random(seed)  # noqa: S311 - a reproducible sample, not a secret
        self._seen = 0
        self._sample: list[str] = []
        self._task, self._answer, self._token = Histogram(), Histogram(), Histogram()
        self._usable: Counter[TrainingMethod] = Counter()
        self._categories: Counter[str] = Counter()

    def add(self, example: Example) -> int:
        """Look at an example; return its tokens."""
        answer = example.label or ""
        tokens = self._tokens.count("\n".join([*_contents(example), answer]))
        self._task.add(len(example.task))
        self._answer.add(len(answer))
        self._token.add(tokens)
        self._categories[example.category] += 1
        self._usable.update(method for method in METHODS if row_of(example, method) is not None)
        self._keep(f"{example.task}\n{answer}")
        return tokens

    def _keep(self, text: str) -> None:
        """Keep a uniform sample of texts (reservoir sampling)."""
        self._seen += 1
        if len(self._sample) < _LANGUAGE_SAMPLE:
            self._sample.append(text[:_LANGUAGE_CHARS])
        elif (place := self._rng.randrange(self._seen)) < _LANGUAGE_SAMPLE:
            self._sample[place] = text[:_LANGUAGE_CHARS]

    def profile(self) -> Profile:
        """Return the profile of what was added."""
        return Profile(
            examples=self._seen,
            task_chars=self._task.lengths(),
            answer_chars=self._answer.lengths(),
            tokens=self._token.lengths(),
            tokens_how=self._tokens.how,
            tokens_exact=self._tokens.exact,
            languages=_languages(self._sample),
            language_sample=len(self._sample),
            usable={method: self._usable[method] for method in METHODS},
            categories=dict(sorted(self._categories.items())),
        )


def _contents(example: Example) -> list[str]:
    return [message["content"] for message in example.messages]


def _languages(texts: Sequence[str]) -> dict[str, float]:
    counts = Counter(_language(text) for text in texts)
    return {language: count / len(texts) for language, count in counts.most_common()}


def _language(text: str) -> str:
    prose = _FENCED.sub(" ", text)
    if sum(map(str.isalpha, prose)) < _FEWEST_LETTERS:
        return "code" if prose != text else "?"
    from py3langid import classify  # noqa: PLC0415 - its model loads slowly

    return str(classify(prose)[0])
