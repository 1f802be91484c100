/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_OIDC_PROVIDER_H
#define COORD_OIDC_PROVIDER_H

#include <stdbool.h>

/*
 * What an OpenID provider publishes: its configuration (OpenID Connect
 * Discovery 1.0 section 4) and its signing keys. Fetched when first needed and
 * again when a key is missing, at most once in PROVIDER_AGAIN_S.
 */
#define OIDC_PROVIDER_AGAIN_S 10
#define OIDC_JSON_MAX (256u << 10)
#define OIDC_FETCH_MS 10000

struct fetcher;
struct json_object;
struct oidc_provider;

/* Strings are NULL until the provider is ready. */
struct oidc_endpoints {
	char *authorization, *token;
	char *userinfo; /* or NULL: it has none */
	char *jwks_uri;
	bool secret_in_body; /* client_secret_post, not _basic */
	struct json_object *jwks;
};

/*
 * @ready: a fetch has ended; @why NULL: with everything in place. Never from
 * inside.
 */
struct oidc_provider *oidc_provider_new(struct fetcher *f, const char *issuer,
					const char *ca_file,
					void (*ready)(void *ctx,
						      const char *why),
					void *ctx);
/* Before the fetcher. NULL is fine. */
void oidc_provider_free(struct oidc_provider *p);

/* NULL: not ready. */
const struct oidc_endpoints *oidc_provider_get(const struct oidc_provider *p);
/*
 * Begins a fetch, unless one is running: ready() will be called. False: the
 * last one is too young.
 */
bool oidc_provider_fetch(struct oidc_provider *p);

/* https, or http for this machine's own loopback addresses. */
bool oidc_url_is_safe(const char *url);

#endif
