"""A lab's network as a shell script of plain commands, which builds it in namespaces of its own."""

from __future__ import annotations

import shlex
import textwrap
from collections.abc import Iterable, Iterator, Mapping

from pktlab.export import steps
from pktlab.export.remarks import Remarks
from pktlab.export.steps import Step
from pktlab.labfile import LabFile
from pktlab.topology import Topology, sysctl
from pktlab.topology.settings import Link, Nft, Tap, Tun
from pktlab.topology.spelling import quoted

_WIDTH = 118

_ABOUT = """\
What follows is the network that the lab declares, in commands of iproute2, nftables and procps that anybody can type.
They run in namespaces of their own, never in the machine's network, and nothing stays when the script ends:

  sh {name}.sh                                       # a shell, with the network up
  sh {name}.sh ip -all netns exec ip addr            # a command, and its exit status
  sh {name}.sh ip netns exec {netns} tcpdump -ni any

Root may run it, and so may anybody where user namespaces are allowed. The numbers in comments are lines of
{file}, and in brackets is why the lab keeps what no act of it hangs on."""

_SANDBOX = """\
set -eu
# An ordinary user's PATH lacks these folders on Debian.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

# The script starts itself once more: in a new network, with mounts and processes of its own (unshare(1)), and for who
# may not do that, as root of a new user namespace (user_namespaces(7)). Whatever is started here dies with it: the
# first process of a PID namespace takes all others along (pid_namespaces(7)), and setpriv(1) ties it to its parent.
network=$(readlink /proc/self/ns/net)
if [ $$ -ne 1 ] || [ "${OUTER_NETWORK:-$network}" = "$network" ]; then
    user=
    unshare --net --mount true 2>/dev/null || user='--user --map-root-user'
    export OUTER_NETWORK="$network"
    # shellcheck disable=SC2086,SC2016 # two words or none; for the inner shell
    exec unshare $user --net --mount --propagation slave --pid sh -c \\
        'trap : INT QUIT; setpriv --pdeathsig KILL sh "$0" "$@"; exit $?' "$0" "$@"
fi
unset OUTER_NETWORK

# The names of namespaces are files in /run/netns (ip-netns(8)); those of the machine are hidden by a /run of our own.
mount -t tmpfs tmpfs /run
mkdir /run/netns
# For ps. A container may not allow it, and nothing hangs on it.
mount -t proc proc /proc 2>/dev/null || :

for program in %s; do
    command -v $program >/dev/null || { echo "$0: $program is not installed" >&2; exit 1; }
done"""

_DEVICE = """\
# A tap or a tun is made through this device, which is open to root only on many machines.
if ! [ -r /dev/net/tun ] || ! [ -w /dev/net/tun ]; then
    echo "$0: /dev/net/tun cannot be opened; as root: modprobe tun; chmod 0666 /dev/net/tun" >&2
    exit 1
fi"""

_BASELINE = """\
# What every namespace starts from. A new one copies the machine's settings, so these are the values that the kernel is
# compiled with, but for {}.
# -e passes over what this kernel does not have."""

_TIMERS = """\
# How neighbours are asked for, on every interface: {}"""
_ASK_ONCE = """\
one question, {} ms for its answer, so that an absence is
# soon known. The rest is as the kernel is compiled."""
_ASK_AS_EVER = "the kernel's own timers, which a new\n# interface would copy from the machine's."

_CARRIERS = "# Of a carrier the kernel tells up to a second late, or as soon as it is asked (net/core/link_watch.c)."
_SETTLE = """\
settle() {
    ip -n "$1" link show dev "$2" >/dev/null
}"""
_CARRIER = """\
carrier() {
    looks=0
    until ip -n "$1" link show dev "$2" | grep -q 'state UP'; do
        [ $((looks += 1)) -lt 2000 ] || { echo "$0: $1 $2 has no carrier" >&2; exit 1; }
    done
}"""

_END = """\
if [ $# -gt 0 ]; then
    "$@"
else
    echo 'The network is up, and goes when this shell ends. Try: ip -all netns exec ip -brief addr' >&2
    "${SHELL:-/bin/sh}"
fi"""


