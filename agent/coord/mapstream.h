/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_MAPSTREAM_H
#define COORD_MAPSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/tailnet.h"

/*
 * The streaming map requests: at most one per node, a newer one ends the older.
 * Changes are told together: at once if the last telling is a while ago, else
 * when TELL_GAP_MS have passed since, or four times what that telling took.
 *
 * Memory: a stream that reads too slowly (the transport's limit "backlog") gets
 * no deltas any more, but everything anew once it has read what there is; whole
 * maps wait for each other when more than WHOLE_MAX bytes are on their way.
 */
#define MAPSTREAM_TELL_GAP_MS 50
#define MAPSTREAM_WHOLE_MAX (32u << 20)

struct event_base;
struct http_request;
struct mapstreams;

struct mapstreams_ops {
	/* The node's first stream, or its last, gone without another. */
	void (*connected)(void *ctx, struct member *m);
	void (*disconnected)(void *ctx, struct member *m);
};

struct mapstreams *mapstreams_new(struct event_base *base, struct tailnet *t,
				  const struct mapstreams_ops *ops, void *ctx);
/* After the transport, which has said of every stream that it is gone. */
void mapstreams_free(struct mapstreams *s); /* NULL is fine */

/* Takes over @r and answers it for as long as it lasts. */
void mapstreams_open(struct mapstreams *s, struct member *m,
		     struct http_request *r, bool zstd);
/* Answers @r with everything, once. */
void mapstreams_once(struct mapstreams *s, struct member *m,
		     struct http_request *r, bool zstd);
/* The tailnet has something untold. */
void mapstreams_changed(struct mapstreams *s);
/* The node is being removed: ends its stream, without a word to the ops. */
void mapstreams_gone(struct mapstreams *s, struct member *m);
/* False: there is no stream, or it does not take anything now. */
bool mapstreams_ping(struct mapstreams *s, struct member *m, const char *url);

struct metrics;
void mapstreams_metrics(const struct mapstreams *s, struct metrics *m);

#endif
