"""Keeps an MLflow server in step with our records; import it late, MLflow's client loads slowly.

A copy for people who look at MLflow: nothing reads it back, and nothing waits for it. There is one
writer, the process that holds the timer's lease. Everything is found by our own ids (tags), so that
a tick may be repeated or cut off anywhere: what is missing is made, what has changed is written,
and after an outage the next tick catches up.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import requests
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.entities.model_registry import ModelVersion
from mlflow.environment_variables import (
    MLFLOW_HTTP_REQUEST_MAX_RETRIES,
    MLFLOW_HTTP_REQUEST_TIMEOUT,
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT,
)
from mlflow.exceptions import MlflowException

from agent_orchestrator.agents.infrastructure.modelops.mlflow_mirror.records import (
    ModelRecord,
    RunRecord,
    VersionRecord,
)

log = logging.getLogger(__name__)

ID: Final = "chef.id"
VERSION: Final = "chef.version"
_ALIASES: Final = ("current", "canary")
_REQUEST_SECONDS: Final = 10
_REFUSALS: Final = frozenset({400, 404, 409})
"""Statuses of what will not be taken later either."""
_LONGEST_PAUSE_SECONDS: Final = 600.0
_FIRST_PAUSE_SECONDS: Final = 5.0
_BATCH: Final = 100
"""Parameters and tags that one request may bring; of metrics ten times as many."""
_PAGE: Final = 1000


@dataclass(slots=True)
class _Outage:
    """How long to leave a server that does not answer alone."""

    pause: float = 0.0
    until: float = 0.0


@dataclass(slots=True)
class MlflowMirror:
    """Writes records to one server. Not for several threads."""

    uri: str
    read: Callable[[], tuple[Iterable[RunRecord], Iterable[ModelRecord]]]
    """Returns what is to be there now."""
    clock: Callable[[], float] = time.monotonic
    _outage: _Outage = field(default_factory=_Outage)
    _written: dict[str, RunRecord | ModelRecord] = field(default_factory=dict)
    _experiments: dict[str, str] = field(default_factory=dict)

    def tick(self) -> None:
        """Write what has changed. An outage is logged when it begins and when it ends."""
        if self.clock() < self._outage.until:
            return
        try:
            self._write()
        except (MlflowException, requests.RequestException, OSError) as error:
            self._failed(error)
        else:
            if self._outage.pause:
                log.warning("MLflow answers again; it has caught up.")
            self._outage = _Outage()

    def _failed(self, error: Exception) -> None:
        if not self._outage.pause:
            log.warning("MLflow at %s: %s", self.uri, " ".join(str(error).split())[:300])
        pause = min(max(2 * self._outage.pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
        self._outage = _Outage(pause, self.clock() + pause)

    def _write(self) -> None:
        MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT.set(True)  # type: ignore[no-untyped-call]
        MLFLOW_HTTP_REQUEST_TIMEOUT.set(_REQUEST_SECONDS)  # type: ignore[no-untyped-call]
        # The next tick is the next try.
        MLFLOW_HTTP_REQUEST_MAX_RETRIES.set(0)  # type: ignore[no-untyped-call]
        client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)
        runs, models = self.read()
        for run in runs:
            self._write_once(run.key, run, partial(self._write_run, client, run))
        for model in models:
            self._write_once(model.name, model, partial(self._write_model, client, model))

    def _write_once(
        self, key: str, record: RunRecord | ModelRecord, write: Callable[[], None]
    ) -> None:
        """Write a record unless that was done.

        What MLflow refuses is logged, and left until it changes.
        """
        if self._written.get(key) == record:
            return
        try:
            write()
        except MlflowException as error:
            status = error.get_http_status_code()  # type: ignore[no-untyped-call]
            if status not in _REFUSALS:
                raise
            log.warning("MLflow does not take %s: %s", key, " ".join(str(error).split())[:300])
        self._written[key] = record

    def _write_run(self, client: MlflowClient, record: RunRecord) -> None:
        experiment = self._experiment(client, record.experiment)
        run = _find_run(client, experiment, record.key) or client.create_run(
            experiment,
            start_time=_ms(record.started_at),
            tags={ID: record.key},
            run_name=record.name,
        )
        at = _ms(record.ended_at or record.started_at)
        metrics = [Metric(name, value, at, 0) for name, value in record.metrics.items()]
        for name, points in record.curves.items():
            metrics += [Metric(name, value, at, step) for step, value in points]
        params = [
            Param(name, value)
            for name, value in record.params.items()
            if name not in run.data.params  # a parameter never changes
        ]
        tags = [RunTag(name, value) for name, value in record.tags.items()]
        for batch in _batches(metrics, 10 * _BATCH):
            client.log_batch(run.info.run_id, metrics=batch)
        for batch in _batches(params, _BATCH):
            client.log_batch(run.info.run_id, params=batch)
        client.log_batch(run.info.run_id, tags=tags)
        client.update_run(run.info.run_id, name=record.name)
        there = {file.path for file in client.list_artifacts(run.info.run_id)}
        for path in record.files:
            if path.is_file() and path.name not in there:
                client.log_artifact(run.info.run_id, str(path))
        if record.status != "RUNNING":
            client.set_terminated(run.info.run_id, record.status, end_time=at)

    def _experiment(self, client: MlflowClient, name: str) -> str:
        """Return the experiment's id; it is made when there is none."""
        if name not in self._experiments:
            found = client.get_experiment_by_name(name)
            made: str = found.experiment_id if found else client.create_experiment(name)
            self._experiments[name] = made
        return self._experiments[name]

    def _write_model(self, client: MlflowClient, record: ModelRecord) -> None:
        if not client.search_registered_models(f"name = '{record.name}'"):
            client.create_registered_model(record.name, description="Mirrored by code/chef.")
        there = {version.tags.get(VERSION): version for version in _versions(client, record.name)}
        numbers = {}
        for wanted in record.versions:
            known = there.get(wanted.version) or self._new_version(client, record.name, wanted)
            numbers[wanted.version] = known.version
            for tag, value in wanted.tags.items():
                if known.tags.get(tag) != value:
                    client.set_model_version_tag(record.name, known.version, tag, value)
        model = client.get_registered_model(record.name)
        for alias in _ALIASES:
            wanted_number = numbers.get(record.aliases.get(alias, ""))
            if wanted_number is None and alias in model.aliases:
                client.delete_registered_model_alias(record.name, alias)
            elif wanted_number is not None and model.aliases.get(alias) != str(wanted_number):
                client.set_registered_model_alias(record.name, alias, wanted_number)

    def _new_version(self, client: MlflowClient, model: str, wanted: VersionRecord) -> ModelVersion:
        return client.create_model_version(
            model,
            source=wanted.source,
            tags=dict(wanted.tags),  # with the version: it is found by them if we die now
            description=wanted.description,
        )


def _find_run(client: MlflowClient, experiment: str, key: str) -> Run | None:
    found = client.search_runs([experiment], f"tags.`{ID}` = '{key}'", max_results=1)
    return found[0] if found else None


def _versions(client: MlflowClient, model: str) -> list[ModelVersion]:
    """Return all versions of a registered model."""
    versions: list[ModelVersion] = []
    token: str | None = None
    while True:
        page = client.search_model_versions(
            f"name = '{model}'", max_results=_PAGE, page_token=token
        )
        versions += page
        token = page.token
        if not token:
            return versions


def _batches(items: Sequence[Any], size: int) -> Iterable[Sequence[Any]]:
    return (items[at : at + size] for at in range(0, len(items), size))


def _ms(seconds: float) -> int:
    return round(1000 * seconds)
