#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# TSMP, IP protocol 99: the module answers or reports it, the host never sees
# it. Namespaces as pair() makes them; b speaks TSMP through raw sockets.
from tailrace import *

TSMP = 99
pair()
enter('a')
m = Module()
events = Netlink(events='events')
b4, b6 = raw('b', TSMP), raw('b', TSMP, socket.AF_INET6)
icmp = raw('b', socket.IPPROTO_ICMP)
PING = b'p12345678'
PONG = b'o12345678\0\0'


def said(sock, seconds=5):
    """(payload, sender) of the next TSMP packet; None when there is none."""
    got = heard(sock, seconds)
    if not got:
        return None
    data, source = got
    return (data[20:] if sock.family == socket.AF_INET else data), source[0]


def unreachable(seconds):
    """Whether the host said that it knows no such protocol."""
    got = heard(icmp, seconds)
    return bool(got) and got[0][20:22] == b'\3\2'


b4.sendto(PING, ('10.9.0.1', 0))
ok(unreachable(10), 'a host knows no TSMP by itself')

m.attach('wg0', 41641)
b4.sendto(PING, ('10.9.0.1', 0))
same(said(b4, 1), None, 'no answer without a policy')
m.policy('wg0', local=['10.9.0.1', 'fd09::1'], rules=[])
b4.sendto(PING, ('10.9.0.1', 0))
same(said(b4), (PONG, '10.9.0.1'), 'a ping is answered, whatever the rules')
b6.sendto(PING, ('fd09::1', 0))
same(said(b6), (PONG, 'fd09::1'), 'IPv6 too')
b4.sendto(b'p1234567', ('10.9.0.1', 0))
b4.sendto(PING + b'more', ('10.9.0.1', 0))
same(said(b4), (PONG, '10.9.0.1'), 'a short one is not, a long one is')
same(m.stat('wg0', 'TSMP_PONGS'), 3, 'they are counted')

for sock, to, ours, theirs in ((b4, '10.9.0.1', '10.9.0.1', '10.9.0.2'),
                               (b6, 'fd09::1', 'fd09::1', 'fd09::2')):
    key = b'a' + bytes(range(32))
    sock.sendto(key, (to, 0))
    note = events.event('TSMP_NTF')
    same((note.get('TSMP_PAYLOAD'),
          ipaddress.ip_address(note.get('TSMP_SRC')).compressed,
          ipaddress.ip_address(note.get('TSMP_DST')).compressed,
          note.num('TSMP_IFINDEX')),
         (key, theirs, ours, index('wg0')), 'the agent gets all others')
b4.sendto(b'z' * 200, ('10.9.0.1', 0))
note = events.event('TSMP_NTF')
same(note.get('TSMP_PAYLOAD'), b'z' * C['TAILRACE_MAX_TSMP'],
     'but no more than a bound')
ok(not unreachable(0.5), 'the host has not seen any')

m.tsmp('wg0', '10.9.0.1', '10.9.0.2', b'hello')
same(said(b4), (b'hello', '10.9.0.1'), 'the agent sends one')
m.tsmp('wg0', 'fd09::1', 'fd09::2', b'hello')
same(said(b6), (b'hello', 'fd09::1'), 'IPv6 too')
refused('EINVAL', 'unlike', m.tsmp, 'wg0', '10.9.0.1', 'fd09::2', b'hello')
refused('ERANGE', '', m.tsmp, 'wg0', '10.9.0.1', '10.9.0.2', b'')
refused('ERANGE', '', m.tsmp, 'wg0', '10.9.0.1', '10.9.0.2', b'x' * 65)
try:
    raw('a', TSMP).sendto(PING, ('10.9.0.2', 0))
except OSError:
    pass
same(m.drops('wg0', 'TSMP_OUT'), 1, 'nobody else on the host can')


def connect(port):
    with inside('b'):
        sock = socket.socket()
        sock.settimeout(0.2)
        try:
            sock.connect(('10.9.0.1', port))
        except (TimeoutError, ConnectionError):
            pass
        return sock.getsockname()[1]


source = connect(81)
same(said(b4), (struct.pack('!cBcHH', b'!', 6, b'A', source, 81), '10.9.0.1'),
     'a refused connection is answered with a reject')
ok(m.drops('wg0', 'NO_RULE') >= 1, 'and counted')
m.policy('wg0', local=['10.9.0.1', 'fd09::1'], rules=[],
         flags=C['TAILRACE_POLICY_SHIELDS_UP'])
while said(b4, 0.5):
    pass
source = connect(82)
same(said(b4), (struct.pack('!cBcHH', b'!', 6, b'S', source, 82), '10.9.0.1'),
     'with shields up it says so')
rejects = m.stat('wg0', 'TSMP_REJECTS')
drops = m.drops('wg0', 'SHIELDS_UP')
with inside('b'):
    for port in range(1000, 1200):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex(('10.9.0.1', port))
        sock.close()
ok(until(lambda: m.drops('wg0', 'SHIELDS_UP') - drops >= 200),
   'a scan is refused')
sent = m.stat('wg0', 'TSMP_REJECTS') - rejects
ok(0 < sent < 150, 'but not every port has an answer: %d of 200' % sent)
done()
