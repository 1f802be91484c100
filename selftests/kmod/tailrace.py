# SPDX-License-Identifier: GPL-2.0
"""What the module's tests share: the netlink interface, namespaces, TAP.

The numbers come from uapi/tailrace.h itself, so that a test never speaks
another dialect than the module was built with.
"""
import ctypes
import errno
import ipaddress
import os
import re
import socket
import struct
import subprocess
import sys
import time

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..')
HEADER = os.path.join(TOP, 'uapi/tailrace.h')
BUILD = os.path.join(TOP, 'build')


def built(name):
    """
    The start of a command that runs a program of ours. What the machine has
    may be older: it runs with the loader and the libraries it was built with.
    """
    return [os.path.join(BUILD, 'lib/ld.so'), '--library-path',
            os.path.join(BUILD, 'lib'), os.path.join(BUILD, name)]


def _constants():
    """TAILRACE_X = number, for every enumerator and plain #define."""
    text = re.sub(r'/\*.*?\*/', '', open(HEADER).read(), flags=re.S)
    found = {}
    for name, value in re.findall(r'#define (TAILRACE_\w+) (\d+)\s', text):
        found[name] = int(value)
    for body in re.findall(r'enum(?: \w+)? \{(.*?)\}', text, flags=re.S):
        n = 0
        for item in body.split(','):
            name, _, value = (s.strip() for s in item.partition('='))
            if not name:
                continue
            if value:
                n = eval(value, {})
            found[name] = n
            n += 1
    return found


C = _constants()

if sys.version_info < (3, 10):
    TimeoutError = socket.timeout
STATES = {C['TAILRACE_STATE_' + s]: s
          for s in ('CLOSED', 'ACTIVE', 'ORPHANED', 'EXPIRED')}

# Time limits are for giving up, not for judging; scripts/vm knows which kernel
# needs longer ones.
PATIENCE = float(os.environ.get('TAILRACE_PATIENCE', '1'))

# Generic netlink, as much of it as is needed.
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLM_F_DUMP_INTR = 0x10
NLMSG_ERROR, NLMSG_DONE, GENL_ID_CTRL = 2, 3, 16
NLMSGERR_ATTR_MSG = 1
SO_RCVBUFFORCE = 33
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_BROADCAST_ERROR = 270, 1, 4
NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK = 10, 11, 12


class Error(OSError):
    """What the kernel answered: .errno, .name (EPERM ...) and .text."""

    def __init__(self, number, text):
        super().__init__(number, text or os.strerror(number))
        self.text = text
        self.name = errno.errorcode.get(number, str(number))


def attr(kind, data, nested=False):
    if isinstance(data, str):
        data = data.encode() + b'\0'
    size = 4 + len(data)
    kind |= 0x8000 if nested else 0
    return struct.pack('HH', size, kind) + data + b'\0' * (-size % 4)


def u32(kind, n):
    return attr(kind, struct.pack('I', n))


def attrs(data):
    """[(kind, bytes), ...]"""
    found = []
    while len(data) >= 4:
        size, kind = struct.unpack_from('HH', data)
        if size < 4 or size > len(data):
            raise ValueError('attribute of %d bytes in %d' % (size, len(data)))
        found.append((kind & 0x3fff, data[4:size]))
        data = data[(size + 3) & ~3:]
    return found


