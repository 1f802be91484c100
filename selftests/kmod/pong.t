#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Disco pings while the agent is dead: the module answers them.
#
#   namespace a                          namespace b
#   wg0, port 41641
#   veth 192.0.2.1  fd01::1 <==========> veth 192.0.2.2  fd01::2
#        192.0.2.11                           198.51.100.1
#
# Whether the module keeps silent is told by its counters, which show that it
# has seen a packet, and by the answer to the next good ping being the first
# that b hears.
import ctypes.util
import os

from tailrace import *

sodium = ctypes.CDLL(ctypes.util.find_library('sodium'))
MAGIC = bytes.fromhex('5453f09f92ac')
PING, PONG = 1, 2
MARK = 0x80000

netns('a', 'b')
sh('''
ip link add veth netns a type veth peer name veth netns b
for n in a:1 b:2; do
	ns=${n%:*} i=${n#*:}
	ip -n $ns addr add 192.0.2.$i/24 dev veth
	ip -n $ns addr add fd01::$i/64 dev veth nodad
	ip -n $ns link set veth up
done
ip -n a addr add 192.0.2.11/24 dev veth
ip -n a route add 198.51.100.0/24 dev veth
ip -n b addr add 198.51.100.1/24 dev veth
ip -n a link add wg0 type wireguard
wg genkey | ip netns exec a wg set wg0 listen-port 41641 private-key /dev/stdin
ip -n a link set wg0 up
''')
enter('a')
m = Module()
m.attach('wg0', 41641)


class Node:
    """Somebody with a disco key."""

    def __init__(self):
        public, private = (ctypes.create_string_buffer(32) for _ in 'ab')
        sodium.crypto_box_keypair(public, private)
        self.public, self.private = public.raw, private.raw

    def shared(self, other):
        out = ctypes.create_string_buffer(32)
        sodium.crypto_box_beforenm(out, other.public, self.private)
        return out.raw

    def keys(self, peer):
        """What the module is told of a peer."""
        return peer.public, self.public, self.shared(peer)

    def seal(self, other, plain):
        nonce = os.urandom(24)
        box = ctypes.create_string_buffer(len(plain) + 16)
        sodium.crypto_box_easy_afternm(box, plain,
                                       ctypes.c_ulonglong(len(plain)), nonce,
                                       self.shared(other))
        return MAGIC + self.public + nonce + box.raw

    def open(self, other, packet):
        """The plaintext of a packet, None when it is not from other."""
        if packet[:38] != MAGIC + other.public:
            return None
        plain = ctypes.create_string_buffer(len(packet) - 78)
        if sodium.crypto_box_open_easy_afternm(
                plain, packet[62:], ctypes.c_ulonglong(len(packet) - 62),
                packet[38:62], self.shared(other)):
            return None
        return plain.raw

    def ping(self, other, txid, kind=PING, version=0, rest=bytes(32)):
        return self.seal(other, bytes([kind, version]) + txid + rest)


def pong(txid, source):
    ip = ipaddress.ip_address(source[0])
    mapped = ip.packed if ip.version == 6 else \
        bytes(10) + b'\xff\xff' + ip.packed
    return bytes([PONG, 0]) + txid + mapped + struct.pack('!H', source[1])


own, peer, stranger = Node(), Node(), Node()
V4, V6 = ('192.0.2.1', 41641), ('fd01::1', 41641)
out4, out6 = udp('b', '192.0.2.2', 5000), udp('b', 'fd01::2', 5001)


def seen():
    """Disco that came while there was no agent."""
    return m.stat('wg0', 'STEER_NO_SOCKET')


def answered(name, sock=out4, to=V4, me=peer, us=own, source=None, **kwargs):
    """A good ping is answered, and nothing has been before it."""
    txid = os.urandom(12)
    sock.sendto(me.ping(us, txid, **kwargs), to)
    got = heard(sock)
    source = source or sock.getsockname()[:2]
    same(got and (me.open(us, got[0]), got[1]), (pong(txid, source), to), name)


def silent(name, packets, sock=out4, to=V4, probe=True):
    """Each packet is seen, and none answered."""
    before, pongs = seen(), m.stat('wg0', 'STEER_PONGS')
    for i in range(0, len(packets), 200):
        for packet in packets[i:i + 200]:
            sock.sendto(packet, to)
        count = before + min(len(packets), i + 200)
        if not until(lambda: seen() == count):
            break
        # The rate limit is of another test.
        time.sleep(0.4)
    same((seen() - before, m.stat('wg0', 'STEER_PONGS') - pongs),
         (len(packets), 0), name)
    if probe:
        answered(name + ', but the next is', sock, to)


# Keys.
refused('EINVAL', 'threes', m.peer, 'wg0', 1, disco=own.keys(peer)[:2])
refused('EINVAL', 'zero', m.peer, 'wg0', 1,
        disco=(peer.public, bytes(32), bytes(range(32))))
