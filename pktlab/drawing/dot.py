"""A picture in Graphviz's language: https://graphviz.org/doc/info/lang.html."""

from __future__ import annotations

from pktlab.drawing.plan import TUNNEL, Plan, Row, printable


def dot(plan: Plan) -> str:
    """Write a plan as a graph: a cluster for each namespace, a node for each interface."""
    ids = {interface: f"i{number}" for number, interface in enumerate(plan.rows)}
    lines = ["graph topology {", '  graph [rankdir=LR, fontname="monospace"]']
    lines.append('  node [shape=box, style=rounded, fontname="monospace", fontsize=11]')
    for number, box in enumerate(plan.boxes):
        lines += [f"  subgraph cluster_{number} {{", f"    label={_quoted(box.name)}"]
        lines += [f"    {ids[row.interface]} [label={_label(row)}]" for row in box.rows]
        lines += [f"    {ids[row.over]} -- {ids[row.interface]} [style=dotted]" for row in box.rows if row.over in ids]
        if not box.rows:
            lines.append(f'    e{number} [style=invis, label=""]')
        lines.append("  }")
    for wire in plan.wires:
        one, other = (ids[end] for end in wire.ends)
        line = f" [style=dashed, label={_quoted(wire.label)}]" if wire.kind == TUNNEL else " [style=bold]"
        lines.append(f"  {one} -- {other}{line}")
    return "\n".join([*lines, "}"]) + "\n"


def _label(row: Row) -> str:
    return _quoted(row.name, *row.notes, *row.addresses)


def _quoted(*lines: str) -> str:
    """A string of Graphviz, in which a backslash begins an escape such as \\\\n."""
    return '"' + "\\n".join(printable(line).replace("\\", "\\\\").replace('"', '\\"') for line in lines) + '"'
