"""Calico's network: no bridge, a /32 for each pod, routes. What its CNI plugin, felix and BIRD write on each node.

None of them is run; their kernel state is rebuilt. The places named are those of projectcalico/calico.
"""

from __future__ import annotations

from pktlab.cluster.flavour import NODE_MTU, Bridged, always, through_the_tunnel, tunnelled
from pktlab.cluster.node import Node, Pod

# The next hop of every pod; it is on no interface (dataplane_linux.go).
GATEWAY = "169.254.1.1"
HOST_MAC = "ee:ee:ee:ee:ee:ee"
VXLAN_VNI, VXLAN_PORT, VXLAN_OVERHEAD = 4096, 4789, 50


class Calico(Bridged):
    """Flavour "calico": between nodes plain routes, as BIRD has them from BGP (via the other node, same LAN or not
    at all).

    See DoNetworking(), SetupRoutes() and configureSysctls() in cni-plugin/pkg/dataplane/linux/dataplane_linux.go,
    configureInterface() in felix/dataplane/linux/endpoint_mgr.go; the blackhole for the node's own /26 comes from
    confd/etc/calico/confd/templates/bird_aggr.cfg.template. Proxy ARP answers only for what the node has a route to
    by another interface (arp_process() in net/ipv4/arp.c), so a node needs its default route.
    """

    prefix = 26

    def node(self, node: Node) -> None:
        # BIRD's, for the addresses of the node's block that no pod has.
        node.ns.route(str(node.subnet), type="blackhole")

    def pair(self, node: Node, other: Node) -> None:
        if node.lan == other.lan:
            with always(self.topology, "BIRD writes these for every pair of nodes"):
                node.ns.route(str(other.subnet), via=other.ip, dev=node.eth0)

    def pod(self, node: Node, name: str, ip: str) -> Pod:
        mtu = None if self.mtu == NODE_MTU else self.mtu
        ns = self.topology.namespace(name)
        eth0, veth = ns.veth("eth0", f"cali{name}", netns=node.ns, peer_mac=HOST_MAC, mtu=mtu, peer_mtu=mtu)
        eth0.address(f"{ip}/32")
        with always(self.topology, "Calico's CNI plugin writes these for every pod"):
            ns.route(GATEWAY, dev=eth0, scope="link")
            ns.route("default", via=GATEWAY, dev=eth0)
            node.ns.route(ip, dev=veth, scope="link")
            veth.sysctl("net.ipv4.conf.{}.proxy_arp", 1)
            veth.sysctl("net.ipv4.neigh.{}.proxy_delay", 0)
            veth.sysctl("net.ipv4.conf.{}.route_localnet", 1)
            veth.sysctl("net.ipv4.conf.{}.rp_filter", 1)
        return Pod(node, ns, eth0, veth, ip)


class CalicoBird(Calico):
    """Flavour "calico-bird": as "calico", less what BIRD writes (blackholes, routes between nodes): an act runs it."""

    def node(self, node: Node) -> None:
        """Declare nothing: the blackhole is BIRD's."""

    def pair(self, node: Node, other: Node) -> None:
        """Declare nothing: BIRD has the routes from BGP."""


class CalicoVxlan(Calico):
    """Flavour "calico-vxlan": vxlan.calico between all nodes. See felix/dataplane/linux/vxlan_mgr.go: its routes,
    neighbour and FDB entries are as flannel's, with VNI 4096 on UDP 4789.
    """

    mtu = NODE_MTU - VXLAN_OVERHEAD
    everywhere = True

    def node(self, node: Node) -> None:
        super().node(node)
        tunnelled(node, "vxlan.calico", id=VXLAN_VNI, dstport=VXLAN_PORT, mtu=self.mtu)

    def pair(self, node: Node, other: Node) -> None:
        if not self.everywhere and node.lan == other.lan:
            super().pair(node, other)
            return
        with always(self.topology, "felix writes these for every pair of nodes"):
            through_the_tunnel(node, other)


class CalicoCrossSubnet(CalicoVxlan):
    """Flavour "calico-cross-subnet": plain routes on a LAN, vxlan.calico beyond it (vxlanMode CrossSubnet)."""

    everywhere = False
