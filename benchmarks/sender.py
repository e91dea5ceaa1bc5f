"""The load: ready frames sent by a process of its own, out of one interface or of many in turn.

``python -m benchmarks.sender COUNT RATE NAMESPACE/DEV...``, inside a sandbox; RATE 0 is as fast as it goes. Prints
``ready``, begins when it reads a line, and prints the number sent and the seconds it took; nothing if the interface
dropped any.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from benchmarks.measure import Disturbed
from benchmarks.program import ROOT
from pktlab.errors import Inconclusive
from pktlab.kernel import inject, schedule
from pktlab.kernel.mmsg import Sender
from pktlab.kernel.netns import Netns

# 64 bytes; to a station that is not there, with a type that is for experiments, so that no stack answers.
FRAME = bytes.fromhex("02ff00000001020000000001") + b"\x88\xb6" + b"load" * 12 + b".."
_BUNCH = 16


class Load:
    """A sender that is ready; `go` makes it send and returns how many frames went, and in how many seconds."""

    def __init__(self, count: int, rate: float | None, places: list[str]) -> None:
        argv = [sys.executable, "-m", "benchmarks.sender", str(count), str(rate or 0), *places]
        self._process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self._process.stdout.readline()

    def go(self) -> tuple[int, float]:
        """Send; returns when all is sent."""
        out, _ = self._process.communicate("\n")
        if not out:
            raise Disturbed("frames were dropped on their way out")
        sent, seconds = out.split()
        return int(sent), float(seconds)


class _Existing(Netns):
    """A namespace that somebody else made; it is found by its name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.fd = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)


def _everywhere(sockets: list[socket.socket], count: int, rate: float) -> tuple[int, float]:
    """Send a few out of each interface in turn."""
    sender = Sender([FRAME])
    when = schedule.planned(count, rate=rate) if rate else None
    sent, turn, begin = 0, 0, schedule.now()
    while sent < count:
        if when is not None and when.due(schedule.now() - begin) < sent + _BUNCH:
            schedule.wait_until(begin + when.moment(sent + _BUNCH))
        sent += sender.send(sockets[turn % len(sockets)].fileno(), 0, min(_BUNCH, count - sent))
        turn += 1
    return sent, (schedule.now() - begin) / 1e9


def main() -> None:
    """Send as the command line says."""
    count, rate = int(sys.argv[1]), float(sys.argv[2])
    places = [place.split("/") for place in sys.argv[3:]]
    namespaces = {name: _Existing(name) for name in {name for name, _dev in places}}
    sockets = []
    for name, dev in places:
        sockets.append(namespaces[name].socket(socket.AF_PACKET, socket.SOCK_RAW))
        sockets[-1].bind((dev, 0))
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    if len(places) > 1:
        sent, seconds = _everywhere(sockets, count, rate)
    else:
        when = schedule.planned(count, rate=rate) if rate else None
        try:
            done = inject.send(namespaces[places[0][0]], places[0][1], [FRAME], count=count, when=when)
        except Inconclusive:
            return
        sent, seconds = int(done), done.seconds
    print(sent, seconds)  # noqa: T201


if __name__ == "__main__":
    main()
