#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# What is counted: hits of rules over replacements of policies, packets by path,
# records of flows. Namespaces as pair() has them; b is peer 2 of the module in
# a. Whatever is sent here is counted somewhere, so every sum is exact.
import collections
import os

from tailrace import *

pair()
enter('a')
m = Module()
m.attach('wg0', 41641)
UDP, TCP, ICMP = 17, 6, 1
IFINDEX = u32(C['TAILRACE_A_DEVICE_IFINDEX'], index('wg0'))


def send(count, port=7000, size=32, sport=0):
    """b sends UDP datagrams to a, which listens on none of them."""
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
same(m.hits('wg0'), [(1, 50), (2, 0), (3, 10), (4, 5)],
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
same(m.hits('wg0'), [(9, 0), (4, 5), (3, 10), (2, 1), (1, 50)],
     'hits go on with the same rule, wherever it is')
m.policy('wg0', rules=[rule(1, dst=[destination('*', 7000, 7001)],
                            protos=[UDP]), rule(5, protos=[ICMP])])
same(m.hits('wg0'), [(1, 0), (5, 0)], 'others begin anew')

# A rule in every policy, neighbours that come and go, packets all the while.
TOTAL = 20000
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
    if i %% 16 == 0:
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
same((m.hits('wg0')[0], sum(m.hits('wg0')[0][1:])),
     ((1, arrived), arrived),
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
send(3)
until(lambda: m.hits('wg0', 1)[0][1] >= arrived + 3)
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
same(m.device_paths('wg0')[1][0] - device[1][0], 3,
     'the device counts what comes from nobody')
m.alias('wg0', 2, ('192.0.2.2', 51820), [('fd01::2', 51820)])
ping(5)
rx, rx_bytes, tx, tx_bytes = m.paths('wg0', 2)[1]
# A ping of 84 bytes is 96 padded, and 32 more around it.
same((rx, rx_bytes, tx, tx_bytes), (5, 5 * 128, 5, 5 * 84), 'direct, IPv4')
sh("ip netns exec b wg set wg0 peer $(ip netns exec b wg show wg0 peers) "
   "endpoint '[fd01::1]:41641'")
m.alias('wg0', 2, ('fd01::2', 51820), [('192.0.2.2', 51820)])
before = m.paths('wg0', 2)
ping(7)
after = m.paths('wg0', 2)
same([tuple(y - x for x, y in zip(a, b)) for a, b in zip(before, after)],
     [NONE, NONE, (7, 7 * 128, 7, 7 * 84)], 'direct, IPv6')
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
same(m.device_paths('wg0'), was, "the device's counters do not go back")
same(sum(p[0] for p in was), m.stat('wg0', 'WG_RX'),
     'and tell of every packet')
m.peer('wg0', 2, ['10.9.0.2', 'fd09::2'], ['10.9.0.2', 'fd09::2'])
m.alias('wg0', 2, ('192.0.2.2', 51820), [('fd01::2', 51820)])
sh("ip netns exec b wg set wg0 peer $(ip netns exec b wg show wg0 peers) "
   "endpoint 192.0.2.1:41641")
ping(2)

# Records.
nl = Netlink(events='flows')
END = {C['TAILRACE_FLOW_END_' + e]: e.lower()
       for e in ('NONE', 'CLOSED', 'IDLE', 'EVICTED', 'OFF')}
Record = collections.namedtuple(
    'Record', 'start last rx rx_bytes tx tx_bytes local remote local_port '
    'remote_port family proto flags end drop rx_flags tx_flags _ rule peer '
    'generation')


def records(seconds=0.5, want=None):
    """What has come, or comes until want(all of it) holds."""
    found = []
    while True:
        note = nl.event('FLOW_NTF', seconds=seconds if not want else 60)
        if note is None:
            return found
        data = note.get('FLOW_RECORDS')
        size = struct.calcsize('=6Q16s16sHH8B3I')
        for at in range(0, len(data), size):
            r = Record(*struct.unpack_from('=6Q16s16sHH8B3I', data, at))
            found.append(r._replace(end=END[r.end]))
        if want and want(found):
            return found


def counters():
    s = m.stats('wg0')
    return [s.num('STATS_FILTER_IN'), s.num('STATS_FILTER_OUT')] + \
        s.array('STATS_DROP')


def sums(found):
    """What the device's counters have to be."""
    total = [0] * (2 + C['__TAILRACE_DROP_MAX'])
    for r in found:
        if r.flags & C['TAILRACE_FLOW_DROPPED']:
            total[2 + r.drop] += r.rx + r.tx
        else:
            total[0] += r.rx
            total[1] += r.tx
    return total


def lost():
    return m.stat('wg0', 'RECORDS_LOST')


same(m.get('wg0').num('DEVICE_RECORDS'), 0, 'records are off at first')
refused('ERANGE', '', m.set, 'wg0', records=86401)
m.set('wg0', records=86400)
same(m.get('wg0').num('DEVICE_RECORDS'), 86400, 'they are on')
before = counters()
send(10, 7000, sport=5000)
send(4, 7009, sport=5001)
ping(3)
with inside('b'):
    try:
        socket.create_connection(('10.9.0.1', 80), 5 * PATIENCE)
    except ConnectionRefusedError:
        pass
raw('a', 47).sendto(b'gre', ('10.9.0.2', 0))
until(lambda: counters()[0] - before[0] >= 15)
m.set('wg0', records=0)
found = records()
same(sums(found), [y - x for x, y in zip(before, counters())],
     "switched off, they add up to the device's counters")
one = {(r.proto, r.local_port): r for r in found}
r = one[UDP, 7000]
same((r.rx, r.rx_bytes, r.tx, r.remote_port, r.rule, r.peer, r.flags, r.end),
     (10, 600, 0, 5000, 1, 2, C['TAILRACE_FLOW_BY_RULE'], 'off'),
     'a flow that a rule let in')
same((r.remote[10:], r.local[10:], r.family),
     (bytes([255, 255, 10, 9, 0, 2]), bytes([255, 255, 10, 9, 0, 1]),
      socket.AF_INET), 'with its ends')
ok(0 < r.start <= r.last < time.time() * 1e9 + 1e9, 'and times')
r = one[UDP, 7009]
same((r.rx, r.drop, r.flags, r.rule), (4, C['TAILRACE_DROP_NO_RULE'],
                                       C['TAILRACE_FLOW_DROPPED'], 0),
     'one that was dropped')
r = one[TCP, 80]
same((r.rx, r.tx, r.rx_flags, r.tx_flags, r.end), (1, 1, 2, 0x14, 'closed'),
     'a connection that was reset')
r = one[47, 0]
same((r.tx, r.tx_bytes, r.flags), (1, 23, C['TAILRACE_FLOW_OUTBOUND']),
     'one that began here')
r = one[ICMP, 0]
same((r.rx, r.tx, r.rx_bytes, r.tx_bytes), (3, 3, 252, 252), 'both ways')

# While they go on, and when they close.
m.set('wg0', records=1)
before = counters()
server = socket.socket()
server.bind(('10.9.0.1', 80))
server.listen()
with inside('b'):
    client = socket.create_connection(('10.9.0.1', 80), 5 * PATIENCE)
mine, _ = server.accept()
client.sendall(bytes(1000))
mine.recv(1000)
found = records(want=lambda f: any(r.proto == TCP for r in f))
ok(all(r.end == 'none' for r in found), 'a flow that goes on is told of')
start = [r.start for r in found if r.proto == TCP][0]
client.sendall(bytes(1000))
mine.recv(1000)
client.close()
mine.close()
found += records(want=lambda f: any(r.end == 'closed' for r in f))
last = found[-1]
same((last.end, last.start, last.rx_flags & 3, last.tx_flags & 3, last.rule),
     ('closed', start, 3, 3, 2), 'and when it closes')
server.close()
send(1, 7001)
found += records(want=lambda f: any(r.end == 'idle' for r in f))
ok(True, 'one that is silent ends')
m.set('wg0', records=0)
found += records()
same(sums(found), [y - x for x, y in zip(before, counters())],
     'what goes on is counted once')
same(lost(), 0, 'none was lost so far')

# More flows than there is room for.
m.set('wg0', records=3600)
before = counters()
burst = '''
import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for i in range(%d):
    head = bytes.fromhex('4500001c00000000401100000a0900020a090001')
    port = i %% 60000 + 1
    sock.sendto(head + port.to_bytes(2, 'big') +
                (7000 + i // 60000).to_bytes(2, 'big') +
                b'\\0\\x08\\0\\0', ('10.9.0.1', 0))
    if i %% 64 == 0:
        time.sleep(%f)
'''


def flood_flows(count, pause):
    sh("ip netns exec b python3 -c \"$CODE\"",
       env=dict(os.environ, CODE=burst % (count, pause)))


found = []
flood_flows(90000, 0.001)
time.sleep(1)
m.set('wg0', records=0)
found = records(2)
got, new, gone = sums(found), counters(), lost()
new = [y - x for x, y in zip(before, new)]
ok(sum(r.end == 'evicted' for r in found) > 1000, 'flows had to make room')
print('# %d packets, %d records, %d lost' % (sum(new), len(found), gone))
# Each of these flows is one packet, so that a lost record is a lost packet.
same(sum(got) + gone, sum(new), 'what is missing is what was lost')

# Nobody listens.
nl.close()
before = lost()
m.set('wg0', records=1)
send(1, 7000)
ok(until(lambda: lost() > before), 'records that nobody gets are lost')

# On, off, gone, with packets all the while; the kernel watches itself.
with inside('b'):
    child = subprocess.Popen([sys.executable, '-c', flood % 60000])
nl = Netlink(events='flows')
for i in range(60):
    m.set('wg0', records=i % 3)
    if i % 10 == 9:
        m.set('wg0', records=1)
        m.detach('wg0')
        m.attach('wg0', 41641)
        m.policy('wg0', rules=ALL)
        records(0.01)
m.set('wg0', records=1)
m.nl.close()
nl.close()
sh('modprobe -r tailrace; modprobe tailrace')
ok(True, 'switched on and off, detached and unloaded under traffic')
child.kill()
child.wait()
done()
