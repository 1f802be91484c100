#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Everything that comes and goes, coming and going under traffic. Namespaces as
# pair() makes them; b sends through the tunnel and to its port all the time.
#
# TAILRACE_ROUNDS says how often; make race-kmod makes it 1,000. TAILRACE_RACES
# names those to run.
import os
import random

from tailrace import *

ROUNDS = int(os.environ.get('TAILRACE_ROUNDS', '10'))
ONLY = os.environ.get('TAILRACE_RACES', '').split()

SENDER = '''
import os, random, socket, sys
disco = bytes.fromhex('5453f09f92ac') + bytes(range(32)) + bytes(64)
stun = bytes.fromhex('010100002112a442') + bytes(12)
socks = []
for family, src, dst, tunnel in (
        (socket.AF_INET, '192.0.2.2', '192.0.2.1', '10.9.0.1'),
        (socket.AF_INET6, 'fd01::2', 'fd01::1', 'fd09::1')):
    for port in (5000, 5001):
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.bind((src, port))
        socks.append((s, dst))
    s = socket.socket(family, socket.SOCK_DGRAM)
    socks.append((s, tunnel))
n = 0
while True:
    n += 1
    for i, (s, dst) in enumerate(socks):
        for port in (41641, 41642, 41643):
            data = (disco, stun, b'\\4\\0\\0\\0' + os.urandom(44))[n % 3]
            try:
                s.sendto(data if i % 3 < 2 else bytes(n % 1400),
                         (dst, port))
            except OSError:
                pass
'''
pair()
enter('a')
m = Module()
sh('echo 1 >/sys/kernel/rcu_expedited')
traffic = [subprocess.Popen(['ip', 'netns', 'exec', 'b', sys.executable, '-c',
                             SENDER])]
