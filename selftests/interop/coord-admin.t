#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""`tailrace coord` as an operator uses it, with stock nodes on loopback.

Every change is made with the command line; what it does is seen by the stock
client, or comes back from the server after a restart. All of it runs in a
network namespace of its own, whose way out leads nowhere.
"""
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import time

if not os.environ.get("TAILRACE_APART"):
    os.environ["TAILRACE_APART"] = "1"
    os.execvp("unshare", ["unshare", "-n", "sh", "-ec", """
        ip link set lo up
        ip link add eth0 type veth peer name nowhere
        ip link set nowhere up
        ip address add 192.0.2.2/24 dev eth0
        ip link set eth0 up
        ip route add default via 192.0.2.1
        exec "$0\"""", os.path.abspath(__file__)])

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TAILRACE = os.path.join(TOP, "build", "tailrace")
BIN = os.path.join(os.environ.get("TAILRACE_CACHE", "/var/cache/tailrace"),
                   "bin")
directory = tempfile.mkdtemp(prefix="tailrace-coord-admin-")
SOCKET = os.path.join(directory, "admin.sock")
url = None
server = None
daemons = []
count = failed = 0


def ok(good, text):
    global count, failed
    count += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", count, text), flush=True)
    return good


def diag(text):
    for line in str(text).splitlines():
        print("# " + line, flush=True)


