"""A base model made on the spot: tokenizer and a tiny Llama, pre-trained on the corpus.

For demonstrations and tests on machines without network: ``python -m
agent_orchestrator.trainer.tiny_base --corpus train.jsonl --output DIR``. The corpus is JSON lines
with ``text``, or training rows, of which only the prompts are read: the base has seen the kind of
text, but no answer.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from agent_orchestrator.trainer.artifact import appearing, save_weights
from agent_orchestrator.trainer.rows import parse_row

END: Final = "<|end|>"
PAD: Final = "<|pad|>"
WINDOW: Final = 128
"""Tokens of one pre-training example."""
ROLES: Final = ("<|system|>", "<|user|>", "<|assistant|>")
CHAT_TEMPLATE: Final = (
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' }}"
    "{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}"
    "{% else %}{{ message['content'] + '<|end|>' }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Size of the model."""

    vocabulary: int = 1024
    hidden: int = 96
    layers: int = 2
    heads: int = 4
    intermediate: int = 256
    positions: int = 1024


def make_tiny_base(
    corpus: list[str],
    output: Path,
    *,
    shape: Shape,
    seed: int,
    steps: int,
    batch_size: int = 32,
    learning_rate: float = 3e-3,
) -> dict[str, Any]:
    """Write a base model to ``output`` (which must not exist) and return what was measured.

    ``steps`` optimizer steps of next-token prediction on the corpus; 0 leaves the weights random.
    Raises Refused when ``output`` exists.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed

    set_seed(seed)
    started = time.monotonic()
    tokenizer = train_tokenizer(corpus, shape.vocabulary)
    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        max_position_embeddings=shape.positions,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    losses = pretrain(
        model,
        tokenizer,
        corpus,
        steps=steps,
        batch_size=batch_size,
        learning_rate=learning_rate,
        seed=seed,
    )
    with appearing(output, f"seed{seed}") as partial:
        save_weights(model, tokenizer, partial)
    return {
        "output": str(output),
        "parameters": sum(p.numel() for p in model.parameters()),
        "steps": steps,
        "loss_first": losses[0] if losses else None,
        "loss_final": losses[-1] if losses else None,
        "seconds": time.monotonic() - started,
        "threads": torch.get_num_threads(),
    }


def train_tokenizer(corpus: list[str], vocabulary: int) -> Any:
    """Return a byte-level BPE tokenizer with the chat template."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END, *ROLES],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=PAD)
    fast.chat_template = CHAT_TEMPLATE
    return fast


def pretrain(
    model: Any,
    tokenizer: Any,
    corpus: list[str],
    *,
    steps: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> list[float]:
    """Teach ``model`` the next token of the corpus; returns the loss of each step."""
    import torch

    end = tokenizer.eos_token_id
    ids = [token for text in tokenizer(corpus).input_ids for token in (*text, end)]
    stream = torch.tensor(ids)
    window = min(WINDOW, len(ids) // 2)
    drawn = random.Random(seed)  # noqa: S311
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=max(steps, 1)
    )
    losses = []
    for _ in range(steps):
        starts = [drawn.randrange(len(ids) - window) for _ in range(batch_size)]
        batch = torch.stack([stream[start : start + window] for start in starts])
        loss = model(input_ids=batch, labels=batch).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        losses.append(float(loss))
    return losses


def read_corpus(path: Path) -> list[str]:
    """Return the texts of a JSON-lines file: ``text``, or the prompts of training rows."""
    texts = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            data = json.loads(line)
            if isinstance(data, dict) and isinstance(data.get("text"), str):
                texts.append(data["text"])
            else:
                texts.extend(message["content"] for message in parse_row(line, number).prompt)
    return texts


def main() -> int:
    """Command line; prints what was made as one JSON line."""
    usual = Shape()
    parser = argparse.ArgumentParser(prog="tiny_base", description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=0, help="pre-training steps")
    parser.add_argument("--vocabulary", type=int, default=usual.vocabulary)
    parser.add_argument("--hidden", type=int, default=usual.hidden)
    parser.add_argument("--layers", type=int, default=usual.layers)
    parser.add_argument("--heads", type=int, default=usual.heads)
    parser.add_argument("--intermediate", type=int, default=usual.intermediate)
    arguments = parser.parse_args()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    shape = Shape(
        vocabulary=arguments.vocabulary,
        hidden=arguments.hidden,
        layers=arguments.layers,
        heads=arguments.heads,
        intermediate=arguments.intermediate,
    )
    made = make_tiny_base(
        read_corpus(arguments.corpus),
        arguments.output,
        shape=shape,
        seed=arguments.seed,
        steps=arguments.steps,
    )
    sys.stdout.write(json.dumps(made) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
