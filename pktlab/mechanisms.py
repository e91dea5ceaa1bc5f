"""The README's gallery: each mechanism of container and cluster networking in one line, with one packet's path.

What is told is read from the captures; `pktlab claims --markdown` writes it between the two marks in the README.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from pktlab.errors import LabError
from pktlab.frame import Frame
from pktlab.frames import pcapng
from pktlab.frames.path import path_of
from pktlab.frames.words import short_words
from pktlab.markdown import cell

PAGE = Path("README.md")
BEGIN, END = "<!-- gallery: pktlab claims --markdown -->\n", "<!-- end of the gallery -->\n"
_HEAD = "| mechanism | a packet | its path |\n|---|---|---|\n"
_REMEDY = "run the lab with --captures, or correct the line in pktlab/mechanisms.py"


@dataclass(frozen=True, slots=True)
class Mechanism:
    """A mechanism, the capture that shows it (LAB/ACT), and how the words of the packet to tell of begin, as a regular
    expression; the first such packet counts.
    """

    name: str
    capture: str
    packet: str


_ECHO = "ICMP echo request"
MECHANISMS = (
    Mechanism("Docker's bridge", "docker_publishes_by_translation/switch_and_gateway", _ECHO),
    Mechanism("Docker's published port", "docker_publishes_by_translation/published_port", "TCP SYN"),
    Mechanism("containers of one pod", "pause_holds_the_pod/containers_of_one_pod", "TCP SYN"),
    Mechanism("CNI plugin bridge", "cni_plugin_takes_five_steps/the_plugin_does_the_same", _ECHO),
    Mechanism("CNI plugin ptp", "pod_with_two_networks_asks_its_routes/which_way_out", f"{_ECHO} 10.23.0.2"),
    Mechanism("CNI plugin portmap", "pod_with_two_networks_asks_its_routes/in_by_one_out_by_the_other", "TCP SYN"),
    Mechanism("flannel, VXLAN", "flannel_mtu_leaves_room_for_headers/what_fits", _ECHO),
    Mechanism("flannel, host-gw", "flannel_host_gw_needs_one_lan/on_one_lan", _ECHO),
    Mechanism("flannel, UDP", "flannel_udp_crosses_into_a_program/bare_packets_in_udp", _ECHO),
    Mechanism("Calico, a /32 for each pod", "calico_answers_for_a_gateway_nobody_has/from_pod_to_pod", _ECHO),
    Mechanism("Calico, from node to node", "calico_wraps_nothing/on_the_wire", _ECHO),
    Mechanism(
        "Calico, BGP route reflector",
        "calico_bgp_needs_a_reflector_or_a_mesh/a_reflector",
        r"TCP SYN 192.168.0.1.\d+ > 192.168.0.3.179",
    ),
    Mechanism("Calico, VXLAN across subnets", "calico_needs_a_tunnel_past_a_router/vxlan", _ECHO),
    Mechanism("Calico, felix and etcd", "felix_makes_routes_of_endpoints/pods_come", _ECHO),
    Mechanism(
        "ClusterIP, iptables", "service_is_an_address_that_nobody_has/the_destination_is_translated", "TCP SYN 10.244"
    ),
    Mechanism("ClusterIP, nftables", "service_refuses_what_it_does_not_serve/a_ping", "TCP SYN"),
    Mechanism(
        "NodePort",
        "service_opens_a_port_on_every_node/any_node_will_do",
        r"TCP SYN 192.168.0.3.\d+ > 192.168.0.1.30080",
    ),
    Mechanism("cluster DNS", "dns_is_a_service_too/a_server_leaves", r"UDP .* > 10.96.0.10.53"),
    Mechanism("ingress", "ingress_reads_the_host_name/two_names_on_one_address", "TCP SYN"),
    Mechanism("masquerade on the way out", "flannel_masquerades_what_leaves/out_of_the_cluster", _ECHO),
    Mechanism("network policy, refused", "policy_stops_the_packet_at_the_pod/allowed_by_label", "TCP SYN 10.244.1.3"),
)


def table(captures: Path, mechanisms: tuple[Mechanism, ...] = MECHANISMS) -> str:
    """Return the table, its links relative to the folder of `labs` and `captures`.

    Raises LabError where a capture is not there or has no such packet.
    """
    return _HEAD + "".join(f"{_row(captures, each)}\n" for each in mechanisms)


def renewed(page: str, captures: Path) -> str:
    """Return a page with the table between its marks made anew; as it is where it has none."""
    before, begin, rest = page.partition(BEGIN)
    _old, end, after = rest.partition(END)
    return f"{before}{begin}{table(captures)}{end}{after}" if end else page


def _row(captures: Path, mechanism: Mechanism) -> str:
    lab, _, act = mechanism.capture.partition("/")
    words, path = _told(captures / lab / f"{act}.pcapng", mechanism)
    return f"| [{mechanism.name}](labs/{lab}.py) | [{cell(words)}](captures/{lab}/{act}.pcapng) | `{path}` |"


def _told(file: Path, mechanism: Mechanism) -> tuple[str, str]:
    try:
        with file.open("rb") as opened:
            capture = pcapng.read(opened)
    except OSError as error:
        raise LabError(f"{file}: {error.strerror}", remedy=_REMEDY) from None
    sightings: dict[int, list[Frame]] = {}
    for frame in capture.frames:
        sightings.setdefault(frame.packet, []).append(frame)
    for journey in sightings.values():
        words = short_words(journey[0].data)
        if re.match(mechanism.packet, words):
            return _stable(words), _stable(str(path_of(journey, capture.interfaces)))
    raise LabError(f"{file} has no packet {mechanism.packet!r}", remedy=_REMEDY)


def _stable(text: str) -> str:
    """Return a text less what a lot decides (a client's port, the name of a plugin's veth), and an echo's number."""
    return re.sub(r"\.\d{5}(?= > )| seq \d+$|(?<=\bveth)[0-9a-f]{8}\b", "", text)
