"""An example's tests: whether Python that a model wrote passes them, and whether anything does.

Tests run in the trainer's sandbox (no network, no files but its own, limits on time and memory), by
the very function that rewards GRPO, so that what is trained for and what is measured are the same.

Weak tests pass with no answer at all: they would reward everything, and measure nothing.
``assert sum([1, 2]) == 3`` is one, for a task to write ``sum``: that name is there anyway. Whether
tests are weak is found out by running them; those that are bound to fail, because they call a name
which only an answer can bring, need no run.
"""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from agent_orchestrator.errors import ConfigurationError
from agent_orchestrator.stores.defaults import SandboxDefaults
from agent_orchestrator.trainer.diagnosis import Refused
from agent_orchestrator.trainer.rewards import python_tests
from agent_orchestrator.trainer.sandbox import Limits

_BUILTIN: Final = frozenset(dir(builtins))
#: What could bring a name along that no statement shows.
_NAMING: Final = frozenset({"exec", "globals", "locals", "setattr", "vars"})
#: What need not come to run all that it holds.
_PERHAPS: Final = (
    *(ast.BoolOp, ast.IfExp, ast.Lambda),
    *(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp),
)


@lru_cache(maxsize=1024)
def passes_tests(answer: str, tests: str, sandbox: SandboxDefaults) -> bool:
    """Return whether the answer's Python passes the tests, statements that raise nothing.

    An answer is run once, so that every metric that asks sees the same ending. Raises
    ConfigurationError where the kernel offers no isolation and nobody said to do without.
    """
    limits = Limits(
        seconds=sandbox.seconds,
        memory_mb=sandbox.memory_mb,
        without_isolation=sandbox.without_isolation,
    )
    try:
        return python_tests(answer, tests, limits) == 1.0
    except Refused as refused:
        raise ConfigurationError(
            f"Generated code cannot be tested here: {refused}",
            remedy="Use a kernel with user namespaces and Landlock, or set "
            "sandbox.without_isolation in config/modelops/evaluation_defaults.yaml.",
        ) from refused


def pass_without_answer(tests: str, sandbox: SandboxDefaults) -> bool:
    """Return whether the tests pass an empty answer. Raises as ``passes_tests``."""
    return not _must_fail(tests) and passes_tests("", tests, sandbox)


def _must_fail(tests: str) -> bool:
    """Return whether the tests cannot be read, or call a name that nothing before binds."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = ast.parse(tests)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    bound = set(_bound(module))
    if "*" in bound:
        return False
    called = {
        node.func.id
        for statement in module.body
        if isinstance(statement, ast.Assert | ast.Assign | ast.Expr)
        for node in _surely(statement)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    names = {node.id for node in ast.walk(module) if isinstance(node, ast.Name)}
    return not names & _NAMING and not called <= bound | _BUILTIN


def _bound(module: ast.Module) -> Iterator[str]:
    """Yield every name that some statement may bind; ``*`` for names that are not told."""
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        named = (getattr(node, field, None) for field in ("name", "asname", "arg", "rest"))
        yield from (name.partition(".")[0] for name in named if isinstance(name, str))


def _surely(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what runs when ``node`` does."""
    yield node
    children = [node.test] if isinstance(node, ast.Assert) else ast.iter_child_nodes(node)
    for child in children:
        if not isinstance(child, _PERHAPS):
            yield from _surely(child)
