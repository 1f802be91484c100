// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/wire.h"
#include "lib/util.h"
#include "addrs.h"
#include "tap.h"

/* A state that uses every field of every table. */
static struct kernel_state full_state(void)
{
	static struct prefix addrs[2], routes[2], own[1], allowed[2];
	static uint32_t caps[] = { 7, 9 };
	static uint8_t protos[] = { 6, 17 };
	static const uint8_t no_protos[1];
	static struct tailrace_addr any = { .kind = TAILRACE_ADDR_ANY };
	static struct tailrace_dst dst = { .port_first = 1, .port_last = 2 };
	static struct kernel_peer peers[2];
	static struct kernel_rule rules[3];
	struct kernel_state s = { .up = true,
				  .ifname = "tailrace0",
				  .port = 41641,
				  .mtu = 1280,
				  .policy_flags = 1,
				  .have_policy = true,
				  .settings = { .flags = 1,
						.flows_max = 1 << 20,
						.max_stale = 43200,
						.records = 10 } };

	addrs[0] = pfx("100.64.0.1/32");
	addrs[1] = pfx("fd7a:115c:a1e0::1/128");
	routes[0] = pfx("100.64.0.2/32");
	routes[1] = pfx("::/0");
	own[0] = pfx("100.64.0.2/32");
	allowed[0] = pfx("100.64.0.2/32");
	allowed[1] = pfx("0.0.0.0/0");
	memset(&s.private_key, 0x41, sizeof(s.private_key));
	memset(&s.disco, 0x43, sizeof(s.disco));
	peers[0] = (struct kernel_peer){ .id = 1, .flags = 2, .addrs = own,
					 .n_addrs = 1, .allowed_ips = allowed,
					 .n_allowed_ips = 2, .caps = caps,
					 .n_caps = 2 };
	memset(&peers[0].public_key, 0x42, sizeof(peers[0].public_key));
	memset(&peers[0].disco, 0x44, sizeof(peers[0].disco));
	memset(&peers[0].disco_shared, 0x45, sizeof(peers[0].disco_shared));
	peers[1] = (struct kernel_peer){ .id = 0xffffff };
	rules[0] = (struct kernel_rule){ .id = 1, .protos = protos,
					 .n_protos = 2, .src = &any,
					 .n_src = 1, .src_caps = caps,
					 .n_src_caps = 1, .dst = &dst,
					 .n_dst = 1 };
	rules[1] = (struct kernel_rule){ .id = 2 };
	rules[2] = (struct kernel_rule){ .id = 3, .protos = no_protos };
	s.addrs = addrs;
	s.n_addrs = 2;
	s.routes = routes;
	s.n_routes = 2;
	s.peers = peers;
	s.n_peers = 2;
	s.local = &any;
	s.n_local = 1;
	s.rules = rules;
	s.n_rules = 3;
	return s;
}

/*
 * Decodes and encodes again: equal bytes. Then every truncation is refused
 * with the outer length as it was and with one that fits, and so is a tail.
 */
static void check(const char *name, enum wire_type type, const void *body)
{
	uint8_t *copy, *again = NULL;
	struct wire_message m;
	size_t n, n_again = 0, i;
	_cleanup_free_ uint8_t *frame = wire_encode(type, body, &n);
	bool good = !wire_decode(frame, n, &m) && m.type == type;
	unsigned int accepted = 0;
	uint32_t len;

	if (good) {
		again = wire_encode(type, &m.u, &n_again);
		wire_free(&m);
	}
	tap_ok(good && n == n_again && !memcmp(frame, again, n),
	       "%s survives a round trip (%zu bytes)", name, n);
	free(again);

	for (i = 0; i < n; i++) {
		/* an exact allocation, for the address sanitizer */
		copy = xmalloc(i);
		memcpy(copy, frame, i);
		accepted += !wire_decode(copy, i, &m);
		if (i >= WIRE_HEADER) {
			len = (uint32_t)(i - WIRE_HEADER);
			memcpy(copy, &len, sizeof(len));
			accepted += !wire_decode(copy, i, &m);
		}
		free(copy);
	}
	copy = xcalloc(n + 1, 1);
	memcpy(copy, frame, n);
	len = (uint32_t)(n + 1 - WIRE_HEADER);
	memcpy(copy, &len, sizeof(len));
	accepted += !wire_decode(copy, n + 1, &m);
	free(copy);
	tap_ok(!accepted, "%s: no truncation and no tail is accepted", name);
}

