// SPDX-License-Identifier: GPL-2.0
/*
 * scenario SEED POLICIES PACKETS [in]: writes a play for random.t, with packets
 * both ways or inward only. One step a line, bytes in hex:
 *
 *   unpeer ID             POLICY_..., PEER_... as attributes without the device
 *   peer ATTRIBUTES
 *   begin
 *   add ATTRIBUTES
 *   commit FLAGS
 *   in PACKET VERDICT     from a peer; -1 or an enum tailrace_drop
 *   out PACKET VERDICT    to a peer
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

/* Netlink attributes under construction. */
static struct {
	uint8_t b[16384];
	size_t n;
} out;

static void put(uint16_t type, const void *data, size_t len)
{
	uint16_t head[2] = { 4 + len, type };

	if (out.n + 8 + len > sizeof(out.b))
		abort();
	memcpy(out.b + out.n, head, 4);
	if (len)
		memcpy(out.b + out.n + 4, data, len);
	out.n += 4 + len;
	while (out.n % 4)
		out.b[out.n++] = 0;
}

static void put_some(uint16_t type, const void *data, size_t len)
{
	if (len)
		put(type, data, len);
}

static void put_u32(uint16_t type, uint32_t n)
{
	put(type, &n, 4);
}

static void print_hex(const uint8_t *b, size_t n)
{
	while (n--)
		printf("%02x", *b++);
}

static void print_step(const char *what)
{
	printf("%s ", what);
	print_hex(out.b, out.n);
	putchar('\n');
	out.n = 0;
}

static void print_rule(const struct oracle_rule *r)
{
	uint16_t head[2] = { 0, 0x8000 | TAILRACE_A_POLICY_RULE };

	/* The nest's header once its length is known. */
	out.n = 4;
	put_u32(TAILRACE_A_RULE_ID, r->id);
	put_some(TAILRACE_A_RULE_PROTOS, r->protos, r->n_protos);
	put_some(TAILRACE_A_RULE_SRC, r->srcs, r->n_srcs * sizeof(*r->srcs));
	put_some(TAILRACE_A_RULE_SRC_CAPS, r->caps,
		 r->n_caps * sizeof(*r->caps));
	put_some(TAILRACE_A_RULE_DST, r->dsts, r->n_dsts * sizeof(*r->dsts));
	head[0] = out.n;
	memcpy(out.b, head, 4);
	print_step("add");
}

static void print_policy(const struct oracle_policy *p)
{
	size_t i;

	puts("begin");
	put_some(TAILRACE_A_POLICY_LOCAL, p->local,
		 p->n_local * sizeof(*p->local));
	print_step("add");
	for (i = 0; i < p->n_rules; i++)
		print_rule(&p->rules[i]);
	printf("commit %d\n", p->shields_up ? TAILRACE_POLICY_SHIELDS_UP : 0);
}

static void print_peer(const struct oracle_peer *p)
{
	put_u32(TAILRACE_A_PEER_ID, p->id);
	put_u32(TAILRACE_A_PEER_FLAGS,
		(p->jailed ? TAILRACE_PEER_JAILED : 0) |
			(p->is_unsigned ? TAILRACE_PEER_UNSIGNED : 0));
	put_some(TAILRACE_A_PEER_ADDRS, p->addrs,
		 p->n_addrs * sizeof(*p->addrs));
	put_some(TAILRACE_A_PEER_ROUTES, p->routes,
		 p->n_routes * sizeof(*p->routes));
	put_some(TAILRACE_A_PEER_CAPS, p->caps, p->n_caps * sizeof(*p->caps));
	print_step("peer");
}

static void print_peers(struct oracle *o, struct world *w)
{
	size_t i;

	for (i = 0; i < o->n_peers; i++)
		printf("unpeer %u\n", o->peers[i].id);
	o->peers = w->peers;
	o->n_peers = world_peers(w);
	for (i = 0; i < o->n_peers; i++)
		print_peer(&w->peers[i]);
}

/* WireGuard throws the grossest away before any hook sees them. */
static bool passes_wireguard(const uint8_t *b, size_t len)
{
	size_t total;

	if (len >= 20 && b[0] >> 4 == 4) {
		total = b[2] << 8 | b[3];
		return total >= 20 && total <= len;
	}
	if (len >= 40 && b[0] >> 4 == 6)
		return (size_t)(b[4] << 8 | b[5]) + 40 <= len;
	return false;
}

/* Packets until @n have been written; @both: runs of one direction. */
static void print_packets(struct oracle *o, struct world *w, unsigned int n,
			  bool both)
{
	uint8_t b[WORLD_MAX_PACKET];
	bool in = true;
	size_t len;

	while (n) {
		if (both && world_chance(15))
			in = !in;
		if (world_chance(1))
			print_peers(o, w);
		len = world_packet(b);
		if (!passes_wireguard(b, len))
			continue;
		printf("%s ", in ? "in" : "out");
		print_hex(b, len);
		printf(" %d\n", in ? oracle_in(o, b, len) :
				     oracle_out(o, b, len));
		n--;
	}
}

int main(int argc, char **argv)
{
	static struct world worlds[2];
	struct oracle o;
	bool both = argc == 4;
	int i, n;

	if (!both && (argc != 5 || strcmp(argv[4], "in"))) {
		fprintf(stderr, "usage: scenario SEED POLICIES PACKETS [in]\n");
		return 2;
	}
	world_seed(strtoull(argv[1], NULL, 0));
	n = atoi(argv[2]);
	oracle_init(&o);
	print_peers(&o, &worlds[1]);
	print_packets(&o, &worlds[1], 20, both);
	for (i = 0; i < n; i++) {
		struct world *w = &worlds[i % 2];

		world_policy(w);
		print_policy(&w->policy);
		oracle_commit(&o, &w->policy);
		print_peers(&o, w);
		print_packets(&o, w, atoi(argv[3]), both);
	}
	oracle_uninit(&o);
	return 0;
}
