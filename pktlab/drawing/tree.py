"""The network as trees of namespaces: which is in the middle, and on which side of it the others hang."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pktlab.drawing.plan import VETH, Box, Plan, Row
from pktlab.interface import Interface


@dataclass(slots=True)
class Tree:
    """A namespace and those that hang on it: `side` is -1 to the left and 1 to the right of the root, 0 the root.

    `pin` is its interface towards the parent, `parent_pin` the parent's towards it.
    """

    box: Box
    column: int = 0
    side: int = 0
    pin: Interface | None = None
    parent_pin: Interface = field(default_factory=lambda: Interface("", ""))
    children: list[Tree] = field(default_factory=list)

    def members(self) -> Iterator[Tree]:
        """Yield this tree and all below it."""
        yield self
        for child in self.children:
            yield from child.members()

    @property
    def weight(self) -> int:
        """How many rows it takes, about: of itself, or of what hangs on it where that is more."""
        return max(len(self.box.rows) + 3, sum(child.weight for child in self.children))


# For each namespace its neighbours, and the two interfaces of the first wire to each.
_Joined = dict[str, dict[str, tuple[Interface, Interface]]]


def trees(plan: Plan, *, two_sided: bool = True) -> list[Tree]:
    """Return a tree for each part of the network that nothing joins to the rest, in the order of declaration."""
    joined = _neighbours(plan)
    found, done = [], set[str]()
    for box in plan.boxes:
        if box.name in done:
            continue
        part = list(_distances(box.name, joined))
        done |= set(part)
        middle = _middle(part, joined) if two_sided else _end(part, joined)
        found.append(_grown(next(b for b in plan.boxes if b.name == middle), plan, joined, two_sided=two_sided))
    return found


def _neighbours(plan: Plan) -> _Joined:
    order = {row.interface: at for at, row in enumerate(row for box in plan.boxes for row in box.rows)}
    joined: _Joined = {box.name: {} for box in plan.boxes}
    wires = [wire.ends for wire in plan.wires if wire.kind == VETH and wire.ends[0].netns != wire.ends[1].netns]
    for near, far in sorted([*wires, *(ends[::-1] for ends in wires)], key=lambda ends: order[ends[0]]):
        joined[near.netns].setdefault(far.netns, (near, far))
    return joined


def _distances(start: str, joined: _Joined) -> dict[str, int]:
    found = {start: 0}
    for name in (queue := [start]):
        for other in joined[name]:
            if other not in found:
                found[other] = found[name] + 1
                queue.append(other)
    return found


def _middle(part: list[str], joined: _Joined) -> str:
    """The namespace from which the farthest is nearest; among several, the one with the most wires, then the first."""
    order = {name: at for at, name in enumerate(joined)}
    return min(part, key=lambda name: (max(_distances(name, joined).values()), -len(joined[name]), order[name]))


def _end(part: list[str], joined: _Joined) -> str:
    """Where a picture with one side begins: at the end of a chain, at the middle of everything else."""
    if all(len(joined[name]) <= 2 for name in part):
        return next((name for name in joined if name in part and len(joined[name]) == 1), part[0])
    return _middle(part, joined)


def _grown(root: Box, plan: Plan, joined: _Joined, *, two_sided: bool) -> Tree:
    boxes = {box.name: box for box in plan.boxes}
    tree = Tree(root)
    done = {root.name}
    for parent in (queue := [tree]):
        for name, (near, far) in joined[parent.box.name].items():
            if name not in done:
                done.add(name)
                child = Tree(boxes[name], pin=far, parent_pin=near)
                parent.children.append(child)
                queue.append(child)
    left = _left(tree, plan) if two_sided else 0
    for number, child in enumerate(tree.children):
        _turn(child, -1 if number < left else 1, 1)
    return tree


def _turn(tree: Tree, side: int, depth: int) -> None:
    tree.side, tree.column = side, side * depth
    for child in tree.children:
        _turn(child, side, depth + 1)


def _left(tree: Tree, plan: Plan) -> int:
    """How many of the root's children go to its left: about half, but what is on one bridge rather stays together."""
    rows = plan.rows
    weights = [child.weight for child in tree.children]
    groups = [_group(rows[child.parent_pin]) for child in tree.children]
    cuts = [at for at in range(1, len(groups)) if groups[at] != groups[at - 1]] or list(range(1, len(groups)))
    return min(cuts, key=lambda at: (abs(sum(weights[:at]) - sum(weights[at:])), at), default=0)


def _group(row: Row) -> Interface:
    return row.over or row.interface
