#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""coord's database is copied by Litestream while an administrator works.

Server and Litestream are killed, the copy is made a database again and served:
everything that was acknowledged before the copy was last looked at is there,
and beyond it no change is there without those before it. COORD_REPLICATE_ROUNDS
says how often (4); each round goes on with what the one before has restored.
"""
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time

import coordstate
from coordstate import Gone, call, random_change, read_state, rng

ROUNDS = int(os.environ.get("COORD_REPLICATE_ROUNDS", "4"))
CHANGES = 150  # of which some are certain to be copied
LITESTREAM = os.path.join(os.environ.get("TAILRACE_CACHE",
                                         "/var/cache/tailrace"),
                          "bin", "litestream")
work = tempfile.mkdtemp(prefix="tailrace-coord-replicate-")
tests = failed = 0


def ok(good, name, why=""):
    global tests, failed
    tests += 1
    failed += not good
    print("%sok %d - %s" % ("" if good else "not ", tests, name), flush=True)
    for line in [] if good else str(why).splitlines():
        print("# " + line[:2000], flush=True)
    return good


def replicate(copy):
    with open(os.path.join(work, "litestream.yml"), "w") as f:
        f.write("dbs:\n- path: %s/coord.db\n  replica:\n    type: file\n"
                "    path: %s\n    sync-interval: 100ms\n"
                % (coordstate.directory, copy))
    with open(os.path.join(work, "litestream.log"), "ab") as log:
        return subprocess.Popen([LITESTREAM, "replicate", "-config", f.name],
                                stdout=log, stderr=log)


def restore(copy, path):
    """The copy as a database at @path; False if there is nothing to restore."""
    for end in "", "-wal", "-shm", ".tmp", ".tmp-wal", ".tmp-shm":
        if os.path.exists(path + end):
            os.unlink(path + end)
    done = subprocess.run([LITESTREAM, "restore", "-o", path, "file://" + copy],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    with open(os.path.join(work, "litestream.log"), "a") as log:
        log.write(done.stdout)
    return done.returncode == 0


def has_user(path, name):
    db = sqlite3.connect(path)
    try:
        return db.execute("SELECT 1 FROM users WHERE name = ?",
                          (name,)).fetchone() is not None
    finally:
        db.close()


def is_copied(copy, name):
    """Waits until the user @name is in the copy."""
    for _ in range(120):
        path = os.path.join(work, "look.db")
        if restore(copy, path) and has_user(path, name):
            return True
        time.sleep(0.5)
    return False


def work_until_killed(history):
    """Appends the state after each acknowledged change, and a last one that
    may have been made."""
    state = history[-1]
    try:
        while True:
            path, body, new = random_change(state)
            history.append(new)
            call(path, body)
            state = new
    except Gone:
        pass


def one_round(number):
    copy = os.path.join(work, "copy%d" % number)
    server = coordstate.start()
    litestream = replicate(copy)
    history = [read_state()]
    for _ in range(CHANGES):
        path, body, state = random_change(history[-1])
        call(path, body)
        history.append(state)
    mark = "mark%d" % number
    call("users/create", {"name": mark})
    history.append(coordstate.changed(history[-1], "users", None, mark))
    certain = len(history) - 1
    ok(is_copied(copy, mark), "round %d: %d changes are copied"
       % (number, certain))
    killer = threading.Timer(rng.uniform(0.2, 1.5), os.kill,
                             (server.pid, signal.SIGKILL))
    killer.start()
    work_until_killed(history)
    litestream.kill()
    litestream.wait()
    killer.join()
    server.wait()

    old = coordstate.directory
    coordstate.directory = os.path.join(work, "state%d" % number)
    os.mkdir(coordstate.directory, 0o700)
    shutil.copy(os.path.join(old, "noise.key"), coordstate.directory)
    if not ok(restore(copy, os.path.join(coordstate.directory, "coord.db")),
              "round %d: the copy is a database" % number):
        return False
    server = coordstate.start()
    found = read_state()
    server.terminate()
    good = server.wait() == 0
    later = [i for i in range(certain, len(history)) if history[i] == found]
    ok(good and later, "round %d: it is served, up to %s of %d later changes"
       % (number, later[0] - certain if later else "?",
          len(history) - 1 - certain),
       coordstate.difference(history[certain], found))
    return bool(later)


def main():
    coordstate.directory = os.path.join(work, "state")
    os.mkdir(coordstate.directory, 0o700)
    server = coordstate.start()
    server.terminate()
    server.wait()
    coordstate.populate()
    for number in range(ROUNDS):
        if not one_round(number):
            break
    print("# seed %d" % coordstate.seed)
    print("1..%d" % tests)
    return failed


if not os.path.exists(LITESTREAM):
    print("Bail out! no %s: scripts/interop-peers.sh" % LITESTREAM)
    sys.exit(1)
status = main()
if status:
    print("# %s is left to look at" % work)
else:
    shutil.rmtree(work)
sys.exit(status)
