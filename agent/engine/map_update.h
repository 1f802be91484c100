/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_MAP_UPDATE_H
#define ENGINE_MAP_UPDATE_H

#include "engine/derpmap.h"
#include "engine/netmap.h"
#include "lib/util.h"

/*
 * One MapResponse, decoded but not yet applied: whatever can be wrong with a
 * message is found before the netmap is touched. Shared by the netmap files
 * only.
 */

struct json_object;

struct peer_change {
	int64_t id;
	int home_derp, cap_version; /* 0: unchanged */
	struct cap *caps;
	size_t n_caps;
	struct endpoint *endpoints;
	size_t n_endpoints;
	struct key key, disco;
	int online; /* -1: unchanged */
	int64_t last_seen, key_expiry;
	bool has_caps, has_endpoints, has_key, has_disco, has_last_seen,
		has_expiry;
};

struct id_flag {
	int64_t id;
	bool on;
};

struct map_update {
	bool keep_alive;
	int64_t control_time; /* 0: none */
	struct node *self;    /* NULL: unchanged, as all below */
	struct node **peers, **changed;
	size_t n_peers, n_changed;
	bool has_peers; /* the list was there and not empty */
	int64_t *removed;
	size_t n_removed;
	struct id_flag *seen, *online;
	size_t n_seen, n_online;
	struct peer_change *patches;
	size_t n_patches;
	/* DERPMap */
	struct derp_region **regions;
	size_t n_regions;
	struct derp_score *scores;
	size_t n_scores;
	bool has_derp, has_regions, has_scores;
	struct filter_list *base;     /* PacketFilter */
	struct filter_list **filters; /* rules NULL and !n_rules: empty */
	size_t n_filters;
	char **filters_removed;
	size_t n_filters_removed;
	bool filters_cleared; /* "*": null */
	struct dns_config *dns;
	char *domain;
	struct user_profile **users;
	size_t n_users;
	char **health;
	size_t n_health;
	bool has_health;
};

/* 0 or -EPROTO with *@why; @u must be cleared either way. */
int map_update_decode(struct map_update *u, struct json_object *msg,
		      const char **why);
void map_update_clear(struct map_update *u);

/* The DERPMap of @msg, if it has one; 0 or -EPROTO with *@why. */
int derp_decode(struct map_update *u, struct json_object *msg,
		const char **why);

/* A FilterRule list under @name; NULL if malformed. Caller frees. */
struct filter_list *filter_list_decode(const char *name,
				       struct json_object *rules);
struct json_object *filter_list_encode(const struct filter_list *list);
void filter_list_free(struct filter_list *list);
/* Whether a rule with destinations has a source overlapping @p. */
bool filter_list_overlaps(const struct filter_list *list,
			  const struct prefix *p);

/* No string is NULL after decoding. */
static inline void own_string(char **s)
{
	if (!*s)
		*s = xstrdup("");
}

void node_free(struct node *n);
void node_free_caps(struct cap *caps, size_t n);
void user_profile_free(struct user_profile *u);
void dns_config_clear(struct dns_config *dns);

#endif
