#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""`tailrace coord serve` is killed with SIGKILL while an administrator works.

What the admin socket acknowledged must be there when the server is back; the
one request that was under way may be, as a whole. COORD_KILL_ROUNDS says how
often (60).
"""
import os
import shutil
import signal
import sys
import tempfile
import threading
import time

import coordstate
from coordstate import Gone, call, difference, random_change, read_state, rng

ROUNDS = int(os.environ.get("COORD_KILL_ROUNDS", "60"))
directory = coordstate.directory = tempfile.mkdtemp(
    prefix="tailrace-coord-kill-")


def main():
    acknowledged = unfinished = survived = 0
    server = coordstate.start()
    server.terminate()
    server.wait()
    coordstate.populate()
    state, candidate = None, None
    began = time.monotonic()
    for number in range(ROUNDS + 1):
        server = coordstate.start()
        found = read_state()
        if state is not None and found != state:
            if candidate is None or found != candidate:
                print("not ok 1 - round %d lost something" % number)
                print("# seed %d: %r" % (coordstate.seed, difference(state, found)))
                server.kill()
                server.wait()
                return 1
            survived += 1
        state, candidate = found, None
        if number == ROUNDS:
            break
        killer = threading.Timer(
            rng.uniform(0, 0.1), os.kill, (server.pid, signal.SIGKILL))
        killer.start()
        try:
            while True:
                path, body, candidate = random_change(state)
                call(path, body)
                state, candidate = candidate, None
                acknowledged += 1
        except Gone:
            unfinished += candidate is not None
        killer.join()
        server.wait()
    server.terminate()
    good = server.wait() == 0
    print("ok 1 - %d rounds of kill -9 lost nothing" % ROUNDS)
    print("# seed %d, %.1f s: %d changes acknowledged, %d under way, of which "
          "%d were there" % (coordstate.seed, time.monotonic() - began, acknowledged,
                             unfinished, survived))
    print("%sok 2 - it ends well" % ("" if good else "not "))
    return 0 if good else 1


print("1..2", flush=True)
status = main()
if not status:
    shutil.rmtree(directory)
else:
    print("# %s is left to look at" % directory)
sys.exit(status)
