#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Sight of the filter's verdicts: traces of real packets, and VERDICT_GET, which
# must say what the packet then gets. The site is craft.py's.
import threading

from craft import *
from tailrace import *

US, US6 = '100.64.0.1', 'fd7a:115c:a1e0::1'
B, JAILED, CAPABLE, B6 = ('100.64.0.2', '100.64.0.3', '100.64.0.4',
                          'fd7a:115c:a1e0::2')
LOCAL = [US, US6, '10.1.0.0/16']
RULES = [
    rule(101, [B, B6], [destination(US, 80, 90), destination(US6, 80, 90)],
         [TCP, SCTP]),
    rule(102, ['100.64.0.0-100.64.0.2'], [destination(US, 53, 53)], [UDP]),
    rule(103, [B], [destination('10.1.0.0/24')], [GRE]),
    rule(105, [], [destination('*', 8000, 8000)], caps=[7]),
]

site()
enter('a')
m = Module()
m.attach('wg0', 41641)
m.peer('wg0', 2, [B, B6])
m.peer('wg0', 3, [JAILED], flags=C['TAILRACE_PEER_JAILED'])
m.peer('wg0', 4, [CAPABLE], ['10.9.0.0/24'], [7])
sender = Sender()
# Nor does a answer what no socket of its is for.
sh('''nft -f - <<-END
table inet quiet {
	chain output {
		type filter hook output priority 0;
		oifname wg0 tcp flags rst drop
		oifname wg0 meta l4proto { icmp, ipv6-icmp } drop
	}
}
END''')


def judged():
    """Packets so far, both ways; the module counts merged ones each."""
    s = m.stats('wg0')
    return s.num('STATS_FILTER_IN') + s.num('STATS_FILTER_OUT') + \
        sum(s.array('STATS_DROP'))


def tcp(src, dst, port, flags=SYN):
    make = ip6 if ':' in dst else ip4
    return make(TCP, src, dst, ports(5000, port, flags=flags))


def echo(src, dst, kind=8, code=0):
    return ip4(ICMP, src, dst, bytes([kind, code]) + b'\0' * 6)


def out(function):
    """Something that a sends into its tunnel, whatever becomes of it."""
    def send():
        try:
            function()
        except OSError:
            pass
    return send


here = udp('a', US, 7000)
agent = udp('a', port=0)
tsmp = raw('a', TSMP)
m.bind('wg0', agent)
m.policy('wg0', LOCAL, RULES)

# Every cause and every reason: the packet, why, the rule and the peer.
RULE, CACHE, REPLY = 'RULE', 'CACHE', 'REPLY'
CASES = [
    (tcp(B, US, 80), RULE, 101, 2),
    (tcp(B, US, 91), 'NO_RULE', 0, 2),
    (tcp(B6, US6, 85), RULE, 101, 2),
    (tcp(B6, US6, 85, ACK), 'STATELESS', 0, 2),
    (tcp('100.64.0.9', US, 22), 'NO_RULE', 0, 0),
    (ip4(UDP, B, US, ports(9, 53)), RULE, 102, 2),
    (ip4(UDP, B, US, ports(9, 53)), CACHE, 102, 2),
    (ip4(UDP, B, US, ports(9, 54)), 'NO_RULE', 0, 2),
    (ip4(UDP, B, US, ports(9000, 7000)), 'NO_RULE', 0, 2),
    (out(lambda: here.sendto(b'x', (B, 9000))), 'OUTBOUND', 0, 2),
    (ip4(UDP, B, US, ports(9000, 7000)), REPLY, 0, 2),
    (ip4(UDP, JAILED, US, ports(9000, 7000)), 'JAILED', 0, 3),
    (out(lambda: here.sendto(b'x', (JAILED, 9000))), 'OUTBOUND', 0, 3),
    (ip4(UDP, JAILED, US, ports(9000, 7000)), REPLY, 0, 3),
    (ip4(GRE, B, '10.1.0.1', b'\0' * 8), RULE, 103, 2),
    (ip4(GRE, B, '10.1.0.1', b'\0' * 8), CACHE, 103, 2),
    (tcp(CAPABLE, US, 8000), RULE, 105, 4),
    (tcp('10.9.0.1', US, 8000), 'NO_RULE', 0, 4),
    (echo(B, US), RULE, 101, 2),
    (echo(JAILED, US, 3, 1), 'STATELESS', 0, 3),
    (tcp(B, '10.2.0.1', 80), 'NOT_LOCAL', 0, 2),
    (ip4(UDP, B, '224.0.0.251', ports(1, 53)), 'MULTICAST', 0, 2),
    (ip4(UDP, B, '169.254.1.1', ports(1, 53)), 'LINK_LOCAL', 0, 2),
    (ip4(TCP, B, US, b'x' * 40, 9), 'MALFORMED', 0, 2),
    (ip4(TCP, B, US, b'x' * 8, 10), 'FRAGMENT', 0, 2),
    (ip4(TSMP, B, US, b'o' + b'\0' * 10), 'STATELESS', 0, 2),
    (out(lambda: tsmp.sendto(b'x' * 8, (B, 0))), 'TSMP_OUT', 0, 2),
    (out(lambda: agent.sendto(b'x', (B, 9))), 'DISCO_INSIDE', 0, 2),
]


