#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Strictness with the host's own sockets, through WireGuard: revocation cuts,
# what we have opened goes on, and flow tables change their size meanwhile.
#
#   namespace a: tailrace on wg0            namespace b: plain wg0
#        10.9.0.1, fd09::1                       10.9.0.2, fd09::2
import threading

from tailrace import *

A, B, A6, B6 = '10.9.0.1', '10.9.0.2', 'fd09::1', 'fd09::2'
TCP, UDP, ICMP = 6, 17, 1
STRICT = C['TAILRACE_DEVICE_STRICT']
LOCAL = [A, A6]

pair()
enter('a')
m = Module()
m.attach('wg0', 41641, flags=STRICT)
m.peer('wg0', 1, [B, B6])


def allow(first, last):
    """b may reach these TCP and UDP ports."""
    m.policy('wg0', LOCAL, [rule(1, [B, B6], [destination(A, first, last),
                                              destination(A6, first, last)],
                                 [TCP, UDP])])


def nothing(flags=0):
    m.policy('wg0', LOCAL, [], flags)


def connect(client, source, server, dest, port):
    """A connection from namespace to namespace: its two ends."""
    family = socket.AF_INET6 if ':' in dest else socket.AF_INET
    with inside(server):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((dest, port))
        listener.listen()
        listener.settimeout(60 * PATIENCE)
    with inside(client):
        one = socket.socket(family, socket.SOCK_STREAM)
        one.bind((source, 0))
        one.settimeout(60 * PATIENCE)
        one.connect((dest, port))
    two, _ = listener.accept()
    two.settimeout(60 * PATIENCE)
    listener.close()
    return one, two


def arrives(to, data):
    """Whether that, however many packets it takes, is what comes next."""
    got = b''
    while len(got) < len(data):
        got += to.recv(len(data) - len(got))
    return got == data


def carries(one, two, data=b'x' * 3000):
    """Whether data arrives, either way."""
    for frm, to in ((one, two), (two, one)):
        frm.sendall(data)
        if not arrives(to, data):
            return False
    return True


def cut(frm, to, reason, data=b'lost'):
    """Whether data does not arrive, and is dropped for that reason."""
    before = m.drops('wg0', reason)
    frm.send(data)
    dropped = until(lambda: m.drops('wg0', reason) > before)
    to.settimeout(0.3)
    try:
        to.recv(100)
        return False
    except TimeoutError:
        return dropped
    finally:
        to.settimeout(60 * PATIENCE)


for ours, theirs in ((A, B), (A6, B6)):
    allow(80, 90)
    kept = connect('b', theirs, 'a', ours, 80)
    lost = connect('b', theirs, 'a', ours, 90)
    own = connect('a', ours, 'b', theirs, 9000)
    ok(carries(*kept) and carries(*lost) and carries(*own),
       '%s: three connections' % ours)
    allow(80, 85)
    ok(carries(*kept) and carries(*own), '%s: two that go on' % ours)
    ok(cut(*lost, 'NO_RULE'), '%s: one that is cut' % ours)
    lost[1].send(b'answer')
    ok(cut(*lost, 'NO_RULE'), '%s: and stays so when we answer' % ours)
    nothing()
    ok(cut(*kept, 'NO_RULE') and carries(*own),
       '%s: without rules what we have opened alone' % ours)
    nothing(C['TAILRACE_POLICY_SHIELDS_UP'])
    ok(cut(*kept, 'SHIELDS_UP') and carries(*own),
       '%s: with shields up likewise' % ours)
    allow(80, 90)
    ok(arrives(lost[1], b'lostlost') and arrives(kept[1], b'lostlost'),
       '%s: a rule that is back lets the rest arrive' % ours)
    m.peer('wg0', 1, [B, B6], flags=C['TAILRACE_PEER_JAILED'])
    ok(cut(*kept, 'JAILED') and carries(*own), '%s: in jail' % ours)
    m.peer('wg0', 1, [B, B6])
    ok(arrives(kept[1], b'lost') and carries(*kept),
       '%s: and set free' % ours)
    for s in kept + lost + own:
        s.close()

    # UDP, where an answer looks like a beginning.
    here, there = udp('a', ours, 85), udp('b', theirs, 7001)
    there.sendto(b'ask', (ours, 85))
    same(heard(here), (b'ask', (theirs, 7001)), '%s: UDP by a rule' % ours)
    here.sendto(b'answer', (theirs, 7001))
    heard(there)
    nothing()
    before = m.drops('wg0', 'NO_RULE')
    there.sendto(b'ask', (ours, 85))
    here.sendto(b'answer', (theirs, 7001))
    same(heard(there), (b'answer', (ours, 85)), '%s: we may speak' % ours)
    there.sendto(b'ask', (ours, 85))
    ok(until(lambda: m.drops('wg0', 'NO_RULE') >= before + 2),
       '%s: but he is not heard' % ours)
    here.close()
    here = udp('a', ours, 7000)
    here.sendto(b'ask', (theirs, 7001))
    heard(there)
    there.sendto(b'x' * 5000, (ours, 7000))
    same(len((heard(here) or [b''])[0]), 5000,
         '%s: but when we ask, in fragments too' % ours)
    here.close()
    there.close()

