"""pktlab inside Wireshark: its labs as interfaces to capture on (extcap), and a profile that shows packets' ways."""
