"""`net` for a network that somebody else has brought up: the same verbs and questions, and a capture only on request.

The network may be up for days, so nothing is kept of it but what is asked for: the sockets of a capture are open
within ``with net.capture() as seen:``, whose frames go with `seen`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from pktlab.errors import LabError
from pktlab.frames.headers import VXLAN_PORTS
from pktlab.interface import Interface
from pktlab.kernel import descriptors, tables
from pktlab.kernel.backlog import Backlog
from pktlab.kernel.capture import Recorder
from pktlab.kernel.fence import Fence
from pktlab.kernel.netlink import Netlink
from pktlab.kernel.netns import Netns
from pktlab.kernel.proof import Prover, foreign
from pktlab.kernel.tun import Tap
from pktlab.network import Network
from pktlab.network.recording import Recording
from pktlab.network.seen import Seen, Window
from pktlab.network.testbed import QUEUE, Testbed
from pktlab.topology import Topology, settings

# As many frames as may be sent at once where nobody captures, and so nothing can be lost by it.
_BUNCH = 1024


class _Deaf(Recorder):
    """A recorder of no namespace, for the time between captures."""

    def __init__(self) -> None:
        super().__init__([])

    def bunch(self, size: int, sightings: int) -> int:
        """Return how many frames may be sent before `drain`."""
        return _BUNCH

    def use_rings(self, numbers: Sequence[int] | None = None) -> None:
        """Refuse: there is nothing to make room for. Raises LabError."""
        raise LabError("nothing is being captured", remedy="write `with net.capture(ring=True) as seen:`")


class Attached(Testbed):
    """The live form of a topology that another process made, in whose sandbox this one is."""

    def __init__(self, topology: Topology, namespaces: Sequence[str]) -> None:
        descriptors.allow()
        self.topology = topology
        self.namespaces = {name: Netns.named(name) for name in namespaces}
        self.netlinks: dict[str, Netlink] = {}
        for name, namespace in self.namespaces.items():
            with namespace.entered():
                self.netlinks[name] = Netlink()
        self.taps: dict[Interface, Tap] = {}
        self.names = {name: tables.names(netlink) for name, netlink in self.netlinks.items()}
        self.gone = {name: {} for name in self.namespaces}
        self._conntracks = {}
        self._restless = False
        self._recorder = _Deaf()
        self._watch = self._listen()
        self.fence = Fence()
        self.backlog = Backlog()
        self.seconds = 0.0

    def listen(self) -> Recorder:
        """Capture all interfaces from now on."""
        recorder = Recorder(list(self.namespaces.values()), queue=QUEUE)
        self.fence.arm()
        recorder.start()
        self._recorder = recorder
        return recorder

    def deafen(self) -> None:
        """Capture nothing any more; what was captured can be read as long as somebody has it."""
        self.recorder.close()
        self._recorder = _Deaf()

    def close(self) -> None:
        """Let go of everything; the network stays."""
        self.recorder.close()
        self.fence.close()
        self.watch.close()
        for netlink in [*self.netlinks.values(), *self._conntracks.values()]:
            netlink.close()
        for namespace in self.namespaces.values():
            namespace.let_go()


class _Listening(Window):
    """The block of ``with net.capture() as seen:``; what is captured outside of any is nobody's."""

    def __init__(self, net: AttachedNetwork, ring: bool) -> None:
        super().__init__(lambda: net._begin(ring), net._end)
        self._net = net

    def __enter__(self) -> Seen:
        self._net._listen()
        try:
            return super().__enter__()
        except BaseException:
            self._net._deafen()
            raise

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        try:
            super().__exit__(kind, *rest)
        finally:
            self._net._deafen()


class AttachedNetwork(Network):
    """A network that is up, as an act has it; made in a guest of its sandbox. Closing it leaves the network up."""

    def __init__(self, topology: Topology, namespaces: Sequence[str]) -> None:
        self._attached = Attached(topology, namespaces)
        self._depth = 0
        super().__init__(topology, testbed=self._attached)

    def capture(self, *, ring: bool = False) -> Window:
        """Look at the frames between the beginning and the end of a block: ``with net.capture() as seen:``.

        Every interface is seen at once, and nothing is captured outside of such a block. See `Network.capture`.
        """
        return _Listening(self, ring)

    def _listen(self) -> None:
        self._depth += 1
        if self._depth > 1:
            return
        try:
            recorder = self._attached.listen()
        except BaseException:
            self._depth -= 1
            raise
        tunnels = {s.dstport for s in self.topology.settings if isinstance(s, settings.Vxlan)}
        self._recording = Recording(recorder.storage, vxlan_ports=VXLAN_PORTS | tunnels)
        self._prover = Prover(self._attached.namespaces, self._attached.netlinks, recorder)
        # Another process may prove a capture of its own here: its markers are no frames of the network either.
        ours = recorder.marker
        recorder.marker = lambda *frame: ours(*frame) or foreign(*frame)

    def _deafen(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._attached.deafen()

    def tap(self, dev: Interface) -> Tap:
        """Raise LabError: the program's side of a tap device is held by the network's owner, lest it go."""
        self._place(dev)
        raise LabError(
            f"the program's side of {dev} is held by pid 1 of this sandbox, not by process {os.getpid()}",
            remedy="use it in an act: pktlab run",
        )
