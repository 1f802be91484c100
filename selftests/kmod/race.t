#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Everything that comes and goes, coming and going under traffic. Namespaces as
# pair() makes them; a process for each processor sends from b to a, through the
# tunnel and to its port, and one in a answers nothing but sends as well.
#
# TAILRACE_ROUNDS says how often; make race-kmod makes it 1,000. TAILRACE_RACES
# names those to run.
import atexit
import os
import random
import signal

import links
from tailrace import *

ROUNDS = int(os.environ.get('TAILRACE_ROUNDS', '10'))
ONLY = os.environ.get('TAILRACE_RACES', '').split()

DISCO = bytes.fromhex('5453f09f92ac') + bytes(range(32)) + bytes(64)
STUN = bytes.fromhex('010100002112a442') + bytes(12)
INSIDE = ['10.9.0.2', 'fd09::2']


def udp_from(addr='', port=0):
    """For several senders, so there may be another on the port."""
    one = socket.socket(socket.AF_INET6 if ':' in addr else socket.AF_INET,
                        socket.SOCK_DGRAM)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((addr, port))
    one.setblocking(False)
    return one


def send_from_b():
    outside = [(udp_from(src, port), dst)
               for src, dst in (('192.0.2.2', '192.0.2.1'),
                                ('fd01::2', 'fd01::1'))
               for port in (5000, 5001)]
    tunnel = udp_from(), udp_from('::')
    n = 0
    while True:
        data = (DISCO, STUN, b'\4\0\0\0' + os.urandom(44))[n % 3]
        for one, dst in outside:
            for port in (41641, 41642, 41643):
                yield one, data, (dst, port)
        yield outside[0][0], data, ('10.7.0.1', 41643)
        # Half of them are of a new flow.
        for dst in ('10.9.0.1', '10.8.0.1', 'fd09::1'):
            for port in (7, random.randrange(1024, 65536)):
                yield tunnel[':' in dst], bytes(n % 200), (dst, port)
        n += 1


def send_from_a():
    tunnel = udp_from(), udp_from('::')
    while True:
        for dst in ('10.9.0.2', '10.8.0.2', 'fd09::2'):
            for port in (7, random.randrange(1024, 65536)):
                yield tunnel[':' in dst], b'x' * 100, (dst, port)


