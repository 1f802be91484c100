// SPDX-License-Identifier: GPL-2.0
/* Which nodes the names in a policy select. */
#include <string.h>

#include "coord/policy_result.h"
#include "lib/util.h"

struct owner {
	char *login;
	int id;
	UT_hash_handle hh;
};

struct policy_resolver {
	const struct policy *policy; /* NULL: none */
	struct policy_result *result;
	struct owner *owners; /* uthash by login */
	uint64_t **by_owner; /* rows made when first asked for */
	uint64_t **by_group;
	uint64_t **by_tag; /* NULL: no node has it */
	uint64_t *tagged;
	size_t *owner_of_user; /* policy_user.id to owner.id plus 1, 0: none */
};

static size_t login_length(const char *login)
{
	size_t n = strlen(login);

	return n > 1 && login[n - 1] == '@' ? n - 1 : n;
}

static int owner_id(struct policy_resolver *rs, const char *login)
{
	size_t n = login_length(login);
	struct policy_user *u;
	struct owner *o;

	HASH_FIND(hh, rs->owners, login, n, o);
	if (o)
		return o->id;
	o = xcalloc(1, sizeof(*o));
	o->login = xstrdup(login);
	o->login[n] = '\0';
	o->id = (int)HASH_COUNT(rs->owners);
	HASH_ADD_KEYPTR(hh, rs->owners, o->login, n, o);
	u = rs->policy ? policy_find_user(rs->policy, login) : NULL;
	if (u)
		rs->owner_of_user[u->id] = (size_t)o->id + 1;
	return o->id;
}

static uint64_t *new_row(const struct policy_resolver *rs)
{
	return xcalloc(rs->result->words, sizeof(uint64_t));
}

static void add_tags(struct policy_resolver *rs, const struct policy_node *node,
		     size_t i)
{
	struct policy_tag *t;
	size_t k;

	bits_set(rs->tagged, i);
	for (k = 0; rs->policy && k < node->n_tags; k++) {
		HASH_FIND_STR(rs->policy->tags, node->tags[k], t);
		if (!t)
			continue;
		if (!rs->by_tag[t->id])
			rs->by_tag[t->id] = new_row(rs);
		bits_set(rs->by_tag[t->id], i);
	}
}

struct policy_resolver *policy_resolver_new(const struct policy *p,
					    struct policy_result *r,
					    const struct policy_node *nodes)
{
	struct policy_resolver *rs = xcalloc(1, sizeof(*rs));
	size_t i;

	rs->policy = p;
	rs->result = r;
	rs->tagged = new_row(rs);
	rs->by_tag = xcalloc(p ? HASH_COUNT(p->tags) : 0, sizeof(uint64_t *));
	rs->by_group =
		xcalloc(p ? HASH_COUNT(p->groups) : 0, sizeof(uint64_t *));
	rs->owner_of_user =
		xcalloc(p ? HASH_COUNT(p->users) : 0, sizeof(size_t));
	for (i = 0; i < r->n; i++) {
		r->members[i].owner = -1;
		if (nodes[i].n_tags)
			add_tags(rs, &nodes[i], i);
		else if (nodes[i].user)
			r->members[i].owner = owner_id(rs, nodes[i].user);
	}
	rs->by_owner = xcalloc(HASH_COUNT(rs->owners), sizeof(uint64_t *));
	for (i = 0; i < r->n; i++) {
		int owner = r->members[i].owner;

		if (owner < 0)
			continue;
		if (!rs->by_owner[owner])
			rs->by_owner[owner] = new_row(rs);
		bits_set(rs->by_owner[owner], i);
	}
	return rs;
}

void policy_resolver_free(struct policy_resolver *rs)
{
	struct owner *o, *next;
	size_t i;

	for (i = 0; i < HASH_COUNT(rs->owners); i++)
		free(rs->by_owner[i]);
	for (i = 0; rs->policy && i < HASH_COUNT(rs->policy->tags); i++)
		free(rs->by_tag[i]);
	for (i = 0; rs->policy && i < HASH_COUNT(rs->policy->groups); i++)
		free(rs->by_group[i]);
	HASH_ITER(hh, rs->owners, o, next) {
		HASH_DEL(rs->owners, o);
		free(o->login);
		free(o);
	}
	free(rs->by_owner);
	free(rs->by_tag);
	free(rs->by_group);
	free(rs->owner_of_user);
	free(rs->tagged);
	free(rs);
}

size_t policy_owners(const struct policy_resolver *rs)
{
	return HASH_COUNT(rs->owners);
}

const uint64_t *policy_owner_nodes(struct policy_resolver *rs, size_t owner)
{
	return rs->by_owner[owner];
}

static void add_user(struct policy_resolver *rs, const struct policy_user *u,
		     uint64_t *nodes)
{
	size_t owner = rs->owner_of_user[u->id];

	if (owner)
		bits_or(nodes, rs->by_owner[owner - 1], rs->result->words);
}

static const uint64_t *group_row(struct policy_resolver *rs,
				 const struct policy_group *g)
{
	size_t i;

	if (!rs->by_group[g->id]) {
		rs->by_group[g->id] = new_row(rs);
		for (i = 0; i < g->n_members; i++)
			add_user(rs, g->members[i], rs->by_group[g->id]);
	}
	return rs->by_group[g->id];
}

static void add_untagged(const struct policy_resolver *rs, uint64_t *nodes,
			 bool tagged_too)
{
	size_t i;

	for (i = 0; i < rs->result->n; i++)
		if (tagged_too || !bits_test(rs->tagged, i))
			bits_set(nodes, i);
}

bool policy_resolve(struct policy_resolver *rs, const struct policy_selector *s,
		    uint64_t *nodes)
{
	size_t words = rs->result->words;

	switch (s->what) {
	case POLICY_ANY:
		add_untagged(rs, nodes, true);
		return true;
	case POLICY_USER:
		add_user(rs, s->user, nodes);
		return true;
	case POLICY_GROUP:
		bits_or(nodes, group_row(rs, s->group), words);
		return true;
	case POLICY_TAG:
		if (rs->by_tag[s->tag->id])
			bits_or(nodes, rs->by_tag[s->tag->id], words);
		return true;
	case POLICY_MEMBER:
		add_untagged(rs, nodes, false);
		return true;
	case POLICY_TAGGED:
		bits_or(nodes, rs->tagged, words);
		return true;
	case POLICY_SELF:
	case POLICY_INTERNET:
	case POLICY_DANGER_ALL:
	case POLICY_RANGE:
		break;
	}
	return false;
}

/* The first of the sorted addresses that is not below @ip. */
static size_t lower_bound(const struct policy_result *r,
			  const struct ip_addr *ip)
{
	size_t low = 0, high = r->n_addresses, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (ip_compare(&r->addresses[mid].ip, ip) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

void policy_resolve_range(const struct policy_result *r,
			  const struct ip_range *range, uint64_t *nodes)
{
	size_t i = lower_bound(r, &range->first);

	for (; i < r->n_addresses &&
	       ip_compare(&r->addresses[i].ip, &range->last) <= 0;
	     i++)
		bits_set(nodes, r->addresses[i].node);
}

ssize_t policy_node_at(const struct policy_result *r, const struct ip_addr *ip)
{
	size_t i = lower_bound(r, ip);

	if (i == r->n_addresses || !ip_equal(&r->addresses[i].ip, ip))
		return -1;
	return (ssize_t)r->addresses[i].node;
}
