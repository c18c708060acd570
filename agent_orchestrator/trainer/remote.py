"""Objects of another process, used as if they were here: tests use an answer, out of its reach.

One process holds the answer's module, another one runs the tests; between them goes one JSON text a
line. Values of Python's plain types are copied (what a call does to its lists, dicts and sets is
brought back); anything else stays where it is, and the other side gets a ``Remote`` for it.

What decides an assertion is plain: an operator never shows a value of the tests to an object of the
answer's. ``==``, ``<``, ``-`` and the like between such an object and a plain value use the plain
value that the object extends (a named tuple is a tuple), and where there is none the two differ;
``in`` goes through what the object iterates over. So no object equals everything. Two objects of
the answer's are compared by its own ``__eq__``; methods and ``[]`` are the answer's own as well.

Names of builtins are never the answer's. Of the tests' objects the answer can call those that it
was given, iterate over them, and use public attributes of instances of the tests' own classes.
What cannot cross: coroutines, what the answer prints, its globals and its source.

Runs as the text of a program in a sandbox: needs the standard library only.
"""

from __future__ import annotations

import builtins
import contextlib
import datetime as dt
import importlib
import json
import operator
import os
import socket
import sys
import types
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

_TESTS: Final = "__main__"
"""The module of what the tests define."""
_NEUTRAL: Final = [
    "__iter__",
    "__next__",
    "__len__",
    "__getitem__",
    "__setitem__",
    "__delitem__",
    "__enter__",
    "__exit__",
    "__str__",
    "__repr__",
    "__int__",
    "__float__",
    "__index__",
    "__abs__",
    "__neg__",
    "__round__",
    "__instancecheck__",
]
_COMPARING: Final = "__eq__ __ne__ __lt__ __le__ __gt__ __ge__".split()  # noqa: SIM905
_COMPUTING: Final = "add sub mul matmul truediv floordiv mod pow and or xor lshift rshift".split()  # noqa: SIM905


def _pairs(mapping: dict[Any, Any]) -> list[Any]:
    return [[key, value] for key, value in mapping.items()]


#: Type → what it is made of, and what makes one of that; the first four are JSON's own.
_PLAIN: Final[dict[type, tuple[Callable[[Any], Any], Callable[[Any], Any]]]] = {
    int: (int, int),
    float: (float.__float__, float),
    str: (str.__str__, str),
    list: (list, list),
    tuple: (list, tuple),
    set: (list, set),
    frozenset: (list, frozenset),
    dict: (_pairs, dict),
    Counter: (_pairs, lambda pairs: Counter(dict(pairs))),
    OrderedDict: (_pairs, OrderedDict),
    defaultdict: (_pairs, dict),
    deque: (list, deque),
    bytes: (bytes.hex, bytes.fromhex),
    bytearray: (bytearray.hex, bytearray.fromhex),
    complex: (lambda z: [z.real, z.imag], lambda parts: complex(*parts)),
    range: (lambda r: [r.start, r.stop, r.step], lambda parts: range(*parts)),
    slice: (lambda s: [s.start, s.stop, s.step], lambda parts: slice(*parts)),
    Decimal: (str, Decimal),
    Fraction: (lambda q: [q.numerator, q.denominator], lambda parts: Fraction(*parts)),
    dt.datetime: (dt.datetime.isoformat, dt.datetime.fromisoformat),
    dt.date: (dt.date.isoformat, dt.date.fromisoformat),
    dt.time: (dt.time.isoformat, dt.time.fromisoformat),
    dt.timedelta: (lambda t: [t.days, t.seconds, t.microseconds], lambda p: dt.timedelta(*p)),
    type(NotImplemented): (lambda _: None, lambda _: NotImplemented),
}
_MAKERS: Final = {kind.__name__: make for kind, (_, make) in _PLAIN.items()}
_ERRORS: Final = [
    kind
    for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, BaseException)
]
#: Types that both sides have under the same name.
_TYPES: Final = {kind.__name__: kind for kind in (*_PLAIN, bool, object, type(None), *_ERRORS)}
_MUTABLE: Final = (list, dict, set, bytearray, deque)


class Remote:
    """An object of the other process."""

    __slots__ = ("_number", "_peer")

    def __init__(self, peer: Peer, number: int) -> None:
        object.__setattr__(self, "_peer", peer)
        object.__setattr__(self, "_number", number)

    def __getattr__(self, name: str) -> Any:
        return self._peer.ask("get", self, name)

    def __setattr__(self, name: str, value: object) -> None:
        self._peer.ask("set", self, name, value)

    def __call__(self, *values: Any, **named: Any) -> Any:
        """Call it, and bring back what that did to the lists, dicts and sets it was given."""
        result, after = self._peer.ask("call", self, values, named)
        for given, new in zip((*values, *named.values()), after, strict=True):
            if type(given) in _MUTABLE and type(new) is type(given):
                given.clear()
                (given.update if isinstance(given, dict | set) else given.extend)(new)
        return result

    def __bool__(self) -> bool:
        return bool(self._peer.ask("truth", self))

    def __hash__(self) -> int:
        return hash(self._number)


