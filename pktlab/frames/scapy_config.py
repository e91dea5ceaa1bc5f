"""Importing this imports Scapy's usual layers, and keeps it from looking at the machine's own routes and interfaces.

Scapy reads both while it is imported: 10 ms, or 11 s where a namespace has a thousand interfaces. An interface that
is asked for by its name it looks up again by itself, so nothing is lost.
"""

from __future__ import annotations

from scapy.config import conf


def _import_layers() -> None:
    conf.route_autoload = False
    conf.route6_autoload = False
    import scapy.interfaces  # makes conf.ifaces

    conf.ifaces.reload = lambda: None  # type: ignore[method-assign]
    try:
        import scapy.layers.inet
        import scapy.layers.l2
        import scapy.layers.vxlan  # noqa: F401
    finally:
        del conf.ifaces.reload


_import_layers()
