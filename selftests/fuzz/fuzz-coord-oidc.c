// SPDX-License-Identifier: GPL-2.0
/*
 * What a provider answers: a JWK Set, a zero byte, an ID token. Nobody can make
 * one that is taken. The rest are claims, if they are JSON.
 */
#include <json.h>
#include <stdlib.h>
#include <string.h>

#include "coord/oidc_claims.h"
#include "coord/oidc_token.h"
#include "lib/json.h"
#include "lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void claims(const char *text, size_t n)
{
	struct json_object *o = json_parse(text, n), *more;

	if (json_object_is_type(o, json_type_object)) {
		more = json_object_new_object();
		oidc_claims_merge(more, o);
		if (strlen(oidc_claim(more, "email")) > 255)
			abort();
		oidc_email_verified(more);
		oidc_refusal(more, "example.com", NULL, "ops");
		oidc_refusal(more, NULL, "a@b", NULL);
		json_object_put(more);
	}
	json_object_put(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct oidc_expect e = { "https://i", "me", "n", 1000000 };
	char *text = xmalloc(size + 1), *zero;
	struct json_object *keys, *got = NULL;
	const char *why = NULL;

	memcpy(text, data, size);
	text[size] = '\0';
	zero = memchr(text, '\0', size);
	if (!zero) {
		claims(text, size);
	} else {
		keys = json_parse(text, (size_t)(zero - text));
		if (json_object_is_type(keys, json_type_object) &&
		    (!oidc_token_verify(zero + 1, keys, &e, &got, &why) ||
		     !why || got))
			abort();
		json_object_put(keys);
	}
	free(text);
	return 0;
}
