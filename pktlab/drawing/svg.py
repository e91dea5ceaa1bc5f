"""A picture as SVG: one file that needs nothing else, light or dark as the reader's screen is.

It is built as a tree of elements, never as text, so that no name can end a tag.
"""

from __future__ import annotations

from xml.etree import ElementTree

from pktlab.drawing.layout import Layout, Placed, cells, layout, reaches
from pktlab.drawing.plan import TUNNEL, Plan, Row, printable
from pktlab.drawing.routing import Route

# Pixels: a cell of the layout, and what stands around the picture.
_CELL, _LINE, _MARGIN = 7.7, 23.0, 8.0
_ROUND = 7.0

STYLE = """
.pktlab-drawing{--ink:#1d232b;--soft:#57606a;--paper:#fff;--box:#f5f7fa;--edge:#b7c0cc;--chip:#fff;--wire:#2f6fb2;
--bridge:#e3edd9;--bridge-edge:#6a8f4a;--tunnel:#b0561b;
font:13px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace}
@media (prefers-color-scheme:dark){.pktlab-drawing{--ink:#e4e8ee;--soft:#9aa5b3;--paper:#14181d;--box:#1c2229;
--edge:#465160;--chip:#262e38;--wire:#6bb0f5;--bridge:#2b3a22;--bridge-edge:#8fb96a;--tunnel:#f0a269}}
@media print{.pktlab-drawing{--ink:#000;--soft:#444;--paper:#fff;--box:#f5f7fa;--edge:#999;--chip:#fff;--wire:#1d5a9a;
--bridge:#e3edd9;--bridge-edge:#567a38;--tunnel:#964612}}
.pktlab-drawing text{fill:var(--ink);white-space:pre}
.pktlab-drawing .title{font-weight:700}
.pktlab-drawing .name{font-weight:600}
.pktlab-drawing .aside{fill:var(--soft)}
.pktlab-drawing .paper{fill:var(--paper)}
.pktlab-drawing .netns{fill:var(--box);stroke:var(--edge)}
.pktlab-drawing .chip{fill:var(--chip);stroke:var(--edge)}
.pktlab-drawing .bridge{fill:var(--bridge);stroke:var(--bridge-edge)}
.pktlab-drawing .down{stroke-dasharray:3 3}
.pktlab-drawing .member{fill:none;stroke:var(--bridge-edge);stroke-width:2}
.pktlab-drawing .wire{fill:none;stroke:var(--wire);stroke-width:2.5}
.pktlab-drawing .tunnel{fill:none;stroke:var(--tunnel);stroke-width:2;stroke-dasharray:7 4}
.pktlab-drawing .tunnel-label{fill:var(--tunnel);font-size:12px}
.pktlab-drawing .stub{stroke-width:1.2}
"""


def svg(plan: Plan, *, title: str = "") -> str:
    """Draw a plan; `title` is what a screen reader says of it."""
    placed = layout(plan)
    width, height = placed.width * _CELL + 2 * _MARGIN, placed.height * _LINE + 2 * _MARGIN
    root = ElementTree.Element(
        "svg",
        {
            "xmlns": "http://www.w3.org/2000/svg",
            "class": "pktlab-drawing",
            "viewBox": f"0 0 {_n(width)} {_n(height)}",
            "width": _n(width),
            "height": _n(height),
            # In a narrow window it shrinks a little, and is scrolled beyond that.
            "style": f"max-width:100%;min-width:{_n(width * 0.8)}px;height:auto",
            "role": "img",
        },
    )
    if title:
        _add(root, "title", text=title)
    _add(root, "style", text=STYLE)
    _add(root, "rect", "paper", width="100%", height="100%")
    for box in placed.boxes:
        _box(root, box)
    for route in placed.routes:
        _wire(root, placed, route)
    for route, y, border, near in reaches(placed):
        x, inside = (_x(border), _x(near) + 3) if border < near else (_x(border + 1), _x(near) + 4)
        _add(root, "path", f"{_kind(route)} stub", d=f"M{_n(x)} {_n(_y(y))}H{_n(inside)}")
    for box, row, x, y in cells(placed):
        _row(root, box, row, x, y)
    for route in placed.routes:
        _label(root, route)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _box(root: ElementTree.Element, box: Placed) -> None:
    x, y = _x(box.x), _MARGIN + box.y * _LINE
    size = {"width": _n(box.width * _CELL), "height": _n(box.height * _LINE - 12)}
    _add(root, "rect", "netns", x=_n(x), y=_n(y), rx="8", **size)
    _add(root, "text", "title", text=box.box.name, x=_n(x + 10), y=_n(y + _LINE / 2 + 5))


