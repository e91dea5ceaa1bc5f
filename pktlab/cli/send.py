"""`pktlab send`: a capture of another network, sent in a lab's, and the ways that its packets go there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pktlab import labfile
from pktlab.act import ActRecord
from pktlab.cli.arguments import complete_lab, pcapng_file
from pktlab.cli.screen import Screen, write_json
from pktlab.cli.status import INCONCLUSIVE, PASSED, interrupted
from pktlab.errors import Inconclusive, LabError, PktlabError
from pktlab.transcript import Line, Span, story

if TYPE_CHECKING:
    from pktlab.interface import Interface
    from pktlab.network import Network
    from pktlab.standing.registry import Standing
    from pktlab.topology import Device, Topology

# For bringing the network up and letting it fall silent, on a loaded machine; sending itself comes on top.
_SECONDS = 60.0
_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}")
_OWN, _PEER = "dev", "peer"


def send(
    file: Annotated[Path, typer.Argument(help="A pcap or pcapng file of Ethernet frames.")],
    lab: Annotated[
        str,
        typer.Option(
            metavar="LAB|FILE|NAME",
            help="The lab in whose network it is sent, or a network that is up.",
            autocompletion=complete_lab,
        ),
    ],
    dev: Annotated[str, typer.Option(metavar="NS/IFACE", help="The interface that sends it.")],
    origin: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="NS/IFACE|all",
            help="Whose frames of the capture are sent, where it has several interfaces or directions; by default what "
            "the interface of --dev's name sent.",
        ),
    ] = "",
    rate: Annotated[float | None, typer.Option(metavar="N", help="Send N frames a second.")] = None,
    timing: Annotated[bool, typer.Option("--timing", help="Keep the times between frames.")] = False,
    count: Annotated[int, typer.Option(metavar="N", min=1, help="Send all of it N times.")] = 1,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Bring the lab's network up anew, even if one of that name is up.")
    ] = False,
    rewrite_mac: Annotated[
        str,
        typer.Option(
            metavar="SRC=MAC,DST=MAC",
            help="Write source or destination MACs anew, or both: a MAC; `dev`, that of the interface; `peer`, that of "
            "its other end; or that of another interface, as NS/IFACE.",
        ),
    ] = "",
    output: Annotated[
        Path | None,
        typer.Option("-w", "--write", metavar="FILE", help="Where the pcapng goes; by default FILE-LAB.pcapng."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Write JSON.")] = False,
) -> int:
    """Send a capture in a lab's network, and tell which ways its packets go there.

    Where a network of that name is up (`pktlab ps`), they are sent in that, as it is now. Otherwise the lab's topology
    is brought up in a sandbox, fresh and without what its acts do to it.

    The frames leave by the interface as its own stack would send them: to test a bridge, send at the other end of a
    port's cable. A host takes only frames that bear its MAC, so those of another network may have to be readdressed;
    groups' destinations stay, and MACs inside ARP that are the frame's own go along.

    A capture of several interfaces holds a frame once for each that it passed, so only what one of them sent is sent.
    """
    if timing and rate is not None:
        raise PktlabError("both --rate and --timing are given", remedy="choose one of them")
    pace = {"rate": rate, "timing": timing, "count": count}
    try:
        told = _told(file, lab, dev, origin, rewrite_mac, output, pace, fresh=fresh)
    except KeyboardInterrupt:
        interrupted()
    if as_json:
        write_json({"version": 1, **told})
    else:
        screen = Screen()
        screen.lines(_lines(told, screen.width))
    return INCONCLUSIVE if told["act"]["status"] == "inconclusive" else PASSED


def _told(
    file: Path,
    lab: str,
    dev: str,
    origin: str,
    rewrite_mac: str,
    output: Path | None,
    pace: dict[str, Any],
    *,
    fresh: bool,
) -> dict[str, Any]:
    """Send the file in the network of a lab; return what became of it, as JSON data."""
    standing = None if fresh else _standing(lab)
    source = labfile.read(standing.lab) if standing else labfile.find([lab])[0]
    network = standing.name if standing else source.name
    topology = _topology(source)
    device = _device(topology, dev)
    packets, chosen = _packets(file, topology, device, origin, rewrite_mac)
    written = output or Path(f"{file.stem}-{network}.pcapng")
    if written.exists() and written.samefile(file):
        raise PktlabError(f"{written} is the file to be sent", remedy="name another one: -w FILE")
    pcapng_file(written)
    from pktlab.kernel import sandbox, schedule

    total = len(packets) * pace["count"]
    plan = schedule.planned(total, rate=pace["rate"], times=[time for time, _data in packets] if pace["timing"] else ())
    seconds = plan.moment(total - 1) / 1e9 if plan else 0.0
    _load()
    record = ActRecord(source.name, "send", f"{file.name} sent out of {device}", "passed")
    record.capture.file = str(written)
    if standing is None:
        told: dict[str, Any] = sandbox.call(
            _fresh, topology, record, device, packets, pace, deadline=_SECONDS + seconds
        )
        return told | chosen
    from pktlab.standing.guest import Guest

    def work(tell: Callable[[Any], None]) -> None:
        tell(_joined(standing, topology, record, device, packets, pace))

    with Guest(standing, work) as guest:
        for answer in guest.messages(_SECONDS + seconds):
            return {"network": standing.name, **answer, **chosen}
    raise PktlabError(f"{standing.name} ended before the frames were sent")


def _standing(name: str) -> Standing | None:
    """Find the network that is up of this name, or made from this lab file; None where there is none."""
    from pktlab.standing import registry

    path = Path(name).resolve()
    plain = name.lower().replace("-", "_")
    if any(each.lab == path or each.name.lower().replace("-", "_") == plain for each in registry.every()):
        return registry.find(name)
    return None


def _topology(source: labfile.LabFile) -> Topology:
    from pktlab.cli.declared import declared_topology

    topology = declared_topology(source)
    if topology is None:
        raise LabError(
            f"{source.name} makes its topology when an act begins", remedy="name a lab that declares it at its top"
        )
    topology.freeze()
    return topology


def _device(topology: Topology, name: str) -> Device:
    """Find an interface by its name; the namespace may be left out where no other has one of that name."""
    netns, _, bare = name.rpartition("/")
    found = [each for each in topology.devices if each.name == bare and netns in ("", each.netns)]
    if len(found) == 1:
        return found[0]
    every = ", ".join(str(each) for each in (found or topology.devices) if found or each.name != "lo")
    problem = f"{name!r} is the name of {len(found)} interfaces" if found else f"the lab has no interface {name!r}"
    raise LabError(problem, remedy=f"choose one of {every}")


def _packets(
    file: Path, topology: Topology, device: Device, origin: str, rewrite: str
) -> tuple[list[tuple[int, bytes]], dict[str, Any]]:
    """Return what is to be sent, and whose it was in the capture, as JSON data: nothing where it is all of it."""
    from pktlab.frames import pcapng
    from pktlab.frames.origin import sent_by
    from pktlab.frames.readdress import readdressed

    every = pcapng.read_frames(file)
    if not every:
        raise LabError(f"there is no packet in {file}", remedy="send another capture")
    packets, whose = sent_by(every, str(device), origin)
    macs = dict(_macs(rewrite, topology, device))
    frames = readdressed((each.data for each in packets), **macs)
    chosen = {"from": {"interface": whose, "frames": len(packets), "of": len(every)}} if whose else {}
    return [(each.time, data) for each, data in zip(packets, frames, strict=True)], chosen


def _macs(rewrite: str, topology: Topology, device: Device) -> Iterator[tuple[str, str]]:
    """Yield ("src", MAC) and ("dst", MAC), as far as they are to be written anew."""
    for part in filter(None, rewrite.split(",")):
        field, _, value = part.partition("=")
        field, value = field.strip().lower(), value.strip()
        if field not in ("src", "dst") or not value:
            raise typer.BadParameter(f"{part!r} is neither SRC=MAC nor DST=MAC", param_hint="--rewrite-mac")
        yield field, _mac(value, topology, device)


def _mac(value: str, topology: Topology, device: Device) -> str:
    if _MAC.fullmatch(value.lower()):
        return value.lower()
    if value == _PEER:
        return _peer(topology, device).mac
    mac = (device if value == _OWN else _device(topology, value)).mac
    if not mac:
        raise LabError(f"{value} has no MAC that is known beforehand", remedy="write it: --rewrite-mac DST=02:...")
    return mac


def _peer(topology: Topology, device: Device) -> Interface:
    from pktlab.topology.settings import Veth

    for setting in topology.settings:
        if isinstance(setting, Veth) and device in (setting.device, setting.peer):
            return setting.peer if setting.device == device else setting.device
    raise LabError(f"{device} has no other end: it is no veth", remedy="write the MAC: --rewrite-mac DST=02:...")


def _load() -> None:
    """Import once, in the parent, and before there are interfaces, at which Scapy would look."""
    from pktlab.frames import dissect

    dissect.load()


_Packets = list[tuple[int, bytes]]


def _fresh(
    topology: Topology, record: ActRecord, device: Device, packets: _Packets, pace: dict[str, Any]
) -> dict[str, Any]:
    """Do it in a network of its own, inside a new sandbox."""
    from pktlab.network import Network

    with Network(topology) as net:
        return _sent(net, record, device, packets, pace)


def _joined(
    standing: Standing, topology: Topology, record: ActRecord, device: Device, packets: _Packets, pace: dict[str, Any]
) -> dict[str, Any]:
    """Do it in a network that is up, inside its sandbox."""
    from pktlab.standing.attached import AttachedNetwork

    with AttachedNetwork(topology, standing.namespaces) as net:
        return _sent(net, record, device, packets, pace)


def _sent(net: Network, record: ActRecord, device: Device, packets: _Packets, pace: dict[str, Any]) -> dict[str, Any]:
    """Send; return what was sent and the record of it."""
    from pktlab import __version__
    from pktlab.kernel.inject import Sent
    from pktlab.topology.settings import Address

    frames: Any = packets if pace["timing"] else [data for _time, data in packets]
    sent, lost = Sent(len(packets) * pace["count"]), {}
    try:
        with net.capture():
            try:
                sent = net.send(frames, dev=device, **pace)
                net.settle()
            finally:
                lost = net.losses()
    except Inconclusive as error:
        record.status, record.reason = "inconclusive", str(error)
    recording = net.recording
    record.packets, record.story, record.untold = recording.packets(), recording.story(), recording.untold
    recording.write(
        record.capture.file,
        net.interfaces,
        dropped=lost,
        names={each.ip: str(each.device) for each in net.topology.settings if isinstance(each, Address)},
        comment=f"{record.lab}: {record.title}",
        application=f"pktlab {__version__}",
    )
    record.capture = recording.captured(record.capture.file, net.interfaces, lost)
    return {"sent": int(sent), "seconds": sent.seconds, "rate": sent.rate, "act": record.as_json()}


def _lines(told: dict[str, Any], width: int) -> Iterator[Line]:
    record = ActRecord.from_json(told["act"])
    yield [Span(record.lab, "name")]
    where = f", in the network {told['network']} that is up" if "network" in told else ""
    yield [Span(record.title + where, "title")]
    yield []
    yield from story(record, width)
    yield []
    pace = f" in {told['seconds']:.3f} s, {told['rate']:,.0f} a second" if told["rate"] else ""
    yield [
        Span(f"  {told['sent']:,} sent{pace}; {record.capture.frames:,} frames captured"),
        Span("; written to "),
        Span(record.capture.file, "file"),
    ]
    if whose := told.get("from"):
        yield [
            Span(f"  sent are the {whose['frames']:,} of the capture's {whose['of']:,} frames that ", "mark"),
            Span(f"{whose['interface']} sent (--from all: every one)", "mark"),
        ]
    for line in record.reason.splitlines():
        yield [Span(f"  {line}", record.status)]
