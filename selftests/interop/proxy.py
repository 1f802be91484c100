#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Stands between a node and the control server and misbehaves.

usage: proxy.py LISTEN-PORT SERVER-PORT CERTIFICATE KEY MODE-FILE

Ends TLS on both sides. The mode is read anew for every connection:

pass       nothing is changed
wrongkey   /key answers with a key that is not the server's
junk       every answer is noise
refuse     every answer is HTTP status 500
garble     after the upgrade, one byte of what the server says is flipped
truncate   after the upgrade, the connection ends within a message
"""
import os
import re
import socket
import ssl
import sys
import threading

port, server_port, certificate, key, mode_file = sys.argv[1:]
# Enough that the handshake and the answers to a registration get through.
CLEAN = 3000


def head(conn):
    data = b""
    while b"\r\n\r\n" not in data and len(data) < 65536:
        more = conn.recv(4096)
        if not more:
            break
        data += more
    return data


def wrong_key(server):
    answer = b""
    while more := server.recv(4096):
        answer += more
    return re.sub(rb"mkey:[0-9a-f]{64}", lambda m: b"mkey:" + os.urandom(32).hex().encode(), answer)


def copy(source, sink, mode):
    """mode is what to do to the bytes, None for the client's side."""
    count = 0
    try:
        while data := source.recv(16384):
            count += len(data)
            if mode == "garble" and count > CLEAN:
                data = data[:-1] + bytes([data[-1] ^ 0x40])
            if mode == "truncate" and count > CLEAN:
                sink.sendall(data[: len(data) // 2])
                break
            sink.sendall(data)
    except OSError:
        pass
    for conn in source, sink:
        try:
            conn.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(raw):
    try:
        client = tls_server.wrap_socket(raw, server_side=True)
        with open(mode_file) as file:
            mode = file.read().strip()
        request = head(client)
        if mode == "junk":
            client.sendall(os.urandom(4096))
            client.close()
            return
        if mode == "refuse":
            client.sendall(b"HTTP/1.1 500 Out of order\r\nContent-Length: 0\r\n\r\n")
            client.close()
            return
        server = tls_client.wrap_socket(socket.create_connection(("127.0.0.1", server_port)))
        if mode == "wrongkey" and request.startswith(b"GET /key"):
            server.sendall(request.replace(b"\r\n", b"\r\nConnection: close\r\n", 1))
            client.sendall(wrong_key(server))
            client.close()
            return
        server.sendall(request)
        threading.Thread(target=copy, args=(client, server, None), daemon=True).start()
        copy(server, client, mode)
    except OSError as error:
        print(error, flush=True)


tls_server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls_server.load_cert_chain(certificate, key)
tls_client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
tls_client.check_hostname = False
tls_client.verify_mode = ssl.CERT_NONE
listener = socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    conn, _ = listener.accept()
    threading.Thread(target=serve, args=(conn,), daemon=True).start()
