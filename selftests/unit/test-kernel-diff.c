// SPDX-License-Identifier: GPL-2.0
/* What the kernel has against what it shall have: the differences. */
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "kernel/alias.h"
#include "kernel/link.h"
#include "kernel/list.h"
#include "kernel/module.h"
#include "kernel/peers.h"
#include "kernel/policy.h"
#include "kernel/route.h"
#include "kernel/state.h"
#include "kernel/wg.h"
#include "kernel/wire.h"
#include "lib/util.h"
#include "addrs.h"
#include "tap.h"

/* Words separated by blanks; the next one, or NULL. */
static char *word(char **text)
{
	char *w;

	do
		w = strsep(text, " ");
	while (w && !*w);
	return w;
}

static struct key key_of(char letter)
{
	struct key k;

	memset(&k, letter, sizeof(k));
	return k;
}

/* "A endpoint allowed... ; B endpoint allowed... " */
static struct wg_device device(const char *text)
{
	struct wg_device d = { 0 };
	char *copy = xstrdup(text), *rest = copy, *one, *w;

	while ((one = strsep(&rest, ";"))) {
		struct wg_peer *p;

		w = word(&one);
		if (!w)
			continue;
		p = list_add(d.peers, &d.n_peers);
		p->public_key = key_of(*w);
		p->keepalive = w[1] == '!' ? 25 : 0;
		p->endpoint = ep(word(&one));
		while ((w = word(&one)))
			*list_add(p->allowed_ips, &p->n_allowed_ips) = pfx(w);
	}
	free(copy);
	wg_sort(&d);
	return d;
}

/* The plan as text: "+A endpoint ips", "~A", "-A". */
static void plan_text(const struct wg_plan *plan, char *out, size_t n)
{
	char ip[PREFIX_TEXT_MAX], e[ENDPOINT_TEXT_MAX];
	FILE *f = fmemopen(out, n, "w");
	size_t i, j;

	for (i = 0; i < plan->n; i++) {
		const struct wg_change *c = &plan->changes[i];

		fprintf(f, "%s%c%c", i ? ";" : "",
			c->remove ? '-' : c->create ? '+' : '~',
			c->public_key.b[0]);
		if (c->reset)
			fputc('!', f);
		if (c->endpoint.ip.family)
			fprintf(f, " %s", endpoint_format(&c->endpoint, e));
		for (j = 0; j < c->n_add; j++)
			fprintf(f, " %s", prefix_format(&c->add[j], ip));
	}
	fclose(f);
}

struct wg_case {
	const char *name, *have, *want, *plan;
};

static const struct wg_case wg_cases[] = {
	{ "nothing to do", "A 1.1.1.1:1 10.0.0.1/32", "A - 10.0.0.1/32", "" },
	{ "the same endpoint", "A 1.1.1.1:1 10.0.0.1/32",
	  "A 1.1.1.1:1 10.0.0.1/32", "" },
	{ "a new peer", "", "A 1.1.1.1:1 10.0.0.1/32 fd00::1/128",
	  "+A 1.1.1.1:1 10.0.0.1/32 fd00::1/128" },
	{ "a new peer without an address", "", "A -", "+A" },
	{ "a peer that goes", "A - 10.0.0.1/32;B - 10.0.0.2/32",
	  "B - 10.0.0.2/32", "-A" },
	{ "an endpoint changes", "A 1.1.1.1:1 10.0.0.1/32",
	  "A 1.1.1.1:2 10.0.0.1/32", "~A 1.1.1.1:2" },
	{ "one allowed IP more", "A - 10.0.0.1/32",
	  "A - 10.0.0.1/32 10.1.0.0/16", "~A 10.1.0.0/16" },
	{ "one less goes into the pit, the others stay",
	  "A - 10.0.0.1/32 10.1.0.0/16", "A - 10.0.0.1/32",
	  "+p 10.1.0.0/16;-p" },
	{ "one that moves needs no pit",
	  "A - 10.0.0.1/32 10.1.0.0/16;B - 10.0.0.2/32",
	  "A - 10.0.0.1/32;B - 10.0.0.2/32 10.1.0.0/16", "~B 10.1.0.0/16" },
	{ "one moves and one goes",
	  "A - 10.0.0.1/32 10.1.0.0/16 10.2.0.0/16;B - 10.0.0.2/32",
	  "A - 10.0.0.1/32;B - 10.0.0.2/32 10.1.0.0/16",
	  "~B 10.1.0.0/16;+p 10.2.0.0/16;-p" },
	{ "a rotated key takes the addresses before the old one goes",
	  "A 1.1.1.1:1 10.0.0.1/32", "B 1.1.1.1:1 10.0.0.1/32",
	  "+B 1.1.1.1:1 10.0.0.1/32;-A" },
	{ "two peers swap", "A - 10.0.0.1/32;B - 10.0.0.2/32",
	  "A - 10.0.0.2/32;B - 10.0.0.1/32", "~A 10.0.0.2/32;~B 10.0.0.1/32" },
	{ "somebody's keepalive is reset", "A! - 10.0.0.1/32",
	  "A - 10.0.0.1/32", "~A!" },
};

