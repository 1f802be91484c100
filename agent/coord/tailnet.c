// SPDX-License-Identifier: GPL-2.0
#include "coord/tailnet.h"

#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <string.h>

#include "coord/map_node.h"
#include "coord/policy_test.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/util.h"

/* Aspects on which who sees whom, or which route, depends. */
#define VISIBILITY_ASPECTS \
	(NODE_USER | NODE_TAGS | NODE_ADDRESSES | NODE_APPROVED | NODE_PRIMARY)

struct tailnet {
	struct model *model;
	char *domain;
	struct text dns;
	char *derp_map;
	struct policy *policy;
	struct policy_result *result; /* NULL: to be compiled */
	struct member **slots;
	size_t n_slots;
	uint64_t *live; /* slots with a node */
	uint32_t *free; /* a stack of slots */
	size_t n_free;
	/* untold */
	uint32_t *changed;
	size_t n_changed, cap_changed;
	bool visibility, users, derp;
};

/* ── DNS ── */

/* Zones of reverse names, octet by octet: 64 for a /10. */
static void reverse_v4(struct text *t, const struct prefix *p)
{
	unsigned int octets = (p->bits + 7u) / 8, i, n, last;

	if (p->ip.family != 4 || !octets || p->bits > 24)
		return;
	n = 1u << (8 * octets - p->bits);
	last = p->ip.b[octets - 1];
	for (i = 0; i < n; i++) {
		unsigned int o = octets - 1;

		text_printf(t, ",\"%u.", last + i);
		while (o--)
			text_printf(t, "%u.", p->ip.b[o]);
		text_puts(t, "in-addr.arpa\":null");
	}
}

static void reverse_v6(struct text *t, const struct prefix *p)
{
	unsigned int nibbles = p->bits / 4;

	if (p->ip.family != 6 || !nibbles || p->bits % 4)
		return;
	text_puts(t, ",\"");
	while (nibbles--)
		text_printf(t, "%x.",
			    p->ip.b[nibbles / 2] >> (nibbles % 2 ? 0 : 4) & 15);
	text_puts(t, "ip6.arpa\":null");
}

static void dns_config(struct tailnet *t, const struct tailnet_config *c)
{
	struct json_object *list = json_object_new_array();
	_cleanup_free_ char *servers = xstrdup(c->nameservers);
	char *save, *s;

	for (s = strtok_r(servers, ", ", &save); s;
	     s = strtok_r(NULL, ", ", &save)) {
		struct json_object *o = json_object_new_object();

		json_object_object_add(o, "Addr", json_object_new_string(s));
		json_object_array_add(list, o);
	}
	text_puts(&t->dns, "{\"Resolvers\":");
	text_json(&t->dns, list);
	if (*t->domain) {
		text_printf(&t->dns, ",\"Domains\":[\"%s\"]", t->domain);
		if (c->magic_dns) {
			text_printf(&t->dns,
				    ",\"Proxied\":true,\"Routes\":{\"%s\":null",
				    t->domain);
			reverse_v4(&t->dns, &c->v4);
			reverse_v6(&t->dns, &c->v6);
			text_puts(&t->dns, "}");
		}
	}
	text_puts(&t->dns, "}");
}

/* ── Slots ── */

static void slot_put(uint64_t *set, uint32_t slot, bool on)
{
	uint64_t bit = 1ull << (slot % 64);

	if (on)
		set[slot / 64] |= bit;
	else
		set[slot / 64] &= ~bit;
}

static void slots_grow(struct tailnet *t)
{
	size_t i, n = t->n_slots + 64 + t->n_slots / 4 / 64 * 64;

	t->slots = xrealloc(t->slots, n, sizeof(*t->slots));
	t->live = xrealloc(t->live, n / 64, sizeof(*t->live));
	t->free = xrealloc(t->free, n, sizeof(*t->free));
	memset(t->live + t->n_slots / 64, 0,
	       (n - t->n_slots) / 64 * sizeof(*t->live));
	for (i = n; i-- > t->n_slots;) {
		t->slots[i] = xcalloc(1, sizeof(**t->slots));
		t->slots[i]->slot = (uint32_t)i;
		t->free[t->n_free++] = (uint32_t)i;
	}
	t->n_slots = n;
}

