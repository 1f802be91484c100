#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Writes seed corpora made from the vectors: seeds.py VECTORS OUT.

OUT/<target>/<n> for the targets fuzz-<target>.c; run each with its directory.
"""
import base64
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
write("kmod-disco",
      [bytes([kind]) + plain for plain in unhex(disco["vectors"], "plaintext_hex")
       for kind in (1, 3)]
      + [bytes([kind]) + packet for packet in unhex(disco["vectors"], "packet_hex")
         for kind in (0, 4)])
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

write("text", [b"1.2.3.4", b"::ffff:1.2.3.4", b"fd7a:115c:a1e0::1", b"1.2.3.4:5",
               b"[::1]:41641", b"10.0.0.0/8", b"::/0", b"*", b"1.2.3.4-1.2.3.9",
               b"nodekey:" + b"0f" * 32, b"1h30m", b"1.5s", b"10y", b"0"])
PREFS = '"ControlURL":"http://h","RouteAll":true,"WantRunning":true,' \
    '"LoggedOut":false,"ShieldsUp":true,"AdvertiseTags":["tag:b","tag:a"],' \
    '"Hostname":"h","AdvertiseRoutes":["10.0.0.0/8","::/0"],"Strict":true,' \
    '"MaxStaleSeconds":60,"FlowTable":4096,"FlowRecordsSeconds":null'
write("prefs", [b"\0{" + PREFS.encode() + b"}",
                b'\1{"HostnameSet":true,"AdvertiseTagsSet":true,'
                + PREFS.encode() + b"}"])

NODE = '{"ID":7,"StableID":"s","Name":"a.b.","Key":"nodekey:' + "1" * 64 + \
    '","Addresses":["100.64.0.7/32"]}'
PEER = '{"ID":9,"Key":"nodekey:' + "2" * 64 + '","DiscoKey":"discokey:' + \
    "3" * 64 + '","Addresses":["100.64.0.9/32"],"AllowedIPs":["10.0.0.0/8"],' \
    '"Endpoints":["1.2.3.4:5"],"HomeDERP":1,"Online":true,"LastSeen":' \
    '"2026-08-01T00:00:00Z","CapMap":{"a":[1],"b":null},"Tags":["tag:x"],' \
    '"KeyExpiry":"0001-01-01T00:00:00Z","UnsignedPeerAPIOnly":true,' \
    '"SelfNodeV4MasqAddrForThisPeer":"1.2.3.4","Hostinfo":{"OS":"x"}}'
RULE = '{"SrcIPs":["*","cap:x","10.0.0.1-10.0.0.9","10.0.0.0/8","::1"],' \
    '"IPProto":[6,300],"DstPorts":[{"IP":"*","Bits":null,"Ports":' \
    '{"First":1,"Last":2}}]}'
maps = ['{"Node":%s}' % NODE, '{"Peers":[%s]}' % PEER,
        '{"PeersChanged":[%s]}\n{"PeersRemoved":[9]}' % PEER,
        '{"PeersChangedPatch":[{"NodeID":9,"DERPRegion":2,"Cap":3,"CapMap":{},'
        '"Endpoints":["1.2.3.4:5"],"Key":"nodekey:%s","DiscoKey":"discokey:%s",'
        '"Online":false,"LastSeen":"2026-01-01T00:00:00Z","KeyExpiry":'
        '"2026-01-01T00:00:00Z"}]}' % ("4" * 64, "0" * 64),
        '{"PeerSeenChange":{"9":true},"OnlineChange":{"9":false}}',
        '{"PacketFilter":[%s],"PacketFilters":{"*":null,"a":[%s],"b":null}}'
        % (RULE, RULE),
        '{"DERPMap":{"Regions":{"1":{"RegionCode":"x","Nodes":[{"Name":"n",'
        '"HostName":"h","STUNPort":-1}]},"2":null},"HomeParams":'
        '{"RegionScore":{"1":0.5}}}}',
        '{"DNSConfig":{"Resolvers":[{"Addr":"1.1.1.1"}],"Domains":["d"],'
        '"Proxied":true},"UserProfiles":[{"ID":1,"LoginName":"l"}],'
        '"Health":["h"],"Domain":"d","ControlTime":"2026-01-01T00:00:00Z"}',
        '{"KeepAlive":true}']
write("netmap", [m.encode() for m in maps])
write("map", [b"\3" + len(m).to_bytes(4, "little") + m.encode() for m in maps])
write("http", [
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 101 x\r\nUpgrade: tailscale-control-protocol\r\n\r\n",
    b"POST /echo HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi",
    b'{"AuthURL":"https://h/a","Error":"","NodeKeySignature":null}',
    b"https://[::1]:8443/a?b#c", b"http://h?x"])


def ip4(proto, src, dst, payload):
    return bytes([0x45, 0, 0, 20 + len(payload), 0, 0, 0, 0, 64, proto, 0, 0]) \
        + bytes(src) + bytes(dst) + payload


def ip6(proto, payload):
    return bytes([0x60, 0, 0, 0, 0, len(payload), proto, 64, 0xfd, 0x7a]) + \
        bytes(13) + b"\2\xfd\x7a" + bytes(13) + b"\1" + payload


def go(into, packet):
    return bytes([into | 40 << 1, len(packet)]) + packet


US, NET = (100, 64, 0, 1), (10, 1, 2, 3)
PEERS = [(100, 64, 0, i) for i in (2, 3, 4, 9)]
SYN = b"\x20\0\0\x50" + bytes(8) + b"\x50\2" + bytes(6)
UDP = b"\x20\0\x30\0" + bytes(8)
ANSWER = b"\x30\0\x20\0" + bytes(8)


def tcp(flags, back=False):
    return (b"\0\x50\x20\0" if back else b"\x20\0\0\x50") + bytes(8) + \
        bytes([0x50, flags]) + bytes(6)


def fragment(packet, offset):
    return packet[:6] + bytes([offset >> 8, offset & 255]) + packet[8:]


write("filter", [go(1, ip4(p, s, d, b)) for s in PEERS for d in (US, NET)
                 for p, b in ((6, SYN), (17, UDP), (1, b"\x08" + bytes(8)),
                              (47, bytes(8)), (99, b"p" + bytes(8)))]
      + [go(0, ip4(17, US, p, UDP)) + go(1, ip4(17, p, US, ANSWER)) * 2
         for p in PEERS]
      + [go(1, ip6(p, b)) for p, b in ((6, SYN), (17, UDP), (58, b"\x80" * 8),
                                       (44, b"\6\0\0\1" + bytes(4) + SYN),
                                       (44, b"\6\0\0\x50" + bytes(12)))]
      # strict: connections of either side, echo, errors, fragments
      + [go(1, ip4(6, p, US, SYN)) + go(0, ip4(6, US, p, tcp(0x12, True)))
         + go(1, ip4(6, p, US, tcp(0x10))) + go(0, ip4(6, US, p, tcp(4, True)))
         for p in PEERS]
      + [go(0, ip4(6, US, p, tcp(2, True))) + go(1, ip4(6, p, US, tcp(0x12)))
         + go(1, ip4(1, p, US, b"\3\1" + bytes(6)
                     + ip4(6, US, p, tcp(2, True)))) for p in PEERS]
      + [go(0, ip4(1, US, p, b"\x08" + bytes(7)))
         + go(1, ip4(1, p, US, bytes(8))) for p in PEERS]
      + [go(1, fragment(ip4(17, p, NET, UDP), 0x2000))
         + go(1, fragment(ip4(17, p, NET, UDP), 12)) for p in PEERS])
write("portmap", [bytes.fromhex("0c" + "0080000000000001cb007109"
                                "10" + "0081000000000001a2a9c00100001c20")])

head = b" HTTP/1.1\r\nHost: a\r\n"
frames = [b"\0\0\x09\1\5\0\0\0\1\x82\x87\x04\x02/s\x01\1a",
          b"\0\0\x09\1\4\0\0\0\3\x83\x87\x04\x02/e\x01\1a"
          b"\0\0\2\0\1\0\0\0\3{}",
          b"\0\0\4\3\0\0\0\0\1\0\0\0\x08",
          b"\0\0\x08\6\0\0\0\0\0\0\0\0\0\0\0\0\0",
          b"\0\0\4\x08\0\0\0\0\0\0\1\0\0"]
write("coord-http",
      [b"\0GET /s?a=%41" + head + b"\r\n",
       b"\0POST /e" + head + b"Content-Length: 2\r\n\r\n{}",
       b"\0GET /key?v=1" + head + b"\r\n"]
      + [b"\1" + bytes.fromhex(v["initiation_frame"])
         for v in noise["vectors"]]
      + [b"\2\4\0\x10" + bytes(16)]
      + [b"\4" + f for f in frames] + [b"\4" + b"".join(frames)])
write("httpreq", [b"POST /ts2021" + head + b"Content-Length: 0\r\n\r\n"])

# The first byte of a line chooses the path, as fuzz-coord-admin.c lists them.
ADMIN = [
    (0, {}), (4, {}), (8, {}), (9, {}), (18, {}), (19, {}), (21, {}), (22, {}),
    (1, {"name": "carol", "display_name": "C"}),
    (2, {"user": "alice", "name": "dora"}), (3, {"user": "alice"}),
    (5, {"user": "alice", "reusable": True, "ephemeral": True,
         "tags": ["tag:a"], "expiration": 60}),
    (6, {"key": 1}), (7, {"key": "1"}), (10, {"id": "x", "user": "alice"}),
    (11, {"id": "x"}), (12, {"node": "a"}),
    (13, {"node": "a", "expiry": "2030-01-01T00:00:00Z"}),
    (14, {"node": "a", "name": "New Name"}), (15, {"node": "a", "tags": []}),
    (15, {"node": "a-1", "tags": ["tag:b", "tag:a"]}),
    (16, {"node": "a", "user": "alice"}),
    (17, {"node": "a", "routes": ["10.0.0.0/8", "::/0"]}),
    (19, {"policy": '{"acls":[]}'}), (20, {"policy": "{"})]
write("coord-admin",
      [bytes([path]) + json.dumps(body).encode() for path, body in ADMIN]
      + [b"\n".join(bytes([path + 23]) + json.dumps(body).encode()
                    for path, body in ADMIN[8:16])]
      + [bytes([path]) for path in range(23)])
write("coord-db",
      [b"\0" + (at * 4096 + i).to_bytes(3, "big") + b"\xff"
       for at in range(12) for i in (0, 3, 8, 100)]
      + [b"\1" + bytes([column]) + text for column in range(17) for text in
         (b"", b"a", b"[]", b"{}", b'["tag:x"]', b'["10.0.0.0/8"]', b"1.2.3.4",
          b'[["1.2.3.4:5",1]]', b"nodekey:" + b"1" * 64,
          b'{"Hostname":"h","RoutableIPs":["1.0.0.0/8"],"NetInfo":'
          b'{"PreferredDERP":1}}')])
policies = []
for name in sorted(os.listdir(os.path.join(vectors, "policy"))):
    with open(os.path.join(vectors, "policy", name), "rb") as f:
        policies.append(f.read())
write("policy", policies)
write("hujson", policies)

def b64(text):
    return base64.urlsafe_b64encode(text).rstrip(b"=")


x = b64(bytes(31) + b"\1")
keys = (b'{"keys":[{"kty":"RSA","kid":"r","n":"' + b64(b"\xc1" + bytes(254) + b"\1")
        + b'","e":"AQAB"},{"kty":"EC","crv":"P-256","kid":"e","x":"' + x
        + b'","y":"' + x + b'"}]}')
write("coord-oidc", [
    keys + b"\0" + b".".join((b64(b'{"alg":"%s","kid":"%s"}' % how),
                              b64(b'{"iss":"https://i"}'), b64(bytes(n))))
    for how, n in (((b"RS256", b"r"), 256), ((b"ES256", b"e"), 64))]
    + [b'{"email":"a@b","email_verified":"true","groups":["ops"],"sub":"s"}'])
