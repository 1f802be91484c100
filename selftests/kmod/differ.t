#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
#
# The filter in the kernel against the oracle: plays that scenario.c writes, in
# all modes of a device, with whatever may call itself a packet, through the
# device's own hooks, packet by packet (verdicts.c). What differs is cut down to
# the steps it takes.
#
# TAILRACE_POLICIES is how many, a thousand packets each; TEST_SEED repeats a
# run. make random-kmod judges a million packets, those of devices that have long
# been strict among them, which takes five minutes of waiting.
import collections
import os

from tailrace import *

POLICIES = int(os.environ.get('TAILRACE_POLICIES', '12'))
SEED = int(os.environ.get('TEST_SEED', time.time()))
CONTROL = '/sys/kernel/debug/verdicts/'
SCENARIO = os.path.join(BUILD, 'scenario')
PACKETS = 1000
# A strict device forgets a reset connection after 10 s, and the oracle's clock
# stands: what differs after IN_TIME is judged again in smaller parts.
LIFE = 2  # policies, until there is a fresh device
IN_TIME = 8
GRACE = 301
SPARE = 24  # devices to find out more about a difference with
FRAGMENT, TSMP = 255, 99
OUTCOME = struct.Struct('=IHbB')
MODES = ['ordinary', 'strict', 'changing']
AT_LENGTH = POLICIES >= 100
if AT_LENGTH:
    MODES.append('late')

Difference = collections.namedtuple('Difference', 'step text late')
made = 0
pool = []
tally = {mode: collections.Counter() for mode in MODES}

sh('modprobe tailrace; modprobe verdicts')
netns('a')
enter('a')
# Grace periods are of no interest here.
sh('echo 1 >/sys/kernel/rcu_expedited')
if AT_LENGTH:
    # nor is what lockdep has seen
    sh('modprobe packets; echo 1 >/sys/kernel/debug/packets/unlocked; '
       'echo off >/sys/kernel/debug/kmemleak')
m = Module()


def new_device(mode):
    global made
    made += 1
    dev = 'w%d' % made
    sh('ip link add %s type wireguard' % dev)
    choose(dev)
    m.attach(dev, 10000 + made,
             flags=C['TAILRACE_DEVICE_STRICT']
             if mode in ('strict', 'late') else 0)
    # Room for all that a life has, and memory for a pool of devices.
    m.set(dev, flows_max=16384)
    if mode == 'late':
        m.policy(dev, local=(), rules=[])
    return dev


def choose(dev):
    with open(CONTROL + 'device', 'w') as file:
        file.write(dev)


def judge(packets):
    """[(rule, proto, verdict, passed)] of [(direction, packet, ...)]"""
    data = bytearray()
    for direction, packet, *_ in packets:
        data += struct.pack('HH', direction == 'out', len(packet)) + packet + \
            b'\0' * (len(packet) % 2)
    fd = os.open(CONTROL + 'packets', os.O_RDWR)
    try:
        if os.write(fd, data) != len(data):
            raise OSError('short write')
        answer = os.pread(fd, OUTCOME.size * len(packets), 0)
    finally:
        os.close(fd)
    found = list(OUTCOME.iter_unpack(answer))
    if len(found) != len(packets):
        raise OSError('%d of %d outcomes' % (len(found), len(packets)))
    return found


def is_right(direction, want, rules, rule, proto, verdict, passed):
    # TSMP that is accepted is the module's own. Of several rules any may be named.
    ends = direction == 'in' and proto == TSMP
    return verdict == want and passed == (verdict == -1 and not ends) and \
        (proto == FRAGMENT or rule in rules)


def compare(packets, count):
    """The first Difference, but for its lateness."""
    for one, got in zip(packets, judge(packets)):
        direction, packet, want, rules, step = one
        count[got[2]] += 1
        count['rule'] += got[0] > 0
        if not is_right(direction, want, rules, *got):
            return step, '%s %s: want %d by one of %r, got %d by rule %d, ' \
                'protocol %d, %s' % (direction, packet.hex(), want, sorted(rules),
                                     got[2], got[0], got[1],
                                     'passed' if got[3] else 'stopped')
    return None


