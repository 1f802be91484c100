// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <json.h>
#include <string.h>

#include "engine/netmap.h"
#include "lib/json.h"
#include "lib/util.h"
#include "tap.h"

#define NOW 1787400000 /* 2026-08-22 */
#define K1         \
	"nodekey:" \
	"1111111111111111111111111111111111111111111111111111111111111111"
#define K2         \
	"nodekey:" \
	"2222222222222222222222222222222222222222222222222222222222222222"
#define K3         \
	"nodekey:" \
	"3333333333333333333333333333333333333333333333333333333333333333"
#define K4         \
	"nodekey:" \
	"4444444444444444444444444444444444444444444444444444444444444444"
#define K0         \
	"nodekey:" \
	"0000000000000000000000000000000000000000000000000000000000000000"
#define D2          \
	"discokey:" \
	"2222222222222222222222222222222222222222222222222222222222222222"
#define D3          \
	"discokey:" \
	"3333333333333333333333333333333333333333333333333333333333333333"
#define D0          \
	"discokey:" \
	"0000000000000000000000000000000000000000000000000000000000000000"

#define SELF                                                                  \
	"\"Node\":{\"ID\":7,\"StableID\":\"s7\",\"Name\":\"me.ts.example.\"," \
	"\"Key\":\"" K1 "\",\"Addresses\":[\"100.64.0.7/32\"],"               \
	"\"MachineAuthorized\":true}"
#define PEER2                                                                  \
	"{\"ID\":9007199254740993,\"Key\":\"" K2 "\",\"DiscoKey\":\"" D2 "\"," \
	"\"Addresses\":[\"100.64.0.9/32\",\"fd7a:115c:a1e0::9/128\"],"         \
	"\"AllowedIPs\":null,\"Endpoints\":[\"198.51.100.4:41641\","           \
	"\"[fe80::1%eth0]:1\",\"[2001:db8::1]:5\"],\"HomeDERP\":1,"            \
	"\"Online\":true,\"LastSeen\":\"2026-08-01T00:00:00Z\","               \
	"\"Hostinfo\":{\"OS\":\"linux\",\"Hostname\":\"p\"},"                  \
	"\"CapMap\":{\"https://a/"                                             \
	"b\":[1,{\"x\":9007199254740993}],\"c\":null}}"
#define PEER3                                                             \
	"{\"ID\":3,\"Key\":\"" K3 "\",\"Addresses\":[\"100.64.0.3/32\"]," \
	"\"AllowedIPs\":[\"100.64.0.7/32\",\"10.1.2.3/16\",\"0.0.0.0/0\"]}"
#define BIG_ID 9007199254740993ll
#define FIRST "{" SELF ",\"Peers\":[" PEER2 "," PEER3 "]}"

static const char *why;

static int apply(struct netmap *nm, const char *text, bool first)
{
	struct json_object *o = json_parse(text, strlen(text));
	int ret = netmap_apply(nm, o, first, NOW, &why);

	json_object_put(o);
	return ret;
}

static struct netmap *start(void)
{
	struct netmap *nm = netmap_new();

	if (apply(nm, FIRST, true) != NETMAP_ALL)
		tap_ok(false, "the usual first message: %s", why);
	return nm;
}

static struct node *peer(struct netmap *nm, int64_t id)
{
	struct node *n;

	HASH_FIND(hh, nm->peers, &id, sizeof(id), n);
	return n;
}

/* Every map form is compared as the text of the cache. */
static char *text_of(const struct netmap *nm)
{
	struct json_object *o = netmap_to_json(nm);
	char *text = xstrdup(json_object_to_json_string(o));

	json_object_put(o);
	return text;
}

