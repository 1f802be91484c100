#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Sends packets that look like disco and are not.

usage: flood.py ADDRESS PORT PACKETS-PER-SECOND SECONDS
"""
import os
import random
import socket
import sys
import time

address, port, rate, seconds = sys.argv[1], *map(int, sys.argv[2:])
MAGIC = b"TS\xf0\x9f\x92\xac"
STEP = 0.005

sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(8)]
for sock in sockets:
    sock.connect((address, port))
packets = [MAGIC + os.urandom(random.choice((0, 1, 25, 26, 55, 56, 57, 72, 80, 110, 500)))
           for _ in range(512)]
start = time.monotonic()
sent = 0
while (now := time.monotonic() - start) < seconds:
    while sent < now * rate:
        try:
            sockets[sent & 7].send(packets[sent & 511])
        except OSError:
            pass  # an ICMP error of an earlier one
        sent += 1
    time.sleep(STEP)
print(f"{sent} packets in {now:.1f} s")
