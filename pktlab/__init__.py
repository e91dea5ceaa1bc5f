"""pktlab: documents about Linux networking, made to prove what they say."""
