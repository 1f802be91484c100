#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# What is counted: hits of rules over replacements of policies, packets by path.
# Namespaces as pair() has them; b is peer 2 of the module in a.

from tailrace import *

pair()
enter('a')
m = Module()
m.attach('wg0', 41641)
UDP, TCP, ICMP = 17, 6, 1
# So that nobody says that a port is unreachable.
sinks = [udp('a', '10.9.0.1', 7000), udp('a', '10.9.0.1', 7001),
         udp('b', '10.9.0.2', 9000)]


def send(count, port=7000, size=32, sport=0):
    """b sends UDP datagrams to a."""
    with udp('b', '0.0.0.0', sport) as sock:
        for i in range(count):
            sock.sendto(bytes(size), ('10.9.0.1', port))


def ping(count=1, wait=5):
    sh('ip netns exec b ping -q -c %d -i 0.01 -W %d 10.9.0.1' % (count, wait),
       check=False)


def passed(before, count):
    """The filter has let in so many more since."""
    return until(lambda: m.stat('wg0', 'FILTER_IN') - before >= count)


# Hits.
ALL = [rule(1, dst=[destination('*', 7000, 7000)], protos=[UDP]),
       rule(2, dst=[destination('*', 80, 80)], protos=[TCP]),
       rule(3, protos=[ICMP]),
       rule(4, dst=[destination('*', 7001, 7001)], protos=[UDP])]
m.policy('wg0', rules=ALL)
same(m.hits('wg0'), [(1, 0), (2, 0), (3, 0), (4, 0)], 'rules begin at 0')
ping(1)
before = m.stat('wg0', 'FILTER_IN')
send(50)
send(5, 7001)
passed(before, 55)
ping(9)
# ICMP asks rules for addresses only, so the first one has it.
same(m.hits('wg0'), [(1, 60), (2, 0), (3, 0), (4, 5)],
     'what a rule let in, looked up or cached')
with inside('b'):
    try:
        socket.create_connection(('10.9.0.1', 80), 5 * PATIENCE)
    except ConnectionRefusedError:
        pass
same(m.hits('wg0')[1], (2, 1), 'of TCP what opens a connection')
send(20, 7002)
same(sum(n for _, n in m.hits('wg0')), 66, 'nothing for what was dropped')
m.policy('wg0', rules=[rule(9)] + ALL[::-1])
same(m.hits('wg0'), [(9, 0), (4, 5), (3, 0), (2, 1), (1, 60)],
     'hits go on with the same rule, wherever it is')
m.policy('wg0', rules=[rule(1, dst=[destination('*', 7000, 7001)],
                            protos=[UDP]), rule(5, protos=[ICMP])])
same(m.hits('wg0'), [(1, 0), (5, 0)], 'others begin anew')

# A rule in every policy, neighbours that come and go, packets all the while.
TOTAL = 8000
m.policy('wg0', rules=ALL)
before = m.stat('wg0', 'FILTER_IN')
flood = '''
import socket, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(%d):
    if i %% 512 == 0:
        sock.close()
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.sendto(bytes(20), ('10.9.0.1', 7000))
    if i %% 32 == 0:
        time.sleep(0.002)
'''
swaps = 0
with inside('b'):
    child = subprocess.Popen([sys.executable, '-c', flood % TOTAL])
while child.poll() is None:
    m.policy('wg0', rules=ALL[:1] + [rule(100 + i + swaps * 7, [
        '198.18.%d.%d' % (swaps % 250, i)]) for i in range(swaps % 40)] +
        ALL[swaps % 3:])
    swaps += 1
passed(before, TOTAL)
arrived = m.stat('wg0', 'FILTER_IN') - before
same(m.hits('wg0')[0], (1, arrived),
     'a rule has every packet over %d replacements: %d' % (swaps, arrived))
ok(arrived > TOTAL / 2 and swaps > 20, 'there were enough of both')

