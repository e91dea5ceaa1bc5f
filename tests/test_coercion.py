"""Values from the command line: taken without pydantic where they need no judgement, and then as Typer takes them."""

from __future__ import annotations

from typing import Any

import pytest
import typer

from pktlab.cli import app, coercion

_PARAMETERS = [
    pytest.param(parameter, id=f"{command.name or 'pktlab'} {parameter.name}")
    for group in [typer.main.get_command(app)]
    for command in [group, *group.commands.values()]  # type: ignore[attr-defined]
    for parameter in command.params
]
# Texts that look like numbers are judged differently by every language: these are Python's, and pydantic's.
_TEXTS = [
    "",
    "a",
    "4",
    "0",
    "-1",
    "1e3",
    " 4 ",
    "٤",
    "1_0",
    "1" * 40,
    "/etc",
    "/nonexistent/x",
    "a" * 300,
]
_VALUES: list[Any] = [None, *_TEXTS, True, False, 4, 0, [], ["a"], ("a", "b"), ["a", 1]]


def _outcome(taken: Any, parameter: Any, value: Any) -> tuple[str, type, str]:
    try:
        result = taken(parameter).coerce(value, param=parameter, ctx=None)
    except Exception as error:
        return "refused", type(error), getattr(error, "message", str(error))
    return "taken", type(result), repr(result)


@pytest.mark.parametrize("value", _VALUES, ids=repr)
@pytest.mark.parametrize("parameter", _PARAMETERS)
def test_same_value_or_same_refusal(monkeypatch: pytest.MonkeyPatch, parameter: Any, value: Any) -> None:
    own: Any = getattr(type(parameter), "get_runtime_param", None)
    if own is None:
        pytest.skip("this version of Typer does without pydantic")
    monkeypatch.setitem(coercion._own, type(parameter), own)
    assert _outcome(coercion._Plain, parameter, value) == _outcome(own, parameter, value)
