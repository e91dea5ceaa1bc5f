"""The program behind a tun device that carries IP packets over UDP: ``python -m pktlab.kernel.udptunnel``.

    udptunnel flannel0 192.168.0.1:8285 10.244.2.0/24=192.168.0.2 ...

As run_proxy() in pkg/backend/udp/proxy_amd64.c of flannel: a packet read from the device goes, as it is, in a UDP
packet to the node that has its destination's subnet; what comes in UDP is written to the device. Each lowers the TTL
by one. It says ``ready`` when the device carries, and nothing more, so that its calls of read(2) and write(2) are those
for packets (see proc_pid_io(5)). Runs until it is killed.
"""

from __future__ import annotations

import fcntl
import ipaddress
import os
import select
import socket
import struct
import sys

from pktlab.kernel.carrier import flush
from pktlab.kernel.tun import IFF_NO_PI, IFF_TUN, TUNSETIFF

_LARGEST = 1 << 16


def lowered(packet: bytes) -> bytes:
    """Return an IPv4 packet with its TTL lowered by one and the checksum mended (RFC 1624); empty if that ends it."""
    if len(packet) < 20 or packet[0] >> 4 != 4 or packet[8] <= 1:
        return b""
    (checksum,) = struct.unpack_from("!H", packet, 10)
    checksum += 0x0100
    checksum = (checksum & 0xFFFF) + (checksum >> 16)
    return packet[:8] + bytes([packet[8] - 1]) + packet[9:10] + struct.pack("!H", checksum) + packet[12:]


def _destination(packet: bytes) -> ipaddress.IPv4Address:
    return ipaddress.IPv4Address(packet[16:20])


def main(device: str, local: str, *routes: str) -> None:
    """Carry packets between the device and the UDP socket."""
    host, _, port = local.partition(":")
    ways = [(ipaddress.IPv4Network(subnet), via) for subnet, _, via in (route.partition("=") for route in routes)]
    tun = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("=16sH22x", device.encode(), IFF_TUN | IFF_NO_PI))
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind((host, int(port)))
    # Else the carrier that came with this program would take effect up to a second later.
    flush(udp, [device])
    print("ready", flush=True)  # noqa: T201
    poll = select.poll()
    for descriptor in (tun, udp.fileno()):
        poll.register(descriptor, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == tun:
                packet = lowered(os.read(tun, _LARGEST))
                to = next((via for subnet, via in ways if packet and _destination(packet) in subnet), "")
                if to:
                    udp.sendto(packet, (to, int(port)))
            elif packet := lowered(udp.recv(_LARGEST)):
                os.write(tun, packet)


if __name__ == "__main__":
    main(*sys.argv[1:])