class Message:
    """A reply or an event: .cmd, .flags, get(attribute name)."""

    def __init__(self, data, flags):
        self.cmd = data[0]
        self.flags = flags
        self.attrs = attrs(data[4:])

    def all(self, name):
        kind = C['TAILRACE_A_' + name]
        return [data for k, data in self.attrs if k == kind]

    def get(self, name):
        found = self.all(name)
        return found[0] if found else None

    def num(self, name):
        data = self.get(name)
        if data is None:
            return None
        return int.from_bytes(data, sys.byteorder)

    def array(self, name):
        data = self.get(name)
        return list(struct.unpack('%dQ' % (len(data) // 8), data))


class Netlink:
    """
    A socket that speaks the tailrace family of its namespace, and listens to
    a multicast group of it: events or flows.
    """

    def __init__(self, events=None):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.sock.bind((0, 0))
        self.seq = 0
        self.strays = []  # notifications that came before an answer
        self.family, self.groups = self._resolve()
        if events:
            self.sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
                                 self.groups[events])
            self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
            self.sock.setsockopt(SOL_NETLINK, NETLINK_BROADCAST_ERROR, 1)

    def close(self):
        self.sock.close()

    def _resolve(self):
        (kind, reply), *_ = self._talk(GENL_ID_CTRL, 3, attr(2, 'tailrace'), 1)
        found = dict(attrs(reply[4:]))
        groups = {}
        for _, group in attrs(found.get(7, b'')):
            one = dict(attrs(group))
            groups[one[1].rstrip(b'\0').decode()] = \
                struct.unpack('I', one[2])[0]
        return struct.unpack('H', found[1])[0], groups

    def _talk(self, family, cmd, payload, version, flags=NLM_F_ACK):
        self.seq += 1
        body = struct.pack('BBH', cmd, version, 0) + payload
        self.sock.send(struct.pack('IHHII', 16 + len(body), family,
                                   NLM_F_REQUEST | flags, self.seq, 0) + body)
        replies = []
        while True:
            data = self.sock.recv(1 << 20)
            while data:
                size, kind, got, seq, _ = struct.unpack_from('IHHII', data)
                body, data = data[16:size], data[(size + 3) & ~3:]
                if not seq:
                    self.strays.append(Message(body, got))
                if seq != self.seq:
                    continue
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    code = struct.unpack_from('i', body)[0] if body else 0
                    if code < 0:
                        raise Error(-code, self._text(kind, got, body))
                    return replies
                replies.append((got, body))

    @staticmethod
    def _text(kind, flags, body):
        if not flags & 0x200:  # NLM_F_ACK_TLVS
            return ''
        rest = body[4 + 16:] if kind == NLMSG_ERROR else body[4:]
        text = dict(attrs(rest)).get(NLMSGERR_ATTR_MSG, b'')
        return text.rstrip(b'\0').decode()

    def do(self, cmd, *payload):
        found = self._talk(self.family, C['TAILRACE_CMD_' + cmd],
                           b''.join(payload), 1)
        return [Message(body, flags) for flags, body in found]

    def dump(self, cmd, *payload):
        found = self._talk(self.family, C['TAILRACE_CMD_' + cmd],
                           b''.join(payload), 1, NLM_F_DUMP)
        return [Message(body, flags) for flags, body in found]

    def event(self, cmd=None, want=lambda m: True, seconds=10):
        """The next event of that kind; None when none comes."""
        end = time.monotonic() + seconds * PATIENCE
        while True:
            left = end - time.monotonic()
            if left <= 0:
                return None
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(1 << 20)
            except TimeoutError:
                return None
            _, _, flags, _, _ = struct.unpack_from('IHHII', data)
            message = Message(data[16:], flags)
            if cmd and message.cmd != C['TAILRACE_CMD_' + cmd]:
                continue
            if want(message):
                return message


# The interface's types.

def address(text):
    """struct tailrace_addr of '*', a prefix, an address or a range a-b."""
    if text == '*':
        return struct.pack('BBH32x', C['TAILRACE_ADDR_ANY'], 0, 0)
    if '-' in text:
        first, last = (ipaddress.ip_address(s) for s in text.split('-'))
        kind = 'TAILRACE_ADDR_RANGE%d' % first.version
        return struct.pack('BBH16s16s', C[kind], 0, 0, first.packed,
                           last.packed)
    net = ipaddress.ip_network(text)
    return struct.pack('BBH16s16x', C['TAILRACE_ADDR_PREFIX%d' % net.version],
                       net.prefixlen, 0, net.network_address.packed)


def destination(text, first=0, last=65535):
    return address(text) + struct.pack('HH', first, last)


def endpoint(addr, port):
    ip = ipaddress.ip_address(addr)
    family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
    return struct.pack('=BB', family, 0) + struct.pack('!H', port) + \
        struct.pack('16s', ip.packed)


def endpoint_text(data):
    size = 4 if data[0] == socket.AF_INET else 16
    return ipaddress.ip_address(data[4:4 + size]).compressed, \
        struct.unpack_from('!H', data, 2)[0]


class Module:
    """The commands, for one namespace."""

    def __init__(self):
        self.nl = Netlink()

    @staticmethod
    def settings(dev, port=None, **numbers):
        """What DEV_ATTACH and DEV_SET take, by the attributes' names."""
        payload = u32(C['TAILRACE_A_DEVICE_IFINDEX'], index(dev))
        if port is not None:
            payload += attr(C['TAILRACE_A_DEVICE_PORT'], struct.pack('H', port))
        for name, number in numbers.items():
            payload += u32(C['TAILRACE_A_DEVICE_' + name.upper()], number)
        return payload

    def attach(self, dev, port, **numbers):
        self.nl.do('DEV_ATTACH', self.settings(dev, port, **numbers))

    def set(self, dev, **settings):
        self.nl.do('DEV_SET', self.settings(dev, **settings))

    def detach(self, dev):
        self.nl.do('DEV_DETACH', u32(C['TAILRACE_A_DEVICE_IFINDEX'],
                                     index(dev)))

    def set_port(self, dev, port):
        self.set(dev, port=port)

    def get(self, dev):
        return self.nl.do('DEV_GET', u32(C['TAILRACE_A_DEVICE_IFINDEX'],
                                         index(dev)))[0]

    def set_max_stale(self, dev, seconds):
        self.nl.do('DEV_SET', u32(C['TAILRACE_A_DEVICE_IFINDEX'], index(dev)),
                   u32(C['TAILRACE_A_DEVICE_MAX_STALE'], seconds))

    def state(self, dev):
        return STATES[self.get(dev).num('DEVICE_STATE')]

    def devices(self):
        return self.nl.dump('DEV_GET')

    def bind(self, dev, sock):
        self.nl.do('SOCKET_BIND', u32(C['TAILRACE_A_DEVICE_IFINDEX'],
                                      index(dev)),
                   u32(C['TAILRACE_A_DEVICE_FD'], sock.fileno()))

    def begin(self, dev):
        self.nl.do('POLICY_BEGIN', u32(C['TAILRACE_A_POLICY_IFINDEX'],
                                       index(dev)))

    def add(self, dev, local=(), rules=()):
        payload = u32(C['TAILRACE_A_POLICY_IFINDEX'], index(dev))
        if local:
            payload += attr(C['TAILRACE_A_POLICY_LOCAL'],
                            b''.join(map(address, local)))
        for one in rules:
            payload += attr(C['TAILRACE_A_POLICY_RULE'], one, nested=True)
        self.nl.do('POLICY_ADD', payload)

    def commit(self, dev, flags=0):
        return self.nl.do('POLICY_COMMIT',
                          u32(C['TAILRACE_A_POLICY_IFINDEX'], index(dev)),
                          u32(C['TAILRACE_A_POLICY_FLAGS'], flags)
                          )[0].num('POLICY_GENERATION')

    def policy(self, dev, local=('*',), rules=None, flags=0):
        """Replaces the policy; by default everything passes."""
        self.begin(dev)
        self.add(dev, local, [rule(protos=range(1, 256))]
                 if rules is None else rules)
        return self.commit(dev, flags)

    def policies(self, dev):
        return self.nl.dump('POLICY_GET',
                            u32(C['TAILRACE_A_POLICY_IFINDEX'], index(dev)))

    def hits(self, dev, first=None):
        """[(id, hits), ...] in the order of the policy; all, or the first."""
        found = []
        for m in self.policies(dev):
            for data in m.all('POLICY_RULE'):
                one = dict(attrs(data))
                found.append(tuple(int.from_bytes(
                    one[C['TAILRACE_A_RULE_' + name]], sys.byteorder)
                    for name in ('ID', 'HITS')))
                if len(found) == first:
                    return found
        return found

    @staticmethod
    def paths_of(data):
        return [struct.unpack_from('4Q', data, at)
                for at in range(0, len(data), 32)]

    def paths(self, dev, peer):
        """rx packets, rx bytes, tx packets, tx bytes: DERP, IPv4, IPv6."""
        return self.paths_of(self.peers(dev)[peer].get('PEER_PATHS'))

    def device_paths(self, dev):
        return self.paths_of(self.stats(dev).get('STATS_PATHS'))

    def alias(self, dev, peer, canonical, seen=()):
        payload = u32(C['TAILRACE_A_ALIAS_IFINDEX'], index(dev)) + \
            u32(C['TAILRACE_A_ALIAS_PEER'], peer) + \
            attr(C['TAILRACE_A_ALIAS_CANONICAL'], endpoint(*canonical))
        if seen:
            payload += attr(C['TAILRACE_A_ALIAS_SEEN'],
                            b''.join(endpoint(*e) for e in seen))
        self.nl.do('ALIAS_SET', payload)

    def unalias(self, dev, peer):
        self.nl.do('ALIAS_DEL', u32(C['TAILRACE_A_ALIAS_IFINDEX'], index(dev)),
                   u32(C['TAILRACE_A_ALIAS_PEER'], peer))

    def aliases(self, dev):
        """{(address, port): (peer, canonical, packets)}"""
        found = {}
        for m in self.nl.dump('ALIAS_GET', u32(C['TAILRACE_A_ALIAS_IFINDEX'],
                                               index(dev))):
            found[endpoint_text(m.get('ALIAS_SEEN'))] = (
                m.num('ALIAS_PEER'), endpoint_text(m.get('ALIAS_CANONICAL')),
                m.num('ALIAS_RX_PACKETS'))
        return found

    def peer(self, dev, number, addrs=(), routes=(), caps=(), flags=0,
             disco=()):
        """disco: the peer's public key, ours, and the secret of the two."""
        payload = u32(C['TAILRACE_A_PEER_IFINDEX'], index(dev)) + \
            u32(C['TAILRACE_A_PEER_ID'], number) + \
            u32(C['TAILRACE_A_PEER_FLAGS'], flags)
        if addrs:
            payload += attr(C['TAILRACE_A_PEER_ADDRS'],
                            b''.join(map(address, addrs)))
        if routes:
            payload += attr(C['TAILRACE_A_PEER_ROUTES'],
                            b''.join(map(address, routes)))
        if caps:
            payload += attr(C['TAILRACE_A_PEER_CAPS'],
                            struct.pack('%dI' % len(caps), *caps))
        for kind, key in zip(('', '_OWN', '_SHARED'), disco):
            payload += attr(C['TAILRACE_A_PEER_DISCO' + kind], key)
        self.nl.do('PEER_SET', payload)

    def unpeer(self, dev, number):
        self.nl.do('PEER_DEL', u32(C['TAILRACE_A_PEER_IFINDEX'], index(dev)),
                   u32(C['TAILRACE_A_PEER_ID'], number))

    def peers(self, dev):
        return {m.num('PEER_ID'): m for m in self.nl.dump(
            'PEER_GET', u32(C['TAILRACE_A_PEER_IFINDEX'], index(dev)))}

    def stats(self, dev):
        return self.nl.do('STATS_GET', u32(C['TAILRACE_A_STATS_IFINDEX'],
                                           index(dev)))[0]

    def stat(self, dev, name):
        return self.stats(dev).num('STATS_' + name)

    def drops(self, dev, reason):
        return self.stats(dev).array('STATS_DROP')[C['TAILRACE_DROP_' + reason]]

    def ask(self, dev, src, dst, proto, out=False, **words):
        """The Verdict on a packet that is not sent; words as in the header."""
        payload = u32(C['TAILRACE_A_VERDICT_IFINDEX'], index(dev)) + \
            attr(C['TAILRACE_A_VERDICT_SRC'],
                 ipaddress.ip_address(src).packed) + \
            attr(C['TAILRACE_A_VERDICT_DST'],
                 ipaddress.ip_address(dst).packed) + \
            attr(C['TAILRACE_A_VERDICT_PROTO'], bytes([proto]))
        for word, number in words.items():
            payload += attr(C['TAILRACE_A_VERDICT_' + word.upper()],
                            struct.pack('H' if word in ('sport', 'dport')
                                        else 'B', number))
        if out:
            payload += attr(C['TAILRACE_A_VERDICT_OUT'], b'')
        return Verdict(self.nl.do('VERDICT_GET', payload)[0]
                       .get('VERDICT_RESULT'))

    def tsmp(self, dev, src, dst, payload):
        self.nl.do('TSMP_SEND', u32(C['TAILRACE_A_TSMP_IFINDEX'], index(dev)),
                   attr(C['TAILRACE_A_TSMP_SRC'],
                        ipaddress.ip_address(src).packed),
                   attr(C['TAILRACE_A_TSMP_DST'],
                        ipaddress.ip_address(dst).packed),
                   attr(C['TAILRACE_A_TSMP_PAYLOAD'], payload))


def _names(prefix):
    return {n: name[len(prefix):] for name, n in C.items()
            if name.startswith(prefix)}


REASONS, CAUSES = _names('TAILRACE_DROP_'), _names('TAILRACE_CAUSE_')


class Verdict:
    """struct tailrace_verdict: its members, and in words."""

    FORMAT = '=QIIIIHBBBBBBBBHHH16s16s'
    SIZE = struct.calcsize(FORMAT)

    def __init__(self, data):
        (self.time, self.rule, self.generation, self.peer, self.len,
         self.packets, self.flags, self.drop, self.cause, self.family,
         self.proto, self.tcp_flags, self.icmp_type, self.icmp_code,
         self.sport, self.dport, self.reserved, src, dst) = \
            struct.unpack(self.FORMAT, data)
        size = {socket.AF_INET: 4, socket.AF_INET6: 16}.get(self.family, 0)
        self.src, self.dst = (
            str(ipaddress.ip_address(a[:size])) if size else None
            for a in (src, dst))
        self.unused = src[size:] + dst[size:]

    @property
    def out(self):
        return bool(self.flags & C['TAILRACE_TRACE_OUT'])

    @property
    def accepted(self):
        return bool(self.flags & C['TAILRACE_TRACE_ACCEPT'])

    @property
    def why(self):
        """A cause's name, or a drop reason's."""
        return CAUSES[self.cause] if self.accepted else REASONS[self.drop]

    def __repr__(self):
        return '%s %s %s:%d > %s:%d proto %d, rule %d, peer %d' % (
            'out' if self.out else 'in', self.why, self.src, self.sport,
            self.dst, self.dport, self.proto, self.rule, self.peer)


class Trace:
    """
    Verdicts as they come, on a socket of its own: .seen, .lost {'RATE': ...,
    'RING': ..., 'SOCKET': ...}, .ended. Conditions as in the header, addresses
    as address() takes them.
    """

    def __init__(self, dev, buffer=1 << 24, **conditions):
        self.nl = Netlink()
        option = SO_RCVBUFFORCE if buffer >= 1 << 16 else socket.SO_RCVBUF
        self.nl.sock.setsockopt(socket.SOL_SOCKET, option, buffer)
        self.ifindex = u32(C['TAILRACE_A_TRACE_IFINDEX'], index(dev))
        self.seen, self.ended = [], False
        self.lost = dict.fromkeys(('RATE', 'RING', 'SOCKET'), 0)
        payload = self.ifindex
        for name, value in conditions.items():
            if name in ('src', 'dst', 'host'):
                data = address(value)
            else:
                data = struct.pack({'proto': 'B', 'port': 'H', 'sport': 'H',
                                    'dport': 'H'}.get(name, 'I'), value)
            payload += attr(C['TAILRACE_A_TRACE_' + name.upper()], data)
        try:
            self.nl.do('TRACE_START', payload)
        except Error:
            self.close()
            raise

    def _take(self, message):
        if message.cmd != C['TAILRACE_CMD_TRACE_NTF']:
            raise ValueError('command %d' % message.cmd)
        data = message.get('TRACE_VERDICTS') or b''
        self.seen += [Verdict(data[i:i + Verdict.SIZE])
                      for i in range(0, len(data), Verdict.SIZE)]
        for kind in self.lost:
            self.lost[kind] = message.num('TRACE_LOST_' + kind)
        self.ended |= message.get('TRACE_ENDED') is not None

    def read(self, seconds=0):
        """What there is, after waiting for so long at most."""
        while self.nl.strays:
            self._take(self.nl.strays.pop(0))
        try:
            message = self.nl.event(seconds=seconds)
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            return True  # it will say how many
        if message:
            self._take(message)
        return bool(message)

    def wait(self, condition, seconds=10):
        """Reads until condition(); false when that takes too long."""
        end = time.monotonic() + seconds * PATIENCE
        while not condition():
            if time.monotonic() > end:
                return False
            self.read(0.2)
        return True

    def stop(self):
        """
        Everything that the module had to say is there afterwards, of what has
        been judged before. Makes room for the answer first.
        """
        while self.read(0.05):
            pass
        self.nl.do('TRACE_STOP', self.ifindex)
        while self.nl.strays:
            self._take(self.nl.strays.pop(0))
        self.close()
        return self

    def close(self):
        self.nl.close()


def rule(number=1, src=('*',), dst=None, protos=(), caps=()):
    """The inside of a TAILRACE_A_POLICY_RULE."""
    data = u32(C['TAILRACE_A_RULE_ID'], number)
    if protos:
        data += attr(C['TAILRACE_A_RULE_PROTOS'], bytes(protos))
    if src:
        data += attr(C['TAILRACE_A_RULE_SRC'], b''.join(map(address, src)))
    if caps:
        data += attr(C['TAILRACE_A_RULE_SRC_CAPS'],
                     struct.pack('%dI' % len(caps), *caps))
    data += attr(C['TAILRACE_A_RULE_DST'],
                 b''.join([destination('*')] if dst is None else dst))
    return data


def rules_of(dump):
    """The rules of a dumped policy as rule() makes them: without counters."""
    counters = [C['TAILRACE_A_RULE_HITS'], C['TAILRACE_A_RULE_PAD']]
    return [b''.join(attr(kind, data) for kind, data in attrs(one)
                     if kind not in counters)
            for p in dump for one in p.all('POLICY_RULE')]


# Namespaces.

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


def module_in(name):
    with inside(name):
        return Module()


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


def until(condition, seconds=10):
    """Waits for something that has to happen, without saying when."""
    end = time.monotonic() + seconds * PATIENCE
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


# TAP.

_count = 0
_failed = 0


def ok(good, name):
    global _count, _failed
    _count += 1
    _failed += not good
    print('%sok %d - %s' % ('' if good else 'not ', _count, name), flush=True)
    return good


def same(got, want, name):
    if not ok(got == want, name):
        print('#  got: %.300r\n# want: %.300r' % (got, want), flush=True)


def refused(name, text, function, *args, **kwargs):
    """function must fail with the errno called name, and text in its extack.

    Without a text none is asked for: older kernels have no place for one when
    a dump cannot start.
    """
    try:
        function(*args, **kwargs)
    except Error as error:
        same((error.name, text is None or
              text in error.text and bool(error.text)),
             (name, True), '%s: %s' % (name, error.text))
    else:
        ok(False, '%s: %s, but it succeeded' % (name, text))


def done():
    print('1..%d' % _count)
    sys.exit(_failed > 0)
