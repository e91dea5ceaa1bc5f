"""A node of a cluster and the pods on it: their namespaces and interfaces, by name."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from pktlab.cluster import check
from pktlab.topology import Device, Namespace
from pktlab.topology.origin import fault

if TYPE_CHECKING:
    from pktlab.cluster.cluster import Cluster

T = TypeVar("T")


class Pod:
    """A pod: `ns` is its namespace, `eth0` its interface, `veth` the other end of that on the node."""

    def __init__(self, node: Node, ns: Namespace, eth0: Device, veth: Device, ip: str) -> None:
        self.node = node
        self.ns = ns
        self.eth0 = eth0
        self.veth = veth
        self.ip = ip

    @property
    def name(self) -> str:
        """Its name, which is that of its namespace."""
        return self.ns.name

    def __repr__(self) -> str:
        return self.name


class Node:
    """A node: `eth0` with the address `ip` is its NIC, `port` the NIC's other end on the switch of its LAN.

    `subnet` is what its pods get their addresses from. `bridge` (cni0) and `tunnel` (flannel.1, flannel0,
    vxlan.calico) are there where the cluster's flavour has them.
    """

    def __init__(
        self, cluster: Cluster, ns: Namespace, eth0: Device, port: Device, subnet: ipaddress.IPv4Network, lan: int
    ) -> None:
        self.cluster = cluster
        self.ns = ns
        self.eth0 = eth0
        self.port = port
        self.subnet = subnet
        self.lan = lan
        self.pods: dict[str, Pod] = {}
        self._bridge: Device | None = None
        self._tunnel: Device | None = None
        self._free = self._addresses()

    @property
    def name(self) -> str:
        """Its name, which is that of its namespace."""
        return self.ns.name

    def __repr__(self) -> str:
        return self.name

    @property
    def ip(self) -> str:
        """The address of its NIC."""
        return self.eth0.ip

    @property
    def gateway(self) -> str:
        """The first address of its pods' subnet, which the bridge has where there is one."""
        return str(self.subnet[1])

    @property
    def bridge(self) -> Device:
        """The bridge of its pods. Raises TopologyError where the flavour has none."""
        return self._there(self._bridge, "bridge")

    @property
    def bridged(self) -> bool:
        """Whether its pods are on a bridge."""
        return self._bridge is not None

    @property
    def tunnel(self) -> Device:
        """The device through which its pods' packets go to other nodes. Raises TopologyError where there is none."""
        return self._there(self._tunnel, "tunnel")

    @property
    def program(self) -> list[str]:
        """The command of the program behind the tunnel: ``net.start(n1.ns, n1.program, ready="ready")``.

        It says in a line for each packet which two system calls took it from the kernel and gave it back. Raises
        TopologyError where the flavour is not "udp".
        """
        return self._there(self.cluster._flavour.program(self), "program")

    def pod(self, name: str, *, ip: str = "") -> Pod:
        """Declare a pod; its address is the next of the node's subnet unless given.

        Raises TopologyError for an address that is not of the subnet, or that something on the node or a service has.
        Nodes whose subnets overlap may have pods with one address: that is what overlapping leads to.
        """
        address = next(self._free, "") if ip == "" else self._given(ip)
        if not address:
            raise fault(f"{self.name} has no address left in {self.subnet}", "give the cluster's nodes larger subnets")
        self.cluster._unserved(address)
        pod = self.cluster._flavour.pod(self, name, address)
        self.pods[name] = pod
        return pod

    def addresses(self) -> dict[str, str]:
        """Who has which address on the node, its pods among them."""
        subnet = self.subnet
        found = {self.ip: f"node {self}"}
        if self.bridged:
            found |= {str(subnet[0]): f"{self}'s subnet", self.gateway: f"{self}'s bridge"}
            found[str(subnet[-1])] = f"the broadcasts of {self}'s subnet"
        if self._tunnel is not None:
            found[str(subnet[0])] = f"{self}'s tunnel"
        return found | {pod.ip: f"pod {pod}" for pod in self.pods.values()}

    def _given(self, ip: str) -> str:
        address = check.address("ip", ip)
        if ipaddress.IPv4Address(address) not in self.subnet:
            raise fault(f"{address} is not of {self.name}'s subnet {self.subnet}", "give the pod an address of that")
        if who := self.addresses().get(address):
            raise fault(f"{address} is already the address of {who}", "give the pod another one, or none")
        return address

    def _addresses(self) -> Iterator[str]:
        """The addresses that host-local and Calico's IPAM would hand out, in order; .1 is left to a gateway."""
        taken = 2
        while taken < self.subnet.num_addresses - 1:
            address = str(self.subnet[taken])
            if all(pod.ip != address for pod in self.pods.values()):
                yield address
            taken += 1

    def _there(self, found: T | None, what: str) -> T:
        if not found:
            raise fault(
                f"{self.name} has no {what}: the cluster's network is {self.cluster.network!r}",
                "see the flavours in the docstring of pktlab.Cluster",
            )
        return found
