"""A profile of Wireshark for captures of several interfaces: columns, colours, and what to make of repeated segments.

A packet is in such a capture once for each interface, so TCP's analysis would call most segments retransmissions. From
4.2 on, Wireshark can tell conversations apart by interface (``protocols.conversation_deinterlacing_key``, of which
``.MI`` is MAC addresses and interface). Older versions cannot, and there the analysis is switched off
(``tcp.analyze_sequence_numbers``): nothing said is better than something wrong.
"""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

NAME = "pktlab"
MARK = "# Written by `pktlab wireshark profile`; `pktlab wireshark uninstall` takes it away."

# Titles and formats as in preferences(5) of Wireshark; `1` is the first comment, which tells the hop.
COLUMNS = (
    ("No.", "%m"),
    ("Time", "%t"),
    ("Interface", "%Cus:frame.interface_name:0:R"),
    ("Direction", "%Cus:frame.packet_flags_direction:0:R"),
    ("Packet", "%Cus:frame.packet_id:0:R"),
    ("Source", "%s"),
    ("Destination", "%d"),
    ("Protocol", "%p"),
    ("Info", "%i"),
    ("Hop", "%Cus:frame.comment:1:R"),
)

# Name, filter, background and foreground in 16 bits each; the first that fits counts.
COLOURS = (
    ("Packet stops here", 'frame.comment contains "stops here"', (65535, 56540, 54484), (30583, 2570, 0)),
    ("Packet begins", 'frame.comment contains "hop 1 of "', (56797, 62708, 56797), (0, 16705, 0)),
    ("In a tunnel", "vxlan", (60652, 58082, 65535), (13107, 0, 26214)),
)

_DEINTERLACING = "protocols.conversation_deinterlacing_key"
_ANALYSIS = "tcp.analyze_sequence_numbers"


def files(known: Set[str] = frozenset()) -> dict[str, str]:
    """Return the profile's files by name; `known` are the preferences that this version has."""
    columns = ",\n".join(f'\t"{title}", "{form}"' for title, form in COLUMNS)
    several = f"{_DEINTERLACING}: .MI" if _DEINTERLACING in known else f"{_ANALYSIS}: FALSE"
    preferences = f"{MARK}\ngui.column.format:\n{columns}\n{several}\n"
    rules = [f"@{name}@{text}@[{_colour(back)}][{_colour(front)}]" for name, text, back, front in COLOURS]
    return {"preferences": preferences, "colorfilters": "\n".join([MARK, *rules]) + "\n"}


def folder(configuration: Path) -> Path:
    """Return where the profile lies, from the folder of the user's configuration."""
    return configuration / "profiles" / NAME


def _colour(parts: tuple[int, int, int]) -> str:
    return ",".join(map(str, parts))
