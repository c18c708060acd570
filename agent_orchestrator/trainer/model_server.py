"""The local model server: OpenAI's chat completions over a unix socket, for finished artifacts.

``python -m agent_orchestrator.trainer.model_server --artifacts DIR --socket PATH``. A GGUF file is
run by llama.cpp (``--llama-cpp DIR``), everything else by torch. The socket
belongs to the user who started it (mode 0600): the operating system is the authentication, and no
port is taken. A model id ``owner/name`` means the folder ``DIR/owner/name``; nothing else can be
loaded, and only safetensors and GGUF. One JSON line on stdout says that it is ready.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
import threading
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from aiohttp import web

from agent_orchestrator.trainer.generation import (
    Artifacts,
    BadPromptError,
    Decoder,
    Generation,
    LoadedModel,
    LoadGguf,
    ModelNotFoundError,
    PromptTooLongError,
    Update,
)

_MAX_BODY: Final = 8 * 1024 * 1024
_DEFAULT_MAX_TOKENS: Final = 256
_SHUTDOWN_SECONDS: Final = 5.0
_MISCONFIGURED: Final = 2
"""Exit status that says: starting it again will not help."""


class RefusedError(Exception):
    """A request that gets an error in OpenAI's form."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def response(self) -> web.Response:
        """Return the error as a response."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"  # noqa: PLR2004
        error = {"message": str(self), "type": kind, "code": self.code, "param": None}
        headers = {"Retry-After": "1"} if self.status == 503 else {}  # noqa: PLR2004
        return web.json_response({"error": error}, status=self.status, headers=headers)


class Answers(Protocol):
    """What answers: ``Decoder``."""

    def submit(self, generation: Generation) -> bool:
        """Queue a request; False when the queue is full."""


def create_app(artifacts: Artifacts, answers: Answers) -> web.Application:
    """Return the server's application."""
    app = web.Application(client_max_size=_MAX_BODY, middlewares=[_errors])
    server = _Server(artifacts, answers)
    app.router.add_post("/v1/chat/completions", server.chat_completions)
    app.router.add_get("/v1/models", server.models)
    app.router.add_get("/health", server.health)
    return app


@web.middleware
async def _errors(request: web.Request, handler: Any) -> web.StreamResponse:
    try:
        response: web.StreamResponse = await handler(request)
    except RefusedError as refused:
        response = refused.response()
    return response


class _Server:
    def __init__(self, artifacts: Artifacts, answers: Answers) -> None:
        self._artifacts = artifacts
        self._answers = answers

    async def health(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def models(self, _request: web.Request) -> web.Response:
        data = [
            {"id": name, "object": "model", "created": 0, "owned_by": name.split("/")[0]}
            for name in self._artifacts.names()
        ]
        return web.json_response({"object": "list", "data": data})

    async def chat_completions(self, request: web.Request) -> web.StreamResponse:
        body = await _read(request)
        head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": body["model"],
        }
        async with contextlib.aclosing(self._start(body)) as updates:
            if not body.get("stream"):
                return await _whole(updates, head)
            options = body.get("stream_options") or {}
            return await _stream(request, updates, head, usage=bool(options.get("include_usage")))

    def _start(self, body: dict[str, Any]) -> AsyncGenerator[Update]:
        """Queue a generation and return its pieces. Raises RefusedError."""
        try:
            self._artifacts.folder(body["model"])
        except ModelNotFoundError as error:
            raise RefusedError(404, str(error), "model_not_found") from None
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[Update | Exception] = asyncio.Queue()

        def emit(piece: Update | Exception) -> None:
            loop.call_soon_threadsafe(pieces.put_nowait, piece)

        stop = body.get("stop") or ()
        generation = Generation(
            model=body["model"],
            messages=body["messages"],
            max_tokens=body.get("max_completion_tokens")
            or body.get("max_tokens")
            or _DEFAULT_MAX_TOKENS,
            temperature=1.0 if body.get("temperature") is None else float(body["temperature"]),
            stop=(stop,) if isinstance(stop, str) else tuple(stop),
            seed=body.get("seed"),
            emit=emit,
        )
        if not self._answers.submit(generation):
            raise RefusedError(503, "Too many requests wait.", "overloaded")
        return _pieces(generation, pieces)


