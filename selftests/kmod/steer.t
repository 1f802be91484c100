#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Sharing WireGuard's port.
#
#   namespace a                        namespace b
#   wg0, port 41641                    wg0, port 51820
#   veth 192.0.2.1  fd01::1 <========> veth 192.0.2.2  fd01::2
#        10.9.0.1, in the tunnel            10.9.0.2
#
# The agent's sockets are in a; what b sends to port 41641 of a must reach
# them, WireGuard, or nobody.
import os

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
done
ip netns exec a wg set wg0 listen-port 41641 private-key <(echo $key_a) \
	peer $(wg pubkey <<<$key_b) allowed-ips 10.9.0.2/32
ip netns exec b wg set wg0 listen-port 51820 private-key <(echo $key_b) \
	peer $(wg pubkey <<<$key_a) allowed-ips 10.9.0.1/32 \
	endpoint 192.0.2.1:41641
ip -n a link set wg0 up
ip -n b link set wg0 up
''')
enter('a')
m = Module()
DISCO = bytes.fromhex('5453f09f92ac') + bytes(range(32)) + bytes(24 + 40)
STUN = bytes.fromhex('0101 0000 2112a442') + bytes(12)
GENEVE = bytes.fromhex('0080 7a11 000001 00')
agent4, agent6 = udp('a'), udp('a', '::')
out4, out6 = udp('b', '192.0.2.2', 5000), udp('b', 'fd01::2', 5000)


def send4(data):
    out4.sendto(data, ('192.0.2.1', 41641))


def send6(data):
    out6.sendto(data, ('fd01::1', 41641))


def ping(count=1):
    before = replies('b')
    sh('ip netns exec b ping -c %d -i 0.2 -W 5 10.9.0.1' % count, check=False)
    # of one it has waited for the answer itself
    return answered('b', count, before, 10 if count > 1 else 0) == count


ok(ping(), 'the tunnel works without us')
m.attach('wg0', 41641)
ok(not ping(), 'attached: nothing passes before a policy')
ok(m.drops('wg0', 'NO_POLICY') > 0, 'which is counted')
m.policy('wg0')
ok(ping(), 'with a policy it works again')
same(m.state('wg0'), 'ORPHANED', 'without an agent')
send4(DISCO)
ok(until(lambda: m.stat('wg0', 'STEER_NO_SOCKET') == 1),
   'disco that nobody wants is counted')

m.bind('wg0', agent4)
m.bind('wg0', agent6)
same(m.state('wg0'), 'ACTIVE', 'with one')
same((agent4.getsockname()[1], agent6.getsockname()[1]), (41641, 41641),
     "the sockets' port")

for name, send, sock, source in (
        ('IPv4', send4, agent4, ('192.0.2.2', 5000)),
        ('IPv6', send6, agent6, ('fd01::2', 5000))):
    for what, data in (('disco', DISCO), ('STUN', STUN),
                       ('Geneve disco', GENEVE + DISCO),
                       ('disco of 38 bytes', DISCO[:38])):
        send(data)
        same(heard(sock), (data, source), '%s: %s arrives' % (name, what))
    for what, data in (
            ('an empty one', b''), ('one byte', b'\7'),
            ('disco of 37 bytes', DISCO[:37]),
            ('STUN of 19 bytes', STUN[:19]),
            ('STUN of another method', b'\1\2' + STUN[2:]),
            ('Geneve WireGuard', bytes.fromhex('00007a1200000100') + DISCO),
            ('Geneve with options', b'\0\1' + GENEVE[2:] + DISCO),
            ('Geneve disco cut short', GENEVE + DISCO[:37]),
            ('WireGuard', b'\1\0\0\0' + bytes(144)), ('noise', b'x' * 100)):
        send(data)
    send(DISCO)
    same(heard(sock), (DISCO, source), '%s: and nothing else does' % name)
same([m.stat('wg0', 'STEER_' + s) for s in ('DISCO', 'STUN', 'GENEVE')],
     [6, 2, 2], 'all are counted')

# NAT-PMP comes from the gateway's port alone.
pmp = udp('b', '192.0.2.2', 5351)
answer = bytes([0, 128, 0, 0]) + bytes(8)
pmp.sendto(answer, ('192.0.2.1', 41641))
same(heard(agent4), (answer, ('192.0.2.2', 5351)), 'NAT-PMP arrives')
same(m.stat('wg0', 'STEER_PORTMAP'), 1, 'and is counted')

# The other way.
agent4.sendto(b'hello', ('192.0.2.2', 5000))
same(heard(out4), (b'hello', ('192.0.2.1', 41641)),
     "what the agent sends leaves from WireGuard's port")
agent6.sendto(b'hello', ('fd01::2', 5000))
same(heard(out6), (b'hello', ('fd01::1', 41641)), 'IPv6 too')
m.set_port('wg0', 41700)
sh('wg set wg0 listen-port 41700')
agent4.sendto(b'hello', ('192.0.2.2', 5000))
same(heard(out4), (b'hello', ('192.0.2.1', 41700)), 'and from its new port')
out4.sendto(DISCO, ('192.0.2.1', 41700))
same(heard(agent4), (DISCO, ('192.0.2.2', 5000)), 'where it is reached')
m.set_port('wg0', 41641)
sh('wg set wg0 listen-port 41641')
ok(ping(), 'the tunnel does not mind')

# GRO lists: a train of one flow in one packet, with disco behind and between
# WireGuard's. Segments of UDP GSO cross a veth as one.
UDP_SEGMENT = 103


def train(sock, target, size, *segments):
    sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, size)
    sock.sendto(b''.join(segments), target)
    sock.setsockopt(socket.IPPROTO_UDP, UDP_SEGMENT, 0)


DATA = b'\4\0\0\0' + bytes(196)
LONG = DISCO + bytes(200 - len(DISCO))
before = m.stat('wg0', 'WG_RX')
train(out4, ('192.0.2.1', 41641), 200, DATA, DATA, LONG, DATA, DISCO)
same([heard(agent4), heard(agent4)],
     [(LONG, ('192.0.2.2', 5000)), (DISCO, ('192.0.2.2', 5000))],
     'disco within and behind a train of WireGuard packets')
same(m.stat('wg0', 'WG_RX') - before, 3, 'and the rest is WireGuard\'s')
train(out6, ('fd01::1', 41641), 200, DATA, LONG, DATA)
same(heard(agent6), (LONG, ('fd01::2', 5000)), 'IPv6 too')
train(out4, ('192.0.2.1', 41641), 200, DATA, DATA, DATA)
ok(until(lambda: m.stat('wg0', 'WG_RX') - before >= 8),
   'a train of WireGuard alone stays whole and is counted')

sh('ethtool -K veth gro on rx-gro-list on tx-udp-segmentation off; '
   'ip netns exec b ethtool -K veth tx-udp-segmentation off gro on')
for _ in range(20):
    train(out4, ('192.0.2.1', 41641), 200, DATA, DATA, DATA, DISCO)
ok(all(heard(agent4) == (DISCO, ('192.0.2.2', 5000)) for _ in range(20)),
   'fraglist GRO loses none either')

# One source prefix does not drown the others.
limited = m.stat('wg0', 'STEER_LIMITED')
with inside('b'):
    sh('ip addr add 198.51.100.1/24 dev veth')
sh('ip route add 198.51.100.0/24 dev veth')
agent4.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
for _ in range(200):
    train(out4, ('192.0.2.1', 41641), len(DISCO), *[DISCO] * 60)
ok(until(lambda: m.stat('wg0', 'STEER_LIMITED') > limited + 500),
   'a flood is limited, and counted')
agent4.setblocking(False)
try:
    while True:
        agent4.recv(2048)
except BlockingIOError:
    pass
other = udp('b', '198.51.100.1', 5000)
other.sendto(DISCO, ('192.0.2.1', 41641))
same(heard(agent4), (DISCO, ('198.51.100.1', 5000)),
     'another prefix is still heard')
ok(ping(3), 'and so is the peer')

# The agent dies.
agent4.close()
agent6.close()
ok(until(lambda: m.state('wg0') == 'ORPHANED'), 'the agent is missed')
nobody = m.stat('wg0', 'STEER_NO_SOCKET')
other.sendto(DISCO, ('192.0.2.1', 41641))
ok(until(lambda: m.stat('wg0', 'STEER_NO_SOCKET') == nobody + 1),
   'its disco is dropped')
ok(ping(3), 'and traffic goes on')
agent4 = udp('a')
m.bind('wg0', agent4)
same(m.state('wg0'), 'ACTIVE', 'until another one comes')
other.sendto(DISCO, ('192.0.2.1', 41641))
same(heard(agent4), (DISCO, ('198.51.100.1', 5000)), 'who is served at once')

# Unload with traffic from all sides. Hooks of somebody else keep the kernel
# from patching its own text each time: QEMU's emulation may run on with a
# breakpoint of the patching that is long gone, and hang in int3 for ever.
for ns in 'a', 'b':
    sh('''ip netns exec %s nft -f - <<END
table inet keep {
	chain input { type filter hook input priority 0; }
}
table netdev keep {
	chain ingress { type filter hook ingress device veth priority 0; }
}
END
''' % ns)
    # not before 5.16
    sh('''ip netns exec %s nft 'add chain netdev keep egress {
        type filter hook egress device veth priority 0; }' || true''' % ns)
flood = subprocess.Popen(['ip', 'netns', 'exec', 'b', 'ping', '-f', '-q',
                          '10.9.0.1'], stdout=subprocess.DEVNULL)
noise = subprocess.Popen(['ip', 'netns', 'exec', 'b', sys.executable, '-c', '''
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    s.sendto(bytes.fromhex('5453f09f92ac') + bytes(90), ('192.0.2.1', 41641))
'''])
m.nl.close()
for _ in range(5):
    time.sleep(0.3)
    sh('rmmod tailrace')
    time.sleep(0.1)
    sh('modprobe tailrace')
    m = Module()
    m.attach('wg0', 41641)
    m.bind('wg0', agent4)
    m.policy('wg0')
    m.nl.close()
flood.kill()
noise.kill()
ok(ping(), 'loaded and unloaded under traffic')
done()