static void nodes(void)
{
	struct netmap *nm = start();
	struct node *n = peer(nm, BIG_ID);
	struct key key;
	struct ip_addr ip;

	tap_ok(n && n->id == BIG_ID, "an ID past 2^53 is exact");
	tap_ok(n && n->n_allowed_ips == 2 && n->allowed_ips[1].bits == 128,
	       "null AllowedIPs are the addresses");
	tap_ok(n && n->n_endpoints == 2 && n->endpoints[1].port == 5,
	       "an unreadable endpoint is skipped");
	tap_ok(n && n->online == 1 && n->home_derp == 1 &&
		       !strcmp(n->os, "linux") && !strcmp(n->host_name, "p"),
	       "fields of a peer");
	tap_ok(n && node_cap(n, "https://a/b") &&
		       !strcmp(node_cap(n, "https://a/b")->values,
			       "[1,{\"x\":9007199254740993}]") &&
		       node_cap(n, "c") && !*node_cap(n, "c")->values &&
		       !node_cap(n, "d"),
	       "capability values keep their text");
	key_parse(&key, KEY_NODE, K2);
	tap_ok(netmap_peer_by_key(nm, &key) == n, "a peer by key");
	ip_parse(&ip, "fd7a:115c:a1e0::9");
	tap_ok(netmap_peer_by_addr(nm, &ip) == n, "a peer by address");
	n = peer(nm, 3);
	tap_ok(n && n->online == -1 && n->n_allowed_ips == 2 &&
		       n->allowed_ips[0].ip.b[2] == 0 &&
		       prefix_is_default(&n->allowed_ips[1]),
	       "our address is dropped, host bits are cleared");
	tap_ok(nm->self->machine_authorized, "self is authorised");
	netmap_free(nm);

	nm = netmap_new();
	apply(nm,
	      "{" SELF ",\"Peers\":["
	      "{\"ID\":1,\"Key\":\"" K0 "\"},"
	      "{\"ID\":7,\"Key\":\"" K4 "\"},"
	      "{\"ID\":2,\"Key\":\"" K2 "\",\"DERP\":\"127.3.3.40:12\","
	      "\"Addresses\":[\"100.64.0.2/32\"],\"AllowedIPs\":[],"
	      "\"SelfNodeV4MasqAddrForThisPeer\":\"100.64.1.1\","
	      "\"IsJailed\":true,\"IsWireGuardOnly\":true},"
	      "{\"ID\":3,\"Key\":\"" K3 "\",\"UnsignedPeerAPIOnly\":true,"
	      "\"Addresses\":[\"100.64.0.3/32\"],"
	      "\"AllowedIPs\":[\"10.0.0.0/8\"]}]}",
	      true);
	tap_ok(HASH_COUNT(nm->peers) == 2,
	       "peers without a key, and we as our own peer, are dropped");
	n = peer(nm, 2);
	tap_ok(n && n->home_derp == 12, "the legacy DERP string");
	tap_ok(n && !n->n_allowed_ips, "an empty list of AllowedIPs stays so");
	tap_ok(n && n->masqueraded && n->jailed && n->wireguard_only,
	       "masqueraded, jailed, WireGuard only");
	n = peer(nm, 3);
	tap_ok(n && n->n_allowed_ips == 1 && n->allowed_ips[0].bits == 32,
	       "an unsigned peer gets its addresses only");
	netmap_free(nm);
}

