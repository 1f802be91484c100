/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_JSON_NET_H
#define LIB_JSON_NET_H

#include "lib/addr.h"
#include "lib/key.h"

/*
 * Keys, prefixes and endpoints in JSON, as the control protocol writes them
 * (spec/control.md 0.1).
 */

struct json_object;

/* Decoders for lib/json.h's tables: struct key, "nodekey:..." */
int json_get_node_key(struct json_object *v, void *out, size_t *n);
/* "discokey:..."; "" leaves the key as it is: some releases write absent so. */
int json_get_disco_key(struct json_object *v, void *out, size_t *n);

/* Lists of strings, an empty one included; caller puts. */
struct json_object *json_from_prefixes(const struct prefix *list, size_t n);
struct json_object *json_from_endpoints(const struct endpoint *list, size_t n);

#endif