static void wg(void)
{
	struct key pit = key_of('p');
	char text[1024];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wg_cases); i++) {
		struct wg_device have = device(wg_cases[i].have);
		struct wg_device want = device(wg_cases[i].want);
		struct wg_plan plan;

		memset(text, 0, sizeof(text));
		wg_diff_peers(&have, &want, &pit, &plan);
		plan_text(&plan, text, sizeof(text));
		tap_ok(!strcmp(text, wg_cases[i].plan), "wg: %s (%s)",
		       wg_cases[i].name, text);
		wg_plan_free(&plan);
		wg_free(&have);
		wg_free(&want);
	}
}

static void wg_device_fields(void)
{
	struct wg_device have = { .port = 1, .fwmark = FWMARK_BYPASS };
	struct wg_device want = { .fwmark = FWMARK_BYPASS };

	tap_ok(!wg_diff_device(&have, &want), "wg: port 0 keeps the port");
	want.port = 2;
	tap_ok(wg_diff_device(&have, &want) == WG_PORT, "wg: another port");
	want.port = 1;
	want.private_key = key_of('x');
	have.fwmark = 0;
	tap_ok(wg_diff_device(&have, &want) == (WG_PRIVATE_KEY | WG_FWMARK),
	       "wg: another key and mark");
}

/* "id canonical seen...;..." in the order of their age. */
static struct alias_list aliases(const char *text)
{
	struct alias_list list = { 0 };
	char *copy = xstrdup(text), *rest = copy, *one, *w;
	uint64_t age = 0;

	while ((one = strsep(&rest, ";"))) {
		struct kernel_path p = { 0 };

		w = word(&one);
		if (!w)
			continue;
		p.peer = (uint32_t)atoi(w);
		p.canonical = ep(word(&one));
		while ((w = word(&one)))
			p.seen[p.n_seen++] = ep(w);
		alias_want(&list, &p, ++age);
	}
	free(copy);
	return list;
}

static bool keep_nine(void *ctx, uint32_t peer)
{
	return peer == 9;
}

static const struct wg_case alias_cases[] = {
	{ "nothing to do", "1 1.1.1.1:1 2.2.2.2:2", "1 1.1.1.1:1 2.2.2.2:2",
	  "" },
	{ "order means nothing", "1 1.1.1.1:1 3.3.3.3:3 2.2.2.2:2",
	  "1 1.1.1.1:1 2.2.2.2:2 3.3.3.3:3", "" },
	{ "the canonical among the seen means nothing", "1 1.1.1.1:1",
	  "1 1.1.1.1:1 1.1.1.1:1", "" },
	{ "a new one", "", "1 1.1.1.1:1", "=1" },
	{ "another canonical", "1 1.1.1.1:1 2.2.2.2:2",
	  "1 2.2.2.2:2 1.1.1.1:1", "=1" },
	{ "a peer without a path loses its own", "1 1.1.1.1:1", "", "-1" },
	{ "unless the engine has not spoken of it", "9 1.1.1.1:1", "", "" },
	{ "and then only if it isn't in the way", "9 1.1.1.1:1",
	  "1 1.1.1.1:1", "-9;=1" },
	{ "an endpoint moves", "1 1.1.1.1:1 2.2.2.2:2;2 3.3.3.3:3",
	  "1 1.1.1.1:1;2 3.3.3.3:3 2.2.2.2:2", "-1;=1;=2" },
	{ "the newer path wins an endpoint", "",
	  "1 1.1.1.1:1 5.5.5.5:5;2 2.2.2.2:2 5.5.5.5:5", "=1;=2 5.5.5.5:5" },
	{ "a path whose canonical went to a newer one has no alias", "",
	  "1 1.1.1.1:1;2 1.1.1.1:1", "=2" },
};

