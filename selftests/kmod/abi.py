# SPDX-License-Identifier: GPL-2.0
"""The module's interface in uapi/tailrace.h: its constants and types.

The numbers come from the header itself, so that a test never speaks another
dialect than the module was built with.
"""
import ipaddress
import os
import re
import socket
import struct
import sys

from netlink import attr, attrs, u32

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..')
HEADER = os.path.join(TOP, 'uapi/tailrace.h')


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

STATES = {C['TAILRACE_STATE_' + s]: s
          for s in ('CLOSED', 'ACTIVE', 'ORPHANED', 'EXPIRED')}


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
