#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Several paths to one peer, and one endpoint for WireGuard.
#
#   namespace a                             namespace b
#   wg0, port 41641                         wg0, port 51820
#   veth 192.0.2.1, 192.0.2.101  <=======>  veth 192.0.2.2, 198.51.100.2
#        fd01::1                                 fd01::2
#        10.9.0.1, in the tunnel                 10.9.0.2
#
# All that b's WireGuard sends goes to a relay, this program, which passes it
# on to a by the paths of its choice, and takes back what comes by any:
#
#   direct  192.0.2.2:6001    -> 192.0.2.1
#   other   198.51.100.2:6002 -> 192.0.2.101
#   six     [fd01::2]:6003    -> fd01::1
#   derp    127.1.2.3:6004    -> 127.0.0.1, within a
import select
import threading

from tailrace import *

netns('a', 'b')
sh('''
ip link add veth netns a type veth peer name veth netns b
key_a=$(wg genkey) key_b=$(wg genkey)
for n in a:1 b:2; do
	ns=${n%:*} i=${n#*:}
	ip -n $ns addr add 192.0.2.$i/24 dev veth
	ip -n $ns addr add fd01::$i/64 dev veth nodad
	ip -n $ns link set veth up
	ip -n $ns link add wg0 type wireguard
	ip -n $ns addr add 10.9.0.$i/24 dev wg0
	# so that sums are made and checked
	ip netns exec $ns ethtool -K veth tx off >/dev/null
done
ip -n a addr add 192.0.2.101/24 dev veth
ip -n b addr add 198.51.100.2/24 dev veth
ip -n a route add 198.51.100.0/24 dev veth
ip netns exec a wg set wg0 listen-port 41641 private-key <(echo $key_a) \
	peer $(wg pubkey <<<$key_b) allowed-ips 10.9.0.2/32
ip netns exec b wg set wg0 listen-port 51820 private-key <(echo $key_b) \
	peer $(wg pubkey <<<$key_a) allowed-ips 10.9.0.1/32 \
	endpoint 192.0.2.2:6000
ip -n a link set wg0 up
ip -n b link set wg0 up
''')
enter('a')
m = Module()
m.attach('wg0', 41641)
m.policy('wg0')
PEER = sh('wg show wg0 peers')
ENDS = {'direct': ('192.0.2.2', 6001), 'other': ('198.51.100.2', 6002),
        'six': ('fd01::2', 6003), 'derp': ('127.1.2.3', 6004)}
TARGETS = {'direct': '192.0.2.1', 'other': '192.0.2.101', 'six': 'fd01::1',
           'derp': '127.0.0.1'}


class Relay(threading.Thread):
    """Runs until stopped; paths and how to use them may change meanwhile."""

    def __init__(self):
        super().__init__(daemon=True)
        self.tap = udp('b', '192.0.2.2', 6000)
        self.socks = {name: udp('a' if name == 'derp' else 'b', *end)
                      for name, end in ENDS.items()}
        self.names = {sock: name for name, sock in self.socks.items()}
        self.use()
        self.start()

    def use(self, *paths, all_of_them=False, train=0):
        self.paths, self.all, self.train = paths, all_of_them, train
        self.turn, self.queue = 0, []
        self.back = {}

    def send(self, path, data, size=0):
        self.socks[path].setsockopt(socket.IPPROTO_UDP, 103, size)
        self.socks[path].sendto(data, (TARGETS[path], 41641))

    def forth(self, data):
        if self.train:
            # Several of one length in one packet.
            self.queue.append(data)
            same_size = [d for d in self.queue if len(d) == len(data)]
            if data[0] != 4 or len(same_size) >= self.train:
                path = self.paths[self.turn % len(self.paths)]
                self.turn += 1
                self.send(path, b''.join(same_size), len(data))
                self.queue = []
            return
        paths = self.paths
        if not self.all and paths:
            paths = [paths[self.turn % len(paths)]]
            self.turn += 1
        for path in paths:
            self.send(path, data)

    def run(self):
        while True:
            ready, _, _ = select.select([self.tap, *self.names], [], [])
            for sock in ready:
                data, source = sock.recvfrom(65536)
                if sock is self.tap:
                    self.forth(data)
                else:
                    self.back.setdefault(self.names[sock],
                                         set()).add(source[:2])
                    self.tap.sendto(data, ('192.0.2.2', 51820))


def text(end):
    return ('[%s]:%d' if ':' in end[0] else '%s:%d') % end


def endpoint_now():
    return sh('wg show wg0 endpoints').split('\t')[1]


def ping(count, extra=''):
    """The endpoints WireGuard had meanwhile, and how many answers came."""
    seen = set()
    before = replies('b')
    with subprocess.Popen(
            'ip netns exec b ping -q -c %d -i %.2f %s 10.9.0.1 >/dev/null'
            % (count, 0.04, extra), shell=True) as child:
        while child.poll() is None:
            seen.add(endpoint_now())
            time.sleep(0.1)
    received = answered('b', count, before)
    seen.add(endpoint_now())
    return seen, received


relay = Relay()
relay.use('direct', 'other', 'six', 'derp')
seen, received = ping(40)
ok(received > 0 and len(seen) > 1,
   'without aliases the endpoint flaps: %d seen' % len(seen))
ok(m.stat('wg0', 'WG_UNKNOWN') > 0, 'which are nobody\'s')

