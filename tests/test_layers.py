"""The layers of the design, read from the code: imports go downwards only, and modules stay small."""

from __future__ import annotations

import ast
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pktlab
from pktlab import labfile

ROOT = Path(pktlab.__file__).parent
LABS = ROOT.parent / "labs"
MODULES = sorted(file for file in ROOT.rglob("*.py") if file.parent.name != "labs")

# From the bottom up. A name stands for a module or for a whole package; what is in one row, and in one package, may
# import each other.
LAYERS: list[tuple[str, set[str]]] = [
    ("data", {"errors", "interface", "frame", "act", "fault"}),
    ("topology", {"topology"}),
    ("cluster", {"cluster"}),
    (
        "pure",
        {
            "ablation",
            "catalogue",
            "claimbook",
            "claims",
            "cni",
            "course",
            "drawing",
            "evidence",
            "export",
            "frames",
            "gallery",
            "html",
        }
        | {"labfile", "learn", "markdown", "mechanisms", "report", "sweep", "transcript", "verdict"},
    ),
    ("kernel", {"kernel"}),
    ("live", {"network"}),
    ("standing", {"standing"}),
    ("edge", {"asking", "pytest_plugin", "outcome", "cli", "wireshark", "__main__"}),
]
RANK = {name: rank for rank, (_layer, names) in enumerate(LAYERS) for name in names}

# Who alone may import what.
RESERVED = {
    "pyroute2": ("kernel/link.py",),
    "scapy": (
        "frames/dissect.py",
        "frames/craft.py",
        "frames/scapy_config.py",
        "frames/bindings.py",
        "frames/explain.py",
        "frames/expression.py",
    ),
    "jinja2": ("html/page.py", "catalogue/texts.py"),
    "typer": ("cli/",),
    "click": ("cli/",),
    "rich": ("cli/",),
    "pytest": ("pytest_plugin.py", "outcome.py", "cli/"),
    "_pytest": ("pytest_plugin.py", "cli/"),
}
MOST_LINES, MEDIAN_LINES = 400, 150


def name_of(file: Path) -> str:
    """A file's place below the package: ``kernel/link.py``."""
    return file.relative_to(ROOT).as_posix()


def imports(file: Path) -> Iterator[tuple[int, str, str]]:
    """Line, module and imported name of every import, wherever in the file it stands."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, ""
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}:{node.lineno}: write imports in full"
            for alias in node.names:
                yield node.lineno, node.module or "", alias.name


def layer(module: str, name: str) -> str:
    """The part of pktlab that an import leads to: ``kernel``, ``errors``; "" for what the package itself offers."""
    parts = [*module.split(".")[1:], name]
    return parts[0] if parts[0] in RANK or len(parts) > 1 else ""


def test_every_module_has_its_layer() -> None:
    unknown = [name_of(file) for file in MODULES if name_of(file).split("/")[0].removesuffix(".py") not in RANK]
    assert unknown == ["__init__.py"], "say in LAYERS where they belong"


def test_imports_go_downwards() -> None:
    wrong = []
    for file in MODULES:
        own = name_of(file).split("/")[0].removesuffix(".py")
        if own == "__init__":
            continue
        for line, module, name in imports(file):
            if module.split(".")[0] != "pktlab":
                continue
            to = layer(module, name)
            if not to:
                if name not in ("__version__", "labs"):
                    wrong.append(f"{name_of(file)}:{line}: {name} from the package, whose names are for labs")
            elif RANK[to] > RANK[own]:
                wrong.append(f"{name_of(file)}:{line}: {own} is below {to}")
    assert wrong == []


def test_the_kernel_knows_no_frames() -> None:
    """Two layers that could do with one another, and do without: the kernel's bytes are dissected above it."""
    wrong = [
        f"{name_of(file)}:{line}"
        for file in MODULES
        if name_of(file).startswith("kernel/")
        for line, module, name in imports(file)
        if module.startswith("pktlab.frames") or (module, name) == ("pktlab", "frames")
    ]
    assert wrong == []


@pytest.mark.parametrize("package", RESERVED)
def test_who_imports(package: str) -> None:
    users = {
        name_of(file) for file in MODULES for _line, module, _name in imports(file) if module.split(".")[0] == package
    }
    assert {user for user in users if not user.startswith(RESERVED[package])} == set()
    assert users or package in ("click", "_pytest", "rich"), "nobody imports it: the rule is out of date"


def test_the_package_offers_what_is_there() -> None:
    for name in pktlab.__all__:
        assert getattr(pktlab, name) is not None
    assert sorted(pktlab.__all__) == dir(pktlab)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        pktlab.nothing  # noqa: B018


def test_a_lab_needs_no_more_than_pktlab_offers() -> None:
    labs = sorted(LABS.glob("*.py"))
    assert labs
    # What labs share lies in a module beside them.
    beside = {file.stem for file in labs} - {lab.name for lab in labfile.discover()}
    wrong = []
    for file in labs:
        for line, module, name in imports(file):
            top = module.split(".")[0]
            public = module == "pktlab" and name in pktlab.__all__
            if not public and top not in {"scapy", "pytest", *beside, *sys.stdlib_module_names}:
                wrong.append(f"{file.name}:{line}: {module} {name}")
    assert wrong == []


def test_nobody_sleeps() -> None:
    wrong = []
    for file in [*MODULES, *LABS.glob("*.py"), *Path(__file__).parent.glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            named = isinstance(node, ast.Attribute) and node.attr == "sleep"
            named |= isinstance(node, ast.ImportFrom) and any(alias.name == "sleep" for alias in node.names)
            if named:
                wrong.append(f"{file.name}:{getattr(node, 'lineno', 0)}")
    assert wrong == []


def test_modules_are_small() -> None:
    lines = {name_of(file): len(file.read_text(encoding="utf-8").splitlines()) for file in MODULES}
    assert {name: count for name, count in lines.items() if count > MOST_LINES} == {}
    assert statistics.median(lines.values()) <= MEDIAN_LINES
