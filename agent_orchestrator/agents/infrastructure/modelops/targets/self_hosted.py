"""A server of one's own: vLLM, llama.cpp, Ollama, or whatever else speaks OpenAI's protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from agent_orchestrator.agents.infrastructure.modelops.targets import Placement
from agent_orchestrator.agents.infrastructure.modelops.targets.model_list import (
    ModelList,
    NoModelListError,
    fetch_model_list,
    no_such_model,
)
from agent_orchestrator.domain.routing import Endpoint
from agent_orchestrator.errors import ChefError, ConfigurationError, InputError


@dataclass(frozen=True, slots=True)
class _Kind:
    """A kind of server, by what it writes under ``owned_by``."""

    name: str
    remedy: str
    """How to make it serve a model under the id ``{model}``."""


_KINDS = {
    "vllm": _Kind("vLLM", "Start vLLM with --served-model-name {model}."),
    "llamacpp": _Kind("llama.cpp", "Start llama-server with --alias {model}."),
    "library": _Kind("Ollama", "Make it there: `ollama pull {model}`, or `ollama cp <name> …`."),
    "sglang": _Kind("SGLang", "Start SGLang with --served-model-name {model}."),
}
_UNKNOWN = _Kind("an OpenAI-compatible server", "Make it serve the model by that id: {model}.")


@dataclass(frozen=True, slots=True)
class _Server:
    """A server that can serve the model."""

    url: str
    kind: str
    context_tokens: int | None


class SelfHostedTarget:
    """A ``Target``: the server runs already, and must serve the model by its id.

    A key goes only where people have said in models.yaml that it belongs. To a place that a request
    names, nothing secret is sent before the request is approved: it may be anybody's.
    """

    def __init__(
        self,
        secret: Callable[[str], str | None],
        listed: Callable[[str], Endpoint | None],
    ) -> None:
        """Take the ways to look things up.

        ``secret`` gives the value of an environment variable that holds a key, ``listed`` a model's
        entry in models.yaml.
        """
        self._secret = secret
        self._listed = listed

    def plan(self, endpoint: Endpoint) -> Placement:
        """Ask each of its servers what it serves."""
        if not endpoint.endpoints:
            raise InputError(
                f"Nobody said where {endpoint.model} is served.",
                remedy="Give its server's base URL (endpoint), e.g. http://host:8000/v1.",
            )
        servers = [self._look(url, endpoint) for url in endpoint.endpoints]
        contexts = [server.context_tokens for server in servers if server.context_tokens]
        named = ", ".join(f"{server.url} ({server.kind})" for server in servers)
        return Placement(
            endpoint=endpoint,
            summary=f"It is served by {named}.",
            context_tokens=max(contexts) if len(contexts) == len(servers) else None,
            details={"servers": named},
        )

    def _look(self, url: str, endpoint: Endpoint) -> _Server:
        """Ask one server.

        One that lists no models may serve this one all the same: the checklist finds out. But
        where the list is one step further on, the URL was cut short.
        """
        key_name = endpoint.api_key_env
        trusted = self._listed(endpoint.model) == endpoint
        key = self._secret(key_name) if key_name and trusted else None
        try:
            found = fetch_model_list(url, key, key_name)
        except ConfigurationError:
            if trusted or key_name is None:
                raise
            return _Server(url, f"which will be shown the key in {key_name}", None)
        except NoModelListError as error:
            longer = f"{url.rstrip('/')}/v1"
            if _lists_models(longer, key):
                error.remedy = f"Its models are listed at {longer}: give that as its base URL."
                raise
            return _Server(url, "which lists no models", None)
        kind = _kind(found)
        entry = _entry(found, endpoint.model, kind)
        return _Server(url, kind.name, _context(entry))

    @asynccontextmanager
    async def ready(self, placement: Placement) -> AsyncIterator[Endpoint]:
        """Give it: the server runs."""
        yield placement.endpoint


def _lists_models(url: str, key: str | None) -> bool:
    try:
        fetch_model_list(url, key, None)
    except ChefError:
        return False
    return True


def _kind(found: ModelList) -> _Kind:
    """Tell the kind of server by what it says of itself.

    Ollama writes a model's namespace under ``owned_by``, ``library`` for its own; nobody else's
    ids end in ``:latest``.
    """
    owners = {str(entry.get("owned_by", "")).lower() for entry in found.models.values()}
    if found.server.startswith("llama.cpp"):
        return _KINDS["llamacpp"]
    if any(model.endswith(":latest") for model in found.models):
        return _KINDS["library"]
    return next((kind for owner, kind in _KINDS.items() if owner in owners), _UNKNOWN)


def _entry(found: ModelList, model: str, kind: _Kind) -> Mapping[str, Any]:
    """Return the model's entry.

    Ollama means ``:latest`` by a name without a tag; llama.cpp lists further names of a model.
    """
    entry = found.models.get(model) or found.models.get(f"{model}:latest")
    if entry is None:
        also = (other for other in found.models.values() if model in (other.get("aliases") or ()))
        entry = next(also, None)
    if entry is None:
        where = f"{found.base_url} ({kind.name})"
        remedy = kind.remedy.format(model=model)
        raise no_such_model(model, list(found.models), where, remedy)
    return entry


def _context(entry: Mapping[str, Any]) -> int | None:
    """Return the context that vLLM, SGLang or llama.cpp names, in tokens."""
    meta = entry.get("meta")
    lengths = meta if isinstance(meta, dict) else {}
    found = entry.get("max_model_len") or lengths.get("n_ctx") or lengths.get("n_ctx_train")
    return found if isinstance(found, int) else None
