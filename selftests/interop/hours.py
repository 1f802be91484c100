#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Two nodes go on for hours without their control server.

       203.0.113.1                    .11            .12 [ NAT ] 10.0.2.1
    coord :8443, relay :443            a                          b 10.0.2.2

Run by hours.t inside a machine of its own, where time passes as fast as
everybody waits for it to: whoever sleeps, all timers and the protocols'
heartbeats are as on any machine, only nobody has to wait. What programs
compute takes no time at all there. Packets are counted by nftables at both
ends of the tunnel.
"""
import json
import os
import re
import signal
import subprocess
import sys
import time

WORK = sys.argv[1]
BIN = '/src/build/'
# Control is down for twelve of these: two hours; 3600 makes it twelve hours.
STEP = int(os.environ.get('TAILRACE_HOURS_STEP', '600'))  # seconds
PERIOD = 2  # seconds between two packets, each way
count = failed = 0
os.environ['LD_LIBRARY_PATH'] = WORK + '/lib'


def diag(text):
    for line in str(text).splitlines():
        print('# ' + line, flush=True)


def ok(good, name, why=''):
    global count, failed
    count += 1
    failed += not good
    print('%sok %d - %s' % ('' if good else 'not ', count, name), flush=True)
    if not good:
        diag(why)
    return good


def run(*command, ns=None, check=True, text=None):
    command = ['ip', 'netns', 'exec', ns, *command] if ns else [*command]
    done = subprocess.run(command, text=True, input=text,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if check and done.returncode:
        diag('%s: %s%s' % (' '.join(command), done.stdout, done.stderr))
        print('Bail out! %s fails' % command[0], flush=True)
        sys.exit(1)
    return done.stdout


def start(ns, name, *command):
    log = open('%s/%s.log' % (WORK, name), 'ab')
    return subprocess.Popen(['ip', 'netns', 'exec', ns, *command],
                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def within(limit, condition):
    for _ in range(limit * 5):
        if condition():
            return True
        time.sleep(0.2)
    return condition()


# ── the network ─────────────────────────────────────────────────────────────

def network():
    run('sh', '-ec', '''
        for ns in net a rb b; do
            ip netns add $ns
            ip -n $ns link set lo up
        done
        ip -n net link add name inet type bridge
        ip -n net addr add 203.0.113.1/24 dev inet
        ip -n net link set inet up
        for ns in a rb; do
            ip -n net link add name to-$ns type veth peer name eth0 netns $ns
            ip -n net link set to-$ns master inet up
            ip -n $ns link set eth0 up
        done
        ip -n a addr add 203.0.113.11/24 dev eth0
        ip -n a route add default via 203.0.113.1
        ip -n rb addr add 203.0.113.12/24 dev eth0
        ip -n rb link add name lan type veth peer name eth0 netns b
        ip -n rb addr add 10.0.2.1/24 dev lan
        ip -n rb link set lan up
        ip -n b addr add 10.0.2.2/24 dev eth0
        ip -n b link set eth0 up
        ip -n b route add default via 10.0.2.1
        ip netns exec rb sysctl -qw net.ipv4.ip_forward=1
    ''')
    # a NAT that forgets what is silent, as cheap ones do
    run('sysctl', '-qw', 'net.netfilter.nf_conntrack_udp_timeout_stream=60',
        'net.netfilter.nf_conntrack_udp_timeout=30', ns='rb')
    run('nft', '-f', '-', ns='rb', text='''
        table ip nat {
            chain post {
                type nat hook postrouting priority 100;
                oifname "eth0" masquerade
            }
        }''')
    for ns in 'a', 'b':
        run('nft', '-f', '-', ns=ns, text='''
            table ip count {
                counter asked { }
                counter got { }
                counter answered { }
                counter heard { }
                chain out {
                    type filter hook output priority 0;
                    oifname "tailrace0" icmp type echo-request counter name asked
                    oifname "tailrace0" icmp type echo-reply counter name answered
                }
                chain in {
                    type filter hook input priority 0;
                    iifname "tailrace0" icmp type echo-request counter name got
                    iifname "tailrace0" icmp type echo-reply counter name heard
                }
            }''')
    # what is tried at the control server, and a way to let it vanish
    run('nft', '-f', '-', ns='net', text='''
        table ip control {
            counter tried { }
            chain gone { }
            chain in {
                type filter hook input priority 0;
                tcp dport 8443 tcp flags syn / syn,ack counter name tried
                tcp dport 8443 jump gone
            }
        }''')


def counters(ns, table='count'):
    text = json.loads(run('nft', '-j', 'list', 'counters', 'table', 'ip',
                          table, ns=ns))
    return {o['counter']['name']: o['counter']['packets']
            for o in text['nftables'] if 'counter' in o}


# ── the servers ─────────────────────────────────────────────────────────────

def coord(*args):
    return run(BIN + 'tailrace', 'coord', *args,
               '--socket=' + WORK + '/coord/admin.sock')


def coord_start():
    proc = start('net', 'coord', BIN + 'tailrace', 'coord', 'serve',
                 '--state-dir=' + WORK + '/coord', '--listen=203.0.113.1:8443',
                 '--server-url=https://coord.test:8443', '--user=root',
                 '--tls-cert=%s/coord.test.crt' % WORK,
                 '--tls-key=%s/coord.test.key' % WORK,
                 '--relay=derp.test', '--relay-cert=sha256-raw:' + relay_hash)
    if not within(20, lambda: os.path.exists(WORK + '/coord/admin.sock')):
        print('Bail out! coord does not start', flush=True)
        sys.exit(1)
    return proc


def certificate(name):
    run('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
        'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
        '-keyout', '%s/%s.key' % (WORK, name),
        '-out', '%s/%s.crt' % (WORK, name), '-subj', '/CN=' + name,
        '-addext', 'subjectAltName=DNS:' + name)
    der = subprocess.run(['openssl', 'x509', '-outform', 'DER', '-in',
                          '%s/%s.crt' % (WORK, name)],
                         stdout=subprocess.PIPE, check=True).stdout
    return subprocess.run(['sha256sum'], input=der, stdout=subprocess.PIPE,
                          check=True).stdout.split()[0].decode()


# ── the nodes ───────────────────────────────────────────────────────────────

class Node:
    def __init__(self, name):
        self.name = name
        self.socket = '/run/%s.sock' % name
        self.proc = None

    def start(self):
        self.proc = start(self.name, self.name, BIN + 'tailraced',
                          # not on the root: there files are the host's
                          '--statedir=/tmp/tailrace-' + self.name,
                          '--socket=' + self.socket, '--port=41641',
                          '--ca-file=' + WORK + '/coord.test.crt')
        within(20, lambda: self.cli('status', '--json'))

    def kill(self):
        """Both processes, at once and for good."""
        for pid in self.pids():
            os.kill(pid, signal.SIGKILL)
        self.proc.wait()
        within(10, lambda: not self.pids())

    def pids(self):
        pids = run('ip', 'netns', 'pids', self.name).split()
        return [int(p) for p in pids if
                os.path.basename(os.readlink('/proc/%s/exe' % p)) ==
                'tailraced']

    def cli(self, *args):
        return run(BIN + 'tailrace', '--socket=' + self.socket, *args,
                   ns=self.name, check=False)

    def status(self):
        return json.loads(self.cli('status', '--json') or '{}')

    def peer(self):
        peers = (self.status().get('Peer') or {}).values()
        return next(iter(peers), {})

    def direct(self):
        return bool(self.peer().get('CurAddr'))

    def address(self):
        return self.cli('ip', '-4').strip()

    def memory(self):
        """KiB of both processes that are not shared with others."""
        total = 0
        for pid in self.pids():
            with open('/proc/%d/status' % pid) as f:
                total += sum(int(n) for n in
                             re.findall(r'Rss(?:Anon|Shmem):\s*(\d+)', f.read()))
        return total

    def log(self):
        """Lines and bytes that the agent has written."""
        with open('%s/%s.log' % (WORK, self.name)) as f:
            text = f.read()
        return text.count('\n'), len(text)

    def handshake(self):
        text = run('wg', 'show', 'tailrace0', 'latest-handshakes', ns=self.name)
        return int(text.split()[1])


def ping(node, address):
    log = open('%s/ping-%s.log' % (WORK, node.name), 'wb')
    return subprocess.Popen(['ip', 'netns', 'exec', node.name, 'ping', '-n',
                             '-q', '-i', str(PERIOD), address],
                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def lost():
    """Of the packets sent into the tunnel so far, those that came nowhere."""
    for proc in pings:
        proc.send_signal(signal.SIGSTOP)
    time.sleep(1)  # what is under way arrives
    left, right = counters('a'), counters('b')
    for proc in pings:
        proc.send_signal(signal.SIGCONT)
    return [left['asked'] - right['got'], right['answered'] - left['heard'],
            right['asked'] - left['got'], left['answered'] - right['heard']]


def sent():
    return counters('a')['asked'] + counters('b')['asked']


def pass_time(seconds):
    """Waits; the handshakes that were made meanwhile."""
    seen = set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(min(60, max(0, end - time.monotonic())))
        seen.add(a.handshake())
    return len(seen)


# ── the story ───────────────────────────────────────────────────────────────

run('modprobe', 'tailrace')
run('useradd', '--system', 'tailrace')
with open('/etc/hosts', 'a') as f:
    f.write('203.0.113.1 coord.test derp.test\n')
network()
os.mkdir(WORK + '/coord', 0o700)
certificate('coord.test')
relay_hash = certificate('derp.test')
relay = start('net', 'relay', BIN + 'tailrace', 'relay', '--a=:443',
              '--http-port=-1', '--hostname=derp.test', '--certdir=' + WORK,
              '--c=' + WORK + '/relay.key', '--user=root')
control = coord_start()
coord('users', 'create', 'tester')
key = json.loads(coord('keys', 'create', '--user=tester', '--reusable',
                       '--json'))['key']
a, b = Node('a'), Node('b')
for node in a, b:
    node.start()
    node.cli('up', '--login-server=https://coord.test:8443', '--authkey=' + key,
             '--hostname=' + node.name, '--timeout=60s')
ok(within(30, lambda: a.address() and b.address()), 'both join')
pings = [ping(a, b.address()), ping(b, a.address())]
ok(within(60, lambda: a.direct() and b.direct()), 'the path is direct')
time.sleep(STEP / 2)
before = {n.name: (n.memory(), *n.log()) for n in (a, b)}
zero = lost()
diag('lost before: %s of %d' % (zero, sent()))


def steps(n, what, direct=True):
    """Lets them pass and looks at what came of it."""
    first, tried = sent(), counters('net', 'control')['tried']
    handshakes = pass_time(n * STEP)
    total = sent() - first
    gone = [now - then for now, then in zip(lost(), zero)]
    ok(not any(gone) and total > 2 * n * STEP / PERIOD * 0.9,
       '%s: none of %d packets each way is lost' % (what, total // 2),
       'sent %d, lost %s' % (total, gone))
    ok(handshakes > n * STEP / 180,
       '%s: WireGuard changed its keys %d times' % (what, handshakes))
    if direct:
        ok(a.direct() and b.direct(), '%s: the path is direct still' % what,
           [a.peer(), b.peer()])
    tried = counters('net', 'control')['tried'] - tried
    ok(tried <= n * STEP + 100, # from both, the kernel's repetitions counted
       '%s: %d SYNs are sent to the control server' % (what, tried))


control.kill()
control.wait()
os.unlink(WORK + '/coord/admin.sock')
steps(5, 'control refuses connections')

run('nft', 'add', 'rule', 'ip', 'control', 'gone', 'drop', ns='net')
steps(5, 'control is silent')

a.kill()
time.sleep(60)
a.start()
# Its disco key is a new one, which the peer learns from the control server
# only: they go by the relay until then.
steps(2, 'an agent restarted meanwhile', direct=False)
ok(a.status().get('BackendState') == 'Running', 'it runs by what it had saved')

for node in a, b:
    memory, lines, size = before[node.name]
    now, more_lines, more = node.memory(), node.log()[0] - lines, \
        node.log()[1] - size
    ok(now < memory + 1024, '%s: %d KiB of memory, %d before' %
       (node.name, now, memory))
    ok(more < 1 << 20, '%s: %d lines of log, %d KiB' %
       (node.name, more_lines, more >> 10))

# Control returns, and with it a change.
run('nft', 'flush', 'chain', 'ip', 'control', 'gone', ns='net')
control = coord_start()
ok(within(60, lambda: all(n['online'] for n in
                          json.loads(coord('nodes', 'list', '--json')))),
   'control is back: both are there')
coord('nodes', 'rename', 'b', 'renamed')
ok(within(10, lambda: 'renamed' in a.peer().get('DNSName', '')),
   'and a change arrives', a.peer())
ok(within(60, lambda: a.direct() and b.direct()), 'the path is direct again',
   [a.peer(), b.peer()])
gone = [now - then for now, then in zip(lost(), zero)]
ok(not any(gone), 'none of %d packets is lost' % sent(), gone)
print('1..%d' % count, flush=True)
sys.exit(failed > 0)
