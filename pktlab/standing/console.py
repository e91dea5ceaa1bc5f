"""Python in a network that is up, with `net`, the declared objects and Scapy's layers: `pktlab repl`."""

from __future__ import annotations

import code
import contextlib
import dataclasses
import gc
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from pktlab.errors import PktlabError
from pktlab.frames.scapy_config import typed_layers
from pktlab.interface import Interface
from pktlab.kernel.process import Completed
from pktlab.network.recording import Recording
from pktlab.network.seen import Seen
from pktlab.standing.attached import AttachedNetwork
from pktlab.standing.guest import settle_in
from pktlab.standing.registry import Standing
from pktlab.topology import Namespace, Topology

_HISTORY_LENGTH = 1000


def run(standing: Standing, topology: Topology, module: ModuleType) -> int:
    """Read, evaluate and print until the end of input; in a guest of the sandbox, whose terminal this is.

    Return 1 if standard input is no terminal and anything in it raised an exception, otherwise 0.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.enable()
    topology.freeze()
    settle_in()
    try:
        sys.displayhook = _display
        net = AttachedNetwork(topology, standing.namespaces)
        with net:
            console = Console(scope(net, module))
            if not os.isatty(0):
                return console.read()
            with _readline(console.locals):
                console.interact(banner=_banner(standing, module), exitmsg="")
            return 0
    except PktlabError as error:
        print(f"pktlab: {error}", file=sys.stderr)  # noqa: T201
        return 3
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()


def scope(net: AttachedNetwork, module: ModuleType) -> dict[str, Any]:
    """Return what can be named: Scapy's layers, then what the lab's file names, then `net` and `show`."""
    names = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return {"__name__": "__console__", **typed_layers(), **names, "net": net, "show": show}


def show(seen: Seen) -> None:
    """Print the packets of a capture with their ways: ``show(seen)``, in the block of ``net.capture()`` or behind."""
    recording: Recording = seen._recording
    if seen._stop is None:  # within the block
        seen._settle()
    packets = recording.packets()
    width = max((len(packet.words) for packet in packets), default=0)
    for packet in packets:
        print(f"{packet.time:9.6f}  {packet.words:<{width}}  {' > '.join(packet.path)}")  # noqa: T201
    if recording.untold:
        print(f"and {recording.untold} more frames")  # noqa: T201


def _display(value: object) -> None:
    """Print what an expression came to: a program's output as it is, rows of a table one below the other."""
    if isinstance(value, Completed):
        print(value.stdout + value.stderr, end="")  # noqa: T201
        if not value:
            print(f"exit status {value.returncode}")  # noqa: T201
    elif type(value) is list and len(value) > 1 and all(map(dataclasses.is_dataclass, value)):
        for each in value:
            print(each)  # noqa: T201
    elif value is not None:
        print(repr(value))  # noqa: T201


class Console(code.InteractiveConsole):
    """Evaluates what is typed; a fault of pktlab's own is told in its words, everything else as Python does."""

    def __init__(self, names: dict[str, Any]) -> None:
        super().__init__(names)
        self.failed = False

    def read(self) -> int:
        """Take lines from standard input that is no terminal, up to its end; no prompt is written."""
        for line in sys.stdin:
            self.push(line.rstrip("\n"))
        self.push("")  # a block at the end may lack the empty line that closes it
        return int(self.failed)

    def runcode(self, code: CodeType) -> None:
        """Run one statement."""
        super().runcode(code)
        with contextlib.suppress(OSError):
            sys.stdout.flush()

    def showtraceback(self) -> None:
        """Tell the exception that came out of a statement."""
        self.failed = True
        error = sys.exc_info()[1]
        if isinstance(error, PktlabError):
            self.write(f"{type(error).__name__}: {error}\n")
        else:
            super().showtraceback()

    def showsyntaxerror(self, filename: str | None = None, **words: Any) -> None:
        """Tell that a statement is none."""
        self.failed = True
        super().showsyntaxerror(filename, **words)


def _banner(standing: Standing, module: ModuleType) -> str:
    """What is there, and an example that can be typed as it stands."""
    values = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    spaces = [name for name, value in values.items() if isinstance(value, Namespace)]
    devices = [name for name, value in values.items() if isinstance(value, Interface)]
    lines = [f"{standing.name}: {', '.join(standing.namespaces)}"]
    lines += [f"namespaces  {', '.join(spaces)}"] if spaces else []
    lines += [f"interfaces  {', '.join(devices)}"] if devices else []
    lines += [f"Scapy       {', '.join(typed_layers())}"]
    lines += ["net         net.ping, net.send, net.capture, net.neighbours, net.routes, ...: help(net)"]
    example = f"net.ping(..., dev={devices[0]})" if devices else "net.ping(...)"
    lines += ["", "with net.capture() as seen:", f"    {example}", "", "show(seen)", "", "Ctrl-D ends."]
    return "\n".join(lines)


@contextlib.contextmanager
def _readline(names: Any) -> Iterator[None]:
    """Edit lines with history and completion, where Python has readline."""
    try:
        import readline
        import rlcompleter
    except ImportError:
        yield
        return
    readline.set_completer(rlcompleter.Completer(names).complete)
    readline.parse_and_bind("tab: complete")
    readline.set_history_length(_HISTORY_LENGTH)
    with contextlib.suppress(OSError, RuntimeError):  # no file as yet; or no home at all
        readline.read_history_file(_state() / "history")
    try:
        yield
    finally:
        with contextlib.suppress(OSError, RuntimeError):
            _state().mkdir(parents=True, exist_ok=True)
            readline.write_history_file(_state() / "history")


def _state() -> Path:
    """Where what lasts from one session to the next is kept (XDG Base Directory Specification)."""
    home = os.environ.get("XDG_STATE_HOME", "")
    return (Path(home) if os.path.isabs(home) else Path.home() / ".local" / "state") / "pktlab"
