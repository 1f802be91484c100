/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_OIDC_TOKEN_H
#define COORD_OIDC_TOKEN_H

#include <stdint.h>

/*
 * ID tokens (OpenID Connect Core 1.0 section 2): a JWS in compact form
 * (RFC 7515), signed with RS256 or ES256 by a key of the provider's JWK Set
 * (RFC 7517). Sans-IO.
 */
struct json_object;

struct oidc_expect {
	const char *issuer, *client_id, *nonce;
	int64_t now; /* Unix seconds; a minute of difference is forgiven */
};

/*
 * Checks signature and claims (3.1.3.7). 0 with *@claims, which the caller
 * puts; -ENOKEY if @jwks has no key for it; -EBADMSG if it is malformed or
 * forged; -EPERM if its claims are not for us or not now. @why in a few words.
 */
int oidc_token_verify(const char *token, struct json_object *jwks,
		      const struct oidc_expect *e, struct json_object **claims,
		      const char **why);

#endif
