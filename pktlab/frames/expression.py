"""A pattern as it is typed: ``ARP(op="who-has")``, ``IP(dst="10.0.0.2") / ICMP()``.

It is read, never evaluated: calls of Scapy's layers with literal values, joined by /, and nothing else.
"""

from __future__ import annotations

import ast
import re
from importlib import import_module
from typing import Any

from pktlab.errors import PatternError
from pktlab.frames import dissect

# Where layers are looked for, in this order.
MODULES = (
    "scapy.packet",
    "scapy.layers.l2",
    "scapy.layers.inet",
    "scapy.layers.vxlan",
    "scapy.layers.inet6",
    "scapy.layers.dns",
    "scapy.layers.dhcp",
)
_REMEDY = "write layers with literal values, as in 'ARP(op=\"who-has\")' or 'IP(dst=\"10.0.0.2\") / ICMP()'"
# Fields in which Scapy would look a host's name up, on the machine's own network.
_ADDRESSES = frozenset({"src", "dst", "psrc", "pdst", "gw"})
_ADDRESS = re.compile(r"[0-9A-Fa-f:.*/,-]*")


def pattern(text: str) -> dissect.Pattern:
    """Return the pattern that an expression stands for. Raises PatternError for anything that is none."""
    try:
        tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise PatternError(f"{text!r} is no pattern", remedy=_REMEDY) from None
    dissect.load()
    try:
        return dissect.Pattern(_packet(tree.body, text))
    except RecursionError:
        raise PatternError("the pattern has too many layers", remedy=_REMEDY) from None


def _packet(node: ast.expr, text: str) -> Any:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return _packet(node.left, text) / _packet(node.right, text)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        layer = _layer(node.func.id)
        values = [_literal(each, text) for each in node.args]
        if any(not isinstance(value, bytes) for value in values) or len(values) > 1:
            raise PatternError(
                f"{text!r}: {node.func.id}() takes its fields by name",
                remedy='as in ARP(op="who-has"); bytes as b"..."',
            )
        fields = {word.arg or "**": _literal(word.value, text) for word in node.keywords}
        for name, value in fields.items():
            _check(layer, name, value)
        try:
            for name, value in fields.items():
                _build(layer, name, value)
            return layer(*values, **fields)
        except Exception as error:  # whatever Scapy makes of a value that a field cannot have
            raise PatternError(f"{text!r}: {error}", remedy="give values that the field can have") from None
    if isinstance(node, ast.Name):
        raise PatternError(f"{node.id} is a class, not a packet", remedy=f"write {node.id}() for any packet of it")
    raise PatternError(f"{ast.unparse(node)!r} is no layer", remedy=_REMEDY)


def _layer(name: str) -> Any:
    from scapy.packet import Packet

    for module in MODULES:
        found = getattr(import_module(module), name, None)
        if isinstance(found, type) and issubclass(found, Packet) and found is not Packet:
            return found
    raise PatternError(f"Scapy has no layer {name!r} among those of a lab", remedy=_REMEDY)


def _literal(node: ast.expr, text: str) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        raise PatternError(f"{text!r}: {ast.unparse(node)} is no literal value", remedy=_REMEDY) from None


def _check(layer: Any, name: str, value: Any) -> None:
    known = [field.name for field in layer.fields_desc]
    if name not in known:
        raise PatternError(f"{layer.__name__} has no field {name!r}", remedy=f"it has {', '.join(known)}")
    for each in value if isinstance(value, list | tuple) else [value]:
        if name in _ADDRESSES and isinstance(each, str) and not _ADDRESS.fullmatch(each):
            raise PatternError(f"{each!r} is no address", remedy="write the address itself: names are not looked up")


def _build(layer: Any, name: str, value: Any) -> None:
    """Raise what Scapy raises for a value that it cannot put into a frame: such a pattern would match nothing."""
    # A tuple is a range, of which the ends tell; an address may stand for a network, which is not one frame.
    for each in value if isinstance(value, tuple) else [value]:
        if not (isinstance(each, str) and name in _ADDRESSES):
            one = next(iter(layer(**{name: each})))
            # The field alone: for a whole frame Scapy would ask this machine for its routes and addresses.
            one.get_field(name).addfield(one, b"", one.getfieldval(name))
        if isinstance(each, int | float) and name in _ADDRESSES | {"load"}:
            raise ValueError(f"{name} cannot be {each}")
