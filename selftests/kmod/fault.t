#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# No memory: every command with each of its allocations failing in turn, for
# kernels that can (failslab and fail_page_alloc, by way of fail-nth). It must
# fail with an error, change nothing, leak nothing (scripts/vm asks kmemleak)
# and succeed when there is memory again. Namespaces as pair() makes them.
import gc
import os

from tailrace import *

DEBUG = '/sys/kernel/debug/'
LIMIT = 2000  # allocations of one command
# Of more than this, every STRIDEth: the rest is for TAILRACE_FAULTS=all.
EACH = 40
STRIDE = 1 if os.environ.get('TAILRACE_FAULTS') == 'all' else 7

pair()
enter('a')
m = Module()
sh('ip link add wg1 type wireguard; ip link set wg1 up')
for name, value in (('failslab/ignore-gfp-wait', 'N'),
                    ('failslab/verbose', '0'),
                    ('fail_page_alloc/ignore-gfp-wait', 'N'),
                    ('fail_page_alloc/min-order', '0'),
                    ('fail_page_alloc/verbose', '0')):
    with open(DEBUG + name, 'w') as file:
        file.write(value)
sh('echo 1 >/sys/kernel/rcu_expedited')
fail_nth = os.open('/proc/thread-self/fail-nth', os.O_RDWR)
buffer = bytearray(1 << 20)


class Request:
    """One request, its bytes made beforehand, and what came of it."""

    def __init__(self, cmd, *payload, dump=False, nl=None):
        self.nl = nl or m.nl
        self.nl.seq += 1
        body = struct.pack('BBH', C['TAILRACE_CMD_' + cmd], 1, 0) + \
            b''.join(payload)
        self.data = struct.pack(
            'IHHII', 16 + len(body), self.nl.family, NLM_F_REQUEST |
            (NLM_F_DUMP if dump else NLM_F_ACK), self.nl.seq, 0) + body

    def send(self, n):
        """The nth allocation from here on fails. (errno, whether it did)

        None for an error that hides the command's own: of the socket's, on
        the way there or back.
        """
        sock = self.nl.sock
        arm = b'%d' % n
        error = None
        gc.disable()
        os.pwrite(fail_nth, arm, 0)
        try:
            sock.send(self.data)
            while error is None:
                size = sock.recv_into(buffer)
                at = 0
                while at < size:
                    length, kind = struct.unpack_from('IH', buffer, at)
                    if kind in (NLMSG_ERROR, NLMSG_DONE):
                        error = -struct.unpack_from('i', buffer, at + 16)[0]
                    at += (length + 3) & ~3
        except OSError as failure:
            error = (failure.errno,)
        left = int(os.pread(fail_nth, 32, 0).strip(b'\0\n') or b'0')
        os.pwrite(fail_nth, b'0', 0)
        gc.enable()
        if isinstance(error, tuple):
            # What else is on its way is nobody's.
            sock.settimeout(0.2)
            try:
                while True:
                    sock.recv_into(buffer)
            except OSError:
                pass
            sock.settimeout(None)
        return error, left == 0 and n > 0


def still(messages, *volatile):
    """Messages without what changes by itself."""
    drop = [C['TAILRACE_A_' + name] for name in volatile]
    return [[a for a in one.attrs if a[0] not in drop] for one in messages]


COUNTERS = [name for name in C if re.match(r'TAILRACE_A_PEER_(RX|TX)_|'
                                           r'TAILRACE_A_PEER_(ACTIVE|PATHS|'
                                           r'GENERATION|PAD)', name)]
HITS = ['RULE_HITS'] if 'TAILRACE_A_RULE_HITS' in C else []


def policy_of(message):
    rules = []
    for one in message.all('POLICY_RULE'):
        rules.append([a for a in attrs(one)
                      if not HITS or a[0] != C['TAILRACE_A_RULE_HITS']])
    return message.get('POLICY_LOCAL'), rules


def snapshot(generation=True):
    """All that the module has been told."""
    return (
        still(m.devices(), 'DEVICE_FLOWS',
              *(() if generation else ('DEVICE_GENERATION',))),
        [policy_of(one) for one in m.policies('wg0')],
        still(m.peers('wg0').values(), *(n[len('TAILRACE_A_'):]
                                         for n in COUNTERS)),
        {e: a[:2] for e, a in m.aliases('wg0').items()})


def pings():
    return subprocess.run(['ip', 'netns', 'exec', 'b', 'ping', '-q', '-c', '1',
                           '-W', '10', '10.9.0.1'],
                          stdout=subprocess.DEVNULL).returncode == 0


def denied():
    """Something that the policy in force drops, and no other would."""
    before = m.drops('wg0', 'NO_RULE')
    out.sendto(b'x', ('10.9.0.1', 7))
    return until(lambda: m.drops('wg0', 'NO_RULE') == before + 1)


