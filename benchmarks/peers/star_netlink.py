"""A star by hand: rtnetlink's bytes packed here, namespaces as descriptors, nothing checked but the answers."""

import ctypes
import os
import socket
import struct
import sys
import time

CLONE_NEWNET = 0x4000_0000
RTM_NEWLINK, RTM_GETLINK, RTM_NEWADDR = 16, 18, 20
REQUEST, ACK, CREATE = 0x1, 0x4, 0x600
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MASTER, IFLA_LINKINFO, IFLA_NET_NS_FD = 1, 3, 10, 18, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST = 1, 2, 4
UP = 1
# The answers to more of them would not fit into a socket's queue of the default size.
BUNCH = 64
libc = ctypes.CDLL(None, use_errno=True)


def say(*words):
    print(*words, flush=True)  # noqa: T201


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def message(kind, flags, body):
    return struct.pack("=IHHII", 16 + len(body), kind, REQUEST | ACK | flags, 0, 0) + body


def number(value):
    return struct.pack("=I", value)


def link(index, flags=0, change=0, family=0):
    return struct.pack("=BxHiII", family, 0, index, flags, change)


def namespace():
    """Move to a new one; return its descriptor and a socket in it."""
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    made = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    made.bind((0, 0))
    return os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC), made


def ask(where, messages):
    for start in range(0, len(messages), BUNCH):
        bunch = messages[start : start + BUNCH]
        where.send(b"".join(bunch))
        answers = 0
        while answers < len(bunch):
            data = where.recv(1 << 16)
            offset = 0
            while offset < len(data):
                length = struct.unpack_from("=I", data, offset)[0]
                code = struct.unpack_from("=i", data, offset + 16)[0]
                if code:
                    raise OSError(-code, os.strerror(-code))
                answers += 1
                offset += (length + 3) & ~3


def pair(number_, descriptor):
    """p1, p2, ... here and eth0 there, in one message."""
    peer = link(5000 + number_) + attribute(IFLA_IFNAME, b"eth0\0") + attribute(IFLA_NET_NS_FD, number(descriptor))
    info = attribute(IFLA_INFO_KIND, b"veth") + attribute(IFLA_INFO_DATA, attribute(VETH_INFO_PEER, peer))
    body = link(100 + number_) + attribute(IFLA_IFNAME, b"p%d\0" % number_) + attribute(IFLA_LINKINFO, info)
    return message(RTM_NEWLINK, CREATE, body)


def settled(where, indexes):
    """Ask for each link by itself: the kernel settles its carrier before it answers (rtnl_getlink())."""
    for index in indexes:
        where.send(struct.pack("=IHHII", 32, RTM_GETLINK, REQUEST, 0, 0) + link(index))
        where.recv(1 << 16)


def main():
    count = int(sys.argv[1])
    say("begin", time.monotonic())
    hub, port = namespace()
    ask(
        port,
        [
            message(
                RTM_NEWLINK,
                CREATE,
                link(99)
                + attribute(IFLA_IFNAME, b"br0\0")
                + attribute(IFLA_LINKINFO, attribute(IFLA_INFO_KIND, b"bridge")),
            )
        ],
    )
    nodes = [namespace() for _ in range(count)]
    ask(port, [pair(i, descriptor) for i, (descriptor, _node) in enumerate(nodes, 1)])
    # The nodes first: whichever end of a pair goes up last takes the longer, and more so beside a bridge's other ports.
    for i, (_descriptor, node) in enumerate(nodes, 1):
        ip = bytes((10, 0, i >> 8, i & 255))
        address = struct.pack("=BBBBI", socket.AF_INET, 16, 0, 0, 5000 + i)
        address += attribute(IFA_ADDRESS, ip) + attribute(IFA_LOCAL, ip)
        address += attribute(IFA_BROADCAST, bytes((10, 0, 255, 255)))
        ask(node, [message(RTM_NEWADDR, CREATE, address), message(RTM_NEWLINK, 0, link(5000 + i, UP, UP))])
    master = attribute(IFLA_MASTER, number(99))
    ask(port, [message(RTM_NEWLINK, 0, link(100 + i, UP, UP) + master) for i in range(1, count + 1)])
    ask(port, [message(RTM_NEWLINK, 0, link(99, UP, UP))])
    for i, (_descriptor, node) in enumerate(nodes, 1):
        settled(node, [5000 + i])
    settled(port, [100 + i for i in range(1, count + 1)])
    for name, descriptor in (("hub", hub), ("first", nodes[0][0]), ("last", nodes[-1][0])):
        os.symlink(f"/proc/{os.getpid()}/fd/{descriptor}", f"/run/netns/{name}")
    say("up hub first last")
    sys.stdin.readline()
    began = time.monotonic()
    port.close()
    os.close(hub)
    for descriptor, node in nodes:
        node.close()
        os.close(descriptor)
    say("down", time.monotonic() - began)
    os._exit(0)


main()
