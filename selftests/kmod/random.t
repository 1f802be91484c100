#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# The filter in the kernel against the oracle: the play that scenario.c has
# written, with real packets both ways through WireGuard. $TEST_SEED repeats
# a run.
#
# The outward packets are those of a packet socket, which POST_ROUTING, all that
# kernels before 5.16 have for us, never sees: inward only there.
#
#   namespace a: wg0 with the module ---- namespace b: plain wg0
import errno
import os

from craft import question
from tailrace import *

POLICIES, PACKETS = 60, 100
OUTWARD = tuple(map(int, os.uname().release.split('.')[:2])) >= (5, 16)

netns('a', 'b')
sh('''
ip link add va netns a type veth peer name vb netns b
ip -n a addr add 192.0.2.1/24 dev va; ip -n a link set va up
ip -n b addr add 192.0.2.2/24 dev vb; ip -n b link set vb up
for n in a b; do
	ip -n $n link add wg0 type wireguard
	ip -n $n link set wg0 addrgenmode none
	wg genkey >/tmp/key.$n
	# neither host may answer, nor add packets of its own
	ip netns exec $n nft add table inet quiet
	ip netns exec $n nft add chain inet quiet output \
		'{ type filter hook output priority 0; }'
	ip netns exec $n nft add rule inet quiet output oifname wg0 drop
done
pub() { wg pubkey </tmp/key.$1; }
ip netns exec a wg set wg0 private-key /tmp/key.a listen-port 41641 \
	peer $(pub b) endpoint 192.0.2.2:41642 allowed-ips 0.0.0.0/0,::/0
ip netns exec b wg set wg0 private-key /tmp/key.b listen-port 41642 \
	peer $(pub a) endpoint 192.0.2.1:41641 allowed-ips 0.0.0.0/0,::/0
ip -n a link set wg0 up
ip -n b link set wg0 up
''')
raw = {}
for direction, name in ('in', 'b'), ('out', 'a'):
    with inside(name):
        raw[direction] = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)
enter('a')
m = Module()
m.attach('wg0', 41641)
IFINDEX = {kind: u32(C['TAILRACE_A_%s_IFINDEX' % kind], index('wg0'))
           for kind in ('POLICY', 'PEER')}
COUNTER = {'in': 'STATS_FILTER_IN', 'out': 'STATS_FILTER_OUT'}


def counts(direction):
    s = m.stats('wg0')
    return [s.num(COUNTER[direction])] + s.array('STATS_DROP')


class Batch:
    """Packets of one direction, sent at once and judged as a whole."""

    def __init__(self):
        self.direction, self.packets, self.total = None, [], 0
        self.wrong, self.asked, self.differ = None, 0, []

    def add(self, direction, packet, want):
        if direction != self.direction or len(self.packets) >= 50:
            self.flush()
        self.direction = direction
        if not self.packets and not self.wrong:
            self.ask(packet, want)
        self.packets.append((packet, want))

    def ask(self, packet, want):
        """VERDICT_GET about the first of a batch, which it must not change."""
        words = question(packet)
        if not words:
            return
        said = m.ask('wg0', out=self.direction == 'out', **words)
        self.asked += 1
        if (-1 if said.accepted else said.drop) != want:
            self.differ.append((self.direction, packet.hex(), want, said))

    def flush(self):
        if not self.packets or self.wrong:
            self.packets = []
            return
        before = counts(self.direction)
        want = before[:]
        for packet, verdict in self.packets:
            want[verdict + 1] += 1
            try:
                raw[self.direction].sendto(
                    packet,
                    ('wg0', 0x0800 if packet[0] >> 4 == 4 else 0x86dd))
            except OSError as e: # how some drops on the way out look
                if e.errno != errno.ENOBUFS:
                    raise
        until(lambda: sum(counts(self.direction)) >= sum(want), 20)
        got = counts(self.direction)
        if got != want:
            self.wrong = (self.direction,
                          [(p.hex(), v) for p, v in self.packets],
                          [n - o for n, o in zip(want, before)],
                          [n - o for n, o in zip(got, before)])
        self.total += len(self.packets)
        self.packets = []


seed = os.environ.get('TEST_SEED', str(int(time.time())))
print('# TEST_SEED=%s' % seed)
play = sh('%s %s %d %d %s' % (os.path.join(BUILD, 'scenario'), seed, POLICIES,
                             PACKETS, '' if OUTWARD else 'in'))
batch, commits = Batch(), 0
for line in play.splitlines():
    step, *rest = line.split()
    if step in COUNTER:
        batch.add(step, bytes.fromhex(rest[0]), int(rest[1]))
        continue
    batch.flush()
    if step == 'unpeer':
        m.unpeer('wg0', int(rest[0]))
    elif step == 'peer':
        m.nl.do('PEER_SET', IFINDEX['PEER'], bytes.fromhex(rest[0]))
    elif step == 'begin':
        m.begin('wg0')
    elif step == 'add':
        m.nl.do('POLICY_ADD', IFINDEX['POLICY'],
                bytes.fromhex(''.join(rest)))
    elif step == 'commit':
        m.commit('wg0', int(rest[0]))
        commits += 1
batch.flush()
ok(not batch.wrong and commits == POLICIES,
   '%d packets under %d policies: as the oracle says' % (batch.total, commits))
if batch.wrong:
    direction, packets, want, got = batch.wrong
    print('# %s: want %r\n# got %r' % (direction, want, got))
    for packet, verdict in packets:
        print('# %s %d' % (packet, verdict))
same(batch.differ, [], '%d of them asked about before' % batch.asked)
drops = m.stats('wg0').array('STATS_DROP')
print('# accepted in %d, out %d, dropped %r, %d flow hits' % (
    m.stat('wg0', 'FILTER_IN'), m.stat('wg0', 'FILTER_OUT'), drops,
    m.stat('wg0', 'FLOW_HITS')))
reasons = drops[:C['TAILRACE_DROP_DISCO_INSIDE']]
if not OUTWARD:
    del reasons[C['TAILRACE_DROP_TSMP_OUT']]
ok(all(reasons), 'every reason was met')
done()
