// SPDX-License-Identifier: GPL-2.0
/* Addresses for nodes. */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "coord/model_internal.h"
#include "lib/util.h"

/* Reserved ones in a row that a search may have to pass: 100.115.92.0/23. */
#define RESERVED_MAX 520

static struct prefix *pool(struct model *m, int kind)
{
	return kind ? &m->config.v6 : &m->config.v4;
}

/* Addresses that clients use for themselves, or that nobody can have. */
static bool is_reserved(const struct prefix *p, const struct ip_addr *a)
{
	static const struct {
		const char *prefix;
	} taken[] = {
		{ "100.100.0.0/24" }, /* Tailscale's subnet routers */
		{ "100.100.100.0/24" }, /* MagicDNS */
		{ "100.115.92.0/23" }, /* ChromeOS */
		{ "fd7a:115c:a1e0::53/128" }, /* MagicDNS */
	};
	struct prefix net = { .ip = *a, .bits = p->bits }, q;
	size_t i;

	net = prefix_masked(&net);
	if (ip_equal(&net.ip, a))
		return true;
	for (i = 0; i < ARRAY_SIZE(taken); i++)
		if (!prefix_parse(&q, taken[i].prefix) && prefix_contains(&q, a))
			return true;
	/* The broadcast address. */
	for (i = p->bits; a->family == 4 && i < 32; i++)
		if (!(a->b[i / 8] & (0x80 >> i % 8)))
			return false;
	return a->family == 4;
}

int ipam_check(struct model *m)
{
	int kind;

	for (kind = 0; kind < 2; kind++) {
		struct prefix *p = pool(m, kind);
		struct prefix masked;

		if (!p->ip.family)
			continue;
		masked = prefix_masked(p);
		if (p->ip.family != (kind ? 6 : 4) ||
		    p->bits > ip_bits(&p->ip) - 2 || p->bits < 8 ||
		    !prefix_equal(&masked, p))
			return model_fail(
				m, -EINVAL,
				"a pool of addresses is a network of /8 to /%u",
				kind ? 126 : 30);
	}
	if (!m->config.v4.ip.family && !m->config.v6.ip.family)
		return model_fail(m, -EINVAL,
				  "there must be a pool of IPv4 or IPv6 addresses");
	return 0;
}

/* The next address of the pool, round from the last to the first. */
static void next(const struct prefix *p, struct ip_addr *a)
{
	unsigned int bits = ip_bits(a);
	int i;

	for (i = (int)bits / 8 - 1; i >= 0; i--)
		if (++a->b[i])
			break;
	if (!prefix_contains(p, a))
		*a = p->ip;
}

static void random_in(const struct prefix *p, struct ip_addr *a)
{
	unsigned int i;

	*a = p->ip;
	for (i = p->bits; i < ip_bits(a); i++)
		if (randombytes_uniform(2))
			a->b[i / 8] |= (uint8_t)(0x80 >> i % 8);
}

static int pick(struct model *m, int kind, struct ip_addr *out)
{
	const struct prefix *p = pool(m, kind);
	unsigned int host_bits = ip_bits(&p->ip) - p->bits;
	/* As many tries as could all be taken, and one. */
	size_t tries = HASH_CNT(hh_id, m->nodes) + RESERVED_MAX + 1;
	struct ip_addr a = m->last[kind];

	if (host_bits < 16 && tries > (size_t)1 << host_bits)
		tries = (size_t)1 << host_bits;
	if (m->config.random)
		random_in(p, &a);
	else if (!prefix_contains(p, &a))
		a = p->ip;
	while (tries--) {
		next(p, &a);
		if (!is_reserved(p, &a) && !model_node_by_ip(m, &a)) {
			*out = a;
			return 0;
		}
	}
	return model_fail(m, -ENOSPC, "the pool of IPv%d addresses is used up",
			  kind ? 6 : 4);
}

int ipam_assign(struct model *m, struct coord_node *n)
{
	struct ip_addr got[2];
	size_t count = 0;
	int kind, err;

	for (kind = 0; kind < 2; kind++) {
		if (!pool(m, kind)->ip.family)
			continue;
		err = pick(m, kind, &got[count]);
		if (err)
			return err;
		count++;
	}
	memcpy(n->addresses, got, count * sizeof(got[0]));
	n->n_addresses = count;
	return 0;
}
