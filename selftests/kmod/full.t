#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# What is full: the ring of flow records, the ring of a trace, the table of
# flows. Namespaces as pair() has them; b is peer 2 of the module in a.
#
# For a ring to overflow, packets have to come while nobody empties it. So the
# sender is more important than any worker for a while; and what b puts on the
# link is taken for what wg0 has decrypted, since WireGuard has workers too.
import glob
import signal

from craft import SYN, RST, TCP, UDP, ip4, ports
from tailrace import *

RING = 4096  # TR_RECORDS_RING
TRACE_RING = 2048  # TR_TAP_RING
COUNT = RING + 200
BURST = 100


def soldiers():
    """Who works for packets on the way, and who must never wait for long."""
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/comm' % pid) as file:
                if file.read().startswith(('ksoftirqd/', 'rcu_')):
                    yield int(pid)
        except OSError:
            pass


# What the kernel has against those who take everything, and its watchdogs.
GUARDS = {'/proc/sys/kernel/sched_rt_runtime_us': '-1',
          '/sys/module/workqueue/parameters/watchdog_thresh': '0',
          '/sys/module/rcupdate/parameters/rcu_cpu_stall_suppress': '1'}
GUARDS.update((path, '0') for path in
              glob.glob('/sys/kernel/debug/sched/fair_server/cpu*/runtime'))


class alone:
    """with alone(): ... no worker of the kernel's runs meanwhile."""

    def __enter__(self):
        self.guards = {}
        for path in filter(os.path.exists, GUARDS):
            with open(path) as file:
                self.guards[path] = file.read()
            self._write(path, GUARDS[path])
        self.soldiers = {pid: os.sched_getscheduler(pid) for pid in soldiers()
                         if os.sched_getscheduler(pid) != os.SCHED_FIFO}
        for pid in self.soldiers:
            os.sched_setscheduler(pid, os.SCHED_FIFO, os.sched_param(60))
        self.cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, self.cpus[:1])
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
        self.others = [self._occupy(cpu) for cpu in self.cpus[1:]]

    @staticmethod
    def _write(path, text):
        with open(path, 'w') as file:
            file.write(text)

    @staticmethod
    def _occupy(cpu):
        pid = os.fork()
        if pid:
            return pid
        os.sched_setaffinity(0, {cpu})
        while True:
            pass

    def __exit__(self, *_):
        for pid in self.others:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, self.cpus)
        for pid, policy in self.soldiers.items():
            os.sched_setscheduler(pid, policy, os.sched_param(0))
        for path, text in self.guards.items():
            self._write(path, text)


def judged():
    stats = m.stats('wg0')
    return stats.num('STATS_FILTER_IN') + sum(stats.array('STATS_DROP'))


pair()
enter('a')
sh('''
tc qdisc add dev veth clsact
tc filter add dev veth ingress protocol ip matchall \\
	action mirred ingress redirect dev wg0
''')
m = Module()
m.attach('wg0', 41641)
m.peer('wg0', 2, ['10.9.0.2'])
m.policy('wg0', rules=[rule(1, dst=[destination('*', 80, 80)], protos=[TCP]),
                       rule(2, dst=[destination('*', 53, 53)], protos=[UDP])])
with inside('b'):
    out = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM)


def send(packet):
    out.sendto(packet, ('veth', 0x0800, 0, 0, b'\xff' * 6))


# A connection that begins and ends with each packet: its ports are those of the
# last one, whose record has to make room.
listener = Netlink(events='flows')
listener.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 27)
m.set('wg0', records=86400)
trace = Trace('wg0', buffer=1 << 27, rate=C['TAILRACE_TRACE_RATE_MAX'])
packet = ip4(TCP, '10.9.0.2', '10.9.0.1', ports(5000, 80, flags=SYN | RST))
before = judged()
with alone():
    for i in range(COUNT):
        send(packet)
came = until(lambda: judged() >= before + COUNT)
ok(came and judged() == before + COUNT, '%d packets were judged' % COUNT)
trace.stop()
same((len(trace.seen) + trace.lost['RING'], trace.lost['RATE'],
      trace.lost['SOCKET']), (COUNT, 0, 0),
     'a trace: %d seen, %d lost in its ring, together all' %
     (len(trace.seen), trace.lost['RING']))
ok(trace.lost['RING'] >= COUNT - TRACE_RING - BURST and
   len(trace.seen) >= TRACE_RING, 'which holds %d' % TRACE_RING)
m.set('wg0', records=0)
found = 0
while True:
    note = listener.event('FLOW_NTF', seconds=0.5)
    if not note:
        break
    data = note.get('FLOW_RECORDS')
    size = struct.calcsize('=6Q16s16sHH8B3I')
    found += len(data) // size
lost = m.stat('wg0', 'RECORDS_LOST')
same(found + lost, COUNT, 'records: %d came, %d were lost, together all' %
     (found, lost))
ok(lost >= COUNT - RING - BURST and found >= RING,
   'of which a ring holds %d' % RING)
listener.close()

# We have begun as many flows as there is room for, and more: a peer gets none.
sh('''
tc qdisc add dev wg0 clsact
tc filter add dev wg0 egress matchall action drop
''')
m.set('wg0', flags=C['TAILRACE_DEVICE_STRICT'],
      flows_max=C['TAILRACE_MIN_FLOWS'])
asked = 0
while asked < 2 * C['TAILRACE_MIN_FLOWS']:
    one = udp('a', '10.9.0.1')
    for port in range(10000, 10000 + 512):
        one.sendto(b'x', ('10.9.0.2', port))
        asked += 1
    one.close()
before = judged()
for i in range(50):
    send(ip4(UDP, '10.9.0.2', '10.9.0.1', ports(20000 + i, 53, rest=8)))
    send(ip4(TCP, '10.9.0.2', '10.9.0.1', ports(20000 + i, 80, flags=SYN)))
until(lambda: judged() >= before + 100)
full = m.drops('wg0', 'FLOWS_FULL')
ok(full >= 90 and judged() == before + 100,
   'strict, the table full of our flows: %d of 100 of a peer find no place' %
   full)
m.set('wg0', flows_max=1 << 16)
send(ip4(UDP, '10.9.0.2', '10.9.0.1', ports(30000, 53, rest=8)))
until(lambda: judged() > before + 100)
same(m.drops('wg0', 'FLOWS_FULL'), full, 'in a larger one they do')
m.set('wg0', flags=0)
done()
