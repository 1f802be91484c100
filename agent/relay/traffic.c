// SPDX-License-Identifier: GPL-2.0
#include "relay/traffic.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "relay/conn.h"
#include "relay/server.h"

struct relayd_traffic {
	struct relayd_worker *worker;
	void (*want_write)(void *ctx);
	void *ctx;
	struct event *timer;
	char *text; /* what is to be written, from @at */
	size_t len, at;
	unsigned int asked; /* workers that have not answered */
	bool gone; /* to be freed with the last answer */
};

/* To one worker and back. */
struct report {
	struct relayd_traffic *to;
	struct relayd_worker *from, *back;
	char *text;
	size_t len;
};

static void destroy(struct relayd_traffic *t)
{
	free(t->text);
	free(t);
}

/* On the viewer's worker. */
static void on_report(void *arg)
{
	struct report *r = arg;
	struct relayd_traffic *t = r->to;

	t->asked--;
	if (!t->gone) {
		t->text = xrealloc(t->text, t->len + r->len + 1, 1);
		memcpy(t->text + t->len, r->text, r->len);
		t->len += r->len;
	}
	free(r->text);
	free(r);
	if (t->asked)
		return;
	if (t->gone) {
		destroy(t);
		return;
	}
	t->text[t->len++] = '\n';
	t->want_write(t->ctx);
}

/* On the worker that is asked. */
static void on_asked(void *arg)
{
	struct report *r = arg;
	FILE *f = open_memstream(&r->text, &r->len);

	if (!f)
		abort();
	relayd_conn_traffic(r->from, f);
	fclose(f);
	relayd_worker_post(r->back, on_report, r);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct relayd_traffic *t = arg;
	const struct relayd *server = t->worker->server;
	unsigned int i;

	if (t->asked || t->text)
		return;
	t->asked = server->n_workers;
	for (i = 0; i < server->n_workers; i++) {
		struct report *r = xcalloc(1, sizeof(*r));

		r->to = t;
		r->from = server->workers[i];
		r->back = t->worker;
		relayd_worker_post(r->from, on_asked, r);
	}
}

/* Makes @t the one viewer; false if there is another. */
static bool claim(struct relayd *server, struct relayd_traffic *t)
{
	bool ok;

	pthread_mutex_lock(&server->lock);
	ok = !server->traffic;
	if (ok)
		server->traffic = t;
	pthread_mutex_unlock(&server->lock);
	return ok;
}

struct relayd_traffic *relayd_traffic_new(struct relayd_worker *w,
					  void (*want_write)(void *ctx),
					  void *ctx)
{
	static const struct timeval often = {
		.tv_sec = RELAYD_TRAFFIC_MS / 1000,
		.tv_usec = RELAYD_TRAFFIC_MS % 1000 * 1000
	};
	struct relayd_traffic *t = xcalloc(1, sizeof(*t));

	if (!claim(w->server, t)) {
		free(t);
		return NULL;
	}
	t->worker = w;
	t->want_write = want_write;
	t->ctx = ctx;
	t->timer = event_new(w->base, -1, EV_PERSIST, on_timer, t);
	event_add(t->timer, &often);
	event_active(t->timer, EV_TIMEOUT, 0);
	return t;
}

void relayd_traffic_free(struct relayd_traffic *t)
{
	struct relayd *server;

	if (!t)
		return;
	server = t->worker->server;
	pthread_mutex_lock(&server->lock);
	server->traffic = NULL;
	pthread_mutex_unlock(&server->lock);
	event_free(t->timer);
	if (t->asked)
		t->gone = true;
	else
		destroy(t);
}

size_t relayd_traffic_fill(struct relayd_traffic *t, uint8_t *buf, size_t cap)
{
	size_t n = t->asked ? 0 : t->len - t->at;

	if (n > cap)
		n = cap;
	if (!n)
		return 0;
	memcpy(buf, t->text + t->at, n);
	t->at += n;
	if (t->at == t->len) {
		free(t->text);
		t->text = NULL;
		t->len = t->at = 0;
	}
	return n;
}
