"""The defects that ``stdlib_defects`` plants: for each a detector and an edit of the syntax tree.

An edit changes what the function already has where it can (``is None`` → ``== None``) and adds a
guard or a wrapper where it cannot. Guards of all kinds look alike, so that a guard as such tells
nothing.
"""

from __future__ import annotations

import ast
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeVar

Function = ast.FunctionDef | ast.AsyncFunctionDef
Node = TypeVar("Node", bound=ast.AST)

_MUTABLE: Final = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_MUTABLE_CALLS: Final = frozenset({"list", "dict", "set", "bytearray", "defaultdict", "deque"})
_EMPTY: Final = ("[]", "{}", "set()", "list()", "dict()")
_TYPES: Final = ("str", "int", "list", "dict", "bytes", "tuple")
_LITERALS: Final = ("'auto'", "'none'", "'default'", "0", "1", "-1", "''")
_ERRORS: Final = ("Exception", "OSError", "ValueError", "KeyError", "AttributeError", "TypeError")
_HANDLED: Final = ("return None", "return False", "raise", "result = None")


@dataclass(frozen=True, slots=True)
class Defect:
    """One kind of defect."""

    rule: str
    """The rule of ruff that reports it."""
    found: Callable[[ast.AST], bool]
    """Whether this very node is the defect, or too close to it to be called clean."""
    plant: Callable[[Function, random.Random], bool]
    """Edit the function in place; False, and no change, where nothing fits."""


# ---------------------------------------------------------------- mutable default


def _mutable(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in _MUTABLE_CALLS
    return isinstance(node, _MUTABLE)


def _has_mutable_default(node: ast.AST) -> bool:
    return isinstance(node, ast.arguments) and any(
        map(_mutable, [*node.defaults, *node.kw_defaults])
    )


def _plant_mutable_default(tree: Function, rng: random.Random) -> bool:
    arguments = tree.args
    value = _expression(rng.choice(_EMPTY))
    if arguments.defaults:
        arguments.defaults[rng.randrange(len(arguments.defaults))] = value
    elif arguments.args and arguments.args[-1].arg not in {"self", "cls"}:
        arguments.defaults.append(value)
    else:
        return False
    return True


# ---------------------------------------------------------------- comparisons


def _compares(node: ast.AST, *operators: type[ast.cmpop]) -> bool:
    return isinstance(node, ast.Compare) and any(isinstance(op, operators) for op in node.ops)


def _operands(node: ast.AST) -> list[ast.expr]:
    return [node.left, *node.comparators] if isinstance(node, ast.Compare) else []


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _is_literal(node: ast.expr) -> bool:
    match node:
        case ast.Constant(value=value):
            return value is not None and value is not ... and not isinstance(value, bool)
        case ast.UnaryOp(operand=ast.Constant()):
            return True
        case _:
            return isinstance(node, ast.Tuple | ast.List | ast.Dict | ast.Set)


def _is_type_call(node: ast.expr) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="type"), args=[_]):
            return True
        case _:
            return False


def _is_none_comparison(node: ast.AST) -> bool:
    return _compares(node, ast.Eq, ast.NotEq) and any(map(_is_none, _operands(node)))


def _is_type_comparison(node: ast.AST) -> bool:
    return any(map(_is_type_call, _operands(node)))


def _is_literal_identity(node: ast.AST) -> bool:
    return _compares(node, ast.Is, ast.IsNot) and any(map(_is_literal, _operands(node)))


def _plant_none_comparison(tree: Function, rng: random.Random) -> bool:
    return _swap_operator(
        tree, rng, _is_none, {ast.Is: ast.Eq(), ast.IsNot: ast.NotEq()}
    ) or _guard(tree, rng, "{name} == None", "ValueError('{name} is required')")


def _plant_literal_identity(tree: Function, rng: random.Random) -> bool:
    return _swap_operator(
        tree, rng, _is_literal, {ast.Eq: ast.Is(), ast.NotEq: ast.IsNot()}
    ) or _guard(
        tree, rng, f"{{name}} is {rng.choice(_LITERALS)}", "ValueError('{name} is not supported')"
    )


def _plant_type_comparison(tree: Function, rng: random.Random) -> bool:
    calls = [node for node in _nodes(tree, ast.Call) if _is_isinstance(node)]
    if not calls:
        kind = rng.choice(_TYPES)
        return _guard(
            tree, rng, f"type({{name}}) != {kind}", f"TypeError('{{name}} must be {kind}')"
        )
    call = rng.choice(calls)
    value, kind = (ast.unparse(argument) for argument in call.args)
    _replace(tree, call, _expression(f"type({value}) == {kind}"))
    return True


def _is_isinstance(node: ast.Call) -> bool:
    match node:
        case ast.Call(func=ast.Name(id="isinstance"), args=[_, ast.Name() | ast.Attribute()]):
            return True
        case _:
            return False


def _swap_operator(
    tree: Function,
    rng: random.Random,
    operand: Callable[[ast.expr], bool],
    swaps: Mapping[type[ast.cmpop], ast.cmpop],
) -> bool:
    """Exchange the operator of a comparison whose right side is such an ``operand``."""
    fitting = [
        node
        for node in _nodes(tree, ast.Compare)
        if len(node.ops) == 1 and type(node.ops[0]) in swaps and operand(node.comparators[0])
    ]
    if not fitting:
        return False
    chosen = rng.choice(fitting)
    chosen.ops = [swaps[type(chosen.ops[0])]]
    return True