nothing()
ok(' 0% packet loss' in sh('ping -c2 -W5 ' + B), 'ping')
ok(' 0% packet loss' in sh('ping -c2 -W5 -s 4000 ' + B), 'in fragments')
ok(' 0% packet loss' in sh('ping -c2 -W5 ' + B6), 'and over IPv6')
before = m.drops('wg0', 'NO_FLOW')
forged = raw('b', ICMP)
forged.sendto(b'\0\0\xff\xff\0\0\0\0', (A, 0))
ok(until(lambda: m.drops('wg0', 'NO_FLOW') > before),
   'an echo response that nobody asked for')
sock = udp('a', A, 7000)
sock.connect((B, 9))
sock.settimeout(10 * PATIENCE)
sock.send(b'nobody there')
try:
    sock.recv(1)
    ok(False, 'an ICMP error')
except ConnectionRefusedError:
    ok(True, 'an ICMP error about a packet of ours')
sock.close()
before = m.drops('wg0', 'NO_FLOW')
quote = struct.pack('!BBHHHBBH4s4sHHHH', 0x45, 0, 28, 1, 0, 64, UDP, 0,
                    socket.inet_aton(A), socket.inet_aton(B), 1, 2, 8, 0)
forged.sendto(b'\3\3\0\0\0\0\0\0' + quote, (A, 0))
ok(until(lambda: m.drops('wg0', 'NO_FLOW') > before), 'and one about none')
forged.close()

# Strictness is turned on while connections are up.
m.set('wg0', flags=0)
allow(80, 90)
kept = connect('b', B, 'a', A, 80)
own = connect('a', A, 'b', B, 9000)
m.set('wg0', flags=STRICT)
before = m.drops('wg0', 'NO_FLOW')
ok(carries(*kept) and carries(*own) and m.drops('wg0', 'NO_FLOW') == before,
   'turned on: no connection is cut')
nothing()
ok(cut(*kept, 'NO_RULE') and carries(*own), 'until it is revoked')
m.set('wg0', flags=0)
ok(arrives(kept[1], b'lost'),
   'turned off: TCP passes once more')
m.set('wg0', flags=STRICT)

# Without an agent.
allow(80, 90)
agent = udp('a')
m.bind('wg0', agent)
own2 = connect('b', B, 'a', A, 81)
agent.close()
ok(until(lambda: m.state('wg0') == 'ORPHANED') and carries(*own) and
   carries(*kept) and carries(*own2), 'nothing changes without an agent')
agent = udp('a')
m.bind('wg0', agent)
m.set('wg0', flags=STRICT)
allow(80, 90)
ok(carries(*own) and carries(*kept) and carries(*own2), 'nor with the next')
agent.close()

# The flow table changes its size under traffic.
echo, ask = udp('a', A, 85), udp('b', B, 7002)
halt = threading.Event()
answered = []


def answer():
    while not halt.is_set():
        got = heard(echo, 0.2)
        if got:
            echo.sendto(*got)


def question():
    n = 0
    while not halt.is_set():
        ask.sendto(b'%d' % n, (A, 85))
        answered.append((heard(ask, 20) or [None])[0] == b'%d' % n)
        n += 1


def push():
    while not halt.is_set():
        streams.append(carries(*own, b'y' * 20000) and
                       carries(*kept, b'z' * 20000))


streams = []
before = m.stats('wg0').array('STATS_DROP')
threads = [threading.Thread(target=f, daemon=True)
           for f in (answer, question, push)]
for thread in threads:
    thread.start()
for i in range(20):
    m.set('wg0', flows_max=4096 << i % 5)
until(lambda: len(streams) > 3 and len(answered) > 20, 60)
halt.set()
for thread in threads:
    thread.join()
ok(len(streams) > 3 and all(streams) and len(answered) > 20 and all(answered),
   '20 sizes under traffic: %d questions answered, %d transfers' %
   (len(answered), len(streams)))
same(m.stats('wg0').array('STATS_DROP'), before, 'no packet was dropped')
m.set('wg0', flows_max=4096)
same(m.get('wg0').num('DEVICE_FLOWS_MAX'), 4096, 'a small table')

# A flood of new flows, more than there are places. Those in use are another
# peer's; the flood has none of them in its bucket.
m.peer('wg0', 1, [B, B6])
m.peer('wg0', 2, ['10.9.0.3'])
sh('''
wg set wg0 peer $(wg show wg0 peers) allowed-ips 10.9.0.2/32,10.9.0.3/32,fd09::2/128
ip -n b addr add 10.9.0.3/24 dev wg0
''')
m.policy('wg0', LOCAL, [rule(1, ['10.9.0.0/24'], [destination(A)], [TCP, UDP])])
conns = [connect('b', B, 'a', A, 2000 + i) for i in range(30)]
conns += [connect('a', A, 'b', B, 3000 + i) for i in range(30)]
ok(all(carries(*c, b'x') for c in conns), '60 connections')
flood = raw('b', UDP)
flood.bind(('10.9.0.3', 0))
was = m.get('wg0').num('DEVICE_FLOWS')
for i in range(8000):
    flood.sendto(struct.pack('!HHHH', i, 80, 8, 0), (A, 0))
flows = m.get('wg0').num('DEVICE_FLOWS')
ok(was + 2000 < flows <= 4096, '%d flows, a flood, %d flows' % (was, flows))
before = m.drops('wg0', 'NO_FLOW')
ok(all(carries(*c, b'x') for c in conns) and
   m.drops('wg0', 'NO_FLOW') == before, 'the connections are all there')
m.detach('wg0')
done()