static void deltas(void)
{
	struct netmap *nm = start();
	struct node *n;
	struct key key;
	struct ip_addr ip;
	int r;

	r = apply(nm, "{\"PeersRemoved\":[3,99]}", false);
	tap_ok(r == NETMAP_PEERS && !peer(nm, 3), "PeersRemoved");
	r = apply(nm, "{\"PeersChanged\":[" PEER3 "]}", false);
	tap_ok(r == NETMAP_PEERS && peer(nm, 3), "PeersChanged adds");
	r = apply(nm,
		  "{\"PeersChanged\":[{\"ID\":3,\"Key\":\"" K4 "\","
		  "\"Addresses\":[\"100.64.0.33/32\"]}]}",
		  false);
	n = peer(nm, 3);
	ip_parse(&ip, "100.64.0.3");
	tap_ok(n && n->n_allowed_ips == 1 && !netmap_peer_by_addr(nm, &ip),
	       "PeersChanged replaces the whole node");
	r = apply(nm, "{\"PeersRemoved\":[3],\"PeersChanged\":[" PEER3 "]}",
		  false);
	tap_ok(peer(nm, 3), "removals come before additions");
	r = apply(nm, "{\"Peers\":[]}", false);
	tap_ok(!r && HASH_COUNT(nm->peers) == 2, "an empty Peers does nothing");
	r = apply(nm,
		  "{\"Peers\":[" PEER2 "],\"PeersChanged\":[" PEER3 "],"
		  "\"OnlineChange\":{\"9007199254740993\":false}}",
		  false);
	tap_ok(HASH_COUNT(nm->peers) == 1 && peer(nm, BIG_ID)->online == 1,
	       "Peers replaces all and silences other peer fields");

	r = apply(nm,
		  "{\"OnlineChange\":{\"9007199254740993\":false,"
		  "\"55\":true}}",
		  false);
	n = peer(nm, BIG_ID);
	tap_ok(r == NETMAP_PEER_PATHS && n->online == 0, "OnlineChange");
	r = apply(nm, "{\"PeerSeenChange\":{\"9007199254740993\":true}}",
		  false);
	tap_ok(n->last_seen == NOW, "PeerSeenChange true is now");
	r = apply(nm, "{\"PeerSeenChange\":{\"9007199254740993\":false}}",
		  false);
	tap_ok(n->last_seen == 0 && peer(nm, BIG_ID),
	       "PeerSeenChange false clears, it does not remove");

#define PATCH(fields) \
	"{\"PeersChangedPatch\":[{\"NodeID\":9007199254740993," fields "}]}"
	r = apply(nm, PATCH("\"DERPRegion\":5"), false);
	tap_ok(r == NETMAP_PEER_PATHS && n->home_derp == 5, "patch: DERP");
	r = apply(nm, PATCH("\"Cap\":120"), false);
	tap_ok(n->cap_version == 120, "patch: Cap");
	r = apply(nm, PATCH("\"CapMap\":{}"), false);
	tap_ok(r == NETMAP_PEERS && !n->n_caps,
	       "patch: an empty CapMap clears");
	r = apply(nm, PATCH("\"CapMap\":null"), false);
	tap_ok(!r, "patch: a null CapMap does nothing");
	r = apply(nm, PATCH("\"Endpoints\":[\"192.0.2.1:1\"]"), false);
	tap_ok(n->n_endpoints == 1, "patch: Endpoints replace");
	r = apply(nm, PATCH("\"Key\":\"" K4 "\""), false);
	key_parse(&key, KEY_NODE, K4);
	tap_ok(r == NETMAP_PEERS && netmap_peer_by_key(nm, &key) == n,
	       "patch: the new key is found");
	key_parse(&key, KEY_NODE, K2);
	tap_ok(!netmap_peer_by_key(nm, &key), "patch: the old key is not");
	r = apply(nm, PATCH("\"Key\":\"" K0 "\""), false);
	tap_ok(!r && !key_is_zero(&n->key), "patch: a zero key is ignored");
	r = apply(nm, PATCH("\"DiscoKey\":\"" D3 "\""), false);
	key_parse(&key, KEY_DISCO, D3);
	tap_ok(r == NETMAP_PEER_PATHS && key_equal(&n->disco, &key),
	       "patch: DiscoKey");
	apply(nm, PATCH("\"LastSeen\":\"2026-08-20T10:00:00.5+02:00\""), false);
	tap_ok(n->last_seen == 1787212800, "patch: LastSeen with a zone");
	apply(nm,
	      PATCH("\"DiscoKey\":\"" D2 "\",\"Online\":false,"
		    "\"LastSeen\":\"2026-08-20T08:00:00Z\""),
	      false);
	tap_ok(key_equal(&n->disco, &key) && !n->online,
	       "patch: a stale disco key is ignored");
	r = apply(nm, PATCH("\"DiscoKey\":\"" D0 "\""), false);
	tap_ok(key_is_zero(&n->disco), "patch: a zero disco key is unknown");
	apply(nm, PATCH("\"KeyExpiry\":\"2026-08-21T00:00:00Z\""), false);
	tap_ok(node_is_expired(nm, n, NOW), "patch: expired");
	apply(nm, PATCH("\"KeyExpiry\":\"0001-01-01T00:00:00Z\""), false);
	tap_ok(!node_is_expired(nm, n, NOW), "patch: zero time never expires");
	r = apply(nm, "{\"PeersChangedPatch\":[{\"NodeID\":55,\"Cap\":1}]}",
		  false);
	tap_ok(!r, "patch: an unknown peer is ignored");
	r = apply(nm,
		  "{\"PeersChanged\":[" PEER3 "],\"PeersChangedPatch\":"
		  "[{\"NodeID\":3,\"DERPRegion\":8}]}",
		  false);
	tap_ok(peer(nm, 3)->home_derp == 8, "patches come after PeersChanged");
	netmap_free(nm);
}