static void node_added(struct tailnet *t, struct coord_node *n)
{
	struct member *m;

	if (!t->n_free)
		slots_grow(t);
	m = t->slots[t->free[--t->n_free]];
	m->node = n;
	m->id = n->id;
	m->aspects = 0;
	slot_put(t->live, m->slot, true);
	n->session = m;
}

static void note(struct tailnet *t, struct member *m)
{
	if (t->n_changed == t->cap_changed) {
		t->cap_changed = t->cap_changed ? 2 * t->cap_changed : 64;
		t->changed = xrealloc(t->changed, t->cap_changed,
				      sizeof(*t->changed));
	}
	t->changed[t->n_changed++] = m->slot;
}

static void node_changed(struct tailnet *t, struct member *m,
			 unsigned int aspects)
{
	if (!aspects)
		return;
	if (!m->aspects)
		note(t, m);
	m->aspects |= aspects;
	m->change = CHANGE_UNKNOWN;
	text_reset(&m->peer);
}

static void node_removed(struct tailnet *t, struct member *m)
{
	if (!m->aspects)
		note(t, m);
	m->node->session = NULL;
	m->node = NULL;
	slot_put(t->live, m->slot, false);
	text_clear(&m->peer);
	text_clear(&m->patch);
}

static void visibility_changed(struct tailnet *t)
{
	t->visibility = true;
	policy_result_free(t->result);
	t->result = NULL;
}

void tailnet_event(struct tailnet *t, const struct model_event *e)
{
	switch (e->kind) {
	case MODEL_NODE_ADDED:
		node_added(t, e->node);
		visibility_changed(t);
		break;
	case MODEL_NODE_CHANGED:
		node_changed(t, e->node->session, e->aspects);
		if (e->aspects & VISIBILITY_ASPECTS)
			visibility_changed(t);
		else if ((e->aspects & NODE_FITNESS) && t->result &&
			 policy_steers(t->result))
			t->visibility = true; /* as compiled, but by others */
		break;
	case MODEL_NODE_REMOVED:
		node_removed(t, e->node->session);
		visibility_changed(t);
		break;
	case MODEL_USERS:
		t->users = true;
		visibility_changed(t);
		break;
	case MODEL_POLICY:
	case MODEL_PENDING_APPROVED:
	case MODEL_PENDING_GONE:
		break;
	}
}

struct tailnet *tailnet_new(struct model *m, const struct tailnet_config *c)
{
	struct tailnet *t = xcalloc(1, sizeof(*t));
	struct coord_node *n;

	t->model = m;
	t->domain = xstrdup(c->domain);
	t->derp_map = xstrdup("");
	dns_config(t, c);
	for (n = model_nodes(m); n; n = n->hh_id.next)
		node_added(t, n);
	return t;
}

void tailnet_free(struct tailnet *t)
{
	size_t i;

	if (!t)
		return;
	for (i = 0; i < t->n_slots; i++) {
		if (t->slots[i]->node)
			t->slots[i]->node->session = NULL;
		text_clear(&t->slots[i]->peer);
		text_clear(&t->slots[i]->patch);
		free(t->slots[i]);
	}
	policy_result_free(t->result);
	policy_free(t->policy);
	text_clear(&t->dns);
	free(t->slots);
	free(t->live);
	free(t->free);
	free(t->changed);
	free(t->derp_map);
	free(t->domain);
	free(t);
}

struct model *tailnet_model(const struct tailnet *t)
{
	return t->model;
}

struct member *tailnet_member(struct tailnet *t, uint32_t slot)
{
	return t->slots[slot];
}

size_t tailnet_slots(const struct tailnet *t)
{
	return t->n_slots;
}

/* ── Policy ── */

struct policy_node tailnet_policy_node(const struct coord_node *n)
{
	return (struct policy_node){
		.id = n->id,
		.user = n->user->name,
		.tags = (const char *const *)n->tags,
		.n_tags = n->n_tags,
		.addresses = n->addresses,
		.n_addresses = n->n_addresses,
		.routes = n->effective,
		.n_routes = n->n_effective,
	};
}

/* By slot; the holes have no address, so no rule is about them. */
static struct policy_node *policy_nodes(struct tailnet *t)
{
	struct policy_node *nodes = xcalloc(t->n_slots, sizeof(*nodes));
	size_t i;

	for (i = 0; i < t->n_slots; i++)
		if (t->slots[i]->node)
			nodes[i] = tailnet_policy_node(t->slots[i]->node);
	return nodes;
}

