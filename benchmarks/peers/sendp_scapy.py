"""Scapy's sendp(): ``sendp_scapy.py COUNT SIZE`` prints how many seconds it took."""

import sys
import time

from scapy.config import conf
from scapy.packet import Raw
from scapy.sendrecv import sendp

count, size = map(int, sys.argv[1:])
header = bytes.fromhex("02ff00000001020000000001") + b"\x88\xb6"
frames = [Raw((header + number.to_bytes(4, "big")).ljust(size, b".")) for number in range(count)]
conf.verb = 0
began = time.monotonic()
sendp(frames, iface="eth0")
print(time.monotonic() - began)  # noqa: T201
