# SPDX-License-Identifier: GPL-2.0
"""Crafted packets through a tunnel: the site that they go through, the headers.

  namespace a: tailrace on wg0, 100.64.0.1      namespace b: plain wg0 with
                                                .2, .3, .4
       veth 10.0.0.1 ---------------- 10.0.0.2
"""
import socket
import struct

from tailrace import inside, netns, sh

TCP, UDP, ICMP, ICMP6, GRE, SCTP, FRAGMENT = 6, 17, 1, 58, 47, 132, 44
IGMP, TSMP = 2, 99
SYN, ACK, SYNACK, RST = 0x02, 0x10, 0x12, 0x04


def ip4(proto, src, dst, payload, offset=0, more=False, options=b''):
    return struct.pack('!BBHHHBBH4s4s', 0x45 + len(options) // 4, 0,
                       20 + len(options) + len(payload), 1,
                       offset | more << 13, 64, proto, 0,
                       socket.inet_aton(src), socket.inet_aton(dst)) + \
        options + payload


def ip6(proto, src, dst, payload):
    return struct.pack('!IHBB', 6 << 28, len(payload), proto, 64) + \
        socket.inet_pton(socket.AF_INET6, src) + \
        socket.inet_pton(socket.AF_INET6, dst) + payload


def ports(sport, dport, rest=16, flags=None):
    data = bytearray(struct.pack('!HH', sport, dport) + b'\0' * rest)
    if flags is not None:
        data[12:14] = 0x50, flags
    return bytes(data)


def fragment6(proto, offset, more, payload):
    return struct.pack('!BBHI', proto, 0, offset << 3 | more, 1) + payload


def question(packet):
    """What Module.ask() takes; None for a packet that has no words for it."""
    words = {}
    if packet[0] >> 4 == 4:
        head, proto, family = (packet[0] & 15) * 4, packet[9], socket.AF_INET
        size, fragment = struct.unpack_from('!HxxH', packet, 2)
        if size != len(packet) or fragment & 0x3fff or \
                not 20 <= head <= size:
            return None
        src, dst = (socket.inet_ntop(family, packet[i:i + 4])
                    for i in (12, 16))
    else:
        head, proto, family = 40, packet[6], socket.AF_INET6
        size, = struct.unpack_from('!H', packet, 4)
        if len(packet) < 40 or 40 + size != len(packet) or proto == FRAGMENT:
            return None
        src, dst = (socket.inet_ntop(family, packet[i:i + 16])
                    for i in (8, 24))
    rest = packet[head:]
    if len(rest) < {TCP: 20, UDP: 8, SCTP: 12, ICMP: 8, ICMP6: 8, TSMP: 7,
                    IGMP: 8}.get(proto, 0):
        return None
    if proto in (TCP, UDP, SCTP):
        words['sport'], words['dport'] = struct.unpack_from('!HH', rest)
    if proto == TCP:
        words['tcp_flags'] = rest[13]
    if proto == (ICMP if family == socket.AF_INET else ICMP6):
        words['icmp_type'], words['icmp_code'] = rest[:2]
    return dict(src=src, dst=dst, proto=proto, **words)


def site():
    """Fresh namespaces a and b with the tunnel; the module is loaded."""
    netns('a', 'b')
    sh('''
ip link add va netns a type veth peer name vb netns b
ip -n a addr add 10.0.0.1/24 dev va; ip -n a link set va up
ip -n b addr add 10.0.0.2/24 dev vb; ip -n b link set vb up
for n in a b; do
	ip -n $n link add wg0 type wireguard
	ip -n $n link set wg0 addrgenmode none
	wg genkey >/tmp/key.$n
done
pub() { wg pubkey </tmp/key.$1; }
ip netns exec a wg set wg0 private-key /tmp/key.a listen-port 41641 \
	peer $(pub b) endpoint 10.0.0.2:41642 \
	allowed-ips 100.64.0.0/24,10.9.0.0/24,fd7a:115c:a1e0::/48
ip netns exec b wg set wg0 private-key /tmp/key.b listen-port 41642 \
	peer $(pub a) endpoint 10.0.0.1:41641 allowed-ips 0.0.0.0/0,::/0
ip -n a addr add 100.64.0.1/32 dev wg0
ip -n a addr add fd7a:115c:a1e0::1/128 dev wg0
for i in 2 3 4; do
	ip -n b addr add 100.64.0.$i/32 dev wg0
	ip -n b addr add fd7a:115c:a1e0::$i/128 dev wg0
done
for n in a b; do
	ip -n $n link set wg0 up
	ip -n $n route add 100.64.0.0/24 dev wg0
	ip -n $n route add fd7a:115c:a1e0::/48 dev wg0
done
''')


class Sender:
    """
    Puts packets into b's tunnel from a packet socket: nobody corrects them on
    the way, and b's own stack is kept from answering what comes back.
    """

    def __init__(self):
        sh('''ip netns exec b nft -f - <<-END
table inet quiet {
	chain output {
		type filter hook output priority 0;
		oifname wg0 drop
	}
}
END''')
        with inside('b'):
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)

    def send(self, packet):
        kind = 0x0800 if packet[0] >> 4 == 4 else 0x86dd
        self.sock.sendto(packet, ('wg0', kind))

    def close(self):
        self.sock.close()
        sh('ip netns exec b nft delete table inet quiet')
