"""``query_scapy.py FILE ID SEQUENCE`` prints the seconds that rdpcap() and a filter took, memory in MB, and matches."""

import resource
import sys
import time

from scapy.layers.inet import ICMP
from scapy.utils import rdpcap

file, ident, sequence = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
began = time.monotonic()
found = [
    packet
    for packet in rdpcap(file)
    if ICMP in packet and packet[ICMP].type == 8 and packet[ICMP].id == ident and packet[ICMP].seq == sequence
]
print(time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000, len(found))  # noqa: T201