def play(seed, mode, policies, packets, count, kept=None):
    """On a fresh device. Return: a Difference, or None."""
    words = [SCENARIO, seed, policies, packets, mode]
    if kept is not None:
        with open('/tmp/kept', 'wb') as file:
            file.write(kept)
        words.append('/tmp/kept')
    text = subprocess.run(list(map(str, words)), check=True, text=True,
                          stdout=subprocess.PIPE).stdout
    start = time.monotonic()
    dev = pool.pop() if mode == 'late' else new_device(mode)
    choose(dev)
    policy, peer = (u32(C['TAILRACE_A_%s_IFINDEX' % kind], index(dev))
                    for kind in ('POLICY', 'PEER'))
    batch, found = [], None
    for line in text.splitlines() + ['end']:
        step, *rest = line.split()
        if step in ('in', 'out'):
            batch.append((step, bytes.fromhex(rest[0]), int(rest[1]),
                          set(map(int, rest[2].split(','))), int(rest[3])))
            continue
        found = batch and compare(batch, count)
        if found:
            break
        batch = []
        if step == 'unpeer':
            m.unpeer(dev, int(rest[0]))
        elif step == 'peer':
            m.nl.do('PEER_SET', peer, bytes.fromhex(rest[0]))
        elif step == 'begin':
            m.begin(dev)
        elif step == 'add':
            m.nl.do('POLICY_ADD', policy, bytes.fromhex(''.join(rest)))
        elif step == 'commit':
            m.commit(dev, int(rest[0]))
        elif step == 'strict':
            m.set(dev, flags=int(rest[0]) * C['TAILRACE_DEVICE_STRICT'])
    late = time.monotonic() - start > IN_TIME and mode != 'ordinary'
    sh('ip link del ' + dev)
    return Difference(*found, late) if found else None


def minimise(seed, mode, policies, packets, found):
    """What of the steps before it a Difference takes."""
    kept = bytearray(b'1' * (found.step + 1))
    size = len(kept) // 2
    end = time.monotonic() + 240 * PATIENCE
    while size and time.monotonic() < end:
        for at in range(0, len(kept) - 1, size):
            part = slice(at, min(at + size, len(kept) - 1))
            if b'1' not in kept[part] or (mode == 'late' and not pool):
                continue
            less = kept[:]
            less[part] = b'0' * (part.stop - part.start)
            again = play(seed, mode, policies, packets, collections.Counter(),
                         less)
            if again and again.step == found.step and not again.late:
                kept, found = less, again
        size //= 2
    with open('/tmp/kept', 'wb') as file:
        file.write(kept)
    print('# %d steps are left of %d:' % (kept.count(b'1'), len(kept)))
    for line in subprocess.run(
            [SCENARIO, str(seed), str(policies), str(packets), mode,
             '/tmp/kept'], text=True, check=True,
            stdout=subprocess.PIPE).stdout.splitlines():
        print('#   ' + line)
    print('# ' + found.text, flush=True)


def live(seed, mode, packets=PACKETS):
    """Return: packets that were judged, or None after a difference."""
    found = play(seed, mode, LIFE, packets, tally[mode])
    if not found:
        return LIFE * packets
    if found.late:
        return live(seed, mode, packets // 2) if packets > 50 else 0
    print('# TEST_SEED=%d, %s: scenario %d %d %d %s' %
          (SEED, mode, seed, LIFE, packets, mode))
    minimise(seed, mode, LIFE, packets, found)
    return None


print('# TEST_SEED=%d' % SEED, flush=True)
begin = time.monotonic()
lives = max(POLICIES // LIFE // len(MODES), 1)
if 'late' in MODES:
    pool = [new_device('late') for _ in range(lives + SPARE)]
    pool_made = time.monotonic()
total = 0
for number, mode in enumerate(MODES):
    if mode == 'late':
        time.sleep(max(pool_made + GRACE - time.monotonic(), 0))
    policies, judged, right = 0, 0, True
    start = time.monotonic()
    while right and policies < lives * LIFE:
        now = live(SEED + 100000 * number + policies, mode)
        right = now is not None
        policies += LIFE
        judged += now or 0
        if policies % 50 == 0:
            print('# %s: %d policies after %.0f s' %
                  (mode, policies, time.monotonic() - begin), flush=True)
    ok(right and judged, '%s: %d packets under %d policies: as the oracle says'
       % (mode, judged, policies))
    print('# %d let in by a rule; by verdict: %s; %.0f s' % (
        tally[mode]['rule'], ', '.join(
            '%s %d' % ('accepted' if v < 0 else REASONS[v], tally[mode][v])
            for v in sorted(v for v in tally[mode] if v != 'rule')),
        time.monotonic() - start), flush=True)
    total += judged
for dev in pool:
    sh('ip link del ' + dev)
if AT_LENGTH:
    met = sum(tally.values(), collections.Counter())
    ok(met['rule'] and all(
        met[reason] for reason in range(C['TAILRACE_DROP_DISCO_INSIDE'])) and
       met[C['TAILRACE_DROP_NO_FLOW']], 'every reason was met')
print('# %d packets in %.0f s' % (total, time.monotonic() - begin))
sh('echo 0 >/sys/kernel/rcu_expedited; rmmod verdicts')
done()
