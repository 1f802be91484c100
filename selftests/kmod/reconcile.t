#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# The agent's kernel process against a real kernel: it makes the interface,
# WireGuard, the module, addresses, routes and rules be what the engine (here
# kernelctl.c) says, sends nothing when nothing differs, and repairs what
# somebody else changes.
#
#   namespace a: tailrace0 (kernelctl)      namespace b: wg0, plain WireGuard
#        10.9.0.1  <------------ veth ------------>  10.9.0.2, 10.9.0.3
import base64
import json
import os
import select

import tailrace
from tailrace import *

CTL, CLI = built('kernelctl'), built('tailrace')
PORT = 41641


class Ctl:
    """A kernel process and what takes its engine's place."""

    def __init__(self):
        self.proc = subprocess.Popen(
            ['ip', 'netns', 'exec', 'a', *CTL], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, bufsize=0)
        self.lines = []
        self.links = 0  # "link" so far
        self.rest = b''
        self.kernel = int(self.expect(r'kernel (\d+)')[1])

    def tell(self, *commands):
        self.proc.stdin.write(''.join(c + '\n' for c in commands).encode())

    def expect(self, pattern, seconds=120):
        """The first line from here on that matches; None when none comes."""
        end = time.monotonic() + seconds
        while True:
            while self.lines:
                line = self.lines.pop(0)
                self.links += line == 'link'
                found = re.match(pattern, line)
                if found:
                    return found
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.proc.stdout], [], [],
                                              left)[0]:
                return None
            data = os.read(self.proc.stdout.fileno(), 65536)
            if not data:
                return None
            *lines, self.rest = (self.rest + data).split(b'\n')
            self.lines += [line.decode() for line in lines]

    def publish(self, *commands):
        """Publishes; the error it was applied with."""
        self.tell('clear', *commands, 'publish')
        found = self.expect(r'applied (\d+) (\d+) (.*)')
        self.link, self.port = int(found[1]), int(found[2])
        return found[3]

    def stats(self):
        self.tell('stats')
        return json.loads(self.expect(r'stats (.*)')[1])

    def changes(self):
        """Messages so far that changed something."""
        return self.stats()['netlink_changes']

    def end(self):
        self.proc.stdin.close()
        status = self.expect(r'exit (-?\d+)')
        self.proc.wait()
        return status and int(status[1])

    def kill(self):
        os.kill(self.kernel, 9)
        os.kill(self.proc.pid, 9)
        self.proc.wait()
        self.proc.stdin.close()


def until(condition):
    """A machine may be slow; what is to happen, happens."""
    return tailrace.until(condition, 120)


def a(command, check=True):
    return sh('ip netns exec a bash -ec %r' % command, check)


def b(command, check=True):
    return sh('ip netns exec b bash -ec %r' % command, check)


def key():
    private = sh('wg genkey')
    public = sh('wg pubkey <<<%s' % private)
    return [private, public] + [base64.b64decode(k).hex()
                                for k in (private, public)]


def wg(what):
    return a('wg show tailrace0 ' + what)


def ping(count=3, interval=0.05, start='b', to='100.64.0.1', seconds=10):
    """Packets lost on the way from one tunnel address to the other and back."""
    before = replies(start)
    sh('ip netns exec %s ping -n -q -i %s -c %d -W 3 %s' %
       (start, interval, count, to), check=False)
    return count - answered(start, count, before, seconds)


class Stream:
    """A stream of pings in the background; loss() ends it."""

    def __init__(self):
        self.proc = subprocess.Popen(
            ['ip', 'netns', 'exec', 'b', 'ping', '-n', '-i', '0.01',
             '100.64.0.1'], text=True, stdout=subprocess.PIPE)

    def loss(self):
        """Lost and answered packets; those under way at the end are neither."""
        time.sleep(0.5)
        self.proc.send_signal(2)
        text = self.proc.communicate()[0]
        got = set(map(int, re.findall(r'icmp_seq=(\d+) ttl', text)))
        return max(got, default=0) - len(got), len(got)


