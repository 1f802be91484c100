/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_STORE_H
#define ENGINE_STORE_H

#include <stdbool.h>

#include "engine/prefs.h"
#include "lib/key.h"

/*
 * What outlives the process. In the state directory, 0700: tailrace.state
 * (keys, preferences) and netmap.json (the last netmap, for a boot without
 * control). In the runtime directory, which a reboot empties: the disco key,
 * so that peers don't notice a restarted agent.
 */

struct json_object;

struct store {
	char *state_dir, *run_dir;
	struct key machine_private; /* made at the first start */
	struct key node_private, old_node_private; /* zero: none */
	struct key disco_private;
	struct prefs prefs;
	/*
	 * A damaged file was found and kept under this name; NULL: none. For
	 * people: the node starts as a new one.
	 */
	char *damaged;
};

/*
 * Reads or makes all of it. A damaged file is renamed to *.damaged-<time>,
 * reported and replaced by a new one. 0 or a negative errno (directory not
 * usable), logged.
 */
int store_open(struct store *s, const char *state_dir, const char *run_dir);
void store_close(struct store *s); /* wipes */
/* Keys and preferences to disk. 0 or a negative errno, logged. */
int store_save(const struct store *s);
/* Like logging out: no node key; machine key and preferences stay. */
int store_forget_node(struct store *s);

int store_save_netmap(const struct store *s, struct json_object *netmap);
/* NULL when there is none, or it is damaged (kept aside). Caller puts it. */
struct json_object *store_load_netmap(struct store *s);
void store_forget_netmap(const struct store *s);

#endif