refused('ERANGE', '', m.peer, 'wg0', 1, disco=(b'short',))
m.peer('wg0', 1, addrs=['10.9.0.2/32'], disco=own.keys(peer))
m.peer('wg0', 2, addrs=['10.9.0.3/32'])
p = m.peers('wg0')
same((p[1].get('PEER_DISCO'), p[1].get('PEER_DISCO_OWN'),
      p[1].get('PEER_DISCO_SHARED')), (peer.public, own.public, None),
     'the public keys can be read, the secret cannot')
same(p[2].get('PEER_DISCO'), None, 'not every peer has any')

# Before a policy.
same(m.state('wg0'), 'CLOSED', 'before the first policy')
silent('there is no answer', [peer.ping(own, bytes(12))], probe=False)
m.policy('wg0')
same(m.state('wg0'), 'ORPHANED', 'with a policy and no agent')

# What is answered.
count = m.stat('wg0', 'STEER_PONGS')
answered('a ping over IPv4')
answered('one over IPv6', out6, V6)
same(m.stat('wg0', 'STEER_PONGS') - count, 2, 'both are counted')
answered('one to another of our addresses', to=('192.0.2.11', 41641))
answered('one from another of theirs', udp('b', '198.51.100.1', 5000))
answered('one of another version', version=7)
answered('one without a node key', rest=b'')
answered('a padded one', rest=bytes(1372 - 92))
answered('a padded one over IPv6', out6, V6, rest=bytes(1332 - 92))
with inside('b'):
    scope = index('veth')
with inside('a'):
    local = [a for a in sh("ip -6 -o addr show dev veth scope link").split()
             if a.startswith('fe80')][0].split('/')[0]
with inside('b'):
    link = [a for a in sh("ip -6 -o addr show dev veth scope link").split()
            if a.startswith('fe80')][0].split('/')[0]
    sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    sock.bind((link, 5002, 0, scope))
txid = os.urandom(12)
sock.sendto(peer.ping(own, txid), (local, 41641, 0, scope))
got = heard(sock)
same(got and (peer.open(own, got[0]), got[1][0].split('%')[0]),
     (pong(txid, (link, 5002)), local), 'one between link-local addresses')

# What is not.
good = peer.ping(own, bytes(range(12)))
silent('a stranger gets no answer', [stranger.ping(own, bytes(12))])
silent('nor one who lends a known name',
       [MAGIC + peer.public + stranger.ping(own, bytes(12))[38:]])
silent('nor our own pings, come back',
       [own.ping(peer, bytes(12)), own.ping(own, bytes(12))])
silent('nor other messages',
       [peer.ping(own, bytes(12), kind=k, rest=bytes(200))
        for k in (0, *range(2, 12), 255)])
silent('nor a ping cut short', [good[:n] for n in range(38, len(good))])
silent('nor what opens to too little',
       [peer.seal(own, bytes([PING, 0] + [0] * n)[:n]) for n in range(14)])
flipped = []
for bit in range(38 * 8, len(good) * 8, 5):
    packet = bytearray(good)
    packet[bit // 8] ^= 1 << bit % 8
    flipped.append(bytes(packet))
silent('nor one with a flipped bit', flipped)
silent('nor random bytes behind a good name',
       [MAGIC + peer.public + os.urandom(n) for n in range(0, 1400, 7)])
silent('nor one too long', [peer.ping(own, bytes(12), rest=bytes(1500))])
silent('nor a stranger over IPv6', [stranger.ping(own, bytes(12))], out6, V6)
silent('nor a flipped bit over IPv6', flipped[:50], out6, V6)
out4.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
silent('nor a broadcast', [good], to=('192.0.2.255', 41641), probe=False)
silent('nor a multicast', [good], to=('224.0.0.1', 41641), probe=False)
answered('but the next is')

# The checksum is that of a packet built here.
with inside('b'):
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
    raw.bind(('192.0.2.2', 0))


def raw_ping(txid, check):
    payload = peer.ping(own, txid)
    raw.sendto(struct.pack('!HHHH', 5000, 41641, 8 + len(payload), check) +
               payload, V4)


before, pongs = seen(), m.stat('wg0', 'STEER_PONGS')
raw_ping(bytes(12), 0xdead)
ok(until(lambda: seen() == before + 1) and
   m.stat('wg0', 'STEER_PONGS') == pongs, 'a bad checksum: no answer')
raw_ping(b'no check sum', 0)
got = heard(out4)
same(got and peer.open(own, got[0]), pong(b'no check sum', ('192.0.2.2', 5000)),
     'none at all: an answer')

# The host's firewall has its say, as it has with WireGuard's packets.
CHAINS = """
add table inet t
add chain inet t input { type filter hook input priority 0; }
add chain inet t output { type filter hook output priority 0; }
"""
for name, sock, to in (('IPv4', out4, V4), ('IPv6', out6, V6)):
    sh('nft -f -', input=CHAINS + 'add rule inet t input udp sport %d drop' %
       sock.getsockname()[1])
    silent('the firewall keeps it out, ' + name, [good], sock, to,
           probe=False)
    sh('nft delete table inet t')
    answered('the firewall lets it in, ' + name, sock, to)
    sh('nft -f -', input=CHAINS + """
       add rule inet t input ct state invalid drop
       add rule inet t output ct state invalid drop""")
    answered('connection tracking is content, ' + name, sock, to)
    sh('nft delete table inet t')

# Several peers with one key, and a key of ours that changes.
m.peer('wg0', 2, disco=own.keys(peer))
m.unpeer('wg0', 1)
answered('one key, two peers, one is deleted')
later = Node()
m.peer('wg0', 1, disco=later.keys(peer))
answered('the newest of our keys counts', us=later)
silent('the old one does not', [good], probe=False)
m.peer('wg0', 1)
m.peer('wg0', 2)
silent('peers without keys', [good, peer.ping(later, bytes(12))], probe=False)
m.peer('wg0', 1, disco=own.keys(peer))
answered('and with them again')

# While there is an agent.
agent4, agent6 = udp('a'), udp('a', '::')
for agent in agent4, agent6:
    agent.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, MARK)
    m.bind('wg0', agent)
