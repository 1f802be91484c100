/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_OIDC_CLAIMS_H
#define COORD_OIDC_CLAIMS_H

#include <stdbool.h>

/*
 * What a provider says about somebody (OpenID Connect Core 1.0 section 5.1):
 * the claims of the ID token, completed by those of the userinfo endpoint.
 */
struct json_object;

/* Adds what @more has and @claims lacks. */
void oidc_claims_merge(struct json_object *claims, struct json_object *more);

/* A string claim, "" if it is absent or over 255 bytes. */
const char *oidc_claim(struct json_object *claims, const char *name);
/* Some providers say "true" as a string. */
bool oidc_email_verified(struct json_object *claims);

/*
 * Are all conditions met that there are (oidc_config)? NULL if so, else one
 * sentence for the person.
 */
const char *oidc_refusal(struct json_object *claims, const char *domains,
			 const char *users, const char *groups);

#endif
