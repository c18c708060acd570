"""The model registry: which versions an agent's model had, how they were made, how they did.

A file-locked JSON file (``stores.registry_file``) under pure transitions (``domain.lifecycle``).
Every method blocks, and one that changes something raises LockTimeout or StorageError with nothing
changed; every method raises RegistryError for a broken file.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from agent_orchestrator.domain import lifecycle
from agent_orchestrator.domain.models import (
    EvalScores,
    ModelVersion,
    TrainingConfig,
    check_model_id,
    check_status,
)
from agent_orchestrator.domain.registry import (
    AgentRecord,
    Bystander,
    Registry,
    VersionDiff,
    check_agent_name,
    compare_versions,
)
from agent_orchestrator.domain.semver import Part, next_version
from agent_orchestrator.errors import ConflictError, InputError
from agent_orchestrator.stores.files import sha256_bytes
from agent_orchestrator.stores.registry_file import Change, RegistryFile

_T = TypeVar("_T")
_CONFIG: TypeAdapter[TrainingConfig] = TypeAdapter(TrainingConfig)
_SCORES: TypeAdapter[EvalScores] = TypeAdapter(EvalScores)


class ModelRegistry:
    """The registry at ``path``, shared by threads and processes."""

    def __init__(
        self,
        path: Path | str,
        *,
        clock: Callable[[], float] = time.time,
        lock_timeout: float = 30.0,
    ) -> None:
        """``clock`` returns seconds since the epoch; ``lock_timeout`` is in seconds."""
        self._file = RegistryFile(Path(path), clock=clock, lock_timeout=lock_timeout)

    # -- reading --------------------------------------------------------------------------------

    def read(self) -> Registry:
        """Return the whole registry, as it is now."""
        return self._file.read()

    def agent(self, agent: str) -> AgentRecord:
        """Return an agent's record; an empty one when nothing is registered for it."""
        return self.read().agent(agent)

    def get_version(self, agent: str, version: str) -> ModelVersion:
        """Return one version. Raises VersionNotFoundError."""
        return self.agent(agent).version(version)

    def get_current_model(self, agent: str) -> ModelVersion | None:
        """Return the version that serves, None when none of the registry does."""
        return _referred(self.agent(agent), "current")

    def get_canary_model(self, agent: str) -> ModelVersion | None:
        """Return the canary, if one runs."""
        return _referred(self.agent(agent), "canary")

    def previous_version(self, agent: str) -> ModelVersion | None:
        """Return the version that ``rollback`` would return to, if any."""
        record = self.agent(agent)
        previous = record.previous()
        return None if previous is None else record.version(previous)

    def list_versions(
        self, agent: str, limit: int | None = None, status: str | None = None
    ) -> list[ModelVersion]:
        """Return versions, newest first: at most ``limit``, of one deployment status.

        Raises InputError for a negative limit or a status that does not exist.
        """
        if limit is not None and limit < 0:
            raise InputError(f"Not a limit: {limit!r}.", remedy="Use 0 or more.")
        if status is not None:
            check_status(status)
        versions = reversed(self.agent(agent).history)
        return [v for v in versions if status in {None, v.deployment_status}][:limit]

    def lineage(self, agent: str, version: str) -> tuple[ModelVersion, ...]:
        """Return the version, its parent, its parent's parent … Raises VersionNotFoundError."""
        return self.agent(agent).lineage(version)

    def compare_versions(self, agent: str, a: str, b: str) -> VersionDiff:
        """Return what differs from ``a`` to ``b``. Raises VersionNotFoundError."""
        return compare_versions(self.agent(agent), a, b)

    # -- versions -------------------------------------------------------------------------------

    def add_model_version(
        self,
        agent: str,
        *,
        version: str | None = None,
        model_id: str,
        training_config: Mapping[str, Any] | TrainingConfig | None = None,
        parent_version: str | None = None,
        trained_at: str | None = None,
        trained_by: str | None = None,
        job_id: str | None = None,
        hub_repo: str | None = None,
        dataset_hash: str | None = None,
        weights_sha256: str | None = None,
        quantization: str | None = None,
        eval_scores: Mapping[str, Any] | EvalScores | None = None,
        tags: Sequence[str] = (),
        changelog: str = "",
        notes: str = "",
        part: Part = "minor",
    ) -> ModelVersion:
        """Register a version and return it; left out, the number is the next one by ``part``.

        Idempotent by ``job_id``: what a job made is registered once, and a second call returns the
        version that is there. Keys of ``training_config`` that TrainingConfig does not name are
        kept in its ``extra``. Raises InputError for a bad or taken version, a bad configuration or
        score, ModelIdError, VersionNotFoundError for an unknown parent, ConflictError when the job
        is registered with another model.
        """
        check_agent_name(agent)
        draft = ModelVersion(
            version="",
            content_id="",
            model_id=check_model_id(model_id),
            training_config=_training_config(training_config),
            parent_version=parent_version,
            trained_at=trained_at,
            trained_by=trained_by,
            job_id=job_id,
            hub_repo=hub_repo,
            dataset_hash=dataset_hash,
            weights_sha256=weights_sha256,
            quantization=quantization,
            eval_scores=None if eval_scores is None else self._scores(eval_scores),
            tags=tuple(dict.fromkeys(tags)),
            changelog=changelog,
            notes=notes,
        )
        draft = replace(draft, content_id=_content_id(draft, self._file.now()))
        made: list[ModelVersion] = []

        def add(record: AgentRecord) -> AgentRecord:
            known = _of_job(record, job_id, model_id)
            if known is not None:
                made.append(known)
                return record
            number = version or next_version((v.version for v in record.history), part)
            made.append(replace(draft, version=number))
            return lifecycle.add_version(record, made[-1])

        self._change(agent, add)
        return made[-1]

    def update_evaluation_scores(
        self, agent: str, version: str, scores: Mapping[str, Any] | EvalScores
    ) -> ModelVersion:
        """Replace a version's scores by those of its latest evaluation.

        Scores lie in 0..1, latency and cost are ≥ 0; ``evaluated_at`` is now when left out.
        Raises InputError that names a wrong key, VersionNotFoundError.
        """
        checked = self._scores(scores)
        return self._change_version(agent, version, eval_scores=checked)

    def add_tags(self, agent: str, version: str, *tags: str) -> ModelVersion:
        """Add tags to a version, each once. Raises VersionNotFoundError."""

        def tag(record: AgentRecord) -> AgentRecord:
            union = tuple(dict.fromkeys((*record.version(version).tags, *tags)))
            return lifecycle.change_version(record, version, tags=union)

        return self._change(agent, tag).version(version)

    def set_notes(
        self, agent: str, version: str, notes: str | None = None, changelog: str | None = None
    ) -> ModelVersion:
        """Replace a version's notes, its changelog, or both. Raises VersionNotFoundError."""
        given = {"notes": notes, "changelog": changelog}
        changes = {name: text for name, text in given.items() if text is not None}
        return self._change_version(agent, version, **changes)

    # -- life cycle -----------------------------------------------------------------------------

    def set_current_model(self, agent: str, version: str) -> ModelVersion:
        """Make a version the one that serves; the former one is archived.

        Raises VersionNotFoundError.
        """
        now = self._file.now()
        return self._change(agent, lambda r: lifecycle.make_current(r, version, now)).version(
            version
        )

    def set_canary_model(self, agent: str, version: str, percent: int) -> ModelVersion:
        """Give ``percent`` (0..100) of the traffic to a version, or change its canary's share.

        Raises VersionNotFoundError, InputError for the percentage, ConflictError when the version
        is current or another canary runs.
        """
        now = self._file.now()
        record = self._change(agent, lambda r: lifecycle.make_canary(r, version, percent, now))
        return record.version(version)

    def promote_canary(self, agent: str) -> ModelVersion:
        """Make the canary current and archive the former one. Raises ConflictError without one."""
        now = self._file.now()
        record = self._change(agent, lambda r: lifecycle.promote_canary(r, now))
        return record.version(str(record.current))

    def rollback(self, agent: str, version: str | None = None) -> ModelVersion | None:
        """Undo the last deployment, or return to ``version``; return what is current then.

        A running canary is archived and the current version stays; without one, the version that
        was current before serves again. Idempotent with ``version``. Raises VersionNotFoundError,
        ConflictError when nothing served before. None is returned when the current model is not a
        registered one.
        """
        now = self._file.now()
        record = self._change(agent, lambda r: lifecycle.roll_back(r, version, now))
        return _referred(record, "current")

    def set_serving(
        self,
        agent: str,
        *,
        current: str | None,
        canary: str | None,
        percent: int = 0,
        others: Mapping[str, tuple[Bystander, int]] = MappingProxyType({}),
    ) -> AgentRecord:
        """Say absolutely what serves; idempotent. None stands for a model that is not registered.

        ``others``: version → status and share in percent of a rollout's further candidates. A
        canary that is neither kept nor made current is archived. Raises VersionNotFoundError,
        InputError for the percentage, ConflictError when one version is to be two things.
        """
        now = self._file.now()
        return self._change(
            agent, lambda r: lifecycle.serve(r, current, canary, percent, now, others=others)
        )

    def set_status(self, agent: str, version: str, status: str) -> ModelVersion:
        """Give a version not_deployed, shadow, challenger or archived.

        Raises InputError for another status, VersionNotFoundError, ConflictError while it serves.
        """
        record = self._change(agent, lambda r: lifecycle.set_status(r, version, status))
        return record.version(version)

    def retire(self, agent: str, version: str) -> ModelVersion:
        """Archive a version.

        Raises VersionNotFoundError, ConflictError while it is current, canary or challenger.
        """
        return self._change(agent, lambda r: lifecycle.retire(r, version)).version(version)

    # -- the file -------------------------------------------------------------------------------

    def update(self, change: Change) -> Registry:
        """Apply a pure function to the registry: lock, read, validate, apply, replace."""
        return self._file.update(change)

    def backups(self) -> list[Path]:
        """Return the kept states of the file, newest first."""
        return self._file.backups()

    def restore(self, backup: str) -> Registry:
        """Make a backup (its file name) the registry again. Raises NotFoundError."""
        return self._file.restore(backup)

    def _change(self, agent: str, change: Callable[[AgentRecord], AgentRecord]) -> AgentRecord:
        """Apply a transition to one agent's record and return the new record."""
        return self.update(lambda r: _with(r, change(r.agent(agent)))).agent(agent)

    def _change_version(self, agent: str, version: str, **changes: Any) -> ModelVersion:
        record = self._change(agent, lambda r: lifecycle.change_version(r, version, **changes))
        return record.version(version)

    def _scores(self, scores: Mapping[str, Any] | EvalScores) -> EvalScores:
        given = scores if isinstance(scores, Mapping) else _as_mapping(scores)
        _check_json(given, "eval_scores")
        checked = _validated(_SCORES, given, "eval_scores")
        return checked if checked.evaluated_at else replace(checked, evaluated_at=self._file.now())


