#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What a NAT does to UDP, seen from outside and from inside.

reflect.py serve ADDRESS          answers from ports 5000 and 5001 with the
                                  source it saw; "knock" to 5000 is answered
                                  from 5002
reflect.py probe ADDRESS          from port 41641: prints the outside address
                                  seen by 5000, by 5001, and "open" if the
                                  answer from 5002 gets in, or "closed"
"""
import select
import socket
import sys

role, address = sys.argv[1:]
family = socket.AF_INET6 if ":" in address else socket.AF_INET


def bound(port, host=address):
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((host, port))
    return sock


def serve():
    first, second, third = bound(5000), bound(5001), bound(5002)
    while True:
        for sock in select.select([first, second], [], [])[0]:
            data, source = sock.recvfrom(100)
            answer = third if data == b"knock" else sock
            answer.sendto(f"{source[0]} {source[1]}".encode(), source)


def ask(sock, port, text):
    """The answer's text and port, or None three times."""
    for _ in range(3):
        sock.sendto(text, (address, port))
        if select.select([sock], [], [], 0.5)[0]:
            data, source = sock.recvfrom(100)
            return data.decode(), source[1]
    return None, None


def probe():
    sock = bound(41641, "::" if family == socket.AF_INET6 else "0.0.0.0")
    print(ask(sock, 5000, b"x")[0])
    print(ask(sock, 5001, b"x")[0])
    print("open" if ask(sock, 5000, b"knock")[1] == 5002 else "closed")


{"serve": serve, "probe": probe}[role]()
