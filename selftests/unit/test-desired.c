// SPDX-License-Identifier: GPL-2.0
#include <event2/event.h>
#include <json-c/json.h>
#include <sodium.h>
#include <string.h>

#include "engine/desired.h"
#include "tap.h"

#define K(c) "nodekey:" c c c c c c c c c c c c c c c c
#define KEY_A K("aaaa")
#define KEY_B K("bbbb")
#define NOW 1700000000

static struct paths *paths;
static struct prefs prefs;
static struct settings defaults;
static struct netmap *nm;

static void on_publish(void *ctx, const struct kernel_path *path)
{
}

static const struct paths_ops ops = { .publish = on_publish };

static void build(struct desired *d, const char *json)
{
	struct json_object *o = json_tokener_parse(json);
	struct key private_key = { { 1 } };
	const char *why;

	nm = netmap_new();
	tap_ok(netmap_apply(nm, o, true, NOW, &why) >= 0, "netmap");
	json_object_put(o);
	paths_set_netmap(paths, nm, NOW);
	desired_build(d, &(struct desired_input){ .netmap = nm,
						  .prefs = &prefs,
						  .defaults = &defaults,
						  .paths = paths,
						  .ifname = "tailrace0",
						  .node_private = &private_key,
						  .port = 41641,
						  .unix_now = NOW });
}

static void done(struct desired *d)
{
	desired_uninit(d);
	netmap_free(nm);
}

#define SELF                                                              \
	"\"Node\":{\"ID\":1,\"Key\":\"" KEY_A "\",\"MachineAuthorized\":true,"       \
	"\"Addresses\":[\"100.64.0.1/32\",\"fd7a:115c:a1e0::1/128\"]}"

static const struct kernel_peer *only_peer(const struct desired *d)
{
	return d->state.n_peers == 1 ? &d->state.peers[0] : NULL;
}

static void routes(void)
{
	static const char json[] =
		"{" SELF ",\"Peers\":[{\"ID\":2,\"Key\":\"" KEY_B "\","
		"\"Addresses\":[\"100.64.0.2/32\"],\"AllowedIPs\":["
		"\"100.64.0.2/32\",\"10.9.0.0/16\",\"0.0.0.0/0\","
		"\"100.64.0.0/10\"]}]}";
	struct desired d;

	build(&d, json);
	tap_ok(only_peer(&d) && only_peer(&d)->n_allowed_ips == 1 &&
		       d.state.n_routes == 1,
	       "subnets are not routed unless accepted");
	done(&d);
	prefs.accept_routes = true;
	build(&d, json);
	tap_ok(only_peer(&d) && only_peer(&d)->n_allowed_ips == 2 &&
		       d.state.n_routes == 2,
	       "with --accept-routes they are; default routes and what covers us never");
	done(&d);
	prefs.accept_routes = false;
}

static void unapproved(void)
{
	struct desired d;

	build(&d, "{\"Node\":{\"ID\":1,\"Key\":\"" KEY_A "\","
		  "\"Addresses\":[\"100.64.0.1/32\"]},"
		  "\"Peers\":[{\"ID\":2,\"Key\":\"" KEY_B "\","
		  "\"Addresses\":[\"100.64.0.2/32\"]}]}");
	tap_ok(!d.state.n_peers && !d.state.n_routes && d.state.up,
	       "a node that waits for approval reaches no one");
	done(&d);
	build(&d, "{\"Node\":{\"ID\":1,\"Key\":\"" KEY_A "\","
		  "\"MachineAuthorized\":true,"
		  "\"KeyExpiry\":\"2020-01-01T00:00:00Z\","
		  "\"Addresses\":[\"100.64.0.1/32\"]},"
		  "\"Peers\":[{\"ID\":2,\"Key\":\"" KEY_B "\","
		  "\"Addresses\":[\"100.64.0.2/32\"]}]}");
	tap_ok(!d.state.n_peers, "nor does one whose key has expired");
	done(&d);
	build(&d, "{" SELF ",\"Peers\":[{\"ID\":2,\"Key\":\"" KEY_B "\","
		  "\"SelfNodeV4MasqAddrForThisPeer\":\"100.64.9.9\","
		  "\"Addresses\":[\"100.64.0.2/32\"]}]}");
	tap_ok(!d.state.n_peers, "a peer that needs masquerading is left out");
	done(&d);
}