static void round_trips(void)
{
	struct kernel_state state = full_state(), empty = { 0 };
	struct kernel_path path = { .peer = 5, .canonical = ep("1.2.3.4:5"),
				    .n_seen = 2 };
	uint8_t payload[] = { 'p', 1, 2, 3 };
	struct wire_tsmp tsmp = { .src = ip_v4(100, 64, 0, 1),
				  .dst = ip_v4(100, 64, 0, 2),
				  .data = payload, .n = sizeof(payload) };
	struct wire_applied applied = { 3, 41641, (char *)"it is broken" };
	struct wire_peer peer = { 77 };
	struct wire_ask ask = { .rules = true };
	struct wire_roamed roamed = { 77, ep("[2001:db8::1]:9") };
	struct kernel_peer_stats ps[2] = {
		{ .peer = 1, .rx_bytes = 1ull << 40, .tx_bytes = 2,
		  .last_handshake = 1700000000, .endpoint = ep("1.1.1.1:1") },
		{ .peer = 2 },
	};
	struct wire_stats stats = { ps, 2, (char *)"{}" };

	path.seen[0] = ep("[::1]:6");
	path.seen[1] = ep("9.9.9.9:9");
	check("an empty state", WIRE_STATE, &empty);
	check("a state", WIRE_STATE, &state);
	check("a path", WIRE_PATH, &path);
	check("a question", WIRE_STATS_ASK, &ask);
	check("TSMP", WIRE_TSMP, &tsmp);
	check("applied", WIRE_APPLIED, &applied);
	check("peer active", WIRE_PEER_ACTIVE, &peer);
	check("peer idle", WIRE_PEER_IDLE, &peer);
	check("roamed", WIRE_ROAMED, &roamed);
	check("link changed", WIRE_LINK_CHANGED, NULL);
	check("stats", WIRE_STATS, &stats);
}

/* "No protocol list" and "a list with nothing in it" are two things. */
static void null_lists(void)
{
	struct kernel_state state = full_state();
	struct wire_message m;
	size_t n;
	_cleanup_free_ uint8_t *frame = wire_encode(WIRE_STATE, &state, &n);

	if (!tap_ok(!wire_decode(frame, n, &m), "a state with null lists"))
		return;
	tap_ok(!m.u.state.rules[1].protos && m.u.state.rules[2].protos &&
		       !m.u.state.rules[2].n_protos,
	       "an absent list stays absent, an empty one empty");
	wire_free(&m);
}

struct patch {
	const char *name;
	enum wire_type type;
	const void *body;
	size_t at; /* after the header */
	uint8_t byte;
};

