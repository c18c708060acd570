"""What scripted models of feature_dev and code_review answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.doubles.openai_server import Reply

Messages = list[Mapping[str, Any]]


def call(name: str, /, **arguments: Any) -> Reply:
    """Return a reply that calls a tool."""
    function = {"name": name, "arguments": json.dumps(arguments)}
    return Reply("", tool_calls=[{"id": f"call_{name}", "type": "function", "function": function}])


def last(messages: Messages) -> str:
    """Return the text of the last message."""
    return str(messages[-1]["content"])


def developing(messages: Messages, *attempts: str) -> Reply:
    """Write one attempt for each time that the task or a review comes, then say so."""
    if messages[-1]["role"] == "user":
        asked = sum(message["role"] == "user" for message in messages)
        return call("write_file", path="stats.py", text=attempts[min(asked, len(attempts)) - 1])
    if last(messages).startswith("Wrote"):
        return call("run_tests")
    return Reply("I changed mean().")


def reviewing(messages: Messages) -> Reply:
    """Run the tests, then accept what passes them."""
    if messages[-1]["role"] == "user":
        return call("run_tests")
    if "tests: passed" in last(messages):
        return call("Review", accepted=True, summary="It raises.", findings=[])
    finding = {"path": "stats.py", "line": 2, "problem": "mean([]) must raise."}
    return call("Review", accepted=False, summary="A test fails.", findings=[finding])