def start(name, packets, cpu):
    """
    Sends bursts of 40 packets, with pauses and less right to the processor than
    the test has: a round has to go on under packets, not to wait for them.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        os.sched_setaffinity(0, {cpu})
        os.nice(5)
        enter(name)
        for n, (one, data, to) in enumerate(packets()):
            try:
                one.sendto(data, to)
            except OSError:  # what comes and goes is not there now
                pass
            if n % 40 == 0:
                time.sleep(0.005)
    finally:
        os._exit(1)


def stop():
    while traffic:
        pid = traffic.pop()
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


pair()
cpus = sorted(os.sched_getaffinity(0))
traffic = [start('b', send_from_b, cpu) for cpu in cpus] + \
    [start('a', send_from_a, cpus[-1])]
atexit.register(stop)
sh('echo 1 >/sys/kernel/rcu_expedited || :')  # one processor may have none
image = sh('modinfo -n tailrace')
with inside('b'):
    links_b, wg_b = links.Links(), links.WireGuard()
enter('a')
m = Module()
links_a, wg_a = links.Links(), links.WireGuard()
wg0 = {'a': index('wg0'), 'b': 0}
with inside('b'):
    wg0['b'] = index('wg0')


def received():
    """Packets that have come to a from b."""
    with open('/proc/net/dev') as file:
        return int(re.search(r'veth: *\d+ +(\d+)', file.read()).group(1))


def pings(seconds=60):
    return until(lambda: subprocess.run(
        ['ip', 'netns', 'exec', 'b', 'ping', '-q', '-c', '1', '-W', '2',
         '10.9.0.1'], stdout=subprocess.DEVNULL).returncode == 0, seconds)


def race(name):
    """
    Runs a round ROUNDS times. In each there are packets, and afterwards they
    pass.
    """
    def run(function):
        if ONLY and name.split()[0] not in ONLY:
            return
        begin, first = time.monotonic(), received()
        for i in range(ROUNDS):
            before = received()
            function(i)
            if not until(lambda: received() > before + 2, 60, 0.002):
                raise RuntimeError('round %d: no packets come' % i)
        seconds, packets = time.monotonic() - begin, received() - first
        ok(pings(), '%s: %d rounds in %d s, %d packets' %
           (name, ROUNDS, seconds, packets))
    return run


def attach(**settings):
    m.attach('wg0', 41641, **settings)
    m.policy('wg0')
    m.peer('wg0', 2, INSIDE, INSIDE)


def came_in(dev):
    """Packets that came through the tunnel and passed."""
    return m.stat(dev, 'FILTER_IN')


agents = [udp('a'), udp('a', '::')]
second = udp('a')


@race('attach and detach')
def _(i):
    trace = None
    if i % 3:
        attach(records=i % 7 == 0, flags=i % 2)
        m.bind('wg0', agents[i % 2])
        if i % 5 == 0:
            trace = Trace('wg0')
    else:
        m.attach('wg0', 41641)
    m.detach('wg0')
    if trace:
        trace.close()


attach(records=1)


@race('sockets that close')
def _(i):
    one = udp('a', '::' if i % 2 else '0.0.0.0')
    m.bind('wg0', one)
    if i % 5 == 0:
        m.bind('wg0', agents[i % 2])
    one.close()


@race('traces that come and go')
def _(i):
    trace = Trace('wg0', rate=100000)
    if i % 2:
        trace.read()
        m.policy('wg0')
    trace.close()


@race('aliases that flip')
def _(i):
    ways = [('192.0.2.2', 51820), ('fd01::2', 51820), ('192.0.2.2', 5000),
            ('fd01::2', 5001)]
    m.alias('wg0', 2, ways[i % 2], ways)
    if i % 7 == 0:
        m.unalias('wg0', 2)


@race('port of WireGuard')
def _(i):
    port = (41642, 41641)[i % 2]
    wg_a.port(wg0['a'], port)
    m.set_port('wg0', port)


wg_a.port(wg0['a'], 41641)
m.set_port('wg0', 41641)
a_key, b_key = (wg.key(wg0[name], os.urandom(32))
                for name, wg in (('a', wg_a), ('b', wg_b)))


def introduce():
    """The two begin anew, as with peers they have never seen."""
    wg_a.peers(wg0['a'], links.peer(b_key, ['10.9.0.2/32', 'fd09::2/128']))
    wg_b.peers(wg0['b'], links.peer(a_key, ['10.9.0.1/32', 'fd09::1/128'],
                                    ('192.0.2.1', 41641)))


# Those of pair() have gone with the keys.
sh('wg set wg0 peer $(wg show wg0 peers) remove')
sh('ip netns exec b wg set wg0 peer $(ip netns exec b wg show wg0 peers) '
   'remove; ip -n b route add 10.8.0.0/24 dev wg0')
introduce()


@race('keys of WireGuard')
def _(i):
    """Each round has a handshake, and packets by the key that came of it."""
    global b_key
    wg_a.peers(wg0['a'], links.no_peer(b_key))
    wg_b.peers(wg0['b'], links.no_peer(a_key))
    b_key = wg_b.key(wg0['b'], os.urandom(32))
    before = came_in('wg0')
    introduce()
    if not until(lambda: came_in('wg0') > before, 60):
        raise RuntimeError('round %d: no packet by the new key' % i)


@race('peers that come and go')
def _(i):
    m.peer('wg0', 2, INSIDE, ['10.9.0.2', '10.9.0.0/24'],
           flags=C['TAILRACE_PEER_JAILED'])
    if i % 2:
        m.unpeer('wg0', 2)
    m.peer('wg0', 2, INSIDE, INSIDE)


@race('settings')
def _(i):
    m.set('wg0', flows_max=(4096, 16384)[i % 2], flags=i // 2 % 2,
          records=i // 4 % 2, max_stale=1000 * (i % 3))


m.set('wg0', flags=0, records=1, max_stale=0)
key = os.urandom(32)


@race('devices that are deleted')
def _(i):
    """Packets have come from inside the tunnel, and still do."""
    links_a.add('wg1', 'wireguard')
    number = index('wg1')
    links_a.address('wg1', '10.8.0.1/24')
    wg_a.port(number, 41643)
    wg1_key = wg_a.key(number, key)
    wg_a.peers(number, links.peer(b_key, ['10.8.0.2/32', '10.9.0.2/32'],
                                  ('192.0.2.2', 51820)))
    links_a.up('wg1')
    m.attach('wg1', 41643, records=i % 5 == 0)
    m.policy('wg1')
    if i % 2:
        m.bind('wg1', second)
    wg_b.peers(wg0['b'], links.peer(wg1_key, ['10.8.0.1/32'],
                                    ('192.0.2.1', 41643)))
    came = until(lambda: came_in('wg1'), 60)
    links_a.delete('wg1')
    wg_b.peers(wg0['b'], links.no_peer(wg1_key))
    if not came:
        raise RuntimeError('round %d: nothing came by wg1' % i)


@race('namespaces that end')
def _(i):
    """Each with a link to b, by which packets come until it is gone."""
    with inside('b'):
        if not until(lambda: 'c' not in [n for _, n in socket.if_nameindex()],
                     60):
            raise RuntimeError('round %d: the last one does not go' % i)
    with links.new_namespace():
        there, wg = links.Links(), links.WireGuard()
        there.up('lo')
        there.add_veth('b', 'c', 'b')
        there.address('b', '10.7.0.1/24')
        there.up('b')
        there.add('wg1', 'wireguard')
        wg.port(index('wg1'), 41643)
        there.up('wg1')
        c = Module()
        c.attach('wg1', 41643)
        c.policy('wg1')
        with inside('b'):
            links_b.address('c', '10.7.0.2/24')
            links_b.up('c')
        # A socket keeps the namespace until the module notices its end.
        if i % 8 == 0:
            one = udp_from()
            c.bind('wg1', one)
            one.close()
        c.begin('wg1')
        if not until(lambda: sum(c.stat('wg1', 'STEER_' + kind) for kind in
                                 ('NO_SOCKET', 'STUN', 'DISCO')), 60):
            raise RuntimeError('round %d: nothing came to the port' % i)
        for one in c.nl, there, wg:
            one.close()


@race('module')
def _(i):
    global m
    m.nl.close()
    links.unload('tailrace')
    links.load(image)
    m = Module()
    attach(records=i % 3 == 0)
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
    stop()
    sh('''
ip route replace 10.9.1.0/24 dev wg0
ip netns exec b ip route replace 10.9.2.0/24 dev wg0
wg set wg0 peer $(ip netns exec b wg show wg0 public-key) \\
	allowed-ips 10.9.0.2/32,10.9.1.0/24,fd09::2/128
ip netns exec b wg set wg0 peer $(wg show wg0 public-key) \\
	allowed-ips 10.9.0.1/32,10.9.2.0/24,fd09::1/128
''')
    for source, target in zip(SOURCES, TARGETS):
        links_a.address('wg0', target + '/32')
        with inside('b'):
            links_b.address('wg0', source + '/32')
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
stop()
sh('echo 0 >/sys/kernel/rcu_expedited || :')
m.nl.close()
sh('rmmod tailrace; modprobe tailrace')
same(module_in('a').devices(), [], 'and the module comes off')
done()
