#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# The packet filter with real packets: crafted ones one by one, and the host's
# own sockets, through WireGuard.
#
#   namespace a: tailrace on wg0, 100.64.0.1      namespace b: plain wg0 with
#                                                 .2 ordinary, .3 jailed,
#        veth 10.0.0.1 ---------------- 10.0.0.2  .4 with capability 7
import hashlib
import threading

from craft import *
from tailrace import *

site()
enter('a')
m = Module()
m.attach('wg0', 41641)
m.peer('wg0', 2, ['100.64.0.2', 'fd7a:115c:a1e0::2'])
m.peer('wg0', 3, ['100.64.0.3', 'fd7a:115c:a1e0::3'],
       flags=C['TAILRACE_PEER_JAILED'])
m.peer('wg0', 4, ['100.64.0.4', 'fd7a:115c:a1e0::4'], ['10.9.0.0/24'], [7])

US, US6 = '100.64.0.1', 'fd7a:115c:a1e0::1'
LOCAL = [US, US6, '10.1.0.0/16']
RULES = [
    rule(1, ['100.64.0.2', 'fd7a:115c:a1e0::2'],
         [destination(US, 80, 90), destination(US6, 80, 90)], [TCP, SCTP]),
    rule(2, ['100.64.0.0-100.64.0.2'], [destination(US, 53, 53)], [UDP]),
    rule(3, ['100.64.0.2'], [destination('10.1.0.0/24')], [GRE]),
    rule(4, ['100.64.0.2'], [destination('10.1.1.0/24', 1)], [GRE]),
    rule(5, [], [destination('*', 8000, 8000)], caps=[7]),
]

sender = Sender()


def counts():
    s = m.stats('wg0')
    return [s.num('STATS_FILTER_IN')] + s.array('STATS_DROP')


def verdict(packet):
    before = counts()
    sender.send(packet)
    if not until(lambda: counts() != before):
        return 'lost'
    changes = [n - old for n, old in zip(counts(), before)]
    if sum(changes) != 1:
        return changes
    i = changes.index(1)
    return 'accepted' if not i else REASONS[i - 1]


def check(name, want, packet):
    same(verdict(packet), want, name)


def tcp(src, dst, port, flags=SYN):
    make = ip6 if ':' in dst else ip4
    return make(TCP, src, dst, ports(5000, port, flags=flags))


B, JAILED, CAPABLE = '100.64.0.2', '100.64.0.3', '100.64.0.4'
check('closed before the first policy', 'NO_POLICY', tcp(B, US, 80))
check('even for what needs no rule', 'NO_POLICY', tcp(B, US, 80, ACK))
m.policy('wg0', LOCAL, RULES)

check('TCP by a rule', 'accepted', tcp(B, US, 80))
check('TCP to another port', 'NO_RULE', tcp(B, US, 91))
check('TCP from another source', 'NO_RULE', tcp('100.64.0.9', US, 80))
check('TCP without SYN', 'accepted', tcp('100.64.0.9', US, 91, ACK))
check('TCP SYN and ACK', 'accepted', tcp('100.64.0.9', US, 91, SYNACK))
check('TCP SYN and RST', 'NO_RULE', tcp('100.64.0.9', US, 91, SYN | RST))
check('a destination that is not local', 'NOT_LOCAL', tcp(B, '10.2.0.1', 80))
check('UDP by a range', 'accepted', ip4(UDP, B, US, ports(9, 53)))
check('UDP again', 'accepted', ip4(UDP, B, US, ports(9, 53)))
check('UDP to another port', 'NO_RULE', ip4(UDP, B, US, ports(9, 54)))
check('SCTP by a rule', 'accepted', ip4(SCTP, B, US, ports(9, 80)))
check('SCTP to another port', 'NO_RULE', ip4(SCTP, B, US, ports(9, 91)))
check('GRE with all ports', 'accepted', ip4(GRE, B, '10.1.0.1', b'\0' * 8))
check('GRE with all ports but one', 'NO_RULE',
      ip4(GRE, B, '10.1.1.1', b'\0' * 8))
check('ICMP echo by a rule for anything', 'accepted',
      ip4(ICMP, B, US, b'\x08\0' + b'\0' * 6))
check('ICMP echo from elsewhere', 'NO_RULE',
      ip4(ICMP, '100.64.0.9', US, b'\x08\0' + b'\0' * 6))
check('ICMP error', 'accepted',
      ip4(ICMP, '100.64.0.9', US, b'\x03\x01' + b'\0' * 6))