def send(packet):
    if callable(packet):
        packet()
    else:
        sender.send(packet)


def play(cases, watched):
    """Sends them one after the other, each after the verdict on the last."""
    for packet, *_ in cases:
        n = len(watched.seen)
        send(packet)
        if not watched.wait(lambda: len(watched.seen) > n):
            return False
    return True


generation = m.get('wg0').num('DEVICE_GENERATION')
before = time.time()
trace = Trace('wg0')
play(CASES, trace)
trace.stop()
for (packet, *want), got in zip(CASES, trace.seen):
    same([got.why, got.rule, got.peer], want, repr(got))
same(len(trace.seen), len(CASES), 'nothing else was seen')
seen = trace.seen
ok(all(v.generation == generation and not v.reserved and not any(v.unused) and
       v.packets == 1 and
       before - 1 < v.time / 1e9 < time.time() + 1 for v in seen),
   'by this policy, of now')
ok(all(v.out == callable(p) for v, (p, *_) in zip(seen, CASES)),
   'the direction')
same([(v.src, v.dst, v.sport, v.dport, v.tcp_flags, v.len) for v in seen[:3]],
     [(B, US, 5000, 80, SYN, 40), (B, US, 5000, 91, SYN, 40),
      (B6, US6, 5000, 85, SYN, 60)], 'the packet')
same([(v.icmp_type, v.icmp_code) for v in seen if v.proto == ICMP],
     [(8, 0), (3, 1)], 'types of ICMP')
same([v.proto for v in seen if v.why in ('MALFORMED', 'FRAGMENT')], [0, 255],
     'what has no protocol')
same(trace.lost, {'RATE': 0, 'RING': 0, 'SOCKET': 0}, 'none is lost')

# The reasons that need another state.
def one(packet, why, name):
    with_trace = Trace('wg0')
    play([(packet,)], with_trace)
    same([v.why for v in with_trace.stop().seen], [why], name)


m.policy('wg0', LOCAL, RULES, C['TAILRACE_POLICY_SHIELDS_UP'])
one(tcp(B, US, 80), 'SHIELDS_UP', 'shields up')
m.policy('wg0', LOCAL, RULES)
m.set('wg0', flags=C['TAILRACE_DEVICE_STRICT'])
one(echo(B, US, 0), 'NO_FLOW', 'strict: an answer to nothing')
one(tcp(B, US, 82), 'RULE', 'a connection')
one(tcp(B, US, 82, ACK), 'CACHE', 'is known from then on')
same([m.ask('wg0', B, US, TCP, sport=5000, dport=82, tcp_flags=ACK).why,
      m.ask('wg0', B, US, ICMP, icmp_type=0).why], ['CACHE', 'NO_FLOW'],
     'questions likewise')
m.set('wg0', flags=0)

