# SPDX-License-Identifier: GPL-2.0
"""
What the module's tests share: its commands, and by import everything else,
namespaces, TAP and what makes messages.
"""
import errno
import ipaddress
import os
import re
import socket
import struct
import subprocess
import sys
import time

from abi import *
from netlink import *
from spaces import *
from tap import *

BUILD = os.path.join(TOP, 'build',
                     'arm64' if os.uname().machine == 'aarch64' else '')


def built(name):
    """
    The start of a command that runs a program of ours. What the machine has
    may be older: it runs with the loader and the libraries it was built with,
    but for the programs of another processor, which are built for the machine.
    """
    lib = os.path.join(BUILD, 'lib')
    own = [os.path.join(lib, 'ld.so'), '--library-path', lib]
    return (own if os.path.exists(lib) else []) + [os.path.join(BUILD, name)]


class Netlink(Generic):
    """
    A socket that speaks the tailrace family of its namespace, and listens to
    a multicast group of it: events or flows.
    """

    def __init__(self, events=None):
        self.strays = []  # notifications that came before an answer
        super().__init__('tailrace')
        if events:
            self.sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
                                 self.groups[events])
            self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 24)
            self.sock.setsockopt(SOL_NETLINK, NETLINK_BROADCAST_ERROR, 1)

    def stray(self, flags, body):
        self.strays.append(Message(body, flags))

    def do(self, cmd, *payload):
        found = self.ask(C['TAILRACE_CMD_' + cmd], b''.join(payload))
        return [Message(body, flags) for flags, body in found]

    def dump(self, cmd, *payload):
        found = self.ask(C['TAILRACE_CMD_' + cmd], b''.join(payload),
                         NLM_F_DUMP)
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


class Trace:
    """
    Verdicts as they come, on a socket of its own: .seen, .lost {'RATE': ...,
    'RING': ..., 'SOCKET': ...}, .ended. Conditions as in the header, addresses
    as address() takes them.
    """

    def __init__(self, dev, buffer=1 << 24, **conditions):
        self.nl = Netlink()
        # room for the answer, which the first verdicts may overtake
        self.nl.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE,
                                max(buffer, 1 << 20))
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
        if buffer < 1 << 20:
            self.nl.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)

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


def module_in(name):
    with inside(name):
        return Module()
