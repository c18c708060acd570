"""An agent that people complain about, and the examples that its successor learns from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.doubles.openai_server import OpenAIServer, Reply
from tests.doubles.workspace import Workspace

COMPLAINT = "@chef The feature_dev agent keeps missing error handling. Train it better."


@asynccontextmanager
async def mostly_wrong(workspace: Workspace, **others: str) -> AsyncIterator[Path]:
    """Let something serve feature_dev that is right once in five times; return the examples.

    ``others`` are agents that are served elsewhere, by the base URLs of their models.
    """
    async with OpenAIServer(Reply("mutable-default")) as server:
        workspace.serve_elsewhere(feature_dev=server.url, **others)
        rows = [
            {
                "inputs": {"task": f"Name the defect in function number {number}."},
                "outputs": {"answer": "clean" if number % 5 else "mutable-default"},
                "metadata": {"agent": "feature_dev", "group": f"f{number}"},
            }
            for number in range(60)
        ]
        yield workspace.write_rows(rows, "errors")
