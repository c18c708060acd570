"""Tests that use an answer from a process of their own, as honest ones do."""

import pytest

from agent_orchestrator.trainer.rewards import python_tests
from agent_orchestrator.trainer.sandbox import Limits

ANSWER = """
import enum, math
from collections import Counter, namedtuple

Point = namedtuple("Point", "x y")

class Colour(str, enum.Enum):
    RED = "red"

class TooBig(ValueError):
    def __init__(self, size):
        super().__init__(f"{size} is too big")
        self.size = size

class Stack:
    def __init__(self, items=()): self.items = list(items)
    def push(self, item): self.items.append(item); return self
    def pop(self):
        if not self.items: raise IndexError("empty")
        return self.items.pop()
    def __len__(self): return len(self.items)
    def __iter__(self): return iter(self.items)
    def __getitem__(self, place): return self.items[place]
    def __eq__(self, other): return self.items == other.items
    def __add__(self, other): return Stack(self.items + other.items)
    def __repr__(self): return f"Stack({self.items})"
    def __enter__(self): return self
    def __exit__(self, *_): self.items.clear()

def same(value): return value
def count(text): return Counter(text)
def origin(): return Point(0, 0)
def colour(): return Colour.RED
def grow(size):
    if size > 3: raise TooBig(size)
    return size + 1
def naturals():
    n = 0
    while True:
        yield n
        n += 1
def sort(items): items.sort()
def rotate(rows): rows[:] = [list(row) for row in zip(*rows[::-1])]
def twice(f, x): return f(f(x))
def memoized(f):
    import functools
    kept = {}
    @functools.wraps(f)
    def inner(x):
        if x not in kept: kept[x] = f(x)
        return kept[x]
    return inner
def total(node): return node.value + total(node.next) if node else 0
def link(a, b): a.next = b
def stop(): raise SystemExit(3)
"""
HONEST = {
    "plain values": """
from collections import Counter, deque
from datetime import date, timedelta
from decimal import Decimal
for value in (None, True, 1, -0.5, 10 ** 5000, "\\ud800é", b"\\0", (1, [2]), {1, 2},
              frozenset({(3,)}),
              {(1, 2): {"a": None}}, 1j, range(3), deque([1]), Counter("ab"), Decimal("1.10"),
              date(2020, 2, 29), timedelta(1), float("inf"), int, ValueError):
    assert same(value) == value and type(same(value)) is type(value), value
assert isinstance(same([1]), list) and same(None) is None
assert count("aab").most_common(1) == [("a", 2)]""",
    "values that extend plain ones": """
assert origin() == (0, 0) and origin().x == 0 and (0, 0) == origin()
assert colour() == "red" and colour() != "blue"
assert Point(1, 2) < (1, 3)""",
    "an object and what it does": """
stack = Stack([1]).push(2)
assert len(stack) == 2 and stack and stack[0] == 1 and list(stack) == [1, 2] and 2 in stack
assert isinstance(stack, Stack) and stack == Stack([1, 2]) and stack != [1, 2]
assert stack + Stack([3]) == Stack([1, 2, 3]) and repr(stack) == "Stack([1, 2])"
assert stack.pop() == 2 and stack.items == [1]
assert same(stack) is stack
with stack as opened: assert opened.pop() == 1
try: stack.pop()
except IndexError as error: assert str(error) == "empty"
else: raise AssertionError
stack.items = [7]
assert stack.pop() == 7""",
    "an exception of its own": """
try: grow(9)
except TooBig as error: assert (error.size, str(error)) == (9, "9 is too big")
else: raise AssertionError
try: grow(9)
except ValueError: pass
assert grow(1) == 2
try: stop()
except SystemExit as end: assert end.code == 3""",
    "a generator": """
from itertools import islice
assert list(islice(naturals(), 3)) == [0, 1, 2]
numbers = naturals()
assert next(numbers) == 0 and next(numbers) == 1 and iter(numbers) is numbers
assert same(n for n in range(3)).__next__() == 0""",
    "a list changed in place": """
items, rows = [3, 1, 2], [[1, 2], [3, 4]]
sort(items)
rotate(rows)
assert items == [1, 2, 3] and rows == [[3, 1], [4, 2]]""",
    "functions of the tests": """
calls = []
@memoized
def slow(x):
    calls.append(x)
    return x if x < 2 else slow(x - 1) + slow(x - 2)
assert slow(10) == 55 and len(calls) == 11
assert twice(lambda x: x + 1, 1) == 3""",
    "objects of the tests": """
from dataclasses import dataclass
@dataclass
class Node:
    value: int
    next: object = None
first, last = Node(1, Node(2)), Node(3)
assert total(first) == 3
link(first.next, last)
assert total(first) == 6 and first.next.next is last""",
    "a module that the answer imported": "assert math.isclose(grow(1), 2.0)",
    "unittest": """
import unittest
class Case(unittest.TestCase):
    def runTest(self):
        self.assertEqual(grow(1), 2)
        self.assertAlmostEqual(grow(0.1), 1.1)
        with self.assertRaises(TooBig): grow(9)
assert unittest.TextTestRunner().run(Case()).wasSuccessful()""",
}


@pytest.mark.parametrize("tests", HONEST.values(), ids=HONEST)
def test_tests_use_an_answer_as_if_it_were_theirs(tests: str):
    """And fail when it is not what they ask for."""
    assert python_tests(ANSWER, tests, Limits(seconds=10)) == 1
    assert python_tests("", tests, Limits(seconds=10)) == 0


@pytest.mark.parametrize(
    "tests",
    [
        "peek(lambda: None)",
        "import sys\npeek(sys._getframe())",
        "class Case:\n    _secret = 4\npeek(Case())",
        "import os\npeek(os)",
    ],
)
def test_an_answer_sees_of_the_tests_what_they_show_it(tests: str):
    """No frames, no globals, no private attributes, no modules."""
    names = [
        "__globals__",
        "__dict__",
        "__class__",
        "__code__",
        "f_back",
        "f_globals",
        "_secret",
        "system",
        "path",
    ]
    answer = f"def peek(x):\n    for n in {names}: assert not seen(x, n)"
    seen = """
def seen(x, name):
    try: x._peer.ask("get", x, name)
    except AttributeError: return False
    return True
"""
    assert python_tests(seen + answer, tests, Limits(seconds=10)) == 1