def trial(name, request, undo=None, setup=None):
    """request() makes one; undo() takes back what it does when it succeeds.

    An answer may be lost for lack of memory when all was done already; then
    what is there must be as after success.
    """
    failures = skipped = n = 0
    wrong = before = None
    while True:
        n += 1 if n < EACH else STRIDE
        if setup:
            setup()
        if not before:
            before = snapshot()
        one = request()
        error, hit = one.send(n)
        if error == 0:
            if undo:
                undo()
            if not hit:
                break
            skipped += 1
            before = None
            continue
        after = snapshot()
        if isinstance(error, tuple):
            skipped += 1
            if after != before and undo:
                undo()
                before = None
            elif after != before:
                wrong = 'allocation %d: changed though it failed' % n
        elif not hit:
            wrong = 'allocation %d: error %d without one' % (n, error)
        elif after != before:
            wrong = 'allocation %d: error %d, and changed' % (n, error)
        else:
            failures += 1
        if wrong or n > LIMIT:
            break
        if (failures + skipped) % 16 == 1 and not (pings() and denied()):
            wrong = 'allocation %d: the policy is not what it was' % n
            break
    good = ok(not wrong and n <= LIMIT and failures + skipped,
              '%s: up to allocation %d, %d fail it, %d do not' %
              (name, n - 1, failures, skipped))
    if not good:
        print('# %s' % wrong)
    if wrong and undo:
        undo()


IFINDEX = {kind: u32(C['TAILRACE_A_%s_IFINDEX' % kind], index('wg0'))
           for kind in ('DEVICE', 'POLICY', 'ALIAS', 'PEER', 'STATS', 'TSMP')}
WG1 = u32(C['TAILRACE_A_DEVICE_IFINDEX'], index('wg1'))
PORT1 = attr(C['TAILRACE_A_DEVICE_PORT'], struct.pack('H', 41642))


def quiet(function, *args):
    """Takes back what may or may not be there."""
    try:
        function(*args)
    except Error:
        pass


def local(addresses):
    return attr(C['TAILRACE_A_POLICY_LOCAL'], b''.join(map(address,
                                                           addresses)))


def as_rule(one):
    return attr(C['TAILRACE_A_POLICY_RULE'], one, nested=True)


# Everything but UDP to port 7, so that both a pass and a drop tell it.
BASE = [rule(1, protos=[1, 58]), rule(2, protos=[17],
                                      dst=[destination('*', 8, 65535)])]
OTHER = [rule(9, ('10.0.0.0/8', 'fd00::/8'), protos=range(1, 250), caps=(7,))
         ] + [rule(10 + i, ('10.1.%d.0/24' % i, 'fd01:%x::/32' % i),
                   dst=[destination('10.9.0.0/16', i, i + 10),
                        destination('fd09::/64')]) for i in range(40)]


def base():
    m.policy('wg0', rules=BASE)


def keys(seed):
    return b''.join(attr(C['TAILRACE_A_PEER_DISCO' + kind],
                         bytes([seed, i]) * 16)
                    for i, kind in enumerate(('', '_OWN', '_SHARED')))


def peer(number, routes, seed):
    return Request('PEER_SET', IFINDEX['PEER'],
                   u32(C['TAILRACE_A_PEER_ID'], number),
                   attr(C['TAILRACE_A_PEER_ADDRS'], address('10.9.0.%d' %
                                                            number)),
                   *(attr(C['TAILRACE_A_PEER_ROUTES'],
                          b''.join(map(address, routes[i:i + 20])))
                     for i in range(0, len(routes), 20)),
                   attr(C['TAILRACE_A_PEER_CAPS'], struct.pack('2I', 1, 7)),
                   keys(seed))


def peers_as_ever():
    quiet(m.unpeer, 'wg0', 3)
    m.peer('wg0', 2, ['10.9.0.2', 'fd09::2'], ['10.9.0.2', 'fd09::2'],
           disco=[bytes([9, i]) * 16 for i in range(3)])


def aliases_as_ever():
    quiet(m.unalias, 'wg0', 3)
    m.alias('wg0', 2, ('192.0.2.2', 51820), [('192.0.2.2', 51820),
                                             ('fd01::2', 51820)])


m.attach('wg0', 41641)
base()
peers_as_ever()
aliases_as_ever()
agent = udp('a')
m.bind('wg0', agent)
out = udp('b', '10.9.0.2')
ok(pings() and denied(), 'packets pass, and some do not')

ROUTES = ['10.50.%d.0/24' % i for i in range(60)]
trial('DEV_ATTACH', lambda: Request('DEV_ATTACH', WG1, PORT1),
      lambda: quiet(m.detach, 'wg1'))
