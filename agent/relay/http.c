// SPDX-License-Identifier: GPL-2.0
#include "relay/http.h"

#include <stdio.h>
#include <string.h>

#include "lib/util.h"
#include "proto/websocket.h"
#include "relay/bootstrap.h"
#include "relay/debug.h"
#include "relay/server.h"

#define CHALLENGE_MAX 64
#define EXTRA_MAX 1024

static const char browser_headers[] =
	"Strict-Transport-Security: max-age=63072000; includeSubDomains\r\n"
	"Content-Security-Policy: default-src 'none'; frame-ancestors 'none'; "
	"form-action 'none'; base-uri 'self'; block-all-mixed-content\r\n"
	"X-Frame-Options: DENY\r\n"
	"X-Content-Type-Options: nosniff\r\n";

static const char page[] =
	"<!DOCTYPE html><html><head><title>DERP</title></head><body>"
	"<h1>DERP</h1><p>This is a relay for Tailscale-protocol clients, "
	"served by tailrace.</p></body></html>\n";

static const char *reason_of(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 204:
		return "No Content";
	case 302:
		return "Found";
	case 400:
		return "Bad Request";
	case 403:
		return "Forbidden";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 411:
		return "Length Required";
	case 426:
		return "Upgrade Required";
	case 431:
		return "Request Header Fields Too Large";
	case 503:
		return "Service Unavailable";
	default:
		return "Internal Server Error";
	}
}

void relayd_http_reply(struct relayd_http_answer *out, int status,
		       const char *type, const char *extra, const char *body,
		       bool head)
{
	size_t len = strlen(body), cap = len + strlen(extra) + 512;
	char kind[128] = "";
	int n;

	if (type)
		snprintf(kind, sizeof(kind), "Content-Type: %s\r\n", type);
	out->action = RELAYD_HTTP_REPLY;
	out->text = xmalloc(cap);
	n = snprintf(out->text, cap,
		     "HTTP/1.1 %d %s\r\n%s%sContent-Length: %zu\r\n"
		     "Connection: close\r\n\r\n%s",
		     status, reason_of(status), kind, extra, len,
		     head ? "" : body);
	if (status == 204) /* has no length */
		n = snprintf(out->text, cap,
			     "HTTP/1.1 204 No Content\r\n%s"
			     "Connection: close\r\n\r\n",
			     extra);
	out->len = (size_t)n;
}

void relayd_http_error(int status, const char *why,
		       struct relayd_http_answer *out)
{
	char body[256];

	memset(out, 0, sizeof(*out));
	snprintf(body, sizeof(body), "%s\n", why);
	relayd_http_reply(out, status, RELAYD_HTTP_TEXT, "", body, false);
}

/* Everything before the query. */
static struct http_slice path_of(const struct http_req *r)
{
	struct http_slice path = r->target;
	const char *query = memchr(path.p, '?', path.n);

	if (query)
		path.n = (size_t)(query - path.p);
	return path;
}

static bool challenge_is_fine(const struct http_slice *c)
{
	size_t i;

	if (!c->n || c->n > CHALLENGE_MAX)
		return false;
	for (i = 0; i < c->n; i++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
			    "wxyz0123456789.-_:",
			    c->p[i]))
			return false;
	return true;
}

static void no_content(const struct http_req *r, struct relayd_http_answer *out)
{
	const struct http_slice *c = http_req_header(r, "X-Tailscale-Challenge");
	char extra[EXTRA_MAX];
	int n;

	n = snprintf(extra, sizeof(extra),
		     "Cache-Control: no-cache, no-store, must-revalidate, "
		     "no-transform, max-age=0\r\n");
	if (c && challenge_is_fine(c))
		snprintf(extra + n, sizeof(extra) - (size_t)n,
			 "X-Tailscale-Response: response %.*s\r\n", (int)c->n,
			 c->p);
	relayd_http_reply(out, 204, NULL, extra, "", false);
}

static void front_page(const struct relayd *server, bool head,
		       struct relayd_http_answer *out)
{
	const char *home = server->config->home;
	char extra[EXTRA_MAX];

	if (home && *home && strcmp(home, "blank") != 0) {
		snprintf(extra, sizeof(extra), "%sLocation: %s\r\n",
			 browser_headers, home);
		relayd_http_reply(out, 302, NULL, extra, "", head);
		return;
	}
	relayd_http_reply(out, 200, "text/html; charset=utf-8", browser_headers,
	      home && *home ? "" : page, head);
}

static void upgrade(const struct relayd *server, const struct http_req *r,
		    struct relayd_http_answer *out)
{
	const struct http_slice *to = http_req_header(r, "Upgrade");
	const struct http_slice *fast = http_req_header(r, "Derp-Fast-Start");
	char hex[KEY_TEXT_MAX];

