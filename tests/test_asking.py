"""An act whose asserts do not end it: every part of each is evaluated, and what cannot be judged is let go."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pktlab import asking, outcome
from pktlab.errors import Inconclusive, MachineError

LAB = """
import functools
import pytest

said = []

def ask(value):
    said.append(value)
    if isinstance(value, BaseException):
        raise value
    return value

def through(function):
    @functools.wraps(function)
    def outer(*args):
        return function(*args)
    return outer

def helper(value):
    assert ask(value) == 1
    return "went on"

class Group:
    def method(self):
        assert not ask("in a class")
        return "went on"
"""


@pytest.fixture
def softened(tmp_path: Path) -> Callable[[str], ModuleType]:
    def load(text: str) -> ModuleType:
        path = tmp_path / "softened.py"
        path.write_text(LAB + text)
        spec = importlib.util.spec_from_file_location("softened", path)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        asking.ask_all(module)
        return module

    return load


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("assert ask(0)", [0]),
        ("assert not ask(1), ask('a message is no question')", [1]),
        ("assert ask(0) and ask(1) and ask(2)", [0, 1, 2]),
        ("assert ask(1) or ask(2)", [1, 2]),
        ("assert ask(1) == ask(2) == ask(3)", [1, 2, 3]),
        ("assert not (ask(1) and not ask(0))", [1, 0]),
        ("assert all(ask(each) for each in (1, 0, 2))", [1, 0, 2]),
        ("assert any(ask(each) for each in (1, 0, 2)) is True", [1, 0, 2]),
        ("assert ask(ValueError('no')) == 1\n    ask('next')", ["no", "next"]),
        ("for each in (1, 2):\n        assert ask(each) == 0", [1, 2]),
        ("if ask(1):\n        assert ask(0)\n    else:\n        assert ask(2)\n    ask(3)", [1, 0, 3]),
        ("assert helper(2) == ask('went on')", [2, "went on"]),
        ("assert Group().method() == ask('there')", ["in a class", "there"]),
        ("inner = lambda: 1\n    def nested():\n        assert ask(0)\n        ask(inner())\n    nested()", [0, 1]),
        ("with pytest.raises(AssertionError):\n        assert ask(0)\n    ask(1)", [0, 1]),
    ],
)
def test_every_part_of_an_assert_is_evaluated(
    statement: str, said: list[Any], softened: Callable[[str], ModuleType]
) -> None:
    module = softened(f"\n@through\ndef test_a():\n    {statement}\n    return 'end'\n")
    assert module.test_a() == "end"
    assert [str(each) if isinstance(each, Exception) else each for each in module.said] == said


@pytest.mark.parametrize("error", [Inconclusive("frames were lost"), MachineError("nft is not installed")])
def test_lost_frames_and_what_the_machine_lacks_end_an_act(
    error: Exception, softened: Callable[[str], ModuleType]
) -> None:
    module = softened("\ndef test_a(error):\n    assert ask(error)\n")
    with pytest.raises(type(error)):
        module.test_a(error)


def test_other_errors_outside_of_an_assert_end_an_act(softened: Callable[[str], ModuleType]) -> None:
    module = softened("\ndef test_a():\n    (one,) = ()\n")
    with pytest.raises(ValueError, match="not enough values"):
        module.test_a()


def test_what_could_not_be_judged_is_recorded(
    softened: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    class Stub:
        network = recording = property(lambda self: self)

        def observe(self, question: str, answer: Any, text: str) -> None:
            seen.append((question, answer))

    monkeypatch.setattr(outcome, "_current", Stub())
    module = softened("\ndef test_a():\n    assert ask([])[0].mac == 1\n    assert ask(None) and ask(None).mac\n")
    module.test_a()
    # The second half of `and` would not have been asked.
    assert seen == [("ask([])[0].mac == 1", "IndexError: list index out of range")]
    assert "softened" not in sys.modules
