"""A star in pyroute2: a NetNS object for each namespace."""

import os
import sys
import time

from pyroute2 import NetNS, netns


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201


count = int(sys.argv[1])
say("begin", time.monotonic())
hub = NetNS("hub", flags=os.O_CREAT)
hub.link("add", ifname="br0", kind="bridge")
bridge = hub.link_lookup(ifname="br0")[0]
hub.link("set", index=bridge, state="up")
names = [f"n{number}" for number in range(count)]
for number, name in enumerate(names, 1):
    with NetNS(name, flags=os.O_CREAT) as node:
        hub.link("add", ifname=f"p{number}", kind="veth", peer={"ifname": "eth0", "net_ns_fd": name})
        port = hub.link_lookup(ifname=f"p{number}")[0]
        hub.link("set", index=port, master=bridge, state="up")
        end = node.link_lookup(ifname="eth0")[0]
        node.addr("add", index=end, address=f"10.0.{number >> 8}.{number & 255}", prefixlen=16)
        node.link("set", index=end, state="up")
say("up", "hub", names[0], names[-1])
sys.stdin.readline()
began = time.monotonic()
hub.close()
for name in ["hub", *names]:
    netns.remove(name)
say("down", time.monotonic() - began)
os._exit(0)
