"""What an act does, read from its source without what it asserts: a learner may see what is tried, not how it ends."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_INDENT = "    "


class Step(NamedTuple):
    """A statement of an act as one line of text, with the lines of the lab where it begins and ends."""

    text: str
    first: int
    last: int


def steps(path: Path, act: str) -> list[Step]:
    """Return what the act does, in its order; `act` may be a case of a parametrized one. Empty where there is none."""
    name = act.partition("[")[0]
    tree = ast.parse(path.read_bytes(), str(path))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == name:
            return list(_block(node.body, ""))
    return []


def told(found: list[Step], name: str) -> bool:
    """Tell whether a name, such as that of a parameter, stands in what is shown."""
    return any(re.search(rf"(?<![.\w]){re.escape(name)}\b", step.text) for step in found)


def dull(found: list[Step]) -> set[int]:
    """Return the lines where an act looks only to know that something is done: nothing to ask a learner."""
    waits = [step for step in found if "flush_neighbours(" in step.text or "net.wait(" in step.text]
    return {line for step in waits for line in range(step.first, step.last + 1)}


class Loop(NamedTuple):
    """A loop of an act: its lines, and the names that it sets of which what is shown makes use."""

    first: int
    last: int
    names: tuple[str, ...]


def loops(path: Path, act: str) -> list[Loop]:
    """Return the loops of an act, the outer before the inner."""
    name = act.partition("[")[0]
    tree = ast.parse(path.read_bytes(), str(path))
    found = next((node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name), None)
    made = []
    for node in ast.walk(found) if found else ():
        if isinstance(node, ast.For):
            names = [each.id for each in ast.walk(node.target) if isinstance(each, ast.Name)]
            within = list(_block(node.body, ""))
            last = node.end_lineno or node.lineno
            made.append(Loop(node.lineno, last, tuple(each for each in names if told(within, each))))
    return sorted(made)


def _block(body: list[ast.stmt], indent: str) -> Iterator[Step]:
    for statement in body:
        yield from _statement(statement, indent)


def _statement(node: ast.stmt, indent: str) -> Iterator[Step]:
    last = node.end_lineno or node.lineno
    if isinstance(node, ast.Assert):
        for text in _asked(node.test):
            yield Step(indent + text, node.lineno, last)
        return
    body = getattr(node, "body", None)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return  # a docstring tells how it ends
    if not isinstance(body, list) or isinstance(node, ast.Match):
        for line in ast.unparse(node).splitlines():
            yield Step(indent + line, node.lineno, last)
        return
    if isinstance(node, ast.With) and all(_raises(item.context_expr) for item in node.items):
        yield from _block(body, indent)  # that it raises is how it ends
        return
    within = list(_block(body, indent + _INDENT))
    if isinstance(node, ast.For):
        node = _without_outcomes(node, within)
    yield Step(indent + _head(node), node.lineno, max(node.lineno, body[0].lineno - 1))
    yield from within
    for name, word in (("handlers", "except:"), ("orelse", "else:"), ("finalbody", "finally:")):
        more = getattr(node, name, [])
        if more:
            yield Step(indent + word, 0, 0)
        for each in more:
            yield from _block(each.body if isinstance(each, ast.ExceptHandler) else [each], indent + _INDENT)


def _without_outcomes(node: ast.For, within: list[Step]) -> ast.For:
    """A loop over a table written in place: a column that is only compared with would tell how it ends."""
    if not isinstance(node.target, ast.Tuple) or not isinstance(node.iter, ast.Tuple | ast.List):
        return node
    hidden = [isinstance(name, ast.Name) and not told(within, name.id) for name in node.target.elts]
    rows = [_without(row, hidden) for row in node.iter.elts]
    made = ast.For(node.target, ast.Tuple(rows, ast.Load()), node.body, node.orelse, node.type_comment)
    return ast.copy_location(made, node)


def _without(row: ast.expr, hidden: list[bool]) -> ast.expr:
    if not isinstance(row, ast.Tuple) or len(row.elts) != len(hidden):
        return row
    cells = zip(row.elts, hidden, strict=True)
    return ast.Tuple([ast.Constant(...) if hide else cell for cell, hide in cells], ast.Load())


def _raises(expression: ast.expr) -> bool:
    called = expression.func if isinstance(expression, ast.Call) else expression
    return isinstance(called, ast.Attribute | ast.Name) and ast.unparse(called).rpartition(".")[2] == "raises"


def _head(node: ast.stmt) -> str:
    """The line that begins a block."""
    return ast.unparse(node).splitlines()[0]


def _asked(test: ast.expr) -> Iterator[str]:
    """What an assert looks at: every part of it that calls something, without what it is compared with."""
    if isinstance(test, ast.BoolOp):
        for value in test.values:
            yield from _asked(value)
    elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        yield from _asked(test.operand)
    elif isinstance(test, ast.Compare):
        sides = [test.left, *test.comparators]
        for side in [each for each in sides if _calls(each)] or sides[:1]:
            yield ast.unparse(side)
    else:
        yield ast.unparse(test)


def _calls(node: ast.expr) -> bool:
    """Whether a method is called in it, as of `net` or `seen`; all(), len() and the like ask nothing by themselves."""
    return any(isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) for each in ast.walk(node))
