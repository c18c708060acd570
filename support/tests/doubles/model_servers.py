"""Servers of models as they really answer: vLLM, llama.cpp, Ollama, OpenRouter.

Each lists its models in its own shape, refuses in its own words what it would refuse, and asks for
a key when it has one. What it says to an ordinary request is ``OpenAIServer``'s script.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from tests.doubles.openai_server import OpenAIServer

Kind = Literal["vllm", "llamacpp", "ollama", "openrouter"]


@dataclass
class ModelServer(OpenAIServer):
    """A server of one kind that serves ``models``."""

    kind: Kind = "vllm"
    key: str | None = None
    """What it wants as a bearer token."""
    context: int = 4096
    """What its models can read, in words."""
    list_status: int = 200
    """Status of ``GET /v1/models``."""
    list_latency: float = 0.0
    """Before that is answered, seconds."""
    keys: list[str | None] = field(default_factory=list)
    """What it was shown when it was asked for the list."""
    lists: int = 0
    """How often it was asked for the list."""

    async def _list(self, request: web.Request) -> web.Response:
        self.lists += 1
        self.keys.append(request.headers.get("Authorization"))
        await asyncio.sleep(self.list_latency)
        if (refused := self._refuse_key(request)) is not None:
            return refused
        if self.list_status != 200:
            return web.Response(status=self.list_status, text="<html>Not here</html>")
        headers = {"Server": "llama.cpp"} if self.kind == "llamacpp" else {}
        entries = [self._entry(model) for model in self.models]
        document: dict[str, Any] = {"object": "list", "data": entries}
        if self.kind == "ollama" and not entries:
            document["data"] = None
        return web.json_response(document, headers=headers)

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refuse_key(request)) is not None:
            return refused
        body = await request.json()
        if body["model"] not in self._names() and self.kind != "llamacpp":
            return self._error(self._unknown_status(), f"model {body['model']!r} not found")
        words = sum(len(str(message.get("content")).split()) for message in body["messages"])
        if words > self.context and self.kind != "ollama":  # that one cuts the prompt off
            limit = f"This model's maximum context length is {self.context} tokens."
            return self._error(400, limit)
        return await super()._complete(request)

    def _names(self) -> set[str]:
        names = set(self.models)
        if self.kind == "ollama":
            names |= {model.removesuffix(":latest") for model in self.models}
        return names

    def _unknown_status(self) -> int:
        return 400 if self.kind == "openrouter" else 404

    def _refuse_key(self, request: web.Request) -> web.Response | None:
        if self.key is None or request.headers.get("Authorization") == f"Bearer {self.key}":
            return None
        return self._error(401, "Unauthorized")

    def _error(self, status: int, message: str) -> web.Response:
        error: Mapping[str, Any]
        if self.kind == "vllm":
            kind = {404: "NotFoundError", 400: "BadRequestError", 401: "Unauthorized"}[status]
            error = {"message": message, "type": kind, "param": None, "code": status}
        elif self.kind == "llamacpp":
            error = {"code": status, "message": message, "type": "exceed_context_size_error"}
        elif self.kind == "ollama":
            error = {"message": message, "type": "not_found_error", "param": None, "code": None}
        else:
            error = {"message": message, "code": status}
        return web.json_response({"error": error}, status=status)

    def _entry(self, model: str) -> dict[str, Any]:
        head: dict[str, Any] = {"id": model, "object": "model", "created": 1_763_000_000}
        if self.kind == "vllm":
            return {
                **head,
                "owned_by": "vllm",
                "root": model,
                "parent": None,
                "max_model_len": self.context,
                "permission": [{"id": "modelperm-1", "object": "model_permission"}],
            }
        if self.kind == "llamacpp":
            meta = {"vocab_type": 2, "n_vocab": 32000, "n_ctx_train": self.context, "n_embd": 128}
            names = {"aliases": [f"{model}-alias"], "tags": []}
            return {**head, **names, "owned_by": "llamacpp", "meta": meta}
        if self.kind == "ollama":
            namespace, slash, _ = model.rpartition("/")
            return {**head, "owned_by": namespace if slash else "library"}
        return {
            "id": model,
            "canonical_slug": model,
            "name": model,
            "created": 1_763_000_000,
            "context_length": self.context,
            "architecture": {"modality": "text->text", "tokenizer": "Other"},
            "pricing": {"prompt": "0.0000005", "completion": "0.0000015", "request": "0"},
            "top_provider": {"context_length": self.context, "max_completion_tokens": 1024},
            "supported_parameters": ["max_tokens", "temperature", "response_format"],
        }
