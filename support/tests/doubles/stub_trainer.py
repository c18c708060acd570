"""Stands in for the trainer's interpreter: speaks its protocols without an engine, in no time.

``python stub_trainer.py SCENARIO.json -m MODULE …`` is the worker for ``…trainer JOB_DIR`` and
``…trainer.gguf JOB_DIR``, and the model server for ``…trainer.model_server``. The scenario:
``steps``, ``seconds`` between two steps after the first ``hurried`` ones, ``losses`` of the steps,
``failure`` (written instead of a manifest), ``answer`` of the served models; ``best_rate``, the
learning rate of which the validation loss is the distance; ``broken``, the last line of an
interpreter's traceback that has no engine, and its ``gpus``. Like the worker it goes on where it
was cut off.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import web


def main() -> int:
    """Be the module that is asked for."""
    scenario = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    module, arguments = sys.argv[3], sys.argv[4:]
    if module == "agent_orchestrator.trainer":
        return train(Path(arguments[0]), scenario)
    if module == "agent_orchestrator.trainer.gguf":
        return train(Path(arguments[0]), scenario, write=write_gguf)
    if module == "agent_orchestrator.trainer.probe":
        return probe(scenario)
    asyncio.run(serve(arguments, scenario))
    return 0


def write_safetensors(_spec: dict[str, Any], output: Path) -> dict[str, Any]:
    """Write an artifact of one weight."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    weights = struct.pack("<Q", len(header)) + header + bytes(4)
    (output / "model.safetensors").write_bytes(weights)
    (output / "config.json").write_text("{}", encoding="utf-8")
    return {}


def write_gguf(spec: dict[str, Any], output: Path) -> dict[str, Any]:
    """Write what a conversion writes; return what its manifest says more."""
    file = f"{spec['name']}.{spec['quantization']}.gguf"
    for name in (file, "Modelfile", "README.md"):
        (output / name).write_text(f"GGUF {name}\n", encoding="utf-8")
    return {
        "file": file,
        "quantization": spec["quantization"],
        "parameters": 1,
        "source_bytes": 100,
        "tokenizer_checks": {"equal": 6, "texts": 6},
        "ollama_template": True,
        "usage": {
            "llama.cpp": f"llama-server --model {file}",
            "ollama": f"ollama create {spec['name']} -f Modelfile && ollama run {spec['name']}",
            "lm_studio": f"lms import {file}",
        },
    }


def train(
    folder: Path,
    scenario: dict[str, Any],
    write: Callable[[dict[str, Any], Path], dict[str, Any]] = write_safetensors,
) -> int:
    """Write what the worker writes."""

    def event(name: str, message: str, **values: Any) -> None:
        line = {"at": time.time(), "event": name, "message": message, **values}
        with (folder / "progress.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def cancel(*_: object) -> None:
        event("cancelled", "cancelled on request")
        os._exit(143)

    signal.signal(signal.SIGTERM, cancel)
    event("started", "starting", pid=os.getpid())
    steps, losses = scenario["steps"], scenario.get("losses")
    (folder / "tensorboard").mkdir(exist_ok=True)
    events = folder / "tensorboard" / "events.out.tfevents.1"
    for step in range(last_step(folder) + 1, steps + 1):
        if step > scenario.get("hurried", 0):
            time.sleep(scenario["seconds"])
        left = scenario["seconds"] * (steps - step)
        loss = losses[step - 1] if losses else 2.0 / step
        print(f"step {step}: loss {loss}", flush=True)
        event("step", "training", step=step, total_steps=steps, loss=loss, eta_seconds=left)
        with events.open("ab") as stream:
            stream.write(b"%d\n" % step)
    if scenario["failure"]:
        (folder / "failure.json").write_text(json.dumps(scenario["failure"]), encoding="utf-8")
        return 1
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    output = Path(spec["output_dir"])
    output.mkdir(parents=True)
    more = write(spec, output)
    manifest = {
        "protocol": 1,
        "status": "completed",
        "weights_sha256": "ab" * 32,
        "output_dir": str(output),
        "files": [
            {
                "path": path.name,
                "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                "bytes": path.stat().st_size,
            }
            for path in sorted(output.iterdir())
        ],
        **more,
    }
    if spec.get("dataset", {}).get("validation"):
        rate = spec["hyperparameters"]["learning_rate"]
        manifest["metrics"] = {"validation_loss": abs(rate - scenario.get("best_rate", 0.0))}
    event("completed", "completed")
    (folder / ".manifest").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / ".manifest").rename(folder / "manifest.json")
    return 0


def probe(scenario: dict[str, Any]) -> int:
    """Say what the interpreter can train with, or fail as an import does."""
    if "broken" in scenario:
        sys.stderr.write(f"Traceback (most recent call last):\n{scenario['broken']}\n")
        return 1
    print(json.dumps({"engine": {"torch": "2.0", "trl": "1.0"}, "gpus": scenario.get("gpus", [])}))
    return 0


def last_step(folder: Path) -> int:
    """Return the step that a job had come to when it was cut off; 0 for a new one."""
    path = folder / "progress.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return max((json.loads(line).get("step", 0) for line in lines), default=0)


async def serve(arguments: list[str], scenario: dict[str, Any]) -> None:
    """Answer every request with the scenario's answer."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--artifacts", type=Path)
    parser.add_argument("--socket", type=Path)
    parser.add_argument("--with-parent", action="store_true")
    parser.add_argument("--llama-cpp", type=Path)
    options = parser.parse_args(arguments)

    async def complete(request: web.Request) -> web.Response:
        body = await request.json()
        await asyncio.sleep(scenario["seconds"])
        message = {"role": "assistant", "content": scenario["answer"]}
        return web.json_response(
            {
                "id": "chatcmpl-1",
                "object": "chat.completion",
                "created": 1,
                "model": body["model"],
                "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": 2, "total_tokens": 12},
            }
        )

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    app = web.Application()
    app.router.add_post("/v1/chat/completions", complete)
    app.router.add_get("/health", health)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    if options.with_parent:

        def wait() -> None:
            while os.read(0, 1024):
                pass
            loop.call_soon_threadsafe(stop.set)

        threading.Thread(target=wait, daemon=True).start()
    options.socket.parent.mkdir(parents=True, exist_ok=True)
    options.socket.unlink(missing_ok=True)
    await web.UnixSite(runner, str(options.socket)).start()
    await stop.wait()
    await runner.cleanup()
    options.socket.unlink(missing_ok=True)


if __name__ == "__main__":
    sys.exit(main())