A, B, D = key(), key(), key()
netns('a', 'b')
sh('''
ip -n a link add veth0 type veth peer name veth0 netns b
ip -n a addr add 10.9.0.1/24 dev veth0
ip -n b addr add 10.9.0.2/24 dev veth0
ip -n b addr add 10.9.0.3/24 dev veth0
ip -n a link set veth0 up
ip -n b link set veth0 up
ip -n b link add wg0 type wireguard
ip -n b addr add 100.64.0.2/32 dev wg0
ip -n b addr add fd7a:115c:a1e0::2/128 dev wg0
ip -n b link set wg0 up
ip -n b route add 100.64.0.1/32 dev wg0
ip -n b route add fd7a:115c:a1e0::1/128 dev wg0
ip netns exec b wg set wg0 listen-port 50000 private-key <(echo %s) \
    peer %s endpoint 10.9.0.1:%d allowed-ips 100.64.0.1/32,fd7a:115c:a1e0::1/128
''' % (B[0], A[1], PORT))

PEER = 'peer 1 %s 100.64.0.2/32 fd7a:115c:a1e0::2/128' % B[3]
BASE = ['key ' + A[2], 'port %d' % PORT,
        'addr 100.64.0.1/32 fd7a:115c:a1e0::1/128']
ROUTES = 'route 100.64.0.2/32 fd7a:115c:a1e0::2/128 192.168.77.0/24'
STATE = BASE + [ROUTES, PEER]
MIXED = ['route 192.168.77.0/24 fd7a:115c:a1e0::2/128 100.64.0.2/32',
         'addr fd7a:115c:a1e0::1/128 100.64.0.1/32', 'port %d' % PORT,
         'key ' + A[2], 'peer 1 %s fd7a:115c:a1e0::2/128 100.64.0.2/32' % B[3]]
PATH = 'path 1 10.9.0.2:50000 10.9.0.3:50000'

# Without the module nothing comes up.
sh('rmmod tailrace', check=False)
sh('echo blacklist tailrace >/etc/modprobe.d/tailrace-test.conf')
ctl = Ctl()
error = ctl.publish(*STATE)
ok(error.startswith('tailrace.ko is not loaded'), 'no module: %s' % error)
ok('UP' not in a('ip -br link show tailrace0'), 'and the interface is down')
same(wg('peers'), '', 'without peers')
sh('rm /etc/modprobe.d/tailrace-test.conf; modprobe tailrace')
found = ctl.expect(r'applied \d+ (\d+) (.*)')
same(found and (found[1], found[2]), (str(PORT), ''),
     'the module comes: applied')

# What it may do.
status = open('/proc/%d/status' % ctl.kernel).read()
same(re.search(r'Uid:\s+(.*)', status)[1].split(), ['65534'] * 4,
     'the kernel process is not root')
same([re.search(r'Cap%s:\s+(\w+)' % which, status)[1]
      for which in ('Prm', 'Eff', 'Inh', 'Bnd', 'Amb')],
     ['%016x' % (n << 12) for n in (1, 1, 0, 1, 0)],
     'and has CAP_NET_ADMIN and nothing else')
same([re.search(r'%s:\s+(\d)' % which, status)[1]
      for which in ('NoNewPrivs', 'Seccomp')], ['1', '2'],
     'for good, with fewer system calls')

# What is there now.
enter('a')
m = Module()
same(m.get('tailrace0').num('DEVICE_PORT'), PORT, 'the module is attached')
ok(m.get('tailrace0').num('DEVICE_GENERATION'), 'a policy is committed')
same(sorted(m.peers('tailrace0')), [1], 'the module knows the peer')
same(wg('private-key'), A[0], "WireGuard's key")
same(wg('listen-port'), str(PORT), 'its port')
same(wg('fwmark'), '0x80000', 'its mark')
same(sorted(wg('allowed-ips').split()[1:]),
     ['100.64.0.2/32', 'fd7a:115c:a1e0::2/128'], 'its allowed IPs')
ok(' mtu 1280 ' in a('ip link show tailrace0'), 'MTU 1280')
same(re.findall(r'inet6? (\S+)', a('ip addr show tailrace0')),
     ['100.64.0.1/32', 'fd7a:115c:a1e0::1/128'], 'addresses')
same(re.findall(r'^(\S+) dev tailrace0', a('ip route show table 52'), re.M),
     ['100.64.0.2', '192.168.77.0/24'], 'IPv4 routes')
