// SPDX-License-Identifier: GPL-2.0
#include "coord/coord.h"

#include <errno.h>
#include <event2/event.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "coord/coord_internal.h"
#include "coord/model.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/metrics.h"
#include "lib/util.h"

/* ── Events of the model ── */

static void on_model(void *ctx, const struct model_event *e)
{
	struct coord *c = ctx;
	struct policy_report report = {0};

	if (e->kind == MODEL_NODE_REMOVED) {
		mapstreams_gone(c->streams, e->node->session);
		presence_gone(c->presence, e->node->session);
	}
	tailnet_event(c->tailnet, e);
	registrar_event(c->registrar, e);
	if (e->kind == MODEL_POLICY &&
	    tailnet_load_policy(c->tailnet, &report))
		log_error("coord: the stored policy does not parse, the one "
			  "before it stays in force");
	policy_report_clear(&report);
	mapstreams_changed(c->streams);
	if (e->kind == MODEL_POLICY || e->kind == MODEL_NODE_ADDED ||
	    (e->kind == MODEL_NODE_CHANGED &&
	     (e->aspects & (NODE_ADVERTISED | NODE_TAGS | NODE_USER))))
		event_active(c->approve, EV_TIMEOUT, 0);
}

/* The advertised routes that the policy approves by itself. */
static void auto_approve(struct coord *c, struct coord_node *n)
{
	struct policy_node as = tailnet_policy_node(n);
	_cleanup_free_ struct prefix *routes = NULL;
	size_t i, j, total = n->n_approved;

	routes = xcalloc(n->n_approved + n->n_advertised, sizeof(*routes));
	if (n->n_approved)
		memcpy(routes, n->approved, n->n_approved * sizeof(*routes));
	for (i = 0; i < n->n_advertised; i++) {
		const struct prefix *p = &n->advertised[i];

		for (j = 0; j < n->n_approved; j++)
			if (prefix_equal(&n->approved[j], p))
				break;
		if (j == n->n_approved &&
		    policy_approves_route(tailnet_policy(c->tailnet), &as, p))
			routes[total++] = *p;
	}
	if (total != n->n_approved &&
	    model_node_approve_routes(c->model, n, routes, total))
		log_error("coord: routes of %s: %s", n->name,
			  model_error(c->model));
}

static void on_approve(evutil_socket_t fd, short what, void *arg)
{
	struct coord *c = arg;
	struct coord_node *n;

	for (n = model_nodes(c->model); n; n = n->hh_id.next)
		if (n->n_advertised)
			auto_approve(c, n);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct coord *c = arg;

	model_tick(c->model, time(NULL));
}

static void on_connected(void *ctx, struct member *m)
{
	struct coord *c = ctx;

	presence_connected(c->presence, m);
}

static void on_disconnected(void *ctx, struct member *m)
{
	struct coord *c = ctx;

	presence_disconnected(c->presence, m);
}

static const struct mapstreams_ops stream_ops = {
	.connected = on_connected,
	.disconnected = on_disconnected,
};

/* ── Life ── */

static struct model *open_model(const struct coord_config *config)
{
	struct model_config mc;
	_cleanup_free_ char *path = NULL;
	struct model *m;
	char error[512];

	if (asprintf(&path, "%s/coord.db", config->state_dir) < 0)
		return NULL;
	model_config_default(&mc);
	mc.path = path;
	mc.v4 = config->prefix_v4;
	mc.v6 = config->prefix_v6;
	mc.ephemeral_s = config->ephemeral_s;
	m = model_open(&mc, error, sizeof(error));
	if (!m)
		log_error("coord: %s: %s", path, error);
	return m;
}

static void build(struct coord *c, const struct coord_config *config,
		  const struct key *noise)
{
	static const struct timeval second = {1, 0};
	struct tailnet_config tc = {
		.domain = config->base_domain,
		.magic_dns = config->magic_dns,
		.nameservers = config->nameservers,
		.v4 = config->prefix_v4,
		.v6 = config->prefix_v6,
	};
	struct http_server_config hc = {
		.noise_private = noise,
		.min_version = COORD_MIN_VERSION,
		.limits = &config->limits,
		.ctx = c,
	};
	struct register_config rc;

	c->tailnet = tailnet_new(c->model, &tc);
	c->streams = mapstreams_new(c->base, c->tailnet, &stream_ops, c);
	c->presence = presence_new(c->base, c->model, c->tailnet, c->streams,
				   c->server_url);
	rc = (struct register_config){
		.server_url = c->server_url,
		.key_expiry_s = config->key_expiry_s,
		.min_version = COORD_MIN_VERSION,
	};
	c->registering = rc;
	c->registrar = registrar_new(c->base, c->model, c->tailnet, &rc);
	hc.routes = coord_routes(&hc.n_routes);
	c->http = http_server_new(c->base, &hc);
	c->tick = event_new(c->base, -1, EV_PERSIST, on_tick, c);
	event_add(c->tick, &second);
	c->approve = event_new(c->base, -1, 0, on_approve, c);
	model_listen(c->model, on_model, c);
}