static void sessions(void)
{
	struct netmap *nm = start();
	int r;

	apply(nm,
	      "{\"Health\":[\"a\",\"b\"],\"Domain\":\"d\",\"UserProfiles\":"
	      "[{\"ID\":1,\"LoginName\":\"x@y\"}],\"DNSConfig\":{"
	      "\"Proxied\":true,\"Domains\":[\"ts\"],\"Resolvers\":"
	      "[{\"Addr\":\"1.1.1.1\"}]}}",
	      false);
	tap_ok(nm->n_health == 2 && !strcmp(nm->domain, "d") &&
		       netmap_user(nm, 1) && nm->dns.proxied &&
		       nm->dns.n_nameservers == 1,
	       "health, domain, users, DNS");
	r = apply(nm, "{\"Health\":null,\"DNSConfig\":null}", false);
	tap_ok(!r && nm->n_health == 2 && nm->dns.proxied, "null changes none");
	r = apply(nm, "{\"Health\":[]}", false);
	tap_ok(r == NETMAP_OTHER && !nm->n_health, "[] heals");
	r = apply(nm, "{\"DNSConfig\":{}}", false);
	tap_ok(r == NETMAP_DNS && !nm->dns.proxied && !nm->dns.n_domains,
	       "DNSConfig replaces");

	tap_ok(apply(nm,
		     "{\"KeepAlive\":true,\"ControlTime\":"
		     "\"2026-08-22T12:00:10Z\"}",
		     false) == 0,
	       "a keepalive");
	tap_ok(!nm->clock_offset, "a near clock counts as ours");
	apply(nm,
	      "{\"KeepAlive\":true,\"ControlTime\":"
	      "\"2026-08-22T11:00:00Z\",\"PeersRemoved\":[3]}",
	      false);
	tap_ok(nm->clock_offset == -3600 && peer(nm, 3),
	       "a keepalive sets the clock and nothing else");
	tap_ok(apply(nm, "{\"Peers\":[]}", true) == -EPROTO &&
		       !strcmp(why, "Node") && peer(nm, 3),
	       "a stream that starts without Node changes nothing");
	r = apply(nm, "{" SELF "}", true);
	tap_ok(r == NETMAP_ALL && !nm->peers && !*nm->domain &&
		       !netmap_user(nm, 1) && nm->clock_offset == -3600,
	       "a new stream starts from nothing");
	apply(nm, "{\"Node\":{\"ID\":8,\"Key\":\"" K1 "\"}}", false);
	tap_ok(nm->self->id == 8 && !nm->self->machine_authorized,
	       "Node is a complete replacement");
	netmap_free(nm);
}

static size_t rules(struct netmap *nm)
{
	struct filter_list *list, *tmp;
	size_t n = 0;

	HASH_ITER(hh, nm->filters, list, tmp)
	n += list->n_rules;
	return n;
}

#define RULE(src, ip)                                             \
	"{\"SrcIPs\":[" src "],\"DstPorts\":[{\"IP\":\"" ip "\"," \
	"\"Ports\":{\"First\":22,\"Last\":23}}]}"
#define R1 RULE("\"*\"", "100.64.0.7")

