/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_LOGIN_H
#define COORD_LOGIN_H

#include "coord/oidc.h"

/*
 * Pending registrations and the people who log in for them: a provider's user
 * becomes one of the model's at the first login, and joins the node with a
 * button that names it. Without the button, whoever can make somebody open an
 * address could join a machine of his own in that person's name.
 *
 * At most LOGIN_CONFIRMS_MAX buttons wait (the oldest makes room), each for
 * LOGIN_CONFIRM_S.
 */
#define LOGIN_CONFIRM_PATH "/oidc/confirm"
#define LOGIN_CONFIRMS_MAX 1000
#define LOGIN_CONFIRM_S 600

struct coord;
struct event_base;
struct http_request;
struct login_desk;

/* NULL with @why as oidc_new(). */
struct login_desk *login_desk_new(struct event_base *base, struct coord *c,
				  const struct oidc_config *config,
				  char why[OIDC_WHY_MAX]);
/* After the transport. NULL is fine. */
void login_desk_free(struct login_desk *d);

/* GET /register/<id> of a registration that waits. */
void login_desk_begin(struct login_desk *d, struct http_request *r,
		      const char *id);
/* GET OIDC_CALLBACK_PATH and POST LOGIN_CONFIRM_PATH. */
void login_desk_callback(struct login_desk *d, struct http_request *r);
void login_desk_confirm(struct login_desk *d, struct http_request *r);

#endif
