"""A network that stays up: `pktlab up`, and what other commands do in it.

    pktlab up ---- fork ---- owner ---- sandbox: pid 1, which holds the network
                               |
                               +------- as root: guardian, which takes the names in /run/netns away

The owner lives on the machine and does next to nothing; the sandbox dies with it, as every sandbox does with its
caller. No file says that a network is up: the owner listens on an abstract socket, which the kernel takes away with
the process. Who joins (`Standing.join`) enters the sandbox's namespaces, and whatever it starts there ends with them.
"""
