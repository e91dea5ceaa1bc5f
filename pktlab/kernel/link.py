"""Messages of rtnetlink, encoded and decoded: the one place that knows pyroute2.

Only pyroute2's message classes are used, as the encoder; requests are sent in batches by
`pktlab.kernel.netlink`, since its own sockets fork or start an event loop for each namespace.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

from pktlab.kernel.deferred import defer
from pktlab.kernel.netlink import (
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    NLM_F_REQUEST,
    Request,
)
from pktlab.kernel.template import Template, marked, shape, slots

RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK = 16, 17, 18
RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR = 20, 21, 22
RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE = 24, 25, 26
RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH = 28, 29, 30
RTM_NEWRULE, RTM_DELRULE = 32, 33
RTM_SETNEIGHTBL = 67
IPCTNL_MSG_CT_NEW, IPCTNL_MSG_CT_GET = 1 << 8, 1 << 8 | 1

CREATE = NLM_F_CREATE | NLM_F_EXCL
REPLACE = NLM_F_CREATE | NLM_F_REPLACE
APPEND = NLM_F_CREATE | NLM_F_APPEND

_MACVLAN = (
    ("IFLA_MACVLAN_BC_QUEUE_LEN", "uint32"),
    ("IFLA_MACVLAN_BC_QUEUE_LEN_USED", "uint32"),
    ("IFLA_MACVLAN_BC_CUTOFF", "int32"),
)


def _message_classes() -> dict[int, Any]:
    defer("pyroute2")
    from pyroute2.netlink.rtnl.fibmsg import fibmsg
    from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg, macvx_data
    from pyroute2.netlink.rtnl.ndmsg import ndmsg
    from pyroute2.netlink.rtnl.ndtmsg import ndtmsg
    from pyroute2.netlink.rtnl.rtmsg import rtmsg

    # What linux/if_link.h has of macvlan besides; read when the first message is encoded.
    known = {name for name, _ in macvx_data.nla_map}
    macvx_data.nla_map += tuple(each for each in _MACVLAN if each[0] not in known)
    return {
        **dict.fromkeys((RTM_NEWLINK, RTM_DELLINK, RTM_GETLINK), ifinfmsg),
        **dict.fromkeys((RTM_NEWADDR, RTM_DELADDR, RTM_GETADDR), ifaddrmsg),
        **dict.fromkeys((RTM_NEWROUTE, RTM_DELROUTE, RTM_GETROUTE), rtmsg),
        **dict.fromkeys((RTM_NEWNEIGH, RTM_DELNEIGH, RTM_GETNEIGH), ndmsg),
        **dict.fromkeys((RTM_NEWRULE, RTM_DELRULE), fibmsg),
        RTM_SETNEIGHTBL: ndtmsg,
    }


# Before a lab's network is made, which has enough to do.
_CLASSES = _message_classes()


def _message_class(kind: int) -> Any:
    if kind in (IPCTNL_MSG_CT_GET, IPCTNL_MSG_CT_NEW):
        # Only where it is asked for: it comes with a socket, and that with asyncio.
        from pyroute2.netlink.nfnetlink.nfctsocket import nfct_msg

        return nfct_msg
    return _CLASSES[kind]


Attributes = list[tuple[str, Any]]
# Kind, fields, attributes, flags.
Message = tuple[int, dict[str, Any], Attributes, int]


def request(what: object, kind: int, fields: dict[str, Any], attrs: Attributes, *, flags: int = 0) -> Request:
    """Encode one message; `str(what)` says in words what it asks for, for the error if it is refused.

    Values written as slots (`pktlab.kernel.template`) are filled into a message that was encoded once.
    """
    content = (fields, attrs)
    found = list(slots(content))
    if not found:
        return Request(what, _encode(kind, NLM_F_REQUEST | flags, fields, attrs))
    message: Message = (kind, fields, attrs, flags)
    return filled(what, (kind, flags, shape(content)), [slot.value for slot in found], lambda: message)


def filled(what: object, key: Hashable, values: Sequence[Any], example: Callable[[], Message]) -> Request:
    """Encode a message of a shape that is known by `key`, without looking at the shape each time.

    `values` go into its slots, in the order in which they stand in the `example`, which is asked for but once.
    """
    template = _templates.get(key)
    if template is None:
        kind, fields, attrs, flags = example()
        some_fields, some_attrs = marked((fields, attrs), itertools.count())
        encoded = _encode(kind, NLM_F_REQUEST | flags, some_fields, some_attrs)
        template = _templates[key] = Template(encoded, [slot.kind for slot in slots((fields, attrs))])
    return Request(what, template.fill(values))


_templates: dict[Hashable, Template] = {}


def dump(what: str, kind: int, fields: dict[str, Any] | None = None) -> Request:
    """Encode a request for a whole table."""
    key = (kind, *(fields or {}).items())
    if key not in _dumps:
        _dumps[key] = _encode(kind, NLM_F_REQUEST | NLM_F_DUMP, fields or {}, [])
    return Request(what, _dumps[key])


_dumps: dict[Hashable, bytes] = {}


def _encode(kind: int, flags: int, fields: dict[str, Any], attrs: Attributes) -> bytes:
    message = _message_class(kind)()
    message["header"] = {"type": kind, "flags": flags, "sequence_number": 0, "pid": 0}
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = [list(pair) for pair in attrs]
    message.encode()
    # The next message of a batch begins at a multiple of four (NLMSG_ALIGN).
    return bytes(message.data) + b"\0" * (-len(message.data) % 4)


def decode(data: bytes) -> dict[str, Any]:
    """Decode one message; attributes stand under ``"attrs"`` as a dictionary, nested ones too."""
    kind = int.from_bytes(data[4:6], "little")
    message = _message_class(kind)(data)
    message.decode()
    return _plain(message)


def _plain(message: Any) -> dict[str, Any]:
    fields = {key: value for key, value in message.items() if key not in ("attrs", "header")}
    fields["attrs"] = {
        name: _plain(value) if isinstance(value, dict) and "attrs" in value else value
        for name, value in message.get("attrs", [])
    }
    return fields