# Conditions: the same play with two traces, one of which picks.
F = {k: C['TAILRACE_TRACE_' + k] for k in ('IN', 'OUT', 'ACCEPT', 'DROP')}
CONDITIONS = [
    (dict(flags=F['IN']), lambda v: not v.out),
    (dict(flags=F['OUT']), lambda v: v.out),
    (dict(flags=F['ACCEPT']), lambda v: v.accepted),
    (dict(flags=F['DROP'] | F['IN']), lambda v: not v.accepted and not v.out),
    (dict(flags=F['DROP'] | F['ACCEPT'] | F['IN'] | F['OUT']),
     lambda v: True),
    (dict(proto=UDP), lambda v: v.proto == UDP),
    (dict(proto=0), lambda v: v.proto == 0),
    (dict(src=B), lambda v: v.src == B),
    (dict(src='100.64.0.2/31'), lambda v: v.src in (B, JAILED)),
    (dict(src='::/0'), lambda v: ':' in v.src),
    (dict(dst='10.0.0.0-10.1.0.1'), lambda v: v.dst == '10.1.0.1'),
    (dict(dst='*'), lambda v: True),
    (dict(host=JAILED), lambda v: JAILED in (v.src, v.dst)),
    (dict(sport=9000), lambda v: v.sport == 9000),
    (dict(dport=9000), lambda v: v.dport == 9000),
    (dict(port=9000), lambda v: 9000 in (v.sport, v.dport)),
    (dict(peer=3), lambda v: v.peer == 3),
    (dict(peer=0), lambda v: v.peer == 0),
    (dict(rule=102), lambda v: v.rule == 102),
    (dict(rule=0), lambda v: False),
    (dict(reason=C['TAILRACE_DROP_NO_RULE']), lambda v: v.why == 'NO_RULE'),
    (dict(reason=C['TAILRACE_DROP_NO_POLICY']), lambda v: False),
    (dict(flags=F['ACCEPT'], reason=C['TAILRACE_DROP_NO_RULE']),
     lambda v: False),
    (dict(proto=TCP, dport=80, src=B, flags=F['IN'], peer=2, rule=101),
     lambda v: v.rule == 101 and v.dport == 80),
]
wrong = []
for at in range(0, len(CONDITIONS), 3):
    some = CONDITIONS[at:at + 3]
    everything = Trace('wg0')
    picky = [Trace('wg0', **given) for given, _ in some]
    play(CASES, everything)
    everything.stop()
    for (given, wanted), trace in zip(some, picky):
        got = [(v.time, repr(v)) for v in trace.stop().seen]
        want = [(v.time, repr(v)) for v in everything.seen if wanted(v)]
        if got != want:
            wrong.append((given, len(got), len(want)))
same(wrong, [], '%d conditions, each beside a trace of everything' %
     len(CONDITIONS))

# What is refused.
def index_of(kind):
    return u32(C['TAILRACE_A_%s_IFINDEX' % kind], index('wg0'))


many = [Trace('wg0') for _ in range(C['TAILRACE_MAX_TRACES'])]
refused('EBUSY', 'too many', Trace, 'wg0')
refused('EEXIST', 'already', many[0].nl.do, 'TRACE_START', index_of('TRACE'))
many[0].close()
Trace('wg0').close()
ok(True, 'a closed socket makes room')
for one_trace in many[1:]:
    one_trace.close()
refused('ENOENT', 'does not trace', m.nl.do, 'TRACE_STOP', index_of('TRACE'))
refused('ENODEV', 'not attached', Trace, 'lo')
refused('ERANGE', '', Trace, 'wg0', rate=0)
refused('ERANGE', '', Trace, 'wg0', rate=C['TAILRACE_TRACE_RATE_MAX'] + 1)
refused('EINVAL', 'unknown trace flag', Trace, 'wg0', flags=16)
refused('ERANGE', '', Trace, 'wg0', reason=len(REASONS))
refused('EINVAL', '', m.nl.do, 'TRACE_START', index_of('TRACE'),
        attr(C['TAILRACE_A_TRACE_VERDICTS'], b'x' * 72))
refused('EINVAL', '', m.nl.do, 'TRACE_START', index_of('TRACE'),
        attr(C['__TAILRACE_A_TRACE_MAX'], b'x'))
bad = bytearray(address('10.0.0.0/8'))
bad[7] = 1
refused('EINVAL', 'host bits', m.nl.do, 'TRACE_START', index_of('TRACE'),
        attr(C['TAILRACE_A_TRACE_SRC'], bytes(bad)))
refused('ERANGE', '', m.nl.do, 'TRACE_START', index_of('TRACE'),
        attr(C['TAILRACE_A_TRACE_SRC'], bytes(bad[:-1])))
refused('EINVAL', 'missing', m.nl.do, 'TRACE_START')