# As many as there can be, replaced by as many others.
count, chunk = C['TAILRACE_MAX_RULES'], 400
for turn in (0, 1, 2):
    m.begin('wg0')
    m.add('wg0', ['*'], [ALL[0]])
    for first in range(1, count, chunk):
        m.add('wg0', (), [rule(turn * count + i, ['192.0.2.9'],
                               [destination('10.9.0.1', 9, 9)])
                          for i in range(first, min(first + chunk, count))])
    m.commit('wg0')
before = m.stat('wg0', 'FILTER_IN')
send(3)
passed(before, 3)
found = m.hits('wg0')
same((len(found), found[0], sum(n for _, n in found[1:])),
     (count, (1, arrived + 3), 0), '%d rules, three times' % count)
m.policy('wg0', rules=ALL)
same(m.hits('wg0')[0], (1, arrived + 3), 'and back')

# Paths.
NONE = (0, 0, 0, 0)
m.peer('wg0', 2, ['10.9.0.2', 'fd09::2'], ['10.9.0.2', 'fd09::2'])
same(m.paths('wg0', 2), [NONE] * 3, 'no endpoint, no path')
device = m.device_paths('wg0')
ping(3)
same(m.paths('wg0', 2), [NONE] * 3, 'nor with packets')
got = m.device_paths('wg0')[1][0] - device[1][0]
ok(0 <= got - 3 < 5, # a keepalive or a handshake may be among them
   'the device counts what comes from nobody: %d' % got)
m.alias('wg0', 2, ('192.0.2.2', 51820), [('fd01::2', 51820)])
ping(5)


def is_pings(got, count):
    """
    Of 84 bytes, which are 96 padded, and 32 more around them. There may be
    a keepalive or a handshake among them.
    """
    rx, rx_bytes, tx, tx_bytes = got
    return (tx, tx_bytes) == (count, count * 84) and \
        0 <= rx - count < 5 and \
        (rx - count) * 32 <= rx_bytes - count * 128 <= (rx - count) * 148


same([p == NONE for p in m.paths('wg0', 2)], [True, False, True],
     'one path is in use')
ok(is_pings(m.paths('wg0', 2)[1], 5), 'direct, IPv4')
sh("ip netns exec b wg set wg0 peer $(ip netns exec b wg show wg0 peers) "
   "endpoint '[fd01::1]:41641'")
m.alias('wg0', 2, ('fd01::2', 51820), [('192.0.2.2', 51820)])
before = m.paths('wg0', 2)
ping(7)
after = m.paths('wg0', 2)
ok(is_pings([y - x for x, y in zip(before[2], after[2])], 7),
   'direct, IPv6')
# Tx goes by the canonical endpoint, rx by where the packet came from.
m.alias('wg0', 2, ('127.1.2.3', 41642), [('fd01::2', 51820),
                                         ('192.0.2.2', 51820)])
before = after
with raw('a', socket.IPPROTO_ICMP) as sock:
    sock.sendto(bytes.fromhex('0800f7ff00000000'), ('10.9.0.2', 0))
until(lambda: m.paths('wg0', 2)[0][2] == 1)
same(m.paths('wg0', 2)[0], (0, 0, 1, 28), 'relayed')
m.unalias('wg0', 2)
same(m.paths('wg0', 2)[0], (0, 0, 1, 28), 'what was sent stays')
same([p[:2] for p in m.paths('wg0', 2)], [(0, 0)] * 3,
     'what came has gone with the endpoints')
was = m.device_paths('wg0')
m.unpeer('wg0', 2)
now = m.stats('wg0')
now_paths = m.paths_of(now.get('STATS_PATHS'))
ok(all(y >= x for a, b in zip(was, now_paths) for x, y in zip(a, b)),
   "the device's counters do not go back")
same(sum(p[0] for p in now_paths), now.num('STATS_WG_RX'),
     'and tell of every packet')
done()
