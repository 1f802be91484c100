// SPDX-License-Identifier: GPL-2.0
/*
 * play DIR 4|6 PREFIXES RULES PACKETS: a policy of sizes.h and packets for it,
 * as files in DIR for lookup.
 *
 *   policy        local ADDRS, then rule ID SRCS DSTS: the interface's arrays
 *                 in hex
 *   nft           the same policy as a ruleset of ingress of device "nft0"
 *   accept deny   UDP packets, records of 64 bytes: length, packet
 *   syn           TCP connections that are let in
 */
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include "sizes.h"

static FILE *open_file(const char *dir, const char *name)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	if (!f)
		err(1, "%s", path);
	return f;
}

static void close_file(FILE *f)
{
	if (fclose(f))
		err(1, "writing");
}

static void put_hex(FILE *f, const void *data, size_t n)
{
	const uint8_t *b = data;

	putc(' ', f);
	while (n--)
		fprintf(f, "%02x", *b++);
}

static void write_policy(const struct sizes *s, FILE *f)
{
	const struct oracle_policy *p = &s->policy;
	size_t i;

	fputs("local", f);
	put_hex(f, p->local, p->n_local * sizeof(*p->local));
	for (i = 0; i < p->n_rules; i++) {
		const struct oracle_rule *r = &p->rules[i];

		fprintf(f, "\nrule %u", r->id);
		put_hex(f, r->srcs, r->n_srcs * sizeof(*r->srcs));
		put_hex(f, r->dsts, r->n_dsts * sizeof(*r->dsts));
	}
	putc('\n', f);
}

static void put_prefix(FILE *f, const struct tailrace_addr *a)
{
	char text[INET6_ADDRSTRLEN];

	inet_ntop(a->kind == TAILRACE_ADDR_PREFIX4 ? AF_INET : AF_INET6,
		  a->first, text, sizeof(text));
	fprintf(f, "%s/%u", text, a->prefix_len);
}

/* The single ports, or the ranges, of the plain rules @plain, + @step, ... */
static void put_elements(FILE *f, const struct sizes *s, uint32_t plain,
			 uint32_t step, bool ranges)
{
	const char *comma = "";
	char text[INET6_ADDRSTRLEN];
	uint32_t i;

	for (; plain < s->n_plain; plain += step) {
		const struct oracle_rule *r = sizes_plain(s, plain);

		for (i = 0; i < r->n_dsts; i++) {
			const struct tailrace_dst *d = &r->dsts[i];

			if (ranges != (d->port_first != d->port_last))
				continue;
			inet_ntop(s->family == 4 ? AF_INET : AF_INET6,
				  d->addr.first, text, sizeof(text));
			fprintf(f, "%s %s . %u", comma, text, d->port_first);
			if (ranges)
				fprintf(f, "-%u", d->port_last);
			comma = ",";
		}
	}
}

static void put_any(FILE *f, const struct sizes *s)
{
	char text[INET6_ADDRSTRLEN];
	const char *comma = "";
	size_t i, k;

	for (i = 0; i < s->n_rules; i++) {
		const struct oracle_rule *r = &s->rules[i];

		for (k = 0; r->srcs[0].kind == TAILRACE_ADDR_ANY &&
			    k < r->n_dsts; k++) {
			inet_ntop(s->family == 4 ? AF_INET : AF_INET6,
				  r->dsts[k].addr.first, text, sizeof(text));
			fprintf(f, "%s %s . %u", comma, text,
				r->dsts[k].port_first);
			comma = ",";
		}
	}
}

/*
 * The way it is written by hand for speed: a source is looked up once, in an
 * interval map that leads to a chain of its kind; a chain has a hash set of
 * addresses and ports, and after that a set of ranges, or one comparison when
 * there is but one.
 */
static void write_ruleset(const struct sizes *s, FILE *f)
{
	const char *ip = s->family == 4 ? "ip" : "ip6";
	uint32_t i, kinds = sizes_kinds(s);
	bool any = s->n_plain < s->n_rules;
	struct tailrace_addr a;

	fputs("table netdev bench {\n", f);
	if (any) {
		fprintf(f, "\tset any {\n\t\ttype ipv%d_addr . inet_service\n"
			"\t\telements = {", s->family);
		put_any(f, s);
		fputs(" }\n\t}\n", f);
	}
	for (i = 0; i < kinds; i++) {
		fprintf(f, "\tchain c%u {\n\t\t%s daddr . th dport {", i, ip);
		put_elements(f, s, i, kinds, false);
		fputs(" } accept\n", f);
		if (i + kinds >= s->n_plain) {
			const struct tailrace_dst *d =
				&sizes_plain(s, i)->dsts[2];

			fprintf(f, "\t\t%s daddr ", ip);
			put_prefix(f, &d->addr);
			fprintf(f, " th dport %u-%u accept\n\t}\n",
				d->port_first, d->port_last);
			continue;
		}
		fprintf(f, "\t\t%s daddr . th dport {", ip);
		put_elements(f, s, i, kinds, true);
		fputs(" } accept\n\t}\n", f);
	}
	fprintf(f, "\tmap src {\n\t\ttype ipv%d_addr : verdict\n"
		"\t\tflags interval\n\t\telements = {", s->family);
	for (i = 0; i < s->n_prefixes; i++) {
		a = sizes_prefix(s, i);
		fputs(i ? ", " : " ", f);
		put_prefix(f, &a);
		fprintf(f, " : jump c%u", i % kinds);
	}
	fputs(" }\n\t}\n\tchain in {\n\t\ttype filter hook ingress device "
	      "\"nft0\" priority 0; policy drop;\n", f);
	fprintf(f, "\t\t%s daddr != ", ip);
	put_prefix(f, &s->local);
	fputs(" drop\n\t\tmeta l4proto != { tcp, udp } drop\n", f);
	if (any)
		fprintf(f, "\t\t%s daddr . th dport @any accept\n", ip);
	fprintf(f, "\t\t%s saddr vmap @src\n\t}\n}\n", ip);
}

static void write_packets(struct sizes *s, FILE *f, uint32_t n, uint8_t proto,
			  bool allowed)
{
	uint8_t record[1 + SIZES_PACKET];

	while (n--) {
		record[0] = sizes_packet(s, record + 1, proto, allowed);
		if (fwrite(record, sizeof(record), 1, f) != 1)
			err(1, "writing");
	}
	close_file(f);
}

int main(int argc, char **argv)
{
	struct sizes s;
	uint32_t n;
	FILE *f;

	if (argc != 6)
		errx(2, "usage: play DIR 4|6 PREFIXES RULES PACKETS");
	sizes_init(&s, atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), 1);
	n = atoi(argv[5]);
	f = open_file(argv[1], "policy");
	write_policy(&s, f);
	close_file(f);
	f = open_file(argv[1], "nft");
	write_ruleset(&s, f);
	close_file(f);
	write_packets(&s, open_file(argv[1], "accept"), n, IPPROTO_UDP, true);
	write_packets(&s, open_file(argv[1], "deny"), n, IPPROTO_UDP, false);
	write_packets(&s, open_file(argv[1], "syn"), n, IPPROTO_TCP, true);
	sizes_free(&s);
	return 0;
}