def _forwarding(name: str) -> Callable[..., Any]:
    return lambda remote, *values: remote._peer.ask("method", remote, name, *values)


def _operator(name: str, compute: Callable[[Any, Any], Any]) -> Callable[[Remote, Any], Any]:
    """Return an operator that asks the object only when the other operand is its neighbour."""

    def apply(remote: Remote, other: Any) -> Any:
        if type(other) is Remote:
            return remote._peer.ask("method", remote, name, other)
        plain = remote._peer.ask("value", remote)
        return compute(plain[0], other) if plain else NotImplemented

    return apply


def _swapped(compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda left, right: compute(right, left)


def _operators() -> Iterator[tuple[str, Callable[..., Any]]]:
    for name in _NEUTRAL:
        yield name, _forwarding(name)
    for name in _COMPARING:
        yield name, _operator(name, getattr(operator, name))
    for stem in _COMPUTING:
        compute = getattr(operator, f"__{stem}__")
        yield f"__{stem}__", _operator(f"__{stem}__", compute)
        yield f"__r{stem}__", _operator(f"__r{stem}__", _swapped(compute))


_OPERATORS: Final = dict(_operators())
for _name, _function in _OPERATORS.items():
    setattr(Remote, _name, _function)


class Peer:
    """One end of the line: asks the other for what its objects do, and does what it is asked.

    ``guarded`` is the tests' end. Raises SystemExit when the other process has ended.
    """

    def __init__(self, line: socket.socket, *, guarded: bool) -> None:
        self._line = line
        self._lines = line.makefile("rb")
        self._guarded = guarded
        self._ours: dict[int, Any] = {}
        self._theirs: dict[int, Remote] = {}
        self._stand_ins: dict[int, type[BaseException]] = {}
        self._originals: dict[type, int] = {}

    def ask(self, what: str, *values: Any) -> Any:
        """Return what the other side answers, or raise what it raised; serve it meanwhile."""
        self.send([what, *values])
        while True:
            kind, *rest = self._receive()
            if kind == "return":
                return rest[0]
            if kind == "raise":
                raise rest[0]
            self._serve(kind, rest)

    def serve(self) -> None:
        """Do what is asked until the other side has ended."""
        while True:
            what, *values = self._receive()
            self._serve(what, values)

    def send(self, message: list[Any]) -> None:
        """Send a message. Raises SystemExit."""
        try:
            self._line.sendall(json.dumps(self._pack(message)).encode() + b"\n")
        except OSError as error:
            raise SystemExit(f"The other process has ended: {error}") from None

    def shared(self) -> Remote:
        """Return the module that the other side shares."""
        (module,) = self._receive()
        if type(module) is not Remote:
            raise SystemExit("The other process shares no module.")
        return module

    def _receive(self) -> list[Any]:
        line = self._lines.readline()
        if not line:
            raise SystemExit("The other process has ended.")
        message: list[Any] = self._unpack(json.loads(line))
        return message

    def _serve(self, what: str, values: list[Any]) -> None:
        # An assertion of the tests in a function that the answer calls is not for it to catch.
        passed_on = Exception if self._guarded else BaseException
        try:
            reply = ["return", getattr(self, f"_do_{what}")(*values)]
        except passed_on as error:
            if self._guarded and isinstance(error, AssertionError):
                raise
            reply = ["raise", error]
        self.send(reply)

    # -- what can be asked --------------------------------------------------------------------

    def _do_call(self, target: Any, values: tuple[Any, ...], named: dict[str, Any]) -> Any:
        result = target(*values, **named)
        given = (*values, *named.values())
        return result, [value if type(value) in _MUTABLE else None for value in given]

    def _do_get(self, target: Any, name: str) -> Any:
        self._check(target, name)
        return getattr(target, name)

    def _do_set(self, target: Any, name: str, value: Any) -> None:
        self._check(target, name)
        setattr(target, name, value)

    def _do_method(self, target: Any, name: str, *values: Any) -> Any:
        method = getattr(type(target), name, None) if name in _OPERATORS else None
        if method is None:
            raise TypeError(f"{type(target).__name__!r} object has no {name}")
        return method(target, *values)

    def _do_truth(self, target: Any) -> bool:
        return bool(target)

    def _do_value(self, target: Any) -> tuple[Any, ...]:
        """Return the plain value that an object extends, in a tuple; an empty one without."""
        base = next((kind for kind in type(target).__mro__ if kind in _PLAIN), None)
        if base is None:
            return ()
        parts, make = _PLAIN[base]
        return (make(parts(target)),)

    def _do_imported(self, module: Any) -> list[str]:
        """Return the names of the modules that a module imported as they are called."""
        return [
            name
            for name, value in vars(module).items()
            if isinstance(value, types.ModuleType) and value.__name__ == name
        ]

    def _check(self, target: Any, name: str) -> None:
        """Raise AttributeError for what the answer has no business with."""
        foreign = type(target).__module__ != _TESTS or name.startswith("_")
        if self._guarded and foreign and name != "__name__":
            raise AttributeError(f"{type(target).__name__!r} object has no attribute {name!r}")

    # -- how values cross ---------------------------------------------------------------------

    def _pack(self, value: Any) -> Any:  # noqa: PLR0911 - a table of kinds
        """Return JSON for a value: itself, a list, or {kind: parts}."""
        kind = type(value)
        if value is None or kind in (bool, int, float, str):
            return value
        if kind is list:
            return [self._pack(item) for item in value]
        if kind is Remote:
            return {"yours": value._number}
        if kind in _PLAIN:
            return {kind.__name__: self._pack(_PLAIN[kind][0](value))}
        if isinstance(value, type):
            return self._pack_type(value)
        if isinstance(value, BaseException):
            attributes = {name: item for name, item in vars(value).items() if name[:1] != "_"}
            return {"error": [self._pack(part) for part in (kind, [*value.args], attributes)]}
        return {"object": self._keep(value)}

    def _pack_type(self, value: type) -> Any:
        if _TYPES.get(value.__name__) is value:
            return {"type": value.__name__}
        if value in self._originals:
            return {"yours": self._originals[value]}
        number = self._keep(value)
        if issubclass(value, BaseException):
            return {"exception": [number, value.__name__, self._pack(value.__base__)]}
        return {"object": number}

    def _keep(self, value: object) -> int:
        """Keep an object for the other side, so that its number stays its own."""
        self._ours[id(value)] = value
        return id(value)

    def _unpack(self, packed: Any) -> Any:  # noqa: PLR0911 - a table of kinds
        """Return the value of what ``_pack`` made. Raises LookupError, TypeError or ValueError."""
        if isinstance(packed, list):
            return [self._unpack(item) for item in packed]
        if not isinstance(packed, dict):
            return packed
        ((kind, parts),) = packed.items()
        if kind == "yours":
            return self._ours[parts]
        if kind == "object":
            return self._theirs.setdefault(parts, Remote(self, parts))
        if kind == "type":
            return _TYPES[parts]
        if kind == "exception":
            return self._stand_in(*parts)
        if kind == "error":
            return _error(*(self._unpack(part) for part in parts))
        return _MAKERS[kind](self._unpack(parts))

    def _stand_in(self, number: int, name: str, base: Any) -> type[BaseException]:
        """Return a class of our own for an exception of theirs, so that it can be caught."""
        if number not in self._stand_ins:
            known = type(name, (self._unpack(base),), {})
            self._stand_ins[number] = known
            self._originals[known] = number
        return self._stand_ins[number]


def _error(kind: Any, values: list[Any], attributes: dict[str, Any]) -> BaseException:
    if not issubclass(kind, BaseException):
        raise TypeError(f"{kind!r} is no exception.")
    error: BaseException = kind(*values)
    vars(error).update(attributes)
    return error


def hold(line: int, source: str) -> None:
    """Run an answer's source, then do what the tests at the other end of ``line`` ask."""
    sys.set_int_max_str_digits(0)
    peer = Peer(socket.socket(fileno=line), guarded=False)
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(source, "answer.py", "exec"), vars(module))  # noqa: S102  # nosec B102
    peer.send([module])
    try:
        peer.serve()
    finally:
        os._exit(0)  # the tests are over: no thread of the answer's is waited for


