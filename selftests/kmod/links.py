# SPDX-License-Identifier: GPL-2.0
"""
Links, WireGuard's settings, namespaces and modules without a process for each:
what tests do a thousand times. Names are those of the caller's namespace.
"""
import ctypes
import ipaddress
import os
import socket
import struct

from netlink import *
from spaces import index, libc

RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR = 16, 17, 20
NLM_F_CREATE_EXCL = NLM_F_ACK | 0x600
IFLA_IFNAME, IFLA_LINKINFO, IFLA_NET_NS_FD = 3, 18, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1
IFA_ADDRESS, IFA_LOCAL = 1, 2
IFF_UP = 1
CLONE_NEWNET = 0x40000000

WG_CMD_GET_DEVICE, WG_CMD_SET_DEVICE = 0, 1
WG_PRIVATE_KEY, WG_PUBLIC_KEY, WG_LISTEN_PORT, WG_PEERS = 3, 4, 6, 8
WG_IFINDEX = 1
WG_PEER_PUBLIC_KEY, WG_PEER_FLAGS, WG_PEER_ENDPOINT, WG_PEER_IPS = 1, 3, 4, 9
WG_PEER_REMOVE_ME = 1
WG_IP_FAMILY, WG_IP_ADDR, WG_IP_MASK = 1, 2, 3


class Links:
    """The links of the namespace this was made in."""

    def __init__(self):
        self.nl = Socket(NETLINK_ROUTE)

    def close(self):
        self.nl.close()

    def _link(self, kind, number, attributes=b'', up=0, flags=NLM_F_ACK):
        self.nl.talk(kind, struct.pack('BxHiII', 0, 0, number, up, up) +
                     attributes, flags)

    def add(self, name, kind, data=b''):
        self._link(RTM_NEWLINK, 0, attr(IFLA_IFNAME, name) +
                   attr(IFLA_LINKINFO, attr(IFLA_INFO_KIND, kind) +
                        attr(IFLA_INFO_DATA, data)), flags=NLM_F_CREATE_EXCL)

    def add_veth(self, name, peer, space):
        """The other end is in namespace space."""
        fd = os.open('/run/netns/' + space, os.O_RDONLY)
        try:
            self.add(name, 'veth', attr(
                VETH_INFO_PEER, struct.pack('BxHiII', 0, 0, 0, 0, 0) +
                attr(IFLA_IFNAME, peer) + u32(IFLA_NET_NS_FD, fd)))
        finally:
            os.close(fd)

    def up(self, name):
        self._link(RTM_NEWLINK, index(name), up=IFF_UP)

    def delete(self, name):
        self._link(RTM_DELLINK, index(name))

    def address(self, name, text):
        net = ipaddress.ip_interface(text)
        family = socket.AF_INET if net.version == 4 else socket.AF_INET6
        self.nl.talk(RTM_NEWADDR,
                     struct.pack('BBBBI', family, net.network.prefixlen, 0, 0,
                                 index(name)) +
                     attr(IFA_LOCAL, net.ip.packed) +
                     attr(IFA_ADDRESS, net.ip.packed), NLM_F_CREATE_EXCL)


class WireGuard:
    """WireGuard's devices of the namespace this was made in."""

    def __init__(self):
        self.nl = Generic('wireguard')

    def close(self):
        self.nl.close()

    def _set(self, ifindex, attributes):
        self.nl.ask(WG_CMD_SET_DEVICE, u32(WG_IFINDEX, ifindex) + attributes)

    def port(self, ifindex, port):
        self._set(ifindex, attr(WG_LISTEN_PORT, struct.pack('H', port)))

    def key(self, ifindex, private):
        """Sets the private key, returns the public one."""
        self._set(ifindex, attr(WG_PRIVATE_KEY, private))
        found = self.nl.ask(WG_CMD_GET_DEVICE, u32(WG_IFINDEX, ifindex),
                            NLM_F_DUMP)
        return dict(attrs(found[0][1][4:]))[WG_PUBLIC_KEY]

    def peers(self, ifindex, *peers):
        self._set(ifindex, attr(WG_PEERS, b''.join(
            attr(0, one, nested=True) for one in peers), nested=True))


def peer(key, prefixes=(), at=None):
    """One for WireGuard.peers(); at: its address and port."""
    data = attr(WG_PEER_PUBLIC_KEY, key)
    if at:
        data += attr(WG_PEER_ENDPOINT, struct.pack('=H', socket.AF_INET) +
                     struct.pack('!H', at[1]) + socket.inet_aton(at[0]) +
                     bytes(8))
    ips = b''
    for net in map(ipaddress.ip_network, prefixes):
        family = socket.AF_INET if net.version == 4 else socket.AF_INET6
        ips += attr(0, attr(WG_IP_FAMILY, struct.pack('H', family)) +
                    attr(WG_IP_ADDR, net.network_address.packed) +
                    attr(WG_IP_MASK, bytes([net.prefixlen])), nested=True)
    return data + attr(WG_PEER_IPS, ips, nested=True)


def no_peer(key):
    return attr(WG_PEER_PUBLIC_KEY, key) + \
        u32(WG_PEER_FLAGS, WG_PEER_REMOVE_ME)


def _check(result, what):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, '%s: %s' % (what, os.strerror(number)))


class new_namespace:
    """with new_namespace(): ... runs in one that ends with it."""

    def __enter__(self):
        self.back = os.open('/proc/self/ns/net', os.O_RDONLY)
        _check(libc.unshare(CLONE_NEWNET), 'unshare')

    def __exit__(self, *_):
        _check(libc.setns(self.back, CLONE_NEWNET), 'setns')
        os.close(self.back)


def load(path):
    with open(path, 'rb') as file:
        image = file.read()
    _check(libc.init_module(image, ctypes.c_ulong(len(image)), b''), path)


def unload(name):
    _check(libc.delete_module(name.encode(), os.O_NONBLOCK), name)
