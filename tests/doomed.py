"""Makes sandboxes full of namespaces, mounts and orphaned processes until it is killed: see test_sandbox_kill.py.

Arguments: `stay` to keep the first sandbox, or `loop` to make one after another; and the descriptor of a network
namespace, or -1. Every namespace inside gets a veth whose peer lies there, so that the peer shows when it is gone.
"""

from __future__ import annotations

import itertools
import os
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pktlab.kernel import libc
from pktlab.kernel.probe import _attribute, _new_link
from pktlab.kernel.sandbox import Child

NAMESPACES = 5
_VETH_INFO_PEER, _IFLA_IFNAME, _IFLA_NET_NS_FD = 1, 3, 28


def fill(serial: int, outside: int) -> None:
    for number in range(NAMESPACES):
        libc.unshare(libc.CLONE_NEWNET)
        name = f"/run/netns/n{number}"
        Path(name).touch()
        libc.mount("/proc/thread-self/ns/net", name, flags=libc.MS_BIND)
        if outside >= 0:
            peer = bytes(16) + _attribute(_IFLA_IFNAME, f"d{serial}-{number}\0".encode())
            peer += _attribute(_IFLA_NET_NS_FD, struct.pack("=I", outside))
            _new_link("veth", data=_attribute(_VETH_INFO_PEER, peer))
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                signal.pause()
            os._exit(0)
        os.wait()


def say(word: str) -> None:
    sys.stdout.write(word + "\n")
    sys.stdout.flush()


def main(what: str, outside: int) -> None:
    for serial in itertools.count():

        def work(send: Callable[[Any], None], serial: int = serial) -> None:
            fill(serial, outside)
            send("up")
            signal.pause()

        if serial == 0 and what == "loop":
            say("begin")
        with Child(work) as child:
            for _ in child.messages():
                if what == "loop":
                    break
                say("up")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
