// SPDX-License-Identifier: GPL-2.0
/*
 * scenario SEED POLICIES PACKETS [MODE [KEPT]]: writes a play for random.t and
 * differ.t. One step a line, bytes in hex:
 *
 *   unpeer ID                POLICY_..., PEER_... as attributes without the device
 *   peer ATTRIBUTES
 *   begin
 *   add ATTRIBUTES
 *   commit FLAGS
 *   strict FLAG
 *   in PACKET VERDICT RULES STEP    from a peer; -1 or an enum tailrace_drop; 0
 *                                   and the rules that would each let it in
 *   out PACKET VERDICT RULES STEP   to a peer
 *
 * MODE says which device it is for:
 *
 *   wireguard   ordinary, and only packets that WireGuard lets through; this is
 *               what there is without a MODE
 *   in          the same, from peers only
 *   ordinary    any packets
 *   strict      strict from the beginning
 *   late        strict for longer than the grace lasts, with an empty policy
 *   changing    now strict and now not
 *
 * A policy, a set of peers, a change of strictness and a packet are steps, counted
 * from 0. KEPT is a file of a digit for each; those that are not 1, or not there,
 * are left out, and all others are what they were.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

enum mode { WIREGUARD, INWARD, ORDINARY, STRICT, LATE, CHANGING };

static enum mode mode;
static FILE *kept;
static unsigned int steps;

/* Whether the next step is part of the play. */
static bool keep(void)
{
	steps++;
	return !kept || getc(kept) == '1';
}

/* What the oracle has may still be read when there is another: never freed. */
static struct world *new_world(void)
{
	struct world *w = calloc(1, sizeof(*w));

	if (!w)
		abort();
	return w;
}

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

static void print_peers(struct oracle *o)
{
	struct world *w = new_world();
	size_t i, n = world_peers(w);

	if (!keep())
		return;
	for (i = 0; i < o->n_peers; i++)
		printf("unpeer %u\n", o->peers[i].id);
	o->peers = w->peers;
	o->n_peers = n;
	o->changes++;
	for (i = 0; i < n; i++)
		print_peer(&w->peers[i]);
}

static void print_next_policy(struct oracle *o)
{
	struct world *w = new_world();

	world_policy(w);
	if (!keep())
		return;
	print_policy(&w->policy);
	oracle_commit(o, &w->policy);
}

static void print_strict(struct oracle *o, bool strict)
{
	if (!keep())
		return;
	printf("strict %d\n", strict);
	oracle_set_strict(o, strict);
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

static void print_rules(const struct oracle *o, const uint8_t *b, size_t len)
{
	size_t i;

	putchar('0');
	for (i = 0; o->policy && i < o->policy->n_rules; i++)
		if (oracle_rule_accepts(o, o->policy->rules[i].id, b, len))
			printf(",%u", o->policy->rules[i].id);
}

static void print_packet(struct oracle *o, bool in, const uint8_t *b,
			 size_t len)
{
	if (!keep())
		return;
	printf("%s ", in ? "in" : "out");
	print_hex(b, len);
	printf(" %d ", in ? oracle_in(o, b, len) : oracle_out(o, b, len));
	print_rules(o, b, len);
	printf(" %u\n", steps - 1);
}

static bool is_for_wireguard(void)
{
	return mode == WIREGUARD || mode == INWARD;
}

/* Packets until @n have been written; runs of one direction. */
static void print_packets(struct oracle *o, unsigned int n)
{
	uint8_t b[WORLD_MAX_PACKET];
	bool in = true;
	size_t len;

	while (n) {
		if (mode != INWARD && world_chance(15))
			in = !in;
		/* That takes longer than a packet does. */
		if (!world_rnd(is_for_wireguard() ? 100 : 400))
			print_peers(o);
		len = world_packet(b);
		/* Nothing at all is WireGuard's keepalive, which it keeps. */
		if (!len || (is_for_wireguard() && !passes_wireguard(b, len)))
			continue;
		print_packet(o, in, b, len);
		n--;
	}
}

static bool find_mode(const char *name)
{
	static const char *const names[] = {
		[WIREGUARD] = "wireguard", [INWARD] = "in",
		[ORDINARY] = "ordinary",   [STRICT] = "strict",
		[LATE] = "late",	   [CHANGING] = "changing",
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(name, names[i]))
			continue;
		mode = i;
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	static const struct oracle_policy nothing;
	struct oracle o;
	int i, n;

	if (argc < 4 || argc > 6 || (argc > 4 && !find_mode(argv[4]))) {
		fprintf(stderr,
			"usage: scenario SEED POLICIES PACKETS [MODE [KEPT]]\n");
		return 2;
	}
	if (argc > 5) {
		kept = fopen(argv[5], "r");
		if (!kept) {
			perror(argv[5]);
			return 1;
		}
	}
	world_seed(strtoull(argv[1], NULL, 0));
	n = atoi(argv[2]);
	oracle_init(&o);
	if (mode == STRICT || mode == LATE)
		oracle_set_strict(&o, true);
	if (mode == LATE) {
		oracle_commit(&o, &nothing);
		o.now = 1000;
	}
	print_peers(&o);
	print_packets(&o, 20);
	for (i = 0; i < n; i++) {
		print_next_policy(&o);
		print_peers(&o);
		if (mode == CHANGING && world_chance(40))
			print_strict(&o, world_chance(50));
		print_packets(&o, atoi(argv[3]));
	}
	oracle_uninit(&o);
	return 0;
}
