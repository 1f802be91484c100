/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_MAP_RESPONSE_H
#define COORD_MAP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/tailnet.h"

/*
 * Messages of the map stream (control.md 5.3, 5.6) as they go out: a length,
 * and JSON or a zstd frame of it. What many streams are told alike in one
 * telling is put together, and compressed, once.
 */

#define MAP_FILTER_HASH_LEN 16

/* What a stream was told, so that the next message says the difference. */
struct map_view {
	uint64_t *told; /* a set of slots */
	size_t words;
	struct map_view_routes {
		uint32_t slot;
		uint64_t visible; /* hash of which routes */
	} *routes; /* of the routers among them, by slot */
	size_t n_routes;
	uint8_t filter[MAP_FILTER_HASH_LEN];
};

void map_view_clear(struct map_view *v);

struct map_encoder;

struct map_encoder *map_encoder_new(struct tailnet *t);
void map_encoder_free(struct map_encoder *e); /* NULL is fine */

/*
 * Everything, for node @m; @v is set accordingly. @first: of its stream. NULL
 * if that cannot be said in a running stream: there is no peer any more. The
 * message is valid until the next call of the encoder, so below.
 */
const struct text *map_encode_full(struct map_encoder *e, struct member *m,
				   struct map_view *v, bool first, bool zstd);
/* What is untold (tailnet_changes()); NULL: nothing for this node. */
const struct text *map_encode_delta(struct map_encoder *e, struct member *m,
				    struct map_view *v, bool zstd);
/* The end of a telling: what was put together for it is forgotten. */
void map_encode_end(struct map_encoder *e);

const struct text *map_encode_keep_alive(struct map_encoder *e, bool zstd);
/* A PingRequest that is answered by HEAD of @url inside of Noise. */
const struct text *map_encode_ping(struct map_encoder *e, const char *url,
				   bool zstd);

/* Messages made and shared since the start. */
struct map_encoder_stats {
	uint64_t full, delta, shared;
};
struct map_encoder_stats map_encoder_stats(const struct map_encoder *e);

#endif
