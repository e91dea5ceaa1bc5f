"""A lab as it is written: its story, its acts and what they need, read from the source without running it."""

from __future__ import annotations

import ast
import difflib
import inspect
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pktlab.errors import LabError

_VERDICTS = {"confirms": "confirmed", "refutes": "refuted", "depends": "depends"}
# What a call of this name needs of the machine; a program's own name comes from its argv.
_NEEDS = {"nft": "nft", "tap": "/dev/net/tun", "vxlan": "vxlan", "macvlan": "macvlan", "conntrack": "conntrack"}
_DRAWN = frozenset("+|=><^/\\")


class UnknownLabError(LabError):
    """No lab has this name."""


@dataclass(frozen=True, slots=True)
class ActSource:
    """An act as it is written: `text` is its whole docstring, `title` the first line of it; `claims` has the items
    that `pktlab.claims` will attach when it is run.
    """

    name: str
    title: str
    line: int
    claims: list[dict[str, str]] = field(default_factory=list)
    needs: list[str] = field(default_factory=list)
    text: str = ""


@dataclass(frozen=True, slots=True)
class LabFile:
    """A lab as it is written; `needs` are those of the topology and of every act."""

    path: Path
    name: str
    title: str
    story: str
    drawing: str
    acts: list[ActSource]
    needs: list[str]


