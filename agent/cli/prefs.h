/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_PREFS_H
#define CLI_PREFS_H

#include <stdint.h>

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

/* Their names in the LocalAPI. */
extern const char *const pref_names[PREF_FLAGS_COUNT];

/* Flags that scripts give to these three for what is not here. */
extern const struct flag_only only_no_dns, only_no_ssh, only_no_exit_node,
	only_no_exit, only_no_lan, only_no_connector, only_no_snat,
	only_no_netfilter, only_no_stateful, only_no_operator, only_no_posture,
	only_no_update, only_no_web;

#define ONLY(name, which)                                                  \
	{ name, FLAG_ONLY, (void *)(uintptr_t)&only_##which, NULL, false }
#define ONLY_FLAGS                                                         \
	ONLY("accept-dns", no_dns), ONLY("ssh", no_ssh),                    \
	ONLY("exit-node", no_exit_node),                                    \
	ONLY("advertise-exit-node", no_exit),                               \
	ONLY("exit-node-allow-lan-access", no_lan),                         \
	ONLY("advertise-connector", no_connector),                          \
	ONLY("snat-subnet-routes", no_snat),                                \
	ONLY("netfilter-mode", no_netfilter),                               \
	ONLY("stateful-filtering", no_stateful),                            \
	ONLY("operator", no_operator), ONLY("report-posture", no_posture),  \
	{ "accept-risk", FLAG_IGNORED, NULL, NULL, false }

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