def judge(line: int, tests: str) -> None:
    """Run tests on the answer at the other end of ``line``. Raises what the tests raise.

    They have passed when this returns; SystemExit is always one with a message, which is a failure.
    """
    sys.set_int_max_str_digits(0)
    code = compile(tests, "tests.py", "exec")
    peer = Peer(socket.socket(fileno=line), guarded=True)
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        vars(module).update(_answers(code, peer))
        exec(code, vars(module))  # noqa: S102  # nosec B102
    except SystemExit as end:
        raise SystemExit(f"Ended before the tests did: {end}") from None


def _answers(code: types.CodeType, peer: Peer) -> dict[str, Any]:
    """Return what the answer has of the names that tests use."""
    answer = peer.shared()
    # A module that the tests use without importing it is ours, whatever became of the answer's.
    imported = sys.stdlib_module_names & set(peer.ask("imported", answer))
    found = {}
    for name in sorted(_names(code)):
        if name in imported:
            found[name] = importlib.import_module(name)
        elif not hasattr(builtins, name) and not name.startswith("__"):
            with contextlib.suppress(AttributeError):
                found[name] = getattr(answer, name)
    return found


def _names(code: types.CodeType) -> set[str]:
    inner = (part for part in code.co_consts if isinstance(part, types.CodeType))
    return set(code.co_names).union(*map(_names, inner))
