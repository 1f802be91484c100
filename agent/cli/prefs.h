/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_PREFS_H
#define CLI_PREFS_H

#include "cli/flags.h"

struct json_object;

/* The flags that are preferences, as `up`, `login` and `set` share them. */
struct pref_flags {
	const char *login_server, *hostname, *routes, *tags;
	bool accept_routes, shields_up;
	bool strict;
	unsigned long max_stale, flow_table, flow_records;
};

#define PREF_FLAGS(p)                                                        \
	{ "login-server", FLAG_TEXT, &(p)->login_server,                     \
	  "URL of the control server", false },                              \
	{ "hostname", FLAG_TEXT, &(p)->hostname,                     \
	  "name to use instead of the host's", false },              \
	{ "advertise-routes", FLAG_TEXT, &(p)->routes,               \
	  "subnets to route for others, comma-separated", false },   \
	{ "advertise-tags", FLAG_TEXT, &(p)->tags,                   \
	  "tags to ask for, comma-separated (tag:name)", false },    \
	{ "accept-routes", FLAG_BOOL, &(p)->accept_routes,           \
	  "use the subnets that others route for", false },          \
	{ "shields-up", FLAG_BOOL, &(p)->shields_up,                 \
	  "accept no inbound connections", false },                  \
	{ "strict", FLAG_BOOL, &(p)->strict,                         \
	  "a policy that revokes cuts what flows already", false },  \
	{ "max-stale", FLAG_LIFETIME, &(p)->max_stale,               \
	  "drop all after that long without an agent, 0: never",     \
	  false },                                                   \
	{ "flow-table", FLAG_NUMBER, &(p)->flow_table,               \
	  "flows the filter can hold, 0: the default", false },      \
	{ "flow-records", FLAG_LIFETIME, &(p)->flow_records,         \
	  "report each flow that often, 0: not at all", false }
#define PREF_FLAGS_COUNT 10

/*
 * Whether what was given in the first PREF_FLAGS_COUNT of @flags is what the
 * agent takes; else 1 after having said what it takes.
 */
int pref_flags_check(const struct flag *flags);

/*
 * Adds what was given in the first PREF_FLAGS_COUNT of @flags to @prefs, in
 * the LocalAPI's names; with @masked the "<Field>Set" members too. Returns how
 * many were given.
 */
int pref_flags_apply(const struct flag *flags, const struct pref_flags *p,
		     struct json_object *prefs, bool masked);

#endif
