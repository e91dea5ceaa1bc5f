"""An ingress reads the host name.

    ext            n1                            n2
    +--------+    +------------------------+    +---------------------------+
    |  eth0 ====== eth0                    |    |  shop .2.2     blog .2.3  |
    +--------+    |   |                    |    |     \\           /         |
     GET / Host:  |  cni0 -- nginx .1.2    |    |      +-- cni0 -+          |
     shop.example |  flannel.1 . . . . . VXLAN . . . . . flannel.1          |
                  +------------------------+    +---------------------------+

Two names have one address and one port: the node's, which leads to a pod that runs nginx. It takes the connection,
reads the name in the request, and makes one of its own to the service of that name. No router, NAT rule or service
could: what tells the two apart stands in none of the headers that they read.

Real: nginx, three times. Rebuilt: its configuration, as rootfs/etc/nginx/template/nginx.tmpl of
kubernetes/ingress-nginx makes it with the annotation service-upstream; kube-proxy's rules and flannel's devices (see
pktlab.Cluster). See RFC 9110 7.2, "server_name" in nginx's ngx_http_core_module.
"""

import http.client
from pathlib import Path

from scapy.layers.inet import IP, TCP

from pktlab import Cluster, Namespace, Network, Topology

topology = Topology()
cluster = Cluster(topology, "vxlan")
n1, n2 = cluster.node("n1"), cluster.node("n2")
nginx, shop, blog = n1.pod("nginx"), n2.pod("shop"), n2.pod("blog")
ext, far = cluster.host("ext")
to_shop = cluster.service("shop", "10.96.0.21", port=80, endpoints=[shop], node_port=30081, nodes=[n1])
to_blog = cluster.service("blog", "10.96.0.22", port=80, endpoints=[blog], nodes=[n1])
cluster.service("ingress", "10.96.0.20", port=80, endpoints=[nginx], node_port=30080, local=True, nodes=[n1])

# To another user an ordinary user's nginx could not give its folder, not even as root of a user namespace.
CONF = """
user root root; daemon off; master_process off; pid nginx.pid; error_log stderr notice;
events {{}} http {{ access_log off; {servers}
    client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t; }}
"""
PAGE = 'server {{ listen 80; return 200 "{}: $http_host for $http_x_forwarded_for"; }}'
INGRESS = """server {{ listen 80; server_name {}; location / {{
    proxy_set_header Host $http_host; proxy_set_header X-Forwarded-For $remote_addr; proxy_pass http://{}; }} }}"""
NOBODY = "server { listen 80 default_server; return 404; }"

syn = TCP(flags="S")
WAY_IN = [far, topology.namespaces["lan0"].devices["ext"], n1.port, n1.eth0, n1.bridge, nginx.veth, nginx.eth0]
ONWARD = [nginx.eth0, nginx.veth, n1.bridge, n1.tunnel, n1.eth0, n1.port, n2.port, n2.eth0, n2.tunnel, n2.bridge]


def start(net: Network, ns: Namespace, *servers: str) -> None:
    """Start an nginx with these servers."""
    (folder := Path("/run", ns.name)).mkdir()
    (folder / "nginx.conf").write_text(CONF.format(servers="\n".join(servers)))
    net.start(ns, ["nginx", "-e", "stderr", "-p", str(folder), "-c", "nginx.conf"], ready="OS: Linux")


def serve(net: Network) -> None:
    """Start the two sites, and nginx before them."""
    for pod in (shop, blog):
        start(net, pod.ns, PAGE.format(pod.name))
    start(net, nginx.ns, *(INGRESS.format(f"{each.name}.example", each.ip) for each in (to_shop, to_blog)), NOBODY)


def get(net: Network, *names: str, port: int = 30080) -> list[tuple[int, str]]:
    """Ask n1 for the page of each name, on one connection; return the status and the page of each answer."""
    client, answers = http.client.HTTPConnection(n1.ip), []
    client.sock = net.socket(ext, "tcp")
    client.sock.connect((n1.ip, port))
    for name in names:
        client.request("GET", "/", headers={"Host": name})
        answer = client.getresponse()
        answers.append((answer.status, answer.read().decode() * (answer.status == 200)))
    return answers


def test_two_names_on_one_address(net: Network) -> None:
    """Each finds its site. To the pods it is nginx that connects; for whom and to what name, nginx writes into it."""
    serve(net)
    with net.capture() as seen:
        assert get(net, "shop.example") == [(200, f"shop: shop.example for {far.ip}")]
        assert get(net, "blog.example") == [(200, f"blog: blog.example for {far.ip}")]
    assert seen.path(IP(src=far.ip) / syn) == WAY_IN
    assert seen.paths(IP(src=nginx.ip) / syn) == [[*ONWARD, pod.veth, pod.eth0] for pod in (shop, blog)]
    assert seen.where(IP(src=far.ip) / TCP()) == set(WAY_IN)


def test_two_names_on_one_connection(net: Network) -> None:
    """It chooses for each request anew, where a service has chosen once and for all with the first packet."""
    serve(net)
    with net.capture() as seen:
        answers = get(net, "blog.example", "shop.example", "blog.example")
    assert [page.split(":")[0] for _status, page in answers] == ["blog", "shop", "blog"]
    assert (seen.count(IP(src=far.ip) / syn), seen.count(IP(src=nginx.ip) / syn)) == (1, 3)


def test_a_name_of_nobody(net: Network) -> None:
    """nginx itself says that there is no such site, and no packet goes on; so it is with the bare address."""
    serve(net)
    with net.capture() as seen:
        assert get(net, "other.example", n1.ip) == [(404, ""), (404, "")]
    assert (seen.path(IP(src=far.ip) / syn), seen.count(IP(src=nginx.ip) / syn)) == (WAY_IN, 0)


def test_one_site_is_down(net: Network) -> None:
    """Its service has no endpoint and refuses nginx, which says so; the other site is as it was."""
    serve(net)
    net.nft(n1.ns, cluster.rules(n1, {to_shop: []}))
    with net.capture() as seen:
        assert get(net, "shop.example", "blog.example") == [(502, ""), (200, f"blog: blog.example for {far.ip}")]
    assert seen.where(IP(dst=to_shop.ip) / syn) == {nginx.eth0, nginx.veth, n1.bridge}


def test_without_the_ingress(net: Network) -> None:
    """A service's own port on the node leads to that service, whatever name is asked for: nobody reads it."""
    serve(net)
    with net.capture() as seen:
        assert get(net, "blog.example", "x", port=30081) == [(200, f"shop: {n} for ") for n in ("blog.example", "x")]
    assert seen.where(syn) & {nginx.eth0, shop.eth0, blog.eth0} == {shop.eth0}
