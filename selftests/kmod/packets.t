#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Packets by the million through all hooks, maimed and whole, linear, in pages,
# in lists and brought together by GRO, from packets.ko; while policies, peers
# and aliases change.
#
#   namespace a: fuzz0 198.51.100.1, fd03::1; wg0, port 41641, 10.9.0.1, fd09::1
#
# TAILRACE_PACKETS is how many, TAILRACE_SEED which; make fuzz-kmod sends ten
# million.
import os
import random

from tailrace import *

COUNT = int(os.environ.get('TAILRACE_PACKETS', '10000'))
SEED = int(os.environ.get('TAILRACE_SEED', '0')) or \
    random.SystemRandom().randrange(1, 1 << 32)
FIRST, CHUNK = 2000, 50000
# When all locks have been met. What looks for deadlocks and lost memory takes most
# of the time; the millions are for KASAN.
ALL_MET = 400000
OUTSIDE, INSIDE_IN, INSIDE_OUT = range(3)
CONTROL = '/sys/kernel/debug/packets/'
PORT = 41641
chance = random.Random(SEED)

netns('a')
sh('''
modprobe packets
# a slow machine must get to something else
echo 1 >/sys/class/net/fuzz0/threaded
ip link set fuzz0 netns a
ip -n a addr add 198.51.100.1/24 dev fuzz0
ip -n a addr add fd03::1/64 dev fuzz0 nodad
ip netns exec a sysctl -qw net.ipv4.conf.all.rp_filter=0 \\
	net.ipv4.conf.default.rp_filter=0 net.ipv4.ip_forward=1 \\
	net.ipv6.conf.all.forwarding=1
ip -n a link set fuzz0 up
ip -n a route add default dev fuzz0
ip -n a -6 route add default dev fuzz0
ip -n a link add wg0 type wireguard
wg genkey | ip netns exec a wg set wg0 private-key /dev/stdin listen-port 41641 \\
	peer $(wg genkey | wg pubkey) allowed-ips 0.0.0.0/0,::/0 \
	endpoint 198.51.100.77:9
ip -n a addr add 10.9.0.1/24 dev wg0
ip -n a addr add fd09::1/64 dev wg0 nodad
ip -n a link set wg0 up
''')
enter('a')
m = Module()


# What is sent, before it is maimed.

def udp_of(payload, sport, dport):
    return struct.pack('!HHHH', sport, dport, 8 + len(payload), 0) + payload


def ip4(src, dst, proto, payload, options=b'', frag=0):
    return struct.pack('!BBHHHBBH4s4s', 0x45 + len(options) // 4, 0,
                       20 + len(options) + len(payload), 7, frag, 64, proto, 0,
                       src, dst) + options + payload


def ip6(src, dst, proto, payload, extensions=()):
    """extensions: (kind, bytes after the next header)"""
    kinds = [kind for kind, _ in extensions] + [proto]
    body = b''.join(bytes([following]) + rest for following, (_, rest)
                    in zip(kinds[1:], extensions)) + payload
    return struct.pack('!IHBB16s16s', 6 << 28, len(body), kinds[0], 64, src,
                       dst) + body


def four(*n):
    return bytes(n)


def six(text):
    return socket.inet_pton(socket.AF_INET6, text)


EXTENSIONS = [(), ((0, bytes(7)),), ((60, bytes(7)), (43, bytes(7))),
              ((44, bytes([0, 0, 0, 0, 0, 0, 7])),),  # one fragment
              ((44, bytes([0, 0, 1, 0, 0, 0, 7])),),  # the first
              ((44, bytes([0, 8, 1, 0, 0, 0, 7])),),  # another
              ((0, bytes(7)), (44, bytes([0, 0, 1, 0, 0, 0, 7])),
               (60, bytes(7))), ((51, bytes([4]) + bytes(22)),),
              ((0, bytes([1]) + bytes(14)), (43, bytes([0, 2, 0]) + bytes(4)))]
OPTIONS = [b'', bytes([1] * 4), bytes([7, 7, 4, 0, 0, 0, 0, 0]),
           bytes([131, 11, 4]) + bytes(9), bytes([1] * 40)]
