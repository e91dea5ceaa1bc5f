"""BIRD on Calico's nodes: its configuration, a start, and the UPDATE messages that it sends.

Real: BIRD 2 (Calico has its own branch of BIRD 1.6). Rebuilt: the configuration, after bird.cfg.template,
bird_ipam.cfg.template and bird_aggr.cfg.template in confd/etc/calico/confd/templates of projectcalico/calico.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from scapy.contrib.bgp import BGPHeader, BGPUpdate
from scapy.layers.inet import IP, TCP

from pktlab import Device, Namespace, Network, Seen, dissected

POOL, LATE = "10.244.0.0/16", "10.244.63.0/26"


class Speaker:
    """Who speaks BGP: a namespace and its NIC, and the block that it owns, if any."""

    def __init__(self, ns: Namespace, eth0: Device, block: str = "") -> None:
        self.ns, self.eth0, self.block = ns, eth0, block
        self.conf, self.control, self.pid = (Path(f"/run/bird.{ns.name}.{each}") for each in ("conf", "ctl", "pid"))

    @property
    def ip(self) -> str:
        """The address that it speaks from."""
        return self.eth0.ip

    def start(self, net: Network, peers: Iterable[Speaker], *, listens: Sequence[Speaker] = (), reflects: bool) -> Any:
        """Start BIRD with a session of iBGP with each peer; with those in `listens` it waits for the peer to begin."""
        self.conf.write_text(self._configuration(peers, listens, reflects))
        argv = ["bird", "-f", "-c", str(self.conf), "-s", str(self.control), "-P", str(self.pid)]
        return net.start(self.ns, argv, ready="<INFO> Started")

    def enable(self, net: Network, protocol: str) -> None:
        """Enable a protocol of the running BIRD; "late" announces one more block, LATE."""
        assert net.run(self.ns, ["birdc", "-s", str(self.control), "enable", protocol])

    def wake(self) -> None:
        """Have a running BIRD do what it has yet to do, by connecting to it.

        What its work list leaves to send waits for the next event, up to 3 s (io_loop() in sysdep/unix/io.c, 2.0.12).
        """
        with socket.socket(socket.AF_UNIX) as control, contextlib.suppress(ConnectionRefusedError, FileNotFoundError):
            control.connect(str(self.control))

    def _configuration(self, peers: Iterable[Speaker], listens: Sequence[Speaker], reflects: bool) -> str:
        sessions = [
            f"""protocol bgp to_{peer.ns.name} {{
    local {self.ip} as 64512;
    neighbor {peer.ip} as 64512;
    multihop;
    {"passive;" if peer in listens else "connect delay time 1; connect retry time 1; error wait time 1, 1;"}
    {"rr client;" if reflects else ""}
    ipv4 {{ gateway recursive; import all; export filter to_peers; }};
}}
"""
            for peer in peers
        ]
        own = f"protocol static own {{ ipv4; route {self.block} blackhole; }}" if self.block else ""
        within = f"if net ~ {self.block} && net != {self.block} then reject;" if self.block else ""
        return f"""log stderr all;
router id {self.ip};
filter to_peers {{ {within} if net ~ {POOL} then accept; reject; }}
filter to_kernel {{ if net ~ {POOL} && source ~ [RTS_STATIC, RTS_BGP] then accept; reject; }}
protocol device {{ }}
protocol direct {{ ipv4; interface -"cali*", "*"; }}
protocol kernel {{ learn; ipv4 {{ import all; export filter to_kernel; }}; }}
{own}
protocol static late {{ disabled; ipv4; route {LATE} blackhole; }}
{"".join(sessions)}"""


def start(net: Network, sessions: Sequence[tuple[Speaker, Speaker]], *, reflector: Speaker | None = None) -> Any:
    """Start the BIRD of everybody who is in a session; return them by speaker. The first of each pair listens."""
    speakers = dict.fromkeys(speaker for pair in sessions for speaker in pair)
    return {
        speaker: speaker.start(
            net,
            [other for pair in sessions if speaker in pair for other in pair if other is not speaker],
            listens=[second for first, second in sessions if first is speaker],
            reflects=speaker is reflector,
        )
        for speaker in speakers
    }


def blocks(net: Network, speaker: Speaker) -> dict[str, str]:
    """The blocks that a speaker's kernel has a route to, with the next hop; the own one has none."""
    return {route.dst: route.via for route in net.routes(speaker.ns) if route.dst.endswith("/26")}


def wait(net: Network, speakers: Iterable[Speaker], condition: Callable[[], object]) -> None:
    """Return when `condition()` is true, which hangs on the BIRDs of `speakers`."""

    def asked() -> object:
        for speaker in speakers:
            speaker.wake()
        return condition()

    net.wait(asked, timeout=8)


def announced(seen: Seen, sender: Speaker, receiver: Speaker) -> dict[str, dict[str, Any]]:
    """The prefixes in the UPDATE messages from one speaker to another, each with its path attributes by name."""
    found: dict[str, dict[str, Any]] = {}
    for frame in seen.frames(IP(src=sender.ip, dst=receiver.ip) / TCP(), on=sender.eth0):
        data = bytes(dissected(frame)[TCP].payload)
        while len(data) > 18:
            length = int.from_bytes(data[16:18], "big")
            message, data = BGPHeader(data[:length]), data[length:]
            if BGPUpdate in message:
                attributes = {k: v for each in message.path_attr for k, v in each.attribute.fields.items()}
                found |= {each.prefix: attributes for each in message.nlri}
    return found
