// SPDX-License-Identifier: GPL-2.0
#include "localapi/server.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <json-c/json.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "engine/agent.h"
#include "lib/json.h"
#include "lib/util.h"
#include "localapi/conns.h"
#include "localapi/metrics.h"
#include "localapi/status.h"

#define PING_TIMEOUT_MS 5000
#define NETCHECK_TIMEOUT_MS 6000
/* More requests at once than this get "busy", but for who may change things. */
#define PENDING_MAX 64

/* A request whose answer comes later. */
struct pending {
	struct localapi *l;
	struct evhttp_request *req; /* NULL: the client went away */
	struct agent_ping *ping;
	struct event *timer;
	uint64_t since;
	bool peers;
	struct pending *prev, *next;
};

struct localapi {
	struct agent *agent;
	struct evhttp *http;
	struct conns *conns;
	struct evhttp *scraped; /* NULL: nobody asked for it */
	struct conns *scrapers;
	struct pending *pending;
	size_t n_pending;
};

static bool may_write(struct evhttp_request *req)
{
	return conns_privileged(evhttp_connection_get_bufferevent(
		evhttp_request_get_connection(req)));
}

static void reply_text(struct evhttp_request *req, int code, const char *text)
{
	struct evbuffer *body = evbuffer_new();

	evbuffer_add_printf(body, "%s\n", text);
	evhttp_send_reply(req, code, NULL, body);
	evbuffer_free(body);
}

/* Takes ownership of @o. */
static void reply_json(struct evhttp_request *req, struct json_object *o)
{
	const char *text = json_object_to_json_string_ext(
		o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE);
	struct evbuffer *body = evbuffer_new();

	evbuffer_add_printf(body, "%s\n", text);
	evhttp_add_header(evhttp_request_get_output_headers(req),
			  "Content-Type", "application/json");
	evhttp_send_reply(req, HTTP_OK, "OK", body);
	evbuffer_free(body);
	json_object_put(o);
}

static void pending_free(struct pending *p)
{
	if (p->req)
		evhttp_connection_set_closecb(
			evhttp_request_get_connection(p->req), NULL, NULL);
	if (p->ping)
		agent_ping_cancel(p->ping);
	if (p->timer)
		event_free(p->timer);
	DL_DELETE(p->l->pending, p);
	p->l->n_pending--;
	free(p);
}

static void on_closed(struct evhttp_connection *conn, void *arg)
{
	struct pending *p = arg;

	p->req = NULL;
	/* Statistics can't be cancelled: their callback frees it. */
	if (p->ping || p->timer)
		pending_free(p);
}

static struct pending *pending_new(struct localapi *l,
				   struct evhttp_request *req)
{
	struct pending *p;

	if (l->n_pending >= PENDING_MAX && !may_write(req)) {
		reply_text(req, HTTP_SERVUNAVAIL, "busy, try again");
		return NULL;
	}
	p = xcalloc(1, sizeof(*p));
	p->l = l;
	p->req = req;
	DL_APPEND(l->pending, p);
	l->n_pending++;
	evhttp_connection_set_closecb(evhttp_request_get_connection(req),
				      on_closed, p);
	return p;
}

/*
 * The request's body, a JSON object, which is wiped: there may be a key in it.
 * NULL after having answered.
 */
static struct json_object *body_json(struct evhttp_request *req)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(req);
	size_t n = evbuffer_get_length(in);
	char *text = n ? (char *)evbuffer_pullup(in, -1) : NULL;
	struct json_object *o = n ? json_parse(text, n) : NULL;

	if (n)
		sodium_memzero(text, n);
	if (json_object_is_type(o, json_type_object))
		return o;
	json_object_put(o);
	reply_text(req, HTTP_BADREQUEST, "the body is not a JSON object");
	return NULL;
}

static const char *query(struct evkeyvalq *q, const char *name)
{
	const char *v = evhttp_find_header(q, name);

	return v ? v : "";
}

static void on_stats(void *ctx, const struct kernel_peer_stats *s, size_t n,
		     const char *device_json)
{
	struct pending *p = ctx;
	struct evhttp_request *req = p->req;
	struct agent *a = p->l->agent;
	bool peers = p->peers;

	pending_free(p);
	if (req)
		reply_json(req, status_json(a, s, n, device_json, peers));
}

