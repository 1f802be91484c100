#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A stock tailscaled joins `tailrace coord` by a login at a real provider.

The provider is npm's oidc-provider, the browser is this file: cookies,
redirects, forms. All of it in a network namespace that leads nowhere: a stock
tailscaled would look for its makers' servers.
"""
import html
import http.cookiejar
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "..", "..")
CACHE = os.environ.get("TAILRACE_CACHE", "/var/cache/tailrace")
TAILRACE = os.path.join(TOP, "build", "tailrace")
PATIENCE = 120

directory = None
processes = []
tests = 0
failed = 0


def ok(good, what):
    global tests, failed
    tests += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", tests, what), flush=True)
    return good


def diag(text):
    for line in str(text).splitlines():
        print("# " + line, flush=True)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def start(name, *command):
    log = open(os.path.join(directory, name + ".log"), "w+b")
    p = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT,
                         stdin=subprocess.DEVNULL)
    p.log = log.name
    processes.append(p)
    return p


def until(condition):
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        result = condition()
        if result:
            return result
        time.sleep(0.1)
    return None


def read(path):
    try:
        with open(path, errors="replace") as f:
            return f.read()
    except FileNotFoundError:
        return ""


def listening(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Browser:
    """Follows redirects, keeps cookies; the page it is at in .status, .text."""

    def __init__(self):
        jar = http.cookiejar.CookieJar()
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(jar))
        self.status = self.url = self.text = None

    def go(self, url, form=None):
        data = urllib.parse.urlencode(form).encode() if form else None
        try:
            reply = self.opener.open(url, data, PATIENCE)
        except urllib.error.HTTPError as e:
            reply = e
        self.status = reply.status
        self.url = reply.geturl()
        self.text = reply.read().decode()

    def submit(self, **fields):
        """The page's first form, with its hidden fields and ours."""
        action = re.search(r'<form[^>]*action="([^"]*)"', self.text)
        for tag in re.findall(r"<input[^>]*>", self.text):
            name = re.search(r'name="?([^" >]*)', tag)
            value = re.search(r'value="?([^" >]*)', tag)
            if "hidden" in tag and name and value:
                fields.setdefault(name[1], html.unescape(value[1]))
        self.go(urllib.parse.urljoin(self.url, html.unescape(action[1])),
                fields)

    def login(self, url, name):
        """All that is asked before we are sent back."""
        self.go(url)
        if 'name="login"' in self.text:
            self.submit(login=name, password="any")
        if "/interaction/" in self.url:
            self.submit()  # consent


class Node:
    """A stock tailscaled without an interface."""

    def __init__(self, name):
        self.name = name
        self.socket = os.path.join(directory, name + ".sock")
        self.daemon = start(
            name, os.path.join(CACHE, "bin", "tailscaled"),
            "--tun=userspace-networking", "--state=mem:", "--port=0",
            "--statedir=" + os.path.join(directory, name),
            "--no-logs-no-support",
            "--socket=" + self.socket)
        until(lambda: os.path.exists(self.socket))
        self.up = start(name + "-up", *self.cli(
            "up", "--login-server=" + URL, "--hostname=" + name,
            "--timeout=%ds" % PATIENCE))

    def cli(self, *arguments):
        return (os.path.join(CACHE, "bin", "tailscale"),
                "--socket=" + self.socket) + arguments

    def auth_url(self):
        return until(lambda: re.search(r"http://127\S+/register/\S+",
                                       read(self.up.log)))[0]

    def joined(self):
        """Without relays it starts for ever, but has its own address."""
        status = self.status()
        return (status.get("BackendState") in ("Starting", "Running") and
                status["Self"].get("TailscaleIPs"))

    def status(self):
        p = subprocess.run(self.cli("status", "--json"), text=True,
                           capture_output=True)
        return json.loads(p.stdout) if p.stdout else {}


def coord(*arguments):
    p = subprocess.run((TAILRACE, "coord") + arguments + (
        "--socket=" + os.path.join(directory, "admin.sock"), "--json"),
        text=True, capture_output=True)
    if p.returncode:
        diag(p.stderr)
    return json.loads(p.stdout) if p.stdout else None