events = Netlink(events='events')
for first in ENDS:
    others = [name for name in ENDS if name != first]
    m.alias('wg0', 7, ENDS[first], [ENDS[name] for name in others])
    sh('wg set wg0 peer %s endpoint %s' % (PEER, text(ENDS[first])))
    unknown = m.stat('wg0', 'WG_UNKNOWN')

    relay.use(*others)
    same(ping(20), ({text(ENDS[first])}, 20),
         '%s is canonical, all comes by others' % first)
    relay.use(*ENDS)
    before = m.aliases('wg0')
    same(ping(40), ({text(ENDS[first])}, 40), '%s, in turns' % first)
    after = m.aliases('wg0')
    ok(all(after[ENDS[name]][2] - before[ENDS[name]][2] >= 5 for name in ENDS),
       'every path counts its own')
    same(set(relay.back), {first}, 'and answers go by %s alone' % first)
    same({addr for addr, _ in relay.back[first]}, {TARGETS[first]},
         'from the address it is reached at')
    relay.use(*ENDS, all_of_them=True)
    same(ping(20), ({text(ENDS[first])}, 20), '%s, all at once' % first)
    relay.use('derp', train=4)
    seen, received = ping(40, '-l 8')
    ok(seen == {text(ENDS[first])} and received >= 32,
       '%s, in trains over loopback: %d of 40' % (first, received))
    same(m.stat('wg0', 'WG_UNKNOWN'), unknown, 'none of them is unknown')

sums = sh("awk '/^Udp:/ && $2 ~ /[0-9]/ {print $8}' /proc/net/snmp")
same(sums, '0', 'all sums were right')
sums = sh("awk '$1 == \"Udp6InCsumErrors\" {print $2}' /proc/net/snmp6")
same(sums, '0', 'of IPv6 too')

# A direct path is moved to another address of the peer.
m.alias('wg0', 7, ENDS['direct'], [ENDS['derp']])
relay.use('direct')
same(ping(5)[1], 5, 'a direct path')
same(set(m.aliases('wg0')), {ENDS['direct'], ENDS['derp']},
     'what is not named any more is gone')
relay.use('other')
while events.event(seconds=0.1):
    pass
time.sleep(1)
seen, received = ping(20)
ok(received == 20 and endpoint_now() == text(ENDS['other']),
   'an endpoint that is nobody\'s still moves WireGuard')
note = events.event('SOURCE_NTF')
same(note and endpoint_text(note.get('EVENT_ENDPOINT')), ENDS['other'],
     'and the agent is told')

# Whose is it?
refused('EEXIST', 'another peer', m.alias, 'wg0', 8, ('192.0.2.9', 1),
        [('192.0.2.10', 1), ENDS['derp']])
same(set(m.aliases('wg0')), {ENDS['direct'], ENDS['derp']},
     'a refused request changes nothing')
m.alias('wg0', 7, ENDS['direct'], [ENDS['direct'], ENDS['six'], ENDS['six']])
same(set(m.aliases('wg0')), {ENDS['direct'], ENDS['six']}, 'doubles count once')
m.alias('wg0', 8, ENDS['derp'])
refused('EINVAL', 'port', m.alias, 'wg0', 9, ('192.0.2.9', 0))
refused('EINVAL', 'missing', m.nl.do, 'ALIAS_SET',
        u32(C['TAILRACE_A_ALIAS_IFINDEX'], index('wg0')),
        u32(C['TAILRACE_A_ALIAS_PEER'], 9))
refused('EINVAL', 'family', m.nl.do, 'ALIAS_SET',
        u32(C['TAILRACE_A_ALIAS_IFINDEX'], index('wg0')),
        u32(C['TAILRACE_A_ALIAS_PEER'], 9),
        attr(C['TAILRACE_A_ALIAS_CANONICAL'], bytes(20)))
refused('EINVAL', 'reserved', m.nl.do, 'ALIAS_SET',
        u32(C['TAILRACE_A_ALIAS_IFINDEX'], index('wg0')),
        u32(C['TAILRACE_A_ALIAS_PEER'], 9),
        attr(C['TAILRACE_A_ALIAS_CANONICAL'],
             endpoint('192.0.2.9', 1)[:-1] + b'\1'))
refused('EINVAL', 'broken', m.nl.do, 'ALIAS_SET',
        u32(C['TAILRACE_A_ALIAS_IFINDEX'], index('wg0')),
        u32(C['TAILRACE_A_ALIAS_PEER'], 9),
        attr(C['TAILRACE_A_ALIAS_CANONICAL'], endpoint('192.0.2.9', 1)),
        attr(C['TAILRACE_A_ALIAS_SEEN'], bytes(30)))
refused('E2BIG', 'too many', m.alias, 'wg0', 9, ('192.0.2.9', 1),
        [('192.0.2.9', n) for n in range(2, 67)])
m.unalias('wg0', 7)
refused('ENOENT', 'no endpoints', m.unalias, 'wg0', 7)
same(set(m.aliases('wg0')), {ENDS['derp']}, 'one peer deleted')
for n in range(1, 400):
    m.alias('wg0', n + 100, ('198.18.%d.%d' % (n // 256, n % 256), 7),
            [('2001:db8::%x' % n, 7)])
same(len(m.aliases('wg0')), 799, 'a dump of many messages')
done()
