#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Who may do what: every command of uapi/tailrace.yaml, asked for by those who
# may not; and a user namespace, which may, but in its own network alone.
#
#   namespace a: wg0, attached, with a policy and an agent
import os

import yaml

from tailrace import *

SPEC = yaml.safe_load(open(os.path.join(os.path.dirname(HEADER),
                                        'tailrace.yaml')))
COMMANDS = [(op['name'].upper().replace('-', '_'), way)
            for op in SPEC['operations']['list'] for way in ('do', 'dump')
            if way in op]
NOBODY = 65534
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000

netns('a')
sh('ip -n a link add wg0 type wireguard; ip -n a link set wg0 up')
enter('a')
m = Module()
m.attach('wg0', 41641)
m.policy('wg0')
m.peer('wg0', 2, ['10.9.0.2'])
m.alias('wg0', 2, ('192.0.2.2', 1000))
agent = udp('a')
m.bind('wg0', agent)
IFINDEX = index('wg0')
GROUPS = sorted(m.nl.groups)


def everything():
    return [m.get('wg0').attrs, [p.attrs for p in m.policies('wg0')],
            sorted(m.peers('wg0')), sorted(m.aliases('wg0'))]


def child(function):
    """What function returns, or the name of its exception, in a child."""
    read, write = os.pipe()
    if not os.fork():
        try:
            text = repr(function())
        except BaseException as error:
            text = 'failed: %r' % error
        os.write(write, text.encode())
        os._exit(0)
    os.close(write)
    text = os.read(read, 65536).decode()
    os.close(read)
    os.wait()
    return text


def permitted(nl):
    """The commands that are not refused to whoever has that socket."""
    found = []
    for cmd, way in COMMANDS:
        try:
            # every set's first attribute
            getattr(nl, way)(cmd, u32(1, IFINDEX))
            found.append(cmd)
        except Error as error:
            if error.name != 'EPERM':
                found.append('%s %s: %s' % (way, cmd, error.name))
    return found


def joined(nl):
    found = []
    for name in GROUPS:
        try:
            nl.sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
                               nl.groups[name])
            found.append(name)
        except PermissionError:
            pass
    return found


def as_nobody(function):
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    libc.prctl(4, 1)  # PR_SET_DUMPABLE: /proc/self is one's own again
    return function()


def to_user_namespace():
    """This process becomes root of a user and a network namespace."""
    if libc.unshare(CLONE_NEWUSER | CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), 'unshare')
    for name, text in (('setgroups', 'deny'), ('uid_map', '0 65534 1'),
                       ('gid_map', '0 65534 1')):
        with open('/proc/self/' + name, 'w') as file:
            file.write(text)


def stranger(nl):
    """With a socket of the namespace a, root of somewhere else."""
    to_user_namespace()
    return permitted(nl)


def at_home():
    """All that is to be done, in a network namespace of one's own."""
    to_user_namespace()
    sh('ip link add wg9 type wireguard; ip link set wg9 up')
    own = Module()
    seen = len(own.devices())
    own.attach('wg9', 41641)
    own.policy('wg9')
    own.peer('wg9', 2, ['10.9.0.2'])
    try:
        own.bind('wg9', agent)
        bound = 'bound'
    except Error as error:
        bound = error.name
    return seen, len(own.devices()), own.state('wg9'), bound, \
        joined(own.nl) == GROUPS


before = everything()
ok(len(COMMANDS) > 15, '%d ways to ask' % len(COMMANDS))
same(child(lambda: as_nobody(lambda: permitted(Netlink()))), '[]',
     'none is anything for an unprivileged user')
passed = Netlink()
same(child(lambda: as_nobody(lambda: permitted(passed))), '[]',
     "nor with a privileged one's socket")
same(child(lambda: as_nobody(lambda: joined(Netlink()))), '[]',
     'who may not listen either')
same(child(lambda: as_nobody(lambda: stranger(Netlink()))), '[]',
     "root elsewhere is nobody here")
same(child(lambda: as_nobody(at_home)), "(0, 1, 'ORPHANED', 'EXDEV', True)",
     'at home he sees and does what is his, and that alone')
same(everything(), before, 'nothing has changed')
same(joined(Netlink()), GROUPS, 'and the administrator may listen')
done()