def serve(*arguments):
    return start("coord", TAILRACE, "coord", "serve",
                 "--listen=127.0.0.1:%d" % PORT, "--server-url=" + URL,
                 "--state-dir=" + directory, "--oidc-issuer=" + ISSUER,
                 "--oidc-client-id=tailrace",
                 "--oidc-client-secret-path=" + SECRET, *arguments)


def test():
    provider = start("provider", "node",
                     os.path.join(HERE, "oidc-provider.mjs"),
                     os.path.join(CACHE, "oidc-provider"), str(ISSUER_PORT),
                     URL + "/oidc/callback")
    if not ok(until(lambda: listening(ISSUER_PORT)), "the provider runs"):
        diag(read(provider.log))
        return
    serve("--oidc-allowed-domains=example.com")
    ok(until(lambda: listening(PORT)), "coord runs")

    node = Node("first")
    url = node.auth_url()
    ann = Browser()
    ann.login(url, "ann")
    if not ok(ann.status == 200 and "A node wants to join" in ann.text,
              "who has logged in is asked whether it is his node"):
        diag(ann.url)
        diag(ann.text)
    ok("<b>first</b>" in ann.text and "<b>ann@example.com</b>" in ann.text,
       "with its name and his")
    ok(node.status().get("BackendState") == "NeedsLogin",
       "until then the node has not joined")
    ann.submit()
    ok(ann.status == 200 and "has joined" in ann.text, "he joins it")
    ok(until(node.joined),
       "and the node has its address")
    status = node.status()
    user = status["User"][str(status["Self"]["UserID"])]
    ok(user["LoginName"] == "ann@example.com" and
       user["DisplayName"] == "The ann", "as his: %s" % user["LoginName"])
    ann.go(url)
    ok("has joined" in ann.text, "the address has been used")

    second = Node("second")
    ann.login(second.auth_url(), "nobody asks this time")
    ok("<b>ann@example.com</b>" in ann.text and "<b>second</b>" in ann.text,
       "another node, the provider still knows him")
    ann.submit()
    ok(until(second.joined),
       "it has joined, too")
    users = coord("users", "list")
    ok(users and len(users) == 1, "that is one user")

    third = Node("third")
    url = third.auth_url()
    x = Browser()
    x.login(url, "xavier")
    ok(x.status == 403 and "not verified" in x.text,
       "an address that is not verified is no proof")
    other = Browser()
    other.go(url)
    back = Browser()
    back.go(re.sub(r"^[^?]*", URL + "/oidc/callback",
                   "?state=%s&code=x" % "A" * 43))
    ok(back.status == 400, "a callback that nobody began")
    ok(third.status().get("BackendState") == "NeedsLogin",
       "none of which joins the node")
    provider.terminate()
    provider.wait()
    bob = Browser()
    bob.go(URL + "/oidc/callback?error=access_denied&state=x")
    ok(bob.status == 400, "without the provider coord still answers")
    ok(node.joined(),
       "and nodes do not need it")


def isolate():
    """Into a namespace; a node without any network would not even try."""
    if "OIDC_ISOLATED" not in os.environ:
        subprocess.run([os.path.join(TOP, "scripts", "oidc-provider.sh")],
                       check=True, stdout=subprocess.DEVNULL)
        os.environ["OIDC_ISOLATED"] = "1"
        os.execvp("unshare", ["unshare", "-n", sys.executable, __file__])
    for command in ("link set lo up", "link add v0 type veth peer name v1",
                    "addr add 192.0.2.1/24 dev v0", "link set v0 up",
                    "link set v1 up", "route add default via 192.0.2.2"):
        subprocess.run(["ip"] + command.split(), check=True)


isolate()
directory = tempfile.mkdtemp(prefix="tailrace-oidc-")
PORT, ISSUER_PORT = free_port(), free_port()
URL = "http://127.0.0.1:%d" % PORT
ISSUER = "http://127.0.0.1:%d" % ISSUER_PORT
SECRET = os.path.join(directory, "secret")
with open(SECRET, "w", opener=lambda p, f: os.open(p, f, 0o600)) as out:
    out.write("a secret: 100% of it/+\n")
try:
    test()
finally:
    if failed:
        for p in processes:
            diag("── " + p.log)
            diag(read(p.log)[-3000:])
    for p in processes:
        if p.poll() is None:
            p.kill()
        p.wait()
    shutil.rmtree(directory, ignore_errors=True)
print("1..%d" % tests)
sys.exit(failed > 0)
