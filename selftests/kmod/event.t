#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Peers, what they do, and what the agent is told of it. Namespaces as pair()
# makes them; b is peer 2, most others exist in name only.
import os

from tailrace import *

pair()
enter('a')
m = Module()
events = Netlink(events='events')


def ping(count=1):
    sh('ip netns exec b ping -q -c %d -i 0.05 -W 5 10.9.0.1' % count)


def state(note):
    return note and STATES[note.num('DEVICE_STATE')]


m.attach('wg0', 41641)
m.policy('wg0')
same(state(events.event('STATE_NTF')), 'ORPHANED', 'a policy in force')
agent = udp('a')
m.bind('wg0', agent)
same(state(events.event('STATE_NTF')), 'ACTIVE', 'an agent')

# Peers.
refused('ERANGE', '', m.peer, 'wg0', 0)
refused('ERANGE', '', m.peer, 'wg0', 1 << 24)
refused('EINVAL', '', m.peer, 'wg0', 1, flags=1 << 31)
refused('ENOENT', 'no peer', m.unpeer, 'wg0', 1)
refused('EINVAL', 'broken', m.nl.do, 'PEER_SET',
        u32(C['TAILRACE_A_PEER_IFINDEX'], index('wg0')),
        u32(C['TAILRACE_A_PEER_ID'], 1),
        attr(C['TAILRACE_A_PEER_ADDRS'], bytes(35)))