static void get_status(struct localapi *l, struct evhttp_request *req,
		       struct evkeyvalq *q)
{
	struct pending *p = pending_new(l, req);

	if (!p)
		return;
	p->peers = strcmp(query(q, "peers"), "false") != 0;
	kernel_get_stats(l->agent->kernel, false, on_stats, p);
}

static void on_metrics_stats(void *ctx, const struct kernel_peer_stats *s,
			     size_t n, const char *device_json)
{
	struct pending *p = ctx;
	struct evhttp_request *req = p->req;
	struct agent *a = p->l->agent;
	struct json_object *devices;
	struct evbuffer *body;
	struct metrics *m;
	const char *text;
	size_t len;

	pending_free(p);
	if (!req)
		return;
	devices = json_object_new_object();
	json_object_object_add(devices, a->config.ifname,
			       json_tokener_parse(device_json));
	m = metrics_new();
	metrics_devices(m, devices);
	metrics_agent(m, a);
	text = metrics_text(m, &len);
	body = evbuffer_new();
	evbuffer_add(body, text, len);
	evhttp_add_header(evhttp_request_get_output_headers(req),
			  "Content-Type",
			  "text/plain; version=0.0.4; charset=utf-8");
	evhttp_send_reply(req, HTTP_OK, "OK", body);
	evbuffer_free(body);
	metrics_free(m);
	json_object_put(devices);
}

static void get_metrics(struct localapi *l, struct evhttp_request *req,
			struct evkeyvalq *q)
{
	struct pending *p = pending_new(l, req);

	if (p)
		kernel_get_stats(l->agent->kernel, true, on_metrics_stats, p);
}

static void on_scrape(struct evhttp_request *req, void *arg)
{
	const char *path =
		evhttp_uri_get_path(evhttp_request_get_evhttp_uri(req));

	if (path && !strcmp(path, "/metrics"))
		get_metrics(arg, req, NULL);
	else
		reply_text(req, HTTP_NOTFOUND, "not found: /metrics is");
}

static void get_prefs(struct localapi *l, struct evhttp_request *req,
		      struct evkeyvalq *q)
{
	reply_json(req, prefs_to_json(&l->agent->store.prefs));
}

static bool patch(struct localapi *l, struct evhttp_request *req,
		  struct json_object *o, bool masked)
{
	char text[128];
	const char *why;
	int err;

	err = agent_patch_prefs(l->agent, o, masked, &why);
	if (!err)
		return true;
	snprintf(text, sizeof(text), "%s: %s", why, strerror(-err));
	reply_text(req, err == -EINVAL ? HTTP_BADREQUEST : HTTP_INTERNAL, text);
	return false;
}

static void patch_prefs(struct localapi *l, struct evhttp_request *req,
			struct evkeyvalq *q)
{
	struct json_object *o = body_json(req);

	if (o && patch(l, req, o, true))
		get_prefs(l, req, q);
	json_object_put(o);
}

/* What a client asks before it sends a PATCH; "" is consent. */
static void post_check_prefs(struct localapi *l, struct evhttp_request *req,
			     struct evkeyvalq *q)
{
	struct json_object *o = body_json(req), *answer;
	struct prefs scratch;
	const char *why;

	if (!o)
		return;
	prefs_init(&scratch);
	answer = json_object_new_object();
	json_object_object_add(
		answer, "Error",
		json_object_new_string(
			prefs_apply(&scratch, o, false, &why) ? why : ""));
	reply_json(req, answer);
	prefs_uninit(&scratch);
	json_object_put(o);
}

/* Options{AuthKey, UpdatePrefs}: what `up` begins with. */
static void post_start(struct localapi *l, struct evhttp_request *req,
		       struct evkeyvalq *q)
{
	struct json_object *o = body_json(req), *prefs, *key;
	const char *text = "";

	if (!o)
		return;
	prefs = json_object_object_get(o, "UpdatePrefs");
	key = json_object_object_get(o, "AuthKey");
	if (json_object_is_type(key, json_type_string))
		text = json_object_get_string(key);
	if (key && !json_object_is_type(key, json_type_string)) {
		reply_text(req, HTTP_BADREQUEST, "AuthKey is not a string");
	} else if (!prefs || patch(l, req, prefs, false)) {
		if (*text)
			agent_login(l->agent, text, false);
		evhttp_send_reply(req, HTTP_NOCONTENT, NULL, NULL);
	}
	sodium_memzero((void *)(uintptr_t)text, strlen(text));
	json_object_put(o);
}

