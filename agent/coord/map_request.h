/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_MAP_REQUEST_H
#define COORD_MAP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/addr.h"
#include "lib/key.h"

/* POST /machine/map, decoded (control.md 5.1). Zeroed memory is empty. */

struct json_object;

struct map_request {
	int version;
	struct key key;
	struct key disco; /* zero: not said */
	bool stream, omit_peers, read_only;
	bool zstd;
	struct json_object *hostinfo; /* NULL: not said */
	bool has_endpoints;
	struct endpoint *endpoints;
	size_t n_endpoints;
	uint8_t *endpoint_types; /* n_endpoints, or NULL */
};

/*
 * 0, or -EPROTO with @why naming the field; clear @m either way. Endpoints
 * that cannot be read are left out.
 */
int map_request_decode(struct map_request *m, const char *body, size_t len,
		       const char **why);
void map_request_clear(struct map_request *m);

#endif