same(re.findall(r'^(\S+) dev tailrace0', a('ip -6 route show table 52'), re.M),
     ['fd7a:115c:a1e0::2'], 'IPv6 routes')
RULES = ['5210: from all fwmark 0x80000/0xff0000 lookup main',
         '5230: from all fwmark 0x80000/0xff0000 lookup default',
         '5250: from all fwmark 0x80000/0xff0000 unreachable',
         '5270: from all lookup 52']


def rules(family):
    return [re.sub(r'\s+', ' ', line) for line in
            a('ip -%d rule' % family).splitlines() if line.startswith('52')]


same(rules(4), RULES, 'IPv4 rules')
same(rules(6), RULES, 'IPv6 rules')

# Paths.
ctl.tell(PATH)
ok(until(lambda: wg('endpoints').endswith('10.9.0.2:50000')),
   'a path sets the endpoint')
same({e: v[1] for e, v in m.aliases('tailrace0').items()},
     {('10.9.0.2', 50000): ('10.9.0.2', 50000),
      ('10.9.0.3', 50000): ('10.9.0.2', 50000)}, 'and the aliases')
same(ping(), 0, 'packets pass')
ok(ctl.expect('active 1'), 'and the engine hears that the peer is active')

# The same again.
before = ctl.changes()
same(ctl.publish(*STATE), '', 'the same state again')
same(ctl.changes(), before, 'sends nothing that changes anything')
same(ctl.publish(*MIXED), '', 'in another order')
same(ctl.changes(), before, 'neither')
ctl.tell(PATH)
same(ctl.changes(), before, 'nor does the same path')

same(ctl.publish(*STATE, 'disco ' + D[3]), '', 'a disco key more')
same(m.peers('tailrace0')[1].get('PEER_DISCO').hex(), D[3], 'is with the peer')
before = ctl.changes()
same(ctl.publish(*STATE, 'disco ' + D[3]), '', 'the same again')
same(ctl.changes(), before, 'changes nothing')
same(ctl.publish(*STATE), '', 'without')
same(m.peers('tailrace0')[1].get('PEER_DISCO'), None, 'it is gone')

# A restart.
stream = Stream()
time.sleep(0.5)
ctl.kill()
time.sleep(0.5)
same(m.state('tailrace0'), 'ORPHANED', 'killed: the policy stays in force')
ctl = Ctl()
same(ctl.publish(*STATE), '', 'a new process applies the state')
same(ctl.changes(), 0, 'and changes nothing')
ctl.tell(PATH)
same(ctl.changes(), 0, 'nor does a path that is there already')
lost, sent = stream.loss()
ok(sent and not lost, 'no packet of %d is lost' % sent)
same(wg('endpoints').split()[1], '10.9.0.2:50000', 'the endpoint stays')

# Settings.


def setting(name):
    return m.get('tailrace0').num('DEVICE_' + name)


before = ctl.changes()
same(ctl.publish(*STATE, 'max-stale 3600'), '', 'a bound of its staleness')
same(setting('MAX_STALE'), 3600, 'is what the module has')
same(ctl.changes(), before + 1, 'by one message')
same(ctl.publish(*STATE, 'max-stale 3600'), '', 'the same again')
same(ctl.changes(), before + 1, 'changes nothing')
ctl.kill()
ctl = Ctl()
same(ctl.publish(*STATE, 'max-stale 3600'), '', 'a new process')
same(ctl.changes(), 0, 'changes nothing')
ctl.tell(PATH)
shown = ctl.stats()
same((shown['state'], shown['max_stale']), ('orphaned', 3600),
     'people can read it')


