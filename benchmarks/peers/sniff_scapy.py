"""Scapy's sniff() on eth0: ``sniff_scapy.py COUNT`` counts until it has so many, or nothing more comes."""

import select
import sys

from scapy.sendrecv import AsyncSniffer

seen = 0


def count(_packet: object) -> None:
    global seen
    seen += 1


sniffer = AsyncSniffer(
    iface="eth0",
    store=False,
    prn=count,
    started_callback=lambda: print("ready", flush=True),  # noqa: T201
)
sniffer.start()
sys.stdin.readline()
last = -1
while seen < int(sys.argv[1]) and seen != last:
    last = seen
    select.select((), (), (), 0.5)
sniffer.stop()
print(seen)  # noqa: T201
