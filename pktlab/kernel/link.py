"""Messages of rtnetlink, encoded and decoded: the one place that knows pyroute2.

Only pyroute2's message classes are used, as the encoder; requests are sent in batches by
`pktlab.kernel.netlink`, since its own sockets fork or start an event loop for each namespace.
"""

from __future__ import annotations

from typing import Any

from pyroute2.netlink.nfnetlink.nfctsocket import nfct_msg
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from pktlab.kernel.netlink import (
    NLM_F_ACK,
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
    Request,
)

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
RTM_NEWRULE, RTM_DELRULE = 32, 33
IPCTNL_MSG_CT_GET = (1 << 8) | 1

CREATE = NLM_F_CREATE | NLM_F_EXCL
REPLACE = NLM_F_CREATE | NLM_F_REPLACE
APPEND = NLM_F_CREATE | NLM_F_APPEND

_CLASSES: dict[int, Any] = {
    **dict.fromkeys((RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK), ifinfmsg),
    **dict.fromkeys((RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR), ifaddrmsg),
    **dict.fromkeys((RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE), rtmsg),
    **dict.fromkeys((RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH), ndmsg),
    **dict.fromkeys((RTM_NEWRULE, RTM_DELRULE), fibmsg),
    **dict.fromkeys((IPCTNL_MSG_CT_GET, 1 << 8), nfct_msg),
}

Attributes = list[tuple[str, Any]]


def request(what: str, kind: int, fields: dict[str, Any], attrs: Attributes, *, flags: int = 0) -> Request:
    """Encode one message; `what` says in words what it asks for, for the error if it is refused."""
    message = _CLASSES[kind]()
    message["header"] = {
        "type": kind,
        "flags": NLM_F_REQUEST | NLM_F_ACK | flags,
        "sequence_number": 0,
        "pid": 0,
    }
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = [list(pair) for pair in attrs]
    message.encode()
    return Request(what, bytes(message.data))


def dump(what: str, kind: int, fields: dict[str, Any] | None = None, attrs: Attributes | None = None) -> Request:
    """Encode a request for a whole table."""
    message = _CLASSES[kind]()
    message["header"] = {"type": kind, "flags": NLM_F_REQUEST | NLM_F_DUMP, "sequence_number": 0, "pid": 0}
    for name, value in (fields or {}).items():
        message[name] = value
    message["attrs"] = [list(pair) for pair in attrs or []]
    message.encode()
    return Request(what, bytes(message.data))


def decode(data: bytes) -> dict[str, Any]:
    """Decode one message; attributes stand under ``"attrs"`` as a dictionary, nested ones too."""
    kind = int.from_bytes(data[4:6], "little")
    message = _CLASSES[kind](data)
    message.decode()
    return _plain(message)


def _plain(message: Any) -> dict[str, Any]:
    fields = {key: value for key, value in message.items() if key not in ("attrs", "header")}
    fields["attrs"] = {
        name: _plain(value) if isinstance(value, dict) and "attrs" in value else value
        for name, value in message.get("attrs", [])
    }
    return fields