trial('POLICY_BEGIN', lambda: Request('POLICY_BEGIN', IFINDEX['POLICY']))
trial('POLICY_ADD', lambda: Request('POLICY_ADD', IFINDEX['POLICY'],
                                    local(['10.0.0.0/8'] * 40),
                                    *map(as_rule, OTHER[:5])),
      setup=lambda: m.begin('wg0'))


def other():
    m.begin('wg0')
    m.add('wg0', ['10.0.0.0/8', 'fd00::/8'], OTHER)


trial('POLICY_COMMIT', lambda: Request('POLICY_COMMIT', IFINDEX['POLICY']),
      base, other)
trial('PEER_SET of a new one', lambda: peer(3, ROUTES, 1), peers_as_ever)
trial('PEER_SET of an old one', lambda: peer(2, ROUTES + ['10.9.0.0/24'], 2),
      peers_as_ever)
trial('PEER_DEL', lambda: Request('PEER_DEL', IFINDEX['PEER'],
                                  u32(C['TAILRACE_A_PEER_ID'], 2)),
      peers_as_ever)
for number, name in ((3, 'a new one'), (2, 'an old one')):
    trial('ALIAS_SET of ' + name, lambda: Request(
        'ALIAS_SET', IFINDEX['ALIAS'], u32(C['TAILRACE_A_ALIAS_PEER'], number),
        attr(C['TAILRACE_A_ALIAS_CANONICAL'], endpoint('192.0.2.99', number)),
        attr(C['TAILRACE_A_ALIAS_SEEN'],
             b''.join(endpoint('198.51.100.%d' % i, number)
                      for i in range(60)))), aliases_as_ever)
trial('ALIAS_DEL', lambda: Request('ALIAS_DEL', IFINDEX['ALIAS'],
                                   u32(C['TAILRACE_A_ALIAS_PEER'], 2)),
      aliases_as_ever)
second = udp('a')
trial('SOCKET_BIND', lambda: Request(
    'SOCKET_BIND', IFINDEX['DEVICE'],
    u32(C['TAILRACE_A_DEVICE_FD'], second.fileno())),
      lambda: m.bind('wg0', agent))
trial('DEV_SET', lambda: Request(
    'DEV_SET', IFINDEX['DEVICE'],
    attr(C['TAILRACE_A_DEVICE_PORT'], struct.pack('H', 41643)),
    u32(C['TAILRACE_A_DEVICE_MAX_STALE'], 1000)),
      lambda: (m.set_port('wg0', 41641), m.set_max_stale('wg0', 0)))
for cmd, kind in (('DEV_GET', 'DEVICE'), ('STATS_GET', 'STATS')):
    trial(cmd, lambda: Request(cmd, IFINDEX[kind]))
for cmd, kind in (('DEV_GET', 'DEVICE'), ('POLICY_GET', 'POLICY'),
                  ('PEER_GET', 'PEER'), ('ALIAS_GET', 'ALIAS')):
    trial('dump of ' + cmd, lambda: Request(
        cmd, *(() if cmd == 'DEV_GET' else (IFINDEX[kind],)), dump=True))
trial('TSMP_SEND', lambda: Request(
    'TSMP_SEND', IFINDEX['TSMP'],
    attr(C['TAILRACE_A_TSMP_SRC'], bytes([10, 9, 0, 1])),
    attr(C['TAILRACE_A_TSMP_DST'], bytes([10, 9, 0, 2])),
    attr(C['TAILRACE_A_TSMP_PAYLOAD'], b'oxxxxxxxxxx')))
m.attach('wg1', 41642)
trial('DEV_DETACH', lambda: Request('DEV_DETACH', WG1),
      lambda: m.attach('wg1', 41642))
ok(pings() and denied(), 'and they still do')

# Packets for which there is no memory: a part of all allocations fails that
# may not wait, whoever asks for them.
for name, value in (('failslab/ignore-gfp-wait', 'Y'),
                    ('failslab/probability', '10'), ('failslab/times', '-1'),
                    ('fail_page_alloc/ignore-gfp-wait', 'Y'),
                    ('fail_page_alloc/probability', '10'),
                    ('fail_page_alloc/times', '-1')):
    with open(DEBUG + name, 'w') as file:
        file.write(value)
disco = bytes.fromhex('5453f09f92ac') + bytes(range(32)) + bytes(24 + 40)
outside = udp('b', '192.0.2.2', 5000)
for _ in range(300):
    for sock, data, to in ((outside, disco, ('192.0.2.1', 41641)),
                           (out, b'x', ('10.9.0.1', 7)),
                           (out, b'x', ('10.9.0.1', 8))):
        try:
            sock.sendto(data, to)
        except OSError:
            pass
for name in ('failslab', 'fail_page_alloc'):
    with open(DEBUG + name + '/probability', 'w') as file:
        file.write('0')
ok(until(lambda: pings() and denied(), 60), 'a shortage passes')
sh('echo 0 >/sys/kernel/rcu_expedited')
done()
