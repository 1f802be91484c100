#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Policies as transactions: all or nothing, one owner, no gap for packets.
# What the rules mean is test-filter's business. Namespaces as pair() has them.
import os

from tailrace import *

pair()
enter('a')
m = Module()
m.attach('wg0', 41641)
other = Module()
IFINDEX = u32(C['TAILRACE_A_POLICY_IFINDEX'], index('wg0'))
RULE = C['TAILRACE_A_POLICY_RULE']


def ping(count=1, wait=1):
    return int(re.search(r'(\d+) received', sh(
        'ip netns exec b ping -q -c %d -i 0.02 -W %d 10.9.0.1'
        % (count, wait), check=False)).group(1))


def port_open(port):
    with inside('b'):
        sock = socket.socket()
        sock.settimeout(2)
        try:
            sock.connect(('10.9.0.1', port))
            return True
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            return False


same(ping(), 0, 'no policy, no ping')
same(m.policies('wg0'), [], 'and nothing to dump')
refused('ENOENT', 'no policy transaction', m.add, 'wg0')
refused('ENOENT', 'no policy transaction', m.commit, 'wg0')

m.begin('wg0')
m.add('wg0', ['10.9.0.0/24', 'fd09::1'], [rule(5, ['10.9.0.2'])])
m.add('wg0', ['192.0.2.1-192.0.2.9'], [rule(6, ['*'], protos=[17, 132],
                                            caps=[3, 9])])
same(m.state('wg0'), 'CLOSED', 'nothing is in force before the commit')
same(ping(), 0, 'nor does anything pass')
same(m.commit('wg0'), 1, 'the first commit')
same((m.get('wg0').num('DEVICE_GENERATION'), m.get('wg0').num('DEVICE_RULES'),
      m.state('wg0')), (1, 2, 'ORPHANED'), 'is in force')
same(ping(), 1, 'and lets pings pass')
dump = m.policies('wg0')
same(b''.join(b''.join(p.all('POLICY_LOCAL')) for p in dump),
     b''.join(map(address, ['10.9.0.0/24', 'fd09::1', '192.0.2.1-192.0.2.9'])),
     'the local set comes back as it was put in')
same(rules_of(dump),
     [rule(5, ['10.9.0.2']), rule(6, ['*'], protos=[17, 132], caps=[3, 9])],
     'and so do the rules')
same({p.num('POLICY_GENERATION') for p in dump}, {1}, 'with its generation')
refused('ENOENT', 'no policy transaction', m.commit, 'wg0')

# Bad input ends the transaction and leaves the policy.
PREFIX = C['TAILRACE_ADDR_PREFIX4']
for name, error, text, payload in (
        ('a kind that is none', 'EINVAL', '',
         attr(C['TAILRACE_A_POLICY_LOCAL'], bytes([9]) + bytes(35))),
        ('reserved bytes', 'EINVAL', '',
         attr(C['TAILRACE_A_POLICY_LOCAL'],
              bytes([0, 0, 1, 0]) + bytes(32))),
        ('a prefix too long', 'EINVAL', '',
         attr(C['TAILRACE_A_POLICY_LOCAL'], bytes([PREFIX, 33]) + bytes(34))),
        ('host bits', 'EINVAL', '',
         attr(C['TAILRACE_A_POLICY_LOCAL'],
              bytes([PREFIX, 8, 0, 0, 10, 0, 0, 1]) + bytes(28))),
        ('a range backwards', 'EINVAL', '',
         attr(C['TAILRACE_A_POLICY_LOCAL'],
              struct.pack('BBH16s16s', C['TAILRACE_ADDR_RANGE4'], 0, 0,
                          b'\2', b'\1'))),
        ('half an address', 'EINVAL', 'broken entry',
         attr(C['TAILRACE_A_POLICY_LOCAL'], bytes(35))),
        ('a rule without an id', 'EINVAL', 'RULE_ID missing',
         attr(RULE, b'', nested=True)),
        ('an unknown attribute of a rule', 'EINVAL', 'nknown',
         attr(RULE, rule() + u32(99, 1), nested=True)),
        ('ports backwards', 'EINVAL', '',
         attr(RULE, rule(dst=[destination('*', 2, 1)]), nested=True)),
        ('a rule that is no nest', 'EINVAL', '', attr(RULE, rule())),
        ('257 protocols', 'ERANGE', '',
         attr(RULE, rule(protos=bytes(257)), nested=True)),
        ('257 capabilities', 'E2BIG', '',
         attr(RULE, rule(caps=range(257)), nested=True))):
    m.begin('wg0')
    m.add('wg0', [], [rule(1)])
    try:
        m.nl.do('POLICY_ADD', IFINDEX, payload)
        ok(False, name + ' should be refused')
    except Error as e:
        same((e.name, bool(e.text) and text in e.text), (error, True),
             '%s: %s: %s' % (name, e.name, e.text))
m.begin('wg0')
m.add('wg0', [], [rule(1)])
try:
    m.nl.do('POLICY_ADD', IFINDEX,
            attr(C['TAILRACE_A_POLICY_LOCAL'], bytes(35)))
