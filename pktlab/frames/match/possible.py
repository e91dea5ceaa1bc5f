"""The expression for every frame that Scapy may find a pattern in.

It is made to be short, since it is made anew for each pattern, and to fail early. What is unusual is not followed but
let through: then Scapy decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from pktlab.frames.match.grammar import Edge, Grammar, Layer, choose, wanted
from pktlab.frames.match.layout import CONDITIONS, LAYOUTS, Header, literal


def possible(pattern: Sequence[Layer], grammar: Grammar) -> str | None:
    """Return the expression for frames in which Scapy may find the pattern; None if there are none."""
    return _Possible(pattern, grammar).frame()


_MIN_NEEDLE = 2
_FIXED = frozenset({"Ether", "Dot1Q", "Dot1AD", "IP", "IPerror", "IPv6", "UDP", "UDPerror", "TCP"})
_TAGS = ("Dot1Q", "Dot1AD")
_LINK = r".{12}(?:(?:\x81\x00|\x88\xa8)..)*"  # up to the type that is not a tag's
_IPV4, _ODD_IPV4 = r"\x45", r"(?![\x45-\x4f])"  # without options; and none at all, by version and length
_PLAIN_VXLAN, _ODD_VXLAN = r"[\x08\x88].{7}", r"[^\x08\x88]"  # with or without group policy; and all else
_MULTICAST_REPORT = r"\x3a\x00.{6}[\x80-\xff]"  # behind IPv6: each interface that comes up sends some
_ROOT = ("Ether", *_TAGS)


class _Possible:
    def __init__(self, pattern: Sequence[Layer], grammar: Grammar) -> None:
        self.pattern = pattern
        self.first = pattern[0].name
        self.edges, self.leads = grammar.edges, grammar.leads
        needle = self._needle()
        self.somewhere = f"(?=.*{literal(needle)})" if needle else ""

    def _needle(self) -> bytes:
        """The longest run of bytes that a frame holds from where the pattern begins in it."""
        runs = [layer.load for layer in self.pattern if layer.name == "Raw" and layer.load]
        for layer in self.pattern:
            if layer.name in _FIXED:
                runs += wanted(layer).constants()
            elif layer.name in LAYOUTS:  # fields that move around, each for itself
                for name, ranges in layer.fields.items():
                    if name not in CONDITIONS.get(layer.name, {}):
                        runs += Header(layer.name).require(name, ranges).constants()
        longest = max(runs, key=len, default=b"")
        return longest if len(longest) >= _MIN_NEEDLE else b""

    def frame(self) -> str | None:
        """A frame, in any number of tunnels."""
        link = _either(self._link())
        tunnels = f"(?:{self._tunnel()})*" if "VXLAN" in self.leads and self._vxlan_ports() else ""
        return link and tunnels + link

    def _link(self) -> Iterator[str | None]:
        """The pattern in a frame, but not behind VXLAN."""
        if self.first == "Ether":
            yield self.here(0)
        types: dict[str, list[tuple[int, int]]] = {}
        for edge in (edge for layer in _ROOT for edge in self.edges[layer]):
            behind = self._behind_link(edge)
            if behind is not None:
                kind = edge.selector and edge.selector.get("type")
                types.setdefault(behind, []).append((kind, kind) if kind else (0, 0xFFFF))
        if self.leads & {"Dot3", "LLC"}:
            types.setdefault(self.somewhere, []).append((0, 1500))
        ways = [Header("Ether").alone("type", tuple(dict.fromkeys(each))) + way for way, each in types.items()]
        if ways:
            yield f"{_LINK}{_either(ways)}"

    def _behind_link(self, edge: Edge) -> str | None:
        if edge.target not in self.leads:
            return None
        if edge.target in _TAGS:
            return self.here(0) if edge.target == self.first else None
        return self.find(edge.target) if edge.target in LAYOUTS and edge.target != "Ether" else self.somewhere

    def _tunnel(self) -> str:
        """Everything up to the frame that VXLAN carries."""
        ip = rf"(?:{_IPV4}.{{8}}\x11.{{10}}|[\x46-\x4f].{{8}}\x11.{{10}}(?:.{{4}}){{1,10}})"
        return rf"{_LINK}(?:\x08\x00{ip}|\x86\xdd.{{6}}\x11.{{33}}){self._vxlan_ports()}{_PLAIN_VXLAN}"

    def _vxlan_ports(self) -> str | None:
        return self._on("UDP", "VXLAN").regex() if any(edge.target == "VXLAN" for edge in self.edges["UDP"]) else None

    def find(self, layer: str, stack: tuple[str, ...] = ()) -> str | None:
        """The pattern in this layer or behind it."""
        ways = [self.here(0)] if layer == self.first else []
        if layer == "VXLAN":  # the frame in a plain one is left to _tunnel()
            return _either([*ways, _ODD_VXLAN + self.somewhere])
        behind: dict[str, list[str]] = {}
        for target in dict.fromkeys(edge.target for edge in self.edges[layer] if edge.target in self.leads):
            known = target in LAYOUTS and target not in (*stack, layer, *_ROOT)
            if {layer, target} == {"IP", "IPv6"} or (layer, target) == ("UDPerror", "VXLAN"):
                known = False
            sub = self.find(target, (*stack, layer)) if known else self.somewhere
            if target.endswith("HopByHop") and self.first in LAYOUTS:
                sub = f"(?!{_MULTICAST_REPORT}){self.somewhere}"
            if sub is not None:
                behind.setdefault(sub, []).append(target)
        for sub, targets in behind.items():
            ways += self._headed(layer, partial(self._on, layer, *targets), sub, odd=False)
        if behind and layer in ("IP", "IPerror"):
            every = [target for targets in behind.values() for target in targets]
            ways += [_ODD_IPV4 + self._on(layer, *every).prefix() + self.somewhere]
        return _either(ways)

    def here(self, index: int) -> str | None:
        """The pattern from this layer of it on."""
        layer = self.pattern[index]
        if layer.name == "Raw":
            return literal(layer.load) if layer.load else "."
        if layer.name not in LAYOUTS:
            return ""
        following = self.pattern[index + 1 : index + 2]
        if layer.name == "ARP":
            return _either([wanted(layer).regex(), self._odd_arp(layer)])
        behind = self.here(index + 1) if following else ""

        def make() -> Header:
            header = wanted(layer)
            for each in following:
                self._select(header, each.name)
            return header

        return None if behind is None else _either(self._headed(layer.name, make, behind))

    def _headed(self, layer: str, make: Callable[[], Header], behind: str, *, odd: bool = True) -> list[str | None]:
        """A header and what is behind it; `odd` adds such headers as move what is behind them."""
        if layer in ("IP", "IPerror") and behind:
            plain, options = (
                make().require("version", ((4, 4),)).require("ihl", (words,)).regex() for words in ((5, 5), (6, 15))
            )
            ways = [plain and plain + behind, options and f"{options}(?:.{{4}}){{1,10}}{behind}"]
            return [*ways, make().regex() and _ODD_IPV4 + make().prefix()] if odd else ways
        if layer == "VXLAN":
            regex = make().require("flags", ((0x08, 0x08), (0x88, 0x88))).regex()
            return [regex and regex + behind, _ODD_VXLAN]
        regex, gap = make().regex(), ""
        if behind and layer in ("TCP", "TCPerror"):
            gap = "(?:.{4}){0,10}"
        elif behind and layer in ("ICMP", "ICMPerror"):
            gap = "(?:.{4}|.{12})?"  # of timestamps and of address masks
        return [regex and regex + gap + behind]

    def _odd_arp(self, layer: Layer) -> str | None:
        """ARP for other than IPv4 over Ethernet, where addresses have other sizes and are no text to Scapy."""
        header = Header("ARP").ahead(r"(?!\x00\x01\x08\x00\x06\x04)")
        for name in layer.fields.keys() & {"hwtype", "ptype", "hwlen", "plen", "op"}:
            header.require(name, layer.fields[name])
        if layer.fields.keys() & {"hwsrc", "hwdst"}:
            header.require("hwtype", ((1, 1),)).require("hwlen", ((6, 6),))
        if layer.fields.keys() & {"psrc", "pdst"}:
            header.require("ptype", ((0x0800, 0x0800),)).require("plen", ((4, 4),))
        return header.regex() and header.prefix()

    def _on(self, layer: str, *targets: str) -> Header:
        header = Header(layer)
        self._select(header, *targets)
        return header

    def _select(self, header: Header, *targets: str) -> None:
        """Let one of these layers follow."""
        if "Raw" in targets or (header.layer in _TAGS and "LLC" in targets):
            return  # whatever Scapy fails to read; whatever has a length for a type
        selectors = [edge.selector for edge in self.edges[header.layer] if edge.target in targets]
        if len(targets) > 1:  # to be short; what is only in fragments' headers matters little here
            selectors = [each and {name: value for name, value in each.items() if name != "frag"} for each in selectors]
        if selectors and all(selectors):  # else it is what Scapy takes where nothing is bound, or by a rule of its own
            choose(header, [each for each in selectors if each])


def _either(ways: Iterable[str | None]) -> str | None:
    found = list(dict.fromkeys(way for way in ways if way is not None))
    if "" in found:
        return ""
    return f"(?:{'|'.join(found)})" if len(found) > 1 else found[0] if found else None
