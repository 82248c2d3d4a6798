"""The authoritative name server: UDP and TCP on one loopback port.

Answers come from the zones as they are served now, with AA set; recursion
is never offered. The names of health hosts and name servers answer with
loopback where no record says otherwise.
"""

import socketserver
import threading
from functools import partial

from dnslib import EDNS0, QTYPE, RCODE, RR, DNSRecord

from .answers import LOOPBACK, exists, lookup, zone_for
from .patches.route53_health import healthy
from .patches.route53_rules import normal_name

UDP_MAX = 512


def resolve(lab, data, stream):
    """The bytes of the answer to the bytes of a question."""
    request = DNSRecord.parse(data)
    reply = request.reply(ra=0, aa=1)
    reply.header.rd = request.header.rd
    asked = request.q.qname
    name, kind = normal_name(str(asked)), QTYPE[request.q.qtype]
    with lab.lock:
        for account in lab.accounts.values():
            account.tick()
        fill(lab, reply, name, kind)
    size = UDP_MAX
    for extra in request.ar:
        if extra.rtype == QTYPE.OPT:
            size = max(UDP_MAX, extra.edns_len)
            reply.add_ar(EDNS0(udp_len=1232))
    packed = reply.pack()
    if not stream and len(packed) > size:
        short = request.reply(ra=0, aa=1)
        short.header.tc = 1
        return short.pack()
    return packed


def fill(lab, reply, name, kind):
    """Puts the answer, or the SOA and the right code, into the reply."""
    owners = {zone.id: account for account in lab.accounts.values() for zone in account.zones.values()}
    zones = [zone for account in lab.accounts.values() for zone in account.zones.values()]
    zone = zone_for(zones, name)
    if zone is None:
        if name.endswith(".lab.test.") and name.count(".") == 3 and name.startswith("ns-"):
            if kind in ("A", "ANY"):
                put(reply, name, "A", 60, [LOOPBACK])
            return
        reply.header.aa = 0
        reply.header.rcode = RCODE.REFUSED
        return
    account = owners[zone.id]
    found = lookup(zone, name, kind, partial(healthy, lab, account), list(account.zones.values()))
    if not found and not exists(zone, name) and name in hosts(account):
        if kind in ("A", "ANY"):
            put(reply, name, "A", 60, [LOOPBACK])
            return
        soa(reply, zone)
        return
    for owner, rtype, ttl, values in found:
        put(reply, owner, rtype, ttl, values)
    if found and found[-1][1] == "CNAME" and kind == "A" and found[-1][3][0] in hosts(account):
        put(reply, found[-1][3][0], "A", 60, [LOOPBACK])
    if not found:
        if not exists(zone, name):
            reply.header.rcode = RCODE.NXDOMAIN
        soa(reply, zone)


def hosts(account):
    """Names that exist because something listens there, not in any zone."""
    return set((account.seed or {}).get("hosts", ()))


def put(reply, owner, rtype, ttl, values):
    for value in values:
        text = value if rtype != "CNAME" or value.endswith(".") else value + "."
        for record in RR.fromZone(f"{owner} {ttl} IN {rtype} {text}"):
            reply.add_answer(record)


def soa(reply, zone):
    record = next(r for r in zone.served.values() if r["Type"] == "SOA" and r["Name"] == zone.name)
    text = f"{zone.name} {record['TTL']} IN SOA {record['ResourceRecords'][0]['Value']}"
    for entry in RR.fromZone(text):
        reply.add_auth(entry)


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        data, sock = self.request
        try:
            sock.sendto(resolve(self.server.lab, data, False), self.client_address)
        except Exception:
            return


class Tcp(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.settimeout(10)
        try:
            while True:
                size = self.take(2)
                if not size:
                    return
                data = self.take(int.from_bytes(size, "big"))
                answer = resolve(self.server.lab, data, True)
                self.request.sendall(len(answer).to_bytes(2, "big") + answer)
        except Exception:
            return

    def take(self, count):
        data = b""
        while len(data) < count:
            part = self.request.recv(count - len(data))
            if not part:
                return b""
            data += part
        return data


class UdpServer(socketserver.ThreadingUDPServer):
    daemon_threads = True
    block_on_close = False


class TcpServer(socketserver.ThreadingTCPServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True


class Dns:
    """Both servers on the same number."""

    def __init__(self, port, lab):
        for _ in range(20):
            self.tcp = TcpServer(("127.0.0.1", port), Tcp)
            self.port = self.tcp.server_address[1]
            try:
                self.udp = UdpServer(("127.0.0.1", self.port), Udp)
                break
            except OSError:
                self.tcp.server_close()
                if port:
                    raise
        self.udp.lab = self.tcp.lab = lab

    def start(self):
        for server in (self.udp, self.tcp):
            threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self):
        for server in (self.udp, self.tcp):
            server.shutdown()
            server.server_close()
