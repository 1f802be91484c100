/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_DESIRED_H
#define ENGINE_DESIRED_H

#include <stdint.h>

#include "engine/netmap.h"
#include "engine/paths.h"
#include "engine/prefs.h"
#include "kernel/kernel.h"

/*
 * What the kernel should look like, from the netmap and the preferences: peers
 * with their allowed IPs, routes, the packet filter (spec/control.md 7). A pure
 * function; memory of the result belongs to the struct.
 */
struct desired_cap {
	const char *name; /* within the netmap */
	uint32_t id; /* follows from the name */
};

struct desired {
	struct kernel_state state;
	struct desired_cap *caps; /* that rules name, sorted by it */
	size_t n_caps;
	const char *filter_problem; /* why everything is blocked, or NULL */
};

struct desired_input {
	const struct netmap *netmap;
	const struct prefs *prefs;
	const struct settings *defaults; /* of what prefs leave unset */
	const struct paths *paths; /* gives peers their ids */
	const char *ifname;
	const struct key *node_private;
	uint16_t port;
	int64_t unix_now;
};

void desired_build(struct desired *d, const struct desired_input *in);
void desired_uninit(struct desired *d);

#endif
