/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_AGENT_H
#define ENGINE_AGENT_H

#include <stdbool.h>
#include <stdint.h>

#include "control/control.h"
#include "engine/derps.h"
#include "engine/endpoints.h"
#include "engine/netcheck.h"
#include "engine/netmap.h"
#include "engine/paths.h"
#include "engine/store.h"
#include "kernel/kernel.h"

/*
 * The engine: owns every part and passes what one learns to the others. All of
 * its state is here; LocalAPI reads it and calls the functions below.
 */

struct event;
struct event_base;
struct resolver;
struct udp;
struct relay;

struct agent_config {
	const char *state_dir, *run_dir;
	const char *ifname;
	uint16_t port; /* WireGuard's; 0: any */
	struct settings defaults; /* of what preferences leave unset */
	const char *ca_file; /* extra roots for control, or NULL */
	int kernel_stream, kernel_broker; /* ownership passes to the agent */
};

enum agent_state {
	AGENT_NEEDS_LOGIN,
	AGENT_NEEDS_APPROVAL,
	AGENT_STOPPED,
	AGENT_STARTING, /* no netmap yet */
	AGENT_RUNNING,
};

struct agent {
	struct agent_config config;
	struct event_base *base;
	struct resolver *resolver;
	struct store store;
	struct kernel *kernel;
	struct udp *udp;
	struct relay *relay;
	struct derps *derps;
	struct netcheck *netcheck;
	struct portmapper *portmapper;
	struct paths *paths;
	struct control *control; /* NULL while stopped or logged out */

	/*
	 * The node key in use: on a rotation the old one carries traffic until
	 * a netmap's self has the new one.
	 */
	struct key node_private;
	struct netmap *cached; /* from disk; NULL once control has spoken */
	enum control_state control_state;
	char *control_error; /* "" fine */
	char *kernel_error; /* "" fine */
	char *filter_problem; /* "" fine */
	uint64_t published_disco; /* paths_disco_generation() */
	char *auth_url; /* "" none */

	int wg_link;
	uint16_t wg_port; /* 0: no device that udp shares the port of */
	struct own_endpoint own[ENDPOINTS_MAX];
	size_t n_own;
	struct endpoint_cache endpoint_cache;
	struct interface_addr *interfaces; /* at the last link event */
	int n_interfaces;
	bool netcheck_again; /* asked for while one was under way */

	struct event *periodic; /* 20..26 s while any peer is active */
	struct event *expiry; /* every minute: keys expire by time alone */
	struct event *save; /* writes the netmap a little later */

	struct agent_ping *pings; /* TSMP pings under way */
};

/* NULL: logged. Nothing runs until agent_start(). */
struct agent *agent_new(struct event_base *base,
			const struct agent_config *config);
/* Up if the preferences say so: from the cached netmap first. */
void agent_start(struct agent *a);
void agent_free(struct agent *a);

enum agent_state agent_state(const struct agent *a);
const char *agent_state_name(enum agent_state s); /* as BackendState */
/* The netmap in force, from control or the disk; NULL: none. */
const struct netmap *agent_netmap(const struct agent *a);

/*
 * What the LocalAPI does. Preferences changed: persist and act on it. 0 or a
 * negative errno with @why.
 */
int agent_patch_prefs(struct agent *a, struct json_object *o, bool masked,
		      const char **why);
/* Log in with an auth key, or interactively (NULL: an auth URL will come). */
void agent_login(struct agent *a, const char *auth_key, bool force);
void agent_logout(struct agent *a);
/* Measure the way out now; agent_netmap() regions. */
void agent_netcheck(struct agent *a, bool full);

struct agent_pong {
	struct path_pong path; /* of a disco ping */
	uint64_t latency; /* ns */
	char error[128]; /* "" answered */
};

typedef void (*agent_pong_cb)(void *ctx, const struct agent_pong *pong);

enum agent_ping_type {
	AGENT_PING_DISCO,
	AGENT_PING_TSMP,
};

/*
 * Pings the peer that has @ip. @cb is called once: an answer, or an error after
 * @timeout_ms. Returns a handle for agent_ping_cancel(), NULL with @error set.
 */
struct agent_ping *agent_ping(struct agent *a, const struct ip_addr *ip,
			      enum agent_ping_type type, size_t size,
			      unsigned int timeout_ms, agent_pong_cb cb,
			      void *ctx, const char **error);
void agent_ping_cancel(struct agent_ping *p);

#endif