static void filter(void)
{
	static const char json[] =
		"{" SELF ",\"PacketFilters\":{\"base\":["
		"{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"100.64.0.1\","
		"\"Ports\":{\"First\":22,\"Last\":22}}]},"
		"{\"SrcIPs\":[\"cap:x\"],\"DstPorts\":[{\"IP\":\"*\","
		"\"Ports\":{\"First\":0,\"Last\":65535}}]},"
		"{\"SrcIPs\":[\"*\"],\"CapGrant\":[]}]},"
		"\"Peers\":[{\"ID\":2,\"Key\":\"" KEY_B "\",\"IsJailed\":true,"
		"\"CapMap\":{\"x\":[],\"y\":null},"
		"\"Addresses\":[\"100.64.0.2/32\"]}]}";
	/* the same rules after one with another capability */
	static const char more[] =
		"{" SELF ",\"PacketFilters\":{\"base\":["
		"{\"SrcIPs\":[\"cap:a\"],\"DstPorts\":[{\"IP\":\"*\","
		"\"Ports\":{\"First\":1,\"Last\":1}}]},"
		"{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"100.64.0.1\","
		"\"Ports\":{\"First\":22,\"Last\":22}}]},"
		"{\"SrcIPs\":[\"cap:x\"],\"DstPorts\":[{\"IP\":\"*\","
		"\"Ports\":{\"First\":0,\"Last\":65535}}]}]}}";
	uint32_t ids[2], cap;
	struct desired d;

	prefs.routes = &(struct prefix){ .ip = ip_v4(10, 0, 0, 0), .bits = 8 };
	prefs.n_routes = 1;
	build(&d, json);
	tap_ok(d.state.have_policy && d.state.n_rules == 2,
	       "capability grants alone are no rule");
	tap_ok(d.state.n_local == 3,
	       "the local set is our addresses and our routes");
	tap_ok(d.state.n_rules == 2 && d.state.rules[1].n_src_caps == 1 &&
		       only_peer(&d) && only_peer(&d)->n_caps == 1 &&
		       only_peer(&d)->caps[0] == d.state.rules[1].src_caps[0],
	       "a peer carries the capabilities that rules ask for");
	tap_ok(only_peer(&d) && only_peer(&d)->flags == TAILRACE_PEER_JAILED,
	       "a jailed peer is marked");
	ids[0] = d.state.rules[0].id;
	ids[1] = d.state.rules[1].id;
	cap = d.state.rules[1].src_caps[0];
	done(&d);
	build(&d, more);
	tap_ok(d.state.n_rules == 3 && d.state.rules[1].id == ids[0] &&
		       d.state.rules[2].id == ids[1] &&
		       d.state.rules[2].src_caps[0] == cap,
	       "an edit changes neither the other rules' ids nor capabilities");
	done(&d);
	prefs.shields_up = true;
	build(&d, json);
	tap_ok(!d.state.n_rules &&
		       d.state.policy_flags == TAILRACE_POLICY_SHIELDS_UP,
	       "shields up: no rules at all");
	done(&d);
	prefs.shields_up = false;
	prefs.routes = NULL;
	prefs.n_routes = 0;
	build(&d, "{" SELF ",\"PacketFilters\":{\"base\":["
		  "{\"SrcIPs\":[\"100.64.0.0-100.64.0.9\"],"
		  "\"DstPorts\":[{\"IP\":\"*\","
		  "\"Ports\":{\"First\":1,\"Last\":2}}]}]},"
		  "\"Peers\":[{\"ID\":2,\"Key\":\"" KEY_B "\","
		  "\"UnsignedPeerAPIOnly\":true,"
		  "\"Addresses\":[\"100.64.0.2/32\"]}]}");
	tap_ok(!d.state.n_rules && d.filter_problem,
	       "a rule that names an unsigned peer blocks everything");
	done(&d);
}