FRAGS = [0, 0x4000, 0x2000, 0x2003, 3, 0x1fff]
MAGIC = bytes.fromhex('5453f09f92ac')
KNOWN = bytes(range(1, 33))
PAYLOADS = [
    MAGIC + KNOWN + bytes(24) + bytes(40), MAGIC + bytes(32) + bytes(24 + 16),
    MAGIC + KNOWN, MAGIC + KNOWN + bytes(1300),
    bytes.fromhex('010100002112a442') + bytes(12),
    bytes.fromhex('0101000c2112a442') + bytes(12) +
    bytes.fromhex('002000080001a1b2c3d4e5f6'),
    bytes.fromhex('00807a1100000100') + MAGIC + KNOWN + bytes(64),
    bytes.fromhex('00007a1200000100') + b'\4\0\0\0' + bytes(60),
    bytes([0, 128, 0, 0]) + bytes(8), bytes([2, 129]) + bytes(58),
    b'\1\0\0\0' + bytes(144), b'\2\0\0\0' + bytes(88), b'\3\0\0\0' + bytes(60),
    b'\4\0\0\0' + bytes(28), b'\4\0\0\0' + bytes(60),
    b'\4\0\0\0' + bytes(1020), b'', b'\4', b'x' * 700]
TCP = [struct.pack('!HHIIBBHHH', 1000, port, 1, 0, 0x50, flags, 1000, 0, 0) +
       tail for port in (22, 80) for flags in (0x02, 0x12, 0x10, 0x04, 0x06)
       for tail in (b'', b'data' * 20)]
ICMP4 = [bytes([kind, code, 0, 0]) + bytes(12) for kind, code in
         ((8, 0), (0, 0), (3, 4), (11, 0), (5, 1))]
ICMP6 = [bytes([kind, 0, 0, 0]) + bytes(20) for kind in (128, 129, 1, 2, 134,
                                                         135)]
INNER = [(6, one) for one in TCP] + [(1, one) for one in ICMP4] + \
    [(58, one) for one in ICMP6] + \
    [(17, udp_of(bytes(n), 1000, 53)) for n in (0, 1, 40, 900)] + \
    [(99, bytes([kind]) + bytes(12)) for kind in b'po!x'] + \
    [(132, udp_of(bytes(20), 5, 6)), (47, bytes(8)), (4, ip4(
        four(10, 9, 0, 1), four(10, 9, 0, 2), 17, bytes(30))), (59, b''),
     (255, bytes(9))]


def corpus():
    found = []
    for payload in PAYLOADS:
        for sport in (1000, 5351, PORT):
            for i in range(3):
                data = udp_of(payload, sport, PORT)
                found.append((OUTSIDE, ip4(
                    four(192, 0, 2, i), four(198, 51, 100, 1), 17, data,
                    chance.choice(OPTIONS) if i == 2 else b'',
                    chance.choice(FRAGS) if i == 1 else 0x4000)))
                found.append((OUTSIDE, ip6(
                    six('fd04::%x' % i), six('fd03::1'), 17, data,
                    chance.choice(EXTENSIONS) if i else ())))
    for where in (INSIDE_IN, INSIDE_OUT):
        for proto, data in INNER:
            for i in (2, 3, 4):
                ends = [four(10, 9, 0, i), four(10, 9, 0, 1)]
                ends6 = [six('fd09::%x' % i), six('fd09::1')]
                if where == INSIDE_OUT:
                    ends.reverse()
                    ends6.reverse()
                found.append((where, ip4(
                    *ends, proto, data, chance.choice(OPTIONS)
                    if i == 3 else b'', chance.choice(FRAGS) if i == 4
                    else 0)))
                found.append((where, ip6(*ends6, proto, data, chance.choice(
                    EXTENSIONS) if i > 2 else ())))
    return found


packed = b''
for where, data in corpus():
    data = data[:1024]
    packed += struct.pack('BBH', where, 0, len(data)) + data + \
        b'\0' * (len(data) % 2)
with open(CONTROL + 'corpus', 'wb', buffering=0) as file:
    ok(file.write(packed) == len(packed), '%d kinds of packets' %
       len(corpus()))

# What changes meanwhile.
agents = [udp('a'), udp('a', '::')]
POLICIES = [
    dict(),
    dict(rules=[]),
    dict(local=['10.9.0.1'], rules=[rule(1, ('10.9.0.2',), protos=(6, 17, 1)),
                                    rule(2, (), caps=(7,))]),
    dict(flags=C['TAILRACE_POLICY_SHIELDS_UP']),
    dict(local=['fd09::/16'], rules=[rule(i, ('fd09::%x' % (i % 6),), [
        destination('fd09::1', i, 100)]) for i in range(60)])]
ALIASES = [('192.0.2.0', 1000), ('fd04::', 1000), ('192.0.2.1', 1000),
           ('192.0.2.2', PORT), ('fd04::1', 5351)]


def change_agents():
    """They are closed; the new ones are not bound to the device."""
    for n, one in enumerate(agents):
        one.close()
        agents[n] = udp('a', ('0.0.0.0', '::')[n])


