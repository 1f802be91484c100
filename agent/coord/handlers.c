// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <json.h>
#include <stdio.h>
#include <string.h>

#include "coord/coord_internal.h"
#include "coord/map_request.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/metrics.h"
#include "lib/util.h"

/* What is asked of the server, path by path. */

static void handle_register(void *ctx, struct http_request *r)
{
	struct coord *c = ctx;

	registrar_request(c->registrar, r);
}

/* Stores what the node says of itself. */
static int update(struct coord *c, struct coord_node *n,
		  const struct map_request *in)
{
	struct node_update u = {
		.disco = &in->disco,
		.hostinfo = in->hostinfo,
		.has_endpoints = in->has_endpoints,
		.endpoints = in->endpoints,
		.endpoint_types = in->endpoint_types,
		.n_endpoints = in->n_endpoints,
		.cap = in->version,
	};
	int err;

	if (in->read_only)
		return 0;
	err = model_node_update(c->model, n, &u);
	if (err)
		log_warn("coord: an update of %s: %s", n->name,
			 model_error(c->model));
	return err;
}

static void map(struct coord *c, struct http_request *r,
		const struct map_request *in)
{
	struct coord_node *n = model_node_by_key(c->model, &in->key);
	int err;

	if (in->version < COORD_MIN_VERSION) {
		http_reply_text(r, 400,
				"unsupported client version: capability "
				"version %d, %d is needed",
				in->version, COORD_MIN_VERSION);
		return;
	}
	if (!n || !key_equal(&n->machine, &r->machine)) {
		http_reply_text(r, 404, "node not found");
		return;
	}
	err = update(c, n, in);
	if (err)
		http_reply_text(r, err == -EINVAL ? 400 : 500, "%s",
				model_error(c->model));
	else if (in->stream)
		mapstreams_open(c->streams, n->session, r, in->zstd);
	else if (in->omit_peers)
		http_reply(r, 200, "application/json", "", 0);
	else
		mapstreams_once(c->streams, n->session, r, in->zstd);
}

static void handle_map(void *ctx, struct http_request *r)
{
	struct map_request in = {0};
	const char *why;

	if (map_request_decode(&in, (const char *)r->body, r->body_len, &why)) {
		http_reply_text(r, 400, "bad map request: %s", why);
	} else {
		map(ctx, r, &in);
	}
	map_request_clear(&in);
}

static void handle_ping(void *ctx, struct http_request *r)
{
	struct coord *c = ctx;

	presence_answer(c->presence, r);
}

/* A person followed an AuthURL. */
static void handle_page(void *ctx, struct http_request *r)
{
	struct coord *c = ctx;
	struct pending_node *p = model_pending(c->model, r->rest);
	char page[1024];
	int n;

	if (!p) {
		http_reply_text(r, 404,
				"No node waits at this address (any more).");
		return;
	}
	if (c->logins && !p->node) {
		login_desk_begin(c->logins, r, p->id);
		return;
	}
	n = snprintf(page, sizeof(page),
		     "<!doctype html><meta charset=utf-8><title>tailrace"
		     "</title><body style=\"font-family:sans-serif;margin:4em\">"
		     "<h1>%s</h1><p>%s</p><pre>tailrace coord nodes approve %s"
		     " --user=NAME</pre></body>\n",
		     p->node ? "The node has joined" : "A node wants to join",
		     p->node ? "This was done with the command:"
			     : "To let it, run on the coordination server:",
		     p->id);
	http_reply(r, 200, "text/html; charset=utf-8", page, (size_t)n);
}

static void handle_callback(void *ctx, struct http_request *r)
{
	struct coord *c = ctx;

	if (c->logins)
		login_desk_callback(c->logins, r);
	else
		http_reply_text(r, 404, "no logins here");
}

static void handle_confirm(void *ctx, struct http_request *r)
{
	struct coord *c = ctx;

	if (c->logins)
		login_desk_confirm(c->logins, r);
	else
		http_reply_text(r, 404, "no logins here");
}

static void handle_health(void *ctx, struct http_request *r)
{
	static const char ok[] = "{\"status\":\"pass\"}\n";

	http_reply(r, 200, "application/json", ok, sizeof(ok) - 1);
}

static void handle_metrics(void *ctx, struct http_request *r)
{
	struct metrics *m = metrics_new();
	const char *text;
	size_t len;

	coord_metrics(ctx, m);
	text = metrics_text(m, &len);
	http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", text,
		   len);
	metrics_free(m);
}

/* A relay asks whether to admit a client (derp.md section 10). */
static void handle_verify(void *ctx, struct http_request *r)
{
	struct json_object *o =
		json_parse((const char *)r->body, r->body_len);
	struct json_object *v = json_member(o, "NodePublic");
	const char *text = v ? json_text(v) : NULL;
	struct coord *c = ctx;
	struct coord_node *n;
	char out[32];
	struct key k;
	int len;

	if (!text || key_parse(&k, KEY_NODE, text)) {
		http_reply_text(r, 400, "no NodePublic");
	} else {
		n = model_node_by_key(c->model, &k);
		len = snprintf(out, sizeof(out), "{\"Allow\":%s}\n",
			       n && !n->expired ? "true" : "false");
		http_reply(r, 200, "application/json", out, (size_t)len);
	}
	json_object_put(o);
}

static const struct http_route routes[] = {
	{HTTP_NOISE, "POST", "/machine/register", handle_register},
	{HTTP_NOISE, "POST", "/machine/map", handle_map},
	{HTTP_NOISE, "GET", PRESENCE_PING_PATH, handle_ping},
	{HTTP_PUBLIC, "GET", "/register/", handle_page},
	{HTTP_PUBLIC, "GET", OIDC_CALLBACK_PATH, handle_callback},
	{HTTP_PUBLIC, "POST", LOGIN_CONFIRM_PATH, handle_confirm},
	{HTTP_PUBLIC, "POST", "/verify", handle_verify},
	{HTTP_PUBLIC | HTTP_LOCAL, "GET", "/health", handle_health},
	{HTTP_LOCAL, "GET", "/metrics", handle_metrics},
};

const struct http_route *coord_routes(size_t *n)
{
	*n = ARRAY_SIZE(routes);
	return routes;
}
