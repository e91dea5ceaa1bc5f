"""What Wireshark asks of an extcap, and the capture itself: extcap(4).

Wireshark asks for the options of every interface each time it starts. Those of a lab are all alike, so the installed
script answers by itself (`script`), and this module is asked for the list and for the capture only.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pktlab import __version__, labfile
from pktlab.errors import LabError, PktlabError

if TYPE_CHECKING:
    from pktlab.frames.dissect import Pattern

NAME = "pktlab"
_PREFIX = f"{NAME}-"
_UP = f"{_PREFIX}up-"  # no lab's name has a dash in it
# A short one, of which each packet is seen on two to four interfaces.
DEFAULT_LAB = "bridge_swallows_arp_reply"
MARK = "# Written by `pktlab wireshark install`; `pktlab wireshark uninstall` takes it away."

_OPTIONS = (
    "arg {number=1}{call=--act}{display=Act}{type=string}{placeholder=all}"
    "{tooltip=Only acts whose names match, as in pytest -k}",
    "arg {number=2}{call=--interfaces}{display=Interfaces}{type=string}{placeholder=all}"
    "{tooltip=NAMESPACE/INTERFACE or INTERFACE, several with commas between}",
    "arg {number=3}{call=--pattern}{display=Pattern}{type=string}{placeholder=all}"
    '{tooltip=Layers of Scapy with literal values, such as ARP(op="who-has") or ICMP()}',
)
_DLT = "dlt {number=1}{name=EN10MB}{display=Ethernet}"


def script(python: str = sys.executable) -> str:
    """Return the text of the script to install."""
    acts, up = ("\n".join(options) for options in (_OPTIONS, _OPTIONS[1:]))
    return f"""#!/bin/sh
{MARK}
case "$*" in
*--extcap-config*"--extcap-interface {_UP}"*)
    cat <<'END'
{up}
END
    exit ;;
*--extcap-config*"--extcap-interface {_PREFIX}"*)
    cat <<'END'
{acts}
END
    exit ;;
*--extcap-dlts*)
    echo '{_DLT}'
    exit ;;
esac
exec {shlex.quote(python)} -P -m pktlab.wireshark.extcap "$@"
"""


def interfaces() -> list[str]:
    """Return the lines for ``--extcap-interfaces``."""
    lines = [
        f"extcap {{version={__version__}}}{{display=pktlab}}",
        f"interface {{value={NAME}}}{{display=pktlab: a lab of your choice}}",
    ]
    lines += [f"interface {{value={_UP}{name}}}{{display=pktlab: {name}, which is up}}" for name in _networks()]
    lines += [f"interface {{value={_PREFIX}{lab.name}}}{{display=pktlab: {_text(lab.title)}}}" for lab in _labs()]
    return lines


def config(interface: str) -> list[str]:
    """Return the lines for ``--extcap-config``: the options of an interface."""
    if interface != NAME:
        return list(_OPTIONS[1:] if interface.startswith(_UP) else _OPTIONS)
    lines = ["arg {number=0}{call=--lab}{display=Lab}{type=selector}{tooltip=Whose acts are run while you look on}"]
    for lab in _labs():
        default = "true" if lab.name == DEFAULT_LAB else "false"
        lines.append(
            f"value {{arg=0}}{{value={lab.name}}}{{display={lab.name}: {_text(lab.title)}}}{{default={default}}}"
        )
    return [*lines, *_OPTIONS]


def main(argv: Sequence[str]) -> int:
    """Answer Wireshark, or capture; what goes wrong is said on standard error, which Wireshark shows."""
    parser = argparse.ArgumentParser(prog=NAME)
    for flag in ("--extcap-interfaces", "--extcap-config", "--extcap-dlts", "--capture"):
        parser.add_argument(flag, action="store_true")
    for option in ("--extcap-interface", "--extcap-version", "--fifo", "--extcap-capture-filter"):
        parser.add_argument(option, nargs="?", const="", default="")
    for option in ("--lab", "--act", "--interfaces", "--pattern"):
        parser.add_argument(option, default="")
    words, _unknown = parser.parse_known_args(argv)
    try:
        if words.extcap_interfaces:
            _say(interfaces())
        elif words.extcap_dlts:
            _say([_DLT])
        elif words.extcap_config:
            _say(config(words.extcap_interface))
        elif words.capture:
            if not words.fifo:
                raise PktlabError("--capture needs --fifo", remedy="this script is for Wireshark to run")
            return capture(words)
        elif words.extcap_capture_filter:
            _pattern(words.extcap_capture_filter)
        else:
            parser.print_usage()
    except PktlabError as error:
        print(f"pktlab: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def capture(words: argparse.Namespace) -> int:
    """Stream into the FIFO until the acts are over or Wireshark has enough."""
    from pktlab.cli import livestream, outlet, player

    # First of all: Wireshark waits for that, and hears of no fault before.
    descriptor = outlet.file(Path(words.fifo))
    choice = livestream.Choice([each.strip() for each in words.interfaces.split(",") if each.strip()])
    # What is typed as a capture filter is a pattern as well: of a lab there is no libpcap to compile it.
    if text := words.pattern or words.extcap_capture_filter:
        choice.pattern = _pattern(text)
    try:
        with player.Player(_work(words)) as playing:
            stream = outlet.Stream(descriptor, words.fifo)
            outcome = livestream.Streaming(playing, stream, choice, tell=lambda act: None).run()
    except BrokenPipeError:
        return 0  # that is how Wireshark ends a capture
    if not outcome.interrupted:
        choice.check()
        if not outcome.statuses and not words.extcap_interface.startswith(_UP):
            raise PktlabError(f"no act matches {words.act!r}", remedy="`pktlab show LAB` names the acts")
    return 0


def _work(words: argparse.Namespace) -> Callable[[Callable[[Any], None]], None]:
    """What is to be captured: a network that is up, or the acts of a lab."""
    interface = words.extcap_interface
    if interface.startswith(_UP):
        from pktlab.cli import watching
        from pktlab.standing import registry

        return watching.work(registry.find(interface.removeprefix(_UP)))
    from pktlab.cli import player

    lab = words.lab or DEFAULT_LAB if interface == NAME else interface.removeprefix(_PREFIX)
    return player.acts(labfile.find([lab]), "" if words.act == "all" else words.act)


def _pattern(text: str) -> Pattern:
    from pktlab.frames import expression

    return expression.pattern(text)


def _labs() -> list[labfile.LabFile]:
    try:
        return labfile.discover()
    except LabError:
        return []


def _networks() -> list[str]:
    from pktlab.standing import registry

    try:
        return [each.name for each in registry.every()]
    except PktlabError:  # one that does not answer
        return []


def _text(words: str) -> str:
    """What may stand in a sentence of the grammar."""
    return words.replace("{", "(").replace("}", ")")


def _say(lines: Sequence[str]) -> None:
    print("\n".join(lines))  # noqa: T201


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(status)