def change(i):
    """One thing more that is different."""
    what = chance.randrange(7)
    if what == 0:
        m.policy('wg0', **chance.choice(POLICIES))
    elif what == 1:
        m.alias('wg0', 2, chance.choice(ALIASES), ALIASES)
    elif what == 2:
        m.peer('wg0', 2 + i % 3, ['10.9.0.%d' % (2 + i % 3)],
               ['10.9.0.0/24', 'fd09::/64'], (7,), chance.randrange(4),
               disco=[KNOWN, bytes(range(2, 34)), bytes(range(3, 35))])
    elif what == 3:
        for one in agents:
            m.bind('wg0', one)
    elif what == 4:
        change_agents()
    elif what == 5:
        for feature in ('rx-gro-list', 'rx-udp-gro-forwarding'):
            sh('ethtool -K fuzz0 %s %s' % (feature,
                                           chance.choice(('on', 'off'))))
    else:
        sh('ip netns exec a wg set wg0 listen-port %d' % PORT)
        m.set_max_stale('wg0', chance.choice((0, 0, 1)))
    for one in agents:
        one.setblocking(False)
        try:
            while one.recv(65536):
                pass
        except OSError:
            pass


def run(count, seed):
    """[from outside, from inside, to there, without memory]"""
    with open(CONTROL + 'run', 'w') as file:
        file.write('%d %d wg0' % (seed, count))
    return open(CONTROL + 'run', 'rb').read()


m.attach('wg0', PORT)
m.policy('wg0')
print('# seed %d' % SEED, flush=True)
start = time.monotonic()
# With an agent, and without one; then with all that changes.
m.alias('wg0', 2, ALIASES[0], ALIASES)
m.peer('wg0', 2, ['10.9.0.2'], disco=[KNOWN, bytes(range(2, 34)),
                                      bytes(range(3, 35))])
for one in agents:
    m.bind('wg0', one)
lines = [run(FIRST, SEED)]
change_agents()
lines.append(run(FIRST, SEED + FIRST))
read, write = os.pipe()
runner = os.fork()
if not runner:
    status = 1
    try:
        sent = 2 * FIRST
        while sent < COUNT:
            n = min(COUNT - sent, CHUNK)
            os.write(write, run(n, SEED + sent))
            sent += n
            if sent - n < ALL_MET <= sent:
                sh('echo 1 >%sunlocked; [ ! -e %s../kmemleak ] || '
                   'echo off >%s../kmemleak' % ((CONTROL,) * 3))
            if sent % 500000 < n:
                print('# %d after %.0f s' % (sent, time.monotonic() - start),
                      flush=True)
        status = 0
    finally:
        os._exit(status)
os.close(write)
changes = 0
while True:
    finished, status = os.waitpid(runner, os.WNOHANG)
    if finished:
        break
    change(changes)
    changes += 1
    time.sleep(0.1)
seconds = time.monotonic() - start
lines += os.read(read, 1 << 16).splitlines()
totals = [sum(map(int, column)) for column in zip(*(
    line.split() for line in lines))]
ok(status == 0 and sum(totals[:3]) == COUNT,
   '%d packets: %d from outside, %d from inside, %d to there' %
   (sum(totals[:3]), *totals[:3]))
print('# %d without memory, %d changes, %.0f s, %.0f packets a second' %
      (totals[3], changes, seconds, COUNT / seconds))
stats = m.stats('wg0')
counts = {name: stats.num('STATS_' + name) for name in
          ('STEER_DISCO', 'STEER_STUN', 'STEER_GENEVE', 'STEER_PORTMAP',
           'STEER_LIMITED', 'STEER_NO_SOCKET', 'WG_RX', 'WG_ALIASED',
           'WG_UNKNOWN', 'FILTER_IN', 'FILTER_OUT', 'FLOW_NEW', 'FLOW_HITS')}
print('# ' + ', '.join('%s %d' % item for item in counts.items()))
print('# drops ' + ', '.join('%s %d' % (REASONS[n], count) for n, count in
                             enumerate(stats.array('STATS_DROP'))))
del counts['STEER_LIMITED']  # which takes a fast machine
missing = [name for name, n in counts.items() if not n]
same(missing, [], 'they got everywhere')

# And everything works as ever.
m.set_max_stale('wg0', 0)
m.policy('wg0')
for one in agents:
    m.bind('wg0', one)
same(m.state('wg0'), 'ACTIVE', 'the module is well')
m.nl.close()
sh('rmmod tailrace; modprobe tailrace; ip link del wg0')
same(module_in('a').devices(), [], 'and comes off')
sh('ip link set fuzz0 down; ip link set fuzz0 netns 1; rmmod packets')
done()
