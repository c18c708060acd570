"""A model that calls a tool when it hears certain words, and then says what the tool answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.doubles.openai_server import Reply


@dataclass(frozen=True)
class ToolCaller:
    """A script of ``OpenAIServer``; as the supervisor it hands everything to one agent."""

    agent: str
    """Whom the supervisor hands to."""
    calls: Mapping[str, tuple[str, Mapping[str, Any]]]
    """Words of what was said → the tool, and what it is called with."""

    def __call__(self, body: Mapping[str, Any]) -> Reply:
        """Answer."""
        said = [one for one in body["messages"] if one["role"] in ("user", "tool")]
        last = said[-1]["content"] if said else ""
        text = last if isinstance(last, str) else json.dumps(last)
        tools = {tool["function"]["name"] for tool in body.get("tools", ())}
        if said and said[-1]["role"] == "tool":
            return Reply(f"The tool answered: {text}")
        for words, (tool, arguments) in self.calls.items():
            if words in text and tool in tools:
                return _calling(tool, arguments)
        if "Route" in tools and any(words in text for words in self.calls):
            return _calling("Route", {"pieces": [{"agent": self.agent, "task": text}]})
        return Reply("There is no tool for that.")


def _calling(tool: str, arguments: Mapping[str, Any]) -> Reply:
    function = {"name": tool, "arguments": json.dumps(arguments)}
    return Reply("", tool_calls=[{"id": "call_0", "type": "function", "function": function}])
