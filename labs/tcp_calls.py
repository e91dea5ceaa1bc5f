"""TCP connections for labs about who is reached, and who is not: told when the network is silent, not after a time.

See connect(2), EINPROGRESS.
"""

import os
import select
import socket

from pktlab import Device, Namespace, Network

SILENCE = "silence"


def reached(net: Network, caller: Namespace, ip: str, port: int, *, server: Device, listens: int) -> str:
    """Connect while a server listens on an interface's address: the caller's address as the server sees it, or why
    there was no connection, in the kernel's words; SILENCE if nobody has said anything.
    """
    with net.socket(server.namespace, "tcp") as listener, net.socket(caller, "tcp") as client:
        listener.bind((server.ip, listens))
        listener.listen()
        client.setblocking(False)
        client.connect_ex((ip, port))
        net.settle()
        if not select.select([], [client], [], 0)[1]:
            return SILENCE
        error = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return os.strerror(error) if error else str(listener.accept()[1][0])
