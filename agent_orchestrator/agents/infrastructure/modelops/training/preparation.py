"""Preparing a training: what a request leaves open is resolved, all of it checked and priced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.backends import ChecksFirst, TrainerBackend
from agent_orchestrator.agents.infrastructure.modelops.catalogue import Catalogue
from agent_orchestrator.agents.infrastructure.modelops.datasets.store import (
    Dataset,
    DatasetStore,
    training_rows,
)
from agent_orchestrator.agents.infrastructure.modelops.training.base_models import BaseModels
from agent_orchestrator.agents.infrastructure.modelops.training.pricing import Pricing
from agent_orchestrator.agents.infrastructure.modelops.usecases.training import TrainSubagentModel
from agent_orchestrator.domain import cost
from agent_orchestrator.domain.base_facts import BaseFacts
from agent_orchestrator.domain.budget import Spending
from agent_orchestrator.domain.licences import Licence
from agent_orchestrator.domain.models import TrainingEngine
from agent_orchestrator.domain.training import choose_engine
from agent_orchestrator.domain.wording import counted
from agent_orchestrator.errors import DatasetError, InputError, NotAvailable
from agent_orchestrator.stores.defaults import Hyperparameters, TrainingDefaults

#: What makes a backend available.
_NEEDS = {
    "hf_space": "Set MODELOPS_SPACE_URL and MODELOPS_SPACE_TOKEN.",
    "hf_jobs": "Set HUGGINGFACE_JOBS_ENABLED=true, HUGGINGFACE_TOKEN and MODELOPS_HUB_ORG.",
}
_FEWEST_ROWS = 10
#: Nothing else of ours lies where these jobs run.
_FROM_HUB = frozenset({"hf_jobs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A request with everything resolved."""

    agent: str
    engine: TrainingEngine
    dataset: Dataset
    rows: list[dict[str, Any]]
    base_model: str
    hyperparameters: Hyperparameters
    backend: str
    estimate: cost.Estimate
    root_model: str
    """The model that the base's line of versions began with."""
    parent_version: str | None
    """That of the agent whose model the base is; None for any other base."""
    max_seconds: float
    """What the job may take at most."""
    room: Spending | None
    """What is left of the month's budget; None without one."""
    facts: BaseFacts
    """About the base model."""
    objection: InputError | None
    """What stands against starting it."""

    @property
    def licence(self) -> Licence | None:
        """The base model's; None where it was not looked up."""
        return self.facts.licence


class Preparation:
    """Prepares trainings; starts none."""

    def __init__(
        self,
        *,
        pricing: Pricing,
        backends: Mapping[str, TrainerBackend],
        catalogue: Catalogue,
        base_models: BaseModels,
        datasets: DatasetStore,
        defaults: TrainingDefaults,
        default_backend: str,
        owner: str,
    ) -> None:
        self._pricing = pricing
        self._backends = backends
        self._catalogue = catalogue
        self._bases = base_models
        self._datasets = datasets
        self._defaults = defaults
        self._default_backend = default_backend
        self._owner = owner

    def prepare(self, request: TrainSubagentModel) -> Prepared:
        """Resolve, check and price a request.

        A production run that no demo proved is priced, with an objection. Raises UnknownAgentError,
        DatasetError (none, or not usable), InputError (a bad override, a model without a known
        size, a job above the limits), NotAvailable (backend, method).
        """
        agent = self._catalogue.check_agent(request.agent)
        backend = request.backend or self._default_backend
        if backend not in self._backends:
            raise NotAvailable(
                f"Training backend {backend!r} is not available here.",
                remedy=_NEEDS.get(backend, f"Use {' or '.join(sorted(self._backends))}."),
            )
        engine = choose_engine(request.method, request.engine)
        chosen: object = self._backends[backend]
        if isinstance(chosen, ChecksFirst):
            chosen.check(self._owner, engine)
        dataset = self._dataset(agent, request.dataset)
        base_model = self._bases.resolve(agent, request.base_model)
        root = self._bases.root(agent, base_model)
        mode = self._defaults.mode(request.mode, root)
        hyperparameters = self._hyperparameters(root, request.overrides)
        most = request.max_examples or mode.max_examples
        rows = training_rows(dataset, request.method, most, seed=hyperparameters.seed)
        facts = self._bases.facts(base_model, from_hub=backend in _FROM_HUB)
        estimate = self._pricing.estimate(request, facts, hyperparameters, rows, backend)
        room = self._pricing.check(estimate)
        return Prepared(
            agent=agent,
            engine=engine,
            dataset=dataset,
            rows=rows,
            base_model=base_model,
            hyperparameters=hyperparameters,
            backend=backend,
            estimate=estimate,
            root_model=root,
            parent_version=self._bases.parent(agent, base_model),
            max_seconds=self._pricing.most_seconds(estimate),
            room=room,
            facts=facts,
            objection=self._pricing.without_demo(request, backend, root),
        )

    def varied(self, prepared: Prepared, request: TrainSubagentModel) -> Prepared:
        """Return what was prepared with the request's ``overrides``, checked and priced anew."""
        chosen = self._hyperparameters(prepared.root_model, request.overrides)
        estimate = self._pricing.estimate(
            request, prepared.facts, chosen, prepared.rows, prepared.backend
        )
        room = self._pricing.check(estimate)
        return replace(
            prepared,
            hyperparameters=chosen,
            estimate=estimate,
            max_seconds=self._pricing.most_seconds(estimate),
            room=room,
        )

    def in_production(
        self, prepared: Prepared, request: TrainSubagentModel
    ) -> tuple[int, cost.Estimate]:
        """Return how many examples a production run would take, and what it would cost."""
        most = self._defaults.mode("production", prepared.root_model).max_examples
        chosen = prepared.hyperparameters
        rows = training_rows(prepared.dataset, request.method, most, seed=chosen.seed)
        return len(rows), self._pricing.estimate(
            request, prepared.facts, chosen, rows, prepared.backend
        )

    def _dataset(self, agent: str, name: str | None) -> Dataset:
        """Return the named data set, or the agent's newest; one of another agent is refused."""
        if name is not None:
            return self._datasets.get_for(agent, name)
        own = self._datasets.list(agent)
        if not own:
            raise DatasetError(
                f"There is no data set for {agent}.",
                remedy=f"Build one for {agent} (`chef build-dataset {agent} --source …`).",
                field="dataset",
            )
        return own[0]

    def _hyperparameters(self, base_model: str, overrides: Mapping[str, Any]) -> Hyperparameters:
        chosen = self._defaults.training
        preset = self._defaults.preset(base_model)
        if preset is not None:
            chosen = chosen.replaced(preset.training, f"Preset of {base_model}")
        return chosen.replaced(overrides, "overrides")


def divided(
    prepared: Prepared, *, compared: bool
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the rows to train on, and those that a search or early stopping looks at: a tenth.

    The data set's own held-out examples are left for the evaluation, which they must not have
    influenced. Raises DatasetError when there are too few to be ``compared`` by.
    """
    if prepared.hyperparameters.early_stopping is None and not compared:
        return prepared.rows, []
    if compared and len(prepared.rows) < _FEWEST_ROWS:
        raise DatasetError(
            f"{counted(len(prepared.rows), '[example is|examples are]')} too few to keep some back "
            "for comparing.",
            remedy=f"Use {_FEWEST_ROWS} or more.",
        )
    numbered = list(enumerate(prepared.rows))
    return [row for n, row in numbered if n % 10], [row for n, row in numbered if not n % 10]