static void alias(void)
{
	size_t i, j, k;

	for (i = 0; i < ARRAY_SIZE(alias_cases); i++) {
		struct alias_list have = aliases(alias_cases[i].have);
		struct alias_list want = aliases(alias_cases[i].want);
		char text[1024] = "", e[ENDPOINT_TEXT_MAX];
		struct alias_op *ops;
		FILE *f = fmemopen(text, sizeof(text), "w");
		size_t n;

		alias_settle(&want);
		n = alias_diff(&have, &want, keep_nine, NULL, &ops);
		for (j = 0; j < n; j++) {
			fprintf(f, "%s%c%u", j ? ";" : "",
				ops[j].del ? '-' : '=', ops[j].peer);
			if (strstr(alias_cases[i].plan, "5.5.5.5"))
				for (k = 0; k < ops[j].set->n_seen; k++)
					fprintf(f, " %s",
						endpoint_format(
							&ops[j].set->seen[k],
							e));
		}
		fclose(f);
		tap_ok(!strcmp(text, alias_cases[i].plan), "alias: %s (%s)",
		       alias_cases[i].name, text);
		free(ops);
		alias_free(&have);
		alias_free(&want);
	}
}

static void prefixes(void)
{
	struct prefix have_p[] = { pfx("10.0.0.2/32"), pfx("10.0.0.1/32"),
				   pfx("fd00::1/128") };
	struct prefix want_p[] = { pfx("10.0.0.3/32"), pfx("10.0.0.1/32"),
				   pfx("fd00::2/128"), pfx("10.0.0.3/32") };
	struct prefix_list have = { have_p, 3 }, want = { want_p, 4 };
	struct prefix_list add, del;

	prefix_list_diff(&have, &want, true, &add, &del);
	tap_ok(add.n == 2 && del.n == 2, "prefixes: added once, deleted");
	free(add.p);
	free(del.p);
	prefix_list_diff(&have, &want, false, &add, &del);
	tap_ok(add.n == 1 && add.p[0].ip.b[3] == 3,
	       "prefixes: no IPv6 without IPv6");
	free(add.p);
	free(del.p);
	want = (struct prefix_list){ have_p, 3 };
	prefix_list_diff(&have, &want, true, &add, &del);
	tap_ok(!add.n && !del.n, "prefixes: nothing to do");
}

static void rules(void)
{
	struct rule want[RULES], have[RULES + 2], add[RULES], del[RULES_MAX];
	size_t n_add, n_del;

	rule_wanted(4, want);
	rule_diff(NULL, 0, want, add, &n_add, del, &n_del);
	tap_ok(n_add == RULES && !n_del, "rules: all are missing");
	memcpy(have, want, sizeof(want));
	rule_diff(have, RULES, want, add, &n_add, del, &n_del);
	tap_ok(!n_add && !n_del, "rules: all are there");
	have[RULES] = want[1];
	rule_diff(have, RULES + 1, want, add, &n_add, del, &n_del);
	tap_ok(!n_add && n_del == 1, "rules: a double goes");
	have[1].fwmask = 0xffffffff;
	rule_diff(have, RULES, want, add, &n_add, del, &n_del);
	tap_ok(n_add == 1 && n_del == 1 && add[0].priority == 5230,
	       "rules: a damaged one is replaced");
	have[1] = want[1];
	have[RULES] = (struct rule){ .family = 4, .action = FR_ACT_TO_TBL,
				     .priority = 5270, .table = 100 };
	rule_diff(have, RULES + 1, want, add, &n_add, del, &n_del);
	tap_ok(!n_add && !n_del, "rules: another table's is not ours");
	tap_ok(want[0].priority == 5210 && want[0].table == RT_TABLE_MAIN &&
		       want[2].action == FR_ACT_UNREACHABLE &&
		       want[3].priority == 5270 && want[3].table == 52 &&
		       !want[3].fwmask,
	       "rules: as nat-traversal.md 15.4 has them");
}

