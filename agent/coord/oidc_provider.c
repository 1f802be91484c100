// SPDX-License-Identifier: GPL-2.0
#include "coord/oidc_provider.h"

#include <json.h>
#include <stdio.h>
#include <string.h>

#include "control/url.h"
#include "lib/addr.h"
#include "lib/fetch.h"
#include "lib/json.h"
#include "lib/util.h"

#define WHY_MAX 256

struct oidc_provider {
	struct fetcher *fetcher;
	char *issuer, *ca_file;
	void (*ready)(void *ctx, const char *why);
	void *ctx;
	struct fetch *fetch;
	uint64_t began; /* the last fetch; 0: never */
	struct oidc_endpoints now, next; /* @next while fetching */
};

bool oidc_url_is_safe(const char *text)
{
	struct ip_addr ip;
	struct url u;

	if (url_parse(&u, text))
		return false;
	if (u.https)
		return true;
	return !strcmp(u.host, "localhost") ||
	       (!ip_parse(&ip, u.host) && ip_is_loopback(&ip));
}

static void clear(struct oidc_endpoints *e)
{
	free(e->authorization);
	free(e->token);
	free(e->userinfo);
	free(e->jwks_uri);
	json_object_put(e->jwks);
	*e = (struct oidc_endpoints){ 0 };
}

static void finish(struct oidc_provider *p, const char *why)
{
	char line[3 * WHY_MAX];

	if (why) {
		snprintf(line, sizeof(line), "%s: %s", p->issuer, why);
		why = line;
		/* A refresh that fails leaves what there is. */
		clear(&p->next);
	} else {
		clear(&p->now);
		p->now = p->next;
		p->next = (struct oidc_endpoints){ 0 };
	}
	p->ready(p->ctx, why);
}

static void get(struct oidc_provider *p, const char *url,
		void (*done)(void *ctx, int status, const char *body,
			     size_t len, const char *why))
{
	struct fetch_request q = {
		.url = url,
		.ca_file = p->ca_file,
		.timeout_ms = OIDC_FETCH_MS,
		.max = OIDC_JSON_MAX,
	};

	p->fetch = fetch_start(p->fetcher, &q, done, p);
}

/* An object, or NULL having called finish(). */
static struct json_object *object(struct oidc_provider *p, const char *what,
				  int status, const char *body, size_t len,
				  const char *why)
{
	struct json_object *o;
	char line[2 * WHY_MAX];

	if (status != 200) {
		if (status)
			snprintf(line, sizeof(line), "%s: HTTP status %d", what,
				 status);
		else
			snprintf(line, sizeof(line), "%s: %s", what, why);
		finish(p, line);
		return NULL;
	}
	o = json_parse(body, len);
	if (json_object_is_type(o, json_type_object))
		return o;
	json_object_put(o);
	snprintf(line, sizeof(line), "%s: the answer is no JSON object", what);
	finish(p, line);
	return NULL;
}

static void on_keys(void *ctx, int status, const char *body, size_t len,
		    const char *why)
{
	struct oidc_provider *p = ctx;

	p->fetch = NULL;
	p->next.jwks = object(p, "signing keys", status, body, len, why);
	if (p->next.jwks)
		finish(p, NULL);
}

static bool lists(struct json_object *o, const char *name, const char *want)
{
	struct json_object *list = json_member(o, name);
	size_t i;

	if (!json_object_is_type(list, json_type_array))
		return false;
	for (i = 0; i < json_object_array_length(list); i++) {
		const char *s = json_text(json_object_array_get_idx(list, i));

		if (s && !strcmp(s, want))
			return true;
	}
	return false;
}

static char *endpoint(struct json_object *o, const char *name)
{
	struct json_object *v = json_member(o, name);
	const char *text = v ? json_text(v) : NULL;

	return text && oidc_url_is_safe(text) ? xstrdup(text) : NULL;
}

static const char *read_configuration(struct oidc_provider *p,
				      struct json_object *o)
{
	static const char methods[] = "token_endpoint_auth_methods_supported";
	struct json_object *v = json_member(o, "issuer");
	const char *issuer = v ? json_text(v) : NULL;

	if (!issuer || strcmp(issuer, p->issuer) != 0)
		return "the provider calls itself by another issuer: take its "
		       "exact spelling";
	p->next.authorization = endpoint(o, "authorization_endpoint");
	p->next.token = endpoint(o, "token_endpoint");
	p->next.userinfo = endpoint(o, "userinfo_endpoint");
	p->next.jwks_uri = endpoint(o, "jwks_uri");
	if (!p->next.authorization || !p->next.token || !p->next.jwks_uri)
		return "the provider's configuration lacks an endpoint (or one "
		       "is not https)";
	p->next.secret_in_body = !lists(o, methods, "client_secret_basic") &&
				 lists(o, methods, "client_secret_post");
	return NULL;
}

static void on_configuration(void *ctx, int status, const char *body,
			     size_t len, const char *why)
{
	struct oidc_provider *p = ctx;
	struct json_object *o;

	p->fetch = NULL;
	o = object(p, "configuration", status, body, len, why);
	if (!o)
		return;
	why = read_configuration(p, o);
	json_object_put(o);
	if (why)
		finish(p, why);
	else
		get(p, p->next.jwks_uri, on_keys);
}

bool oidc_provider_fetch(struct oidc_provider *p)
{
	char url[URL_HOST_MAX + URL_PATH_MAX];
	size_t n = strlen(p->issuer);

	if (p->fetch)
		return true;
	if (p->began && now_ns() - p->began < OIDC_PROVIDER_AGAIN_S * SEC_NS)
		return false;
	p->began = now_ns();
	snprintf(url, sizeof(url), "%.*s/.well-known/openid-configuration",
		 (int)(p->issuer[n - 1] == '/' ? n - 1 : n), p->issuer);
	get(p, url, on_configuration);
	return true;
}

const struct oidc_endpoints *oidc_provider_get(const struct oidc_provider *p)
{
	return p->now.jwks ? &p->now : NULL;
}

struct oidc_provider *oidc_provider_new(struct fetcher *f, const char *issuer,
					const char *ca_file,
					void (*ready)(void *ctx,
						      const char *why),
					void *ctx)
{
	struct oidc_provider *p = xcalloc(1, sizeof(*p));

	p->fetcher = f;
	p->issuer = xstrdup(issuer);
	p->ca_file = xstrdup(ca_file);
	p->ready = ready;
	p->ctx = ctx;
	return p;
}

void oidc_provider_free(struct oidc_provider *p)
{
	if (!p)
		return;
	fetch_cancel(p->fetch);
	clear(&p->now);
	clear(&p->next);
	free(p->issuer);
	free(p->ca_file);
	free(p);
}
