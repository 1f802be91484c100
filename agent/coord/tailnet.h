/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_TAILNET_H
#define COORD_TAILNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/model.h"
#include "coord/policy_compile.h"
#include "coord/text.h"

/*
 * The nodes of the model with the policy applied, and what of it has changed
 * since everybody was last told. Each node has a slot, a small number that sets
 * of nodes are kept by; a slot is not given again before its removal was told.
 */

struct mapstream;
struct tailnet;

struct tailnet_config {
	const char *domain; /* MagicDNS names are below it; "" for none */
	bool magic_dns;
	/* Comma-separated addresses; "" none. For what is not ours to answer. */
	const char *nameservers;
	struct prefix v4, v6; /* pools of addresses, for the reverse zones */
};

/* How peers are told what has changed of a node. */
enum member_change {
	CHANGE_UNKNOWN,
	CHANGE_NOTHING,
	CHANGE_PATCH,
	CHANGE_WHOLE,
};

/* A node's place; coord_node.session points here. */
struct member {
	struct coord_node *node; /* NULL: removed, or a free slot */
	int64_t id;
	uint32_t slot;
	unsigned int aspects; /* changed since the last telling */
	struct text peer, patch; /* cached, see tailnet_peer_text() */
	enum member_change change; /* what aspects come to; cached */
	struct mapstream *stream; /* NULL: none; the map streams' own */
	void *presence; /* coord/presence.h's own */
};

/* @m is listened to by the caller, who passes every event on. */
struct tailnet *tailnet_new(struct model *m, const struct tailnet_config *c);
void tailnet_free(struct tailnet *t); /* NULL is fine */

void tailnet_event(struct tailnet *t, const struct model_event *e);

/*
 * The model's text of the policy comes into force. Errors go to @report, the
 * policy in force stays then and -EINVAL is returned.
 */
struct policy_report;
int tailnet_load_policy(struct tailnet *t, struct policy_report *report);
/* Would @text do? The same, and nothing changes. */
int tailnet_check_policy(struct tailnet *t, const char *text, size_t len,
			 struct policy_report *report);
/* As the policy sees it; borrows from @n. */
struct policy_node tailnet_policy_node(const struct coord_node *n);
/* What is in force; NULL: everything is allowed. */
const struct policy *tailnet_policy(const struct tailnet *t);

/* A DERPMap object as text; copied. */
void tailnet_set_derp_map(struct tailnet *t, const char *json);

struct model *tailnet_model(const struct tailnet *t);
struct member *tailnet_member(struct tailnet *t, uint32_t slot);
size_t tailnet_slots(const struct tailnet *t); /* all are below it */

/* The policy's result for what there is now, recompiled if need be. */
const struct policy_result *tailnet_result(struct tailnet *t);
/* Words of a set of slots. */
size_t tailnet_words(const struct tailnet *t);
/* The slots that @slot is told of, tailnet_words() words, to @out. */
void tailnet_visible(struct tailnet *t, uint32_t slot, uint64_t *out);

/*
 * Changes that nobody was told of yet. tailnet_told() forgets them and frees
 * the slots of removed nodes.
 */
struct tailnet_changes {
	const uint32_t *slots; /* of nodes with aspects, or removed */
	size_t n;
	bool visibility; /* who sees whom, or a filter */
	bool users, derp_map;
};
bool tailnet_changed(const struct tailnet *t);
struct tailnet_changes tailnet_changes(struct tailnet *t);
void tailnet_told(struct tailnet *t);

/*
 * What all peers are told of a node, without its routes and without the closing
 * brace. Serialised once per change.
 */
const struct text *tailnet_peer_text(struct tailnet *t, struct member *m);
/* How its untold changes are to be told; @m->patch holds a PeerChange then. */
enum member_change tailnet_change(struct member *m);

/* Parts of a message that are the same for all: values of these names. */
const char *tailnet_domain(const struct tailnet *t);
const char *tailnet_derp_map(const struct tailnet *t); /* "" none */
const char *tailnet_dns_config(const struct tailnet *t);
/* The owner of a node as a UserProfile. */
void tailnet_profile(struct text *out, const struct coord_node *n);

#endif
