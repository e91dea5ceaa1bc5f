"""The owner of a network that is up: it makes the sandbox, tells who asks, and takes the network along when it ends."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from pktlab.errors import PktlabError
from pktlab.kernel.libc import PR_SET_PDEATHSIG, prctl
from pktlab.kernel.message import Failure, Receiver, Sender
from pktlab.kernel.sandbox import Child
from pktlab.network.testbed import Testbed
from pktlab.standing import names, registry
from pktlab.standing.registry import Standing
from pktlab.topology import Topology

_UP_SECONDS = 120.0


class _Ended(Exception):
    """The owner has been asked to end (SIGTERM)."""


@dataclass
class Network:
    """What is to be brought up: the lab's file and topology, and the name that the network gets."""

    lab: Path
    topology: Topology
    name: str

    @property
    def namespaces(self) -> list[str]:
        """The names of its namespaces, in the order of declaration."""
        return list(self.topology.namespaces)


def start(network: Network) -> Standing:
    """Bring a network up, and return when it is, with an owner in the background.

    Raises PktlabError where the name is taken, and whatever comes out of bringing it up.
    """
    listener = registry.claim(network.name)
    reading, writing = os.pipe()
    with listener:
        starter = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            _background(network, listener, writing, starter)
    os.close(writing)
    try:
        message = next(_messages(reading), None)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    finally:
        os.close(reading)
    if isinstance(message, Failure):
        os.waitpid(pid, 0)
        raise message.exception()
    if message is None:
        os.waitpid(pid, 0)
        raise PktlabError(f"the owner of {network.name} ended before the network was up")
    return registry.find(network.name)


def stay(network: Network, ready: Callable[[Standing], None]) -> None:
    """Bring a network up, call `ready`, and be its owner until SIGTERM, or Ctrl-C (KeyboardInterrupt).

    Raises as `start` does, and PktlabError where the sandbox ends by itself.
    """
    with registry.claim(network.name) as listener:
        _own(network, listener, ready)


def _messages(reading: int) -> Iterator[Any]:
    receiver = Receiver()
    while piece := os.read(reading, 1 << 16):
        yield from receiver.feed(piece)


def _background(network: Network, listener: socket.socket, writing: int, starter: int) -> NoReturn:
    status = 1
    send = Sender(writing)
    try:
        # Until it has told that it is up, nobody else knows of it: so it ends with who started it.
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != starter:
            os._exit(1)
        os.setsid()
        os.chdir("/")
        _let_go_of_all_but(listener.fileno(), writing)

        def ready(standing: Standing) -> None:
            prctl(PR_SET_PDEATHSIG, 0)
            send("up")
            os.close(writing)

        _own(network, listener, ready, writing)
        status = 0
    except BaseException as error:
        with contextlib.suppress(OSError):  # it was up, and nobody listens any more
            send(Failure.of(error))
    finally:
        os._exit(status)


def _let_go_of_all_but(*kept: int) -> None:
    """Give up what was inherited: a pipe that stays open would keep its reader waiting."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in range(3):
        os.dup2(null, descriptor)
    last = 3
    for each in [*sorted(kept), os.sysconf("SC_OPEN_MAX")]:
        os.closerange(last, each)
        last = each + 1


class _Sandbox(Child):
    """The sandbox that the network lives in, which has none of the descriptors by which the owner is known."""

    def __init__(self, work: Callable[[Callable[[Any], None]], None], owners: Sequence[int]) -> None:
        super().__init__(work)
        self._owners = owners

    def _enter(self) -> None:
        for descriptor in self._owners:
            os.close(descriptor)
        super()._enter()


def _own(network: Network, listener: socket.socket, ready: Callable[[Standing], None], *others: int) -> None:
    guarding: list[names.Guardian] = []
    links: dict[str, str] = {}
    made_folder = False
    ours, theirs = socket.socketpair()
    previous = signal.signal(signal.SIGTERM, _end)
    try:
        with _Sandbox(lambda send: _hold(network, theirs, send), [listener.fileno(), ours.fileno(), *others]) as child:
            theirs.close()
            user_namespace = next(child.messages(_UP_SECONDS), None)
            if user_namespace is None:
                raise PktlabError(f"the sandbox of {network.name} ended before the network was up")
            _data, received, _flags, _from = socket.recv_fds(ours, 1, 1)
            descriptors = [os.pidfd_open(os.getpid()), *received]
            if names.wanted():
                # Who finds it there made by another network of ours, which is still up, may remove it last.
                made_folder = not os.path.isdir(names.FOLDER) or any(each.made_folder for each in registry.every())
                links = names.planned(network.name, network.namespaces, _number(received[0]))
                # First who removes them, then the names.
                guarding.append(names.Guardian(links, folder=made_folder))
                if not names.publish(links):
                    links = {}
                    guarding.pop().close()
            told = {
                "lab": str(network.lab),
                "digest": hashlib.sha256(network.lab.read_bytes()).hexdigest(),
                "since": datetime.now().astimezone().isoformat(),
                "namespaces": network.namespaces,
                "names": [os.path.basename(path) for path in links],
                "made_folder": made_folder,
                "user_namespace": user_namespace,
            }
            listener.setblocking(False)
            listener.listen()
            ready(registry.standing(network.name, os.getpid(), told))
            _serve(network, listener, child, told, descriptors, guarding, links)
    except _Ended:
        pass
    finally:
        signal.signal(signal.SIGTERM, previous)
        ours.close()
        names.remove(links, folder=made_folder)
        for each in guarding:
            each.close()


def _serve(
    network: Network,
    listener: socket.socket,
    child: Child,
    told: dict[str, Any],
    descriptors: list[int],
    guarding: list[names.Guardian],
    links: dict[str, str],
) -> None:
    poll = select.poll()
    poll.register(listener, select.POLLIN)
    poll.register(child, select.POLLIN)
    for guardian in guarding:
        poll.register(guardian, select.POLLIN)
    while True:
        for descriptor, _event in poll.poll():
            if descriptor == listener.fileno():
                registry.answer(listener, told, descriptors + [each.fileno() for each in guarding])
            elif descriptor == child.fileno():
                raise PktlabError(f"the sandbox of {network.name} ended: pid 1 in it was killed")
            else:
                poll.unregister(descriptor)
                guarding.pop().close()
                guarding.append(names.Guardian(links, folder=told["made_folder"]))
                poll.register(guarding[-1], select.POLLIN)


def _end(number: int, frame: object) -> NoReturn:
    raise _Ended


def _number(pidfd: int) -> int:
    """The number here of the process that a pidfd stands for (pidfd_show_fdinfo() in kernel/fork.c)."""
    lines = Path(f"/proc/self/fdinfo/{pidfd}").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pid:"))


def _hold(network: Network, theirs: socket.socket, send: Callable[[Any], None]) -> None:
    """The life of pid 1: bring the network up, keep what must be kept, and reap what guests leave behind."""
    signals = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is for the owner, which ends us
    testbed = Testbed(network.topology)
    # Nobody asks yet, and a capture grows: who wants one joins, and has its own.
    testbed.recorder.close()
    testbed.fence.close()
    testbed.watch.close()
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    socket.send_fds(theirs, [b"1"], [os.pidfd_open(os.getpid())])
    theirs.close()
    send(os.stat("/proc/self/ns/user").st_ino)
    while signal.sigwait(signals) == signal.SIGCHLD:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