static int start_logins(struct coord *c, const struct coord_config *config)
{
	struct oidc_config oc = config->oidc;
	char why[OIDC_WHY_MAX];

	if (!oc.issuer)
		return 0;
	oc.server_url = c->server_url;
	c->logins = login_desk_new(c->base, c, &oc, why);
	if (!c->logins)
		log_error("coord: %s", why);
	return c->logins ? 0 : -EINVAL;
}

static char *copy(const char *s)
{
	return s && *s ? xstrdup(s) : NULL;
}

struct coord *coord_new(struct event_base *base,
			const struct coord_config *config)
{
	struct coord *c = xcalloc(1, sizeof(*c));
	struct key noise;

	c->base = base;
	c->server_url = xstrdup(config->server_url);
	c->tls_cert = copy(config->tls_cert);
	c->tls_key = copy(config->tls_key);
	c->policy_path = copy(config->policy_path);
	c->derp_map_path = copy(config->derp_map_path);
	if (coord_load_noise_key(config->state_dir, &noise) ||
	    !(c->model = open_model(config))) {
		coord_free(c);
		return NULL;
	}
	build(c, config, &noise);
	key_wipe(&noise);
	if (coord_load_tls(c) || coord_start_policy(c) || coord_start_derp_map(c, config) ||
	    start_logins(c, config)) {
		coord_free(c);
		return NULL;
	}
	event_active(c->approve, EV_TIMEOUT, 0);
	return c;
}

void coord_free(struct coord *c)
{
	if (!c)
		return;
	http_server_free(c->http);
	login_desk_free(c->logins);
	if (c->model)
		model_listen(c->model, NULL, NULL);
	presence_free(c->presence);
	mapstreams_free(c->streams);
	registrar_free(c->registrar);
	tailnet_free(c->tailnet);
	model_close(c->model);
	if (c->tick)
		event_free(c->tick);
	if (c->approve)
		event_free(c->approve);
	free(c->server_url);
	free(c->tls_cert);
	free(c->tls_key);
	free(c->policy_path);
	free(c->derp_map_path);
	free(c);
}

int coord_listen(struct coord *c, const struct endpoint *at, bool tls)
{
	return http_server_listen(c->http, at, HTTP_PUBLIC, tls);
}

int coord_listen_local(struct coord *c, const struct endpoint *at)
{
	return http_server_listen(c->http, at, HTTP_LOCAL, false);
}

void coord_drain(struct coord *c)
{
	http_server_drain(c->http);
}

struct model *coord_model(struct coord *c)
{
	return c->model;
}

const char *coord_server_url(const struct coord *c)
{
	return c->server_url;
}

const char *coord_derp_map(const struct coord *c)
{
	return tailnet_derp_map(c->tailnet);
}

/* The tags that @p asks for, borrowed, at most MODEL_TAGS_MAX; their number. */
static size_t requested_tags(const struct pending_node *p,
			     const char *out[MODEL_TAGS_MAX])
{
	struct json_object *list = json_member(p->hostinfo, "RequestTags");
	size_t i, n = 0;

	if (!json_object_is_type(list, json_type_array))
		return 0;
	for (i = 0; i < json_object_array_length(list); i++) {
		const char *tag =
			json_text(json_object_array_get_idx(list, i));

		if (tag && n < MODEL_TAGS_MAX)
			out[n++] = tag;
	}
	return n;
}

int coord_approve(struct coord *c, struct pending_node *p, struct coord_user *u,
		  struct coord_node **out, char why[COORD_WHY_MAX])
{
	const char *tags[MODEL_TAGS_MAX];
	size_t i, n = requested_tags(p, tags);
	int64_t now = time(NULL);
	int err;

	for (i = 0; i < n; i++) {
		if (policy_may_tag(tailnet_policy(c->tailnet), u->name, NULL, 0,
				   tags[i]))
			continue;
		snprintf(why, COORD_WHY_MAX,
			 "it asks for %.64s, which the policy's tagOwners do "
			 "not let '%s' give",
			 tags[i], u->name);
		return -EPERM;
	}
	err = model_pending_approve(c->model, p, u, tags, n,
				    register_expiry(&c->registering, 0, n > 0,
						    now),
				    now, out);
	if (err)
		snprintf(why, COORD_WHY_MAX, "%s", model_error(c->model));
	return err;
}

void coord_metrics(struct coord *c, struct metrics *m)
{
	size_t online = 0, n = 0;
	struct coord_node *node;

	for (node = model_nodes(c->model); node; node = node->hh_id.next, n++)
		online += node->online;
	metrics_gauge(m, "tailrace_coord_nodes", "Registered nodes.", NULL,
		      (double)n);
	metrics_gauge(m, "tailrace_coord_nodes_online", "Nodes online.", NULL,
		      (double)online);
	mapstreams_metrics(c->streams, m);
	http_server_metrics(c->http, m);
	metrics_process(m);
}
