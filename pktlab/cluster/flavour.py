"""What the flavours of a cluster's network have in common, and the plainest: a bridge on each node, no way between."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pktlab.cluster.node import Node, Pod
from pktlab.topology import Topology

if TYPE_CHECKING:
    from pktlab.cluster.cluster import Cluster

NODE_MTU = 1500


@contextlib.contextmanager
def always(topology: Topology, reason: str) -> Iterator[None]:
    """Declare as scenery what a cluster always has; where the lab has given a reason of its own, that one counts."""
    with contextlib.nullcontext() if topology.reason else topology.scenery(reason, implied=True):
        yield


def tunnelled(node: Node, name: str, *, id: int, dstport: int, mtu: int) -> None:
    """Declare a node's vxlan device, which learns nothing."""
    node._tunnel = node.ns.vxlan(name, id=id, dstport=dstport, local=node.ip, dev=node.eth0, learning=False, mtu=mtu)
    # The source of what the node itself sends to pods elsewhere.
    node.tunnel.address(f"{node.subnet[0]}/32")


def through_the_tunnel(node: Node, other: Node) -> None:
    """Declare what leads a node's packets for another one's pods through the tunnel: neighbour, FDB entry, route."""
    way = str(other.subnet[0])
    node.tunnel.neighbour(way, other.tunnel.mac).fdb(other.tunnel.mac, dst=other.ip)
    node.ns.route(str(other.subnet), via=way, dev=node.tunnel, onlink=True)


class Bridged:
    """Flavour "bridge": the CNI plugin `bridge` on each node, and nothing that leads from one node to another.

    As cmdAdd() in plugins/main/bridge/bridge.go of containernetworking/plugins with isDefaultGateway: cni0 with the
    first address of the node's subnet, a veth for each pod as its port, a default route in the pod.
    """

    mtu = NODE_MTU
    prefix = 24

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.topology = cluster.topology

    def node(self, node: Node) -> None:
        """Declare what a node has before there is any pod or other node."""
        node._bridge = node.ns.bridge("cni0").address(f"{node.gateway}/{node.subnet.prefixlen}")

    def pair(self, node: Node, other: Node) -> None:
        """Declare what `node` must know of `other`."""

    def program(self, node: Node) -> list[str]:
        """Return the command of the program that a node's tunnel needs; empty where the kernel does it all."""
        return []

    def pod(self, node: Node, name: str, ip: str) -> Pod:
        """Declare a pod with its veth and routes."""
        mtu = None if self.mtu == NODE_MTU else self.mtu
        ns = self.topology.namespace(name)
        eth0, veth = ns.veth("eth0", f"veth{name}", netns=node.ns, mtu=mtu, peer_mtu=mtu)
        node.ns.port(veth, node.bridge)
        eth0.address(f"{ip}/{node.subnet.prefixlen}")
        with always(self.topology, "kube-flannel's conflist has hairpinMode: a pod can meet itself behind a service"):
            veth.hairpin()
        with always(self.topology, "the bridge plugin gives every pod a default route"):
            ns.route("default", via=node.gateway)
        return Pod(node, ns, eth0, veth, ip)
