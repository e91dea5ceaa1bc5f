"""A lab's network as a topology file of containerlab (https://containerlab.dev).

A namespace becomes a node of kind linux without a management network; a veth between two of them a link; all else is
done by commands in the nodes when the links are there. See clab.schema.json of srl-labs/containerlab.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from pktlab.export import steps, yaml
from pktlab.export.remarks import Remarks
from pktlab.export.steps import Step
from pktlab.labfile import LabFile
from pktlab.topology import Topology, settings, sysctl
from pktlab.topology.settings import Link, Nft, Tap, Tun, Veth
from pktlab.topology.spelling import plain

IMAGE = "nicolaka/netshoot"
# What containerlab gives a link is 9500 bytes.
_MTU = 1500

_ABOUT = """\
{name}: {title}

The network that the lab declares, for containerlab: a node for each namespace, a link for each veth between two of
them, and commands in the nodes for the rest, which containerlab runs when the links are there.

  containerlab deploy -t {name}.clab.yml
  docker exec clab-{name}-{netns} ip addr
  containerlab destroy -t {name}.clab.yml

The image must have ip, bridge, sysctl and nft. The numbers in comments are lines of {file},
and in brackets is why the lab keeps what no act of it hangs on.

What containerlab has no word for, and is not here:
- the ifindexes that pktlab fixes: the kernel chooses them;
- the wait for carriers: the kernel tells of one up to a second late;"""
_TAPS = """\
- the program on the other side of a tap or tun, without which it has no carrier; bind /dev/net/tun, too."""
_ACTS = "- the acts: what the lab sends, captures and asserts."


def containerlab(topology: Topology, lab: LabFile) -> str:
    """Return a topology file, in YAML, for what the topology of a lab declares.

    What has no equivalent is listed in a comment at its head. See clab.schema.json of srl-labs/containerlab.
    """
    remarks = Remarks(lab.path)
    cables = [each for each in topology.settings if isinstance(each, Veth) and each.netns != each.peer.netns]
    netns = next(iter(topology.namespaces), "NODE")
    lines = yaml.comment(_ABOUT.format(name=lab.name, title=lab.title, netns=netns, file=lab.path.name))
    lines += yaml.comment(_TAPS) if any(isinstance(each, Tap | Tun) for each in topology.settings) else []
    lines += yaml.comment(_ACTS)
    lines += [
        "",
        f"name: {yaml.name(lab.name)}",
        "topology:",
        *(f"  {line}" for line in _defaults(topology)),
        "  nodes:",
    ]
    timers = _timers(topology)
    for netns in topology.namespaces:
        commands = [*_commands(topology, netns, cables, remarks)]
        if _devices(topology, netns):
            commands += timers
            timers = ["- *timers"]
        commands += _configuration(topology, netns, remarks)
        lines.append(f"    {yaml.name(netns)}:" + ("" if commands else " {}"))
        lines += ["      exec:"] if commands else []
        lines += (f"        {line}".rstrip() for line in commands)
    if cables:
        lines += ["  links:", *(f"    {line}" for line in _links(cables, remarks))]
    # containerlab takes the file for a template, and replaces variables in it, before it is YAML.
    return "\n".join([*lines, ""]).replace("{{", "{{ `{{` }}").replace("$", "$$")


def _defaults(topology: Topology) -> Iterator[str]:
    yield "defaults:"
    yield "  kind: linux"
    yield f"  image: {IMAGE}"
    # With a management network, eth0 would be its interface.
    yield "  network-mode: none"
    yield "  # What every namespace of pktlab starts from: the kernel's own values, and nothing that sends by itself."
    yield "  exec:"
    baseline = sysctl.BASELINE if topology.ipv6 else sysctl.BASELINE | sysctl.IPV6_OFF
    words = ["sysctl -q -e -w", *(f"{key.replace('/', '.')}={value}" for key, value in baseline.items())]
    yield from (f"    {line}" for line in yaml.item(" ".join(words)))


def _timers(topology: Topology) -> list[str]:
    """A command that serves in every node that has interfaces."""
    timers = " ".join(f"net/ipv4/neigh/@/{key}={value}" for key, value in topology.neighbour_timers().items())
    devices = 'ls /sys/class/net | grep -vx lo | tr "\\n" "\\0"'
    lines = yaml.item(f"sh -c '{devices} | xargs -0 -I@ sysctl -q -e -w {timers}'", anchor="timers")
    return ["# How neighbours are asked for, on every interface.", *lines]


def _devices(topology: Topology, netns: str) -> bool:
    links = (each for each in topology.settings if isinstance(each, Link))
    return any(device.netns == netns for each in links for device in each.creates)


def _links(cables: Iterable[Veth], remarks: Remarks) -> Iterator[str]:
    remarks.section()
    for cable in cables:
        yield from _told(cable, remarks)
        ends = ", ".join(yaml.quoted(f"{end.netns}:{end.name}") for end in cable.creates)
        yield f"- endpoints: [{ends}]"


def _commands(topology: Topology, netns: str, cables: list[Veth], remarks: Remarks) -> Iterator[str]:
    """The items that make a node's interfaces what they are, with comments."""
    remarks.section()
    for cable in cables:
        ends = ((cable.device, cable.mac, cable.mtu), (cable.peer, cable.peer_mac, cable.peer_mtu))
        for end, mac, mtu in ends:
            if end.netns == netns:
                yield from _told(cable, remarks)
                yield from yaml.item(f"ip link set {plain(end)} down address {mac} mtu {mtu or _MTU}")
    for step in steps.links(topology, numbered=False):
        if step.setting.netns == netns and step.setting not in cables:
            yield from _said(step, remarks)


def _configuration(topology: Topology, netns: str, remarks: Remarks) -> Iterator[str]:
    for step in steps.configuration(topology, netns):
        yield from _said(step, remarks)


def _told(setting: settings.Setting, remarks: Remarks) -> Iterator[str]:
    for line in remarks.on(setting):
        yield from yaml.comment(line)


def _said(step: Step, remarks: Remarks) -> Iterator[str]:
    yield from _told(step.setting, remarks)
    if step.remark:
        yield from yaml.comment(step.remark)
    if isinstance(step.setting, Nft):
        # There is no shell between, and so no here-document.
        yield from yaml.item(f"nft {shlex.quote(step.setting.ruleset.strip())}")
        return
    for line in step.within.split("\n"):
        yield from yaml.item(f"sh -c {shlex.quote(line)}" if "||" in line else line)
