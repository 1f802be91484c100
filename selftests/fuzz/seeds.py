#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Writes seed corpora made from the vectors: seeds.py VECTORS OUT.

OUT/<target>/<n> for the targets fuzz-<target>.c; run each with its directory.
"""
import json
import os
import sys

vectors, out = sys.argv[1:]


def load(name):
    with open(os.path.join(vectors, name + ".json")) as f:
        return json.load(f)


def write(target, seeds):
    directory = os.path.join(out, target)
    os.makedirs(directory, exist_ok=True)
    for i, seed in enumerate(seeds):
        with open(os.path.join(directory, "seed-%03d" % i), "wb") as f:
            f.write(seed)


def unhex(rows, name):
    return [bytes.fromhex(r[name]) for r in rows if name in r]


noise, disco, stun = load("noise_ik"), load("disco"), load("stun")
geneve, derp = load("geneve"), load("derp")

write("noise", [b"\0" + bytes.fromhex(v["initiation_frame"])
                for v in noise["vectors"]]
      + [b"\1", b"\1\0\1"]
      + [bytes([kind]) + frame for v in noise["vectors"]
         for frame in unhex(v["records"], "frame") for kind in (2, 3, 4)
         if len(frame) < 256]
      + [b"\4\xff\xff\xffTS\0\0\1\0"])
write("disco", unhex(disco["vectors"], "plaintext_hex")
      + unhex(disco["vectors"], "packet_hex")
      + unhex(disco["negative"], "packet_hex"))
write("stun", unhex(stun["requests"], "packet_hex")
      + unhex(stun["responses"], "packet_hex"))
write("geneve", unhex(geneve["classification"], "packet_hex"))
write("derp", [bytes([side]) + frame for side in (0, 1)
               for frame in unhex(derp["frames"], "frame_hex")
               + unhex(derp["invalid"], "bytes_hex")]
      + [bytes([4 + side]) + f["json"].encode() for side in (0, 1)
         for f in derp["frames"] if "json" in f]
      + [b"\6\2" + derp["meta_cert"]["common_name"].encode()])
write("httphead", [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n\r\n",
                   b"HTTP/1.0 407\r\n\r\n"])