routes = ['10.%d.%d.0/24' % (i // 256 + 100, i % 256) for i in range(4000)]
m.nl.do('PEER_SET', u32(C['TAILRACE_A_PEER_IFINDEX'], index('wg0')),
        u32(C['TAILRACE_A_PEER_ID'], 3),
        *(attr(C['TAILRACE_A_PEER_ROUTES'],
               b''.join(map(address, routes[i:i + 1000])))
          for i in range(0, 4000, 1000)))
same(b''.join(m.peers('wg0')[3].all('PEER_ROUTES')),
     b''.join(map(address, routes)), 'a peer of 4,000 routes comes back')
m.unpeer('wg0', 3)
m.peer('wg0', 2, ['10.9.0.2', 'fd09::2'], ['10.9.0.2', 'fd09::2'], [5, 6],
       C['TAILRACE_PEER_UNSIGNED'])
peer = m.peers('wg0')[2]
same((peer.get('PEER_CAPS'), peer.num('PEER_FLAGS'),
      peer.num('PEER_RX_PACKETS'), peer.get('PEER_RX_AGE'),
      peer.get('PEER_ACTIVE')),
     (struct.pack('2I', 5, 6), C['TAILRACE_PEER_UNSIGNED'], 0, None, None),
     'a new peer, never heard')
ping(4)
note = events.event('PEER_ACTIVE_NTF')
same(note and note.num('EVENT_PEER'), 2, 'its first packet is an event')
peer = m.peers('wg0')[2]
same([peer.num('PEER_' + k) for k in
      ('RX_PACKETS', 'RX_BYTES', 'TX_PACKETS', 'TX_BYTES')],
     [4, 4 * 84, 4, 4 * 84], 'its packets are counted, both ways')
ok(peer.get('PEER_ACTIVE') is not None and peer.num('PEER_RX_AGE') < 45000,
   'it is active')
m.peer('wg0', 2, ['10.9.0.2', 'fd09::2'], ['10.9.0.2', 'fd09::2'])
same(m.peers('wg0')[2].num('PEER_RX_PACKETS'), 4,
     'counters stay when it changes')
m.peer('wg0', 2, ['10.9.0.2'], ['10.9.0.2'], flags=C['TAILRACE_PEER_JAILED'])
jailed = m.drops('wg0', 'JAILED')
sh('ip netns exec b ping -q -c 2 -i 0.1 -W 1 10.9.0.1', check=False)
same(m.drops('wg0', 'JAILED') - jailed, 2, 'a jailed peer gets nothing in')
sh('ping -q -c 1 -W 5 10.9.0.2')
ok(True, 'but answers')
m.peer('wg0', 2, ['10.9.0.2'], ['10.9.0.2'])

# The agent's packets do not go round in circles.
loops = m.drops('wg0', 'DISCO_INSIDE')
try:
    agent.sendto(b'x', ('10.9.0.2', 9))
except OSError:
    pass
same(m.drops('wg0', 'DISCO_INSIDE') - loops, 1,
     "the agent's socket does not reach into its own tunnel")

# What leaves for peers that are there in name only makes them active. The
# worker that sends events gets little of the processors meanwhile: they
# overflow. Little, not nothing: a page of ours may have to be read.
MANY = 3000
sh('ip route add 10.200.0.0/16 dev wg0')
for n in range(MANY):
    m.peer('wg0', 1000 + n, (), ['10.200.%d.%d' % (n // 250, n % 250 + 1)])
same(m.get('wg0').num('DEVICE_PEERS'), MANY + 1, '%d peers' % (MANY + 1))
hog = '''
import os, time
os.sched_setaffinity(0, {%d})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
print(flush=True)
end = time.monotonic() + 120
while time.monotonic() < end:
    pass
'''
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(60))
hogs = [subprocess.Popen([sys.executable, '-c', hog % cpu],
                         stdout=subprocess.PIPE)
        for cpu in os.sched_getaffinity(0)]
for one in hogs:
    one.stdout.readline()
for n in range(MANY):
    try:
        out.sendto(b'x', ('10.200.%d.%d' % (n // 250, n % 250 + 1), 9))
    except OSError:
        pass
for one in hogs:
    one.kill()
    one.wait()
os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
seen, resync = set(), None
while not resync:
    note = events.event(seconds=30)
    if note is None:
        break
    if note.cmd == C['TAILRACE_CMD_PEER_ACTIVE_NTF']:
        seen.add(note.num('EVENT_PEER'))
    elif note.cmd == C['TAILRACE_CMD_RESYNC_NTF']:
        resync = note
ok(resync and 1024 <= len(seen) < MANY,
   'lost events are said to be lost: %d of %d came' % (len(seen), MANY))
active = [p for p in m.peers('wg0').values() if p.get('PEER_ACTIVE')
          is not None and p.num('PEER_ID') >= 1000]
same(len(active), MANY, 'and a dump shows what they were about')

# Silence.
for n in range(MANY):
    m.unpeer('wg0', 1000 + n)
agent.close()
same(state(events.event('STATE_NTF', seconds=30)), 'ORPHANED',
     'no agent any more')
ping()
note = events.event('PEER_IDLE_NTF',
                      lambda e: e.num('EVENT_PEER') == 2, seconds=120)
ok(note, 'a peer that is silent for 45 s is an event')
peer = m.peers('wg0')[2]
ok(peer.get('PEER_ACTIVE') is None and peer.num('PEER_RX_AGE') >= 45000,
   'it is idle')
ping()
note = events.event('PEER_ACTIVE_NTF',
                      lambda e: e.num('EVENT_PEER') == 2)
ok(note, 'and its next packet another one')

# Tracepoints.
trace = '/sys/kernel/tracing/'
if not os.path.exists(trace + 'events'):
    sh('mount -t tracefs trace ' + trace)
open(trace + 'events/tailrace/enable', 'w').write('1')
ping()
udp('b').sendto(bytes.fromhex('5453f09f92ac') + bytes(90),
                ('192.0.2.1', 41641))
time.sleep(0.5)
log = open(trace + 'trace').read()
open(trace + 'events/tailrace/enable', 'w').write('0')
ok(re.search(r'tailrace_verdict: ifindex=\d+ in accept proto=1 '
             r'::ffff:10\.9\.0\.2:0 > ::ffff:10\.9\.0\.1:0', log),
   'a verdict is traced')
ok('kind=wireguard' in log and 'kind=disco' in log, 'and steering')
done()
