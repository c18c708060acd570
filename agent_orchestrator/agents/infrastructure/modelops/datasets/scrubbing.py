"""Secrets and personal data in examples: found, and replaced by what they were.

Secrets are found by the patterns of Yelp's detect-secrets that know a vendor's own form (its
guesses by entropy and by variable name would empty a data set of code), and by further such forms
of the services that we talk to. Telephone numbers are those that Google's libphonenumber takes for
valid with their country's code. E-mail and IP addresses, card and bank account numbers are found by
their form and their check digits. Nothing is asked of anybody: no key is tried out.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Final

import re2

from agent_orchestrator.agents.infrastructure.modelops.datasets.examples import Example

#: Detectors of detect-secrets whose pattern is a vendor's own.
_VENDORS: Final = frozenset(
    {
        "AWSKeyDetector",
        "AzureStorageKeyDetector",
        "BasicAuthDetector",
        "DiscordBotTokenDetector",
        "GitHubTokenDetector",
        "GitLabTokenDetector",
        "JwtTokenDetector",
        "MailchimpDetector",
        "NpmDetector",
        "OpenAIDetector",
        "PypiTokenDetector",
        "SendGridDetector",
        "SlackDetector",
        "SquareOAuthDetector",
        "StripeDetector",
        "TelegramBotTokenDetector",
    }
)
_FURTHER: Final[Mapping[str, str]] = {
    "Private Key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----|.*)",
    "Hugging Face Token": r"\bhf_[A-Za-z0-9]{30,}",
    "LangSmith Key": r"\blsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}",
    "OpenRouter Key": r"\bsk-or-v1-[0-9a-f]{64}",
    "Anthropic Key": r"\bsk-ant-[A-Za-z0-9_-]{24,}",
    "OpenAI Key": r"\bsk-(?:proj-)?[A-Za-z0-9_-]{40,}",
    "Google API Key": r"\bAIza[0-9A-Za-z_-]{35}",
}
_EMAIL: Final = re.compile(
    r"(?<![\w.+-])[\w.+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}\b"
)
_NOBODY: Final = re.compile(
    r"^(?:git|noreply|no-reply)@|[@.](?:example\.(?:com|org|net)|test|invalid|localhost)$",
    re.IGNORECASE,
)
_IPV4: Final = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_CARD: Final = re.compile(
    r"(?<![\w-])(?:4|5[1-5]|2[2-7]|3[47]|6(?:011|5))\d(?:[ -]?\d){10,14}(?![\w-])"
)
_IBAN: Final = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_PHONE_HINT: Final = re.compile(r"\+\d")
#: Metadata by which examples are told apart, and which no model reads.
_STRUCTURE: Final = frozenset({"agent", "group", "category", "created_at", "success"})


@dataclass(frozen=True, slots=True)
class Scrubbed:
    """An example without secrets and personal data."""

    example: Example
    secrets: Mapping[str, int]
    """Kind of secret → how many there were."""
    personal: Mapping[str, int]
    """Kind of personal data → how many there were."""


def scrub(example: Example) -> Scrubbed:
    """Return the example with every finding replaced, e.g. by ``<EMAIL>``."""
    secrets: Counter[str] = Counter()
    personal: Counter[str] = Counter()

    def clean(text: str) -> str:
        return _replaced(_replaced(text, _secrets, secrets), _personal, personal)

    inputs, outputs = _walk(example.inputs, clean), _walk(example.outputs, clean)
    metadata = {
        key: value if key in _STRUCTURE else _walk(value, clean)
        for key, value in example.metadata.items()
    }
    if secrets or personal:
        example = replace(example, inputs=inputs, outputs=outputs, metadata=metadata)
    return Scrubbed(example, secrets, personal)


def without_secrets(text: str) -> str:
    """Return a text with every secret of a known form replaced; personal data stay."""
    return _replaced(text, _secrets, Counter())


Span = tuple[int, int, str]
"""From, to, what it is."""


def _replaced(text: str, find: Callable[[str], Iterator[Span]], counts: Counter[str]) -> str:
    spans = sorted(find(text))
    if not spans:
        return text
    parts, end = [], 0
    for start, stop, kind in spans:
        if start < end:  # within the finding before it
            continue
        counts[kind] += 1
        parts += [text[end:start], f"<{kind.upper().replace(' ', '_')}>"]
        end = stop
    return "".join([*parts, text[end:]])


def _walk(value: Any, clean: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {key: _walk(item, clean) for key, item in value.items()}
    return [_walk(item, clean) for item in value] if isinstance(value, list | tuple) else value


# ---------------------------------------------------------------- secrets


@dataclass(frozen=True, slots=True)
class _Patterns:
    """The patterns of secrets."""

    all: Sequence[tuple[str, re.Pattern[str]]]
    """(kind, pattern)."""
    any_of: re2.Pattern[str]
    """Matches wherever one of them does, in one pass of linear time."""
    others: Sequence[tuple[str, re.Pattern[str]]]
    """Those that ``any_of`` does not know: they look about, which re2 cannot."""


def _secrets(text: str) -> Iterator[Span]:
    patterns = _patterns()
    for kind, pattern in patterns.all if patterns.any_of.search(text) else patterns.others:
        for match in pattern.finditer(text):
            yield (*match.span(), kind)


@cache
def _patterns() -> _Patterns:
    """Return the patterns, loaded when first needed."""
    every = _known_patterns()
    options = re2.Options()
    options.log_errors = False
    simple, others = [], []
    for kind, pattern in every:
        flags = "".join(
            f for f, on in (("i", re.IGNORECASE), ("s", re.DOTALL)) if pattern.flags & on
        )
        text = f"(?{flags}:{pattern.pattern})"
        try:
            re2.compile(text, options)
        except re2.error:
            others.append((kind, pattern))
        else:
            simple.append(text)
    return _Patterns(every, re2.compile("|".join(simple), options), others)


def _known_patterns() -> Sequence[tuple[str, re.Pattern[str]]]:
    """Return (kind, pattern)."""
    from detect_secrets.core.plugins.util import (  # noqa: PLC0415
        get_mapping_from_secret_type_to_class,
    )

    known: Collection[Any] = get_mapping_from_secret_type_to_class().values()
    vendors = [kind() for kind in known if kind.__name__ in _VENDORS]
    return [
        *((kind, re.compile(pattern, re.DOTALL)) for kind, pattern in _FURTHER.items()),
        *((vendor.secret_type, pattern) for vendor in vendors for pattern in vendor.denylist),
    ]


# ---------------------------------------------------------------- personal data


def _personal(text: str) -> Iterator[Span]:
    if "@" in text:
        emails = (match for match in _EMAIL.finditer(text) if not _NOBODY.search(match[0]))
        yield from ((*match.span(), "email") for match in emails)
    yield from ((*m.span(), "ip address") for m in _IPV4.finditer(text) if _is_global(m[0]))
    yield from ((*m.span(), "card number") for m in _CARD.finditer(text) if _luhn(m[0]))
    yield from ((*m.span(), "iban") for m in _IBAN.finditer(text) if _is_iban(m[0]))
    if _PHONE_HINT.search(text):
        yield from _phones(text)


def _phones(text: str) -> Iterator[Span]:
    from phonenumbers import PhoneNumberMatcher  # noqa: PLC0415 - its tables load slowly

    for match in PhoneNumberMatcher(text, None):
        yield match.start, match.end, "phone number"


def _is_global(address: str) -> bool:
    try:
        return ipaddress.IPv4Address(address).is_global
    except ValueError:
        return False


def _luhn(number: str) -> bool:
    """Return whether the check digit of a card number is right (ISO/IEC 7812-1)."""
    digits = [int(sign) for sign in reversed(number) if sign.isdigit()]
    doubled = (sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_iban(text: str) -> bool:
    """Return whether the check digits of a bank account number are right (ISO 13616)."""
    account = text.replace(" ", "")
    moved = account[4:] + account[:4]
    return int("".join(str(int(sign, 36)) for sign in moved)) % 97 == 1