for name, sock, to, agent in (('IPv4', out4, V4, agent4),
                              ('IPv6', out6, V6, agent6)):
    pongs = m.stat('wg0', 'STEER_PONGS')
    packet = peer.ping(own, os.urandom(12))
    sock.sendto(packet, to)
    same(heard(agent), (packet, sock.getsockname()[:2]),
         '%s: a living agent gets its pings' % name)
    agent.sendto(b'mine', sock.getsockname())
    same(heard(sock), (b'mine', to), '%s: and answers alone' % name)
    same(m.stat('wg0', 'STEER_PONGS') - pongs, 0, '%s: as counted' % name)
agent6.close()
silent('it lives while it has one socket', [good], out6, V6, probe=False)
agent4.close()
answered('dead, it is stood in for at once')
answered('over IPv6 as well', out6, V6)

# Answers go the way the agent's would have gone.
sh('''
for f in -4 -6; do
	ip $f rule add pref 90 fwmark %d lookup main
done
ip -4 rule add pref 100 to 192.0.2.2 unreachable
ip -6 rule add pref 100 to fd01::2 unreachable
''' % MARK)
ok(sh('ping -c 1 -W 1 192.0.2.2', check=False).find('nreachable') >= 0,
   'b is unreachable for others')
answered('the answer bears the mark of the agent')
answered('in IPv6 too', out6, V6)
sh('''
for f in -4 -6; do
	ip $f rule del pref 90
done
''')
silent('without a route there is no answer', [good], probe=False)
sh('ip -4 rule del pref 100; ip -6 rule del pref 100')
sh('ip route add 198.51.100.1 dev wg0')
silent('nor into the tunnel', [good], udp('b', '198.51.100.1', 5000),
       probe=False)
sh('ip route del 198.51.100.1 dev wg0')
answered('and with a route again')

# A flood, within limits: 512 a second and 1024 at once. A slow machine may not
# get that far.
pongs, start = m.stat('wg0', 'STEER_PONGS'), time.monotonic()
for _ in range(5000):
    out4.sendto(good, V4)
seconds = time.monotonic() - start
pongs = m.stat('wg0', 'STEER_PONGS') - pongs
ok(0 < pongs <= 1024 + 512 * (seconds + 1), 'a flood is limited')
print('# %d of 5000 answered in %.1f s' % (pongs, seconds))
while heard(out4, seconds=0.2):
    pass

# A policy that nobody looks after for too long is not helped along.
time.sleep(3)
m.set_max_stale('wg0', 1)
same(m.state('wg0'), 'EXPIRED', 'without an agent for too long')
silent('there is no answer any more', [peer.ping(own, bytes(12))], probe=False)
m.set_max_stale('wg0', 0)
same(m.state('wg0'), 'ORPHANED', 'not too long any more')
answered('and there is one again')

# And then the device goes, and the module.
noise = subprocess.Popen(['ip', 'netns', 'exec', 'b', sys.executable, '-c', '''
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    s.sendto(bytes.fromhex(sys.argv[1]), ('192.0.2.1', 41641))
''', good.hex()])
for _ in range(20):
    m.peer('wg0', 1, disco=own.keys(peer))
    m.unpeer('wg0', 1)
    m.peer('wg0', 1, disco=later.keys(peer))
for _ in range(5):
    m.detach('wg0')
    m.attach('wg0', 41641)
    m.peer('wg0', 1, disco=own.keys(peer))
    m.policy('wg0')
m.nl.close()
sh('rmmod tailrace; modprobe tailrace')
noise.kill()
m = Module()
same(m.devices(), [], 'keys, device and module come and go under a flood')
done()
