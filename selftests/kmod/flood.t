#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Strangers from everywhere, as fast as the machine sends, and a peer that pings
# among them.
#
#   namespace a                          namespace b
#   wg0, port 41641, the agent           a peer; flood.c
#   veth 192.0.2.1  fd01::1 <==========> veth 192.0.2.2  fd01::2
#
# What gets through is bounded by the time it takes, so a slow machine asks for
# less; that the peer is answered is not.
import os

from tailrace import *

PINGS, SECONDS = 20, 1  # at least
FLOOD = os.path.join(BUILD, 'flood')
MAGIC = bytes.fromhex('5453f09f92ac')
STUN = bytes.fromhex('010100002112a442')
KNOWN = bytes(range(1, 33))
PORT, BUFFER = 41641, 7 << 20  # what the agent asks for
RATE, BURST = 1024, 512  # of all strangers, for one kind of packets
PEER_RATE, PEER_BURST = 512, 1024
ADDRESS = {4: '192.0.2.1', 6: 'fd01::1'}

netns('a', 'b')
sh('''
ip link add veth netns a address 02:00:00:00:00:01 type veth peer name veth netns b
for n in a:1 b:2; do
	ns=${n%:*} i=${n#*:}
	ip -n $ns addr add 192.0.2.$i/24 dev veth
	ip -n $ns addr add fd01::$i/64 dev veth nodad
	ip -n $ns link set veth up
done
ip netns exec a sysctl -qw net.ipv4.conf.all.rp_filter=0 \\
	net.ipv4.conf.veth.rp_filter=0
ip -n a route add 10.0.0.0/8 dev veth
ip -n a route add fd18::/16 dev veth
ip -n a link add wg0 type wireguard
wg genkey | ip netns exec a wg set wg0 listen-port 41641 private-key /dev/stdin
ip -n a link set wg0 up
''')
enter('a')
m = Module()
m.attach('wg0', PORT)
m.policy('wg0')
m.peer('wg0', 2, ['10.9.0.2'], disco=[KNOWN, bytes([1]) * 32, bytes([2]) * 32])
agents, peers = {}, {}
for version in ADDRESS:
    agents[version] = udp('a', '::' if version == 6 else '0.0.0.0')
    agents[version].setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER)
    m.bind('wg0', agents[version])
    peers[version] = udp('b', 'fd01::2' if version == 6 else '192.0.2.2')
    agents[version].setblocking(False)
    peers[version].setblocking(False)


def waiting(sock):
    """What is in its queue."""
    while True:
        try:
            yield sock.recvfrom(2048)
        except BlockingIOError:
            return


def begin(version, kind, *key):
    """flood.c until it is killed."""
    words = [FLOOD, 'veth', ADDRESS[version], PORT, kind, 1 << 40, 0, *key]
    with inside('b'):
        return subprocess.Popen(list(map(str, words)),
                                stdout=subprocess.DEVNULL)


class Flood:
    """
    flood.c, and pings of the peer meanwhile, which the agent answers: .sent,
    .answered, .heard of strangers, .seconds, .counts.
    """

    COUNTERS = ('STEER_DISCO', 'STEER_STUN', 'STEER_GENEVE', 'STEER_LIMITED')

    def __init__(self, version, kind, *key):
        self.version, self.sent, self.heard = version, 0, 0
        self.answers = set()
        before = self.read()
        start = time.monotonic()
        flood = begin(version, kind, *key)
        rounds = 0
        while rounds < PINGS or time.monotonic() - start < SECONDS:
            rounds += 1
            if not key:
                self.ping()
            self.look()
            time.sleep(0.01)
        flood.kill()
        flood.wait()
        self.seconds = time.monotonic() - start
        until(lambda: not self.look(), 5)
        self.counts = dict(zip(self.COUNTERS, (
            now - then for now, then in zip(self.read(), before))))
        self.total = sum(self.counts.values())

    def read(self):
        return [m.stat('wg0', name) for name in self.COUNTERS]

    def ping(self):
        peers[self.version].sendto(
            MAGIC + KNOWN + struct.pack('I', self.sent) + bytes(60),
            (ADDRESS[self.version], PORT))
        self.sent += 1

    def look(self):
        """The agent's work, and the peer's. Return: whether there was any."""
        worked = False
        for data, source in waiting(agents[self.version]):
            worked = True
            if data[6:38] == KNOWN and source[0] in ('192.0.2.2', 'fd01::2'):
                agents[self.version].sendto(data, source)
            else:
                self.heard += 1
        for data, _ in waiting(peers[self.version]):
            worked = True
            self.answers.add(data[38:42])
        return worked


def check(name, flood):
    # A machine that is busy elsewhere may lose one on the way.
    ok(len(flood.answers) >= 0.9 * flood.sent > 0,
       '%s: %d of %d pings answered' % (name, len(flood.answers), flood.sent))
    ok(0 < flood.heard <= BURST + RATE * (flood.seconds + 1),
       '%s: %d of %d strangers heard in %.1f s' %
       (name, flood.heard, flood.total - flood.sent, flood.seconds))
    print('# %.0f a second; %s' % (flood.total / flood.seconds, flood.counts),
          flush=True)


check('disco over IPv4', Flood(4, 'disco'))
check('disco over IPv6', Flood(6, 'disco'))
check('disco in Geneve', Flood(4, 'geneve'))
check('STUN', Flood(4, 'stun'))

# A flood of one kind leaves room for another.
flood = begin(4, 'disco')
before = m.stat('wg0', 'STEER_LIMITED')
until(lambda: m.stat('wg0', 'STEER_LIMITED') > before + 1000)
peers[4].sendto(STUN + bytes(12), ('192.0.2.1', PORT))
ok(until(lambda: any(data[:8] == STUN for data, _ in waiting(agents[4]))),
   'STUN comes through a flood of disco')
flood.kill()
flood.wait()
list(waiting(agents[4]))

# Who names the peer is limited as that peer, and costs nobody else.
liars = Flood(4, 'disco', KNOWN.hex())
passed = liars.counts['STEER_DISCO']
ok(0 < passed <= PEER_BURST + PEER_RATE * (liars.seconds + 1),
   'a peer, or who names it, has a limit too: %d of %d in %.1f s' %
   (passed, liars.total, liars.seconds))

# An agent that does not read loses what its buffer does not hold, no more.
time.sleep(2)
sh('ip netns exec b %s veth 192.0.2.1 %d stun 6000 0' % (FLOOD, PORT))
INFO = 55  # SO_MEMINFO
memory = struct.unpack_from('2I', agents[4].getsockopt(socket.SOL_SOCKET, INFO,
                                                       64))
ok(memory[0] <= memory[1] // 2,
   'strangers leave half of its queue free: %d of %d bytes' % memory)
same(m.state('wg0'), 'ACTIVE', 'the module is well')
done()
