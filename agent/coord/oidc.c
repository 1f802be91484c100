// SPDX-License-Identifier: GPL-2.0
#include "coord/oidc.h"

#include <curl/curl.h>
#include <errno.h>
#include <event2/event.h>
#include <json.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <uthash.h>
#include <utlist.h>

#include "coord/http.h"
#include "coord/oidc_claims.h"
#include "coord/oidc_provider.h"
#include "coord/oidc_token.h"
#include "coord/oidc_visit.h"
#include "coord/page.h"
#include "coord/text.h"
#include "lib/fetch.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/util.h"

#define COOKIE "tailrace_oidc_"
/* Of the state, to tell the cookies of several logins apart. */
#define COOKIE_STATE 8
#define CODE_MAX 4096
#define CONNECTIONS 4

/* ── to the provider ────────────────────────────────────────────────────── */

static void add_param(struct text *t, const char *name, const char *value)
{
	char *escaped = curl_easy_escape(NULL, value, (int)strlen(value));

	text_printf(t, "%s%s=%s", t->len ? "&" : "", name, escaped);
	curl_free(escaped);
}

/* base64url(SHA-256(verifier)), RFC 7636 4.2. */
static void challenge(const char *verifier, char out[TOKEN_LEN + 1])
{
	uint8_t hash[crypto_hash_sha256_BYTES];

	crypto_hash_sha256(hash, (const uint8_t *)verifier, strlen(verifier));
	sodium_bin2base64(out, TOKEN_LEN + 1, hash, sizeof(hash),
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

static void redirect(struct oidc *o, struct http_request *r, const char *id)
{
	const struct oidc_endpoints *e = oidc_provider_get(o->provider);
	struct oidc_login *l = oidc_login_new(o, id);
	struct text query = { 0 }, url = { 0 };
	char code[TOKEN_LEN + 1], cookie[256];

	challenge(l->verifier, code);
	add_param(&query, "response_type", "code");
	add_param(&query, "client_id", o->client_id);
	add_param(&query, "redirect_uri", o->redirect_url);
	add_param(&query, "scope", o->scope);
	add_param(&query, "state", l->state);
	add_param(&query, "nonce", l->nonce);
	add_param(&query, "code_challenge", code);
	add_param(&query, "code_challenge_method", "S256");
	text_printf(&url, "%s%c%s", e->authorization,
		    strchr(e->authorization, '?') ? '&' : '?', query.s);
	snprintf(cookie, sizeof(cookie),
		 COOKIE "%.*s=%s; Path=" OIDC_CALLBACK_PATH "; Max-Age=%d; "
			"HttpOnly; SameSite=Lax%s",
		 COOKIE_STATE, l->state, l->cookie, OIDC_LOGIN_S,
		 o->https ? "; Secure" : "");
	http_header_add(r, "Location", url.s);
	http_header_add(r, "Set-Cookie", cookie);
	http_header_add(r, "Cache-Control", "no-store");
	http_reply_text(r, 302, "to the login provider");
	text_clear(&query);
	text_clear(&url);
}

static void redirect_visit(struct oidc_visit *v)
{
	struct oidc *o = v->o;
	char *id = v->id;

	v->id = NULL;
	redirect(o, oidc_visit_take(v), id);
	free(id);
}

void oidc_login(struct oidc *o, struct http_request *r, const char *id)
{
	struct oidc_visit *v;

	if (oidc_provider_get(o->provider)) {
		redirect(o, r, id);
		return;
	}
	v = oidc_visit_new(o, r);
	if (!v)
		return;
	v->id = xstrdup(id);
	oidc_visit_wait(v, redirect_visit);
}

/* ── back from the provider ─────────────────────────────────────────────── */

static void admit(struct oidc_visit *v)
{
	struct json_object *claims = json_object_get(v->claims);
	struct oidc *o = v->o;
	const char *no = oidc_refusal(claims, o->allowed_domains,
				      o->allowed_users, o->allowed_groups);
	struct oidc_identity who = {
		.issuer = o->issuer,
		.subject = oidc_claim(claims, "sub"),
		.email = oidc_email_verified(claims) ?
				 oidc_claim(claims, "email") : "",
		.username = oidc_claim(claims, "preferred_username"),
		.display_name = oidc_claim(claims, "name"),
	};
	char *id = xstrdup(v->login->id);
	struct http_request *r = oidc_visit_take(v);

	if (no)
		page_sorry(r, 403, "%s", no);
	else
		o->ops.identified(o->ctx, r, id, &who);
	free(id);
	json_object_put(claims);
}

static void on_userinfo(void *ctx, int status, const char *body, size_t len,
			const char *why)
{
	struct oidc_visit *v = ctx;
	struct json_object *o;
	const char *subject;

	v->fetch = NULL;
	o = status == 200 ? json_parse(body, len) : NULL;
	if (!json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		page_sorry(oidc_visit_take(v), 502,
			   "the login provider says nothing about you: %s",
			   status ? "a bad answer" : why);
		return;
	}
	/* 5.3.2: it may be about somebody else. */
	subject = oidc_claim(o, "sub");
	if (strcmp(subject, oidc_claim(v->claims, "sub")) != 0) {
		json_object_put(o);
		page_sorry(oidc_visit_take(v), 502,
			   "the login provider mixes up two people");
		return;
	}
	oidc_claims_merge(v->claims, o);
	json_object_put(o);
	admit(v);
}

static void ask_userinfo(struct oidc_visit *v)
{
	const struct oidc_endpoints *e = oidc_provider_get(v->o->provider);
	struct fetch_request q = {
		.ca_file = v->o->ca_file,
		.timeout_ms = OIDC_FETCH_MS,
		.max = OIDC_JSON_MAX,
	};
	struct text bearer = { 0 };

	if (!e->userinfo || !v->access_token) {
		admit(v);
		return;
	}
	text_printf(&bearer, "Bearer %s", v->access_token);
	q.url = e->userinfo;
	q.authorization = bearer.s;
	v->fetch = fetch_start(v->o->fetcher, &q, on_userinfo, v);
	sodium_memzero(bearer.s, bearer.len);
	text_clear(&bearer);
}

static void verify(struct oidc_visit *v)
{
	const struct oidc_endpoints *e = oidc_provider_get(v->o->provider);
	struct oidc_expect expect = {
		.issuer = v->o->issuer,
		.client_id = v->o->client_id,
		.nonce = v->login->nonce,
		.now = time(NULL),
	};
	const char *why;
	int err;

	err = oidc_token_verify(v->id_token, e->jwks, &expect, &v->claims,
				&why);
	if (err == -ENOKEY && !v->refreshed) {
		/* It may have new keys since. */
		v->refreshed = true;
		oidc_visit_wait(v, verify);
	} else if (err) {
		page_sorry(oidc_visit_take(v), 502, "%s", why);
	} else {
		ask_userinfo(v);
	}
}

/* A token goes into a header: nothing but visible ASCII. */
static char *member_token(struct json_object *o, const char *name)
{
	struct json_object *v = json_member(o, name);
	const char *text = v ? json_text(v) : NULL, *p;

	for (p = text; p && *p; p++)
		if (*p <= ' ' || *p >= 0x7f)
			return NULL;
	return text && *text ? xstrdup(text) : NULL;
}

static void on_token(void *ctx, int status, const char *body, size_t len,
		     const char *why)
{
	struct json_object *o = status ? json_parse(body, len) : NULL;
	struct oidc_visit *v = ctx;
	char text[160];

	v->fetch = NULL;
	if (!json_object_is_type(o, json_type_object)) {
		page_sorry(oidc_visit_take(v), 502,
			   "the login provider does not give us a token: %s",
			   status ? "a bad answer" : why);
	} else if (status != 200) {
		snprintf(text, sizeof(text), "%s", oidc_claim(o, "error"));
		page_sorry(oidc_visit_take(v), 502,
			   "the login provider does not give us a token: %s (%s)",
			   text, oidc_claim(o, "error_description"));
	} else {
		v->id_token = member_token(o, "id_token");
		v->access_token = member_token(o, "access_token");
		if (v->id_token)
			verify(v);
		else
			page_sorry(oidc_visit_take(v), 502,
				   "the login provider gives no ID token: is the "
				   "scope openid?");
	}
	json_object_put(o);
}

/* RFC 6749 2.3.1: both halves are form-encoded first. */
static void basic(const struct oidc *o, struct text *out)
{
	char *id = curl_easy_escape(NULL, o->client_id, 0);
	char *secret = curl_easy_escape(NULL, o->client_secret, 0);
	struct text pair = { 0 };
	size_t size;
	char *b64;

	text_printf(&pair, "%s:%s", id, secret);
	size = sodium_base64_encoded_len(pair.len,
					 sodium_base64_VARIANT_ORIGINAL);
	b64 = xmalloc(size);
	sodium_bin2base64(b64, size, (uint8_t *)pair.s, pair.len,
			  sodium_base64_VARIANT_ORIGINAL);
	text_printf(out, "Basic %s", b64);
	oidc_wipe(b64);
	sodium_memzero(pair.s, pair.len);
	text_clear(&pair);
	sodium_memzero(secret, strlen(secret));
	curl_free(secret);
	curl_free(id);
}

static void ask_token(struct oidc_visit *v)
{
	const struct oidc_endpoints *e = oidc_provider_get(v->o->provider);
	struct text form = { 0 }, authorization = { 0 };
	struct oidc *o = v->o;
	struct fetch_request q = {
		.url = e->token,
		.type = "application/x-www-form-urlencoded",
		.ca_file = o->ca_file,
		.timeout_ms = OIDC_FETCH_MS,
		.max = OIDC_JSON_MAX,
	};

	add_param(&form, "grant_type", "authorization_code");
	add_param(&form, "code", v->code);
	add_param(&form, "redirect_uri", o->redirect_url);
	add_param(&form, "code_verifier", v->login->verifier);
	if (o->client_secret && !e->secret_in_body)
		basic(o, &authorization);
	else
		add_param(&form, "client_id", o->client_id);
	if (o->client_secret && e->secret_in_body)
		add_param(&form, "client_secret", o->client_secret);
	q.body = form.s;
	q.authorization = authorization.s;
	v->fetch = fetch_start(o->fetcher, &q, on_token, v);
	sodium_memzero(form.s, form.len);
	text_clear(&form);
	if (authorization.s)
		sodium_memzero(authorization.s, authorization.len);
	text_clear(&authorization);
}

/* The login's own cookie is among those of the browser. */
static bool has_cookie(const struct http_request *r, const struct oidc_login *l)
{
	char want[sizeof(COOKIE) + COOKIE_STATE + 1 + TOKEN_LEN + 1];
	const char *p = r->cookie, *end;
	size_t n;

	n = (size_t)snprintf(want, sizeof(want), COOKIE "%.*s=%s",
			     COOKIE_STATE, l->state, l->cookie);
	for (; *p; p = *end ? end + 1 : end) {
		p += strspn(p, " ");
		end = strchrnul(p, ';');
		if ((size_t)(end - p) == n && !sodium_memcmp(p, want, n))
			return true;
	}
	return false;
}

void oidc_callback(struct oidc *o, struct http_request *r)
{
	char *state = http_param(r->query, "state");
	char *code = http_param(r->query, "code");
	char *error = http_param(r->query, "error");
	char *what = http_param(r->query, "error_description");
	struct oidc_login *l = NULL;
	struct oidc_visit *v;

	oidc_logins_prune(o);
	if (state)
		HASH_FIND_STR(o->logins, state, l);
	if (!l) {
		page_sorry(r, 400, "it is unknown, used or older than %d minutes: "
			   "open the address that the node shows again",
			   OIDC_LOGIN_S / 60);
	} else if (!has_cookie(r, l)) {
		page_sorry(r, 403, "it began in another browser, or this one keeps "
			   "no cookies");
	} else {
		HASH_DEL(o->logins, l); /* one use */
		if (!code || strlen(code) > CODE_MAX) {
			page_sorry(r, 403, "the login provider says: %s%s%s",
				   error ? error : "nothing", what ? ": " : "",
				   what ? what : "");
			oidc_login_free(l);
		} else if ((v = oidc_visit_new(o, r))) {
			v->login = l;
			v->code = code;
			code = NULL;
			ask_token(v);
		} else {
			oidc_login_free(l);
		}
	}
	free(state);
	oidc_wipe(code);
	free(error);
	free(what);
}

/* ── the object ─────────────────────────────────────────────────────────── */

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);
	const char *p = list;

	while ((p = strstr(p, word))) {
		if ((p == list || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return true;
		p += n;
	}
	return false;
}

static bool sensible(const struct oidc_config *c, const char *scope,
		     char why[OIDC_WHY_MAX])
{
	const char *text = NULL;

	if (!c->issuer || !oidc_url_is_safe(c->issuer))
		text = "the issuer is no https address";
	else if (!c->client_id || !*c->client_id)
		text = "there is no client id";
	else if (!has_word(scope, "openid"))
		text = "the scope lacks openid";
	if (text)
		snprintf(why, OIDC_WHY_MAX, "OpenID Connect: %s", text);
	return !text;
}

struct oidc *oidc_new(struct event_base *base, const struct oidc_config *c,
		      const struct oidc_ops *ops, void *ctx,
		      char why[OIDC_WHY_MAX])
{
	const char *scope = c->scope ? c->scope : "openid profile email";
	struct text url = { 0 };
	struct oidc *o;

	if (!sensible(c, scope, why))
		return NULL;
	o = xcalloc(1, sizeof(*o));
	text_printf(&url, "%s" OIDC_CALLBACK_PATH, c->server_url);
	o->redirect_url = url.s;
	o->https = !strncmp(c->server_url, "https:", 6);
	o->issuer = xstrdup(c->issuer);
	o->client_id = xstrdup(c->client_id);
	o->client_secret = xstrdup(c->client_secret);
	o->scope = xstrdup(scope);
	o->allowed_domains = xstrdup(c->allowed_domains);
	o->allowed_users = xstrdup(c->allowed_users);
	o->allowed_groups = xstrdup(c->allowed_groups);
	o->ca_file = xstrdup(c->ca_file);
	o->ops = *ops;
	o->ctx = ctx;
	o->fetcher = fetcher_new(base, CONNECTIONS);
	o->provider = oidc_provider_new(o->fetcher, o->issuer, o->ca_file,
					oidc_visits_go_on, o);
	return o;
}

void oidc_free(struct oidc *o)
{
	struct oidc_login *l, *tmp;

	if (!o)
		return;
	while (o->visits)
		oidc_visit_free(o->visits);
	HASH_ITER(hh, o->logins, l, tmp) {
		HASH_DEL(o->logins, l);
		oidc_login_free(l);
	}
	oidc_provider_free(o->provider);
	fetcher_free(o->fetcher);
	free(o->issuer);
	free(o->client_id);
	oidc_wipe(o->client_secret);
	free(o->redirect_url);
	free(o->scope);
	free(o->allowed_domains);
	free(o->allowed_users);
	free(o->allowed_groups);
	free(o->ca_file);
	free(o);
}
