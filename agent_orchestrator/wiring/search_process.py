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
from agent_orchestrator.errors import ChefError, NotFoundError
from agent_orchestrator.settings import load_settings
from agent_orchestrator.wiring.embedded import compose
from agent_orchestrator.wiring.process import start_logging

log = logging.getLogger("chef.search")


def follow(folder: Path) -> None:
    """Look at the search of a job folder until it has ended, or the folder is gone.

    Raises SettingsError, NotFoundError.
    """
    settings = load_settings()
    start_logging(settings.log_level)
    desk = compose(settings).job_desk
    while folder.is_dir():
        try:
            job, _ = desk.refresh(folder.name)
        except NotFoundError:
            raise
        except ChefError as error:  # a service that is down …: the next look tries again
            log.warning("%s", error)
        else:
            if job.status in TERMINAL:
                return
        time.sleep(settings.timer_seconds)


def main() -> int:
    """Follow the search whose job folder is the only argument; return the exit code."""
    try:
        follow(Path(sys.argv[1]))
    except ChefError as error:
        log.error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
