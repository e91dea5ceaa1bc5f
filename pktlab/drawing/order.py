"""In which order interfaces stand side by side: as in the picture, so that a packet goes the same way in both."""

from __future__ import annotations

from pktlab.drawing.layout import layout
from pktlab.drawing.plan import TUNNEL, VETH, Plan
from pktlab.interface import Interface


def order(plan: Plan) -> list[Interface]:
    """Return the interfaces from left to right: column by column, and in a namespace those first whose wire goes left.

    Between them is what has no wire: bridges beside their ports, tunnels, and what is joined within the namespace.
    """
    placed = layout(plan)
    boxes = {box.box.name: box for box in placed.boxes}
    sides: dict[Interface, float] = {}
    for route in placed.routes:
        if route.wire.kind == TUNNEL:
            continue
        for end in route.wire.ends:
            box = boxes[end.netns]
            level = box.y + box.offsets[end]
            if route.inner:
                sides[end] = 0.5 if plan.rows[end].over else 0.6
            elif (box.x, level) in (route.points[0], route.points[-1]):
                sides[end] = -1
            else:
                sides[end] = 1
    for box in placed.boxes:  # a bridge stands beside its ports
        for row in box.box.rows:
            ports = [
                sides[port.interface] for port in box.box.rows if port.over == row.interface and port.interface in sides
            ]
            if row.kind == "bridge" and ports and row.interface not in sides:
                sides[row.interface] = sum(ports) / len(ports) * 0.9
    found = []
    for box in sorted(placed.boxes, key=lambda box: (box.x, box.y)):
        rows = [row.interface for row in box.box.rows]
        found += sorted(rows, key=lambda each: sides.get(each, 0.0))
    return found


def peers(plan: Plan) -> dict[Interface, Interface]:
    """Return the other end of each veth."""
    ends = [wire.ends for wire in plan.wires if wire.kind == VETH]
    return {one: other for pair in ends for one, other in (pair, pair[::-1])}
