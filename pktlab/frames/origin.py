"""Which frames of a capture one interface sent: those may be sent once more; the others are sightings elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

from pktlab.errors import LabError
from pktlab.frame import OUT, Frame

ALL = "all"


def sent_by(frames: Sequence[Frame], dev: str, wanted: str = "") -> tuple[list[Frame], str]:
    """Choose the frames that one interface sent; return them and its name, which is empty where all were taken.

    `wanted` is the interface's name in the capture, or "all"; without it that is taken which is called `dev`. A capture
    of one interface is taken whole where it tells no directions. One of several that tells none gives all that was
    seen on the interface. Raises `LabError` that names the interfaces, where none is chosen or it sent nothing.
    """
    interfaces = list(dict.fromkeys(str(each.interface) for each in frames))
    directions = {each.direction for each in frames}
    if wanted == ALL or (not wanted and len(interfaces) < 2 and len(directions) < 2):
        return list(frames), ""
    name = wanted or (dev if dev in interfaces or len(interfaces) > 1 else interfaces[0])
    seen = [each for each in frames if str(each.interface) == name]
    chosen = [each for each in seen if each.direction == OUT or OUT not in directions]
    if chosen:
        return chosen, name
    every = dict.fromkeys(str(each.interface) for each in frames if each.direction == OUT or OUT not in directions)
    problem = f"{name} sent none of the capture's frames" if seen else f"the capture has no frame of {name}"
    raise LabError(
        problem,
        remedy=f"choose whose frames are sent: --from NS/IFACE, one of {', '.join(every)}; --from all sends every one",
    )