static void post_login(struct localapi *l, struct evhttp_request *req,
		       struct evkeyvalq *q)
{
	agent_login(l->agent, NULL, strcmp(query(q, "force"), "true") == 0);
	evhttp_send_reply(req, HTTP_NOCONTENT, NULL, NULL);
}

static void post_logout(struct localapi *l, struct evhttp_request *req,
			struct evkeyvalq *q)
{
	agent_logout(l->agent);
	evhttp_send_reply(req, HTTP_NOCONTENT, NULL, NULL);
}

static void on_pong(void *ctx, const struct agent_pong *pong)
{
	struct pending *p = ctx;
	struct evhttp_request *req = p->req;
	const struct netmap *nm = agent_netmap(p->l->agent);
	struct json_object *o = json_object_new_object();
	char text[ENDPOINT_TEXT_MAX];
	struct derp_region *r = NULL;

	p->ping = NULL;
	pending_free(p);
	if (*pong->error)
		json_object_object_add(o, "Err",
				       json_object_new_string(pong->error));
	json_object_object_add(o, "LatencySeconds",
			       json_object_new_double((double)pong->latency /
						      (double)SEC_NS));
	if (pong->path.endpoint.ip.family)
		json_object_object_add(
			o, "Endpoint",
			json_object_new_string(
				endpoint_format(&pong->path.endpoint, text)));
	if (pong->path.derp_region) {
		if (nm)
			HASH_FIND_INT(nm->derp_regions,
				      &pong->path.derp_region, r);
		json_object_object_add(
			o, "DERPRegionID",
			json_object_new_int(pong->path.derp_region));
		json_object_object_add(o, "DERPRegionCode",
				       json_object_new_string(r ? r->code :
								  ""));
	}
	reply_json(req, o);
}

static void post_ping(struct localapi *l, struct evhttp_request *req,
		      struct evkeyvalq *q)
{
	const char *type = query(q, "type"), *error = NULL;
	enum agent_ping_type kind = AGENT_PING_DISCO;
	struct pending *p;
	struct ip_addr ip;

	if (strcmp(type, "TSMP") == 0) {
		kind = AGENT_PING_TSMP;
	} else if (strcmp(type, "disco") != 0) {
		reply_text(req, HTTP_BADREQUEST, "type is disco or TSMP");
		return;
	}
	if (ip_parse(&ip, query(q, "ip"))) {
		reply_text(req, HTTP_BADREQUEST, "ip is not an address");
		return;
	}
	p = pending_new(l, req);
	if (!p)
		return;
	p->ping = agent_ping(l->agent, &ip, kind,
			     (size_t)strtoul(query(q, "size"), NULL, 10) & 0x1fff,
			     PING_TIMEOUT_MS, on_pong, p, &error);
	if (p->ping)
		return;
	pending_free(p);
	reply_text(req, HTTP_INTERNAL, error);
}

/* Asked again until there is a report younger than the request. */
static void on_netcheck_timer(evutil_socket_t fd, short what, void *arg)
{
	struct pending *p = arg;
	struct agent *a = p->l->agent;
	const struct net_report *r = netcheck_last(a->netcheck);
	struct evhttp_request *req = p->req;

	if ((!r || r->finished < p->since) &&
	    now_ns() - p->since < NETCHECK_TIMEOUT_MS * MS_NS)
		return;
	pending_free(p);
	if (r)
		reply_json(req, netcheck_json(a, r));
	else
		reply_text(req, HTTP_SERVUNAVAIL,
			   "nothing to measure: not connected, run 'tailrace up'");
}

static void get_netcheck(struct localapi *l, struct evhttp_request *req,
			 struct evkeyvalq *q)
{
	struct timeval tick = { 0, 50000 };
	struct pending *p = pending_new(l, req);

	if (!p)
		return;
	p->since = now_ns();
	p->timer = event_new(l->agent->base, -1, EV_PERSIST, on_netcheck_timer,
			     p);
	event_add(p->timer, &tick);
	agent_netcheck(l->agent, true);
}

