#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The agent and its command line on a host without WireGuard or a module.

In a network namespace of its own: preferences and settings, what status says
with and without an agent, the metrics, the stock command line's questions.
"""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..')
BUILD = os.path.join(TOP, 'build')
count = failed = 0

if not os.environ.get('TAILRACE_AGENT_T'):
    os.environ['TAILRACE_AGENT_T'] = '1'
    os.execvp('unshare', ['unshare', '-n', sys.executable, __file__])
subprocess.run(['ip', 'link', 'set', 'lo', 'up'], check=True)


def ok(good, name, why=''):
    global count, failed
    count += 1
    failed += not good
    print('%sok %d - %s' % ('' if good else 'not ', count, name), flush=True)
    for line in [] if good else str(why).splitlines():
        print('# ' + line, flush=True)


def same(got, want, name):
    ok(got == want, name, 'got %r, want %r' % (got, want))


class Agent:
    def __init__(self, *flags):
        self.proc = subprocess.Popen(
            [BUILD + '/tailraced', '--statedir=' + state, '--socket=' + sock,
             '--user=nobody', '--tun=tr%d' % os.getpid(),
             '--metrics-listen=127.0.0.1:9041', *flags],
            stderr=subprocess.DEVNULL)
        for _ in range(600):
            try:
                socket.socket(socket.AF_UNIX).connect(sock)
                break
            except OSError:
                time.sleep(0.1)

    def end(self):
        self.proc.send_signal(signal.SIGTERM)
        self.proc.wait()


def cli(*args):
    done = subprocess.run([BUILD + '/tailrace', '--socket=' + sock, *args],
                          text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE)
    return done.returncode, done.stdout, done.stderr


def get(name):
    return cli('get', name)[1].strip()


def api(method, path, body=None):
    """Status and body, as a program asks the LocalAPI."""
    s = socket.socket(socket.AF_UNIX)
    s.connect(sock)
    body = json.dumps(body).encode() if body is not None else b''
    s.sendall(b'%s /localapi/v0/%s HTTP/1.1\r\nHost: x\r\nConnection: close'
              b'\r\nContent-Length: %d\r\n\r\n%s' %
              (method.encode(), path.encode(), len(body), body))
    text = b''
    while data := s.recv(65536):
        text += data
    head, _, rest = text.partition(b'\r\n\r\n')
    return int(head.split()[1]), rest.decode()


work = tempfile.TemporaryDirectory(prefix='tailrace-agent-')
os.chmod(work.name, 0o755)
state, sock = work.name + '/state', work.name + '/sock'

# Nobody is there.
code, out, err = cli('status')
same(code, 4, 'no agent, no module: exit status 4')
ok('does not answer' in err and 'tailrace.ko' in err, 'both are said', err)
code, out, err = cli('status', '--json')
same((code, json.loads(out)['BackendState']), (4, 'NoState'), 'as JSON')
code, out, err = cli('metrics')
ok(code and '\ntailrace_agent_up 0\n' in out, 'metrics without an agent', out)
same(cli('set', '--strict')[0], 1, 'nobody to set it')
same(cli('wait', '--timeout=300ms')[0], 1, 'waiting ends')
same(cli('doctor')[0], 2, 'the doctor finds faults')
checks = {c['name']: c for c in
          json.loads(cli('doctor', '--json')[1])['checks']}
same(checks['processes']['level'], 'fault', 'the agent is missing')
same(cli('doctor', 'x')[0], 64, 'an argument that is none')

# Settings.
agent = Agent('--max-stale=1h')
same(get('max-stale'), 'default', 'nothing is set')
same(cli('set', '--strict', '--max-stale=12h30m', '--flow-table=5000',
         '--flow-records=10s'), (0, '', ''), 'all are')
same([get(n) for n in ('strict', 'max-stale', 'flow-table', 'flow-records')],
     ['true', '12h30m0s', '5000', '10s'], 'and can be read')
for flag in ('--flow-table=100', '--flow-table=99999999', '--max-stale=11y',
             '--max-stale=5', '--flow-records=500ms', '--strict=maybe',
             '--flow-records=25h', '--max-stale=-1s'):
    code, out, err = cli('set', flag)
    ok(code == 2 and flag[2:].split('=')[0] in err, flag + ' is refused', err)
same(get('flow-table'), '5000', 'and changes nothing')
for body in ({'FlowTable': 1, 'FlowTableSet': True},
             {'Strict': 'yes', 'StrictSet': True},
             {'MaxStaleSeconds': 9e9, 'MaxStaleSecondsSet': True}):
    same(api('PATCH', 'prefs', body)[0], 400, 'as is %s' % json.dumps(body))
same(cli('set', '--flow-table=0')[0], 0, 'no size')
same(get('flow-table'), 'default', 'is the default')
same(cli('set', '--netfilter-mode=off', '--accept-dns=false')[0], 0,
     'what is so anyway may be said')
code, out, err = cli('set', '--ssh')
ok(code == 2 and 'no SSH server' in err, 'what is not here is refused', err)
same(cli('set', '--advertise-tags=web,tag:db')[0], 0, 'tags, one without tag:')
same(get('advertise-tags'), 'tag:db,tag:web', 'are tags')
agent.end()
same((json.load(open(state + '/tailrace.state'))['prefs']['MaxStaleSeconds'],
      os.stat(state + '/tailrace.state').st_mode & 0o777), (45000, 0o600),
     'they are in the state file')
agent = Agent()
same([get(n) for n in ('strict', 'max-stale')], ['true', '12h30m0s'],
     'and there after a restart')

# What it says.
code, out, err = cli('status')
same((code, out.startswith('Logged out')), (1, True), 'status: logged out')
code, out, err = cli('version', '--json', '--daemon')
v = json.loads(out)
same((v['daemonLong'], v['majorMinorPatch']), (v['long'], v['short']),
     'versions')
code, out, err = cli('metrics', 'print')
lines = out.splitlines()
ok(not code and 'tailrace_agent_up 1' in lines and
   'tailrace_backend_state{state="NeedsLogin"} 1' in lines, 'metrics', out)
helps = re.findall(r'^# HELP (\S+) .+$', out, re.M)
types = dict(re.findall(r'^# TYPE (\S+) (\S+)$', out, re.M))
names = re.findall(r'^([a-z_]+)(?:\{[^}]*\})? \S+$', out, re.M)
ok(len(helps) == len(set(helps)) and list(types) == helps and
   set(names) == set(helps), 'each has help and a type, once', out)
ok(all((types[n] == 'counter') == n.endswith('_total') for n in names),
   'counters end in _total', out)
series = [l.rsplit(' ', 1)[0] for l in lines if not l.startswith('#')]
same(len(series), len(set(series)), 'no series comes twice')
page = urllib.request.urlopen('http://127.0.0.1:9041/metrics')
ok('version=0.0.4' in page.headers['Content-Type'] and
   re.findall('^# HELP (.*)', page.read().decode(), re.M) ==
   re.findall('^# HELP (.*)', out, re.M), 'Prometheus gets the same')
try:
    urllib.request.urlopen('http://127.0.0.1:9041/localapi/v0/prefs')
    ok(False, 'and nothing else')
except urllib.error.HTTPError as e:
    same(e.code, 404, 'and nothing else')
path = work.name + '/tailrace.prom'
same(cli('metrics', 'write', path)[0], 0, 'written to a file')
ok(open(path).read().startswith('# HELP') and
   os.stat(path).st_mode & 0o777 == 0o644, 'that all can read')

# The stock command line.
same(api('POST', 'check-prefs', {'Hostname': 'x'}),
     (200, '{\n  "Error":""\n}\n'), 'preferences may be checked')
ok('FlowTable' in api('POST', 'check-prefs', {'FlowTable': 3})[1],
   'bad ones are named')
same(api('GET', 'usermetrics')[0], 200, 'metrics under their name')
same(api('GET', 'no-such')[0], 404, 'what is not there')

# What up does to settings.
same(cli('up', '--max-stale=2h', '--timeout=1s')[0], 1,
     'up, where nobody lets it in')
same([get(n) for n in ('strict', 'max-stale')], ['true', '2h0m0s'],
     'has set what it was given')
code, out, err = cli('up', '--reset', '--json', '--timeout=1s')
same([get(n) for n in ('strict', 'max-stale', 'advertise-tags')],
     ['default', 'default', ''], 'and --reset what it was not')

# The doctor, with an agent.
checks = {c['name']: c for c in
          json.loads(cli('doctor', '--json')[1])['checks']}
same(checks['processes']['level'], 'ok', 'the doctor sees the processes')
same(checks['agent']['level'], 'warning', 'and that nobody has logged in')
agent.end()
print('1..%d' % count)
sys.exit(failed != 0)
