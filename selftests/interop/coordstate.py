# SPDX-License-Identifier: GPL-2.0
"""`tailrace coord serve` under an administrator who changes things at random."""
import http.client
import json
import os
import random
import socket
import sqlite3
import subprocess
import time

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
TAILRACE = os.path.join(TOP, "build", "tailrace")
NODES = 6
directory = None  # the server's state; who imports this sets it
seed = int.from_bytes(os.urandom(4), "big")
rng = random.Random(seed)


class Gone(Exception):
    """The server died under the request."""


class Refused(Exception):
    pass


class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(os.path.join(directory, "admin.sock"))


def call(path, body=None):
    c = Connection("coord")
    try:
        c.request("GET" if body is None else "POST", "/v1/" + path,
                  None if body is None else json.dumps(body))
        reply = c.getresponse()
        answer = json.loads(reply.read())
    except (OSError, http.client.HTTPException, ValueError) as e:
        raise Gone from e
    finally:
        c.close()
    if reply.status != 200:
        raise Refused(path, body, answer)
    return answer


def start():
    with open(os.path.join(directory, "log"), "ab") as log:
        server = subprocess.Popen(
            [TAILRACE, "coord", "serve", "--listen=127.0.0.1:0",
             "--server-url=http://127.0.0.1:1", "--state-dir=" + directory],
            stdout=log, stderr=log)
    for _ in range(6000):
        if server.poll() is not None:
            raise SystemExit("Bail out! the server ends: %d" % server.returncode)
        try:
            call("users")
            return server
        except Gone:
            time.sleep(0.01)
    raise SystemExit("Bail out! the server does not answer")


def populate():
    """Nodes, as if they had joined: no client is needed here."""
    db = sqlite3.connect(os.path.join(directory, "coord.db"))
    db.execute("INSERT INTO users VALUES (1, 'owner', '', '', '', 1)")
    db.execute("INSERT INTO users VALUES (2, 'other', '', '', '', 1)")
    for i in range(1, NODES + 1):
        db.execute(
            "INSERT INTO nodes VALUES (?,?,?,?,?,?,1,?,?,0,?,?,'[]','{}',116,"
            "'[]','[]',0,0,1,1,0)",
            (i, "s%d" % i, "mkey:%064x" % i, "nodekey:%064x" % i,
             "nodekey:%064x" % 0, "discokey:%064x" % 0, "n%d" % i, "n%d" % i,
             "100.64.0.%d" % i, "fd7a:115c:a1e0::%x" % i))
    db.commit()
    db.close()


def read_state():
    return {
        "users": {u["name"] for u in call("users")},
        # A key is known by its tag here.
        "keys": {k["tags"][0]: k["expiration"] is not None
                 for k in call("keys")},
        "nodes": {n["id"]: (n["given_name"], tuple(n["tags"]),
                            tuple(n["approved_routes"]), n["user"]["name"],
                            n["expiry"]) for n in call("nodes")},
        "policy": call("policy")["policy"],
    }


def changed(state, part, key, value):
    """A copy of @state with one entry more, or another, or (None) less."""
    new = dict(state)
    if part == "policy":
        new["policy"] = value
    elif part == "users":
        new["users"] = state["users"] - {key} | ({value} if value else set())
    else:
        new[part] = dict(state[part])
        new[part][key] = value
        if value is None:
            del new[part][key]
    return new


serial = 0


def random_change(state):
    """(path, body, what the state is to be)"""
    global serial
    serial += 1
    kind = rng.randrange(10)
    name = "x%d" % serial
    spare = sorted(state["users"] - {"owner", "other"})
    keys = sorted(state["keys"])
    node = rng.choice(sorted(state["nodes"]))
    given, tags, routes, user, expiry = state["nodes"][node]
    if kind == 0 or (kind < 3 and not spare):
        return "users/create", {"name": name}, \
            changed(state, "users", None, name)
    if kind == 1:
        victim = rng.choice(spare)
        return "users/destroy", {"user": victim}, \
            changed(state, "users", victim, None)
    if kind == 2:
        victim = rng.choice(spare)
        return "users/rename", {"user": victim, "name": name}, \
            changed(state, "users", victim, name)
    if kind == 3 or (kind == 4 and not keys):
        return "keys/create", {"user": "owner", "tags": ["tag:" + name]}, \
            changed(state, "keys", "tag:" + name, False)
    if kind == 4:
        key = rng.choice(keys)
        number = next(k["id"] for k in call("keys") if k["tags"][0] == key)
        if rng.randrange(2):
            return "keys/delete", {"key": number}, \
                changed(state, "keys", key, None)
        return "keys/expire", {"key": number}, \
            changed(state, "keys", key, True)
    if kind == 5:
        return "nodes/rename", {"node": node, "name": name}, \
            changed(state, "nodes", node, (name, tags, routes, user, expiry))
    if kind == 6:
        return "nodes/tag", {"node": node, "tags": ["tag:" + name]}, \
            changed(state, "nodes", node,
                    (given, ("tag:" + name,), routes, user, None))
    if kind == 7:
        route = "10.%d.%d.0/24" % (serial >> 8 & 255, serial & 255)
        return "nodes/approve-routes", {"node": node, "routes": [route]}, \
            changed(state, "nodes", node, (given, tags, (route,), user, expiry))
    if kind == 8:
        user = "owner" if user == "other" else "other"
        return "nodes/move", {"node": node, "user": user}, \
            changed(state, "nodes", node, (given, tags, routes, user, expiry))
    text = '{"hosts": {"h": "10.0.%d.%d"}, "acls": []}\n' % \
        (serial >> 8 & 255, serial & 255)
    return "policy", {"policy": text}, changed(state, "policy", None, text)


def difference(a, b):
    return {part: (a[part], b[part]) for part in a if a[part] != b[part]}