def status(*flags):
    """What the command line says while no agent answers."""
    done = subprocess.run(
        ['ip', 'netns', 'exec', 'a', *CLI, '--socket=/nonexistent', 'status',
         *flags], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    return done.returncode, done.stdout + done.stderr


found, text = status()
same(found, 3, 'status, without an agent: packets pass')
ok('does not answer' in text and
   re.search(r'tailrace0: orphaned for .*, expires in \d+m', text),
   'and for how long: ' + text.replace('\n', ' '))
found, text = status('--json')
same(json.loads(text.split('tailrace: ')[0])['Devices']['tailrace0']['state'],
     'orphaned', 'as JSON')
same(ctl.publish(*STATE, 'max-stale 1'), '', 'a bound of a second')
ok(until(lambda: m.state('tailrace0') == 'EXPIRED'), 'time is up')
found, text = status()
same((found, bool(re.search('tailrace0: expired for ', text))), (4, True),
     'status: nothing passes')
same(ctl.publish(*STATE), '', 'no bound')
same((setting('MAX_STALE'), m.state('tailrace0')), (0, 'ORPHANED'),
     'the module has none')
same((setting('FLAGS'), setting('FLOWS_MAX')), (0, 262144),
     'what the module does by itself')
before = ctl.changes()
ALL = ['strict', 'flow-table 5000', 'max-stale 60']
same(ctl.publish(*STATE, *ALL), '', 'all settings')
same((setting('FLAGS'), setting('FLOWS_MAX'), setting('MAX_STALE')),
     (C['TAILRACE_DEVICE_STRICT'], 8192, 60), 'are what the module has')
same(ctl.changes(), before + 3, 'each by one message')
same(ctl.publish(*STATE, *ALL), '', 'the same again')
same(ctl.changes(), before + 3, 'changes nothing')
same(ctl.publish(*STATE, *ALL, 'deny'), '', 'another policy')
same((setting('FLAGS'), setting('FLOWS_MAX'), setting('MAX_STALE')),
     (C['TAILRACE_DEVICE_STRICT'], 8192, 60), 'leaves them')
same(ctl.publish(*STATE), '', 'none of them')
same((setting('FLAGS'), setting('FLOWS_MAX'), setting('MAX_STALE')),
     (0, 262144, 0), 'the module is as at first')

# The agent's socket.
ctl.tell('steer 4')
ctl.expect('steer ')
ctl.tell('steer-port')
same(int(ctl.expect(r'steer-port (\d+)')[1]), PORT,
     "the steer socket sends from WireGuard's port")
same(m.state('tailrace0'), 'ACTIVE', 'and the module knows it')

# A long list of other peers, their addresses moving about, under traffic.
MANY = ['peer %d %s 100.65.%d.%d/32 172.16.%d.%d/32' % (
    i, '%064x' % (i << 8), i >> 8, i & 255, i >> 8, i & 255)
    for i in range(2, 1002)]
MOVED = ['peer %d %s 100.65.%d.%d/32 172.16.%d.%d/32' % (
    i, '%064x' % (i << 8), i >> 8, i & 255, i + 1 >> 8, i + 1 & 255)
    for i in range(2, 502)]
stream = Stream()
same(ctl.publish(*STATE, *MANY), '', '1000 more peers')
same(len(wg('peers').split()), 1001, 'are there')
same(len(m.peers('tailrace0')), 1001, 'and in the module')
before = ctl.changes()
same(ctl.publish(*STATE, *MANY), '', 'once more')
same(ctl.changes(), before, 'changes nothing')
same(ctl.publish(*STATE, *MOVED), '', '500 go, 500 pass an address on')
same({k: set(ips) for k, *ips in map(str.split,
                                    wg('allowed-ips').splitlines())},
     {base64.b64encode(bytes.fromhex(k)).decode(): set(ips)
      for _, _, k, *ips in map(str.split, MOVED + [PEER])},
     'each allowed IP is where it should be')
same(len(m.peers('tailrace0')), 501, 'the module forgot the others')
same(ctl.publish(*STATE[:-1], PEER + ' 192.168.77.0/24'), '', 'one more prefix')
same(ctl.publish(*STATE), '', 'one less')
same(sorted(wg('allowed-ips').split()[1:]),
     ['100.64.0.2/32', 'fd7a:115c:a1e0::2/128'], 'and only that one')
same(len(wg('peers').split()), 1, 'no helper peer is left')
lost, sent = stream.loss()
ok(sent and not lost, 'no packet of %d is lost' % sent)

# The policy.
same(ctl.publish(*STATE, 'deny'), '', 'a policy without rules')
same(ping(2, 0.3, seconds=0), 2, 'nothing passes')
same(ctl.publish(*STATE), '', 'with a rule again')
same(ping(), 0, 'it passes')
generation = m.get('tailrace0').num('DEVICE_GENERATION')
same(ctl.publish(*STATE, 'nopolicy'), '', 'a state without a policy')
same(m.get('tailrace0').num('DEVICE_GENERATION'), generation,
     'leaves the one that is in force')
ctl.publish(*STATE)

# What others do is undone.
a('ip route flush table 52')
ok(until(lambda: '192.168.77.0/24' in a('ip route show table 52') and
         'fd7a' in a('ip -6 route show table 52')),
   'routes that were flushed come back')
a('ip rule del priority 5270; ip -6 rule del priority 5210; '
  'ip rule add priority 5230 from 1.2.3.4 lookup default')
ok(until(lambda: rules(4) == RULES and rules(6) == RULES),
   'so do rules, and what is in their place goes')
a('ip addr del 100.64.0.1/32 dev tailrace0; '
  'ip addr add 100.99.0.1/32 dev tailrace0')
ok(until(lambda: re.findall(r'inet (\S+)', a('ip addr show tailrace0')) ==
         ['100.64.0.1/32']), 'addresses')
a('ip link set tailrace0 down')
ok(until(lambda: 'fd7a' in a('ip -6 route show table 52') and
         '192.168.77.0' in a('ip route show table 52')),
   'the interface comes up again, with all that went')
same(ping(start='a', to='100.64.0.2'), 0, 'and packets pass')
wg_peer = wg('peers')
a('wg set tailrace0 peer %s remove; ip route flush table 52' % wg_peer)
ok(until(lambda: wg('endpoints').endswith('10.9.0.2:50000')),
   'a peer that was removed comes back with its endpoint')
same(ctl.publish(*STATE, *ALL), '', 'all settings once more')
a('ip link del tailrace0')
ok(until(lambda: '192.168.77.0' in a('ip route show table 52', False) and
         'fd7a' in a('ip -6 route show table 52')), 'even the interface')
ctl.tell('steer-port')
same(int(ctl.expect(r'steer-port (\d+)')[1]), PORT,
     'with the steer socket bound again')
same((setting('FLAGS'), setting('FLOWS_MAX'), setting('MAX_STALE')),
     (C['TAILRACE_DEVICE_STRICT'], 8192, 60), 'and all settings')
same(ping(start='a', to='100.64.0.2'), 0, 'and packets pass')
before = ctl.changes()
same(ctl.publish(*STATE, *ALL), '', 'then the same state')
same(ctl.changes(), before, 'changes nothing')
same(ctl.publish(*STATE), '', 'none of them again')
same((setting('FLAGS'), setting('FLOWS_MAX'), setting('MAX_STALE')),
     (0, 262144, 0), 'and the module has none')

# The module goes: nothing passes unfiltered. It comes back: all is well.
sh('echo blacklist tailrace >/etc/modprobe.d/tailrace-test.conf; '
   'rmmod tailrace')
found = ctl.expect(r'applied \d+ \d+ (tailrace.ko is not loaded.*)')
ok(found, 'the module is unloaded: the engine hears it')
ok('UP' not in a('ip -br link show tailrace0'), 'and the interface is down')
sh('rm /etc/modprobe.d/tailrace-test.conf; modprobe tailrace')
same(ctl.expect(r'applied \d+ \d+ (.*)')[1], '', 'it is loaded: applied')
m = Module()
same(m.state('tailrace0'), 'ACTIVE', 'with a policy and the socket')
same(set(m.aliases('tailrace0')), {('10.9.0.2', 50000), ('10.9.0.3', 50000)},
     'and the aliases')
same(ping(start='a', to='100.64.0.2'), 0, 'and packets pass')
same(ctl.publish(*STATE), '', 'the same state')

# Roaming, that the engine didn't ask for.
ctl.lines.clear()
b('wg set wg0 listen-port 50001')
b('ping -n -q -c 2 -i 0.2 -W 3 100.64.0.1', False)
found = ctl.expect(r'roamed 1 (.*)')
same(found and found[1], '10.9.0.2:50001', 'WireGuard roamed: told')
before = ctl.changes()
ctl.publish(*STATE)
same(ctl.changes(), before, 'and left there')
ctl.tell('path 1 10.9.0.2:50001')
ok(until(lambda: set(m.aliases('tailrace0')) == {('10.9.0.2', 50001)}),
   'the engine follows')

# A key rotation: the new peer's path names the same endpoint.
ctl.publish(*BASE, ROUTES, PEER.replace('peer 1', 'peer 2'))
ctl.tell('path 2 10.9.0.2:50001')
ok(until(lambda: m.aliases('tailrace0').get(('10.9.0.2', 50001),
                                             (0,))[0] == 2),
   'an endpoint goes from one peer to another')
ctl.publish(*BASE, ROUTES, PEER, 'peer 3 %s 100.64.0.9/32' % D[3])
ctl.tell('path 3 10.9.0.2:50001')
ok(until(lambda: m.aliases('tailrace0').get(('10.9.0.2', 50001),
                                             (0,))[0] == 3),
   'to the newest path, while both are there')
ctl.tell('path 1 10.9.0.2:50001')
ok(until(lambda: m.aliases('tailrace0').get(('10.9.0.2', 50001),
                                             (0,))[0] == 1), 'and back')

# The outside world.
same(ctl.publish(*STATE), '', 'one peer again')
ctl.stats()
a('ip addr add 10.9.0.77/24 dev veth0')
ok(ctl.expect('link'), 'an address more: told')
ctl.stats()
before = ctl.links
a('ip route add 10.77.0.0/24 via 10.9.0.2')
a('ip addr replace 10.9.0.77/24 dev veth0 valid_lft 900 preferred_lft 900')
for i in range(2):  # repair takes as long as a look at the outside
    a('ip addr add 100.64.9.9/32 dev tailrace0')
    until(lambda: '100.64.9.9' not in a('ip addr show tailrace0'))
ctl.stats()
same(ctl.links, before,
     'one that is renewed, or on our interface, or a route: not')
a('ip route add default via 10.9.0.2')
ok(ctl.expect('link'), 'a default route: told')

# Ports.
same(ctl.publish(*STATE, 'port 41999'), '', 'another port')
same((ctl.port, wg('listen-port')), (41999, '41999'), 'is WireGuard\'s')
same(m.get('tailrace0').num('DEVICE_PORT'), 41999, 'and the module\'s')
with inside('a'):
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    other.bind(('0.0.0.0', 42000))
same(ctl.publish(*STATE, 'port 42000'), '', 'one that is in use')
same(ctl.port, 41999, 'is not taken')
before = ctl.changes()
ctl.publish(*STATE, 'port 42000')
same(ctl.changes(), before, 'nor tried again')
same(ctl.publish(*STATE, 'down'), '', 'down')
same(a('ip link show tailrace0', False).count('mtu'), 0, 'no interface')
same(rules(4) + rules(6), [], 'no rules')
same(ctl.publish(*STATE, 'port 42000'), '', 'up on a port that is in use')
ok(ctl.port not in (0, 42000), 'takes another: %d' % ctl.port)
same(m.get('tailrace0').num('DEVICE_PORT'), ctl.port, 'the module too')
same(ctl.publish(*STATE, 'down'), '', 'down')
same(ctl.publish(*STATE, 'port 0'), '', 'up on any port')
ok(ctl.port and str(ctl.port) == wg('listen-port'), 'has one: %d' % ctl.port)
same(ctl.publish(*STATE, 'if tailnet7'), '', 'another name')
ok('tailnet7' in a('ip -br link') and 'tailrace0' not in a('ip -br link'),
   'and the old interface is gone')

# Without IPv6.
a('sysctl -qw net.ipv6.conf.tailnet7.disable_ipv6=1')
same(ctl.publish(*STATE, 'if tailnet7'), '', 'IPv6 is off: no error')

# The end.
same(ctl.end(), 0, 'the engine goes: the kernel process ends')
ok('tailnet7' in a('ip -br link'), 'and leaves everything')
with inside('a'):
    sh('%s --cleanup tailnet7' % ' '.join(CTL))
ok('tailnet7' not in a('ip -br link'), 'cleanup removes it')
same(rules(4) + rules(6), [], 'with the rules')
done()
