// SPDX-License-Identifier: GPL-2.0
/*
 * Messages, one a line, on a netmap that has begun well: whatever is accepted
 * must survive the disk cache, whatever is refused must leave no trace.
 */
#include <json.h>
#include <stdlib.h>
#include <string.h>

#include "engine/netmap.h"
#include "lib/json.h"
#include "lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW 1787400000

static const char first[] =
	"{\"Node\":{\"ID\":7,\"Key\":\"nodekey:11111111111111111111111111111111"
	"11111111111111111111111111111111\",\"Addresses\":[\"100.64.0.7/32\"]},"
	"\"Peers\":[{\"ID\":9,\"Key\":\"nodekey:2222222222222222222222222222222"
	"222222222222222222222222222222222\",\"Addresses\":[\"100.64.0.9/32\"]"
	"}],\"PacketFilter\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":[{\"IP\":\"*\","
	"\"Ports\":{\"First\":1,\"Last\":2}}]}]}";

static int apply(struct netmap *nm, const char *text, size_t n, bool is_first)
{
	struct json_object *o = json_parse(text, n);
	const char *why = NULL;
	int r = netmap_apply(nm, o, is_first, NOW, &why);

	json_object_put(o);
	if (r < 0 && !why)
		abort();
	return r;
}

static char *text_of(const struct netmap *nm)
{
	struct json_object *o = netmap_to_json(nm);
	char *text = xstrdup(json_object_to_json_string(o));

	json_object_put(o);
	return text;
}

static void check_index(const struct netmap *nm)
{
	struct node *n, *tmp;
	size_t i;

	HASH_ITER(hh, nm->peers, n, tmp)
	{
		if (netmap_peer_by_key(nm, &n->key) != n)
			abort();
		for (i = 0; i < n->n_addresses; i++)
			if (!netmap_peer_by_addr(nm, &n->addresses[i].ip))
				abort();
	}
	if (HASH_CNT(hh_key, nm->by_key) != HASH_COUNT(nm->peers))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct netmap *nm = netmap_new(), *copy = netmap_new();
	const char *p = (const char *)data, *end = p + size, *eol;
	char *before, *after;

	if (apply(nm, first, sizeof(first) - 1, true) < 0)
		abort();
	for (; p < end; p = eol + 1) {
		eol = memchr(p, '\n', (size_t)(end - p));
		if (!eol)
			eol = end;
		before = text_of(nm);
		if (apply(nm, p, (size_t)(eol - p), false) < 0) {
			after = text_of(nm);
			if (strcmp(before, after))
				abort();
			free(after);
		}
		free(before);
		check_index(nm);
	}
	before = text_of(nm);
	if (apply(copy, before, strlen(before), true) < 0)
		abort();
	after = text_of(copy);
	if (strlen(before) != strlen(after) ||
	    nm->filter_invalid != copy->filter_invalid)
		abort();
	free(before);
	free(after);
	netmap_free(nm);
	netmap_free(copy);
	return 0;
}
