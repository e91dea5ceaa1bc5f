#!/bin/sh -e
# The classic experiment, as good as a script with tcpdump can be: every capture is listening before the first packet
# and shows packets at once, and is ended only after the reply is in the last of them. Nothing is slept for. Without an
# argument the ping has failed when it says so, after its shortest wait of a whole second. With "tuned" there is one
# ARP question of 0.04 s, as in pktlab's labs, and the ping has failed when the kernel says that the neighbour has.
ip netns add host
ip -n host -batch - <<E
link set lo up
link add veth0 type veth peer name veth1
link add br0 type bridge mcast_snooping 0
link set veth0 master br0
address add 192.168.3.101/24 dev veth0
address add 192.168.3.102/24 dev veth1
E
ip netns exec host sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv4.conf.veth1.accept_local=1 \
    net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.veth0.rp_filter=0 net.ipv4.conf.veth1.rp_filter=0 \
    ${1:+net.ipv4.neigh.veth0.mcast_solicit=1 net.ipv4.neigh.veth0.retrans_time_ms=40}
ip -n host -batch - <<E
link set veth0 up
link set veth1 up
link set br0 up
E
captures=
for dev in veth0 veth1 br0; do
    : >"/run/$dev.err"
    ip netns exec host tcpdump --immediate-mode -Z root -l -p -n -i "$dev" arp >"/run/$dev.txt" 2>"/run/$dev.err" &
    captures="$captures $!"
done
for dev in veth0 veth1 br0; do
    until grep -q "listening on" "/run/$dev.err"; do :; done
done
until ip -n host -br link show br0 | grep -q LOWER_UP; do :; done
ip netns exec host ping -c 1 -W 1 -I veth0 192.168.3.102 >/run/ping.txt &
ping=$!
if [ "$1" ]; then
    until ip -n host neighbour show dev veth0 | grep -q FAILED; do :; done
    kill $ping
else
    wait $ping || true
fi
! grep -q "bytes from" /run/ping.txt
until grep -q Reply /run/br0.txt; do :; done
kill $captures
wait
for dev in veth0 veth1 br0; do
    echo "$dev $(grep -c Request /run/$dev.txt) $(grep -c Reply /run/$dev.txt)"
done
