"""What a chat template writes around each turn, found by rendering it.

Ollama has a template language of its own. Most chat templates only put fixed texts around each
turn; for those the Modelfile says the same, and it is checked on whole conversations. A template
that does more (tools, dates, merged turns) has no such form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from agent_orchestrator.trainer.gguf.template import compile_template

_MARKS: Final = {"system": "\u27e6s\u27e7", "user": "\u27e6u\u27e7", "assistant": "\u27e6a\u27e7"}
_CHECKED: Final = (
    ("user",),
    ("user", "assistant", "user"),
    ("system", "user"),
    ("system", "user", "assistant", "user", "assistant"),
)

Message = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Turns:
    """The fixed texts of a chat template."""

    around: Mapping[str, tuple[str, str]]
    """Role → what stands before and after its content."""
    opening: str
    """What asks for the answer."""
    default_system: str | None
    """The system message that is written when a conversation has none."""

    def render(self, messages: Sequence[Message]) -> str:
        """Return a conversation that waits for its answer."""
        if self.default_system is not None and messages[0]["role"] != "system":
            messages = ({"role": "system", "content": self.default_system}, *messages)
        turns = (message["content"].join(self.around[message["role"]]) for message in messages)
        return "".join(turns) + self.opening


def read_turns(source: str, special: Mapping[str, str]) -> Turns | None:
    """Return what a chat template writes around turns; None when it does more than that.

    ``special``: ``bos_token`` and ``eos_token``. A beginning token is left out: engines add it.
    """
    from jinja2 import TemplateError

    bos = special.get("bos_token", "")

    def render(roles: Sequence[str], *, ask: bool = False) -> str:
        messages = [{"role": role, "content": _MARKS[role]} for role in roles]
        text: str = template.render(messages=messages, add_generation_prompt=ask, **special)
        return text.removeprefix(bos)

    try:
        template = compile_template(source)
        turns = _take_apart(render)
        if turns is None:
            return None
        for roles in _CHECKED:
            messages = [{"role": role, "content": _MARKS[role]} for role in roles]
            if turns.render(messages) != render(roles, ask=True):
                return None
    except TemplateError:
        return None
    return turns


def _take_apart(render: Any) -> Turns | None:
    """Return the texts of each role, from how a conversation grows; None when it does not."""
    opened = ("system", "user", "assistant")
    before = render(opened)
    after_user = render((*opened, "user"))
    after_all = render((*opened, "user", "assistant"))
    if not (after_user.startswith(before) and after_all.startswith(after_user)):
        return None
    user = after_user[len(before) :]
    assistant = after_all[len(after_user) :]
    system = render(("system", "user")).removesuffix(user)
    around = {}
    for role, text in (("system", system), ("user", user), ("assistant", assistant)):
        start, mark, end = text.partition(_MARKS[role])
        if not mark:
            return None
        around[role] = (start, end)
    alone = render(("user",)).removesuffix(user)
    default = alone.removeprefix(around["system"][0]).removesuffix(around["system"][1])
    opening = render((*opened, "user"), ask=True)[len(after_user) :]
    return Turns(around, opening, default if alone else None)