def labs_folder() -> Path:
    """Return the folder of the labs that ship with pktlab: inside the package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    shipped = package / "labs"
    return shipped if shipped.is_dir() else package.parent / "labs"


def read(path: Path | str) -> LabFile:
    """Read a lab without importing it.

    Raises LabError for a file that cannot be read, is not Python, or has no acts or no topology.
    """
    path = Path(path)
    tree = _parse(path)
    lab = _describe(path, tree)
    if not lab.acts:
        raise LabError(f"{path} has no acts", remedy="an act is a function at the top of the file: def test_...(net):")
    if not _declares(tree, "topology"):
        raise LabError(f"{path} has no topology", remedy="declare one at the top of the file: topology = Topology()")
    return lab


def discover(folder: Path | None = None) -> list[LabFile]:
    """Return every lab of `folder`, by default the shipped ones, by name; files that are no lab are left out.

    Raises LabError for a file that is not Python, since nobody can tell whether it is a lab.
    """
    labs = []
    for path in sorted((folder or labs_folder()).glob("*.py")):
        tree = _parse(path)
        lab = _describe(path, tree)
        if lab.acts and _declares(tree, "topology"):
            labs.append(lab)
    return labs


def find(names: Sequence[str]) -> list[LabFile]:
    """Return the labs that are named, each once: by lab name, or by path if it has a slash or ends in .py.

    In names a dash is as good as an underscore. Raises UnknownLabError, with the nearest names, and LabError as
    `read` does.
    """
    found: dict[Path, LabFile] = {}
    for name in names:
        path = Path(name) if "/" in name or name.endswith(".py") else _named(name)
        found.setdefault(path.resolve(), read(path))
    return list(found.values())


def _named(name: str) -> Path:
    wanted = _plain(name)
    names = {_plain(path.stem): path for path in labs_folder().glob("*.py")}
    if wanted in names:
        return names[wanted]
    known = {_plain(lab.name): lab.name for lab in discover()}
    near = [known[key] for key in difflib.get_close_matches(wanted, known, n=3, cutoff=0.5)]
    near += [lab for key, lab in known.items() if wanted and wanted in key and lab not in near]
    remedy = f"did you mean {_either(near)}?" if near else "`pktlab list` names the labs; a file is named by its path"
    raise UnknownLabError(f"no lab is called {name!r}", remedy=remedy)


def _either(names: list[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


def _plain(name: str) -> str:
    return name.strip().lower().replace("-", "_")


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes().decode("utf-8-sig"), str(path))
    except IsADirectoryError:
        raise LabError(f"{path} is a folder", remedy=f"name the lab files in it: {path}/*.py") from None
    except OSError as error:
        raise LabError(f"cannot read {path}: {error.strerror}", remedy="check the path and its permissions") from None
    except UnicodeDecodeError as error:
        raise LabError(
            f"{path} is not UTF-8 (byte {error.start})", remedy="save the lab as UTF-8, as Python reads it"
        ) from None
    except SyntaxError as error:
        text = (error.text or "").strip()
        raise LabError(f"{path}:{error.lineno}: {error.msg}", remedy=text and f"the line reads: {text}") from None
    except (ValueError, RecursionError, MemoryError) as error:  # a null byte; nesting that the parser gives up on
        raise LabError(f"{path} is not Python: {error}", remedy="a lab is a Python file in UTF-8") from None


def _describe(path: Path, tree: ast.Module) -> LabFile:
    title, story, drawing = _docstring(tree, path.stem)
    constants = _lists(tree)
    acts = [_act(node, constants) for node in _functions(tree) if node.name.startswith("test_")]
    needs = {need for node in ast.walk(tree) for need in _needs(node, constants)}
    return LabFile(path, path.stem, title, story, drawing, acts, sorted(needs))


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    return (node for node in tree.body if isinstance(node, ast.FunctionDef))


def _declares(tree: ast.Module, name: str) -> bool:
    """Tell whether the file binds `name` at its top: assigned, imported, or a fixture of that name."""
    for node in tree.body:
        if isinstance(node, ast.Assign):
            names = [target.id for target in node.targets if isinstance(target, ast.Name)]
        elif isinstance(node, ast.AnnAssign):
            names = [node.target.id] if isinstance(node.target, ast.Name) and node.value else []
        elif isinstance(node, ast.FunctionDef):
            names = [node.name]
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.asname or alias.name for alias in node.names]
        else:
            continue
        if name in names:
            return True
    return False


def _docstring(tree: ast.Module, name: str) -> tuple[str, str, str]:
    """Return title, story and drawing; the drawing is the first indented block that has lines drawn in it."""
    # Not cleaned: where the drawing is all that follows the title, cleaning would take its indentation for the margin.
    title, _, rest = (ast.get_docstring(tree, clean=False) or "").strip().partition("\n")
    blocks = _blocks(rest)
    drawing = next((b for b in blocks if b.startswith("    ") and _DRAWN.intersection(b)), "")
    story = "\n\n".join(block for block in blocks if block is not drawing)
    return title.strip() or name, story, textwrap.dedent(drawing)


def _blocks(text: str) -> list[str]:
    """Split into paragraphs; indented ones in a row are one block, for a drawing may hold a blank line."""
    blocks: list[str] = []
    for block in filter(str.strip, re.split(r"\n[ \t]*\n", text.expandtabs())):
        block = block.strip("\n").rstrip()
        indented = all(line.startswith("    ") for line in block.splitlines() if line.strip())
        if indented and blocks and blocks[-1].startswith("    "):
            blocks[-1] += "\n\n" + block
        else:
            blocks.append(block)
    return blocks


def _act(node: ast.FunctionDef, constants: dict[str, ast.expr]) -> ActSource:
    text = inspect.cleandoc(ast.get_docstring(node) or "")
    claims = [claim for decorator in node.decorator_list for claim in _claims(decorator)]
    needs = {need for part in ast.walk(node) for need in _needs(part, constants)}
    return ActSource(node.name, text.partition("\n")[0], node.lineno, claims, sorted(needs), text)


def _claims(decorator: ast.expr) -> Iterator[dict[str, str]]:
    if not isinstance(decorator, ast.Call) or _called(decorator) not in _VERDICTS:
        return
    verdict = _VERDICTS[_called(decorator)]
    on = [_text(word.value) for word in decorator.keywords if word.arg == "on"]
    for argument in decorator.args:
        if identifier := _text(argument):
            yield {"id": identifier, "verdict": verdict} | ({"on": on[0]} if on else {})


# Debian's essential packages have these (coreutils, dash, util-linux): no lab need say so.
_EVERYWHERE = frozenset(
    [
        "cat",
        "echo",
        "env",
        "false",
        "head",
        "ls",
        "nsenter",
        "readlink",
        "sh",
        "sleep",
        "sort",
        "tail",
        "test",
        "true",
        "unshare",
    ]
)


def _needs(node: ast.AST, constants: dict[str, ast.expr]) -> Iterator[str]:
    if not isinstance(node, ast.Call):
        return
    name = _called(node)
    if name in _NEEDS:
        yield _NEEDS[name]
    elif name in ("run", "start") and isinstance(node.func, ast.Attribute) and len(node.args) > 1:
        argv = node.args[1]
        if isinstance(argv, ast.Name):
            argv = constants.get(argv.id, argv)
        if isinstance(argv, ast.List | ast.Tuple) and argv.elts:
            program = _text(argv.elts[0])
            if program and program not in _EVERYWHERE:
                yield program


def _lists(tree: ast.Module) -> dict[str, ast.expr]:
    """The lists that names at the top of the file stand for, since an argv may be shared by several acts."""
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.Tuple)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _called(call: ast.Call) -> str:
    """The last part of the name that is called: both ``nft(...)`` and ``router.nft(...)`` are "nft"."""
    if isinstance(call.func, ast.Attribute):
        return call.func.attr
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _text(node: ast.expr) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