async def _pieces(
    generation: Generation, pieces: asyncio.Queue[Update | Exception]
) -> AsyncGenerator[Update]:
    """Yield the pieces up to the last; leaving early cancels the generation."""
    try:
        while True:
            piece = await pieces.get()
            if isinstance(piece, PromptTooLongError):
                raise RefusedError(400, str(piece), "context_length_exceeded")
            if isinstance(piece, BadPromptError):
                raise RefusedError(400, str(piece), "invalid_value")
            if isinstance(piece, Exception):
                raise RefusedError(500, f"{type(piece).__name__}: {piece}", "failed")
            yield piece
            if piece.finish is not None:
                return
    finally:
        generation.cancelled.set()


async def _whole(updates: AsyncIterator[Update], head: dict[str, Any]) -> web.Response:
    text = ""
    async for update in updates:
        text += update.text
        last = update
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": last.finish,
    }
    answer = {**head, "object": "chat.completion", "choices": [choice], "usage": _usage(last)}
    return web.json_response(answer)


async def _stream(
    request: web.Request, updates: AsyncIterator[Update], head: dict[str, Any], *, usage: bool
) -> web.StreamResponse:
    response: web.StreamResponse | None = None
    chunk = {**head, "object": "chat.completion.chunk"}
    async for update in updates:
        if response is None:  # an error before the first piece is still an HTTP error
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            await _send(response, chunk, {"role": "assistant", "content": ""})
        if update.text:
            await _send(response, chunk, {"content": update.text})
        if update.finish is not None:
            await _send(response, chunk, {}, finish=update.finish)
            if usage:
                await _write(response, {**chunk, "choices": [], "usage": _usage(update)})
    if response is None:
        raise RefusedError(500, "The model gave nothing.", "failed")
    await response.write(b"data: [DONE]\n\n")
    await response.write_eof()
    return response


async def _send(
    response: web.StreamResponse,
    chunk: dict[str, Any],
    delta: dict[str, str],
    finish: str | None = None,
) -> None:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    await _write(response, {**chunk, "choices": [choice]})


async def _write(response: web.StreamResponse, event: dict[str, Any]) -> None:
    await response.write(f"data: {json.dumps(event)}\n\n".encode())


def _usage(update: Update) -> dict[str, int]:
    return {
        "prompt_tokens": update.prompt_tokens,
        "completion_tokens": update.completion_tokens,
        "total_tokens": update.prompt_tokens + update.completion_tokens,
    }


async def _read(request: web.Request) -> dict[str, Any]:
    """Return the request's body. Raises RefusedError that names the key."""
    try:
        body = await request.json()
    except ValueError:
        raise RefusedError(400, "The body is not JSON.", "bad_json") from None
    if not isinstance(body, dict):
        raise RefusedError(400, "The body is not a JSON object.", "bad_json")
    messages = body.get("messages")
    rules = (
        ("model", isinstance(body.get("model"), str), "the id of a model"),
        ("messages", _are_messages(messages), "a list of {role, content}"),
        ("max_tokens", _is_count(body.get("max_tokens")), "a whole number above 0"),
        (
            "max_completion_tokens",
            _is_count(body.get("max_completion_tokens")),
            "a whole number above 0",
        ),
        ("seed", body.get("seed") is None or type(body["seed"]) is int, "a whole number"),
        ("stop", _are_stops(body.get("stop")), "a text or a list of texts"),
        ("stream_options", isinstance(body.get("stream_options") or {}, dict), "an object"),
        ("temperature", _is_temperature(body.get("temperature")), "a number from 0 to 2"),
        ("stream", body.get("stream") in (None, True, False), "true or false"),
        ("n", body.get("n") in (None, 1), "1"),
        # What would change the answer and is not built is refused, not ignored.
        ("top_p", body.get("top_p") in (None, 1), "1"),
        ("tools", not body.get("tools"), "left out"),
        ("logprobs", not body.get("logprobs"), "left out"),
        ("response_format", body.get("response_format") in (None, {"type": "text"}), "text"),
    )
    for key, holds, wanted in rules:
        if not holds:
            text = f"{key} is {body.get(key)!r}; it must be {wanted}."
            raise RefusedError(400, text[:500], "invalid_value")
    return body