int tailnet_check_policy(struct tailnet *t, const char *text, size_t len,
			 struct policy_report *report)
{
	_cleanup_free_ struct policy_node *nodes = policy_nodes(t);
	struct policy *p;

	p = policy_load(text, len, nodes, t->n_slots, report);
	policy_free(p);
	return p ? 0 : -EINVAL;
}

int tailnet_load_policy(struct tailnet *t, struct policy_report *report)
{
	struct policy *p = NULL;
	const char *text;
	size_t len;

	text = model_policy(t->model, &len);
	if (text) {
		p = policy_parse(text, len, report);
		if (!p)
			return -EINVAL;
	}
	policy_free(t->policy);
	t->policy = p;
	visibility_changed(t);
	return 0;
}

const struct policy *tailnet_policy(const struct tailnet *t)
{
	return t->policy;
}

const struct policy_result *tailnet_result(struct tailnet *t)
{
	struct policy_node *nodes;

	if (t->result)
		return t->result;
	nodes = policy_nodes(t);
	t->result = policy_compile(t->policy, nodes, t->n_slots);
	free(nodes);
	return t->result;
}

size_t tailnet_words(const struct tailnet *t)
{
	return t->n_slots / 64;
}

void tailnet_visible(struct tailnet *t, uint32_t slot, uint64_t *out)
{
	const uint64_t *row = policy_peers(tailnet_result(t), slot);
	size_t i, n = tailnet_words(t);

	for (i = 0; i < n; i++)
		out[i] = row[i] & t->live[i];
	slot_put(out, slot, false);
}

/* ── Changes ── */

bool tailnet_changed(const struct tailnet *t)
{
	return t->n_changed || t->visibility || t->users || t->derp;
}

struct tailnet_changes tailnet_changes(struct tailnet *t)
{
	return (struct tailnet_changes){
		.slots = t->changed,
		.n = t->n_changed,
		.visibility = t->visibility,
		.users = t->users,
		.derp_map = t->derp,
	};
}

void tailnet_told(struct tailnet *t)
{
	size_t i;

	for (i = 0; i < t->n_changed; i++) {
		struct member *m = t->slots[t->changed[i]];

		m->aspects = 0;
		m->change = CHANGE_UNKNOWN;
		text_clear(&m->patch);
		if (!m->node)
			t->free[t->n_free++] = m->slot;
	}
	t->n_changed = 0;
	t->visibility = t->users = t->derp = false;
}

/* ── Parts of messages ── */

void tailnet_set_derp_map(struct tailnet *t, const char *json)
{
	free(t->derp_map);
	t->derp_map = xstrdup(json);
	t->derp = true;
}

const struct text *tailnet_peer_text(struct tailnet *t, struct member *m)
{
	if (!m->peer.len) {
		text_json(&m->peer, map_node_peer(m->node, t->domain));
		m->peer.s[--m->peer.len] = '\0';
	}
	return &m->peer;
}

enum member_change tailnet_change(struct member *m)
{
	unsigned int aspects = m->aspects & ~(unsigned int)NODE_PRIVATE;
	struct json_object *patch;

	if (m->change != CHANGE_UNKNOWN)
		return m->change;
	if (!aspects) {
		m->change = CHANGE_NOTHING;
		return m->change;
	}
	patch = map_node_patch(m->node, aspects);
	m->change = patch ? CHANGE_PATCH : CHANGE_WHOLE;
	text_reset(&m->patch);
	text_json(&m->patch, patch);
	return m->change;
}

const char *tailnet_domain(const struct tailnet *t)
{
	return t->domain;
}

const char *tailnet_derp_map(const struct tailnet *t)
{
	return t->derp_map;
}

const char *tailnet_dns_config(const struct tailnet *t)
{
	return t->dns.s;
}

void tailnet_profile(struct text *out, const struct coord_node *n)
{
	struct json_object *o = json_object_new_object();
	const char *name = n->n_tags ? TAGGED_USER_NAME : n->user->name;
	const char *display =
		n->n_tags || !*n->user->display ? name : n->user->display;

	json_object_object_add(o, "ID", json_object_new_int64(map_node_user(n)));
	json_object_object_add(o, "LoginName", json_object_new_string(name));
	json_object_object_add(o, "DisplayName",
			       json_object_new_string(display));
	text_json(out, o);
}
