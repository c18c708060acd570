"""AutoTrain's output, as it was printed by real runs, read line by line."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_orchestrator.trainer.autotrain_log import LogReader, lines_of
from agent_orchestrator.trainer.diagnosis import diagnose_log

LOG = "INFO     | 2026-11-21 08:00:56 | autotrain.trainers.common:on_log:367 - "
RUN = (
    "Generating train split: 24 examples [00:00, 9845.78 examples/s]",
    "INFO     | 2026-11-21 08:00:56 | autotrain.trainers.common:on_train_begin:386 - Starting",
    "Map: 100%|##########| 24/24 [00:00<00:00, 99.0 examples/s]",
    "  0%|          | 0/9 [00:00<?, ?it/s]/x/dataloader.py:759: UserWarning: no accelerator",
    f"{LOG}{{'loss': 5.5386, 'grad_norm': 0.21, 'learning_rate': 0.003, 'epoch': 0.3333}}",
    "{'loss': 5.5386, 'grad_norm': 0.21, 'learning_rate': 0.003, 'epoch': 0.33}",
    f" 11%|█ | 1/9 [00:00<00:00]{LOG}{{'loss': 5.5, 'learning_rate': 2.6e-05, 'grad_norm': nan}}",
    f"{LOG}{{'loss': 5.4, 'grad_norm': 0.2, 'rewards/margins': -0.5}}",
    f"{LOG}{{'train_runtime': 0.0782, 'train_loss': 5.53}}",
)
FAILED = (
    "INFO     | 2026-11-21 08:00:56 | autotrain.trainers.clm.utils:get_model:929 - loading model",
    "ERROR    | 2026-11-21 08:00:57 | autotrain - train has failed: Traceback (most recent call)",
    '  File "/x/autotrain/trainers/common.py", line 212, in wrapper',
    "    return func(*args, **kwargs)",
    "{error}",
    "",
    "ERROR    | 2026-11-21 08:00:57 | autotrain.trainers.common:wrapper:216 - {text}",
)


def read(*lines: str, logging_steps: int = 1) -> LogReader:
    """Return a reader that has read the lines."""
    reader = LogReader(logging_steps=logging_steps)
    for line in lines:
        reader.read(line)
    return reader


def test_losses_and_total_are_found_among_the_rest():
    """Each step counts once, although it is printed twice, and bars of other work count nothing."""
    reader = read(*RUN, logging_steps=2)
    assert [logged["loss"] for logged in reader.logs] == [5.5386, 5.5, 5.4]
    assert reader.logs[1]["learning_rate"] == 2.6e-05
    assert reader.logs[2]["rewards/margins"] == -0.5
    assert math.isnan(reader.logs[1]["grad_norm"])
    assert (reader.steps, reader.total_steps) == (6, 9)
    assert reader.summary["train_runtime"] == 0.0782
    assert reader.errors == []


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB", "out_of_memory"),
        ("RuntimeError: [enforce fail at alloc_cpu.cpp] can't allocate memory", "out_of_memory"),
        ("MemoryError", "out_of_memory"),
        ("OSError: [Errno 28] No space left on device", "disk_full"),
        ("safetensors_rust.SafetensorError: Error while serializing: (os error 28)", "disk_full"),
        ("ModuleNotFoundError: No module named 'autotrain'", "unavailable"),
        ("ValueError: something else", "unknown"),
    ],
)
def test_an_error_in_the_log_is_diagnosed(error: str, kind: str):
    """AutoTrain ends with status 0 all the same: only these lines tell."""
    name, _, text = error.partition(": ")
    reader = read(*(line.format(error=error, text=text) for line in FAILED))
    failure = diagnose_log(reader.errors)
    assert failure.kind == kind
    assert name.rpartition(".")[2] in failure.message
    assert failure.remedy


def test_an_error_ends_with_the_next_line_of_the_log():
    """What is printed after it is no part of it."""
    reader = read(*FAILED, RUN[1], "something else")
    assert reader.errors[-1] == FAILED[-1]


@given(st.lists(st.text(alphabet="ab\r\n", max_size=8)))
def test_lines_are_the_same_however_the_output_is_cut(chunks: list[str]):
    """A pipe hands over what it has, in the midst of a line too."""
    found, rest = [], ""
    for chunk in chunks:
        lines, rest = lines_of(rest + chunk)
        found += lines
    whole, last = lines_of("".join(chunks))
    assert [line for line in found if line] == [line for line in whole if line]
    assert rest == last