static struct tailrace_addr net(uint8_t a, uint8_t b)
{
	return (struct tailrace_addr){ .kind = TAILRACE_ADDR_PREFIX4,
				       .prefix_len = 32,
				       .first = { 10, 0, a, b } };
}

static void policies(void)
{
	struct tailrace_addr src[1000], rev[1000], local[] = { net(9, 9) };
	struct tailrace_dst dst[3] = { { net(1, 1), 80, 80 },
				       { net(1, 2), 80, 80 },
				       { net(1, 3), 80, 80 } };
	struct tailrace_dst tsd[3] = { dst[2], dst[0], dst[1] };
	uint32_t caps[] = { 3, 1 }, spac[] = { 1, 3, 3 };
	static const uint8_t none[1];
	struct kernel_rule rules_a[] = {
		{ .id = 1, .src = src, .n_src = 1000, .dst = dst, .n_dst = 3,
		  .src_caps = caps, .n_src_caps = 2 },
		{ .id = 2, .src = src, .n_src = 1, .dst = dst, .n_dst = 1,
		  .protos = none },
		{ .id = 3, .src = src, .n_src = 1 },
	};
	struct kernel_rule rules_b[] = {
		{ .id = 2, .src = src, .n_src = 1, .dst = dst, .n_dst = 1,
		  .protos = none },
		{ .id = 1, .src = rev, .n_src = 1000, .dst = tsd, .n_dst = 3,
		  .src_caps = spac, .n_src_caps = 3 },
	};
	struct kernel_state a = { .rules = rules_a, .n_rules = 3,
				  .local = local, .n_local = 1 };
	struct kernel_state b = { .rules = rules_b, .n_rules = 2,
				  .local = local, .n_local = 1 };
	struct policy p, q;
	size_t i, n_src = 0, most = 0, with_caps = 0;

	for (i = 0; i < 1000; i++)
		rev[999 - i] = src[i] = net((uint8_t)(i >> 8), (uint8_t)i);
	policy_from_state(&p, &a);
	policy_from_state(&q, &b);
	tap_ok(policy_equal(&p, &q),
	       "policy: order, doubles and void rules mean nothing");
	for (i = 0; i < p.n_rules; i++) {
		if (p.rules[i].id != 1)
			continue;
		n_src += p.rules[i].n_src;
		with_caps += p.rules[i].n_src_caps;
		most = most > p.rules[i].n_src ? most : p.rules[i].n_src;
	}
	tap_ok(n_src == 1000 && most == POLICY_PART && with_caps == 2,
	       "policy: a long rule is split, its capabilities named once");
	for (i = 0; i < p.n_rules; i++)
		if (p.rules[i].id == 2)
			break;
	tap_ok(i < p.n_rules && p.rules[i].n_protos == 1 &&
		       !p.rules[i].protos[0],
	       "policy: an empty protocol list is not the default list");
	policy_clear(&q);
	dst[1].port_last = 81;
	policy_from_state(&q, &a);
	tap_ok(!policy_equal(&p, &q), "policy: one port more is a difference");
	policy_clear(&q);
	dst[1].port_last = 80;
	a.policy_flags = TAILRACE_POLICY_SHIELDS_UP;
	policy_from_state(&q, &a);
	tap_ok(!policy_equal(&p, &q), "policy: so are the flags");
	policy_clear(&q);
	policy_clear(&p);
}

