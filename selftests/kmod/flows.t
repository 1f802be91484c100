#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Records of flows. Namespaces as pair() has them; b is peer 2 of the module in
# a. Whatever is sent here is counted somewhere, so every sum is exact.
import collections
import os

from tailrace import *

pair()
enter('a')
m = Module()
m.attach('wg0', 41641)
UDP, TCP, ICMP = 17, 6, 1
# So that nobody says that a port is unreachable.
sinks = [udp('a', '10.9.0.1', 7000), udp('a', '10.9.0.1', 7001),
         udp('b', '10.9.0.2', 9000)]
ALL = [rule(1, dst=[destination('*', 7000, 7001)], protos=[UDP]),
       rule(2, dst=[destination('*', 80, 80)], protos=[TCP])]


def send(count, port=7000, size=32, sport=0):
    """b sends UDP datagrams to a."""
    with udp('b', '0.0.0.0', sport) as sock:
        for i in range(count):
            sock.sendto(bytes(size), ('10.9.0.1', port))


def ping(count=1, wait=5):
    sh('ip netns exec b ping -q -c %d -i 0.01 -W %d 10.9.0.1' % (count, wait),
       check=False)


m.policy('wg0', rules=ALL)
m.peer('wg0', 2, ['10.9.0.2'], ['10.9.0.2'])
ping(2)

nl = Netlink(events='flows')
END = {C['TAILRACE_FLOW_END_' + e]: e.lower()
       for e in ('NONE', 'CLOSED', 'IDLE', 'EVICTED', 'OFF')}
Record = collections.namedtuple(
    'Record', 'start last rx rx_bytes tx tx_bytes local remote local_port '
    'remote_port family proto flags end drop rx_flags tx_flags zero rule peer '
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
udp('a', '10.9.0.1', 6000).sendto(bytes(10), ('10.9.0.2', 9000))
until(lambda: counters()[0] - before[0] >= 15)
m.set('wg0', records=0)
found = records()
same(sums(found), [y - x for x, y in zip(before, counters())],
     "switched off, they add up to the device's counters")
one = {(r.proto, r.local_port): r for r in found}
r = one[UDP, 7000]
same((r.rx, r.rx_bytes, r.tx, r.remote_port, r.rule, r.peer, r.flags),
     (10, 600, 0, 5000, 1, 2, C['TAILRACE_FLOW_BY_RULE']),
     'a flow that a rule let in')
# Whatever the machine does meanwhile: 30 s are enough to be idle.
ok(r.end in ('off', 'idle'), 'which ended then')
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
r = one[UDP, 6000]
same((r.tx, r.tx_bytes, r.flags), (1, 38, C['TAILRACE_FLOW_OUTBOUND']),
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
last = [r for r in found if r.end == 'closed'][-1]
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

# Nobody listens.
nl.close()
before = lost()
m.set('wg0', records=1)
send(1, 7000)
ok(until(lambda: lost() > before), 'records that nobody gets are lost')

# On, off, gone, with packets all the while; the kernel watches itself.
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