refused('EINVAL', 'unlike', m.ask, 'wg0', B, US6, TCP)
refused('EINVAL', 'ports are of', m.ask, 'wg0', B, US, ICMP, dport=1)
refused('EINVAL', 'without TCP', m.ask, 'wg0', B, US, UDP, tcp_flags=2)
refused('EINVAL', 'without ICMP', m.ask, 'wg0', B, US, ICMP6, icmp_type=1)
refused('ENODEV', 'not attached', m.ask, 'lo', B, US, TCP)
refused('EINVAL', 'missing', m.nl.do, 'VERDICT_GET', index_of('VERDICT'))
if not os.fork():
    ifindex = index('wg0')
    os.setuid(65534)
    nl = Netlink()
    answers = []
    for kind, cmd in (('TRACE', 'TRACE_START'), ('TRACE', 'TRACE_STOP'),
                      ('VERDICT', 'VERDICT_GET')):
        try:
            nl.do(cmd, u32(C['TAILRACE_A_%s_IFINDEX' % kind], ifindex))
        except Error as error:
            answers.append(error.name)
    os._exit(answers != ['EPERM'] * 3)
ok(os.wait()[1] == 0, 'an unprivileged caller is refused')


# Questions: asked before each packet is sent, they say what it then gets.
watched = Trace('wg0')
asked, differ = 0, []
for packet, *_ in CASES * 2:
    words = None if callable(packet) else question(packet)
    flows = m.get('wg0').num('DEVICE_FLOWS') if words else None
    said = m.ask('wg0', **words) if words else None
    if words and m.get('wg0').num('DEVICE_FLOWS') != flows:
        differ.append(('a flow was entered', words))
    play([(packet,)], watched)
    if said:
        got = watched.seen[-1]
        asked += 1
        if repr(got) != repr(said) or got.icmp_type != said.icmp_type or \
                got.tcp_flags != said.tcp_flags:
            differ.append((said, got))
watched.stop()
same(differ, [], '%d questions: what the packets then got' % asked)
same([m.ask('wg0', US, B, UDP, out=True, sport=1, dport=2).why,
      m.ask('wg0', US, B, TSMP, out=True).why,
      m.ask('wg0', US, '224.0.0.1', UDP, out=True).why,
      m.ask('wg0', B, US, UDP, sport=2, dport=1).why],
     ['OUTBOUND', 'TSMP_OUT', 'MULTICAST', 'NO_RULE'],
     'outbound, and no reply to a question')
same([m.ask('wg0', B, US, TCP, dport=80).why, m.ask('wg0', B, US, ICMP).rule,
      m.ask('wg0', B6, US6, ICMP6).icmp_type, m.ask('wg0', B, US, 255).why],
     ['RULE', 101, 128, 'MALFORMED'], 'what is not said is the usual')


# Floods. Each packet is shown or counted as lost, by whatever bound.
def flood(count, port=7):
    with inside('b'):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((B, 0))
    for i in range(count):
        try:
            sock.sendto(b'x', (US, port))
        except OSError:
            pass
    sock.close()


sender.close()


def settled():
    """The counters, once no more packets arrive."""
    last = judged()
    while True:
        time.sleep(0.3)
        now = judged()
        if now == last:
            return now
        last = now


def all_of(trace):
    return sum(v.packets for v in trace.seen), sum(trace.lost.values())


start = settled()
began = time.monotonic()
trace, narrow = Trace('wg0', rate=40), Trace('wg0', dport=9)
flood(1000)
count = settled() - start
trace.stop()
narrow.stop()
elapsed = time.monotonic() - began
ok(len(trace.seen) <= 10 + 40 * (elapsed + 1) and trace.lost['RATE'] and
   not trace.lost['RING'] and not trace.lost['SOCKET'],
   'a flood of %d: %d seen, lost %r' % (count, len(trace.seen), trace.lost))
ok(len(trace.seen) + trace.lost['RATE'] <= count and
   (len(trace.seen) + trace.lost['RATE'] == count or
    any(v.packets > 1 for v in trace.seen)), 'and all accounted for')
same([narrow.seen, sum(narrow.lost.values())], [[], 0],
     'a trace of something else sees and loses nothing of it')

start = settled()
trace = Trace('wg0', buffer=4096, rate=C['TAILRACE_TRACE_RATE_MAX'])
flood(2000)
count = settled() - start
time.sleep(0.5)
trace.stop()
shown, lost = len(trace.seen), sum(trace.lost.values())
ok(trace.lost['SOCKET'], 'nobody reads: %d of %d seen, lost %r' %
   (shown, count, trace.lost))