	if (!server->config->derp) {
		relayd_http_error(404, "this server is no DERP relay", out);
		return;
	}
	if (!to || (!http_slice_is_nocase(to, "derp") &&
		    !http_slice_is_nocase(to, "websocket"))) {
		relayd_http_reply(out, 426, RELAYD_HTTP_TEXT, "Upgrade: DERP\r\n",
		      "DERP requires connection upgrade\n", false);
		return;
	}
	out->not_ideal = http_req_header(r, "Ideal-Node");
	if (websocket_wanted(r, "derp")) {
		out->text = xmalloc(WEBSOCKET_ANSWER_MAX);
		out->action = websocket_answer(r, "derp", out->text) == 101 ?
				      RELAYD_HTTP_WEBSOCKET :
				      RELAYD_HTTP_REPLY;
		out->len = strlen(out->text);
		return;
	}
	out->action = RELAYD_HTTP_DERP;
	if (fast && http_slice_is(fast, "1"))
		return;
	out->text = xmalloc(512);
	out->len = (size_t)snprintf(
		out->text, 512,
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n"
		"Connection: Upgrade\r\nDerp-Version: 2\r\n"
		"Derp-Public-Key: %s\r\n\r\n",
		key_format(hex, "", &server->public_key));
}

/* Host without its port, for Location; false if it could not be one. */
static bool host_of(const struct http_req *r, char *out, size_t cap)
{
	const struct http_slice *host = http_req_header(r, "Host");
	const char *colon;
	size_t i, n;

	if (!host || !host->n)
		return false;
	n = host->n;
	colon = memrchr(host->p, ':', n);
	if (colon && !memchr(colon, ']', (size_t)(host->p + n - colon)))
		n = (size_t)(colon - host->p);
	if (n >= cap)
		return false;
	for (i = 0; i < n; i++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuv"
			    "wxyz0123456789.-_[]:",
			    host->p[i]))
			return false;
	memcpy(out, host->p, n);
	out[n] = '\0';
	return n;
}

static void to_https(const struct http_req *r, struct relayd_http_answer *out)
{
	char host[256], extra[EXTRA_MAX];

	if (!host_of(r, host, sizeof(host)) || r->target.n > 512 ||
	    r->target.p[0] != '/') {
		relayd_http_error(400, "no host to redirect to", out);
		return;
	}
	snprintf(extra, sizeof(extra), "Location: https://%s%.*s\r\n", host,
		 (int)r->target.n, r->target.p);
	relayd_http_reply(out, 302, NULL, extra, "", false);
}

/* The first q=NAME of the query; "" if there is none, or it is no name. */
static void query_name(const struct http_req *r, char out[BOOTSTRAP_NAME_MAX])
{
	const char *p = memchr(r->target.p, '?', r->target.n);
	const char *end = r->target.p + r->target.n, *stop;

	*out = '\0';
	while (p && p < end) {
		p++;
		stop = memchr(p, '&', (size_t)(end - p));
		if (!stop)
			stop = end;
		if (stop - p > 2 && !memcmp(p, "q=", 2) &&
		    stop - p - 2 < BOOTSTRAP_NAME_MAX) {
			memcpy(out, p + 2, (size_t)(stop - p) - 2);
			out[stop - p - 2] = '\0';
			return;
		}
		p = stop;
	}
}

static void bootstrap(const struct relayd *server, const struct http_req *r,
		      bool head, struct relayd_http_answer *out)
{
	char name[BOOTSTRAP_NAME_MAX];
	char *json;

	query_name(r, name);
	json = relayd_bootstrap_json(server->bootstrap, name);
	relayd_http_reply(out, 200, "application/json", browser_headers, json, head);
	free(json);
}

static bool has_prefix(const struct http_slice *s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s->n >= n && !memcmp(s->p, prefix, n);
}

void relayd_http_answer(const struct relayd *server, const struct http_req *r,
			const struct endpoint *remote, bool redirect,
			struct relayd_http_answer *out)
{
	bool head = http_slice_is(&r->method, "HEAD");
	bool get = head || http_slice_is(&r->method, "GET");
	struct http_slice path = path_of(r);

	memset(out, 0, sizeof(*out));
	if (http_slice_is(&r->method, "CONNECT"))
		relayd_http_error(403, "this is no proxy", out);
	else if (http_slice_is(&path, "/generate_204"))
		no_content(r, out);
	else if (has_prefix(&path, "/debug/") ||
		 http_slice_is(&path, "/metrics"))
		relayd_debug(server, r, &path, remote, head, out);
	else if (redirect)
		to_https(r, out);
	else if (http_slice_is(&path, "/derp"))
		upgrade(server, r, out);
	else if (!get)
		relayd_http_reply(out, 405, RELAYD_HTTP_TEXT, "Allow: GET, HEAD\r\n",
		      "method not allowed\n", false);
	else if (http_slice_is(&path, "/derp/probe") ||
		 http_slice_is(&path, "/derp/latency-check"))
		relayd_http_reply(out, 200, NULL, "Access-Control-Allow-Origin: *\r\n", "",
		      head);
	else if (http_slice_is(&path, "/bootstrap-dns"))
		bootstrap(server, r, head, out);
	else if (http_slice_is(&path, "/robots.txt"))
		relayd_http_reply(out, 200, RELAYD_HTTP_TEXT, browser_headers,
		      "User-agent: *\nDisallow: /\n", head);
	else if (http_slice_is(&path, "/"))
		front_page(server, head, out);
	else
		relayd_http_error(404, "not found", out);
}
