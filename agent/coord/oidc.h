/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_OIDC_H
#define COORD_OIDC_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Login by OpenID Connect (OpenID Connect Core 1.0, Discovery 1.0): the
 * authorization code flow with PKCE (RFC 7636, S256). The browser comes to
 * /register/<id>, is sent to the provider, and comes back to
 * OIDC_CALLBACK_PATH; what the provider says then is checked here, and its owner
 * is told who it is.
 *
 * A login is bound to the registration it began with, to the browser (a cookie)
 * and to one use. Bounds: OIDC_LOGINS_MAX unfinished ones (the oldest makes
 * room), OIDC_LOGIN_S of lifetime, OIDC_VISITS_MAX browsers waiting for the
 * provider at once.
 */
#define OIDC_CALLBACK_PATH "/oidc/callback"
#define OIDC_LOGINS_MAX 1000
#define OIDC_LOGIN_S 900
#define OIDC_VISITS_MAX 64

struct event_base;
struct http_request;
struct oidc;

struct oidc_config {
	const char *issuer; /* https; http for a loopback address only */
	const char *client_id;
	const char *client_secret; /* NULL: a public client */
	const char *server_url; /* no '/' at its end */
	const char *scope; /* NULL: "openid profile email" */
	/*
	 * Comma-separated; NULL: no such condition. All that are there must be
	 * met: the domain of the email address, the address itself, one of the
	 * groups (claim "groups"). The first two take a verified address only.
	 */
	const char *allowed_domains, *allowed_users, *allowed_groups;
	const char *ca_file; /* roots, NULL: the system's */
};

/* Who somebody is. Nothing is NULL; what the provider does not say is "". */
struct oidc_identity {
	const char *issuer, *subject; /* together they never change hands */
	const char *email; /* verified, or "" */
	const char *username; /* preferred_username */
	const char *display_name; /* name */
};

struct oidc_ops {
	/* @id: what oidc_login() had. Answers @r, which is a browser's. */
	void (*identified)(void *ctx, struct http_request *r, const char *id,
			   const struct oidc_identity *who);
};

/* Copies @config; NULL with @why in one line if it makes no sense. */
#define OIDC_WHY_MAX 256
struct oidc *oidc_new(struct event_base *base, const struct oidc_config *config,
		      const struct oidc_ops *ops, void *ctx,
		      char why[OIDC_WHY_MAX]);
/* After the transport. NULL is fine. */
void oidc_free(struct oidc *o);

/*
 * Answers @r, a browser that wants to log in for registration @id, with the way
 * to the provider; or with what is wrong, in words for people. Perhaps later.
 */
void oidc_login(struct oidc *o, struct http_request *r, const char *id);

/* For the handler of GET OIDC_CALLBACK_PATH. */
void oidc_callback(struct oidc *o, struct http_request *r);

#endif