static void filters(void)
{
	struct netmap *nm = start();
	struct filter_rule *r;

	tap_ok(!nm->filters, "no filter at first");
	apply(nm, "{\"PacketFilter\":[" R1 "," R1 "]}", false);
	tap_ok(rules(nm) == 2, "PacketFilter");
	tap_ok(apply(nm, "{\"PacketFilter\":null}", false) == 0 &&
		       rules(nm) == 2,
	       "null leaves it");
	tap_ok(apply(nm, "{\"PacketFilter\":[]}", false) == NETMAP_FILTER &&
		       rules(nm) == 0,
	       "[] is no rules");
	apply(nm, "{\"PacketFilters\":{\"b\":[" R1 "],\"a\":[" R1 "," R1 "]}}",
	      false);
	tap_ok(rules(nm) == 3 && !strcmp(nm->filters->name, "a"),
	       "named lists add up, sorted");
	apply(nm, "{\"PacketFilters\":{\"a\":null}}", false);
	tap_ok(rules(nm) == 1, "null deletes one name");
	apply(nm, "{\"PacketFilters\":{\"b\":[]}}", false);
	tap_ok(rules(nm) == 0, "[] empties one name");
	apply(nm, "{\"PacketFilters\":{\"x\":[" R1 "],\"y\":[" R1 "]}}", false);
	apply(nm, "{\"PacketFilters\":{\"z\":[" R1 "],\"*\":null}}", false);
	tap_ok(rules(nm) == 1 && HASH_COUNT(nm->filters) == 1,
	       "'*' clears first, wherever it stands");
	apply(nm, "{\"PacketFilter\":[" R1 "],\"PacketFilters\":{\"*\":null}}",
	      false);
	tap_ok(!nm->filters, "'*' wipes the PacketFilter of its message too");
	apply(nm, "{\"PacketFilters\":{\"*\":[" R1 "]}}", false);
	tap_ok(!nm->filters, "'*' with rules is ignored");

	apply(nm,
	      "{\"PacketFilter\":[{\"SrcIPs\":[\"*\",\"cap:x/y\","
	      "\"10.0.0.0/8\",\"10.0.0.1/8\",\"10.0.0.1-10.0.0.9\","
	      "\"10.0.0.9-10.0.0.1\",\"10.0.0.1-::1\",\"1-2-3\",\"::1\","
	      "\"junk\",\"\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{"
	      "\"First\":0,\"Last\":65535}},{\"IP\":\"cap:no\",\"Ports\":"
	      "{\"First\":0,\"Last\":65535}},{\"IP\":\"1.2.3.4\",\"Ports\":"
	      "{\"First\":9,\"Last\":1}}],\"IPProto\":[6,6,300,-1,0]}]}",
	      false);
	r = nm->filters->rules;
	tap_ok(r->n_src == 4 && r->n_src_caps == 1 &&
		       !strcmp(r->src_caps[0], "x/y") &&
		       r->src[0].kind == TAILRACE_ADDR_ANY &&
		       r->src[1].kind == TAILRACE_ADDR_PREFIX4 &&
		       r->src[1].prefix_len == 8 &&
		       r->src[2].kind == TAILRACE_ADDR_RANGE4 &&
		       r->src[2].last[3] == 9 &&
		       r->src[3].kind == TAILRACE_ADDR_PREFIX6 &&
		       r->src[3].prefix_len == 128,
	       "forms of a source");
	tap_ok(r->n_dst == 1 && r->dst[0].port_last == 65535,
	       "unusable destinations are skipped");
	tap_ok(r->n_protos == 2 && !r->no_proto, "protocols");
	apply(nm,
	      "{\"PacketFilter\":[{\"SrcIPs\":[\"*\"],\"IPProto\":[300],"
	      "\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,"
	      "\"Last\":1}}]}]}",
	      false);
	tap_ok(nm->filters->rules->no_proto, "only invalid protocols");
	apply(nm,
	      "{\"PacketFilter\":[{\"SrcIPs\":[\"*\"],\"CapGrant\":[{"
	      "\"Dsts\":[\"1.2.3.4/32\"]}]},{\"SrcIPs\":null,\"DstPorts\":"
	      "[{\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":1}}]}]}",
	      false);
	tap_ok(!rules(nm), "rules that match nothing are dropped");
	tap_ok(!nm->filter_invalid, "and so far all was valid");
	apply(nm, "{\"PacketFilter\":[" R1 ",{\"SrcBits\":[1]}]}", false);
	tap_ok(nm->filter_invalid, "SrcBits block all");
	apply(nm,
	      "{\"PacketFilter\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{"
	      "\"IP\":\"*\",\"Bits\":0,\"Ports\":{}}]}]}",
	      false);
	tap_ok(nm->filter_invalid, "Bits block all");
	apply(nm, "{\"PacketFilter\":[" R1 "]}", false);
	tap_ok(!nm->filter_invalid, "until they are replaced");
	apply(nm,
	      "{\"PeersChanged\":[{\"ID\":4,\"Key\":\"" K4 "\","
	      "\"Addresses\":[\"100.64.0.4/32\"],"
	      "\"UnsignedPeerAPIOnly\":true}]}",
	      false);
	tap_ok(nm->filter_invalid, "an unsigned peer in a source blocks all");
	apply(nm,
	      "{\"PacketFilter\":[" RULE("\"100.64.0.5-100.64.0.9\"", "*") "]}",
	      false);
	tap_ok(!nm->filter_invalid, "a range beside it does not");
	apply(nm,
	      "{\"PacketFilter\":[" RULE("\"100.64.0.4-100.64.0.9\"", "*") "]}",
	      false);
	tap_ok(nm->filter_invalid, "a range over it does");
	netmap_free(nm);
}

