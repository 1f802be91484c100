// SPDX-License-Identifier: GPL-2.0
#include "engine/derpmap.h"

#include <string.h>

#include "lib/util.h"

static void node_copy(struct derp_node *to, const struct derp_node *from)
{
	*to = *from;
	to->name = xstrdup(from->name);
	to->host_name = xstrdup(from->host_name);
	to->cert_name = xstrdup(from->cert_name);
	to->ipv4 = xstrdup(from->ipv4);
	to->ipv6 = xstrdup(from->ipv6);
	to->stun_test_ip = xstrdup(from->stun_test_ip);
}

static void node_clear(struct derp_node *n)
{
	free(n->name);
	free(n->host_name);
	free(n->cert_name);
	free(n->ipv4);
	free(n->ipv6);
	free(n->stun_test_ip);
}

struct derp_region *derp_region_copy(const struct derp_region *from)
{
	struct derp_region *r = xcalloc(1, sizeof(*r));
	size_t i;

	*r = *from;
	memset(&r->hh, 0, sizeof(r->hh));
	r->code = xstrdup(from->code);
	r->name = xstrdup(from->name);
	r->nodes = from->n_nodes ? xcalloc(from->n_nodes, sizeof(*r->nodes)) :
				   NULL;
	for (i = 0; i < from->n_nodes; i++)
		node_copy(&r->nodes[i], &from->nodes[i]);
	return r;
}

void derp_region_free(struct derp_region *r)
{
	size_t i;

	if (!r)
		return;
	for (i = 0; i < r->n_nodes; i++)
		node_clear(&r->nodes[i]);
	free(r->nodes);
	free(r->code);
	free(r->name);
	free(r);
}

struct derp_region *derpmap_copy(const struct derp_region *regions)
{
	struct derp_region *copy = NULL, *r;
	const struct derp_region *from;

	for (from = regions; from; from = from->hh.next) {
		r = derp_region_copy(from);
		HASH_ADD_INT(copy, id, r);
	}
	return copy;
}

void derpmap_free(struct derp_region *regions)
{
	struct derp_region *r, *tmp;

	for (r = regions; r; r = tmp) {
		tmp = r->hh.next;
		HASH_DEL(regions, r);
		derp_region_free(r);
	}
}

const struct derp_region *derpmap_find(const struct derp_region *regions,
				       int id)
{
	struct derp_region *r = NULL;

	HASH_FIND_INT(regions, &id, r);
	return r;
}

static bool same_text(const char *a, const char *b)
{
	return !strcmp(a ? a : "", b ? b : "");
}

bool derp_region_same(const struct derp_region *a, const struct derp_region *b)
{
	size_t i;

	if (a->id != b->id || a->n_nodes != b->n_nodes)
		return false;
	for (i = 0; i < a->n_nodes; i++) {
		const struct derp_node *x = &a->nodes[i], *y = &b->nodes[i];

		if (!same_text(x->name, y->name) ||
		    !same_text(x->host_name, y->host_name) ||
		    !same_text(x->cert_name, y->cert_name) ||
		    !same_text(x->ipv4, y->ipv4) ||
		    !same_text(x->ipv6, y->ipv6) ||
		    x->derp_port != y->derp_port ||
		    x->stun_only != y->stun_only ||
		    x->insecure_for_tests != y->insecure_for_tests)
			return false;
	}
	return true;
}

enum derp_family derp_node_addr(const struct derp_node *n, int family,
				struct ip_addr *out)
{
	const char *text = family == 4 ? n->ipv4 : n->ipv6;
	struct ip_addr ip;

	if (!text || !*text)
		return DERP_FAMILY_RESOLVE;
	if (ip_parse(&ip, text) || ip.family != family)
		return DERP_FAMILY_OFF;
	*out = ip;
	return DERP_FAMILY_LITERAL;
}