check('ICMP error of four bytes', 'NO_RULE',
      ip4(ICMP, '100.64.0.9', US, b'\x03\x01' + b'\0' * 2))
check('multicast', 'MULTICAST', ip4(UDP, B, '224.0.0.251', ports(1, 53)))
check('link-local', 'LINK_LOCAL', ip4(UDP, B, '169.254.1.1', ports(1, 53)))
check('cloud metadata', 'NOT_LOCAL',
      ip4(UDP, B, '169.254.169.254', ports(1, 53)))
check('a later fragment', 'accepted', ip4(TCP, B, '10.2.0.1', b'x' * 8, 10))
check('an early fragment', 'MALFORMED', ip4(TCP, B, US, b'x' * 40, 9))
check('a first fragment by its ports', 'accepted',
      ip4(TCP, B, US, ports(1, 80, flags=SYN) + b'x' * 4, more=True))
check('a first fragment without a header', 'MALFORMED',
      ip4(TCP, B, US, ports(1, 80, 12), more=True))
check('IP options', 'accepted',
      ip4(TCP, B, US, ports(1, 80, flags=SYN), options=b'\1' * 40))
check('protocol 255', 'MALFORMED', ip4(255, B, US, b'x' * 40))
packet = bytearray(tcp(B, US, 80))
packet[0] = 0x44
check('an IP header of 16 bytes', 'MALFORMED', bytes(packet))

B6 = 'fd7a:115c:a1e0::2'
check('IPv6 TCP by a rule', 'accepted', tcp(B6, US6, 80))
check('IPv6 TCP to another port', 'NO_RULE', tcp(B6, US6, 91))
check('IPv6 TCP without SYN', 'accepted', tcp(B6, US6, 91, ACK))
check('ICMPv6 echo', 'accepted',
      ip6(ICMP6, B6, US6, b'\x80\0' + b'\0' * 6))
check('ICMPv6 echo from elsewhere', 'NO_RULE',
      ip6(ICMP6, 'fd7a:115c:a1e0::9', US6, b'\x80\0' + b'\0' * 6))
check('ICMPv6 error', 'accepted',
      ip6(ICMP6, 'fd7a:115c:a1e0::9', US6, b'\x01\0' + b'\0' * 6))
check('IPv6 first fragment', 'accepted',
      ip6(FRAGMENT, B6, US6,
          fragment6(TCP, 0, 1, ports(1, 80, flags=SYN) + b'x' * 4)))
check('IPv6 first fragment to another port', 'NO_RULE',
      ip6(FRAGMENT, B6, US6,
          fragment6(TCP, 0, 1, ports(1, 91, flags=SYN) + b'x' * 4)))
check('IPv6 early fragment', 'MALFORMED',
      ip6(FRAGMENT, B6, US6, fragment6(TCP, 1, 0, b'x' * 40)))
check('IPv6 later fragment', 'accepted',
      ip6(FRAGMENT, B6, US6, fragment6(TCP, 10, 0, b'x' * 8)))
check('IPv6 hop by hop', 'MALFORMED',
      ip6(0, B6, US6, bytes([TCP, 0, 1, 4, 0, 0, 0, 0]) +
          ports(1, 80, flags=SYN)))
check('IPv6 routing header', 'NO_RULE', ip6(43, B6, US6, b'\0' * 24))
check('IPv6 multicast', 'MULTICAST', ip6(UDP, B6, 'ff02::1', ports(1, 53)))
check('IPv6 link-local', 'LINK_LOCAL', ip6(UDP, B6, 'fe80::1', ports(1, 53)))

check('TCP by a capability', 'accepted', tcp(CAPABLE, US, 8000))
check('ICMP by a capability', 'accepted',
      ip4(ICMP, CAPABLE, US, b'\x08\0' + b'\0' * 6))
check('no capability for what the peer routes', 'NO_RULE',
      tcp('10.9.0.1', US, 8000))
check('UDP by a capability', 'accepted', ip4(UDP, CAPABLE, US, ports(1, 8000)))
m.peer('wg0', 4, ['100.64.0.4'], [], [8])
check('which is withdrawn', 'NO_RULE', ip4(UDP, CAPABLE, US, ports(1, 8000)))
m.peer('wg0', 4, ['100.64.0.4'], [], [8, 7],
       flags=C['TAILRACE_PEER_UNSIGNED'])
check('an unsigned peer has none', 'NO_RULE', tcp(CAPABLE, US, 8000))

