"""Sending finished experiments to LangSmith, from the process of a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import anyio
import anyio.to_thread

from agent_orchestrator.agents.infrastructure.modelops.evaluation.upload import LangSmithAccount
from agent_orchestrator.errors import ChefError
from agent_orchestrator.settings import Settings
from agent_orchestrator.wiring.job_process import JobLog

_SECONDS: Final = 600.0


async def try_upload(
    settings: Settings, log: JobLog, send: Callable[[LangSmithAccount], str]
) -> tuple[str | None, str | None]:
    """Return the page of what ``send`` uploaded, or why there is none: the other is None."""
    key = settings.langsmith_api_key
    if key is None:
        return None, "LANGSMITH_API_KEY is not set any more."
    log.event("uploading", f"uploading the experiments to {settings.langsmith_endpoint}")
    account = LangSmithAccount(settings.langsmith_endpoint, key.get_secret_value())
    try:
        with anyio.fail_after(_SECONDS):
            return await anyio.to_thread.run_sync(send, account, abandon_on_cancel=True), None
    except (ChefError, TimeoutError) as error:
        why = str(error) or f"LangSmith did not take the experiments in {_SECONDS:g} s."
        log.event("upload_failed", why)
        return None, why
