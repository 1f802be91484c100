/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_OIDC_VISIT_H
#define COORD_OIDC_VISIT_H

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "coord/oidc.h"

/* Browsers on their way to the provider and back; for coord/oidc*.c only. */

struct http_request;

/* 32 random bytes in base64url; also the form of a PKCE challenge. */
#define TOKEN_LEN 43

/* A browser that was sent to the provider. */
struct oidc_login {
	char state[TOKEN_LEN + 1], nonce[TOKEN_LEN + 1];
	char verifier[TOKEN_LEN + 1], cookie[TOKEN_LEN + 1];
	char *id;
	uint64_t created;
	UT_hash_handle hh;
};

/* A browser that waits for us while we talk to the provider. */
struct oidc_visit {
	struct oidc *o;
	struct http_request *r;
	bool waiting; /* for the provider's configuration and keys */
	void (*go_on)(struct oidc_visit *v);
	char *id;
	struct oidc_login *login; /* of a callback */
	char *code, *id_token, *access_token;
	struct json_object *claims;
	bool refreshed; /* the keys, once */
	struct fetch *fetch;
	struct oidc_visit *prev, *next;
};

struct oidc {
	char *issuer, *client_id, *client_secret, *redirect_url, *scope;
	char *allowed_domains, *allowed_users, *allowed_groups, *ca_file;
	bool https; /* our own address */
	struct oidc_ops ops;
	void *ctx;
	struct fetcher *fetcher;
	struct oidc_provider *provider;
	struct oidc_login *logins; /* by state, the oldest first */
	struct oidc_visit *visits;
	size_t n_visits;
};

/* At most OIDC_LOGINS_MAX, each for OIDC_LOGIN_S: the oldest makes room. */
struct oidc_login *oidc_login_new(struct oidc *o, const char *id);
void oidc_login_free(struct oidc_login *l); /* out of the table; NULL is fine */
void oidc_logins_prune(struct oidc *o);

/* NULL after answering @r: there are OIDC_VISITS_MAX. Ends with @r. */
struct oidc_visit *oidc_visit_new(struct oidc *o, struct http_request *r);
void oidc_visit_free(struct oidc_visit *v);
/* Ends the visit; its request is for the caller to answer. */
struct http_request *oidc_visit_take(struct oidc_visit *v);
/* Calls @go_on when the provider's configuration is there, or answers. */
void oidc_visit_wait(struct oidc_visit *v, void (*go_on)(struct oidc_visit *v));
/* The provider's news for all that wait; @ctx is the struct oidc. */
void oidc_visits_go_on(void *ctx, const char *why);

/* Wipes and frees; NULL is fine. */
void oidc_wipe(char *s);

#endif
