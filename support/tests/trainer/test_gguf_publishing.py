"""What lies beside a GGUF file: chat template, Modelfile, model card, usage."""

import re
from pathlib import Path
from typing import Any

import pytest

from agent_orchestrator.trainer.gguf.convert import stage
from agent_orchestrator.trainer.gguf.publishing import Manners, model_card, modelfile, usage
from agent_orchestrator.trainer.gguf.spec import GgufSpec
from agent_orchestrator.trainer.gguf.template import compile_template
from agent_orchestrator.trainer.gguf.turns import read_turns
from agent_orchestrator.trainer.spec import ModelCard
from agent_orchestrator.trainer.tiny_base import CHAT_TEMPLATE

CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou help.<|im_end|>\\n' }}{% endif %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
#: Puts the system message into the first user turn, refuses what does not take turns.
MERGING = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{% set system = messages[0]['content'] %}{% set rest = messages[1:] %}"
    "{% else %}{% set system = '' %}{% set rest = messages %}{% endif %}"
    "{% for message in rest %}{% if message['role'] == 'system' %}"
    "{{ raise_exception('system comes first') }}{% endif %}"
    "{% if message['role'] == 'user' %}[INST] {% if loop.index0 == 0 %}{{ system }}{% endif %}"
    "{{ message['content'] }} [/INST]{% else %}{{ message['content'] }}{{ eos_token }}{% endif %}"
    "{% endfor %}"
)
PLAIN = re.sub(r"\{% (end)?generation %\}", "", CHAT_TEMPLATE)
SPECIAL = {"bos_token": "<s>", "eos_token": "<|end|>"}


def spec(**changes: Any) -> GgufSpec:
    """Return a conversion's specification."""
    given = {
        "protocol": 1,
        "job_id": "job_1",
        "model": "/models/one",
        "name": "one",
        "quantization": "Q4_K_M",
        "output_dir": "/out/one",
        "llama_cpp": "/llama.cpp",
    }
    return GgufSpec(**{**given, **changes})


def manners(template: str) -> Manners:
    """Return how a model with this template is asked."""
    return Manners(
        turns=read_turns(template, SPECIAL),
        stops=["<|end|>"],
        generation={"temperature": 0.7, "do_sample": True, "repetition_penalty": 1.1},
        context_tokens=1024,
    )


def test_a_template_of_turns_is_taken_apart():
    """The texts around each role's content, and what asks for the answer."""
    turns = read_turns(PLAIN, SPECIAL)
    assert turns.around == {
        role: (f"<|{role}|>", "<|end|>") for role in ("system", "user", "assistant")
    }
    assert turns.opening == "<|assistant|>"
    assert turns.default_system is None


def test_a_default_system_message_is_found():
    """What a template says for a conversation without a system message is kept."""
    turns = read_turns(CHATML, SPECIAL)
    assert turns.default_system == "You help."
    messages = [{"role": "user", "content": "Hi"}]
    asked = compile_template(CHATML).render(messages=messages, add_generation_prompt=True)
    assert turns.render(messages) == asked


@pytest.mark.parametrize("template", [MERGING, "{{ messages[0]['content'] }}", "no {% turns"])
def test_a_template_that_does_more_has_no_turns(template: str):
    """Merged or missing turns, or no template at all, cannot be said in Ollama's language."""
    assert read_turns(template, SPECIAL) is None


def test_the_modelfile_says_template_stops_and_parameters():
    """Ollama reads the file, how to ask, where to stop and how to sample."""
    assert modelfile("one.Q4_K_M.gguf", manners(CHATML)).splitlines() == [
        "FROM ./one.Q4_K_M.gguf",
        'TEMPLATE """{{ range .Messages }}{{ if eq .Role "system" }}<|im_start|>system',
        "{{ .Content }}<|im_end|>",
        '{{ else if eq .Role "user" }}<|im_start|>user',
        "{{ .Content }}<|im_end|>",
        '{{ else if eq .Role "assistant" }}<|im_start|>assistant',
        "{{ .Content }}<|im_end|>",
        "{{ end }}{{ end }}<|im_start|>assistant",
        '"""',
        'SYSTEM """You help."""',
        'PARAMETER stop "<|end|>"',
        "PARAMETER temperature 0.7",
        "PARAMETER repeat_penalty 1.1",
        "PARAMETER num_ctx 1024",
    ]


def test_a_template_that_ollama_cannot_say_stays_in_the_file():
    """The Modelfile says so and invents none."""
    text = modelfile("one.Q4_K_M.gguf", manners(MERGING))
    assert "TEMPLATE" not in text
    assert "The chat template stays in the GGUF file" in text


def test_the_card_names_the_parent_and_how_to_use_it():
    """The Hub reads the relation; people read commands without a path of this machine."""
    published = spec(
        hub_repo="acme/one-GGUF",
        model_card=ModelCard(base_model="acme/one", license="mit"),
    )
    commands = usage(published, Path(), "one.Q4_K_M.gguf", manners(CHATML))
    card = model_card(published, {"one.Q4_K_M.gguf": 1000}, commands)
    assert 'base_model: "acme/one"\nbase_model_relation: "quantized"\nlicense: "mit"' in card
    assert "llama-server --model one.Q4_K_M.gguf --jinja --ctx-size 1024" in card
    assert "ollama run hf.co/acme/one-GGUF:Q4_K_M" in card
    assert "lms get acme/one-GGUF@q4_k_m" in card
    assert "/out" not in card


def test_training_only_tags_become_comments(tmp_path: Path):
    """Engines that do not know ``{% generation %}`` render the staged template to the same text."""
    source, target = tmp_path / "source", tmp_path / "work" / "model"
    source.mkdir()
    (source / "chat_template.jinja").write_text(CHAT_TEMPLATE.replace("% gen", "%- gen"))
    (source / "model.safetensors").write_bytes(b"weights")
    stage(source, target)
    text = (target / "chat_template.jinja").read_text()
    assert "{#- generation #}" in text
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Ho"}]
    assert (
        compile_template(text).render(messages=messages)
        == "<|user|>Hi<|end|><|assistant|>Ho<|end|>"
    )
    assert (target / "model.safetensors").read_bytes() == b"weights"
