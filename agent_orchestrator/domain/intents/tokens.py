"""From a sentence to tokens: literals first, so that no rule about words ever looks inside one.

A job id, a version, a repository, a percentage, a path or a quoted passage becomes one token that
keeps its text. What is left are words, in lower case, with contractions written out and the many
spellings of a term (``fine-tune``, ``roll back``, ``CI/CD``, ``data set``) folded into one.

All patterns are linear: no nested or adjacent repetition can match the same text in two ways.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from agent_orchestrator.domain.intents import manners, vocabulary
from agent_orchestrator.domain.intents.verbs import VERB_FORMS


class Kind(StrEnum):
    """What a token is."""

    WORD = "word"
    AGENT = "agent"
    JOB = "job"
    VERSION = "version"
    REPO = "repo"
    """``owner/name``, on the Hub or at a provider."""
    NAME = "name"
    """A word with a digit, hyphen or underscore inside: may name a data set or a model."""
    PATH = "path"
    NUMBER = "number"
    PERCENT = "percent"
    QUANT = "quant"
    QUOTE = "quote"
    """A quoted passage or code: never looked into."""
    PUNCT = "punct"


@dataclass(frozen=True, slots=True)
class Token:
    """One token. ``text`` is as written, ``norm`` the canonical form."""

    kind: Kind
    text: str
    norm: str
    number: float = 0.0
    """Value of a NUMBER or PERCENT."""
    possessive: bool = False
    """``docs'`` or ``docs's``: what follows belongs to it."""
    addressed: bool = False
    """Written ``@name``."""

    def is_word(self, group: frozenset[str] | Mapping[str, object]) -> bool:
        """Return whether this is a word of ``group``."""
        return self.kind is Kind.WORD and self.norm in group


_SCAN = re.compile(
    r"""
    (?P<fence> ``` (?s: .*? ) (?: ``` | \Z ) )
  | (?P<quote> "[^"\n]*" | `[^`\n]+` | (?<!\w) '(?=\S) [^'\n]* ' (?!\w) )
  | (?P<url> https?://[^\s,;)>\]"']*[\w/] )
  | (?P<percent> (?<![\w.]) \d+ (?:\.\d+)? [ -]? (?: % | percent\b | per[ ]cent\b | pct\b ) )
  | (?P<number> (?<![\w./-]) \d+ (?: (?:,\d{3})+ | (?:\.\d+)? (?: e[+-]?\d+ )? k? )
                (?! [\w/] | [.-]\w ) )
  | (?P<run> (?: @ | ~?/ | \.{1,2}/ ){0,8} \w+ (?: [-./+'&] \w+ )* (?: :[A-Za-z]\w* (?!\w) )? )
  | (?P<newline> \n \s* )
  | (?P<punct> \.{2,} | [-=]+> | -{2,} | [^\w\s] )
    """,
    re.VERBOSE | re.IGNORECASE,
)
_ASCII_QUOTES = str.maketrans("‘’“”«»\u00a0", '\'\'"""" ')

_JOB = re.compile(r"job(?:_|-(?=\D*\d))[\w.-]*\w", re.IGNORECASE)
_VERSION = re.compile(
    r"(?:v\d+(?:\.\d+){0,2}|\d+\.\d+\.\d+)(?:[-+][0-9a-z]+(?:\.[0-9a-z]+)*)?", re.IGNORECASE
)
_QUANT = re.compile(r"i?q\d(?:[_-][0-9kmslx]+)+|q\dk[msl]?|b?f(?:p?16|p?32)", re.IGNORECASE)
_FILE = re.compile(
    r".*\.(?:jsonl|json|csv|tsv|parquet|arrow|gz|zip|txt|md|ya?ml|toml|py|ts|js|sh|ipynb|gguf|"
    r"safetensors)",
    re.IGNORECASE,
)
_AGENT_SUFFIX = re.compile(r"[-_]?(?:agent|bot)\Z")
_WITH_DIGIT = re.compile(r"(?=.*\d)(?=.*[^\W\d_]).*")
_COMPOUND = re.compile(r".*[_+.-].*")
_REPO = re.compile(r"\w[\w.-]*/\w[\w.-]*(?::\w+)?")
_CANARY_SHARE = re.compile(r"canary[-_](\d{1,3})(?:pct|%)?", re.IGNORECASE)
_SIZED = re.compile(r"\d+(?:\.\d+)?[bm]", re.IGNORECASE)


def tokenize(text: str) -> tuple[Token, ...]:
    """Return the tokens of ``text``; every string has some, if only none at all."""
    scanned = list(_scan(text.translate(_ASCII_QUOTES)))
    return tuple(_name_numbers(list(_merge_phrases(scanned))))


def looks_like_model(name: str) -> bool:
    """Return whether a repository or name reads like a language model (family or size in it)."""
    lower = name.lower()
    return any(family in lower for family in vocabulary.MODEL_FAMILIES) or any(
        _SIZED.fullmatch(part) for part in re.split(r"[-_/:]", lower)
    )


def _scan(text: str) -> Iterator[Token]:
    for match in _SCAN.finditer(text):
        kind, found = match.lastgroup, match.group()
        if kind == "run":
            yield from _run(found)
        elif kind == "quote":
            yield from _quote(found)
        elif kind == "fence":
            yield Token(Kind.QUOTE, found, "")
        elif kind == "url":
            yield Token(Kind.REPO, found, found)
        elif kind == "percent":
            yield Token(
                Kind.PERCENT, found, found, float(re.split(r"[^\d.]", found, maxsplit=1)[0])
            )
        elif kind == "number":
            yield Token(Kind.NUMBER, found, found, _number(found))
        elif kind == "newline":
            yield Token(Kind.PUNCT, "\n", "\n")
        else:
            yield Token(Kind.PUNCT, found, found)


def _number(found: str) -> float:
    digits = found.lower().replace(",", "")
    return float(digits[:-1]) * 1000 if digits.endswith("k") else float(digits)


def _quote(found: str) -> Iterator[Token]:
    """A quoted single term counts as the term; a quoted passage stays opaque."""
    inner = found[1:-1].strip()
    tokens = list(_run(inner)) if re.fullmatch(r"[\w@~./+:-]*\w", inner) else []
    if len(tokens) == 1 and tokens[0].norm not in VERB_FORMS:
        term = tokens[0]
        yield replace(term, kind=Kind.NAME, norm=inner) if term.kind is Kind.WORD else term
    else:
        yield Token(Kind.QUOTE, found, "")


def _run(found: str) -> Iterator[Token]:
    addressed = found.startswith("@")
    core = found.lstrip("@")
    if core.lower() in vocabulary.CHEF and addressed:
        return
    lower = core.lower()
    if ":" in core and "/" not in core:
        head, _, tail = core.partition(":")
        yield from _run(head)
        yield Token(Kind.PUNCT, ":", ":")
        yield from _run(tail)
        return
    if lower in vocabulary.CONTRACTIONS:
        for part in vocabulary.CONTRACTIONS[lower]:
            yield Token(Kind.WORD, part, part)
        return
    if lower.endswith("n't"):
        yield Token(Kind.WORD, lower[:-3], lower[:-3])
        yield Token(Kind.WORD, "not", "not")
        return
    if "'" in core:
        stem, _, suffix = core.rpartition("'")
        if suffix.lower() in ("s", ""):
            for token in _run(stem):
                yield replace(token, possessive=True)
            return
    if share := _CANARY_SHARE.fullmatch(core):
        yield Token(Kind.PERCENT, core, core, float(share[1]))
        yield Token(Kind.WORD, core, "canary")
        return
    yield replace(_classify(core, lower), addressed=addressed)


def _classify(core: str, lower: str) -> Token:
    agent = _AGENT_SUFFIX.sub("", lower)
    if agent in vocabulary.AGENT_NAMES:
        return Token(Kind.AGENT, core, vocabulary.AGENT_NAMES[agent])
    if lower in vocabulary.SPELLINGS:
        return Token(Kind.WORD, core, vocabulary.SPELLINGS[lower])
    for kind, pattern, canonical in _LITERALS:
        if pattern.fullmatch(core):
            return Token(kind, core, canonical(core))
    if "/" in core:
        return _with_slash(core, lower)
    if lower in vocabulary.MISSPELLED_AGENTS:
        return Token(Kind.AGENT, core, vocabulary.MISSPELLED_AGENTS[lower])
    named = _WITH_DIGIT.fullmatch(core) or _COMPOUND.fullmatch(core)
    return Token(Kind.NAME, core, core) if named else Token(Kind.WORD, core, lower)


def _with_v(version: str) -> str:
    return "v" + version.lstrip("vV")


def _quantization(name: str) -> str:
    """``q4-k-m`` and ``q4km`` are Q4_K_M, ``fp16`` is F16."""
    upper = name.upper().replace("FP", "F").replace("-", "_")
    return upper if "_" in upper or "Q" not in upper else "_".join((upper[:2], *upper[2:]))


#: In this order: kind, pattern, how its canonical form is made.
_LITERALS = (
    (Kind.JOB, _JOB, str),
    (Kind.VERSION, _VERSION, _with_v),
    (Kind.QUANT, _QUANT, _quantization),
    (Kind.PATH, _FILE, str),
)


def _with_slash(core: str, lower: str) -> Token:
    """``owner/name`` or a path, unless it only joins two ordinary words (``train/test``)."""
    if core.startswith((".", "~", "/")) or core.count("/") > 1:
        return Token(Kind.PATH, core, core)
    if set(lower.split("/")) & vocabulary.NEVER_IN_REPO or not _REPO.fullmatch(core):
        return Token(Kind.WORD, core, lower)
    return Token(Kind.REPO, core, core)


def _merge_phrases(tokens: Sequence[Token]) -> Iterator[Token]:
    """Fold terms and ways of asking that have several words into one token, the longest first."""
    i = 0
    while i < len(tokens):
        phrase = _longest_phrase(tokens, i)
        if phrase is None:
            yield tokens[i]
            i += 1
        else:
            kind, norm = _PHRASES[phrase]
            span = tokens[i : i + len(phrase)]
            text = " ".join(token.text for token in span)
            yield replace(span[-1], kind=kind, norm=norm, text=text)
            i += len(phrase)


def _longest_phrase(tokens: Sequence[Token], i: int) -> tuple[str, ...] | None:
    written, norm = tokens[i].text.lower(), tokens[i].norm
    opening = _PHRASES_BY_FIRST.get(written, ())
    for phrase in opening or _PHRASES_BY_FIRST.get(norm, ()):
        span = tokens[i : i + len(phrase)]
        if len(span) == len(phrase) and all(map(_spells, span, phrase)):
            return phrase
    return None


def _spells(token: Token, word: str) -> bool:
    return word in (token.norm, token.text.lower())


def _name_numbers(tokens: Sequence[Token]) -> Iterator[Token]:
    """Numbers that their neighbours make a version, a job or a share: ``version 2``, ``job 42``."""
    for i, token in enumerate(tokens):
        before = tokens[i - 1].norm if i else ""
        after = tokens[i + 1].norm if i + 1 < len(tokens) else ""
        decimal = token.kind is Kind.NUMBER and "." in token.text
        said = before in {"version", "ver"} or (decimal and before in _BEFORE_VERSION)
        if token.kind is Kind.NUMBER and said:
            yield replace(token, kind=Kind.VERSION, norm=f"v{token.text}")
        elif before == "job" and (token.kind is Kind.NUMBER or _hex_like(token)):
            yield replace(token, kind=Kind.JOB, norm=token.text)
        elif token.norm == "one" and after in {"epoch", "day", "week", "month", "percent"}:
            yield replace(token, kind=Kind.NUMBER, number=1)
        elif token.is_word(vocabulary.NUMBER_WORDS):
            kind = Kind.PERCENT if after in {"percent", "pct"} else Kind.NUMBER
            yield replace(token, kind=kind, number=vocabulary.NUMBER_WORDS[token.norm])
        elif token.is_word(vocabulary.FRACTIONS) and after in {"of", "the", "its", "all"}:
            yield replace(token, kind=Kind.PERCENT, number=vocabulary.FRACTIONS[token.norm])
        elif not (token.norm in {"percent", "pct"} and before in vocabulary.NUMBER_WORDS):
            yield token


_BEFORE_VERSION = {"deploy", "rollout", "ship", "release", "evaluate", "benchmark", "convert"}


def _hex_like(token: Token) -> bool:
    return token.kind is Kind.NAME and any(char.isdigit() for char in token.norm)


_PHRASES: dict[tuple[str, ...], tuple[Kind, str]] = {
    **{tuple(term.split()): (Kind(kind), norm) for term, (kind, norm) in vocabulary.TERMS.items()},
    **{phrase: (Kind.WORD, marker) for phrase, marker in manners.ASKING.items()},
}
_PHRASES_BY_FIRST: dict[str, list[tuple[str, ...]]] = {}
for _phrase in sorted(_PHRASES, key=len, reverse=True):
    _PHRASES_BY_FIRST.setdefault(_phrase[0], []).append(_phrase)
