// SPDX-License-Identifier: GPL-2.0
#include "coord/login.h"

#include <errno.h>
#include <json.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <uthash.h>

#include "coord/coord.h"
#include "coord/http.h"
#include "coord/model.h"
#include "coord/page.h"
#include "coord/text.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/util.h"

#define TOKEN_LEN 43

/* A page with a button that somebody has in front of him. */
struct confirm {
	char token[TOKEN_LEN + 1];
	char id[sizeof(((struct pending_node *)0)->id)];
	int64_t user;
	uint64_t created;
	UT_hash_handle hh;
};

struct login_desk {
	struct coord *coord;
	struct oidc *oidc;
	struct confirm *confirms; /* by token, the oldest first */
};

static void forget(struct login_desk *d, struct confirm *f)
{
	HASH_DEL(d->confirms, f);
	sodium_memzero(f, sizeof(*f));
	free(f);
}

static void prune(struct login_desk *d)
{
	uint64_t now = now_ns();

	while (d->confirms &&
	       (HASH_COUNT(d->confirms) >= LOGIN_CONFIRMS_MAX ||
		now - d->confirms->created > LOGIN_CONFIRM_S * SEC_NS))
		forget(d, d->confirms);
}

/*
 * The model's user for @who, made at the first login. His name is what a policy
 * calls him: the address, or else the user name. It is only ever given once: the
 * name of another user is no proof of being that user.
 */
static int find_user(struct model *m, const struct oidc_identity *who,
		     struct coord_user **out, char why[256])
{
	const char *name = *who->email ? who->email : who->username;
	int err;

	*out = model_user_by_subject(m, who->issuer, who->subject);
	if (*out)
		return 0;
	if (!*name) {
		snprintf(why, 256, "The provider tells neither a verified email "
				   "address nor a user name.");
		return -EINVAL;
	}
	err = model_user_create(m, name, who->display_name, who->issuer,
				who->subject, out);
	if (err)
		snprintf(why, 256, "There cannot be a user for you: %.200s.",
			 model_error(m));
	return err;
}

static void add_row(struct text *t, const char *what, const char *value)
{
	text_printf(t, "<tr><td>%s<td><b>", what);
	page_escape(t, value && *value ? value : "?");
	text_puts(t, "</b>");
}

static void ask(struct login_desk *d, struct http_request *r,
		const struct pending_node *p, const struct coord_user *u)
{
	struct confirm *f = xcalloc(1, sizeof(*f));
	struct text t = { 0 };
	uint8_t random[32];
	char key[KEY_TEXT_MAX];

	prune(d);
	randombytes_buf(random, sizeof(random));
	sodium_bin2base64(f->token, sizeof(f->token), random, sizeof(random),
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	strcpy(f->id, p->id);
	f->user = u->id;
	f->created = now_ns();
	HASH_ADD_STR(d->confirms, token, f);
	text_puts(&t, "<table cellpadding=6>");
	add_row(&t, "Node", json_text(json_member(p->hostinfo, "Hostname")));
	add_row(&t, "System", json_text(json_member(p->hostinfo, "OS")));
	add_row(&t, "Key", key_format(key, KEY_NODE, &p->key));
	add_row(&t, "Joins as", u->name);
	text_printf(&t,
		    "</table><p>Go on only if it was you who started this, on "
		    "this machine.<form method=post action=\"" LOGIN_CONFIRM_PATH
		    "\"><input type=hidden name=token value=\"%s\">"
		    "<button>Join</button></form>", f->token);
	page_reply(r, 200, "A node wants to join", t.s);
	text_clear(&t);
}

static void on_identified(void *ctx, struct http_request *r, const char *id,
			  const struct oidc_identity *who)
{
	struct login_desk *d = ctx;
	struct model *m = coord_model(d->coord);
	struct pending_node *p = model_pending(m, id);
	struct coord_user *u;
	char why[256];

	if (!p || p->node) {
		page_sorry(r, 404, "No node waits at this address (any more).");
	} else if (find_user(m, who, &u, why)) {
		log_warn("coord: login of %s at %s: %s", who->subject,
			 who->issuer, why);
		page_sorry(r, 403, "%s", why);
	} else {
		ask(d, r, p, u);
	}
}

void login_desk_confirm(struct login_desk *d, struct http_request *r)
{
	char *token = http_param((const char *)r->body, "token");
	struct model *m = coord_model(d->coord);
	struct confirm *f = NULL;
	struct pending_node *p;
	char why[COORD_WHY_MAX];
	struct coord_node *n;
	struct coord_user *u;
	int err;

	prune(d);
	if (token)
		HASH_FIND_STR(d->confirms, token, f);
	p = f ? model_pending(m, f->id) : NULL;
	u = f ? model_user(m, f->user) : NULL;
	if (!p || p->node || !u) {
		page_sorry(r, 404, "This page is too old: open the address that the "
			   "node shows again.");
		goto out;
	}
	err = coord_approve(d->coord, p, u, &n, why);
	if (err) {
		log_error("coord: login of %s: %s", u->name, why);
		page_sorry(r, err == -EPERM ? 403 : 500, "%s", why);
	} else {
		log_info("coord: %s joined as %s", n->name, u->name);
		page_reply(r, 200, "The node has joined",
			   "<p>You can close this window.");
	}
out:
	if (f)
		forget(d, f);
	free(token);
}

void login_desk_begin(struct login_desk *d, struct http_request *r,
		      const char *id)
{
	oidc_login(d->oidc, r, id);
}

void login_desk_callback(struct login_desk *d, struct http_request *r)
{
	oidc_callback(d->oidc, r);
}

struct login_desk *login_desk_new(struct event_base *base, struct coord *c,
				  const struct oidc_config *config,
				  char why[OIDC_WHY_MAX])
{
	static const struct oidc_ops ops = { .identified = on_identified };
	struct login_desk *d = xcalloc(1, sizeof(*d));

	d->coord = c;
	d->oidc = oidc_new(base, config, &ops, d, why);
	if (d->oidc)
		return d;
	free(d);
	return NULL;
}

void login_desk_free(struct login_desk *d)
{
	if (!d)
		return;
	oidc_free(d->oidc);
	while (d->confirms)
		forget(d, d->confirms);
	free(d);
}
