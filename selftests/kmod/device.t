#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# The life of an attachment: attach, detach, the agent's socket, port change,
# device and namespace going away, unloading.
#
#   namespace a: wg0 (port 41641)     everything else is elsewhere's business
import os

from tailrace import *

netns('a', 'b')
sh('''
ip -n a link add wg0 type wireguard
ip -n a link add wg1 type wireguard
ip -n a link add dummy0 type dummy
wg genkey | ip netns exec a wg set wg0 private-key /dev/stdin listen-port 41641
ip -n a link set wg0 up
''')
enter('a')
m = Module()

same(m.devices(), [], 'nothing is attached to begin with')
refused('ENODEV', 'no device', lambda: m.nl.do(
    'DEV_ATTACH', u32(C['TAILRACE_A_DEVICE_IFINDEX'], 9999),
    attr(C['TAILRACE_A_DEVICE_PORT'], struct.pack('H', 1))))
refused('ENOTSUP', 'not a WireGuard', m.attach, 'dummy0', 41641)
refused('EINVAL', 'PORT missing', m.nl.do, 'DEV_ATTACH',
        u32(C['TAILRACE_A_DEVICE_IFINDEX'], index('wg0')))
refused('ERANGE', '', m.attach, 'wg0', 0)
refused('EINVAL', '', m.nl.do, 'DEV_GET', u32(77, 1))
refused('ENODEV', 'not attached', m.get, 'wg0')
m.attach('wg0', 41641)
same(m.state('wg0'), 'CLOSED', 'attached and closed')
same(m.get('wg0').num('DEVICE_PORT'), 41641, 'with its port')
refused('EEXIST', 'already', m.attach, 'wg0', 41642)
refused('EADDRINUSE', 'port', m.attach, 'wg1', 41641)
m.attach('wg1', 41642)
same(len(m.devices()), 2, 'two devices in one namespace')
refused('EADDRINUSE', 'port', m.set_port, 'wg1', 41641)

# Settings.
STRICT = C['TAILRACE_DEVICE_STRICT']


def settings(dev):
    return [m.get(dev).num('DEVICE_' + s) for s in ('PORT', 'FLAGS',
                                                    'FLOWS_MAX')]


was = settings('wg0')
same(was[1], 0, 'not strict at first')
refused('EINVAL', 'nothing', m.set, 'wg0')
refused('EINVAL', '', m.set, 'wg0', flags=STRICT << 1)
refused('ERANGE', '', m.set, 'wg0', flows_max=4095)
refused('E2BIG', 'flows', m.set, 'wg0', flows_max=16777217)
refused('ENOMEM', 'memory', m.set, 'wg0', flows_max=16777216)
refused('EINVAL', '', m.set, 'wg0', flows=1)
refused('E2BIG', 'flows', m.set, 'wg0', port=41650, flags=STRICT,
        flows_max=16777217)
refused('EADDRINUSE', 'port', m.set, 'wg0', port=41642, flags=STRICT,
        flows_max=8192)
same(settings('wg0'), was, 'what is refused changes nothing')
m.set('wg0', flows_max=4097)
same(settings('wg0'), [41641, 0, 8192], 'the flow table alone')
m.set('wg0', flags=STRICT)
same(settings('wg0'), [41641, STRICT, 8192], 'strictness alone')
m.set('wg0', port=41641, flags=0, flows_max=4096)
same(settings('wg0'), [41641, 0, 4096], 'all at once')
same(settings('wg1'), [41642] + was[1:], 'the other device is as it was')
m.detach('wg1')
refused('E2BIG', 'flows', m.attach, 'wg1', 41642, flows_max=16777217)
refused('ENODEV', 'not attached', m.get, 'wg1')
m.attach('wg1', 41642, flags=STRICT, flows_max=16384)
same(settings('wg1'), [41642, STRICT, 16384], 'with the attachment')
same(len(module_in('b').devices()), 0, 'another namespace sees none')

# The socket.
s = udp('a')
own = s.getsockname()[1]
m.bind('wg0', s)
same(s.getsockname()[1], 41641, "the socket's port is WireGuard's")
m.bind('wg0', s)
refused('EBUSY', 'already', m.bind, 'wg1', s)
m.set_port('wg0', 41650)
same(s.getsockname()[1], 41650, 'and follows it')
second = udp('a')
m.bind('wg0', second)
same(s.getsockname()[1], own, 'a second one frees the first')
same(second.getsockname()[1], 41650, 'and takes its place')
refused('EXDEV', 'namespace', m.bind, 'wg0', udp('b'))
refused('EINVAL', 'UDP', m.bind, 'wg0', socket.socket())
refused('EINVAL', 'bound', m.bind, 'wg0',
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
refused('ENOTSOCK', 'socket', m.bind, 'wg0', open('/dev/null'))
m.detach('wg0')
ok(second.getsockname()[1] != 41650, 'detaching restores it')
refused('ENODEV', 'not attached', m.detach, 'wg0')

# Devices that go away.
m.attach('wg0', 41641)
m.bind('wg0', s)
sh('ip link del wg0')
same(s.getsockname()[1], own, 'so does deleting the device')
same(len(m.devices()), 1, 'which is no longer there')
sh('ip link set wg1 netns b')
same(m.devices(), [], 'nor is one that has moved away')
same(module_in('b').devices(), [], 'and it arrives unattached')

# Privilege.
if not os.fork():
    os.setuid(65534)
    try:
        Module().devices()
        os._exit(1)
    except Error as error:
        os._exit(error.name != 'EPERM')
ok(os.wait()[1] == 0, 'an unprivileged caller is refused')

# Namespaces that go away, with everything in place and a socket open.
if not os.fork():
    enter('b')
    b = Module()
    b.attach('wg1', 41642)
    keep = udp('b')
    b.bind('wg1', keep)
    os._exit(0)
os.wait()
with inside('b'):
    same(len(Module().devices()), 1, 'a socket whose owner is gone')
sh('ip netns del b')
ok(until(lambda: int(sh("awk '$1 == \"tailrace\" {print $3}' /proc/modules"))
         == 0), 'nothing holds the module')

# Unloading.
sh('ip link add wg0 type wireguard')
m.attach('wg0', 41641)
m.bind('wg0', s)
sh('rmmod tailrace')
same(s.getsockname()[1], own, 'unloading restores the socket')
sh('modprobe tailrace')
same(Module().devices(), [], 'and it loads again, attached to nothing')
done()
