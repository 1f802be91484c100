/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_COORD_H
#define COORD_COORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/limits.h"
#include "coord/oidc.h"
#include "coord/tailnet.h"

/*
 * The coordination server: transport (http.h), model, policy, and map streams
 * tied together. One event loop, no threads.
 */

struct coord;
struct event_base;
struct http_request;
struct metrics;
struct policy_report;

/* Older clients are refused: what they would need differs too much. */
#define COORD_MIN_VERSION 113

struct coord_config {
	const char *state_dir; /* database and Noise key; exists, is ours */
	const char *server_url; /* as clients know us */
	const char *tls_cert, *tls_key; /* PEM files; NULL: no TLS */
	const char *policy_path; /* or NULL: what `coord policy set` has set */
	const char *derp_map_path; /* or NULL */
	const char *relay; /* HOST[:PORT], without a map; or NULL */
	const char *relay_cert; /* its CertName in the map, or NULL */
	const char *base_domain; /* "" for none */
	const char *nameservers; /* comma-separated; "" */
	struct prefix prefix_v4, prefix_v6; /* family 0: none */
	bool magic_dns;
	int64_t key_expiry_s; /* 0: never */
	unsigned int ephemeral_s;
	struct http_limits limits;
	struct oidc_config oidc; /* issuer NULL: none; not its server_url */
};

/*
 * Opens everything in @config->state_dir. NULL, having logged why. Strings are
 * copied.
 */
struct coord *coord_new(struct event_base *base,
			const struct coord_config *config);
void coord_free(struct coord *c); /* NULL is fine */

/* A port, or a negative errno. @tls: with the configured certificate. */
int coord_listen(struct coord *c, const struct endpoint *at, bool tls);
/* /metrics and /health, for nobody but the operator. */
int coord_listen_local(struct coord *c, const struct endpoint *at);

/*
 * Reads the files again: certificate, policy, DERP map. What is bad is logged,
 * and what was in force stays.
 */
void coord_reload(struct coord *c);
/* No new connections; clients are sent away in good order. */
void coord_drain(struct coord *c);

/* ── for the admin socket ── */

struct model *coord_model(struct coord *c);
const char *coord_server_url(const struct coord *c);
/*
 * Somebody with the right to do so says that @p is @u's. It gets the tags it
 * asks for, which the policy must let @u give. 0; -EPERM if it does not, with
 * the tag in @why; or as model_pending_approve(), whose words are there.
 */
#define COORD_WHY_MAX 256
int coord_approve(struct coord *c, struct pending_node *p, struct coord_user *u,
		  struct coord_node **out, char why[COORD_WHY_MAX]);
/* The DERPMap in force, JSON; "" for none. */
const char *coord_derp_map(const struct coord *c);

/*
 * Checks a policy's text with its tests and, if it is good, stores it and puts
 * it into force. 0; -EINVAL with errors in @report; -EBUSY if the policy is a
 * file's (@config->policy_path); or as model_set_policy().
 */
int coord_set_policy(struct coord *c, const char *text, size_t len,
		     struct policy_report *report);
/* 0 or -EINVAL; nothing changes. */
int coord_check_policy(struct coord *c, const char *text, size_t len,
		       struct policy_report *report);

void coord_metrics(struct coord *c, struct metrics *m);

#endif
