"""An act that asks all of its questions: an assert that does not hold, or cannot be judged, does not end it.

The functions of a lab are compiled anew with each ``assert`` turned into an evaluation of what it asserts, every part
of it, so that each question in it is asked and its answer recorded.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from pktlab.errors import Inconclusive, MachineError

# No Python source can have names like these.
_ERROR, _KIND, _UNJUDGED = "@error", "@Exception", "@unjudged"


def ask_all(module: ModuleType) -> None:
    """Change the functions of a module, its acts among them, in place."""
    file = str(module.__file__)
    tree = _Softener().visit(ast.parse(Path(file).read_bytes(), file))
    codes = dict(_codes(compile(ast.fix_missing_locations(tree), file, "exec")))
    vars(module)[_UNJUDGED], vars(module)[_KIND] = _unjudged, Exception
    for function in _functions(module):
        code = codes.get((function.__code__.co_qualname, function.__code__.co_firstlineno))
        if code is not None and code.co_freevars == function.__code__.co_freevars:
            function.__code__ = code


def _unjudged(error: Exception, asserted: str) -> None:
    """Record what came instead of an answer; `asserted` is empty where the question would not have been asked."""
    from pktlab import outcome

    if isinstance(error, Inconclusive | MachineError):
        raise error
    run = outcome.current()
    if asserted and run is not None and run.network is not None:
        text = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        run.network.recording.observe(asserted, text, text)


def _codes(code: CodeType) -> Iterator[tuple[tuple[str, int], CodeType]]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield (each.co_qualname, each.co_firstlineno), each
            yield from _codes(each)


def _functions(module: ModuleType) -> Iterator[FunctionType]:
    spaces: list[Any] = [module, *(each for each in vars(module).values() if isinstance(each, type))]
    for space in spaces:
        for each in list(vars(space).values()):
            while hasattr(each, "__wrapped__"):
                each = each.__wrapped__
            if isinstance(each, FunctionType) and each.__code__.co_filename == module.__file__:
                yield each


class _Softener(ast.NodeTransformer):
    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        return [ast.copy_location(each, node) for each in _evaluations(node.test)]

    def visit_With(self, node: ast.With) -> ast.With:
        # Where an exception is expected, an assert may be what shall raise it.
        if any("raises" in ast.unparse(item.context_expr) for item in node.items):
            return node
        self.generic_visit(node)
        return node


def _evaluations(test: ast.expr, *, asked: bool = True) -> Iterator[ast.stmt]:
    """Yield what evaluates each part of an expression; `asked` is false where Python might not have come to it."""
    if isinstance(test, ast.BoolOp):
        for number, value in enumerate(test.values):
            yield from _evaluations(value, asked=asked and number == 0)
        return
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        yield from _evaluations(test.operand, asked=asked)
        return
    source = ast.unparse(test)
    expression: ast.expr = test
    if isinstance(test, ast.Compare):
        # A chain of comparisons ends at the first that does not hold.
        expression = ast.Tuple([test.left, *test.comparators], ast.Load())
    expression = _Whole().visit(expression)
    told = ast.Call(
        ast.Name(_UNJUDGED, ast.Load()), [ast.Name(_ERROR, ast.Load()), ast.Constant(source if asked else "")], []
    )
    handler = ast.ExceptHandler(ast.Name(_KIND, ast.Load()), _ERROR, [ast.Expr(told)])
    yield ast.Try([ast.Expr(expression)], [handler], [], [])


class _Whole(ast.NodeTransformer):
    """all() and any() look at everything."""

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id in ("all", "any"):
            node.args = [
                ast.ListComp(each.elt, each.generators) if isinstance(each, ast.GeneratorExp) else each
                for each in node.args
            ]
        return node
