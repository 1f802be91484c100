/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/netmap.h"
#include "lib/addr.h"
#include "lib/key.h"

/*
 * The session with a control server (spec/control.md): server key, Noise,
 * HTTP/2, registration, the map stream and lite updates, with retries for
 * ever. One object per profile. All callbacks run from the event loop. The
 * process must ignore SIGPIPE.
 */

struct event_base;
struct evdns_base;
struct control;

#define CONTROL_CAPABILITY_VERSION 116

/* What the other side is told about us: Hostinfo, endpoints, NetInfo. */
struct control_self {
	char *hostname;
	char *os_version, *distro, *distro_version, *distro_codename, *machine;
	struct prefix *routes; /* advertised, sorted, no duplicates */
	size_t n_routes;
	char **tags;
	size_t n_tags;
	bool shields_up;
	struct endpoint *endpoints;
	uint8_t *endpoint_types; /* control.md 5.1: 1 local, 2 STUN, ... */
	size_t n_endpoints;
	struct key disco_public;
	/* NetInfo; -1 unset, 0, 1 for the optional ones. */
	int preferred_derp;
	int mapping_varies, working_ipv6, os_has_ipv6, working_udp;
	int upnp, pmp, pcp;
	bool have_port_map;
	struct {
		char name[16]; /* "<region>-v4" */
		double seconds;
	} derp_latency[64];
	size_t n_derp_latency;
};

enum control_state {
	CONTROL_STOPPED,
	CONTROL_CONNECTING,  /* no session; error text says why after a failure
			      */
	CONTROL_NEEDS_LOGIN, /* auth URL pending, or an auth key was refused */
	CONTROL_NEEDS_APPROVAL, /* MachineAuthorized false */
	CONTROL_STREAMING,	/* map stream established */
};

struct control_ops {
	/* State changed; @error "" or one line for people. */
	void (*state)(void *ctx, enum control_state s, const char *error);
	/* Show this URL (http or https, checked) to the user; "" to withdraw.
	 */
	void (*auth_url)(void *ctx, const char *url);
	/*
	 * The node key is about to be registered, or was forgotten (zero):
	 * persist before returning. A negative errno stops the login. When a
	 * key is rotated, the old one carries traffic until a netmap's self
	 * has the new one; a rotation that is not needed any more ends with
	 * this call for the old key.
	 */
	int (*node_key)(void *ctx, const struct key *node_private,
			const struct key *old_node_private);
	/*
	 * A message was applied, or a key in it has expired. @nm stays owned
	 * by control, valid until the next callback; after a reconnect this
	 * fires first when the first full message is in.
	 */
	void (*netmap)(void *ctx, const struct netmap *nm,
		       unsigned int changed);
	/*
	 * control_logout() is done. A node that control has forgotten is not
	 * logged out: it registers again with the key it has, and needs a
	 * login (state, auth_url) if control wants one.
	 */
	void (*logged_out)(void *ctx);
	/*
	 * A TCP socket for @family (AF_INET, AF_INET6) carrying the bypass
	 * mark, non-blocking, owned by the caller; negative errno.
	 */
	int (*tcp_socket)(void *ctx, int family);
};

struct control_config {
	const char *server_url;
	const char *ca_file; /* extra roots, or NULL */
	struct key machine_private;
	struct key node_private; /* zero: none yet */
	struct key old_node_private;
	const char *auth_key; /* NULL; copied, wiped on use */
	bool ephemeral;
};

/*
 * NULL, and a line in the log, for a @server_url that is no http or https URL
 * or a @ca_file that cannot be read. @config is copied, @ops
 * is not. @dns NULL: address literals only.
 */
struct control *control_new(struct event_base *base, struct evdns_base *dns,
			    const struct control_config *config,
			    const struct control_ops *ops, void *ctx);
/*
 * Cancels everything, wipes keys, frees. No callback after this. Not from
 * inside of a callback; everything else may be called from there.
 */
void control_free(struct control *c);

/* Begins or resumes: register, then stream. */
void control_start(struct control *c);
/* Interactive login or a new auth key; @force rotates the node key. */
void control_login(struct control *c, const char *auth_key, bool force);
/* Registers with a past expiry; @logged_out fires when done or after 10 s. */
void control_logout(struct control *c);
/*
 * Copies @self; when anything but latencies differs from what control has,
 * one lite update goes out, one in flight, coalesced.
 */
void control_set_self(struct control *c, const struct control_self *self);
/* The link changed: drop the connection and reconnect at once. */
void control_link_changed(struct control *c);

enum control_state control_get_state(const struct control *c);
const struct netmap *control_netmap(const struct control *c); /* or NULL */

#endif
