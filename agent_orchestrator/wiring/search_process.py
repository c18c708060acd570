"""Keeps a search going: ``python -m agent_orchestrator.wiring.search_process JOB_DIR``.

It looks at the search whose job folder that is until it has ended, and each look does what is due.
It knows nothing that the store does not: when it is killed, whoever looks next does its work.
"""

from __future__ import annotations

import logging
import sys
import time
from pathlib import Path

from agent_orchestrator.domain.jobs import TERMINAL
from agent_orchestrator.errors import ChefError
from agent_orchestrator.settings import load_settings
from agent_orchestrator.wiring.embedded import compose
from agent_orchestrator.wiring.process import start_logging

log = logging.getLogger("chef.search")


def follow(job_id: str) -> None:
    """Look at a search until it has ended. Raises SettingsError, NotFoundError."""
    settings = load_settings()
    start_logging(settings.log_level)
    desk = compose(settings).job_desk
    while desk.find(job_id, None).status not in TERMINAL:
        try:
            desk.refresh(job_id)
        except ChefError as error:  # a service that is down …: the next look tries again
            log.warning("%s", error)
        time.sleep(settings.timer_seconds)


def main() -> int:
    """Follow the search whose job folder is the only argument; return the exit code."""
    try:
        follow(Path(sys.argv[1]).name)
    except ChefError as error:
        log.error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