check('jailed TCP', 'JAILED', tcp(JAILED, US, 80))
check('jailed UDP', 'JAILED', ip4(UDP, JAILED, US, ports(1, 53)))
check('jailed TCP without SYN', 'accepted', tcp(JAILED, US, 80, ACK))
check('jailed to elsewhere', 'NOT_LOCAL', tcp(JAILED, '10.2.0.1', 80, ACK))
m.policy('wg0', LOCAL, RULES, C['TAILRACE_POLICY_SHIELDS_UP'])
check('shields up', 'SHIELDS_UP', tcp(B, US, 80))
check('shields up and jailed', 'JAILED', tcp(JAILED, US, 80))
m.policy('wg0', LOCAL, [])
check('no rules', 'NO_RULE', ip4(UDP, B, US, ports(9, 53)))

# A large one: 1,000 rules of 100 prefixes each, the last for one address.
def large(number):
    prefixes = [struct.pack('!BBHI28x', C['TAILRACE_ADDR_PREFIX4'], 30, 0,
                            (11 << 24) + (number * 100 + i) * 8)
                for i in range(100)]
    one = rule(number, [], [destination(US, number % 7000, 7000)])
    return one + attr(C['TAILRACE_A_RULE_SRC'], b''.join(prefixes))


m.begin('wg0')
m.add('wg0', LOCAL, [])
for i in range(0, 1000, 10):
    m.add('wg0', rules=[large(n) for n in range(i, i + 10)])
m.add('wg0', rules=[rule(5000, ['10.9.0.9'], [destination(US, 8001, 8002)])])
check('while it is being built', 'NO_RULE', tcp('10.9.0.9', US, 8001))
ok(m.commit('wg0') and m.get('wg0').num('DEVICE_RULES') == 1001,
   '100,000 prefixes in 1,001 rules')
check('a source of the large policy', 'accepted', tcp('10.9.0.9', US, 8001))
check('to another port', 'NO_RULE', tcp('10.9.0.9', US, 8000))
check('another source', 'NO_RULE', tcp('10.9.0.10', US, 8001))
m.policy('wg0', LOCAL, RULES)
sender.close()


# The host's own sockets.

def listener(addr, port):
    family = socket.AF_INET6 if ':' in addr else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((addr, port))
    sock.listen()
    sock.settimeout(200)
    return sock


def client(name, source):
    with inside(name):
        family = socket.AF_INET6 if ':' in source else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.bind((source, 0))
        sock.settimeout(200)
        return sock


def transfer(frm, to, size):
    """Moves random bytes between connected sockets; True if all arrive."""
    data = os.urandom(size)
    thread = threading.Thread(target=frm.sendall, args=(data,))
    thread.start()
    got = hashlib.sha256()
    while size:
        part = to.recv(1 << 16)
        if not part:
            break
        got.update(part)
        size -= len(part)
    thread.join()
    return got.digest() == hashlib.sha256(data).digest()


def connected(source, dest, port):
    server = listener(dest, port)
    one = client('b', source)
    one.connect((dest, port))
    two, _ = server.accept()
    server.close()
    return one, two


def stopped(source, dest, port, reason):
    """A connection attempt that must end in a drop for that reason."""
    server = listener(dest, port)
    sock = client('b', source)
    sock.setblocking(False)
    before = m.drops('wg0', reason)
    sock.connect_ex((dest, port))
    dropped = until(lambda: m.drops('wg0', reason) > before)
    server.settimeout(0.5)
    try:
        server.accept()
        dropped = False
    except TimeoutError:
        pass
    server.close()
    sock.close()
    return dropped


for ours, theirs in ((US, B), (US6, B6)):
    one, two = connected(theirs, ours, 80)
    ok(transfer(one, two, 1 << 20), '%s: allowed TCP, 1 MiB in' % ours)
    ok(transfer(two, one, 1 << 20), '%s: and out' % ours)
    one.close()
    two.close()
    ok(stopped(theirs, ours, 91, 'NO_RULE'), '%s: denied TCP' % ours)

    with inside('b'):
        server = listener(theirs, 9000)
    out = client('a', ours)
    out.connect((theirs, 9000))
    back, _ = server.accept()
    ok(transfer(back, out, 1 << 20), '%s: a connection of ours' % ours)
    for s in (server, out, back):
        s.close()

    here, there = udp('a', ours, 7000), udp('b', theirs, 7001)
    before = m.drops('wg0', 'NO_RULE')
    there.sendto(b'early', (ours, 7000))
    ok(until(lambda: m.drops('wg0', 'NO_RULE') > before),
       '%s: UDP is dropped' % ours)
    here.sendto(b'ask', (theirs, 7001))
    same(heard(there), (b'ask', (ours, 7000)), '%s: we ask' % ours)
    there.sendto(b'answer', (ours, 7000))
    same(heard(here), (b'answer', (theirs, 7001)), '%s: and hear' % ours)
    there.sendto(b'x' * 5000, (ours, 7000))
    same(len((heard(here) or [b''])[0]), 5000, '%s: in fragments too' % ours)
    m.policy('wg0', LOCAL, RULES)
    there.sendto(b'again', (ours, 7000))
    same(heard(here), (b'again', (theirs, 7001)),
         '%s: after a new policy as well' % ours)
    here.close()
    there.close()

