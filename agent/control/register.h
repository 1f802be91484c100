/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CONTROL_REGISTER_H
#define CONTROL_REGISTER_H

#include "control/control.h"

/* POST /machine/register (control.md 4.1, 4.2). */

struct register_request {
	const struct key *node_public;
	const struct key *old_node_public; /* may be zero */
	const char *auth_key;		   /* or NULL; "--TL..." is cut off */
	const char *followup;		   /* the AuthURL to wait for, or "" */
	bool ephemeral;
	bool logout; /* an expiry in the past */
	const struct control_self *self;
};

/* The body, malloced; it may hold the auth key: wipe it. */
char *register_encode(const struct register_request *req);

/* In the order in which they count; the first that is set decides. */
struct register_response {
	char *error;
	bool wants_signature; /* tailnet lock */
	bool node_key_expired;
	char *auth_url; /* http or https, checked; "" none */
	bool machine_authorized;
};

/* 0 or -EPROTO; @r is to be cleared either way. */
int register_decode(struct register_response *r, const char *body, size_t len,
		    const char **why);
void register_response_clear(struct register_response *r);

#endif
