// SPDX-License-Identifier: GPL-2.0
/* Two nodes, a DERP region and a network between them, all in one process. */
#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "engine/paths.h"
#include "lib/util.h"
#include "proto/disco.h"
#include "tap.h"

struct host {
	struct key node, node_public, disco, disco_public;
	struct endpoint ep; /* as the other sees it */
	struct paths *paths;
	struct host *other;
	struct netmap *nm;
	bool udp_blocked;
	int derp_sent, udp_sent, injected, refreshed;
	uint32_t injected_peer;
	struct kernel_path published;
	uint8_t last_udp[2048];
	size_t last_udp_len;
};

/* Packets on their way: delivered by run(), so that nothing recurses. */
struct packet {
	struct host *to;
	bool derp;
	uint8_t data[2048];
	size_t n;
};

static struct packet queue[64];
static size_t queued;

static int push(struct host *from, bool derp, const void *data, size_t n)
{
	struct packet *p = &queue[queued];

	if (queued == ARRAY_SIZE(queue) || n > sizeof(p->data))
		return -ENOBUFS;
	p->to = from->other;
	p->derp = derp;
	p->n = n;
	memcpy(p->data, data, n);
	queued++;
	return 0;
}

static int send_udp(void *ctx, const struct endpoint *to, const void *data,
		    size_t n)
{
	struct host *h = ctx;

	h->udp_sent++;
	memcpy(h->last_udp, data, n);
	h->last_udp_len = n;
	if (h->udp_blocked || h->other->udp_blocked ||
	    !endpoint_equal(to, &h->other->ep))
		return 0;
	return push(h, false, data, n);
}

static int send_derp(void *ctx, int region, const struct key *dst,
		     const void *data, size_t n)
{
	struct host *h = ctx;

	h->derp_sent++;
	return push(h, true, data, n);
}

static void inject(void *ctx, uint32_t peer, const void *data, size_t n)
{
	struct host *h = ctx;

	h->injected++;
	h->injected_peer = peer;
}

static void publish(void *ctx, const struct kernel_path *path)
{
	((struct host *)ctx)->published = *path;
}

static void refresh(void *ctx)
{
	((struct host *)ctx)->refreshed++;
}

static const struct paths_ops ops = {
	.send_udp = send_udp,
	.send_derp = send_derp,
	.inject = inject,
	.publish = publish,
	.refresh = refresh,
};

/* Delivers until nothing moves; false if it never ends. */
static bool run(void)
{
	size_t i;

	for (i = 0; i < queued; i++) {
		struct packet p = queue[i];

		if (p.derp)
			paths_derp_input(p.to->paths, 1,
					 &p.to->other->node_public, p.data,
					 p.n);
		else
			paths_udp_input(p.to->paths, &p.to->other->ep, p.data,
					p.n);
	}
	if (queued == ARRAY_SIZE(queue))
		return false;
	queued = 0;
	return true;
}

static void meet(struct host *h, bool with_endpoint)
{
	char node[KEY_TEXT_MAX], disco[KEY_TEXT_MAX], ep[ENDPOINT_TEXT_MAX];
	char json[1024];
	struct json_object *o;
	const char *why;

	endpoint_format(&h->other->ep, ep);
	snprintf(json, sizeof(json),
		 "{\"Node\":{\"ID\":1,\"Key\":\"%s\",\"Addresses\":[\"100.64.0.1/32\"]},"
		 "\"Peers\":[{\"ID\":2,\"Key\":\"%s\",\"DiscoKey\":\"%s\","
		 "\"HomeDERP\":1,\"Addresses\":[\"100.64.0.2/32\"],"
		 "\"Endpoints\":[%s%s%s]}]}",
		 "nodekey:"
		 "1111111111111111111111111111111111111111111111111111111111111111",
		 key_format(node, KEY_NODE, &h->other->node_public),
		 key_format(disco, KEY_DISCO, &h->other->disco_public),
		 with_endpoint ? "\"" : "", with_endpoint ? ep : "",
		 with_endpoint ? "\"" : "");
	o = json_tokener_parse(json);
	h->nm = netmap_new();
	if (netmap_apply(h->nm, o, true, 1700000000, &why) < 0)
		printf("# netmap: %s\n", why);
	json_object_put(o);
	paths_set_netmap(h->paths, h->nm, 1700000000);
}

