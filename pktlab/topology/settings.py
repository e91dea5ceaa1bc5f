"""One declared thing each: what a topology is made of, and what can be taken away from it.

A setting is data. `command` is how iproute2, sysctl or nft would say it, and is unique in a topology;
`devices` are the interfaces it needs, so that a setting goes when the interface it stands on goes.
"""

from __future__ import annotations

import ipaddress
import shlex
from dataclasses import dataclass, field

from pktlab.interface import Interface
from pktlab.topology.origin import Origin
from pktlab.topology.spelling import plain, quoted


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Anything declared, with the place in the lab file where it was written.

    `scenery` is why the lab keeps it although no act may hang on it; `implied` is true of what pktlab declares by
    itself.
    """

    netns: str
    origin: Origin = field(compare=False)
    scenery: str = field(default="", compare=False)
    implied: bool = field(default=False, compare=False)

    @property
    def command(self) -> str:
        """The setting as a command of iproute2, sysctl or nft."""
        raise NotImplementedError

    def __str__(self) -> str:
        return self.command

    @property
    def devices(self) -> tuple[Interface, ...]:
        """The interfaces without which the setting makes no sense."""
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Netns(Setting):
    """A network namespace (ip-netns(8))."""

    @property
    def command(self) -> str:
        return f"ip netns add {self.netns}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Link(Setting):
    """An interface that pktlab creates; `creates` lists it and, for a veth, its peer."""

    device: Interface
    mac: str = ""
    mtu: int | None = None

    @property
    def creates(self) -> tuple[Interface, ...]:
        """The interfaces that come into being with this link."""
        return (self.device,)

    @property
    def command(self) -> str:
        return self.creation()

    def creation(self, *, numbered: bool = False) -> str:
        """The command that creates it; if `numbered`, with its ifindex, unless it is a tap or tun."""
        raise NotImplementedError

    def _add(self, numbered: bool, *words: object) -> str:
        name = [f"ip -n {self.netns} link add {plain(self.device, 'name')}"]
        return " ".join(map(str, [*name, *_head(numbered, self.device, self.mac, self.mtu), *words]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Veth(Link):
    """A veth pair, both ends named, numbered and placed (veth(4))."""

    peer: Interface
    peer_mac: str = ""
    peer_mtu: int | None = None

    def creation(self, *, numbered: bool = False) -> str:
        place = [f"netns {self.peer.netns}"] if self.peer.netns != self.netns else []
        head = _head(numbered, self.peer, self.peer_mac, self.peer_mtu)
        return self._add(numbered, f"type veth peer name {quoted(self.peer)}", *place, *head)

    @property
    def creates(self) -> tuple[Interface, ...]:
        return (self.device, self.peer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bridge(Link):
    """A bridge with its options; times in seconds."""

    ageing_time: float
    stp: bool
    forward_delay: float
    mcast_snooping: bool
    group_fwd_mask: int

    def creation(self, *, numbered: bool = False) -> str:
        return self._add(
            numbered,
            f"type bridge ageing_time {self.ageing_time * 100:.0f} stp_state {int(self.stp)}",
            f"forward_delay {self.forward_delay * 100:.0f} mcast_snooping {int(self.mcast_snooping)}",
            f"group_fwd_mask {self.group_fwd_mask}",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Vxlan(Link):
    """A VXLAN device (RFC 7348): the outer header goes to UDP `dstport`."""

    id: int
    dstport: int
    local: str = ""
    remote: str = ""
    dev: Interface | None = None
    learning: bool = True

    @property
    def family(self) -> int:
        """4 or 6: that of the outer header."""
        return 6 if ":" in self.local + self.remote else 4

    def creation(self, *, numbered: bool = False) -> str:
        words = [f"type vxlan id {self.id} dstport {self.dstport}"]
        words += [f"local {self.local}"] if self.local else []
        many = bool(self.remote) and ipaddress.ip_address(self.remote).is_multicast
        words += [f"{'group' if many else 'remote'} {self.remote}"] if self.remote else []
        words += [f"dev {quoted(self.dev)}"] if self.dev else []
        words += [] if self.learning else ["nolearning"]
        return self._add(numbered, *words)

    @property
    def devices(self) -> tuple[Interface, ...]:
        return (self.dev,) if self.dev else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap(Link):
    """A tap device: a program on the other side reads and writes its frames."""

    def creation(self, *, numbered: bool = False) -> str:
        name = plain(self.device)
        mac = f"\nip -n {self.netns} link set {name} address {self.mac}" if self.mac else ""
        return f"ip -n {self.netns} tuntap add {name} mode tap{mac}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tun(Link):
    """A tun device: a program that attaches to it reads and writes bare IP packets; until then it has no carrier."""

    def creation(self, *, numbered: bool = False) -> str:
        name = plain(self.device)
        mtu = f"\nip -n {self.netns} link set {name} mtu {self.mtu}" if self.mtu else ""
        return f"ip -n {self.netns} tuntap add {name} mode tun{mtu}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Macvlan(Link):
    """A macvlan device on `link`."""

    link: Interface
    mode: str

    def creation(self, *, numbered: bool = False) -> str:
        return self._add(numbered, f"link {quoted(self.link)} type macvlan mode {self.mode}")

    @property
    def devices(self) -> tuple[Interface, ...]:
        return (self.link,)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnDevice(Setting):
    """A setting that stands on one interface."""

    device: Interface

    @property
    def devices(self) -> tuple[Interface, ...]:
        return (self.device,)

    def _ip(self, words: str) -> str:
        return f"ip -n {self.netns} {words}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Up(OnDevice):
    """The interface is administratively up."""

    @property
    def command(self) -> str:
        return self._ip(f"link set {plain(self.device)} up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Port(OnDevice):
    """The interface is a port of a bridge."""

    bridge: Interface

    @property
    def command(self) -> str:
        return self._ip(f"link set {plain(self.device)} master {quoted(self.bridge)}")

    @property
    def devices(self) -> tuple[Interface, ...]:
        return (self.device, self.bridge)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hairpin(OnDevice):
    """The port may send a frame back where it came from ("hairpin" in bridge(8))."""

    @property
    def command(self) -> str:
        return f"bridge -n {self.netns} link set dev {quoted(self.device)} hairpin on"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address(OnDevice):
    """An address with its prefix length on an interface."""

    address: str

    @property
    def ip(self) -> str:
        """The address without its prefix length."""
        return self.address.split("/")[0]

    @property
    def command(self) -> str:
        return self._ip(f"addr add {self.address} dev {quoted(self.device)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour(OnDevice):
    """A permanent neighbour entry."""

    address: str
    mac: str

    @property
    def command(self) -> str:
        return self._ip(f"neigh add {self.address} lladdr {self.mac} dev {quoted(self.device)} nud permanent")


@dataclass(frozen=True, slots=True, kw_only=True)
class FdbEntry(OnDevice):
    """A static entry of a bridge port's FDB, or of a VXLAN device's where `dst` is given."""

    mac: str
    dst: str = ""

    @property
    def command(self) -> str:
        if self.dst:
            return f"bridge -n {self.netns} fdb append {self.mac} dev {quoted(self.device)} dst {self.dst}"
        return f"bridge -n {self.netns} fdb add {self.mac} dev {quoted(self.device)} master static"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route(Setting):
    """A route (ip-route(8))."""

    dst: str
    type: str = "unicast"
    via: str = ""
    device: Interface | None = None
    src: str = ""
    metric: int | None = None
    table: int | None = None
    scope: str = ""
    onlink: bool = False

    @property
    def words(self) -> str:
        """The route as `ip route show` would print it."""
        words = [self.type] if self.type != "unicast" else []
        words += [self.dst]
        words += [f"via {self.via}"] if self.via else []
        words += [f"dev {quoted(self.device)}"] if self.device else []
        words += [f"src {self.src}"] if self.src else []
        words += [f"metric {self.metric}"] if self.metric is not None else []
        words += [f"table {self.table}"] if self.table is not None else []
        words += [f"scope {self.scope}"] if self.scope else []
        words += ["onlink"] if self.onlink else []
        return " ".join(words)

    @property
    def command(self) -> str:
        return f"ip -n {self.netns} {'-6 ' if self.family == 6 else ''}route add {self.words}"

    @property
    def devices(self) -> tuple[Interface, ...]:
        return (self.device,) if self.device else ()

    @property
    def family(self) -> int:
        """4 or 6."""
        text = next((t for t in (self.dst, self.via, self.src) if t and t != "default"), "0.0.0.0")
        return ipaddress.ip_interface(text).version


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule(Setting):
    """A rule of the routing policy (ip-rule(8))."""

    table: int
    priority: int | None = None
    src: str = ""
    dst: str = ""
    iif: Interface | None = None
    oif: Interface | None = None
    fwmark: int | None = None

    @property
    def command(self) -> str:
        words = [f"priority {self.priority}"] if self.priority is not None else []
        words += [f"from {self.src or 'all'}"]
        words += [f"to {self.dst}"] if self.dst else []
        words += [f"iif {quoted(self.iif)}"] if self.iif else []
        words += [f"oif {quoted(self.oif)}"] if self.oif else []
        words += [f"fwmark {self.fwmark}"] if self.fwmark is not None else []
        # Without -6, iproute2 takes the address for one of IPv4.
        family = "-6 " if ":" in self.src + self.dst else ""
        return f"ip -n {self.netns} {family}rule add {' '.join(words)} table {self.table}"

    @property
    def devices(self) -> tuple[Interface, ...]:
        return tuple(device for device in (self.iif, self.oif) if device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sysctl(Setting):
    """A sysctl of one namespace; `key` is its path below /proc/sys, with slashes."""

    key: str
    value: str
    device: Interface | None = None

    @property
    def command(self) -> str:
        name = self.key if "." in self.key else self.key.replace("/", ".")
        return f"ip netns exec {self.netns} sysctl -w {shlex.quote(f'{name}={self.value}')}"

    @property
    def devices(self) -> tuple[Interface, ...]:
        return (self.device,) if self.device else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Nft(Setting):
    """A ruleset in nft's own language (nft(8))."""

    ruleset: str

    @property
    def command(self) -> str:
        return f"ip netns exec {self.netns} nft -f - <<'EOF'\n{self.ruleset.strip()}\nEOF"


def _head(numbered: bool, device: Interface, mac: str, mtu: int | None) -> list[str]:
    """What `ip link add` says of an interface of any kind."""
    index = [f"index {device.index}"] if numbered else []
    return [*index, *([f"address {mac}"] if mac else []), *([f"mtu {mtu}"] if mtu else [])]
