"""A picture in Mermaid's language, which GitHub and many wikis draw: https://mermaid.js.org/syntax/flowchart.html."""

from __future__ import annotations

from pktlab.drawing.plan import TUNNEL, Plan, Row, printable


def mermaid(plan: Plan) -> str:
    """Write a plan as a flowchart: a subgraph for each namespace, a node for each interface."""
    ids = {interface: f"i{number}" for number, interface in enumerate(plan.rows)}
    lines = ["flowchart LR"]
    for number, box in enumerate(plan.boxes):
        lines.append(f'  subgraph n{number}["{_quoted(box.name)}"]')
        lines += [f"    {ids[row.interface]}{_shape(row)}" for row in box.rows]
        lines += [f"    {ids[row.over]} --- {ids[row.interface]}" for row in box.rows if row.over in ids]
        if not box.rows:
            lines.append(f'    e{number}[" "]')
        lines.append("  end")
    for wire in plan.wires:
        one, other = (ids[end] for end in wire.ends)
        line = f'-. "{_quoted(wire.label)}" .-' if wire.kind == TUNNEL else "==="
        lines.append(f"  {one} {line} {other}")
    return "\n".join(lines) + "\n"


def _shape(row: Row) -> str:
    label = "<br>".join(_quoted(text) for text in (row.name, *row.notes, *row.addresses))
    return f'(["{label}"])' if row.kind == "bridge" else f'["{label}"]'


def _quoted(text: str) -> str:
    """A text within quotes: Mermaid's entities are decimal or named, between a hash and a semicolon."""
    return "".join(char if char.isalnum() or char in " ._-/" else f"#{ord(char)};" for char in printable(text))