except Error:
    pass
refused('ENOENT', 'no policy transaction', m.commit, 'wg0')
m.begin('wg0')
refused('EINVAL', 'flag', m.commit, 'wg0', 1 << 31)
same((m.get('wg0').num('DEVICE_GENERATION'), ping()), (1, 1),
     'the old policy is still in force')

# Who owns what.
m.begin('wg0')
refused('ENOENT', 'no policy transaction', other.commit, 'wg0')
other.begin('wg0')
other.add('wg0', ['10.9.0.1'], [rule(1, dst=[destination('*', 80, 80)],
                                     protos=[6])])
same(other.commit('wg0'), 2, 'two sockets, two transactions')
same((port_open(80), port_open(81)), (True, False),
     'the second one is in force: one TCP port')
m.add('wg0', ['10.9.0.1'], [rule(1)])
same(m.commit('wg0'), 3, 'then the first one')
same(port_open(81), True, 'is')
many = [Module() for _ in range(5)]
for one in many[:4]:
    one.begin('wg0')
refused('EBUSY', 'too many', many[4].begin, 'wg0')
many[0].begin('wg0')
ok(True, 'beginning anew takes no further place')
many[1].nl.close()
many[4].begin('wg0')
ok(True, 'a closed socket gives its place back')
for one in many:
    one.nl.close()

# Replacement under traffic.
m.policy('wg0', local=['10.9.0.1'])
before = replies('b')
with subprocess.Popen(['ip', 'netns', 'exec', 'b', 'ping', '-q', '-i', '0.005',
                       '-c', '1000', '10.9.0.1'],
                      stdout=subprocess.DEVNULL) as child:
    n = 0
    while child.poll() is None:
        m.policy('wg0', local=['10.9.0.1'], rules=[
            rule(i, ['10.9.0.%d' % (i % 250)] if i else ['*'])
            for i in range(n % 20 + 1)])
        n += 1
same(answered('b', 1000, before), 1000, 'no ping is lost over %d policies' % n)
m.policy('wg0', local=['10.9.0.1'], rules=[])
accepted = m.stat('wg0', 'FILTER_IN')
same((ping(3), m.stat('wg0', 'FILTER_IN')), (0, accepted),
     'once a commit returns nothing passes by the old rules')

# Large.
rules = [rule(n, ['10.%d.%d.%d-10.%d.%d.200' % (
    i, n // 200, n % 200, i, n // 200) for i in range(10)],
    [destination('10.9.0.1', n, n + 1)], protos=[6, 17]) for n in range(2000)]
m.begin('wg0')
for i in range(0, 2000, 50):
    m.add('wg0', ['10.9.0.1', '198.18.%d.0/24' % (i // 50)],
          rules[i:i + 50])
m.commit('wg0')
dump = m.policies('wg0')
same(rules_of(dump) == rules, True,
     '2,000 rules come back')
big = rule(7, ['10.0.%d.%d' % (i // 256, i % 256) for i in range(1700)])
m.policy('wg0', rules=[big])
same(rules_of(m.policies('wg0')), [big],
     'so does one of 61 KB')

# A dump that is overtaken says so.
m.begin('wg0')
for i in range(0, 2000, 50):
    m.add('wg0', ['10.9.0.1'], rules[i:i + 50])
m.commit('wg0')
nl = Netlink()
nl.seq += 1
body = struct.pack('BBH', C['TAILRACE_CMD_POLICY_GET'], 1, 0) + IFINDEX
nl.sock.send(struct.pack('IHHII', 16 + len(body), nl.family,
                         NLM_F_REQUEST | NLM_F_DUMP, nl.seq, 0) + body)
flags, kind, turns = 0, 0, 0
while kind != NLMSG_DONE:
    data = nl.sock.recv(1 << 16)
    if turns == 0:
        m.policy('wg0', rules=rules[:50])
    turns += 1
    while data:
        size, kind, got, _, _ = struct.unpack_from('IHHII', data)
        flags |= got
        data = data[(size + 3) & ~3:]
ok(turns > 2 and flags & NLM_F_DUMP_INTR, 'a dump that is overtaken says so')

refused('ENODEV', 'not attached', m.nl.do, 'POLICY_BEGIN',
        u32(C['TAILRACE_A_POLICY_IFINDEX'], index('veth')))
refused('EINVAL', 'IFINDEX missing', m.nl.do, 'POLICY_BEGIN')
refused('EINVAL', None, m.nl.dump, 'POLICY_GET')
refused('ENODEV', None, m.nl.dump, 'POLICY_GET',
        u32(C['TAILRACE_A_POLICY_IFINDEX'], index('veth')))

# Detaching in the middle of it all.
m.begin('wg0')
m.add('wg0', [], [rule()])
m.detach('wg0')
same(ping(), 1, 'a detached device is as it was')
m.attach('wg0', 41641)
refused('ENOENT', 'no policy transaction', m.commit, 'wg0')
same(ping(), 0, 'attached anew it is closed')
done()