traffic += [subprocess.Popen(['ip', 'netns', 'exec', name, 'ping', '-q', '-f',
                              '-i', '0.002', to], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
            for name, to in (('b', '10.9.0.1'), ('a', '10.9.0.2'),
                             ('b', 'fd09::1'))]


def pings(seconds=60):
    return until(lambda: subprocess.run(
        ['ip', 'netns', 'exec', 'b', 'ping', '-q', '-c', '1', '-W', '2',
         '10.9.0.1'], stdout=subprocess.DEVNULL).returncode == 0, seconds)


def race(name):
    """Runs a round ROUNDS times; afterwards packets pass."""
    def run(function):
        if ONLY and name.split()[0] not in ONLY:
            return
        start = time.monotonic()
        for i in range(ROUNDS):
            function(i)
        seconds = time.monotonic() - start
        ok(pings(), '%s: %d rounds in %d s' % (name, ROUNDS, seconds))
    return run


def attach():
    m.attach('wg0', 41641)
    m.policy('wg0')
    m.peer('wg0', 2, ['10.9.0.2', 'fd09::2'], ['10.9.0.2', 'fd09::2'])


agents = [udp('a'), udp('a', '::')]
second = udp('a')


@race('attach and detach')
def _(i):
    m.attach('wg0', 41641)
    if i % 3:
        m.policy('wg0')
        m.peer('wg0', 2, ['10.9.0.2', 'fd09::2'], ['10.9.0.2', 'fd09::2'])
        m.bind('wg0', agents[i % 2])
    m.detach('wg0')


attach()


@race('sockets that close')
def _(i):
    one = udp('a', '::' if i % 2 else '0.0.0.0')
    m.bind('wg0', one)
    if i % 5 == 0:
        m.bind('wg0', agents[i % 2])
    one.close()


@race('aliases that flip')
def _(i):
    ways = [('192.0.2.2', 51820), ('fd01::2', 51820), ('192.0.2.2', 5000),
            ('fd01::2', 5001)]
    m.alias('wg0', 2, ways[i % 2], ways)
    if i % 7 == 0:
        m.unalias('wg0', 2)


@race('port of WireGuard')
def _(i):
    port = (41641, 41642)[i % 2]
    sh('wg set wg0 listen-port %d' % port)
    m.set_port('wg0', port)


sh('wg set wg0 listen-port 41641')
m.set_port('wg0', 41641)
sh('ip netns exec b wg set wg0 peer $(wg show wg0 public-key) '
   'endpoint 192.0.2.1:41641')


@race('keys of WireGuard')
def _(i):
    sh('''
key=$(wg genkey)
old=$(ip netns exec b wg show wg0 public-key)
ip netns exec b wg set wg0 private-key <(echo $key)
wg set wg0 peer $old remove \\
	peer $(wg pubkey <<<$key) allowed-ips 10.9.0.2/32,fd09::2/128
''')


@race('peers that come and go')
def _(i):
    m.peer('wg0', 2, ['10.9.0.2', 'fd09::2'], ['10.9.0.2', '10.9.0.0/24'],
           flags=C['TAILRACE_PEER_JAILED'] if i % 2 else 0)
    if i % 3 == 0:
        m.unpeer('wg0', 2)


m.peer('wg0', 2, ['10.9.0.2', 'fd09::2'], ['10.9.0.2', 'fd09::2'])


@race('devices that are deleted')
def _(i):
    sh('ip link add wg1 type wireguard; ip addr add 10.8.0.1/24 dev wg1; '
       'wg set wg1 listen-port 41643; ip link set wg1 up')
    m.attach('wg1', 41643)
    if i % 2:
        m.policy('wg1')
        m.bind('wg1', second)
    sh('ip link del wg1')


@race('namespaces that end')
def _(i):
    sh('ip netns add c; ip -n c link add wg1 type wireguard; '
       'ip -n c link set lo up; ip -n c link set wg1 up')
    if not os.fork():
        try:
            enter('c')
            c = Module()
            c.attach('wg1', 41643)
            c.policy('wg1')
            c.bind('wg1', udp('c'))
            c.begin('wg1')
        finally:
            os._exit(0)
    noise = subprocess.Popen(['ip', 'netns', 'exec', 'c', 'ping', '-q', '-f',
                              '-c', '20', '-i', '0.002', '127.0.0.1'],
                             stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    os.wait()
    sh('ip netns del c')
    noise.wait()


@race('module')
def _(i):
    global m
    m.nl.close()
    sh('rmmod tailrace; modprobe tailrace')
    m = Module()
    attach()
    if i % 2:
        m.bind('wg0', agents[0])


# Policies. There are two, that let in the same packets by rules in another
# order: source i may reach destination i, by rule i of the one and rule i - 1
# of the other. A packet that is judged by the sources of one and the
# destinations of the other would get somewhere else, or nowhere.
WIDE = 40
SOURCES = ['10.9.1.%d' % i for i in range(1, WIDE + 1)]
TARGETS = ['10.9.2.%d' % i for i in range(1, WIDE + 1)]
ICMP = rule(1000, protos=[1, 58])


def policy(turn):
    order = list(range(turn, WIDE)) + list(range(turn))
    return [rule(i, (SOURCES[i],), [destination(TARGETS[i], 7, 7)], [17])
            for i in order] + [ICMP]


def swaps():
    """Sends while another process swaps them, and counts what gets in."""
    for one in traffic:
        one.kill()
        one.wait()
    traffic.clear()
    sh('''
ip route replace 10.9.1.0/24 dev wg0
for i in {1..%d}; do ip addr add 10.9.2.$i/32 dev wg0; done
ip netns exec b ip route replace 10.9.2.0/24 dev wg0
for i in {1..%d}; do ip netns exec b ip addr add 10.9.1.$i/32 dev wg0; done
wg set wg0 peer $(ip netns exec b wg show wg0 public-key) \\
	allowed-ips 10.9.0.2/32,10.9.1.0/24,fd09::2/128
ip netns exec b wg set wg0 peer $(wg show wg0 public-key) \\
	allowed-ips 10.9.0.1/32,10.9.2.0/24,fd09::1/128
''' % (WIDE, WIDE))
    m.policy('wg0', ['10.9.0.0/16'], policy(0))
    ok(pings(), 'packets pass under the policies to be swapped')
    swapper = os.fork()
    if not swapper:
        status = 1
        try:
            own = Module()
            for i in range(ROUNDS):
                own.policy('wg0', ['10.9.0.0/16'], policy((i + 1) % 2))
            status = 0
        finally:
            os._exit(status)
    with inside('b'):
        out = []
        for addr in SOURCES:
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.bind((addr, 0))
            out.append(one)
    judged = batches = 0
    wrong = None
    finished = False
    while not finished:
        finished = os.waitpid(swapper, os.WNOHANG)[0] != 0
        # New ports for a while: most verdicts shall not be from the cache.
        if batches % 8 == 0:
            with inside('b'):
                for i, addr in enumerate(SOURCES):
                    out[i].close()
                    out[i] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                    out[i].bind((addr, 0))
        stats = m.stats('wg0')
        passed = stats.num('STATS_FILTER_IN')
        dropped = stats.array('STATS_DROP')[C['TAILRACE_DROP_NO_RULE']]
        plan = [(i, i) for i in range(WIDE)] + \
            [(i, (i + step) % WIDE) for i in range(WIDE)
             for step in (1, WIDE - 1)]
        random.shuffle(plan)
        for i, k in plan:
            out[i].sendto(b'x', (TARGETS[k], 7))

        def now():
            stats = m.stats('wg0')
            return (stats.num('STATS_FILTER_IN') - passed,
                    stats.array('STATS_DROP')[C['TAILRACE_DROP_NO_RULE']] -
                    dropped)
        if not until(lambda: sum(now()) >= len(plan), 30) or \
                now() != (WIDE, 2 * WIDE):
            wrong = now()
            break
        judged += len(plan)
        batches += 1
    if wrong:
        os.waitpid(swapper, 0)
        print('# %r in and dropped, not %r' % (wrong, (WIDE, 2 * WIDE)))
    ok(not wrong, 'policies: %d swaps, %d packets, each judged by one of two' %
       (ROUNDS, judged))


if not ONLY or 'policies' in ONLY:
    swaps()
for one in traffic:
    one.kill()
    one.wait()
sh('echo 0 >/sys/kernel/rcu_expedited')
m.nl.close()
sh('rmmod tailrace; modprobe tailrace')
same(module_in('a').devices(), [], 'and the module comes off')
done()
