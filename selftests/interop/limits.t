#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What strangers get of coord and of the relay, at the limits they come with.

Connections that say a byte now and then, ten thousand that say nothing, heads
and bodies that are too long: each has an end, and who behaves is served all the
while. In a network namespace of its own.
"""
import os
import resource
import select
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TAILRACE = os.path.join(TOP, "build", "tailrace")
FLOOD = 10000
UNPROVEN = 4096  # --limit-unproven, --half-open-limit
SLOW = 20
LIMIT = 300  # seconds until something must have happened
tests = failed = 0

if not os.environ.get("TAILRACE_LIMITS_T"):
    os.environ["TAILRACE_LIMITS_T"] = "1"
    os.execvp("unshare", ["unshare", "-n", sys.executable, __file__])
subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
work = tempfile.mkdtemp(prefix="tailrace-limits-")
trusting = ssl.create_default_context()
trusting.check_hostname = False
trusting.verify_mode = ssl.CERT_NONE


def ok(good, name, why=""):
    global tests, failed
    tests += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", tests, name), flush=True)
    for line in [] if good else str(why).splitlines():
        print("# " + line[:500], flush=True)


class Server:
    def __init__(self, name, port, probe, each, *command):
        self.name, self.port, self.probe = name, port, probe
        self.each = each  # bytes that a silent connection may take
        self.path = os.path.join(work, "%s-%d.log" % (name, port))
        with open(self.path, "wb") as log:
            self.proc = subprocess.Popen([TAILRACE, *command], stdout=log,
                                         stderr=log)
        for _ in range(600):
            if self.serves():
                return
            time.sleep(0.1)
        print("Bail out! %s does not start: %s" % (name, self.log()))
        self.end()
        sys.exit(1)

    def dial(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=60)

    def tls(self):
        return trusting.wrap_socket(self.dial(), server_hostname="localhost")

    def ask(self, request):
        """The first line of the answer to it, over TLS."""
        with self.tls() as s:
            try:
                s.sendall(request)
                return s.recv(4096).split(b"\r\n")[0].decode()
            except OSError as e:
                return str(e)

    def serves(self):
        try:
            return " 200 " in self.ask(b"GET %s HTTP/1.1\r\nHost: x\r\n"
                                       b"Connection: close\r\n\r\n" %
                                       self.probe)
        except OSError:
            return False

    def resident(self):
        with open("/proc/%d/statm" % self.proc.pid) as f:
            return int(f.read().split()[1]) * resource.getpagesize()

    def log(self):
        with open(self.path, errors="replace") as f:
            return f.read()

    def end(self):
        self.proc.terminate()
        self.proc.wait()


def coord(port):
    state = os.path.join(work, "coord-%d" % port)
    os.mkdir(state, 0o700)
    return Server("coord", port, b"/health", 4 << 10, "coord", "serve",
                  "--listen=127.0.0.1:%d" % port, "--state-dir=" + state,
                  "--server-url=https://localhost:%d" % port,
                  "--tls-cert=%s/localhost.crt" % work,
                  "--tls-key=%s/localhost.key" % work)


def relay(port):
    return Server("relay", port, b"/derp/probe", 80 << 10, "relay",
                  "--a=127.0.0.1:%d" % port, "--http-port=-1", "--stun=false",
                  "--hostname=localhost", "--certdir=" + work,
                  "--c=%s/relay-%d.key" % (work, port))


# ── a byte now and then ─────────────────────────────────────────────────────

def slow(servers):
    """Connections that always have something more to say."""
    kinds = {
        "say nothing": (Server.dial, b"", b""),
        "shake hands slowly": (Server.dial, b"\x16\x03\x01\x02\x00\x01", b"\0"),
        "send a header slowly": (Server.tls, b"GET / HTTP/1.1\r\nA: ", b"a"),
        "send a body slowly": (Server.tls, b"POST /verify HTTP/1.1\r\nHost: x"
                               b"\r\nContent-Length: 60000\r\n\r\n", b"{"),
    }
    waiting = []
    for server in servers:
        for kind, (dial, first, more) in kinds.items():
            for _ in range(SLOW):
                s = dial(server)
                s.sendall(first)
                s.setblocking(False)
                waiting.append((s, server, kind, more))
    began = time.monotonic()
    ended, served = {}, True
    while waiting and time.monotonic() - began < LIMIT:
        for entry in list(waiting):
            s, server, kind, more = entry
            try:
                if more:
                    s.send(more)
                if s.recv(4096):
                    continue  # an answer, before the end
            except (BlockingIOError, ssl.SSLWantReadError,
                    ssl.SSLWantWriteError):
                continue
            except OSError:
                pass
            s.close()
            waiting.remove(entry)
            ended[server.name, kind] = time.monotonic() - began
        served = served and all(server.serves() for server in servers)
        time.sleep(1)
    for server in servers:
        for kind in kinds:
            left = sum(e[1] is server and e[2] == kind for e in waiting)
            ok(not left, "%s: %d connections that %s end, after %d s" %
               (server.name, SLOW, kind, ended.get((server.name, kind), 0)),
               "%d are left" % left)
    ok(served, "and others are served meanwhile")
    for s, *_ in waiting:
        s.close()


# ── ten thousand ────────────────────────────────────────────────────────────

def still_open(sockets):
    poll = select.poll()
    for s in sockets:
        poll.register(s, select.POLLIN | select.POLLRDHUP)
    return len(sockets) - len(poll.poll(0))


def flood(server):
    before = server.resident()
    sockets, served = [], True
    for i in range(FLOOD):
        sockets.append(server.dial())
        if i % 2000 == 1999:
            served = served and server.serves()
    for _ in range(100):
        if still_open(sockets) <= UNPROVEN:
            break
        time.sleep(0.1)
    left = still_open(sockets)
    each = max(0, server.resident() - before) / max(left, 1)
    ok(0 < left <= UNPROVEN, "%s: of %d connections that say nothing %d are "
       "open" % (server.name, FLOOD, left))
    ok(each < server.each, "%s: each takes %d bytes" % (server.name, each))
    ok(served and server.serves(), "%s: others are served" % server.name)
    for s in sockets:
        s.close()


# ── too long ────────────────────────────────────────────────────────────────

def long(servers):
    for server in servers:
        answer = server.ask(b"GET / HTTP/1.1\r\nA: " + b"a" * 20000)
        ok(" 431 " in answer, "%s: a header without end: %s" %
           (server.name, answer))
        ok("too long" in server.log(), "%s: and says so" % server.name,
           server.log())
    answer = servers[0].ask(b"POST /verify HTTP/1.1\r\nHost: x\r\n"
                            b"Content-Length: 65537\r\n\r\n")
    ok(" 413 " in answer, "coord: a body of 64 KiB and a byte: %s" % answer)
    ok("the body is too long" in servers[0].log(), "coord: and says so",
       servers[0].log())
    answer = servers[1].ask(b"POST /derp HTTP/1.1\r\nHost: x\r\n"
                            b"Transfer-Encoding: chunked\r\n\r\n")
    ok(" 411 " in answer, "relay: a body of any length: %s" % answer)


subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-keyout", work + "/localhost.key",
                "-out", work + "/localhost.crt", "-subj", "/CN=localhost",
                "-addext", "subjectAltName=DNS:localhost"],
               stderr=subprocess.DEVNULL, check=True)
servers = []
try:
    servers.append(coord(8443))
    servers.append(relay(9443))
    long(servers)
    slow(servers)
    for one in servers:
        flood(one)
    for one in servers:
        ok(one.proc.poll() is None, one.name + " goes on")
finally:
    for one in servers:
        one.end()
    shutil.rmtree(work)
print("1..%d" % tests)
sys.exit(failed > 0)
