"""A star in Mininet: hosts on a Linux bridge."""

import os
import sys
import time

from mininet.net import Mininet
from mininet.nodelib import LinuxBridge
from mininet.topo import SingleSwitchTopo

# Else it would write sysctls that are the whole machine's.
Mininet.inited = True


def say(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201


topo = SingleSwitchTopo(int(sys.argv[1]))
say("begin", time.monotonic())
net = Mininet(topo=topo, switch=LinuxBridge, controller=None)
net.start()
say("up", "-", net.hosts[0].pid, net.hosts[-1].pid)
sys.stdin.readline()
began = time.monotonic()
net.stop()
say("down", time.monotonic() - began)
os._exit(0)