ok(' 0% packet loss' in sh('ip netns exec a ping -c2 -W5 ' + CAPABLE),
   'ping to a peer no rule is for')
ok(' 0% packet loss' in sh('ip netns exec b ping -c2 -W5 -I %s %s' % (B, US)),
   'ping from a peer with a rule')
ok(' 0% packet loss' in sh('ip netns exec b ping -c2 -W5 -I %s %s' %
                           (B6, US6)), 'and over IPv6')

here, there = udp('a', US, 7000), udp('b', JAILED, 7001)
ok(stopped(JAILED, US, 80, 'JAILED'), 'jailed TCP')
here.sendto(b'ask', (JAILED, 7001))
heard(there)
there.sendto(b'answer', (US, 7000))
same(heard(here), (b'answer', (JAILED, 7001)), 'a jailed peer may answer')
here.close()
there.close()

# The policy changes under a stream: every packet is judged by one or the
# other, and none is lost on the way.
def stream(rounds, policies):
    sent, seen = 0, set()
    sink, source = udp('a', US, 7500), udp('b', B, 7501)
    sink.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
    m.policy('wg0', LOCAL, policies[0])
    before = counts()
    stop = threading.Event()

    def swap():
        i = 0
        while not stop.is_set() or i < rounds:
            m2.policy('wg0', LOCAL, policies[i % len(policies)])
            i += 1
    m2 = Module()
    thread = threading.Thread(target=swap)
    thread.start()
    while sent < 1000:
        source.sendto(b'%d' % sent, (US, 7500))
        sent += 1
        time.sleep(0.001)
    stop.set()
    thread.join()
    sink.setblocking(False)

    def drain():
        try:
            while True:
                seen.add(sink.recv(100))
        except BlockingIOError:
            pass
        now = counts()
        dropped = now[1 + C['TAILRACE_DROP_NO_RULE']] - \
            before[1 + C['TAILRACE_DROP_NO_RULE']]
        return len(seen) + dropped == sent
    whole = until(drain)
    now = counts()
    sink.close()
    source.close()
    return whole, len(seen), sum(now[1:]) - sum(before[1:])


first = rule(20, [B], [destination(US, 7500, 7500)])
second = rule(21, ['100.64.0.0/29'], [destination('*', 7400, 7600)])
many = [rule(100 + i, ['10.%d.%d.0/24' % (i // 256, i % 256)],
             [destination(US, i, i + 5)]) for i in range(300)]
whole, seen, dropped = stream(20, [[first], many + [second]])
ok(whole and seen == 1000 and not dropped,
   'two policies that allow a stream, by turns: %d of 1000, %d dropped' %
   (seen, dropped))
whole, seen, dropped = stream(20, [[first], many])
ok(whole and seen and dropped,
   'one that allows and one that does not: %d passed, %d dropped' %
   (seen, dropped))
m.policy('wg0', LOCAL, RULES + many)
one, two = connected(B, US, 80)
halt = threading.Event()


def churn():
    m2, i = Module(), 0
    while not halt.is_set():
        m2.policy('wg0', LOCAL, RULES + many[i % 200:][:50])
        m2.peer('wg0', 50 + i % 7, ['100.64.0.%d' % (50 + i % 7)], [], [i])
        if i % 3 == 0:
            m2.unpeer('wg0', 50 + i % 7)
        i += 1
        time.sleep(0.02)


thread = threading.Thread(target=churn, daemon=True)
thread.start()
ok(transfer(one, two, 1 << 19) and transfer(two, one, 1 << 19),
   'TCP while policies and peers change')
halt.set()
thread.join()

# The table of flows has an end, and our own flows survive the other side's.
flows = m.get('wg0')
ok(0 < flows.num('DEVICE_FLOWS') <= flows.num('DEVICE_FLOWS_MAX'),
   '%d flows of at most %d' % (flows.num('DEVICE_FLOWS'),
                               flows.num('DEVICE_FLOWS_MAX')))
m.detach('wg0')
one.close()
two.close()
done()
