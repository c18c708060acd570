"""What answers are worth."""

import json

import pytest

from agent_orchestrator.trainer.rewards import (
    code_of,
    exact_match,
    json_schema,
    python_tests,
    reward,
)
from agent_orchestrator.trainer.sandbox import Limits

LIMITS = Limits(seconds=10)
TESTS = "assert double(2) == 4\nassert double(-1) == -2"


def said(*answers: str) -> list[list[dict[str, str]]]:
    """Return answers as TRL hands them over."""
    return [[{"role": "assistant", "content": answer}] for answer in answers]


def test_an_exact_match_forgives_case_and_white_space():
    """And nothing else."""
    assert exact_match(" Bare  except\n", "bare except") == 1
    assert exact_match("bare except.", "bare except") == 0


def test_json_is_rewarded_when_its_schema_allows_it():
    """Not for being JSON alone, and never for what is no JSON."""
    schema = json.dumps({"type": "object", "required": ["agent"]})
    assert json_schema('{"agent": "cicd"}', schema) == 1
    assert json_schema('{"other": 1}', schema) == 0
    assert json_schema("agent: cicd", schema) == 0


@pytest.mark.parametrize(
    ("answer", "worth"),
    [
        ("def double(x):\n    return 2 * x", 1),
        ("Here it is:\n```python\ndef double(x):\n    return x + x\n```\nDone.", 1),
        ("def double(x):\n    return x * x", 0),
        ("I cannot do that.", 0),
        ("import sys\nsys.exit(0)", 0),
        ("import os\nos._exit(0)", 0),
    ],
)
def test_code_is_rewarded_when_it_passes_the_tests(answer: str, worth: float):
    """Ending the process before they have run is no way to pass."""
    assert python_tests(answer, TESTS, LIMITS) == worth


EQUALS_ALL = """
class Any:
    def __init__(self, *_): pass
    def yes(self, *_): return True
    def zero(self, *_): return 0.0
    __eq__ = __lt__ = __le__ = __gt__ = __ge__ = __contains__ = yes
    __sub__ = __rsub__ = __abs__ = zero
    def __ne__(self, _): return False
    def __hash__(self): return 4
"""
CHEATS = {
    "it reads the program and prints what it finds": """
import os, pathlib
print(pathlib.Path("program.py").read_text())
os._exit(0)""",
    "its object equals everything": f"{EQUALS_ALL}\ndef double(x): return Any()",
    "its list holds such an object": f"{EQUALS_ALL}\ndef double(x): return [Any()]",
    "its number equals everything": """
class Number(int):
    def __eq__(self, other): return True
def double(x): return Number(0)""",
    "its class stands for the function": f"{EQUALS_ALL}\ndouble = Any",
    "it exits when it is called": "import os\ndef double(x): os._exit(0)",
    "it raises SystemExit when it is called": "def double(x): raise SystemExit(0)",
    "it names a function that exits": "from os import _exit as double",
    "it exits at the end": "import atexit, os\natexit.register(os._exit, 0)\ndef double(x): pass",
    "it replaces builtins": """
import builtins, unittest
class AssertionError(Exception): pass
def abs(x): return 0
def list(x): return [4]
builtins.abs, builtins.AssertionError, builtins.list = abs, AssertionError, list
builtins.exec = builtins.compile = lambda *_: None
unittest.TestCase.assertEqual = lambda *_: None
def double(x): return 0""",
    "it imports the modules of the tests its own way": """
import sys, types
math = sys.modules["math"] = types.ModuleType("math")
math.isclose = lambda *_: True
def double(x): return 0""",
    "it writes to every descriptor": """
import os
def double(x):
    for number in range(64):
        try: os.write(number, b'["return", true]\\n["return", [4, [null]]]\\n')
        except OSError: pass
    os._exit(0)""",
    "it shuts the line and ends well": """
import os, sys
os.closerange(3, 64)
def double(x): sys.exit(0)""",
    "it traces what runs": """
import sys, threading
def skip(frame, event, argument):
    frame.f_trace_lines = False
    return None
sys.settrace(skip); threading.settrace(skip)
def double(x): return 0""",
    "it looks for the tests among all objects": """
import gc, os, sys
def double(x):
    frame = sys._getframe()
    while frame:
        for value in [*frame.f_globals.values(), *frame.f_locals.values()]:
            if isinstance(value, str) and "assert " + "double" in value: return 4
        frame = frame.f_back
    for parent, _, files in os.walk("/proc/self/fd/.."):
        pass
    return 0""",
}
HARD = """
import math
assert double(2) == 4
assert 4 in list([double(2)])
assert abs(double(2) - 4) < 1e-6
assert math.isclose(double(2), 4)
assert not double(2) != 4
"""
ONES = HARD.strip().splitlines()[1:]


@pytest.mark.parametrize("answer", CHEATS.values(), ids=CHEATS)
def test_no_answer_fakes_a_pass(answer: str):
    """It cannot see the tests, end them, or decide what they compare."""
    assert python_tests(answer, HARD, LIMITS) == 0


@pytest.mark.parametrize("test", [*ONES, "assert [4] == [double(2)]", "assert double(2) in (4, 5)"])
def test_no_comparison_asks_an_object_of_the_answers(test: str):
    """Equality, order, membership and nearness are decided on plain values."""
    tests = f"import math\n{test}"
    assert python_tests("def double(x): return 2 * x", tests, LIMITS) == 1
    assert python_tests(CHEATS["its object equals everything"], tests, LIMITS) == 0


def test_an_assertion_in_a_function_of_the_tests_is_not_for_the_answer_to_catch():
    """It fails although the answer goes on."""
    answer = "def apply(f):\n    try: f(1)\n    except BaseException: pass"
    assert python_tests(answer, "def check(x): assert x == 1\napply(check)", LIMITS) == 1
    assert python_tests(answer, "def check(x): assert x == 2\napply(check)", LIMITS) == 0


def test_tests_that_exit_have_not_passed():
    """All of them have to run."""
    assert python_tests("", "raise SystemExit(0)", LIMITS) == 0


def test_the_code_of_an_answer_is_what_stands_in_fences():
    """All of it, when there are none."""
    assert code_of("a\n```py\nx = 1\n```\nb\n```\ny = 2\n```") == "x = 1\n\n\ny = 2\n"
    assert code_of("x = 1") == "x = 1"


def test_a_reward_knows_whether_it_was_ever_earned():
    """A row that does not say how to judge it has none."""
    judge = reward("exact_match", LIMITS)
    assert judge(said("no", "no"), solution=["yes", None]) == [0.0, None]
    assert not judge.paid
    assert judge(said("yes"), solution=["yes"]) == [1.0]
    assert judge.paid
    assert judge(said("yes")) == [None]