ok(shown + lost <= count, 'and all accounted for')

# Sockets that close, and policies and peers that change, under a flood.
stop = threading.Event()


def storm():
    while not stop.is_set():
        flood(200)


thread = threading.Thread(target=storm, daemon=True)
thread.start()
for i in range(30):
    trace = Trace('wg0', buffer=4096 if i % 2 else 1 << 20,
                  rate=1 + i * 3000)
    if i % 3 == 0:
        trace.read(0.05)
    if i % 10 == 0:
        m.policy('wg0', LOCAL, RULES)
        m.peer('wg0', 2, [B, B6])
    trace.close()
stop.set()
thread.join()
many = [Trace('wg0') for _ in range(C['TAILRACE_MAX_TRACES'])]
ok(True, '30 sockets closed in mid-flood, none has left anything behind')
for one_trace in many:
    one_trace.close()

# The command line.
TOOL = built('tailrace')


def tool(words):
    done = subprocess.run(TOOL + words.split(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout + done.stderr


code, text = tool('policy test --src=%s --dst=%s:80' % (B, US))
ok(code == 0 and text.startswith('accept: rule 101: ') and
   'tcp S' in text and 'peer 2' in text, 'policy test: %r' % text)
code, text = tool('policy test --src=%s --dst=%s:91' % (B, US))
ok(code == 1 and text.startswith('drop: no rule accepts it') and
   'rule 101 is for other ports' in text, 'a drop: %r' % text)
code, text = tool('policy test --src=%s --dst=%s:91 --json' % (B, US))
ok(code == 1 and '"reason": "no_rule"' in text, 'as JSON')
code, text = tool('policy test --src=%s --dst=%s:80 --device=lo' % (B, US))
ok(code == 2 and 'wg0' in text, 'another device: %r' % text)
code, text = tool('trace drop or')
ok(code == 2 and "no 'or'" in text, 'a wrong condition: %r' % text)
sender = Sender()
running = subprocess.Popen(TOOL + ['trace', '--count=2', 'tcp', 'from', B],
                           stdout=subprocess.PIPE, text=True)
stop.clear()


def feed():
    while not stop.is_set():
        sender.send(tcp(B, US, 80))
        sender.send(tcp(B, US, 91))
        time.sleep(0.1)


thread = threading.Thread(target=feed, daemon=True)
thread.start()
lines = running.stdout.read().splitlines()
ok(running.wait() == 0 and len(lines) == 2 and
   any('accept tcp S' in line and 'rule 101: ' in line
       for line in lines) and
   any('no rule accepts it' in line for line in lines) and
   all('peer 2 (%s)' % B in line for line in lines),
   'trace: %r' % lines)
running = subprocess.Popen(TOOL + ['trace', '--json'],
                           stdout=subprocess.PIPE, text=True)
line = running.stdout.readline()
running.terminate()
rest = running.stdout.read()
ok(running.wait() == 0 and '"src":"%s"' % B in line,
   'it ends by a signal: %r' % line)
stop.set()
thread.join()
sender.close()

# The agent has gone for too long.
agent.close()
m.set('wg0', max_stale=1)
ok(until(lambda: m.state('wg0') == 'EXPIRED', 20), 'expired')
sender = Sender()
one(tcp(B, US, 80), 'EXPIRED', 'everything is dropped')
same(m.ask('wg0', B, US, TCP, dport=80).why, 'EXPIRED',
     'a question is told so')
sender.close()

# Before the first policy; and a device that goes away under a trace.
m.detach('wg0')
m.attach('wg0', 41641)
same([m.ask('wg0', B, US, TCP, dport=80).why,
      m.ask('wg0', B, US, TCP, dport=80).generation], ['NO_POLICY', 0],
     'before the first policy')
sender = Sender()
one(tcp(B, US, 80), 'NO_POLICY', 'a packet likewise')
trace = Trace('wg0')
play([(tcp(B, US, 80),)], trace)
m.detach('wg0')
ok(trace.wait(lambda: trace.ended), 'detached: the trace is told')
trace.close()
m.attach('wg0', 41641)
trace = Trace('wg0')
sh('ip link del wg0')
ok(trace.wait(lambda: trace.ended), 'deleted: likewise')
trace.close()
done()