def script(topology: Topology, lab: LabFile) -> str:
    """Return a script for sh (POSIX; dash will do) that builds what the topology of a lab declares.

    Run by itself it makes a sandbox as `pktlab` does, builds the network in it, and starts what its arguments say, by
    default a shell. A tap or tun has no program on its other side then, and so no carrier.
    """
    remarks = Remarks(lab.path)
    blocks = ["#!/bin/sh", *_head(topology, lab), "", _SANDBOX % " ".join(_programs(topology))]
    if any(isinstance(each, Tap | Tun) for each in topology.settings):
        blocks += ["", _DEVICE]
    blocks += ["", _title("Namespaces"), *_baseline(topology)]
    for step in steps.namespaces(topology):
        blocks += [*_told(step, remarks), f"baseline {step.setting.netns}"]
    blocks += ["", _title("Links"), *_block(steps.links(topology, numbered=True), remarks)]
    blocks += _timers(topology)
    for netns in topology.namespaces:
        if found := steps.configuration(topology, netns):
            blocks += ["", _title(f"Namespace {netns}"), *_block(found, remarks)]
    blocks += _carriers(topology)
    return "\n".join([*blocks, "", _title("Up"), _END, ""])


def _head(topology: Topology, lab: LabFile) -> Iterator[str]:
    netns = next(iter(topology.namespaces), "NAMESPACE")
    about = _ABOUT.format(name=lab.name, netns=netns, file=lab.path.name)
    for text in (f"{lab.name}: {lab.title}", lab.drawing, lab.story, about):
        if text:
            yield from ("#", *_comment(text)) if text != f"{lab.name}: {lab.title}" else _comment(text)


def _comment(text: str) -> list[str]:
    return [f"# {line}".rstrip() for line in text.split("\n")]


def _title(text: str) -> str:
    return f"# --- {text} ".ljust(_WIDTH, "-") + "\n"


def _programs(topology: Topology) -> list[str]:
    rulesets = any(isinstance(each, Nft) for each in topology.settings)
    return ["ip", "bridge", "sysctl", *(["nft"] if rulesets else [])]


def _told(step: Step, remarks: Remarks) -> Iterator[str]:
    for line in remarks.on(step.setting):
        yield from _comment(line)
    if step.remark:
        yield from _comment(step.remark)
    yield step.command


def _block(found: Iterable[Step], remarks: Remarks) -> Iterator[str]:
    remarks.section()
    for step in found:
        yield from _told(step, remarks)


def _function(name: str, *calls: Iterable[str]) -> Iterator[str]:
    """A function of the shell."""
    yield f"{name}() {{"
    for lines in calls:
        yield from (f"    {line}" for line in lines)
    yield "}"


def _writing(values: Mapping[str, str], width: int = _WIDTH - 4) -> Iterator[str]:
    """The call that sets sysctls in the namespace $1."""
    yield 'ip netns exec "$1" sysctl -q -e -w \\'
    words = [f'"{key}={value}"' if "$" in key else shlex.quote(f"{key}={value}") for key, value in values.items()]
    lines = textwrap.wrap(" ".join(words), width - 6, break_long_words=False, break_on_hyphens=False)
    yield from (f"    {line} \\" for line in lines[:-1])
    yield f"    {lines[-1]}"


def _baseline(topology: Topology) -> Iterator[str]:
    values = sysctl.BASELINE if topology.ipv6 else sysctl.BASELINE | sysctl.IPV6_OFF
    everywhere, both = {}, {}
    for key, value in values.items():
        twin = key.replace("/conf/all/", "/conf/default/") if "/conf/all/" in key else ""
        if values.get(twin) == value:
            both[key.replace("/all/", "/$scope/").replace("/", ".")] = value
        elif "/conf/default/" not in key or values.get(key.replace("/conf/default/", "/conf/all/")) != value:
            everywhere[key.replace("/", ".")] = value
    loop = ["for scope in all default; do", *(f"    {line}" for line in _writing(both, _WIDTH - 8)), "done"]
    exceptions = "" if topology.ipv6 else "IPv6, which is off since it sends by itself, and "
    yield _BASELINE.format(f"{exceptions}bridged frames, which are not handed to iptables")
    yield from _function("baseline", _writing(everywhere), loop)
    yield ""


def _timers(topology: Topology) -> Iterator[str]:
    devices = [device for each in topology.settings if isinstance(each, Link) for device in each.creates]
    if not devices:
        return
    timers = topology.neighbour_timers()
    once = _ASK_ONCE.format(timers["retrans_time_ms"])
    yield ""
    yield _title("Neighbours") + _TIMERS.format(_ASK_AS_EVER if topology.arp_timeout is None else once)
    yield from _function("timers", _writing({f"net/ipv4/neigh/$2/{key}": value for key, value in timers.items()}))
    yield from (f"timers {device.netns} {quoted(device)}" for device in devices)


def _carriers(topology: Topology) -> Iterator[str]:
    carrying, others = steps.carrying(topology.settings)
    if not carrying and not others:
        return
    yield ""
    yield _title("Carriers") + _CARRIERS
    for word, function, devices in (("carrier", _CARRIER, carrying), ("settle", _SETTLE, others)):
        if devices:
            yield function
            yield from (f"{word} {device.netns} {quoted(device)}" for device in devices)