def _row(root: ElementTree.Element, box: Placed, row: Row, x: int, y: int) -> None:
    left, middle = _x(x), _y(y)
    width = len(row.name) * _CELL + 10
    if row.over in box.offsets:
        above = _y(box.y + box.offsets[row.over])
        bar = _x(x) - 9
        _add(root, "path", "member", d=f"M{_n(bar)} {_n(above + 9)}V{_n(middle)}H{_n(left - 3)}")
    shape = "chip bridge" if row.kind == "bridge" else "chip"
    if "down" in row.notes:
        shape += " down"
    group = _add(root, "g")
    _add(group, "title", text=" ".join(filter(None, (str(row.interface), row.kind, row.interface.mac))))
    _add(group, "rect", shape, x=_n(left - 5), y=_n(middle - 9), width=_n(width), height="18", rx="4")
    _add(group, "text", "name", text=row.name, x=_n(left), y=_n(middle + 4.5))
    beside = _n(left + (len(row.name) + 2) * _CELL)
    for number, line in enumerate(row.lines):
        if line:
            _add(root, "text", "aside", text=line, x=beside, y=_n(middle + number * _LINE + 4.5))


def _wire(root: ElementTree.Element, placed: Layout, route: Route) -> None:
    points = [(_x(x) + _CELL / 2, _y(y)) for x, y in route.points]
    if not route.inner:
        left = {box.x for box in placed.boxes}
        for at in (0, -1):
            x = route.points[at][0]
            points[at] = (_x(x if x in left else x + 1), points[at][1])
    _add(root, "path", _kind(route), d=_rounded(points))


def _kind(route: Route) -> str:
    return "tunnel" if route.wire.kind == TUNNEL else "wire"


def _label(root: ElementTree.Element, route: Route) -> None:
    """The tunnel's name, on the longest level piece of its way."""
    if not route.wire.label:
        return
    pieces = [(b[0] - a[0], a, b) for a, b in zip(route.points, route.points[1:], strict=False) if a[1] == b[1]]
    _, (x1, y), (x2, _) = max(pieces, key=lambda piece: abs(piece[0]))
    if abs(x2 - x1) < len(route.wire.label) + 4:
        return  # the rows at both ends say it, too
    middle, width = (_x(x1) + _x(x2)) / 2, (len(route.wire.label) + 2) * _CELL
    _add(root, "rect", "paper", x=_n(middle - width / 2), y=_n(_y(y) - 9), width=_n(width), height="18")
    _add(
        root, "text", "tunnel-label", text=route.wire.label, x=_n(middle), y=_n(_y(y) + 4), **{"text-anchor": "middle"}
    )


def _rounded(points: list[tuple[float, float]]) -> str:
    """A path along these points, its corners rounded."""
    words = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
    for before, at, after in zip(points, points[1:], points[2:], strict=False):
        radius = min(_ROUND, _distance(before, at) / 2, _distance(at, after) / 2)
        near, far = _towards(at, before, radius), _towards(at, after, radius)
        words.append(f"L{_n(near[0])} {_n(near[1])}Q{_n(at[0])} {_n(at[1])} {_n(far[0])} {_n(far[1])}")
    return "".join([*words, f"L{_n(points[-1][0])} {_n(points[-1][1])}"])


def _distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def _towards(start: tuple[float, float], end: tuple[float, float], by: float) -> tuple[float, float]:
    length = _distance(start, end) or 1
    return start[0] + (end[0] - start[0]) * by / length, start[1] + (end[1] - start[1]) * by / length


def _x(cell: float) -> float:
    return _MARGIN + cell * _CELL


def _y(cell: float) -> float:
    """The middle of a row."""
    return _MARGIN + (cell + 0.5) * _LINE


def _add(
    parent: ElementTree.Element, tag: str, kind: str = "", *, text: str = "", **attributes: str
) -> ElementTree.Element:
    words = {"class": kind} if kind else {}
    element = ElementTree.SubElement(parent, tag, words | attributes)
    element.text = (text if tag == "style" else printable(text)) or None
    return element


def _n(number: float) -> str:
    """A number as short as may be: a tenth of a pixel is enough."""
    return f"{number:.1f}".removesuffix(".0")