def _with(registry: Registry, record: AgentRecord) -> Registry:
    """Return the registry with the record; one that is empty still makes no entry."""
    if record == registry.agent(record.agent_name):
        return registry
    return registry.with_agent(record)


def _referred(record: AgentRecord, role: str) -> ModelVersion | None:
    version = getattr(record, role)
    return None if version is None else record.version(version)


def _of_job(record: AgentRecord, job_id: str | None, model_id: str) -> ModelVersion | None:
    """Return the version that the job made already."""
    if job_id is None:
        return None
    known = next((version for version in record.history if version.job_id == job_id), None)
    if known is not None and known.model_id != model_id:
        raise ConflictError(
            f"Job {job_id!r} is registered as {known.version} with model {known.model_id!r}, "
            f"not {model_id!r}.",
            remedy="Register another job's model under that job's id.",
        )
    return known


def _training_config(given: Mapping[str, Any] | TrainingConfig | None) -> TrainingConfig | None:
    if given is None:
        return None
    if isinstance(given, TrainingConfig):
        given = _as_mapping(given)
    _check_json(given, "training_config")
    named = {f.name for f in fields(TrainingConfig)}
    own = {key: value for key, value in given.items() if key in named}
    extra = {key: value for key, value in given.items() if key not in named}
    if extra:
        own["extra"] = {**own.get("extra", {}), **extra}
    return _validated(_CONFIG, own, "training_config")


