"""What is left of the trials that lost: their numbers, and not their gigabytes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from agent_orchestrator.agents.infrastructure.modelops.backends import Discards
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.domain.jobs import Job
from agent_orchestrator.errors import ChefError

log = logging.getLogger(__name__)


class TrialModels:
    """Removes the models of trials from wherever they were put."""

    def __init__(
        self,
        backends: Mapping[str, object],
        catalogue: Catalogue,
        remove_from_hub: Callable[[str], None],
    ) -> None:
        self._backends = backends
        self._catalogue = catalogue
        self._remove_from_hub = remove_from_hub

    def discard(self, trial: Job) -> bool:
        """Remove a trial's model unless somebody uses it; return whether there is none any more.

        What cannot be removed now stays: that is logged, and no reason for a search to fail.
        """
        model = trial.request["hub_repo"]
        if trial.result is None:
            return True  # it has made none
        if self._catalogue.is_used(model):
            return False
        backend = self._backends.get(trial.backend)
        try:
            if isinstance(backend, Discards):
                backend.discard({"job_id": trial.id, **trial.ref}, model)
            if trial.result["manifest"].get("hub_url"):
                self._remove_from_hub(model)
        except ChefError as error:
            log.warning("The model %s of trial %s is still there: %s", model, trial.id, error)
            return False
        return True
