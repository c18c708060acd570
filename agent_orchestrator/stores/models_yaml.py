"""models.yaml: read, changed in place with every comment kept, followed by running processes."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import anyio
from anyio import to_thread
from watchfiles import awatch

from agent_orchestrator.domain.routing import Endpoint, Rollout, RoutingTable
from agent_orchestrator.errors import ModelsYamlError, UnknownAgentError
from agent_orchestrator.stores.files import locked, replace_atomically
from agent_orchestrator.stores.routing_document import parse_routing_table, to_plain
from agent_orchestrator.stores.yaml_edit import NotInPlaceError, apply_changes

Change = Callable[[RoutingTable], RoutingTable]
Signature = tuple[int, int, int]
"""Modification time, inode and size of a file: differs after every replace."""

_POLL_MS = 500


def with_model(table: RoutingTable, agent: str, model: str) -> RoutingTable:
    """Return the table with ``model`` as the agent's stable model. Raises UnknownAgentError."""
    _check_agent(table, agent)
    return replace(table, agent_models={**table.agent_models, agent: model})


def with_rollout(table: RoutingTable, agent: str, rollout: Rollout) -> RoutingTable:
    """Return the table with ``rollout`` as the agent's split. Raises UnknownAgentError."""
    _check_agent(table, agent)
    return replace(table, rollouts={**table.rollouts, agent: rollout})


def without_rollout(table: RoutingTable, agent: str) -> RoutingTable:
    """Return the table without a split for the agent. Raises UnknownAgentError."""
    _check_agent(table, agent)
    return replace(table, rollouts={a: r for a, r in table.rollouts.items() if a != agent})


def with_endpoint(table: RoutingTable, endpoint: Endpoint) -> RoutingTable:
    """Return the table with the model in its catalogue."""
    return replace(table, models={**table.models, endpoint.model: endpoint})


def without_endpoint(table: RoutingTable, model: str) -> RoutingTable:
    """Return the table without the model in its catalogue."""
    return replace(table, models={m: e for m, e in table.models.items() if m != model})


def _check_agent(table: RoutingTable, agent: str) -> None:
    if agent not in table.agent_models:
        raise UnknownAgentError(agent, list(table.agent_models))


class ModelsYaml:
    """The file on disk. Every method blocks; writers hold the file's lock.

    All raise ModelsYamlError for a broken file; those that change it also LockTimeout and
    StorageError (the old content stands).
    """

    def __init__(self, path: Path, *, lock_timeout: float = 10.0) -> None:
        self.path = path
        self._lock_timeout = lock_timeout

    def read(self) -> RoutingTable:
        """Return what the file says now."""
        return parse_routing_table(self._text(), str(self.path))

    def update(self, change: Change) -> RoutingTable:
        """Apply a pure function to the table and return the new one: one atomic file replace.

        Bytes outside the changed lines stay; nothing is written when nothing changes, so an
        update may be repeated. A result that contradicts itself, or cannot be written into this
        text, is refused with ModelsYamlError before anything is replaced.
        """
        with locked(self.path, self._lock_timeout):
            text = self._text()
            changed, table = self._changed(text, change)
            if changed != text:
                replace_atomically(self.path, changed.encode())
        return table

    def preview(self, change: Change) -> str:
        """Return what ``update(change)`` would do, as a unified diff; empty for nothing."""
        text = self._text()
        changed, _ = self._changed(text, change)
        before, after = text.splitlines(keepends=True), changed.splitlines(keepends=True)
        name = self.path.name
        return "".join(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}", n=2))

    def set_model(self, agent: str, model: str) -> RoutingTable:
        """Make ``model`` the agent's stable model. Raises UnknownAgentError."""
        return self.update(lambda table: with_model(table, agent, model))

    def set_rollout(self, agent: str, rollout: Rollout) -> RoutingTable:
        """Start or change the agent's split. Raises UnknownAgentError."""
        return self.update(lambda table: with_rollout(table, agent, rollout))

    def clear_rollout(self, agent: str) -> RoutingTable:
        """Remove the agent's split, if any. Raises UnknownAgentError."""
        return self.update(lambda table: without_rollout(table, agent))

    def add_endpoint(self, endpoint: Endpoint) -> RoutingTable:
        """Say where a model lives."""
        return self.update(lambda table: with_endpoint(table, endpoint))

    def remove_endpoint(self, model: str) -> RoutingTable:
        """Forget where a model lives, if it was listed."""
        return self.update(lambda table: without_endpoint(table, model))

    def _text(self) -> str:
        try:
            return self.path.read_bytes().decode()
        except OSError as error:
            raise ModelsYamlError(
                f"Cannot read {str(self.path)!r}: {error.strerror or error}.",
                remedy="Set CHEF_CONFIG to the folder that holds agents/models.yaml.",
            ) from error
        except UnicodeDecodeError as error:
            raise ModelsYamlError(
                f"{self.path}: byte {error.start} is not UTF-8.", remedy="Save it as UTF-8."
            ) from error

    def _changed(self, text: str, change: Change) -> tuple[str, RoutingTable]:
        """Return the text that says ``change`` of what ``text`` says, and that table."""
        before = parse_routing_table(text, str(self.path))
        after = change(before)
        if after == before:
            return text, before
        try:
            changed = apply_changes(text, to_plain(before), to_plain(after))
        except NotInPlaceError:
            changed = text
        said = parse_routing_table(changed, f"{self.path} as it would be")
        if said != after:
            raise ModelsYamlError(
                f"{self.path}: the way it is written does not let this change be spliced in.",
                remedy="Write the entries concerned in plain block style, without aliases.",
            )
        return changed, after


