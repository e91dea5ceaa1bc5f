"""The cluster: nodes on switches, a router where there are several LANs, and the machines beside them."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping, Sequence

from pktlab.cluster import calico, flannel
from pktlab.cluster.flavour import Bridged, always
from pktlab.cluster.node import Node, Pod
from pktlab.cluster.proxy import PROXIES, declare, rewritten
from pktlab.cluster.service import Service
from pktlab.topology import Device, Namespace, Topology
from pktlab.topology.origin import fault

FLAVOURS: dict[str, type[Bridged]] = {
    "bridge": Bridged,
    "vxlan": flannel.Vxlan,
    "host-gw": flannel.HostGateway,
    "udp": flannel.Udp,
    "calico": calico.Calico,
    "calico-bird": calico.CalicoBird,
    "calico-vxlan": calico.CalicoVxlan,
    "calico-cross-subnet": calico.CalicoCrossSubnet,
}


class Lan:
    """A LAN of nodes: a switch in a namespace of its own, 192.168.N.0/24."""

    def __init__(self, topology: Topology, number: int) -> None:
        self.number = number
        self.ns = topology.namespace(f"lan{number}")
        self.switch = self.ns.bridge("switch")
        self.hosts = 0

    def gateway(self) -> str:
        """The address of the router on this LAN, whether there is one or not."""
        return f"192.168.{self.number}.254"

    def plug(self, ns: Namespace, nic: str, port: str, address: str = "") -> tuple[Device, Device]:
        """Declare a NIC of `ns` on this LAN, and the port that it is plugged into."""
        self.hosts += not address
        near, far = ns.veth(nic, port, netns=self.ns)
        self.ns.port(far, self.switch)
        near.address(f"{address or f'192.168.{self.number}.{self.hosts}'}/24")
        return near, far


class Cluster:
    """Nodes, pods, the network between them and services, declared on a topology.

    `network` is one of "bridge" (no way from node to node), flannel's "vxlan", "host-gw" and "udp", "calico" (routes),
    "calico-bird" (those that an act's BIRD writes), "calico-vxlan" and "calico-cross-subnet". `proxy` is in whose shape
    services are written: "iptables" (a chain for each service and endpoint, chosen by numgen where iptables has
    statistic) or "nftables" (maps). With `masquerade` what pods send out of the cluster takes the node's address.

        cluster = Cluster(topology, "vxlan")
        n1, n2, n3 = (cluster.node(name) for name in ("n1", "n2", "n3"))
        a, b = n1.pod("a"), n1.pod("b")
        c, d = n2.pod("c"), n2.pod("d")
        web = cluster.service("web", "10.96.0.10", port=80, endpoints=[c, d])

    and then ``a.eth0``, ``a.veth``, ``n1.bridge``, ``n1.tunnel``, ``n1.eth0``, ``n1.port`` are interfaces, ``a.ip``,
    ``n1.ip`` and ``web.ip`` addresses, ``a.ns`` and ``n1.ns`` namespaces; `nodes` and `pods` have them by name.
    """

    def __init__(
        self,
        topology: Topology,
        network: str = "vxlan",
        *,
        pods: str = "10.244.0.0/16",
        proxy: str = "iptables",
        masquerade: bool = False,
    ) -> None:
        if network not in FLAVOURS:
            raise fault(f"network {network!r} is unknown", f"choose one of {', '.join(FLAVOURS)}")
        if proxy not in PROXIES:
            raise fault(f"proxy {proxy!r} is unknown", f"choose one of {', '.join(PROXIES)}")
        self.topology = topology
        self.network = network
        self.pod_network = ipaddress.IPv4Network(pods)
        self.nodes: dict[str, Node] = {}
        self.services: dict[str, Service] = {}
        self._flavour = FLAVOURS[network](self)
        self._proxy = PROXIES[proxy]()
        self._proxied: set[Node] = set()
        self._masquerade = masquerade
        self._lans: dict[int, Lan] = {}
        self._router: Namespace | None = None

    @property
    def pods(self) -> dict[str, Pod]:
        """The pods of all nodes by name."""
        return {name: pod for node in self.nodes.values() for name, pod in node.pods.items()}

    def node(self, name: str, *, subnet: str = "", lan: int = 0) -> Node:
        """Declare a node on a LAN, and what it and the nodes before it must know of one another.

        The first node gets 192.168.0.1 and the pod subnet 10.244.1.0/24, and so on. Several LANs are joined by a
        router in the namespace ``router``. Of nodes whose subnets overlap the first one is known to the others.
        """
        whole = subnet or self._next_subnet()
        ns = self.topology.namespace(name)
        with always(self.topology, "every node is on the nodes' network"):
            eth0, port = self._lan(lan).plug(ns, "eth0", name)
        node = Node(self, ns, eth0, port, ipaddress.IPv4Network(whole), lan)
        with always(self.topology, "a node forwards what is its pods', and has a default route"):
            ns.sysctl("net.ipv4.ip_forward", 1)
            ns.route("default", via=self._lan(lan).gateway())
        with always(self.topology, "the network's daemon makes these on every node"):
            self._flavour.node(node)
        apart = all(not node.subnet.overlaps(other.subnet) for other in self.nodes.values())
        known: list[Node] = []
        for other in self.nodes.values():
            if not any(other.subnet.overlaps(one.subnet) for one in (node, *known)):
                self._flavour.pair(node, other)
                known.append(other)
            if apart:
                self._flavour.pair(other, node)
        if self._masquerade:
            with always(self.topology, "the network's daemon writes it on every node"):
                ns.nft(_masquerade(self.pod_network))
        self.nodes[name] = node
        for service in self.services.values():
            self._declare(service, node)
        return node

    def host(self, name: str, *, lan: int = 0) -> tuple[Namespace, Device]:
        """Declare a machine of the nodes' network that is no node and knows nothing of pods; return it and its NIC."""
        ns = self.topology.namespace(name)
        eth0, _port = self._lan(lan).plug(ns, "eth0", name)
        with always(self.topology, "a machine of the nodes' network has a default route"):
            ns.route("default", via=self._lan(lan).gateway())
        return ns, eth0

    def service(
        self,
        name: str,
        ip: str,
        *,
        port: int,
        endpoints: list[Pod],
        target_port: int = 0,
        protocol: str = "tcp",
        node_port: int = 0,
        local: bool = False,
        affinity: int = 0,
        nodes: Sequence[Node] | None = None,
    ) -> Service:
        """Declare a service: on every node the rules by which its address is translated to one of the endpoints.

        With `node_port` it is reached at that port of each node's address too; `local` is externalTrafficPolicy Local
        (only endpoints of that very node, and the client's address is kept). A client stays with its endpoint for
        `affinity` seconds, if given. Without endpoints connections are refused. `nodes` are those that have the rules,
        where the acts need them on a few only.
        """
        if name in self.services:
            raise fault(f"the cluster already has a service {name!r}", "give each service its own name")
        service = Service(
            name,
            ip,
            port,
            tuple(endpoints),
            target_port or port,
            protocol,
            node_port,
            local,
            affinity,
            self.pod_network,
        )
        for node in self.nodes.values() if nodes is None else nodes:
            self._declare(service, node)
        self.services[name] = service
        return service

    def _declare(self, service: Service, node: Node) -> None:
        declare(self._proxy, service, node, first=node not in self._proxied)
        self._proxied.add(node)

    def rules(self, node: Node, endpoints: Mapping[Service, Sequence[Pod]]) -> str:
        """Return the nft text by which kube-proxy would replace a node's rules when services get other endpoints.

        ``net.nft(n1.ns, cluster.rules(n1, {web: [d]}))``; services that are not named keep theirs.
        """
        now = [
            dataclasses.replace(each, endpoints=tuple(endpoints.get(each, each.endpoints)))
            for each in self.services.values()
        ]
        return rewritten(self._proxy, now, node)

    def _next_subnet(self) -> str:
        numbers = (number for number in range(1, 255) if str(self._subnet(number)) not in self._taken())
        return str(self._subnet(next(numbers)))

    def _subnet(self, number: int) -> ipaddress.IPv4Network:
        base = int(self.pod_network.network_address) + 256 * number
        return ipaddress.IPv4Network((base, self._flavour.prefix))

    def _taken(self) -> set[str]:
        return {str(node.subnet) for node in self.nodes.values()}

    def _lan(self, number: int) -> Lan:
        if number not in self._lans:
            self._lans[number] = Lan(self.topology, number)
            if len(self._lans) > 1:
                self._route_between()
        return self._lans[number]

    def _route_between(self) -> None:
        """Declare the router, and plug it into every LAN that it is not on yet."""
        if self._router is None:
            self._router = self.topology.namespace("router")
            self._router.sysctl("net.ipv4.ip_forward", 1)
        for number, lan in self._lans.items():
            if f"eth{number}" not in self._router.devices:
                lan.plug(self._router, f"eth{number}", "router", lan.gateway())


def _masquerade(pods: ipaddress.IPv4Network) -> str:
    """As masqRules() in pkg/iptables/iptables.go of flannel, the part for pods that speak to the outside."""
    return f"""table ip flannel {{
    chain postrouting {{
        type nat hook postrouting priority srcnat;
        ip saddr {pods} ip daddr {pods} return
        ip saddr {pods} ip daddr != 224.0.0.0/4 masquerade fully-random
    }}
}}"""