def _are_messages(messages: Any) -> bool:
    return (
        isinstance(messages, list)
        and bool(messages)
        and all(
            isinstance(m, dict)
            and isinstance(m.get("role"), str)
            and isinstance(m.get("content"), str)
            for m in messages
        )
    )


def _are_stops(value: Any) -> bool:
    stops = value if isinstance(value, list) else [value]
    return value is None or all(isinstance(stop, str) and stop for stop in stops)


def _is_count(value: Any) -> bool:
    return value is None or (type(value) is int and value > 0)


def _is_temperature(value: Any) -> bool:
    return value is None or (type(value) in {int, float} and 0 <= value <= 2)  # noqa: PLR2004


def gguf_loader(llama_cpp: Path, threads: int | None) -> LoadGguf:
    """Return what opens GGUF files with the llama.cpp of a folder, which is loaded only then."""

    def load(file: Path) -> LoadedModel:
        from agent_orchestrator.trainer.gguf.loaded import GgufModel

        wanted = threads or int(os.environ.get("OMP_NUM_THREADS", "0"))
        return GgufModel(llama_cpp / "lib", file, threads=wanted or os.cpu_count() or 1)

    return load


async def serve(
    artifacts: Artifacts, answers: Answers, address: Path, *, with_parent: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT. Raises OSError when the socket cannot be had.

    ``with_parent`` also ends it with standard input: with whoever started it and holds the other
    end of that pipe, however that one ends.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if with_parent:
        at_end = partial(loop.call_soon_threadsafe, stop.set)
        threading.Thread(target=_wait_for_parent, args=(at_end,), daemon=True).start()
    with _owned(address):
        runner = web.AppRunner(
            create_app(artifacts, answers),
            handler_cancellation=True,
            access_log=None,
            shutdown_timeout=_SHUTDOWN_SECONDS,
        )
        await runner.setup()
        before = os.umask(0o177)
        try:
            await web.UnixSite(runner, str(address)).start()
        finally:
            os.umask(before)
        sys.stdout.write(json.dumps({"event": "ready", "socket": str(address)}) + "\n")
        sys.stdout.flush()
        await stop.wait()
        await runner.cleanup()


def _wait_for_parent(at_end: Callable[[], object]) -> None:
    while os.read(sys.stdin.fileno(), _MAX_BODY):
        pass
    at_end()


@contextlib.contextmanager
def _owned(address: Path) -> Iterator[None]:
    """Own the socket's path. Raises OSError when another server does.

    By a lock, which the kernel gives back when its holder dies: what then lies at the path is of a
    server that was killed.
    """
    address.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with address.with_name(f".{address.name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FileExistsError(f"A model server listens on {address} already.") from None
        address.unlink(missing_ok=True)
        yield
        address.unlink(missing_ok=True)


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="model_server", description=__doc__)
    parser.add_argument("--artifacts", type=Path, required=True, help="folder of owner/name/")
    parser.add_argument("--socket", type=Path, required=True, help="path of the unix socket")
    parser.add_argument("--threads", type=int, help="CPU threads of a model")
    parser.add_argument("--llama-cpp", type=Path, help="folder that `make setup-gguf` filled")
    parser.add_argument("--with-parent", action="store_true", help="end when standard input ends")
    arguments = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if arguments.threads is not None:
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    try:
        artifacts = Artifacts(arguments.artifacts)
        llama_cpp = arguments.llama_cpp
        load_gguf = gguf_loader(llama_cpp, arguments.threads) if llama_cpp else None
        answers = Decoder(artifacts, load_gguf=load_gguf)
        asyncio.run(serve(artifacts, answers, arguments.socket, with_parent=arguments.with_parent))
    except OSError as error:
        sys.stderr.write(f"model server: {error}\n")
        return _MISCONFIGURED
    return 0


if __name__ == "__main__":
    sys.exit(main())
