"""What Scapy says of a frame, field by field: for people who look at one packet."""

from __future__ import annotations

import logging
from typing import Any

from pktlab.frame import Frame
from pktlab.frames import dissect

_loaded = False


def explained(frame: Frame) -> str:
    """Return every layer of a frame with its fields, one a line, as Scapy's show() has them.

    The protocols of applications are read, too; tell Scapy of other ports of VXLAN by `dissect.bind_vxlan`.
    """
    _load()
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw

    log = logging.getLogger("scapy.runtime")  # a reader's page is no place to hear of a dissector's doubts
    level, log.level = log.level, logging.CRITICAL
    try:
        # Not `dissect.dissected`: a pattern may have had it dissected before all layers were known.
        packet: Any = Ether(frame.data)
    except Exception:  # whatever a dissector makes of bytes that are none of its protocol, such as half a header
        packet = Raw(frame.data)
    finally:
        log.level = level
    return str(packet.show(dump=True)).rstrip()


def _load() -> None:
    global _loaded
    if not _loaded:
        dissect.load()
        import scapy.layers.dhcp
        import scapy.layers.dns
        import scapy.layers.inet6  # noqa: F401

        _loaded = True