class RoutingTableSource:
    """The newest valid table, for readers that must not wait: ``current`` is a plain attribute.

    When the file breaks, the last good table stays, ``last_error`` says why and ``on_alert`` is
    called once per broken state of the file.
    """

    def __init__(
        self,
        path: Path,
        *,
        on_change: Callable[[RoutingTable], object] = lambda _table: None,
        on_alert: Callable[[ModelsYamlError], None] = lambda _error: None,
    ) -> None:
        """Read the file once. Raises ModelsYamlError: there is no last good table yet."""
        self._file = ModelsYaml(path)
        self._on_change = on_change
        self._on_alert = on_alert
        self._seen = self._signature()
        self.current: RoutingTable = self._file.read()
        self.last_error: ModelsYamlError | None = None

    def reload(self) -> bool:
        """Read the file if it was replaced or edited since; return whether the table changed."""
        return self._take(self._look())

    async def watch(self, stop: anyio.Event | None = None) -> None:
        """Follow the file until cancelled or ``stop`` is set. The callbacks run in this task.

        The folder is watched, because a replace gives the file a new inode. Every half second the
        file is looked at as well: a folder's watch dies with the folder, network file systems
        send no events, and the system's watches may be used up.
        """
        stop = stop or anyio.Event()
        try:
            await self._watch_folder(stop)
        except OSError:
            while not stop.is_set():
                self._take(await to_thread.run_sync(self._look))
                with anyio.move_on_after(_POLL_MS / 1000):
                    await stop.wait()

    async def _watch_folder(self, stop: anyio.Event) -> None:
        changes = awatch(
            self._file.path.resolve().parent,
            watch_filter=None,
            debounce=50,
            step=10,
            rust_timeout=_POLL_MS,
            yield_on_timeout=True,
            recursive=False,
            stop_event=stop,
        )
        async with aclosing(changes):
            async for _ in changes:
                self._take(await to_thread.run_sync(self._look))

    def _look(self) -> RoutingTable | ModelsYamlError | None:
        """Return what the file says if it is another file than before."""
        signature = self._signature()
        if signature == self._seen:
            return None
        self._seen = signature  # before reading: a write in between is then seen next time
        try:
            return self._file.read()
        except ModelsYamlError as error:
            return error

    def _take(self, found: RoutingTable | ModelsYamlError | None) -> bool:
        if isinstance(found, ModelsYamlError):
            self.last_error = found
            self._on_alert(found)
            return False
        if found is None:
            return False
        self.last_error = None
        changed = found != self.current
        if changed:
            self.current = found
            self._on_change(found)
        return changed

    def _signature(self) -> Signature | None:
        try:
            stat = self._file.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_ino, stat.st_size
