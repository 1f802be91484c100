// SPDX-License-Identifier: GPL-2.0
#include "lib/fetch.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <utlist.h>

#include "lib/util.h"

struct fetcher {
	struct event_base *base;
	CURLM *multi;
	struct event *timer;
	struct fetch *running;
};

struct fetch {
	struct fetcher *fetcher;
	CURL *easy;
	struct curl_slist *headers;
	void (*done)(void *ctx, int status, const char *body, size_t len,
		     const char *why);
	void *ctx;
	char *body;
	size_t len, max;
	bool over; /* the answer is longer than @max */
	char why[CURL_ERROR_SIZE];
	struct fetch *prev, *next;
};

static void fetch_free(struct fetch *r)
{
	curl_multi_remove_handle(r->fetcher->multi, r->easy);
	curl_easy_cleanup(r->easy);
	curl_slist_free_all(r->headers);
	DL_DELETE(r->fetcher->running, r);
	free(r->body);
	free(r);
}

void fetch_cancel(struct fetch *r)
{
	if (r)
		fetch_free(r);
}

static void finish(struct fetch *r, CURLcode result)
{
	void (*done)(void *ctx, int status, const char *body, size_t len,
		     const char *why) = r->done;
	char why[CURL_ERROR_SIZE] = "";
	char *body = r->body;
	size_t len = r->len;
	void *ctx = r->ctx;
	long status = 0;

	if (result == CURLE_OK)
		curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	else if (r->over)
		snprintf(why, sizeof(why), "the answer is too long");
	else
		snprintf(why, sizeof(why), "%s",
			 r->why[0] ? r->why : curl_easy_strerror(result));
	r->body = NULL;
	fetch_free(r);
	done(ctx, (int)status, body, len, why);
	free(body);
}

/* A callback may cancel others, so look anew after each. */
static void reap(struct fetcher *f)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(f->multi, &left))) {
		CURLcode result = m->data.result;
		struct fetch *r;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &r);
		finish(r, result);
	}
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
	struct fetcher *f = arg;
	int running;

	curl_multi_socket_action(f->multi, (curl_socket_t)fd,
				 (what & EV_READ ? CURL_CSELECT_IN : 0) |
					 (what & EV_WRITE ? CURL_CSELECT_OUT :
							    0),
				 &running);
	reap(f);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct fetcher *f = arg;
	int running;

	curl_multi_socket_action(f->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	reap(f);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *ctx,
			void *socket_ctx)
{
	struct fetcher *f = ctx;
	struct event *ev = socket_ctx;
	short events = EV_PERSIST;

	if (ev)
		event_free(ev);
	ev = NULL;
	if (what != CURL_POLL_REMOVE) {
		if (what & CURL_POLL_IN)
			events |= EV_READ;
		if (what & CURL_POLL_OUT)
			events |= EV_WRITE;
		ev = event_new(f->base, fd, events, on_socket, f);
		event_add(ev, NULL);
	}
	curl_multi_assign(f->multi, fd, ev);
	return 0;
}

static int set_timer(CURLM *multi, long ms, void *ctx)
{
	struct fetcher *f = ctx;
	struct timeval tv = { .tv_sec = ms / 1000,
			      .tv_usec = ms % 1000 * 1000 };

	if (ms < 0)
		event_del(f->timer);
	else
		event_add(f->timer, &tv);
	return 0;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct fetch *r = ctx;

	n *= size;
	if (n > r->max - r->len) {
		r->over = true;
		return 0;
	}
	memcpy(r->body + r->len, data, n);
	r->len += n;
	r->body[r->len] = '\0';
	return n;
}

static void add_header(struct fetch *r, const char *name, const char *value)
{
	size_t n = strlen(name) + strlen(value) + 3;
	char *line = xmalloc(n);

	snprintf(line, n, "%s: %s", name, value);
	r->headers = curl_slist_append(r->headers, line);
	sodium_memzero(line, n); /* may hold a secret */
	free(line);
}

/* As all other TLS here: the environment says where the roots are. */
static void set_roots(CURL *e)
{
	const char *file = getenv("SSL_CERT_FILE"), *dir = getenv("SSL_CERT_DIR");

	if (file && *file)
		curl_easy_setopt(e, CURLOPT_CAINFO, file);
	if (dir && *dir)
		curl_easy_setopt(e, CURLOPT_CAPATH, dir);
}

struct fetch *fetch_start(struct fetcher *f, const struct fetch_request *q,
			  void (*done)(void *ctx, int status, const char *body,
				       size_t len, const char *why),
			  void *ctx)
{
	struct fetch *r = xcalloc(1, sizeof(*r));
	CURL *e = curl_easy_init();

	if (!e)
		abort();
	r->fetcher = f;
	r->easy = e;
	r->done = done;
	r->ctx = ctx;
	r->max = q->max;
	r->body = xcalloc(1, q->max + 1);
	curl_easy_setopt(e, CURLOPT_URL, q->url);
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)q->timeout_ms);
	curl_easy_setopt(e, CURLOPT_PRIVATE, r);
	curl_easy_setopt(e, CURLOPT_ERRORBUFFER, r->why);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
	if (q->unix_socket) {
		curl_easy_setopt(e, CURLOPT_UNIX_SOCKET_PATH, q->unix_socket);
		curl_easy_setopt(e, CURLOPT_PROXY, "");
	}
	if (q->ca_file)
		curl_easy_setopt(e, CURLOPT_CAINFO, q->ca_file);
	else
		set_roots(e);
	if (q->authorization)
		add_header(r, "Authorization", q->authorization);
	if (q->body) {
		add_header(r, "Content-Type",
			   q->type ? q->type : "application/json");
		curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, q->body);
	}
	curl_easy_setopt(e, CURLOPT_HTTPHEADER, r->headers);
	DL_APPEND(f->running, r);
	curl_multi_add_handle(f->multi, e);
	return r;
}

struct fetcher *fetcher_new(struct event_base *base,
			    unsigned int max_connections)
{
	struct fetcher *f = xcalloc(1, sizeof(*f));

	curl_global_init(CURL_GLOBAL_DEFAULT);
	f->base = base;
	f->timer = evtimer_new(base, on_timer, f);
	f->multi = curl_multi_init();
	if (!f->multi)
		abort();
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
	curl_multi_setopt(f->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
			  (long)max_connections);
	return f;
}

void fetcher_free(struct fetcher *f)
{
	if (!f)
		return;
	while (f->running)
		fetch_free(f->running);
	curl_multi_cleanup(f->multi);
	event_free(f->timer);
	free(f);
	curl_global_cleanup();
}
