#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# Netlink requests by the thousand, good, bad and at the edges, while packets
# pass. Namespaces as pair() makes them.
#
# TAILRACE_NETFUZZ is how many, TAILRACE_SEED which; make fuzz-kmod sends a
# million.
import os
import random

from tailrace import *

COUNT = int(os.environ.get('TAILRACE_NETFUZZ', '3000'))
SEED = int(os.environ.get('TAILRACE_SEED', '0')) or \
    random.SystemRandom().randrange(1, 1 << 32)
FUZZ = os.path.join(BUILD, 'netfuzz')

pair()
enter('a')
m = Module()
sh('ip link add wg1 type wireguard; ip link set wg1 up')
# Grace periods are of no interest here.
sh('echo 1 >/sys/kernel/rcu_expedited')
traffic = [subprocess.Popen(['ip', 'netns', 'exec', name, 'ping', '-q', '-i',
                             '0.01', to], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
           for name, to in (('b', '10.9.0.1'), ('a', '10.9.0.2'),
                            ('b', 'fd09::1'))]
print('# seed %d' % SEED, flush=True)
start = time.monotonic()
fuzz = subprocess.run([FUZZ, str(SEED), str(COUNT), 'wg0', 'wg1'], text=True,
                      stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
seconds = time.monotonic() - start
for line in fuzz.stdout.splitlines():
    print('# ' + line.lstrip('# '))
for one in traffic:
    one.kill()
    one.wait()
same(fuzz.returncode, 0, '%d messages: every answer is kept to' % COUNT)
print('# %.0f messages a second' % (COUNT / seconds))
sh('echo 0 >/sys/kernel/rcu_expedited')

# And it is as good as new.
for dev in ('wg0', 'wg1'):
    try:
        m.detach(dev)
    except Error as error:
        same(error.name, 'ENODEV', '%s was not attached' % dev)
m.attach('wg0', 41641)
m.policy('wg0')
ok(subprocess.run(['ip', 'netns', 'exec', 'b', 'ping', '-q', '-c', '1', '-W',
                   '10', '10.9.0.1'], stdout=subprocess.DEVNULL).returncode
   == 0, 'afterwards packets pass')
m.nl.close()
sh('rmmod tailrace; modprobe tailrace')
same(module_in('a').devices(), [], 'and the module comes off')
done()
