"""What a plugin answers on standard output: a result, or an error (SPEC.md, section 5)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pktlab.errors import PktlabError

# SPEC.md, "Error"; codes from 100 on are the plugin's own.
CODES = {
    1: "incompatible CNI version",
    2: "unsupported field in the network configuration",
    3: "unknown container",
    4: "invalid environment variables",
    5: "I/O failure",
    6: "failed to decode content",
    7: "invalid network configuration",
    11: "try again later",
}


class CniError(PktlabError):
    """A plugin failed: `code`, `msg` and `details` are its own words, `plugin` is its name, `command` what it was to
    do (ADD, CHECK, DEL). `code` is 0 where it did not speak as the protocol asks."""

    def __init__(self, plugin: str, command: str, code: int, msg: str, details: str = "") -> None:
        known = f" ({CODES[code]})" if code in CODES else ""
        more = f"; {details}" if details else ""
        super().__init__(f"CNI plugin {plugin} failed to {command}: {msg}{more}, code {code}{known}")
        self.plugin, self.command = plugin, command
        self.code, self.msg, self.details = code, msg, details


@dataclass(frozen=True, slots=True)
class Link:
    """An interface that was made or moved; `sandbox` is the namespace's path, empty on the host."""

    name: str
    mac: str = ""
    sandbox: str = ""


@dataclass(frozen=True, slots=True)
class Address:
    """An address with its prefix length; `interface` is the place of its interface in the result's list."""

    address: str
    gateway: str = ""
    interface: int | None = None

    @property
    def ip(self) -> str:
        """The address without its prefix length."""
        return self.address.partition("/")[0]


@dataclass(frozen=True, slots=True)
class Route:
    """A route; without `gw` by the gateway of its address."""

    dst: str
    gw: str = ""


@dataclass(frozen=True, slots=True)
class Dns:
    """What the runtime may put into resolv.conf."""

    nameservers: tuple[str, ...] = ()
    domain: str = ""
    search: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an ADD; `raw` is the JSON as it came, which goes on to the next plugin as prevResult."""

    version: str
    interfaces: tuple[Link, ...] = ()
    ips: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    dns: Dns = Dns()
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Result:
        """Read a result. Raises ValueError for what is none."""
        interfaces = [
            Link(_text(e, "name"), _text(e, "mac"), _text(e, "sandbox")) for e in _objects(data, "interfaces")
        ]
        ips = []
        for each in _objects(data, "ips"):
            place = each.get("interface")
            if place is not None and (isinstance(place, bool) or not isinstance(place, int)):
                raise ValueError(f"interface {place!r} of an address is no number")
            # -1 is what old plugins wrote for "none".
            if place is not None and not -1 <= place < len(interfaces):
                raise ValueError(f"an address is on interface {place}, of {len(interfaces)}")
            number = None if place in (None, -1) else place
            ips.append(Address(_text(each, "address"), _text(each, "gateway"), number))
        routes = [Route(_text(each, "dst"), _text(each, "gw")) for each in _objects(data, "routes")]
        dns = data.get("dns") or {}
        if not isinstance(dns, dict):
            raise ValueError(f"dns is {dns!r}")
        names = Dns(_texts(dns, "nameservers"), _text(dns, "domain"), _texts(dns, "search"), _texts(dns, "options"))
        return cls(_text(data, "cniVersion"), tuple(interfaces), tuple(ips), tuple(routes), names, dict(data))


def answer(plugin: str, command: str, status: int, stdout: str, stderr: str) -> Result | None:
    """Read what a plugin wrote, by its exit status; None where it had nothing to say. Raises CniError if it failed."""
    text = stdout.strip()
    try:
        data = json.loads(text) if text else {}
        if not isinstance(data, dict):
            raise ValueError(f"{text[:80]!r} is no object")
        if status == 0:
            # Only ADD has a result; what some plugins write all the same is not asked for.
            return Result.parse(data) if command == "ADD" else None
        code, msg, details = data["code"], data["msg"], data.get("details", "")
        if not isinstance(code, int):
            raise ValueError(f"code {code!r} is no number")
    except (KeyError, ValueError, RecursionError) as error:
        words = (stderr.strip() or text or "nothing").splitlines()[-1][:200]
        what = f"{type(error).__name__}: {error}" if status == 0 else f"exit status {status}"
        raise CniError(plugin, command, 0, f"{what}; it wrote: {words}") from None
    raise CniError(plugin, command, code, str(msg), str(details or ""))


def _objects(data: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    found = data.get(key) or []
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise ValueError(f"{key} is {found!r}")
    return found


def _text(data: Mapping[str, Any], key: str) -> str:
    found = data.get(key) or ""
    if not isinstance(found, str):
        raise ValueError(f"{key} is {found!r}")
    return found


def _texts(data: Mapping[str, Any], key: str) -> tuple[str, ...]:
    found = data.get(key) or []
    if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
        raise ValueError(f"{key} is {found!r}")
    return tuple(found)