static struct derp_region *region(struct netmap *nm, int id)
{
	struct derp_region *r;

	HASH_FIND_INT(nm->derp_regions, &id, r);
	return r;
}

static void derp(void)
{
	struct netmap *nm = start();
	struct derp_region *r;

	apply(nm,
	      "{\"DERPMap\":{\"Regions\":{\"1\":{\"RegionID\":1,"
	      "\"RegionCode\":\"x\",\"Nodes\":[{\"Name\":\"1a\","
	      "\"HostName\":\"h\",\"STUNPort\":-1,\"DERPPort\":444,"
	      "\"IPv6\":\"none\"},null]},\"2\":null,\"3\":"
	      "{\"NoMeasureNoHome\":true}},\"HomeParams\":{\"RegionScore\":"
	      "{\"1\":0.5,\"3\":0,\"4\":2}}}}",
	      false);
	r = region(nm, 1);
	tap_ok(r && !strcmp(r->code, "x") && r->n_nodes == 1 &&
		       r->nodes[0].stun_port == -1 &&
		       r->nodes[0].derp_port == 444 &&
		       !strcmp(r->nodes[0].ipv6, "none") && !*r->nodes[0].ipv4,
	       "a region with its node");
	tap_ok(!region(nm, 2) && region(nm, 3)->no_measure_no_home,
	       "a null region is dropped");
	tap_ok(r->score == 0.5 && region(nm, 3)->score == 1.0,
	       "scores, and a zero score is ignored");
	apply(nm, "{\"DERPMap\":{\"Regions\":{\"1\":{},\"4\":{}}}}", false);
	tap_ok(region(nm, 1)->score == 0.5 && region(nm, 4)->score == 2.0 &&
		       !region(nm, 3),
	       "absent HomeParams keep the scores, also for new regions");
	apply(nm, "{\"DERPMap\":{\"HomeParams\":{\"RegionScore\":null}}}",
	      false);
	tap_ok(region(nm, 1)->score == 0.5, "a null RegionScore keeps them");
	apply(nm,
	      "{\"DERPMap\":{\"Regions\":null,\"HomeParams\":"
	      "{\"RegionScore\":{}}}}",
	      false);
	tap_ok(region(nm, 1) && region(nm, 1)->score == 1.0,
	       "null Regions keep the regions, {} resets the scores");
	netmap_free(nm);
}

