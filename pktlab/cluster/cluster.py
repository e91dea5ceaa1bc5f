"""The cluster: nodes on switches, a router where there are several LANs, and the machines beside them."""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Mapping, Sequence

from pktlab.cluster import calico, check, flannel
from pktlab.cluster.flavour import Bridged, always
from pktlab.cluster.membership import beside, member, members
from pktlab.cluster.node import Node, Pod
from pktlab.cluster.proxy import PROXIES, declare, rewritten
from pktlab.cluster.service import Service
from pktlab.topology import Device, Namespace, Topology
from pktlab.topology.check import number as integer
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


# A LAN's /24 less the router's address.
MACHINES = 253


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
        if self.hosts > MACHINES:
            raise fault(f"lan{self.number} has no address left", f"it has {MACHINES}; put the others on another LAN")
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
        if not isinstance(topology, Topology):
            raise fault(f"{topology!r} is not a topology", 'write Cluster(topology, "vxlan")')
        self.topology = topology
        self.network = check.choice("network", network, FLAVOURS)
        self.pod_network = check.network("pods", pods)
        self.nodes: dict[str, Node] = {}
        self.services: dict[str, Service] = {}
        self._flavour = FLAVOURS[network](self)
        self._proxy = PROXIES[check.choice("proxy", proxy, PROXIES)]()
        self._proxied: set[Node] = set()
        self._masquerade = check.flag("masquerade", masquerade)
        self._machines: dict[str, str] = {}
        self._lans: dict[int, Lan] = {}
        self._router: Namespace | None = None

    @property
    def pods(self) -> dict[str, Pod]:
        """The pods of all nodes by name."""
        return {name: pod for node in self.nodes.values() for name, pod in node.pods.items()}

    def node(self, name: str, *, subnet: str = "", lan: int = 0) -> Node:
        """Declare a node on a LAN, and what it and the nodes before it must know of one another.

        The first node gets 192.168.0.1 and the pod subnet 10.244.1.0/24, and so on. Several LANs are joined by a
        router in the namespace ``router``. Of nodes whose subnets overlap the first one is known to the others. Raises
        TopologyError for a subnet that is not of the pod network, and where that has none left.
        """
        pods = self._next_subnet() if subnet == "" else self._within(check.network("subnet", subnet))
        ns = self.topology.namespace(name)
        with always(self.topology, "every node is on the nodes' network"):
            eth0, port = self._lan(lan).plug(ns, "eth0", name)
        node = Node(self, ns, eth0, port, pods, lan)
        with always(self.topology, "a node forwards what is its pods', and has a default route"):
            ns.sysctl("net.ipv4.ip_forward", 1)
            ns.route("default", via=self._lan(lan).gateway())
        with always(self.topology, "the network's daemon makes these on every node"):
            self._flavour.node(node)
        for address in node.addresses():
            self._unserved(address)
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
            if service.at(node):
                self._declare(service, node)
        return node

    def host(self, name: str, *, lan: int = 0) -> tuple[Namespace, Device]:
        """Declare a machine of the nodes' network that is no node and knows nothing of pods; return it and its NIC."""
        ns = self.topology.namespace(name)
        eth0, _port = self._lan(lan).plug(ns, "eth0", name)
        self._unserved(eth0.ip)
        self._machines[eth0.ip] = f"host {name}"
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
        affinity: int | None = None,
        nodes: Sequence[Node] | None = None,
    ) -> Service:
        """Declare a service: on every node the rules by which its address is translated to one of the endpoints.

        With `node_port` it is reached at that port of each node's address too; `local` is externalTrafficPolicy Local
        (only endpoints of that very node, and the client's address is kept). A client stays with its endpoint for
        `affinity` seconds, if given. Without endpoints connections are refused. `nodes` are those that have the rules,
        now and later, where the acts need them on a few only. Raises TopologyError for what is not of this cluster, or
        an address or port that something else has.
        """
        service = Service(
            check.service_name(name),
            check.address("ip", ip),
            integer("port", port, 1, 65535),
            members("endpoints", endpoints, Pod, self),
            integer("target_port", target_port, 0, 65535) or port,
            check.choice("protocol", protocol, check.PROTOCOLS),
            integer("node_port", node_port, 0, 65535),
            check.flag("local", local),
            0 if affinity is None else integer("affinity", affinity, 1, 86400),
            self.pod_network,
            None if nodes is None else members("nodes", nodes, Node, self),
        )
        beside(service, self.services.values())
        if who := self._holder(service.ip):
            raise fault(f"{service.ip} is already the address of {who}", "give the service an address that nobody has")
        if service.nodes == ():
            raise fault(f"service {name} is for no node", "name nodes, or leave `nodes` out where all have the rules")
        for node in self.nodes.values():
            if service.at(node):
                self._declare(service, node)
        self.services[name] = service
        return service

    def _declare(self, service: Service, node: Node) -> None:
        declare(self._proxy, service, node, first=node not in self._proxied)
        self._proxied.add(node)

    def rules(self, node: Node, endpoints: Mapping[Service, Sequence[Pod]]) -> str:
        """Return the nft text by which kube-proxy would replace a node's rules when services get other endpoints.

        ``net.nft(n1.ns, cluster.rules(n1, {web: [d]}))``; services that are not named keep theirs, and those that are
        for other nodes are left out. Raises TopologyError for a service that the node has no rules of.
        """
        member("nodes", node, Node, self)
        if not isinstance(endpoints, Mapping):
            raise fault(f"{endpoints!r} maps no service to endpoints", "write a mapping such as {web: [d]}")
        here = [service for service in self.services.values() if service.at(node)]
        for each in endpoints:
            if not any(each is service for service in here):
                raise fault(
                    f"{each!r} is not a service that {node} has rules of",
                    "give the service itself, as this cluster's service() returned it for that node",
                )
        now: list[Service] = []
        for each in here:
            if each in endpoints:
                each = dataclasses.replace(each, endpoints=members("endpoints", endpoints[each], Pod, self))
            now.append(each)
        for number, each in enumerate(now):
            beside(each, now[:number])
        return rewritten(self._proxy, now, node)

    def _next_subnet(self) -> ipaddress.IPv4Network:
        """The next /24 of the pod network, or what the flavour takes of that, less the first one."""
        first = int(self.pod_network[0])
        for base in range(first + 256, min(first + 255 * 256, int(self.pod_network[-1])), 256):
            subnet = ipaddress.IPv4Network((base, self._flavour.prefix))
            if not any(subnet.overlaps(node.subnet) for node in self.nodes.values()):
                return subnet
        raise fault(
            f"the cluster's pod network {self.pod_network} has no subnet left for another node",
            f"give the cluster a larger one: each node takes a /{self._flavour.prefix}, the first /24 is left out; "
            "or give each node its `subnet`",
        )

    def _within(self, subnet: ipaddress.IPv4Network) -> ipaddress.IPv4Network:
        if not subnet.subnet_of(self.pod_network):
            raise fault(
                f"subnet {subnet} is not of the cluster's pod network {self.pod_network}",
                "give the node a part of that, or the cluster other `pods`",
            )
        return subnet

    def _holder(self, ip: str) -> str:
        """Who has an address; empty where nobody of the cluster has it."""
        routers = {lan.gateway(): f"the router of lan{lan.number}" for lan in self._lans.values()}
        known = [routers, self._machines, *(node.addresses() for node in self.nodes.values())]
        return next((each[ip] for each in known if ip in each), "")

    def _unserved(self, ip: str) -> None:
        """Check that an address is not that of a service."""
        for service in self.services.values():
            if service.ip == ip:
                raise fault(f"{ip} is already the address of service {service}", "give the service another one")

    def _lan(self, number: int) -> Lan:
        integer("lan", number, 0, 255)
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
