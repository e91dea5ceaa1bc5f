"""pktlab: documents about Linux networking, made to prove what they say.

A lab imports what it needs from here; `net`, the live network, comes as a pytest fixture. Everything is loaded when
it is first asked for, so that ``pktlab --help`` stays fast.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from pktlab.claims import confirms, depends, refutes
    from pktlab.cluster import Cluster
    from pktlab.cni import CniError
    from pktlab.errors import PktlabError
    from pktlab.frame import Frame
    from pktlab.frames.dissect import dissected
    from pktlab.frames.path import Path
    from pktlab.interface import Interface
    from pktlab.network import Answer, Network, Seen
    from pktlab.topology import Device, Namespace, Topology

_PUBLIC = {
    "Answer": "pktlab.network",
    "Cluster": "pktlab.cluster",
    "CniError": "pktlab.cni",
    "Device": "pktlab.topology",
    "Frame": "pktlab.frame",
    "Interface": "pktlab.interface",
    "Namespace": "pktlab.topology",
    "Network": "pktlab.network",
    "Path": "pktlab.frames.path",
    "PktlabError": "pktlab.errors",
    "Seen": "pktlab.network",
    "Topology": "pktlab.topology",
    "confirms": "pktlab.claims",
    "depends": "pktlab.claims",
    "dissected": "pktlab.frames.dissect",
    "refutes": "pktlab.claims",
}

__all__ = [
    "Answer",
    "Cluster",
    "CniError",
    "Device",
    "Frame",
    "Interface",
    "Namespace",
    "Network",
    "Path",
    "PktlabError",
    "Seen",
    "Topology",
    "__version__",
    "confirms",
    "depends",
    "dissected",
    "refutes",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'pktlab' has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