static void refusals(void)
{
	static const char *const bad[][2] = {
		{"[]", "object"},
		{"{\"Node\":7}", "object"},
		{"{\"Node\":{\"ID\":1}}", "Node.Key"},
		{"{\"Node\":{\"ID\":1.5}}", "ID"},
		{"{\"Node\":{\"ID\":\"1\"}}", "ID"},
		{"{\"Node\":{\"ID\":9223372036854775808}}", "ID"},
		{"{\"PeersChanged\":[{\"Key\":\"nodekey:12\"}]}", "Key"},
		{"{\"PeersChanged\":[{\"Key\":\"mkey:12\"}]}", "Key"},
		{"{\"PeersChanged\":[{\"Name\":\"a\\u0000b\"}]}", "Name"},
		{"{\"PeersChanged\":[{\"Addresses\":[\"1.2.3.4\"]}]}",
		 "Addresses"},
		{"{\"PeersChanged\":[{\"AllowedIPs\":[\"1.2.3.4/33\"]}]}",
		 "AllowedIPs"},
		{"{\"PeersChanged\":[{\"CapMap\":[]}]}", "CapMap"},
		{"{\"PeersChanged\":[null]}", "object"},
		{"{\"PeersChanged\":{}}", "PeersChanged"},
		{"{\"PeersRemoved\":[3,\"x\"]}", "PeersRemoved"},
		{"{\"OnlineChange\":{\"3\":null}}", "OnlineChange"},
		{"{\"OnlineChange\":{\"3x\":true}}", "OnlineChange"},
		{"{\"PeersRemoved\":[3],\"PeersChangedPatch\":"
		 "[{\"NodeID\":3,\"DERPRegion\":99999999999}]}",
		 "PeersChangedPatch"},
		{"{\"DERPMap\":{\"Regions\":{\"x\":{}}}}", "DERPMap"},
		{"{\"DERPMap\":{\"Regions\":{\"1\":{\"Nodes\":[{\"STUNPort\":"
		 "70000}]}}}}",
		 "DERPMap"},
		{"{\"PeersRemoved\":[3],\"PacketFilter\":[{\"SrcIPs\":[1]}]}",
		 "PacketFilter"},
		{"{\"PacketFilters\":{\"a\":[{\"DstPorts\":[{\"IP\":\"*\","
		 "\"Ports\":{\"First\":70000}}]}]}}",
		 "PacketFilters"},
		{"{\"ControlTime\":\"2026-13-01T00:00:00Z\"}", "ControlTime"},
	};
	struct netmap *nm = start();
	char *before = text_of(nm), *after;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		int r = apply(nm, bad[i][0], false);

		tap_ok(r == -EPROTO && why && !strcmp(why, bad[i][1]),
		       "refused, blaming %s: %s", why, bad[i][0]);
	}
	after = text_of(nm);
	tap_ok(!strcmp(before, after), "and nothing was changed");
	free(before);
	free(after);
	netmap_free(nm);
}

