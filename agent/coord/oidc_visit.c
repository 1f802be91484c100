// SPDX-License-Identifier: GPL-2.0
#include "coord/oidc_visit.h"

#include <json.h>
#include <sodium.h>
#include <string.h>
#include <utlist.h>

#include "coord/http.h"
#include "coord/oidc_provider.h"
#include "coord/page.h"
#include "lib/fetch.h"
#include "lib/log.h"
#include "lib/util.h"

static void random_token(char out[TOKEN_LEN + 1])
{
	uint8_t random[32];

	randombytes_buf(random, sizeof(random));
	sodium_bin2base64(out, TOKEN_LEN + 1, random, sizeof(random),
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	sodium_memzero(random, sizeof(random));
}

void oidc_login_free(struct oidc_login *l)
{
	if (!l)
		return;
	free(l->id);
	sodium_memzero(l, sizeof(*l));
	free(l);
}

/* Forgets what is too old or too much. */
void oidc_logins_prune(struct oidc *o)
{
	uint64_t now = now_ns();

	while (o->logins &&
	       (HASH_COUNT(o->logins) >= OIDC_LOGINS_MAX ||
		now - o->logins->created > OIDC_LOGIN_S * SEC_NS)) {
		struct oidc_login *l = o->logins;

		HASH_DEL(o->logins, l);
		oidc_login_free(l);
	}
}

struct oidc_login *oidc_login_new(struct oidc *o, const char *id)
{
	struct oidc_login *l = xcalloc(1, sizeof(*l));

	oidc_logins_prune(o);
	random_token(l->state);
	random_token(l->nonce);
	random_token(l->verifier);
	random_token(l->cookie);
	l->id = xstrdup(id);
	l->created = now_ns();
	HASH_ADD_STR(o->logins, state, l);
	return l;
}

void oidc_wipe(char *s)
{
	if (s)
		sodium_memzero(s, strlen(s));
	free(s);
}

void oidc_visit_free(struct oidc_visit *v)
{
	DL_DELETE(v->o->visits, v);
	v->o->n_visits--;
	if (v->fetch)
		fetch_cancel(v->fetch);
	free(v->id);
	oidc_login_free(v->login);
	oidc_wipe(v->code);
	oidc_wipe(v->id_token);
	oidc_wipe(v->access_token);
	json_object_put(v->claims);
	free(v);
}

static void on_closed(struct http_request *r, const char *why)
{
	oidc_visit_free(r->ctx);
}

static const struct http_request_ops visit_ops = { .closed = on_closed };

struct oidc_visit *oidc_visit_new(struct oidc *o, struct http_request *r)
{
	struct oidc_visit *v;

	if (o->n_visits >= OIDC_VISITS_MAX) {
		page_sorry(r, 503, "too many people log in just now, try again");
		return NULL;
	}
	v = xcalloc(1, sizeof(*v));
	v->o = o;
	v->r = r;
	r->ops = &visit_ops;
	r->ctx = v;
	DL_APPEND(o->visits, v);
	o->n_visits++;
	return v;
}

struct http_request *oidc_visit_take(struct oidc_visit *v)
{
	struct http_request *r = v->r;

	r->ops = NULL;
	r->ctx = NULL;
	oidc_visit_free(v);
	return r;
}

void oidc_visit_wait(struct oidc_visit *v, void (*go_on)(struct oidc_visit *v))
{
	v->go_on = go_on;
	v->waiting = true;
	if (!oidc_provider_fetch(v->o->provider))
		page_sorry(oidc_visit_take(v), 502,
			   "the login provider cannot be reached, try again in a few "
			   "seconds");
}

void oidc_visits_go_on(void *ctx, const char *why)
{
	struct oidc *o = ctx;
	struct oidc_visit *v, *next;

	if (why)
		log_warn("oidc: %s", why);
	for (v = o->visits; v; v = next) {
		next = v->next;
		if (!v->waiting)
			continue;
		v->waiting = false;
		if (why)
			page_sorry(oidc_visit_take(v), 502,
				   "the login provider cannot be used: %s", why);
		else
			v->go_on(v);
	}
}
