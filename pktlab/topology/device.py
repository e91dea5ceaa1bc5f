"""An interface that a topology declares."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pktlab.interface import Interface
from pktlab.topology import check, settings, sysctl
from pktlab.topology.origin import fault, origin

if TYPE_CHECKING:
    from pktlab.topology.namespace import Namespace

LOOPBACK_MAC = "00:00:00:00:00:00"


class Device(Interface):
    """A declared interface; its methods declare what else belongs to it and return it, so calls can be chained.

    They describe the network as it shall be when an act begins. What an act does to the live network are
    methods of `net`.
    """

    __slots__ = ("namespace",)

    def __init__(self, namespace: Namespace, name: str, *, kind: str, mac: str = "", index: int = 0) -> None:
        super().__init__(namespace.name, name, kind=kind, mac=mac, index=index)
        self.namespace = namespace

    @property
    def mac(self) -> str:
        """The MAC address, lower case with colons.

        A bridge whose address was not declared takes the numerically lowest one of its ports
        (br_stp_recalculate_bridge_id() in net/bridge/br_stp_if.c); without a port the kernel draws one by
        lot, and this is empty.
        """
        if self.kind != "bridge" or self._mac:
            return self._mac
        return min((port.mac for port in self.ports if port.mac), default="")

    @property
    def ip(self) -> str:
        """The first declared address without its prefix length.

        Raises TopologyError if no address is declared.
        """
        for setting in self.namespace.topology.settings:
            if isinstance(setting, settings.Address) and setting.device == self:
                return setting.ip
        raise fault(f"{self} has no declared address", f'declare one: {self.name}.address("10.0.0.1/24")')

    @property
    def ports(self) -> list[Device]:
        """The declared ports of this bridge, in the order of declaration."""
        every = self.namespace.topology.settings
        found = [s.device for s in every if isinstance(s, settings.Port) and s.bridge == self]
        return [device for device in found if isinstance(device, Device)]

    def address(self, *cidr: str) -> Device:
        """Declare one or more addresses, each with its prefix length, as in ``10.0.0.1/24``."""
        for text in cidr:
            parsed = check.cidr(text)
            self.namespace.topology.allow(parsed)
            self.namespace.declare(settings.Address(netns=self.netns, origin=origin(), device=self, address=parsed))
        return self

    def down(self) -> Device:
        """Declare that the interface stays down; interfaces are up unless a lab says so."""
        self.namespace.topology.remove(settings.Up, self)
        return self

    def sysctl(self, name: str, value: int | str) -> Device:
        """Declare a sysctl of this interface; {} in `name` stands for the interface's name."""
        path, _ = sysctl.key(name, self.namespace.names, device=self.name)
        text = sysctl.value(name, value)
        self.namespace.declare(settings.Sysctl(netns=self.netns, origin=origin(), key=path, value=text, device=self))
        return self

    def hairpin(self) -> Device:
        """Declare that this port of a bridge may send a frame back to where it came from (bridge(8))."""
        if not any(isinstance(s, settings.Port) and s.device == self for s in self.namespace.topology.settings):
            raise fault(f"{self} is no port of a bridge, so it has no hairpin", "make it one first: namespace.port()")
        self.namespace.declare(settings.Hairpin(netns=self.netns, origin=origin(), device=self))
        return self

    def neighbour(self, address: str, mac: str) -> Device:
        """Declare a permanent neighbour entry: `address` is at `mac` on this interface."""
        target = check.ip(address)
        self.namespace.topology.allow(target)
        self.namespace.declare(
            settings.Neighbour(netns=self.netns, origin=origin(), device=self, address=target, mac=check.mac(mac))
        )
        return self

    def fdb(self, mac: str, *, dst: str = "") -> Device:
        """Declare a static FDB entry: of the bridge this port belongs to, or of a VXLAN device towards `dst`."""
        if self.kind == "vxlan" and not dst:
            raise fault(f"FDB entry of vxlan {self} without dst", 'add dst="<address of the other VTEP>"')
        if self.kind != "vxlan" and dst:
            raise fault(f"{self} is no vxlan, so its FDB entry has no dst", "leave dst out")
        entry = settings.FdbEntry(
            netns=self.netns, origin=origin(), device=self, mac=check.mac(mac), dst=check.ip(dst) if dst else ""
        )
        self.namespace.topology.allow(entry.dst)
        if not dst and entry.mac == LOOPBACK_MAC:
            raise fault(f"FDB entry of port {self} for the zero MAC", "give the MAC of a host behind the port")
        self.namespace.declare(entry)
        return self
