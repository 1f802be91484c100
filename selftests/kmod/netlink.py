# SPDX-License-Identifier: GPL-2.0
"""Netlink, as much of it as the module's tests need."""
import errno
import os
import socket
import struct

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLM_F_DUMP_INTR = 0x10
NETLINK_ROUTE, NETLINK_GENERIC = 0, 16
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


class Socket:
    """A socket that speaks a protocol of netlink."""

    def __init__(self, protocol):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_EXT_ACK, 1)
        self.sock.setsockopt(SOL_NETLINK, NETLINK_CAP_ACK, 1)
        self.sock.bind((0, 0))
        self.seq = 0

    def close(self):
        self.sock.close()

    def stray(self, flags, body):
        """A notification that came before an answer."""

    def talk(self, kind, body, flags=NLM_F_ACK):
        """[(flags, body), ...], as answered; raises Error."""
        self.seq += 1
        self.sock.send(struct.pack('IHHII', 16 + len(body), kind,
                                   NLM_F_REQUEST | flags, self.seq, 0) + body)
        replies = []
        while True:
            data = self.sock.recv(1 << 20)
            while data:
                size, kind, got, seq, _ = struct.unpack_from('IHHII', data)
                body, data = data[16:size], data[(size + 3) & ~3:]
                if not seq:
                    self.stray(got, body)
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


class Generic(Socket):
    """A socket that speaks a family of generic netlink."""

    def __init__(self, name):
        super().__init__(NETLINK_GENERIC)
        (_, reply), *_ = self.talk(GENL_ID_CTRL, self._genl(3, attr(2, name)))
        found = dict(attrs(reply[4:]))
        self.family = struct.unpack('H', found[1])[0]
        self.groups = {}
        for _, group in attrs(found.get(7, b'')):
            one = dict(attrs(group))
            self.groups[one[1].rstrip(b'\0').decode()] = \
                struct.unpack('I', one[2])[0]

    @staticmethod
    def _genl(cmd, payload):
        return struct.pack('BBH', cmd, 1, 0) + payload

    def ask(self, cmd, payload, flags=NLM_F_ACK):
        return self.talk(self.family, self._genl(cmd, payload), flags)
