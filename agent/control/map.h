/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CONTROL_MAP_H
#define CONTROL_MAP_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/control.h"

/* POST /machine/map (control.md 5.1 to 5.3). */

struct json_object;

enum map_kind {
	MAP_STREAM, /* the long poll */
	MAP_UPDATE, /* stores our side, leaves the poll alone */
	/* Not sent: the text by which two states of ourselves are compared. */
	MAP_COMPARE,
};

/* The body, malloced. Both kinds carry all there is to say about us. */
char *map_encode(enum map_kind kind, const struct key *node_public,
		 const struct control_self *self);

/*
 * Cuts the stream's body into messages: size (32 bits, LITTLE endian) and
 * that many bytes of JSON or of one zstd frame. Holds no message as text;
 * MAP_MESSAGE_MAX bounds both the frame and what comes out of it.
 */
#define MAP_MESSAGE_MAX (64u << 20)

struct map_reader;

/*
 * @message borrows @msg. It returns false to stop: what follows is then left
 * unread.
 */
struct map_reader *
map_reader_new(bool (*message)(void *ctx, struct json_object *msg), void *ctx);
void map_reader_free(struct map_reader *r);
/*
 * Returns the number of bytes taken: @n, or fewer if @message stopped it.
 * -EPROTO or -EMSGSIZE with @why: the stream is unusable.
 */
ssize_t map_reader_feed(struct map_reader *r, const uint8_t *in, size_t n,
			const char **why);

#endif