def _as_mapping(value: TrainingConfig | EvalScores) -> dict[str, Any]:
    return {f.name: getattr(value, f.name) for f in fields(value)}


def _check_json(given: Mapping[str, Any], what: str) -> None:
    """Refuse what JSON cannot say: nan, infinities and objects. Raises InputError."""
    for path, value in _leaves(given, what):
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"{path} is {value!r}.", remedy="Use a finite number or leave it out.")
        if not isinstance(value, str | int | float | None):
            raise InputError(f"{path} is {value!r}.", remedy="Use what JSON can say.")


def _validated(adapter: TypeAdapter[_T], given: Mapping[str, Any], what: str) -> _T:
    """Return ``given`` as ``adapter``'s type; raise InputError that names the key and value."""
    try:
        return adapter.validate_python(dict(given))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        said = first["msg"].removeprefix("Input should be ")
        path = ".".join(map(str, (what, *first["loc"])))
        raise InputError(
            f"{path} is {str(first['input'])[:60]!r}: {said}.", remedy="Give another value."
        ) from None


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _leaves(item, f"{path}.{key}")
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from _leaves(item, f"{path}[{position}]")
    else:
        yield path, value


def _content_id(draft: ModelVersion, now: str) -> str:
    """Return creation time and a short hash of what the version is made of."""
    made_of = {
        "model_id": draft.model_id,
        "training_config": None
        if draft.training_config is None
        else _CONFIG.dump_python(draft.training_config, mode="json"),
        "parent_version": draft.parent_version,
        "dataset_hash": draft.dataset_hash,
        "weights_sha256": draft.weights_sha256,
        "hub_repo": draft.hub_repo,
    }
    digest = sha256_bytes(json.dumps(made_of, sort_keys=True).encode())
    return f"{datetime.fromisoformat(now):%Y%m%dT%H%M%SZ}-{digest[:12]}"