static const struct {
	enum evhttp_cmd_type method;
	const char *path; /* after /localapi/v0/ */
	bool write;
	void (*handler)(struct localapi *l, struct evhttp_request *req,
			struct evkeyvalq *q);
} routes[] = {
	{ EVHTTP_REQ_GET, "status", false, get_status },
	{ EVHTTP_REQ_GET, "metrics", false, get_metrics },
	{ EVHTTP_REQ_GET, "usermetrics", false, get_metrics },
	{ EVHTTP_REQ_GET, "prefs", false, get_prefs },
	{ EVHTTP_REQ_PATCH, "prefs", true, patch_prefs },
	{ EVHTTP_REQ_POST, "check-prefs", true, post_check_prefs },
	{ EVHTTP_REQ_POST, "start", true, post_start },
	{ EVHTTP_REQ_POST, "login-interactive", true, post_login },
	{ EVHTTP_REQ_POST, "logout", true, post_logout },
	{ EVHTTP_REQ_POST, "ping", false, post_ping },
	{ EVHTTP_REQ_GET, "netcheck", false, get_netcheck },
};

static void on_request(struct evhttp_request *req, void *arg)
{
	static const char prefix[] = "/localapi/v0/";
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(req);
	const char *path = evhttp_uri_get_path(uri);
	const char *text = evhttp_uri_get_query(uri);
	struct evkeyvalq q = { 0 };
	bool known = false;
	size_t i;

	evhttp_add_header(evhttp_request_get_output_headers(req),
			  "Tailscale-Cap", "116");
	if (!path || strncmp(path, prefix, sizeof(prefix) - 1) != 0) {
		reply_text(req, HTTP_NOTFOUND, "not found");
		return;
	}
	path += sizeof(prefix) - 1;
	if (text && evhttp_parse_query_str(text, &q)) {
		reply_text(req, HTTP_BADREQUEST, "bad query");
		return;
	}
	for (i = 0; i < ARRAY_SIZE(routes); i++) {
		if (strcmp(routes[i].path, path) != 0)
			continue;
		known = true;
		if (routes[i].method != evhttp_request_get_command(req))
			continue;
		if (routes[i].write && !may_write(req))
			reply_text(req, 403, "access denied: use sudo");
		else
			routes[i].handler(arg, req, &q);
		evhttp_clear_headers(&q);
		return;
	}
	evhttp_clear_headers(&q);
	reply_text(req, known ? HTTP_BADMETHOD : HTTP_NOTFOUND,
		   known ? "method not allowed" : "not found");
}

void localapi_scraped(struct localapi *l, int fd)
{
	struct evconnlistener *listener;

	l->scraped = evhttp_new(l->agent->base);
	l->scrapers = conns_new(l->scraped);
	evhttp_set_max_body_size(l->scraped, 0);
	evhttp_set_max_headers_size(l->scraped, 16384);
	evhttp_set_timeout(l->scraped, 30);
	evhttp_set_allowed_methods(l->scraped, EVHTTP_REQ_GET);
	evhttp_set_gencb(l->scraped, on_scrape, l);
	listener = evconnlistener_new(l->agent->base, NULL, NULL,
				      LEV_OPT_CLOSE_ON_FREE, 0, fd);
	evhttp_bind_listener(l->scraped, listener);
}

struct localapi *localapi_new(struct agent *a, int fd)
{
	struct localapi *l = xcalloc(1, sizeof(*l));
	struct evconnlistener *listener;

	l->agent = a;
	l->http = evhttp_new(a->base);
	l->conns = conns_new(l->http);
	evhttp_set_max_body_size(l->http, LOCALAPI_BODY_MAX);
	evhttp_set_max_headers_size(l->http, 16384);
	evhttp_set_timeout(l->http, 30);
	evhttp_set_allowed_methods(l->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST |
						    EVHTTP_REQ_PATCH);
	evhttp_set_gencb(l->http, on_request, l);
	listener = evconnlistener_new(a->base, NULL, NULL,
				      LEV_OPT_CLOSE_ON_FREE, 0, fd);
	evhttp_bind_listener(l->http, listener);
	return l;
}

void localapi_free(struct localapi *l)
{
	while (l->pending)
		pending_free(l->pending);
	if (l->scraped) {
		conns_free(l->scrapers);
		evhttp_free(l->scraped);
	}
	conns_free(l->conns);
	evhttp_free(l->http);
	free(l);
}