# ---------------------------------------------------------------- exception handlers


def _is_bare_except(node: ast.AST) -> bool:
    return isinstance(node, ast.ExceptHandler) and node.type is None


def _is_swallowed_error(node: ast.AST) -> bool:
    return isinstance(node, ast.ExceptHandler) and all(map(_does_nothing, node.body))


def _does_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            return True
        case _:
            return False


def _plant_bare_except(tree: Function, rng: random.Random) -> bool:
    last = [node.handlers[-1] for node in _nodes(tree, ast.Try) if node.handlers]
    nameless = [handler for handler in last if handler.name is None]
    if not nameless:
        return _wrap(tree, rng, f"except:\n    {rng.choice(_HANDLED)}")
    rng.choice(nameless).type = None
    return True


def _plant_swallowed_error(tree: Function, rng: random.Random) -> bool:
    handlers = _nodes(tree, ast.ExceptHandler)
    if not handlers:
        return _wrap(tree, rng, f"except {rng.choice(_ERRORS)}:\n    pass")
    handler = rng.choice(handlers)
    handler.body = [ast.Pass()]
    handler.name = None
    return True


def _wrap(tree: Function, rng: random.Random, handler: str) -> bool:
    """Put one statement of the body into a ``try`` with this handler."""
    wrappable = (ast.Assign, ast.AugAssign, ast.Expr, ast.Return, ast.For, ast.If, ast.With)
    places = [
        place
        for place, statement in enumerate(tree.body)
        if isinstance(statement, wrappable) and not _does_nothing(statement)
    ]
    if not places:
        return False
    place = rng.choice(places)
    attempt = ast.parse(f"try:\n    pass\n{handler}").body[0]
    if not isinstance(attempt, ast.Try):
        raise TypeError(handler)
    attempt.body = [tree.body[place]]
    tree.body[place] = attempt
    return True


# ---------------------------------------------------------------- assertion on a tuple


def _is_assert_tuple(node: ast.AST) -> bool:
    return isinstance(node, ast.Assert) and isinstance(node.test, ast.Tuple)


def _plant_assert_tuple(tree: Function, rng: random.Random) -> bool:
    assertions = _nodes(tree, ast.Assert)
    if assertions:
        chosen = rng.choice(assertions)
        message = chosen.msg or ast.Constant("unexpected state")
        chosen.test = ast.Tuple([chosen.test, message], ast.Load())
        chosen.msg = None
        return True
    name = _parameter(tree, rng)
    if name is None:
        return False
    condition = rng.choice((f"{name} is not None", name, f"isinstance({name}, object)"))
    _insert(tree, f"assert ({condition}, '{name} is required')")
    return True


# ---------------------------------------------------------------- editing


def _nodes(tree: ast.AST, kind: type[Node]) -> list[Node]:
    return [node for node in ast.walk(tree) if isinstance(node, kind)]


def _expression(source: str) -> ast.expr:
    return ast.parse(source, mode="eval").body


def _parameter(tree: Function, rng: random.Random) -> str | None:
    """Draw a parameter's name, None when there is only the instance or the class."""
    names = [argument.arg for argument in [*tree.args.args, *tree.args.kwonlyargs]]
    own = [name for name in names if name not in {"self", "cls"}]
    return rng.choice(own) if own else None


def _guard(tree: Function, rng: random.Random, condition: str, error: str) -> bool:
    """Open the function with a test of a parameter that raises or returns."""
    name = _parameter(tree, rng)
    if name is None:
        return False
    action = rng.choice((f"raise {error}", "return None", "return"))
    _insert(tree, f"if {condition}:\n    {action}".format(name=name))
    return True


def _insert(tree: Function, source: str) -> None:
    """Put a statement first, behind the docstring."""
    place = 1 if ast.get_docstring(tree) is not None else 0
    tree.body[place:place] = ast.parse(source).body


def _replace(tree: ast.AST, old: ast.AST, new: ast.AST) -> None:
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            if value is old:
                setattr(parent, field, new)
            elif isinstance(value, list) and old in value:
                value[value.index(old)] = new


DEFECTS: Final[Mapping[str, Defect]] = MappingProxyType(
    {
        "mutable_default": Defect("B006", _has_mutable_default, _plant_mutable_default),
        "none_comparison": Defect("E711", _is_none_comparison, _plant_none_comparison),
        "bare_except": Defect("E722", _is_bare_except, _plant_bare_except),
        "swallowed_error": Defect("S110", _is_swallowed_error, _plant_swallowed_error),
        "type_comparison": Defect("E721", _is_type_comparison, _plant_type_comparison),
        "literal_identity": Defect("F632", _is_literal_identity, _plant_literal_identity),
        "assert_tuple": Defect("F631", _is_assert_tuple, _plant_assert_tuple),
    }
)


def defects_of(tree: ast.AST) -> set[str]:
    """Return the kinds of defect that ``tree`` has, by the detectors."""
    nodes: Iterable[ast.AST] = list(ast.walk(tree))
    return {name for name, defect in DEFECTS.items() if any(map(defect.found, nodes))}
