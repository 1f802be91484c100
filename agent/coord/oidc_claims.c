// SPDX-License-Identifier: GPL-2.0
#include "coord/oidc_claims.h"

#include <json.h>
#include <string.h>
#include <strings.h>

#include "lib/json.h"

#define CLAIM_MAX 255

void oidc_claims_merge(struct json_object *claims, struct json_object *more)
{
	json_object_object_foreach(more, name, value)
	{
		if (!json_member(claims, name))
			json_object_object_add(claims, name,
					       json_object_get(value));
	}
}

const char *oidc_claim(struct json_object *claims, const char *name)
{
	struct json_object *v = json_member(claims, name);
	const char *text = v ? json_text(v) : NULL;

	return text && strlen(text) <= CLAIM_MAX ? text : "";
}

bool oidc_email_verified(struct json_object *claims)
{
	struct json_object *v = json_member(claims, "email_verified");

	if (json_object_is_type(v, json_type_boolean))
		return json_object_get_boolean(v);
	return !strcmp(oidc_claim(claims, "email_verified"), "true");
}

/* Is @word one of the comma-separated @list? */
static bool listed(const char *list, const char *word, bool nocase)
{
	size_t n = strlen(word);
	const char *p = list, *end;

	for (;; p = end + 1) {
		p += strspn(p, " ");
		end = strchrnul(p, ',');
		if (n && (size_t)(end - p) >= n &&
		    !(nocase ? strncasecmp(p, word, n) : strncmp(p, word, n)) &&
		    strspn(p + n, " ") == (size_t)(end - p) - n)
			return true;
		if (!*end)
			return false;
	}
}

static bool in_groups(struct json_object *claims, const char *groups)
{
	struct json_object *g = json_member(claims, "groups");
	size_t i;

	if (!json_object_is_type(g, json_type_array))
		return listed(groups, oidc_claim(claims, "groups"), false);
	for (i = 0; i < json_object_array_length(g); i++) {
		const char *s = json_text(json_object_array_get_idx(g, i));

		if (s && listed(groups, s, false))
			return true;
	}
	return false;
}

const char *oidc_refusal(struct json_object *claims, const char *domains,
			 const char *users, const char *groups)
{
	const char *email = oidc_claim(claims, "email");
	const char *at = strrchr(email, '@');

	if (domains || users) {
		if (!*email)
			return "the provider tells us no email address, and "
			       "this server admits people by it";
		if (!oidc_email_verified(claims))
			return "the provider has not verified your email "
			       "address";
	}
	if (domains && (!at || !listed(domains, at + 1, true)))
		return "your email address is of a domain that this server "
		       "does not admit";
	if (users && !listed(users, email, true))
		return "your email address is not among those that this "
		       "server admits";
	if (groups && !in_groups(claims, groups))
		return "you are in none of the groups that this server admits";
	return NULL;
}
