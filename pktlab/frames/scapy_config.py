"""Importing this imports Scapy's usual layers, and keeps it from looking at the machine's own routes and interfaces.

Scapy reads both while it is imported: 10 ms, or 11 s where a namespace has a thousand interfaces. An interface that
is asked for by its name it looks up again by itself, so nothing is lost.

Nor does it ask the machine's network for anything: of a packet without a destination MAC Scapy would find one by ARP
(getmacbyip() in scapy/layers/l2.py) as soon as its bytes are wanted, and that may be where a lab is only shown.
"""

from __future__ import annotations

import functools
import socket
from typing import Any

from scapy.config import conf

BROADCAST = "ff:ff:ff:ff:ff:ff"


def _unasked(ip: Any, *_rest: Any) -> str:
    """Stand for getmacbyip(): the MAC of a multicast group, and else the broadcast, as where there is no route."""
    from scapy.utils import in4_getnsmac, in4_ismaddr

    text = str(ip or "0.0.0.0")
    return str(in4_getnsmac(socket.inet_aton(text))) if in4_ismaddr(text) else BROADCAST


def _import_layers() -> None:
    conf.route_autoload = False
    conf.route6_autoload = False
    import scapy.interfaces  # makes conf.ifaces

    conf.ifaces.reload = lambda: None  # type: ignore[method-assign]
    try:
        import scapy.layers.inet
        import scapy.layers.l2
        import scapy.layers.vxlan
    finally:
        del conf.ifaces.reload
    # That there is no route is meant, and no reason for a warning.
    conf.route.route = functools.partial(conf.route.route, verbose=0)  # type: ignore[method-assign]
    scapy.layers.l2.getmacbyip = scapy.layers.inet.getmacbyip = _unasked  # type: ignore[attr-defined, assignment]


_import_layers()


def typed_layers() -> dict[str, Any]:
    """Return the layers that a person types most, by name."""
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    from scapy.layers.l2 import ARP, Ether
    from scapy.layers.vxlan import VXLAN
    from scapy.packet import Raw

    return {layer.__name__: layer for layer in (Ether, ARP, IP, ICMP, UDP, TCP, VXLAN, Raw)}
