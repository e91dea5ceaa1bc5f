"""A star in NeST: nodes on a switch."""

import os
import sys
import time

# It lists the distributions of netem there when it is imported, and stops where Debian leaves them out.
listdir = os.listdir
os.listdir = lambda path=".": [] if path == "/usr/lib/tc" and not os.path.isdir(path) else listdir(path)

from nest import clean_up, config  # noqa: E402
from nest.topology import Node, Switch, connect  # noqa: E402


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201


config.set_value("disable_dad", True)
say("begin", time.monotonic())
hub = Switch("hub")
nodes = [Node(f"n{number}") for number in range(int(sys.argv[1]))]
for number, node in enumerate(nodes, 1):
    end, _port = connect(node, hub)
    end.set_address(f"10.0.{number >> 8}.{number & 255}/16")
say("up", hub.id, nodes[0].id, nodes[-1].id)
sys.stdin.readline()
began = time.monotonic()
clean_up.delete_namespaces()
say("down", time.monotonic() - began)
os._exit(0)
