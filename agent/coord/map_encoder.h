/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_MAP_ENCODER_H
#define COORD_MAP_ENCODER_H

#include <uthash.h>
#include <zstd.h>

#include "coord/map_response.h"

/* A message in the making; for map_response.c and map_peers.c only. */

enum op_kind {
	OP_REMOVED,
	OP_WHOLE,
	OP_PATCH,
};

struct op {
	enum op_kind kind;
	struct member *m;
	size_t told; /* of a whole router: offset of its bytes in @key */
};

/* A message that several streams get. */
struct shared {
	struct text key, plain, zstd;
	UT_hash_handle hh;
};

/* A user whose profile is in the message that bears this number. */
struct profile {
	int64_t user;
	uint64_t message;
	UT_hash_handle hh;
};

struct map_encoder {
	struct tailnet *t;
	ZSTD_CCtx *z;
	struct text plain, frame, profiles, part;
	struct op *ops;
	size_t n_ops, cap_ops;
	struct text key; /* says what the ops are, and holds their bytes */
	struct shared *shared;
	struct profile *users;
	uint64_t message;
	uint64_t *visible;
	size_t words;
	uint64_t *via; /* room for map_routes_told() */
	size_t via_words;
	struct map_view_routes *routes; /* a stream's next ones */
	size_t cap_routes;
	struct map_encoder_stats stats;
};

/* map_response.c */

/* '"name":' to e->plain, with a comma if something is before it. */
void map_member(struct map_encoder *e, const char *name);
/* The profile of a node's owner, once in a message. */
void map_put_profile(struct map_encoder *e, const struct coord_node *n);

/* map_peers.c */

bool map_in_set(const uint64_t *set, uint32_t slot);
void map_view_grow(struct map_encoder *e, struct map_view *v);
/* To e->ops what @to, who knows @v, is to be told: of everybody, ... */
void map_compare_all(struct map_encoder *e, struct member *to,
		     struct map_view *v);
/* ... or of those who have changed. */
void map_compare_changed(struct map_encoder *e, struct member *to,
			 struct map_view *v, const struct tailnet_changes *c);
/* The list called @name of all ops of @kind, if there are any. */
void map_put_op_list(struct map_encoder *e, const char *name,
		     enum op_kind kind);
/* The ops as a difference. */
void map_put_ops(struct map_encoder *e);

#endif