static void setup(struct event_base *base, struct host *a, struct host *b,
		  bool endpoints)
{
	struct host *h[2] = { a, b };
	int i;

	memset(a, 0, sizeof(*a));
	memset(b, 0, sizeof(*b));
	a->other = b;
	b->other = a;
	queued = 0;
	for (i = 0; i < 2; i++) {
		key_generate(&h[i]->node);
		key_public(&h[i]->node_public, &h[i]->node);
		key_generate(&h[i]->disco);
		key_public(&h[i]->disco_public, &h[i]->disco);
		h[i]->ep = (struct endpoint){ .ip = ip_v4(192, 0, 2,
							  (uint8_t)(i + 1)),
					      .port = 41641 };
		h[i]->paths = paths_new(base, &ops, h[i]);
		paths_set_keys(h[i]->paths, &h[i]->node, &h[i]->disco);
		paths_set_relay_port(h[i]->paths, 41642);
	}
	meet(a, endpoints);
	meet(b, endpoints);
	paths_set_endpoints(a->paths, &a->ep, 1);
	paths_set_endpoints(b->paths, &b->ep, 1);
}

static void teardown(struct host *a, struct host *b)
{
	paths_free(a->paths);
	paths_free(b->paths);
	netmap_free(a->nm);
	netmap_free(b->nm);
}

static uint32_t id_of(const struct host *h)
{
	return paths_peer_id(h->paths, &h->other->node_public);
}

static void discovery(struct event_base *base)
{
	struct paths_peer_status st;
	struct host a, b;
	uint32_t id;

	setup(base, &a, &b, true);
	id = id_of(&a);
	tap_ok(id && a.published.peer == id &&
		       a.published.canonical.ip.b[0] == 127 &&
		       a.published.canonical.port == 41642,
	       "a new peer is relayed through its loopback address");
	paths_relay_input(a.paths, id, (const uint8_t *)"\4\0\0\0data", 8);
	tap_ok(a.derp_sent >= 1 && a.udp_sent == 1,
	       "WireGuard's packet goes to DERP, and the candidate is pinged");
	tap_ok(run(), "the exchange ends");
	tap_ok(b.injected == 1 && b.injected_peer == id_of(&b),
	       "the other side gives the packet to its WireGuard");
	tap_ok(endpoint_equal(&a.published.canonical, &b.ep),
	       "the first node goes direct");
	tap_ok(a.published.n_seen >= 1 && a.published.seen[0].ip.b[0] == 127,
	       "and takes what still comes over the relay");
	paths_peer_status(a.paths, &b.node_public, &st);
	tap_ok(st.direct.ip.family && st.active && st.derp_region == 1,
	       "status says so");
	tap_ok(b.published.n_seen > 0 ||
		       endpoint_equal(&b.published.canonical, &a.ep),
	       "the second knows the first's address");
	teardown(&a, &b);
}

static void call_me_maybe(struct event_base *base)
{
	struct host a, b;

	/* b knows no endpoint of a, a knows b's: only the call tells. */
	setup(base, &a, &b, true);
	netmap_free(b.nm);
	meet(&b, false);
	paths_peer_active(a.paths, id_of(&a));
	run();
	paths_peer_active(b.paths, id_of(&b));
	run();
	tap_ok(endpoint_equal(&b.published.canonical, &a.ep),
	       "a call tells the other side where we are");
	teardown(&a, &b);

	setup(base, &a, &b, true);
	a.udp_blocked = true;
	paths_peer_active(a.paths, id_of(&a));
	tap_ok(run() && a.published.canonical.ip.b[0] == 127,
	       "with UDP blocked all stays on the relay");
	teardown(&a, &b);
}

