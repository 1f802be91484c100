// SPDX-License-Identifier: GPL-2.0
#include "control/internal.h"

#include <event2/event.h>
#include <sodium.h>
#include <string.h>
#include <utlist.h>

#include "control/c2n.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/util.h"

/* PingRequest (control.md 5.10), answered beside the map stream. */

#define PING_LIMIT_MS 15000
#define PAYLOAD_MAX (64u << 10)

struct ping {
	struct control *c;
	struct https *https;	      /* either this */
	struct ts2021_stream *stream; /* or this */
	struct event *timer;	      /* for the stream */
	struct ping *prev, *next;
};

static void ping_free(struct ping *p)
{
	DL_DELETE(p->c->pings, p);
	https_cancel(p->https);
	ts2021_cancel(p->stream);
	event_free(p->timer);
	free(p);
}

static void on_https(void *ctx, int status, const char *body, size_t len,
		     const char *why)
{
	struct ping *p = ctx;

	p->https = NULL;
	log_debug("control: ping answered: %d %s", status, why ? why : "");
	ping_free(p);
}

static void on_end(void *ctx, const char *error)
{
	struct ping *p = ctx;

	p->stream = NULL;
	log_debug("control: ping answered: %s", error ? error : "done");
	ping_free(p);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	ping_free(arg);
}

static struct ping *ping_new(struct control *c)
{
	struct ping *p, *it;
	int n = 0;

	DL_COUNT(c->pings, it, n);
	if (n >= PINGS_MAX) {
		log_debug("control: too many pings at once");
		return NULL;
	}
	p = xcalloc(1, sizeof(*p));
	p->c = c;
	p->timer = evtimer_new(c->base, on_timer, p);
	DL_APPEND(c->pings, p);
	return p;
}

/* @method and @body to the path of @url, inside of Noise. */
static void over_noise(struct ping *p, const char *method,
		       const struct url *url, const uint8_t *body, size_t n)
{
	static const struct ts2021_stream_ops ops = {.end = on_end};
	static const struct timeval limit = {.tv_sec = 60};
	struct ts2021_request req = {.method = method,
				     .path = *url->path ? url->path : "/",
				     .authority = p->c->authority,
				     .body = body,
				     .body_len = n};

	p->stream =
		p->c->conn ? ts2021_submit(p->c->conn, &req, &ops, p) : NULL;
	if (p->stream)
		evtimer_add(p->timer, &limit);
	else
		ping_free(p);
}

static void answer_c2n(struct control *c, struct json_object *req,
		       const struct url *url)
{
	struct json_object *v = json_member(req, "Payload");
	const char *text = v ? json_text(v) : NULL;
	_cleanup_free_ uint8_t *in = NULL, *out = NULL;
	size_t n, len;
	struct ping *p;

	if (!text || strlen(text) > PAYLOAD_MAX)
		return;
	in = xmalloc(strlen(text) + 1);
	if (sodium_base642bin(in, strlen(text) + 1, text, strlen(text), NULL,
			      &n, NULL, sodium_base64_VARIANT_ORIGINAL))
		return;
	out = c2n_answer(in, n, &len);
	if (!out)
		return;
	p = ping_new(c);
	if (p)
		over_noise(p, "POST", url, out, len);
}

void ping_request(struct control *c, struct json_object *req)
{
	struct json_object *v = json_member(req, "URL");
	const char *text = v ? json_text(v) : NULL, *types;
	bool noise = false;
	struct ping *p;
	struct url url;

	if (!text || (c->last_ping && !strcmp(c->last_ping, text)) ||
	    url_parse(&url, text))
		return;
	free(c->last_ping);
	c->last_ping = xstrdup(text);
	v = json_member(req, "Types");
	types = v ? json_text(v) : "";
	v = json_member(req, "URLIsNoise");
	if (v)
		json_get_bool(v, &noise, NULL);
	if (types && !strcmp(types, "c2n")) {
		answer_c2n(c, req, &url);
	} else if (types && !*types) {
		p = ping_new(c);
		if (!p)
			return;
		if (noise)
			over_noise(p, "HEAD", &url, NULL, 0);
		else
			p->https = https_start(c->base, c->dialer, "HEAD", &url,
					       PING_LIMIT_MS, on_https, p);
	} else {
		/* Nothing is posted for a ping that does not succeed. */
		log_debug("control: ping of type %s is not supported",
			  types ? types : "?");
	}
}

/* Only those inside of the connection went with it. */
void ping_lost(struct control *c)
{
	struct ping *p, *tmp;

	DL_FOREACH_SAFE(c->pings, p, tmp)
	{
		if (p->https)
			continue;
		p->stream = NULL;
		ping_free(p);
	}
}

void ping_uninit(struct control *c)
{
	struct ping *p, *tmp;

	DL_FOREACH_SAFE(c->pings, p, tmp)
	ping_free(p);
	free(c->last_ping);
}