/* A state whose lists were allocated, as the decoder does. */
static struct kernel_state *decoded(const struct kernel_state *from,
				    struct wire_message *m)
{
	size_t n;
	_cleanup_free_ uint8_t *frame = wire_encode(WIRE_STATE, from, &n);

	if (wire_decode(frame, n, m))
		abort();
	return &m->u.state;
}

static void normalizing(void)
{
	struct prefix one[] = { pfx("10.0.0.1/32"), pfx("10.1.2.3/16") };
	struct prefix two[] = { pfx("10.0.0.2/32"), pfx("10.1.0.0/16"),
				pfx("10.0.0.2/32") };
	struct kernel_peer peers[] = {
		{ .id = 7, .public_key = key_of('b'), .allowed_ips = two,
		  .n_allowed_ips = 3 },
		{ .id = 5, .public_key = key_of('a'), .allowed_ips = one,
		  .n_allowed_ips = 2 },
		{ .id = 0, .public_key = key_of('c') },
		{ .id = 1 << 24, .public_key = key_of('d') },
		{ .id = 8 },
		{ .id = 9, .public_key = key_of('a') },
		{ .id = 7, .public_key = key_of('e') },
	};
	struct kernel_state from = { .peers = peers,
				     .n_peers = ARRAY_SIZE(peers) };
	struct wire_message m;
	struct kernel_state *s;
	struct module_peers mp;
	struct module_peer copy;
	struct wg_device d;
	struct key o, x, y;

	memset(&from.private_key, 0xff, sizeof(from.private_key));
	from.disco = key_of('o');
	peers[0].disco = key_of('x');
	peers[0].disco_shared = key_of('y');
	peers[1].disco = key_of('x'); /* but no box key */
	s = decoded(&from, &m);
	state_normalize(s);
	tap_ok(s->n_peers == 2 && s->peers[0].id == 5 && s->peers[1].id == 7,
	       "state: bad and double peers are dropped, the rest sorted");
	tap_ok(s->peers[0].n_allowed_ips == 2 &&
		       s->peers[1].n_allowed_ips == 1 &&
		       s->peers[0].allowed_ips[1].ip.b[2] == 0,
	       "state: an allowed IP has one peer, and no host bits");
	tap_ok(s->private_key.b[0] == 248 && s->private_key.b[31] == 127,
	       "state: the key is as WireGuard stores it");
	tap_ok(state_peer(s, 7) == &s->peers[1] && !state_peer(s, 8),
	       "state: a peer is found");
	state_to_wg(s, &d);
	tap_ok(d.n_peers == 2 && d.fwmark == FWMARK_BYPASS &&
		       wg_find(&d, &peers[0].public_key),
	       "state: to WireGuard");
	wg_free(&d);
	module_peers_from_state(&mp, s);
	tap_ok(mp.n == 2 && mp.p[0].id == 5 && mp.p[0].n_routes == 2 &&
		       mp.p[0].routes[0].kind == TAILRACE_ADDR_PREFIX4 &&
		       mp.p[0].routes[0].prefix_len == 16,
	       "state: to the module's peers");
	o = key_of('o');
	x = key_of('x');
	y = key_of('y');
	tap_ok(key_equal(&mp.p[1].disco, &x) &&
		       key_equal(&mp.p[1].disco_own, &o) &&
		       key_equal(mp.p[1].disco_shared, &y),
	       "state: with box keys");
	tap_ok(key_is_zero(&mp.p[0].disco) && !mp.p[0].disco_shared,
	       "state: complete or not at all");
	copy = mp.p[1];
	copy.disco_shared = NULL; /* as in a dump */
	tap_ok(module_peer_equal(&mp.p[1], &copy),
	       "peer: the public keys stand for the secret");
	copy.disco_own = x;
	tap_ok(!module_peer_equal(&mp.p[1], &copy),
	       "peer: another key of ours is a difference");
	copy.disco_own = o;
	copy.disco = o;
	tap_ok(!module_peer_equal(&mp.p[1], &copy),
	       "peer: so is another one of theirs");
	module_peers_free(&mp);
	wire_free(&m);
}

