"""What errors say to do next: always something, in words that make sense at every door."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import agent_orchestrator
from agent_orchestrator import errors

ROOT = Path(agent_orchestrator.__file__).parent
NAMES = {
    name
    for name, kind in inspect.getmembers(errors, inspect.isclass)
    if kind is not errors.UnknownAgentError and issubclass(kind, errors.ChefError)
}
#: What is wrong in the registry's file; who reads the file adds which backup is whole.
WITHIN_THE_REGISTRY = {"domain/registry.py", "stores/registry_file.py"}
#: Read where commands are given, or on the training machine.
AT_A_TERMINAL = ("cli/", "wiring/", "trainer/", "training_space/", "mcp_server/", "api/process.py")


def raised() -> Iterator[tuple[str, ast.Call]]:
    """Yield the place and the call of every error that is made."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                name = node.func.id if isinstance(node.func, ast.Name) else ""
                if isinstance(node.func, ast.Attribute):
                    name = node.func.attr
                if name in NAMES:
                    yield str(path.relative_to(ROOT)), node


def remedies() -> Iterator[tuple[str, str]]:
    """Yield the place and the text of every remedy that is written there; ``…`` for values."""
    for place, call in raised():
        for keyword in call.keywords:
            if keyword.arg == "remedy":
                yield place, text_of(keyword.value)


def text_of(node: ast.expr) -> str:
    """Return the text of a string, also a formatted one."""
    parts = node.values if isinstance(node, ast.JoinedStr) else [node]
    return "".join(
        part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else "…"
        for part in parts
    )


def test_every_error_says_what_to_do():
    """Nobody is left with what went wrong alone."""
    silent = [
        f"{place}:{call.lineno}"
        for place, call in raised()
        if place not in WITHIN_THE_REGISTRY
        and not any(keyword.arg in {"remedy", None} for keyword in call.keywords)
    ]
    assert silent == []


def test_a_remedy_names_the_action_before_the_command():
    """It is read in a conversation, an editor or another agent too, where there is no command."""
    told = [(place, text) for place, text in remedies() if not place.startswith(AT_A_TERMINAL)]
    assert len(told) > 150
    commands = [
        (place, text)
        for place, text in told
        if re.match(r"((See|Try|Run|Use|Look at) )?`chef", text)
        or re.search(r"(^|\s)--[a-z]", re.sub(r"`[^`]*`", "", text))
    ]
    assert commands == []
