// SPDX-License-Identifier: GPL-2.0
#include <event2/event.h>
#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utlist.h>

#include "control/hostinfo.h"
#include "coord/http.h"
#include "coord/map_node.h"
#include "coord/register.h"
#include "lib/log.h"
#include "lib/util.h"

/* The requests behind the decisions of register.c, and those that wait. */

struct waiter {
	struct registrar *g;
	struct http_request *r;
	struct register_input in; /* the request's body is gone by then */
	char id[sizeof(((struct pending_node *)0)->id)];
	bool again; /* its registration is decided: ask once more */
	struct waiter *prev, *next;
};

struct registrar {
	struct model *m;
	struct tailnet *t;
	struct register_config c;
	char *server_url;
	struct waiter *waiters;
	size_t n_waiters;
	struct event *again;
};

static void waiter_free(struct waiter *w)
{
	DL_DELETE(w->g->waiters, w);
	w->g->n_waiters--;
	register_input_clear(&w->in);
	free(w);
}

static void on_closed(struct http_request *r, const char *why)
{
	waiter_free(r->ctx);
}

static const struct http_request_ops waiter_ops = {.closed = on_closed};

/* @in moves to the waiter. */
static void wait_for(struct registrar *g, struct http_request *r,
		     struct register_input *in, const struct pending_node *p)
{
	struct waiter *w = xcalloc(1, sizeof(*w));

	w->g = g;
	w->r = r;
	w->in = *in;
	memset(in, 0, sizeof(*in));
	memcpy(w->id, p->id, sizeof(w->id));
	DL_APPEND(g->waiters, w);
	g->n_waiters++;
	r->ops = &waiter_ops;
	r->ctx = w;
}

/* ── Answers ── */

static void reply(struct http_request *r, struct json_object *o)
{
	const char *text = json_object_to_json_string_ext(
		o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

	http_reply(r, 200, "application/json", text, strlen(text));
	json_object_put(o);
}

static void put_user(struct json_object *o, const struct coord_node *n)
{
	const char *name = n->n_tags ? TAGGED_USER_NAME : n->user->name;
	struct json_object *user = json_object_new_object();
	struct json_object *login = json_object_new_object();
	int64_t id = map_node_user(n);

	json_object_object_add(user, "ID", json_object_new_int64(id));
	json_put_text(user, "DisplayName", name);
	json_object_object_add(o, "User", user);
	json_object_object_add(login, "ID", json_object_new_int64(id));
	json_put_text(login, "LoginName", name);
	json_put_text(login, "DisplayName", name);
	json_object_object_add(o, "Login", login);
}

static void reply_url(struct registrar *g, struct http_request *r,
		      const struct pending_node *p)
{
	struct json_object *o = json_object_new_object();
	char url[1024];

	snprintf(url, sizeof(url), "%s/register/%s", g->server_url, p->id);
	json_put_text(o, "AuthURL", url);
	reply(r, o);
}

static void answer(struct registrar *g, struct http_request *r,
		   struct register_input *in, const struct register_answer *a)
{
	struct json_object *o;

	switch (a->kind) {
	case REGISTER_WAIT:
		if (g->n_waiters < REGISTER_WAITING_MAX) {
			wait_for(g, r, in, a->pending);
			return;
		}
		reply_url(g, r, a->pending);
		return;
	case REGISTER_URL:
		log_info("coord: a node asks to join: 'tailrace coord nodes "
			 "approve %s'",
			 a->pending->id);
		reply_url(g, r, a->pending);
		return;
	case REGISTER_DONE:
		o = json_object_new_object();
		put_user(o, a->node);
		json_put_bool(o, "MachineAuthorized", true);
		reply(r, o);
		return;
	case REGISTER_EXPIRED:
	case REGISTER_LOGGED_OUT:
		o = json_object_new_object();
		json_put_bool(o, "NodeKeyExpired", true);
		reply(r, o);
		return;
	case REGISTER_ERROR:
		log_info("coord: registration refused: %s", a->error);
		o = json_object_new_object();
		json_put_text(o, "Error", a->error);
		reply(r, o);
		return;
	}
}

static void decide(struct registrar *g, struct http_request *r,
		   struct register_input *in)
{
	struct register_answer a = {0};

	register_decide(g->m, tailnet_policy(g->t), &g->c, in, &r->machine,
			time(NULL), &a);
	answer(g, r, in, &a);
}

void registrar_request(struct registrar *g, struct http_request *r)
{
	struct register_input in = {0};
	const char *why;

	if (register_input_decode(&in, (const char *)r->body, r->body_len,
				  &why)) {
		http_reply_text(r, 400, "bad register request: %s", why);
	} else if (in.version < g->c.min_version) {
		http_reply_text(r, 400,
				"unsupported client version: capability "
				"version %d, %d is needed",
				in.version, g->c.min_version);
	} else {
		decide(g, r, &in);
	}
	register_input_clear(&in);
}

/* ── Those that wait ── */

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct registrar *g = arg;
	struct waiter *w, *next;

	for (w = g->waiters; w; w = next) {
		struct register_input in = w->in;
		struct http_request *r = w->r;

		next = w->next;
		if (!w->again)
			continue;
		memset(&w->in, 0, sizeof(w->in));
		waiter_free(w);
		r->ops = NULL;
		r->ctx = NULL;
		decide(g, r, &in);
		register_input_clear(&in);
	}
}

/*
 * Approved: the node is known now. Gone: the same request gets a new URL. Both
 * may change the model, which is not allowed from here.
 */
void registrar_event(struct registrar *g, const struct model_event *e)
{
	struct waiter *w;

	if (e->kind != MODEL_PENDING_APPROVED && e->kind != MODEL_PENDING_GONE)
		return;
	for (w = g->waiters; w; w = w->next) {
		if (strcmp(w->id, e->pending->id) != 0)
			continue;
		w->again = true;
		event_active(g->again, EV_TIMEOUT, 0);
	}
}

struct registrar *registrar_new(struct event_base *base, struct model *m,
				struct tailnet *t,
				const struct register_config *c)
{
	struct registrar *g = xcalloc(1, sizeof(*g));

	g->m = m;
	g->t = t;
	g->c = *c;
	g->server_url = xstrdup(c->server_url);
	g->c.server_url = g->server_url;
	g->again = event_new(base, -1, 0, on_again, g);
	return g;
}

void registrar_free(struct registrar *g)
{
	if (!g)
		return;
	event_free(g->again);
	free(g->server_url);
	free(g);
}