static unsigned int n_roamed;

static void flow_table(void)
{
	static const uint32_t sizes[][2] = {
		{ 0, KERNEL_FLOWS_DEFAULT }, { 1, KERNEL_FLOWS_MIN },
		{ 4096, 4096 },		     { 4097, 8192 },
		{ 262145, 524288 },	     { UINT32_MAX, KERNEL_FLOWS_MAX },
	};
	struct kernel_state s = { 0 };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		s.settings.flows_max = sizes[i][0];
		state_normalize(&s);
		tap_ok(s.settings.flows_max == sizes[i][1],
		       "state: a flow table for %u", sizes[i][0]);
	}
}

static void settings(void)
{
	const struct kernel_settings a = { .flags = 1, .flows_max = 4096 };
	struct kernel_settings b = a;

	tap_ok(!module_diff_settings(&a, &b), "settings: none differs");
	b.max_stale = 1;
	b.flows_max = 8192;
	tap_ok(module_diff_settings(&a, &b) ==
		       (MODULE_MAX_STALE | MODULE_FLOWS_MAX),
	       "settings: two do");
	b = (struct kernel_settings){ .records = 1 };
	tap_ok(module_diff_settings(&a, &b) ==
		       (MODULE_FLAGS | MODULE_FLOWS_MAX | MODULE_RECORDS),
	       "settings: three do");
	tap_ok(!strcmp(module_setting_name(MODULE_FLAGS), "strict") &&
		       !strcmp(module_setting_name(MODULE_RECORDS),
			       "flow-records"),
	       "settings: their names");
}

static void roamed(void *ctx, uint32_t peer, const struct endpoint *e)
{
	n_roamed++;
}

static void endpoints(void)
{
	struct kernel_peer k = { .id = 1, .public_key = key_of('A') };
	struct kernel_state s = { .peers = &k, .n_peers = 1 };
	struct kernel_path path = { .peer = 1, .canonical = ep("1.1.1.1:1") };
	struct wg_device have = device("A 9.9.9.9:9"), want = device("A -");
	struct wg_device moved = device("A 2.2.2.2:2"), gone = device("");
	struct peers p = { 0 };

	peers_put_endpoints(&p, &s, &have, &want);
	tap_ok(!want.peers[0].endpoint.ip.family,
	       "endpoint: stays as it is without a path");
	peers_compare_endpoints(&p, &s, &have, NULL, NULL);
	peers_compare_endpoints(&p, &s, &have, roamed, NULL);
	tap_ok(!n_roamed, "endpoint: the one found at the start is no news");
	peers_set_path(&p, &path);
	peers_compare_endpoints(&p, &s, &have, roamed, NULL);
	peers_put_endpoints(&p, &s, &have, &want);
	tap_ok(want.peers[0].endpoint.port == 1 && !n_roamed,
	       "endpoint: a path is put");
	peers_endpoints_set(&p, &s);
	peers_compare_endpoints(&p, &s, &moved, roamed, NULL);
	peers_compare_endpoints(&p, &s, &moved, roamed, NULL);
	tap_ok(n_roamed == 1, "endpoint: roaming is reported once");
	memset(&want.peers[0].endpoint, 0, sizeof(struct endpoint));
	peers_set_path(&p, &path);
	peers_put_endpoints(&p, &s, &moved, &want);
	tap_ok(!want.peers[0].endpoint.ip.family,
	       "endpoint: the same path again doesn't undo roaming");
	peers_put_endpoints(&p, &s, &gone, &want);
	tap_ok(want.peers[0].endpoint.port == 1,
	       "endpoint: a peer that somebody removed gets its path again");
	peers_free(&p);
	wg_free(&have);
	wg_free(&want);
	wg_free(&moved);
}

int main(void)
{
	wg();
	wg_device_fields();
	alias();
	prefixes();
	rules();
	policies();
	normalizing();
	flow_table();
	settings();
	endpoints();
	return tap_done();
}