static void round_trip(void)
{
	static const char all[] =
		"{" SELF ",\"Peers\":[" PEER2 "," PEER3
		",{\"ID\":4,\"Key\":\"" K4
		"\",\"Tags\":[\"tag:a\"],\"AllowedIPs\":[],\"IsJailed\":true,"
		"\"KeyExpiry\":\"2026-12-01T00:00:00Z\",\"Expired\":true,"
		"\"SelfNodeV6MasqAddrForThisPeer\":\"fd00::1\"}],"
		"\"DERPMap\":{\"Regions\":{\"1\":{\"RegionCode\":\"x\","
		"\"Nodes\":"
		"[{\"HostName\":\"h\",\"STUNPort\":-1}]}},\"HomeParams\":"
		"{\"RegionScore\":{\"1\":0.25}}},\"PacketFilters\":{\"a\":[],"
		"\"b\":[" RULE("\"*\",\"cap:q\",\"10.0.0.1-10.0.0.2\"",
			       "::/0") ",{\"SrcIPs\":[\"*\"],\"IPProto\":[999],"
				       "\"DstPorts\":[{\"IP\":"
				       "\"*\",\"Ports\":{\"First\":0,\"Last\":"
				       "1}}]}]},\"Domain\":\"d\","
				       "\"DNSConfig\":{\"Proxied\":true,"
				       "\"Domains\":[\"d\"]},"
				       "\"Health\":[\"ill\"],\"UserProfiles\":["
				       "{\"ID\":5}]}";
	struct netmap *a = netmap_new(), *b = netmap_new();
	char *one, *two;
	int r = apply(a, all, true);

	tap_ok(r == NETMAP_ALL, "everything at once");
	one = text_of(a);
	r = apply(b, one, true);
	two = text_of(b);
	tap_ok(r == NETMAP_ALL && !strcmp(one, two),
	       "the cached form gives the same netmap");
	tap_ok(HASH_COUNT(b->filters) == 2 && rules(b) == 2 &&
		       region(b, 1)->score == 0.25 &&
		       !peer(b, 4)->n_allowed_ips,
	       "empty lists and scores survive");
	free(one);
	free(two);
	apply(a, "{\"PacketFilter\":[{\"SrcBits\":[1]}]}", false);
	one = text_of(a);
	apply(b, one, true);
	tap_ok(b->filter_invalid, "an invalid filter stays invalid");
	free(one);
	netmap_free(a);
	netmap_free(b);
}

static void parsing(void)
{
	static const char *const bad[] = {
		"",	      "{",	    "{\"a\":1",
		"{\"a\":1}x", "{\"a\":1,}", "{\"a\":\"\xff\"}",
		"nul",	      "{\"a\":01}",
	};
	static const char *const times[][2] = {
		{"2026-08-22T15:19:51.123456789Z", "2026-08-22T15:19:51Z"},
		{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
		{"1969-01-01T00:00:00Z", "1970-01-01T00:00:01Z"},
		{"2026-08-22T15:19:51-05:30", "2026-08-22T20:49:51Z"},
	};
	static const char *const bad_times[] = {
		"",
		"2026-08-22",
		"2026-08-22T15:19:51",
		"2026-08-22 15:19:51Z",
		"2026-08-22T15:19:51.Z",
		"2026-08-22T15:19:51ZZ",
		"2026-08-22T24:00:00Z",
		"2026-08-22T15:19:51+5",
	};
	char *deep = xmalloc(2002), text[TIME_TEXT_MAX];
	struct json_object *o;
	int64_t t;
	size_t i, n = 0;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		o = json_parse(bad[i], strlen(bad[i]));
		tap_ok(!o, "no JSON: %s", bad[i]);
		json_object_put(o);
	}
	o = json_parse("{\"a\":1} \n", 9);
	tap_ok(o, "white space behind it");
	json_object_put(o);
	o = json_parse("17", 2);
	tap_ok(o, "a bare number");
	json_object_put(o);
	for (i = 0; i < sizeof(FIRST) - 1; i++) {
		o = json_parse(FIRST, i);
		n += !!o;
		json_object_put(o);
	}
	tap_ok(!n, "no truncation of a message parses");
	memset(deep, '[', 1000);
	memset(deep + 1000, ']', 1000);
	o = json_parse(deep, 2000);
	tap_ok(!o, "deep nesting is refused");
	json_object_put(o);
	free(deep);
	for (i = 0; i < ARRAY_SIZE(times); i++)
		tap_ok(!time_parse_rfc3339(times[i][0], &t) &&
			       !strcmp(time_format_rfc3339(t, text),
				       times[i][1]),
		       "time %s", times[i][0]);
	for (i = 0; i < ARRAY_SIZE(bad_times); i++)
		tap_ok(time_parse_rfc3339(bad_times[i], &t) < 0,
		       "no time: \"%s\"", bad_times[i]);
}

int main(void)
{
	parsing();
	nodes();
	deltas();
	sessions();
	filters();
	derp();
	refusals();
	round_trip();
	return tap_done();
}