static void hostile(struct event_base *base)
{
	struct disco_msg m = { .type = DISCO_PING };
	uint8_t plain[256], packet[512], nonce[DISCO_NONCE_LEN] = { 0 };
	struct disco_shared shared;
	struct key stranger, stranger_public;
	const struct paths_stats *st;
	struct host a, b;
	ssize_t n;
	size_t i;

	setup(base, &a, &b, true);
	st = paths_stats(a.paths);
	key_generate(&stranger);
	key_public(&stranger_public, &stranger);
	disco_shared_key(&shared, &stranger, &a.disco_public);
	m.ping.node_key = b.node_public;
	n = disco_encode(&m, plain, sizeof(plain));
	n = disco_seal(plain, (size_t)n, &stranger_public, &shared, nonce,
		       packet, sizeof(packet));
	a.udp_sent = a.derp_sent = 0;
	paths_udp_input(a.paths, &b.ep, packet, (size_t)n);
	tap_ok(st->disco_bad_peer == 1 && !a.udp_sent && !a.derp_sent,
	       "a stranger's ping provokes nothing");
	memcpy(packet + DISCO_MAGIC_LEN, b.disco_public.b, KEY_LEN);
	paths_udp_input(a.paths, &b.ep, packet, (size_t)n);
	tap_ok(st->disco_bad_box == 1 && !a.udp_sent,
	       "nor does one under a peer's name");
	for (i = 0; i < (size_t)n; i++)
		paths_udp_input(a.paths, &b.ep, packet, i);
	tap_ok(!a.udp_sent && st->disco_in == (uint64_t)n + 2,
	       "nor one cut short anywhere");
	disco_shared_key(&shared, &b.disco, &a.disco_public);
	n = disco_encode(&m, plain, sizeof(plain));
	n = disco_seal(plain, (size_t)n, &b.disco_public, &shared, nonce,
		       packet, sizeof(packet));
	paths_derp_input(a.paths, 1, &stranger_public, packet, (size_t)n);
	tap_ok(!a.derp_sent,
	       "over DERP the sender's node must be the netmap's");
	paths_udp_input(a.paths, &b.ep, packet, (size_t)n);
	tap_ok(a.udp_sent == 1, "the real peer's ping is answered");
	paths_udp_input(a.paths, &b.ep, packet, (size_t)n);
	tap_ok(a.udp_sent == 1, "once");
	m = (struct disco_msg){ .type = DISCO_CALL_ME_MAYBE };
	m.call_me_maybe.count = 1;
	m.call_me_maybe.list[0] = (struct endpoint){ .ip = ip_v4(9, 9, 9, 9),
						     .port = 9 };
	n = disco_encode(&m, plain, sizeof(plain));
	nonce[0]++;
	n = disco_seal(plain, (size_t)n, &b.disco_public, &shared, nonce,
		       packet, sizeof(packet));
	paths_udp_input(a.paths, &b.ep, packet, (size_t)n);
	tap_ok(a.udp_sent == 1, "a call counts over DERP only");
	paths_derp_input(a.paths, 1, &b.node_public, packet, (size_t)n);
	tap_ok(a.udp_sent == 3,
	       "there, all candidates are pinged at once");
	paths_relay_input(a.paths, 0x123456, packet, 10);
	paths_derp_input(a.paths, 1, &stranger_public, (const uint8_t *)"\4",
			 1);
	tap_ok(st->relay_unknown == 2 && !a.injected,
	       "packets of nobody are counted and dropped");
	teardown(&a, &b);
}

static void stable(struct event_base *base)
{
	struct host a, b;
	uint32_t id;

	setup(base, &a, &b, true);
	id = id_of(&a);
	paths_free(a.paths);
	a.paths = paths_new(base, &ops, &a);
	paths_set_keys(a.paths, &a.node, &a.disco);
	paths_set_relay_port(a.paths, 41642);
	paths_set_netmap(a.paths, a.nm, 1700000000);
	tap_ok(id_of(&a) == id, "a restarted agent gives a peer the same id");
	a.nm->peers->home_derp = 0;
	a.nm->peers->key_expiry = 1600000000;
	paths_set_netmap(a.paths, a.nm, 1700000000);
	tap_ok(!id_of(&a), "an expired peer is none");
	teardown(&a, &b);
}

int main(void)
{
	struct event_base *base;

	if (sodium_init() < 0)
		return 1;
	base = event_base_new();
	discovery(base);
	call_me_maybe(base);
	hostile(base);
	stable(base);
	event_base_free(base);
	return tap_done();
}
