/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_COORD_INTERNAL_H
#define COORD_COORD_INTERNAL_H

#include "coord/coord.h"
#include "coord/http.h"
#include "coord/login.h"
#include "coord/mapstream.h"
#include "coord/model.h"
#include "coord/presence.h"
#include "coord/register.h"
#include "coord/tailnet.h"

/* Shared by coord.c, coord_files.c and handlers.c only. */

struct coord {
	struct event_base *base;
	char *server_url;
	char *tls_cert, *tls_key, *policy_path, *derp_map_path; /* or NULL */
	struct model *model;
	struct tailnet *tailnet;
	struct mapstreams *streams;
	struct presence *presence;
	struct registrar *registrar;
	struct register_config registering;
	struct http_server *http;
	struct login_desk *logins; /* NULL: no provider */
	struct event *tick; /* once a second */
	struct event *approve; /* routes, by the policy */
};

const struct http_route *coord_routes(size_t *n);

/* coord_files.c. 0 or a negative errno, after writing why to the log. */
int coord_start_policy(struct coord *c);
int coord_start_derp_map(struct coord *c, const struct coord_config *config);
int coord_load_tls(struct coord *c);
/* The server's Noise key; made if there is none. */
int coord_load_noise_key(const char *state_dir, struct key *k);

#endif
