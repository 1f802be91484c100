#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# max-stale: how long a policy is trusted without an agent. Namespaces as
# pair() makes them.
from tailrace import *

pair()
enter('a')
m = Module()
events = Netlink(events='events')
LONG = 0xffffffff


def announced():
    """The next state that the agent is told of."""
    note = events.event('STATE_NTF', seconds=30)
    return note and STATES[note.num('DEVICE_STATE')]


def ping(name, to):
    return subprocess.run(['ip', 'netns', 'exec', name, 'ping', '-q', '-c',
                           '1', '-W', '2', to],
                          stdout=subprocess.DEVNULL).returncode == 0


def passes():
    return ping('b', '10.9.0.1') and ping('a', '10.9.0.2')


def blocked(reason):
    """Nothing passes, either way, and that is why."""
    before = m.drops('wg0', reason)
    inward = ping('b', '10.9.0.1')
    middle = m.drops('wg0', reason)
    outward = ping('a', '10.9.0.2')
    return not inward and not outward and \
        before < middle < m.drops('wg0', reason)


m.attach('wg0', 41641)
same(m.get('wg0').num('DEVICE_MAX_STALE'), 0, 'without a bound to begin with')
refused('EINVAL', 'nothing to be set', m.nl.do, 'DEV_SET',
        u32(C['TAILRACE_A_DEVICE_IFINDEX'], index('wg0')))

# Without a policy nothing passes anyway, and no time runs.
m.set_max_stale('wg0', 1)
same(m.get('wg0').num('DEVICE_MAX_STALE'), 1, 'the bound can be read')
time.sleep(3)
same(m.state('wg0'), 'CLOSED', 'what has no policy does not expire')
same(m.get('wg0').get('DEVICE_STALE'), None, 'nor grows stale')
m.set_max_stale('wg0', LONG)
m.policy('wg0')
same((announced(), m.state('wg0')), ('ORPHANED', 'ORPHANED'),
     'a policy, and nobody to look after it')
ok(passes(), 'is in force')

# Shorter than what has passed already.
time.sleep(3)
m.set_max_stale('wg0', 2)
same(m.state('wg0'), 'EXPIRED', 'a shorter bound holds at once')
ok(3 <= m.get('wg0').num('DEVICE_STALE') < 60, 'it says for how long')
same(announced(), 'EXPIRED', 'and is told of')
ok(blocked('EXPIRED'), 'nothing passes')
generation = m.get('wg0').num('DEVICE_GENERATION')
same((m.policy('wg0'), m.state('wg0')), (generation + 1, 'EXPIRED'),
     'a new policy alone does not change that')
time.sleep(2)
same(m.state('wg0'), 'EXPIRED', 'nor does time')
m.set_max_stale('wg0', LONG)
same((m.state('wg0'), announced()), ('ORPHANED', 'ORPHANED'),
     'a longer bound does')
ok(passes(), 'everything passes')
m.set_max_stale('wg0', 1)
same((m.state('wg0'), announced()), ('EXPIRED', 'EXPIRED'),
     'the time without an agent has not begun anew')
m.set_max_stale('wg0', 0)
same((m.state('wg0'), announced()), ('ORPHANED', 'ORPHANED'),
     'nor is there an end without a bound')

# An agent.
m.set_max_stale('wg0', 1)
same(announced(), 'EXPIRED', 'expired once more')
refused('EXDEV', '', m.bind, 'wg0', udp('b'))
same(m.state('wg0'), 'EXPIRED', 'a socket that is refused is no agent')
agent = udp('a')
m.bind('wg0', agent)
same((m.state('wg0'), announced()), ('ACTIVE', 'ACTIVE'),
     'an agent is there: active at once')
ok(passes(), 'with the policy as it was')
same(m.get('wg0').num('DEVICE_GENERATION'), generation + 1, 'the very same')
time.sleep(3)
same(m.state('wg0'), 'ACTIVE', 'no time runs while there is one')
m.set_max_stale('wg0', LONG)
agent.close()
same(announced(), 'ORPHANED', 'it is gone')
ok(passes(), 'everything passes still')
bound = m.get('wg0').num('DEVICE_STALE') + 3
m.set_max_stale('wg0', bound)
same(announced(), 'EXPIRED', 'until time is up')
ok(m.get('wg0').num('DEVICE_STALE') >= bound, 'and not before')
ok(blocked('EXPIRED'), 'then nothing does')

# All or nothing.
sh('ip link add wg1 type wireguard')
m.attach('wg1', 41642)
refused('EADDRINUSE', 'port', m.nl.do, 'DEV_SET',
        u32(C['TAILRACE_A_DEVICE_IFINDEX'], index('wg0')),
        attr(C['TAILRACE_A_DEVICE_PORT'], struct.pack('H', 41642)),
        u32(C['TAILRACE_A_DEVICE_MAX_STALE'], 0))
same((m.get('wg0').num('DEVICE_MAX_STALE'), m.state('wg0')), (bound, 'EXPIRED'),
     'a request that is refused has set nothing')
same((m.get('wg1').num('DEVICE_MAX_STALE'), m.state('wg1')), (0, 'CLOSED'),
     'and another device is its own')
done()