def within(seconds, condition):
    """Waits until it holds; what it said last."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value or time.monotonic() > end:
            return value
        time.sleep(0.1)


class Result:
    def __init__(self, done):
        self.code, self.out, self.err = \
            done.returncode, done.stdout, done.stderr

    def json(self):
        return json.loads(self.out)


def coord(*arguments):
    return Result(subprocess.run(
        [TAILRACE, "coord", *arguments, "--socket=" + SOCKET],
        capture_output=True, text=True, timeout=120, check=False))


def succeeds(text, *arguments):
    done = coord(*arguments)
    if not ok(done.code == 0, text):
        diag(done.err)
    return done


def refused(text, words, *arguments):
    done = coord(*arguments)
    if not ok(done.code != 0 and words in done.err, text):
        diag("%d: %s" % (done.code, done.err))


def start_server(port):
    global server, url
    with open(os.path.join(directory, "log"), "ab") as log:
        server = subprocess.Popen(
            [TAILRACE, "coord", "serve", "--listen=127.0.0.1:%d" % port,
             "--server-url=http://127.0.0.1:%d" % port,
             "--state-dir=" + directory, "--ephemeral-timeout=2s"],
            stdout=log, stderr=log)
    url = "http://127.0.0.1:%d" % port
    return within(60, lambda: server.poll() is None
                  and coord("users", "list").code == 0)


def stop_server():
    server.terminate()
    return server.wait()


class Node:
    """A stock tailscaled without a device."""

    def __init__(self, name):
        self.dir = os.path.join(directory, name)
        self.socket = os.path.join(self.dir, "sock")
        self.name = name
        os.mkdir(self.dir)
        with open(os.path.join(self.dir, "log"), "wb") as log:
            self.daemon = subprocess.Popen(
                [os.path.join(BIN, "tailscaled"), "--socket=" + self.socket,
                 "--tun=userspace-networking", "--statedir=" + self.dir,
                 "--port=0", "--no-logs-no-support"],
                stdout=log, stderr=log)
        daemons.append(self.daemon)
        within(60, lambda: os.path.exists(self.socket))

    def command(self, *arguments):
        return [os.path.join(BIN, "tailscale"), "--socket=" + self.socket,
                *arguments]

    def up(self, *arguments):
        """Begins to log in; what it prints is in self.said()."""
        with open(os.path.join(self.dir, "up"), "wb") as out:
            self.cli = subprocess.Popen(
                self.command("up", "--login-server=" + url,
                             "--hostname=" + self.name, *arguments),
                stdout=out, stderr=out)
        daemons.append(self.cli)

    def said(self):
        with open(os.path.join(self.dir, "up"), encoding="utf-8") as f:
            return f.read()

    def run(self, *arguments):
        return subprocess.run(self.command(*arguments), capture_output=True,
                              text=True, timeout=120, check=False)

    def status(self):
        done = self.run("status", "--json")
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def me(self):
        return self.status().get("Self") or {}


def node_named(name):
    return next((n for n in coord("nodes", "list", "--json").json()
                 if n["given_name"] == name), None)


def users():
    succeeds("a user is created", "users", "create", "alice",
             "--display-name=Alice A.")
    refused("not twice", "already", "users", "create", "alice")
    refused("a bad name", "not a user name", "users", "create", "a b")
    succeeds("another", "users", "create", "bob")
    succeeds("renamed", "users", "rename", "bob", "robert")
    listed = coord("users", "list", "--json").json()
    ok([u["name"] for u in listed] == ["alice", "robert"]
       and listed[0]["display_name"] == "Alice A.", "both are listed")
    ok("robert" in coord("users").out, "in a table, too")


def keys():
    key = succeeds("a key is created", "preauthkeys", "create", "--user",
                   "alice", "--expiration=90d", "--tags=tag:web,tag:db")
    key = key.out.strip()
    ok(re.fullmatch("trkey-auth-[0-9a-f]{12}-[0-9a-f]{48}", key) is not None,
       "and printed alone")
    listed = coord("keys", "list", "--json").json()
    ok(listed[0]["tags"] == ["tag:db", "tag:web"] and not listed[0]["reusable"]
       and key not in json.dumps(listed), "it is listed without its secret")
    with open(os.path.join(directory, "coord.db"), "rb") as db:
        found = key.rsplit("-", 1)[1].encode() in db.read()
    with open(os.path.join(directory, "coord.db-wal"), "rb") as db:
        found |= key.rsplit("-", 1)[1].encode() in db.read()
    ok(not found, "nor is it in the database")
    refused("a user that is not there", "no such user", "keys", "create",
            "--user=nobody")
    refused("a bad tag", "is not a tag", "keys", "create", "--user=alice",
            "--tags=web")
    succeeds("expired", "keys", "expire", str(listed[0]["id"]))
    return key


def approval(node):
    node.up("--advertise-routes=10.77.0.0/16,0.0.0.0/0,::/0")
    found = within(60, lambda: re.search("/register/([0-9a-f]{24})",
                                         node.said()))
    if not ok(found, "a node asks to be approved"):
        diag(node.said())
        return False
    pending = coord("nodes", "pending", "--json").json()
    ok([p["id"] for p in pending] == [found[1]]
       and pending[0]["name"] == node.name, "it is listed as pending")
    refused("not for a user that is not there", "no such user", "nodes",
            "approve", "--user=nobody", found[1])
    succeeds("approved", "nodes", "approve", "--user=alice", found[1])
    refused("not twice", "already", "nodes", "approve", "--user=alice",
            found[1])
    if not ok(within(60, lambda: node.me().get("TailscaleIPs")),
              "the client has its addresses"):
        diag(node.status())
    return ok(within(60, lambda: (node_named("gate-way") or {}).get("online")),
              "it is online, under a name that DNS can have")


def routes(node):
    n = node_named("gate-way")
    ok(n["available_routes"] == ["0.0.0.0/0", "10.77.0.0/16", "::/0"]
       and not n["subnet_routes"], "its routes are known, not approved")
    succeeds("routes are approved", "nodes", "approve-routes", "gate-way",
             "--routes=10.77.0.0/16,0.0.0.0/0,::/0")
    ok(within(60, lambda: node.me().get("PrimaryRoutes") == ["10.77.0.0/16"]),
       "the client learns that it is primary")
    listed = coord("routes", "list", "--json").json()
    ok(len(listed) == 1 and listed[0]["primary"], "as does the list")
    refused("no route", "no prefix", "nodes", "approve-routes", "gate-way",
            "--routes=10.77.0.0/99")
    succeeds("withdrawn", "nodes", "approve-routes", "-i", str(n["id"]),
             "--routes=")
    ok(within(60, lambda: not node.me().get("PrimaryRoutes")),
       "the client learns that, too")


def changes(node):
    succeeds("renamed", "nodes", "rename", "gate-way", "Front Door")
    ok(within(60, lambda: node.me().get("DNSName", "").startswith(
        "front-door.")), "the client has the new name")
    succeeds("moved", "nodes", "move", "front-door", "--user=robert")
    ok(node_named("front-door")["user"]["name"] == "robert", "to robert")
    refused("robert stays while he has it", "has 1 nodes", "users", "destroy",
            "robert")
    succeeds("tagged", "nodes", "tag", "front-door", "--tags=tag:door")
    ok(within(60, lambda: node.me().get("Tags") == ["tag:door"]),
       "the client has the tag")
    before = node_named("front-door")
    ok(stop_server() == 0 and start_server(int(url.rsplit(":", 1)[1])),
       "the server is started anew")
    after = node_named("front-door")
    ok(all(before[k] == after[k] for k in (
        "id", "stable_id", "node_key", "machine_key", "ip_addresses",
        "given_name", "tags", "user", "approved_routes", "created_at")),
       "the node is as it was")
    ok(within(90, lambda: node_named("front-door")["online"]),
       "it comes back by itself")
    succeeds("expired", "nodes", "expire", "front-door")
    ok(within(60, lambda: node.status().get("BackendState") in (
        "NeedsLogin", "Stopped")), "the client has to log in again")
    succeeds("deleted", "nodes", "delete", "front-door")
    refused("gone", "no such node", "nodes", "rename", "front-door", "x")
    succeeds("now robert can go", "users", "destroy", "robert")


def by_key(expired):
    node = Node("temp")
    node.up("--auth-key=" + expired)
    ok(within(60, lambda: "expired" in node.said()
              or "expired" in json.dumps(node.status())),
       "an expired key is refused, and says so")
    node.cli.terminate()
    node.cli.wait()
    key = coord("keys", "create", "--user=alice", "--ephemeral",
                "--tags=tag:t").out.strip()
    node.up("--auth-key=" + key, "--force-reauth")
    found = within(60, lambda: node_named("temp"))
    ok(found and found["ephemeral"] and found["tags"] == ["tag:t"]
       and found["expiry"] is None, "a node by an ephemeral key with a tag")
    ok(coord("keys", "list", "--json").json()[-1]["used"], "the key is used")
    within(60, lambda: (node_named("temp") or {}).get("online"))
    node.daemon.kill()
    ok(within(90, lambda: node_named("temp") is None),
       "it stays away and is removed")


def policies():
    path = os.path.join(directory, "policy")

    def write(text):
        with open(path, "w", encoding="utf-8") as f:
            f.write(text)
    ok("no policy" in coord("policy", "get").err, "there is no policy")
    write('// mine\n{"acls": [{"action": "accept", "src": ["*"],\n'
          '"dst": ["*:22"],},],}\n')
    succeeds("one is set", "policy", "set", path)
    ok(coord("policy", "get").out.startswith("// mine\n{"),
       "and comes back as it was written")
    write('{"acls": [{"action": "accept", "src": ["group:x"], '
          '"dst": ["*:*"]}]}')
    done = coord("policy", "set", path)
    ok(done.code and re.search(r"policy:1:\d+: ", done.err) is not None,
       "a bad one is refused, with the place")
    ok(coord("policy", "get").out.startswith("// mine\n{"), "the old one stays")


def edges():
    mode = stat.S_IMODE(os.stat(SOCKET).st_mode)
    ok(mode == 0o600, "the socket is its owner's")
    second = subprocess.run(
        [TAILRACE, "coord", "serve", "--listen=127.0.0.1:0",
         "--state-dir=" + directory], capture_output=True, text=True,
        timeout=60, check=False)
    ok(second.returncode and "in use" in second.stderr,
       "a second server on this state is refused")
    ok(coord("users", "list").code == 0, "which leaves the first its socket")
    done = coord("nodes", "no-such")
    ok(done.code == 2 and "Usage" in done.err, "an unknown command")
    done = subprocess.run([TAILRACE, "coord", "nodes", "list",
                           "--socket=/nonexistent"], capture_output=True,
                          text=True, check=False)
    ok(done.returncode == 1 and "is it running" in done.stderr,
       "no server: it says what to do")


def main():
    port = 20000 + os.getpid() % 20000
    for _ in range(20):
        if start_server(port):
            break
        port += 1
    else:
        print("Bail out! the server does not start")
        return
    users()
    expired = keys()
    edges()
    policies()
    node = Node("Gate-Way")
    if approval(node):
        routes(node)
        changes(node)
    by_key(expired)
    ok(stop_server() == 0, "it ends well")


try:
    main()
finally:
    for process in daemons + [server]:
        if process and process.poll() is None:
            process.kill()
            process.wait()
    if failed:
        diag("%s is left to look at" % directory)
    else:
        shutil.rmtree(directory)
print("1..%d" % count)
sys.exit(failed != 0)
