"""flannel's backends: the devices, routes, neighbour and FDB entries that flanneld writes on each node.

flanneld itself is not run; its kernel state is rebuilt. The places named are those of flannel-io/flannel.
"""

from __future__ import annotations

import sys

from pktlab.cluster.flavour import NODE_MTU, Bridged, always, through_the_tunnel, tunnelled
from pktlab.cluster.node import Node

VXLAN_PORT = 8472
UDP_PORT = 8285
# encapOverhead in pkg/backend/vxlan/vxlan_network.go (Ethernet, IP, UDP, VXLAN) and in udp/udp_network_amd64.go
VXLAN_OVERHEAD, UDP_OVERHEAD = 50, 28


class Vxlan(Bridged):
    """Flavour "vxlan": flannel.1 with VNI 1 on UDP 8472, nolearning, and all that it knows written beforehand.

    See newVXLANDevice(), AddARP() and AddFDB() in pkg/backend/vxlan/device.go, handleSubnetEvents() in
    pkg/backend/vxlan/vxlan_network.go: for each other node a permanent neighbour (the first address of its subnet at
    the MAC of its flannel.1), an FDB entry (that MAC at the node's address), and an onlink route through flannel.1.
    """

    mtu = NODE_MTU - VXLAN_OVERHEAD

    def node(self, node: Node) -> None:
        super().node(node)
        tunnelled(node, "flannel.1", id=1, dstport=VXLAN_PORT, mtu=self.mtu)

    def pair(self, node: Node, other: Node) -> None:
        with always(self.topology, "flanneld writes these for every pair of nodes"):
            through_the_tunnel(node, other)


class HostGateway(Bridged):
    """Flavour "host-gw": a plain route to each other node's subnet, via that node, which must be on the same LAN.

    See RegisterNetwork() and its GetRoute in pkg/backend/hostgw/hostgw.go.
    """

    def pair(self, node: Node, other: Node) -> None:
        if node.lan == other.lan:
            with always(self.topology, "flanneld writes these for every pair of nodes"):
                node.ns.route(str(other.subnet), via=other.ip, dev=node.eth0)


class Udp(Bridged):
    """Flavour "udp": a tun device flannel0 whose program sends the bare IP packets in UDP 8285 to the other node.

    See configureIface() in pkg/backend/udp/udp_network_amd64.go: flannel0 has the first address of the node's subnet
    with the prefix length of the whole pod network, so all of that is connected through it. An act starts the
    program, which does as run_proxy() in pkg/backend/udp/proxy_amd64.c: `Node.program`.
    """

    mtu = NODE_MTU - UDP_OVERHEAD

    def node(self, node: Node) -> None:
        super().node(node)
        node._tunnel = node.ns.tun("flannel0", mtu=self.mtu)
        node.tunnel.address(f"{node.subnet[0]}/{self.cluster.pod_network.prefixlen}")

    def program(self, node: Node) -> list[str]:
        """Return the command of the program behind a node's flannel0."""
        routes = [f"{other.subnet}={other.ip}" for other in self.cluster.nodes.values() if other is not node]
        return [sys.executable, "-m", "pktlab.kernel.udptunnel", node.tunnel.name, f"{node.ip}:{UDP_PORT}", *routes]
