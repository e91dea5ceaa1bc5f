"""A service as data: an address that stands for several pods."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from pktlab.cluster.node import Node, Pod


@dataclass(frozen=True, slots=True)
class Service:
    """A service of a cluster; `ip` and `port` are what clients use, `endpoints` the pods that answer."""

    name: str
    ip: str
    port: int
    endpoints: tuple[Pod, ...]
    target_port: int
    protocol: str
    node_port: int
    local: bool
    affinity: int
    pod_network: ipaddress.IPv4Network
    nodes: tuple[Node, ...] | None = None

    def at(self, node: Node) -> bool:
        """Whether a node has its rules: each one, unless the declaration named `nodes`."""
        return self.nodes is None or node in self.nodes

    def on(self, node: Node) -> tuple[Pod, ...]:
        """Those of its endpoints that are on a node."""
        return tuple(pod for pod in self.endpoints if pod.node is node)

    def labels(self) -> set[str]:
        """What the chains of its endpoints are told apart by, with the prefixes of either mode before it."""
        return {f"{self.name}-{pod}" for pod in self.endpoints}

    def __repr__(self) -> str:
        return self.name
