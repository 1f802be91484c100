# SPDX-License-Identifier: GPL-2.0
"""Network namespaces, what is in them, and waiting for what happens there."""
import ctypes
import os
import re
import socket
import subprocess
import sys
import time

if sys.version_info < (3, 10):
    TimeoutError = socket.timeout

# Time limits are for giving up, not for judging; scripts/vm knows which kernel
# needs longer ones.
PATIENCE = float(os.environ.get('TAILRACE_PATIENCE', '1'))

libc = ctypes.CDLL(None, use_errno=True)
index = socket.if_nametoindex


def sh(command, check=True, **kwargs):
    done = subprocess.run(['bash', '-ec', command], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          **kwargs)
    if check and done.returncode:
        raise RuntimeError('%s: %s' % (command, done.stdout))
    return done.stdout.strip()


def enter(name):
    """This process goes to a named namespace."""
    fd = os.open('/run/netns/' + name, os.O_RDONLY)
    if libc.setns(fd, 0x40000000):
        raise OSError(ctypes.get_errno(), 'setns ' + name)
    os.close(fd)


def replies(name):
    """Echo replies that a namespace's kernel has taken in."""
    text = sh("ip netns exec %s cat /proc/net/snmp" % name)
    names, values = re.findall(r'^IcmpMsg:(.*)', text, re.M) or ('', '')
    return int(dict(zip(names.split(), values.split())).get('InType0', 0))


def answered(name, count, before, seconds=10):
    """
    How many of the count pings that namespace sent since replies() was before
    were answered, late ones included: ping itself gives the last one no more
    than its interval once it has got any.
    """
    until(lambda: replies(name) - before >= count, seconds)
    return replies(name) - before


class inside:
    """with inside('a'): ... runs in namespace a and comes back."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        self.back = os.open('/proc/self/ns/net', os.O_RDONLY)
        enter(self.name)

    def __exit__(self, *_):
        libc.setns(self.back, 0x40000000)
        os.close(self.back)


def netns(*names):
    """Fresh namespaces, and a fresh module before them."""
    sh('modprobe -r tailrace; modprobe tailrace')
    for name in names:
        sh('ip netns del %s 2>/dev/null || :; ip netns add %s; '
           'ip -n %s link set lo up' % (name, name, name))
        sh('ip netns exec %s sysctl -qw net.ipv6.conf.all.accept_dad=0 '
           'net.ipv6.conf.default.accept_dad=0' % name)


def pair():
    """Two nodes and a tunnel; the module is to be attached in a.

    namespace a                             namespace b
    wg0, port 41641                         wg0, port 51820
    veth 192.0.2.1, fd01::1    <=========>  veth 192.0.2.2, fd01::2
         10.9.0.1, fd09::1, in the tunnel        10.9.0.2, fd09::2
    """
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
	ip -n $ns addr add fd09::$i/64 dev wg0 nodad
done
ip netns exec a wg set wg0 listen-port 41641 private-key <(echo $key_a) \\
	peer $(wg pubkey <<<$key_b) allowed-ips 10.9.0.2/32,fd09::2/128
ip netns exec b wg set wg0 listen-port 51820 private-key <(echo $key_b) \\
	peer $(wg pubkey <<<$key_a) allowed-ips 10.9.0.1/32,fd09::1/128 \\
	endpoint 192.0.2.1:41641
ip -n a link set wg0 up
ip -n b link set wg0 up
''')


def raw(name, proto, family=socket.AF_INET):
    """A raw socket in namespace name."""
    with inside(name):
        sock = socket.socket(family, socket.SOCK_RAW, proto)
        sock.settimeout(5 * PATIENCE)
        return sock


def udp(name, addr='0.0.0.0', port=0):
    """A UDP socket in namespace name."""
    with inside(name):
        family = socket.AF_INET6 if ':' in addr else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((addr, port))
        sock.settimeout(5 * PATIENCE)
        return sock


def heard(sock, seconds=5):
    """(payload, (address, port)) or None."""
    sock.settimeout(seconds * PATIENCE)
    try:
        data, source = sock.recvfrom(65536)
    except TimeoutError:
        return None
    return data, source[:2]


def until(condition, seconds=10, pause=0.02):
    """Waits for something that has to happen, without saying when."""
    end = time.monotonic() + seconds * PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True