static void bad_values(void)
{
	struct wire_applied applied = { 1, 2, (char *)"abc" };
	struct wire_roamed roamed = { 1, ep("1.2.3.4:5") };
	struct kernel_path path = { .peer = 1, .canonical = ep("1.2.3.4:5") };
	struct kernel_state state = { .ifname = "x" };
	struct prefix addr = pfx("1.2.3.4/32");
	struct wire_ask ask = { false };
	const struct patch patches[] = {
		{ "a question of 2", WIRE_STATS_ASK, &ask, 0, 2 },
		{ "a bool of 2", WIRE_STATE, &state, 0, 2 },
		{ "an unknown family", WIRE_ROAMED, &roamed, 4, 5 },
		{ "a family of none with an address", WIRE_ROAMED, &roamed, 4,
		  0 },
		{ "IPv4 with a tail", WIRE_ROAMED, &roamed, 4 + 16, 1 },
		{ "33 bits of IPv4", WIRE_STATE, &state,
		  1 + 16 + 32 + 32 + 2 + 4 + 4 + 17, 33 },
		{ "65 seen endpoints", WIRE_PATH, &path, 4 + 19, 65 },
		{ "a NUL inside a text", WIRE_APPLIED, &applied, 4 + 2 + 4 + 1,
		  0 },
	};
	size_t i;

	state.addrs = &addr;
	state.n_addrs = 1;
	for (i = 0; i < ARRAY_SIZE(patches); i++) {
		const struct patch *p = &patches[i];
		struct wire_message m;
		size_t n;
		_cleanup_free_ uint8_t *frame =
			wire_encode(p->type, p->body, &n);

		frame[WIRE_HEADER + p->at] = p->byte;
		tap_ok(wire_decode(frame, n, &m) == -EPROTO, "%s is refused",
		       p->name);
	}
}

/* A list as long as its count says, but longer than the table allows. */
static void limits(void)
{
	struct kernel_path path = { .peer = 1, .canonical = ep("1.2.3.4:5"),
				    .n_seen = TAILRACE_MAX_ALIASES };
	const size_t one = 19, count = WIRE_HEADER + 4 + one;
	struct wire_message m;
	uint8_t *frame;
	uint32_t v;
	size_t n, i;

	for (i = 0; i < path.n_seen; i++)
		path.seen[i] = path.canonical;
	frame = wire_encode(WIRE_PATH, &path, &n);
	tap_ok(!wire_decode(frame, n, &m) &&
		       m.u.path.n_seen == TAILRACE_MAX_ALIASES,
	       "64 seen endpoints");
	frame = xrealloc(frame, n + one, 1);
	memcpy(frame + n, frame + n - one, one);
	n += one;
	v = (uint32_t)(n - WIRE_HEADER);
	memcpy(frame, &v, 4);
	v = TAILRACE_MAX_ALIASES + 1;
	memcpy(frame + count, &v, 4);
	tap_ok(wire_decode(frame, n, &m) == -EPROTO, "65 are refused");
	free(frame);
}

/* Byte by byte into a buffer, as a stream may deliver it. */
static void stream(void)
{
	struct kernel_state state = full_state();
	struct evbuffer *in = evbuffer_new();
	struct wire_message m;
	unsigned int early = 0;
	size_t n, i;
	_cleanup_free_ uint8_t *frame = wire_encode(WIRE_STATE, &state, &n);
	static const uint32_t huge[2] = { WIRE_MAX + 1, WIRE_STATE };
	static const uint32_t strange[2] = { 0, 99 };

	for (i = 0; i + 1 < n; i++) {
		evbuffer_add(in, frame + i, 1);
		early += wire_take(in, &m) != 0;
	}
	evbuffer_add(in, frame + n - 1, 1);
	evbuffer_add(in, frame, 3);
	tap_ok(!early && wire_take(in, &m) == 1 && m.type == WIRE_STATE,
	       "a message is taken when its last byte is there");
	wire_free(&m);
	tap_ok(!wire_take(in, &m) && evbuffer_get_length(in) == 3,
	       "the next one stays in the buffer");
	evbuffer_drain(in, 3);
	evbuffer_add(in, huge, sizeof(huge));
	tap_ok(wire_take(in, &m) == -EPROTO, "too long a frame is refused");
	evbuffer_drain(in, sizeof(huge));
	evbuffer_add(in, strange, sizeof(strange));
	tap_ok(wire_take(in, &m) == -EPROTO, "an unknown type is refused");
	evbuffer_free(in);
}

int main(void)
{
	round_trips();
	null_lists();
	bad_values();
	limits();
	stream();
	return tap_done();
}