/* The box keys that the module stands in for us with. */
static void disco(void)
{
	static const char without[] =
		"{" SELF ",\"Peers\":[{\"ID\":2,\"Key\":\"" KEY_B "\","
		"\"Addresses\":[\"100.64.0.2/32\"]}]}";
	struct key own, own_public, peer, peer_public, unknown = { { 7 } };
	struct disco_shared shared;
	const struct kernel_peer *k;
	char with[1024], text[KEY_TEXT_MAX];
	uint64_t generation;
	struct desired d;

	crypto_box_keypair(own_public.b, own.b);
	crypto_box_keypair(peer_public.b, peer.b);
	disco_shared_key(&shared, &peer, &own_public);
	snprintf(with, sizeof(with),
		 "{" SELF ",\"Peers\":[{\"ID\":2,\"Key\":\"" KEY_B "\","
		 "\"DiscoKey\":\"%s\",\"Addresses\":[\"100.64.0.2/32\"]}]}",
		 key_format(text, KEY_DISCO, &peer_public));

	build(&d, with);
	tap_ok(only_peer(&d) && key_is_zero(&only_peer(&d)->disco) &&
		       key_is_zero(&d.state.disco),
	       "without a disco key of ours there are no boxes");
	done(&d);
	paths_set_keys(paths, &unknown, &own);
	build(&d, with);
	k = only_peer(&d);
	tap_ok(k && key_equal(&k->disco, &peer_public) &&
		       key_equal(&k->disco_shared, &shared.k) &&
		       key_equal(&d.state.disco, &own_public),
	       "a peer's disco key, ours and the key of the two");
	generation = paths_disco_generation(paths);
	done(&d);
	build(&d, with);
	tap_ok(paths_disco_generation(paths) == generation,
	       "the same keys are no news");
	done(&d);
	paths_set_keys(paths, &unknown, &peer);
	tap_ok(paths_disco_generation(paths) != generation,
	       "a new key of ours is");
	generation = paths_disco_generation(paths);
	build(&d, without);
	tap_ok(only_peer(&d) && key_is_zero(&only_peer(&d)->disco) &&
		       key_is_zero(&only_peer(&d)->disco_shared) &&
		       paths_disco_generation(paths) != generation,
	       "and so is a peer without one");
	done(&d);
}

static void settings(void)
{
	static const char json[] = "{" SELF "}";
	struct desired d;

	build(&d, json);
	tap_ok(!d.state.settings.flags && !d.state.settings.max_stale &&
		       !d.state.settings.records &&
		       d.state.settings.flows_max == KERNEL_FLOWS_DEFAULT,
	       "settings that nobody made");
	done(&d);
	setting_parse(&defaults, SETTING_STRICT, NULL);
	setting_parse(&defaults, SETTING_MAX_STALE, "12h");
	setting_parse(&defaults, SETTING_FLOW_TABLE, "8192");
	setting_set(&prefs.settings, SETTING_MAX_STALE, 90);
	setting_set(&prefs.settings, SETTING_FLOW_RECORDS, 10);
	build(&d, json);
	tap_ok(d.state.settings.flags && d.state.settings.flows_max == 8192,
	       "the daemon's flags");
	tap_ok(d.state.settings.max_stale == 90 &&
		       d.state.settings.records == 10,
	       "preferences come first");
	done(&d);
	setting_set(&prefs.settings, SETTING_STRICT, 0);
	setting_set(&prefs.settings, SETTING_FLOW_TABLE, 0);
	build(&d, json);
	tap_ok(!d.state.settings.flags && d.state.settings.flows_max == 8192,
	       "off is a preference, no table size is none");
	done(&d);
}

int main(void)
{
	struct event_base *base;

	if (sodium_init() < 0)
		return 1;
	base = event_base_new();
	paths = paths_new(base, &ops, NULL);
	prefs_init(&prefs);
	settings_init(&defaults);
	routes();
	unapproved();
	filter();
	disco();
	settings();
	paths_free(paths);
	prefs_uninit(&prefs);
	event_base_free(base);
	return tap_done();
}
