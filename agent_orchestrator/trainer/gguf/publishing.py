"""What lies beside the GGUF file: Ollama's Modelfile, the model card, and how to use it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent_orchestrator.trainer.gguf.spec import GgufSpec
from agent_orchestrator.trainer.gguf.turns import Turns

#: Names in generation_config.json → in a Modelfile.
_PARAMETERS: Final = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repeat_penalty",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Manners:
    """How the model wants to be asked."""

    turns: Turns | None
    """None when the chat template is more than fixed texts around turns."""
    stops: Sequence[str]
    """Texts that end an answer."""
    generation: Mapping[str, Any]
    """generation_config.json."""
    context_tokens: int


def modelfile(file: str, manners: Manners) -> str:
    """Return Ollama's Modelfile for the GGUF ``file`` beside it."""
    lines = [f"FROM ./{file}"]
    template = _go_template(manners.turns) if manners.turns else None
    if template is None:
        lines.append("# The chat template stays in the GGUF file: it is more than fixed texts.")
    else:
        lines.append(f'TEMPLATE """{template}"""')
        system = manners.turns.default_system if manners.turns else None
        if system:
            lines.append(f'SYSTEM """{system}"""')
    lines += [f"PARAMETER stop {json.dumps(stop, ensure_ascii=False)}" for stop in manners.stops]
    for name, ours in _PARAMETERS.items():
        value = manners.generation.get(name)
        if value is not None:
            lines.append(f"PARAMETER {ours} {value}")
    lines.append(f"PARAMETER num_ctx {manners.context_tokens}")
    return "\n".join(lines) + "\n"


def _go_template(turns: Turns) -> str | None:
    """Return the turns in the language of Go's text/template; None when they cannot be said."""
    texts = [*(text for pair in turns.around.values() for text in pair), turns.opening]
    if any("{{" in text or '"""' in text for text in (*texts, turns.default_system or "")):
        return None
    roles = [
        f'{{{{ {"if" if at == 0 else "else if"} eq .Role "{role}" }}}}'
        f"{before}{{{{ .Content }}}}{after}"
        for at, (role, (before, after)) in enumerate(turns.around.items())
    ]
    return f"{{{{ range .Messages }}}}{''.join(roles)}{{{{ end }}}}{{{{ end }}}}{turns.opening}"


def usage(spec: GgufSpec, folder: Path, file: str, manners: Manners) -> dict[str, str]:
    """Return how to run the ``file`` of ``folder``, by program."""
    name = f"{spec.name}:{spec.quantization}".lower()
    path, instructions = shlex.quote(str(folder / file)), shlex.quote(str(folder / "Modelfile"))
    llama = f"llama-server --model {path} --jinja --ctx-size {manners.context_tokens}"
    ollama = f"ollama create {name} -f {instructions} && ollama run {name}"
    lms = f"lms import {path}"
    if spec.hub_repo is not None:
        repo, kind = spec.hub_repo, spec.quantization
        llama += f"\nllama-server -hf {repo}:{kind} --jinja"
        ollama += f"\nollama run hf.co/{repo}:{kind}"
        lms += f"\nlms get {repo}@{kind.lower()}"
    return {"llama.cpp": llama, "ollama": ollama, "lm_studio": lms}


def model_card(spec: GgufSpec, files: Mapping[str, int], commands: Mapping[str, str]) -> str:
    """Return README.md: front matter as the Hub reads it, then the files and how to use them.

    Values are written as JSON, which YAML contains.
    """
    card = spec.model_card
    base = card.base_model or Path(spec.model).name
    matter: dict[str, Any] = {
        "library_name": "gguf",
        "pipeline_tag": "text-generation",
        "base_model": base,
        "base_model_relation": "quantized",
        "license": card.license,
        "tags": ["gguf", "llama.cpp", spec.quantization, *card.tags],
    }
    front = "\n".join(f"{key}: {json.dumps(value)}" for key, value in matter.items() if value)
    rows = "\n".join(f"| `{name}` | {size:,} |" for name, size in files.items())
    ways = "\n\n".join(f"{way}:\n\n```\n{text}\n```" for way, text in commands.items())
    return (
        f"---\n{front}\n---\n\n# {card.title or f'{spec.name} {spec.quantization} (GGUF)'}\n\n"
        f"{card.description or f'{base}, converted by llama.cpp to {spec.quantization}.'}\n\n"
        f"| File | Bytes |\n|---|---|\n{rows}\n\n{ways}\n"
    )
