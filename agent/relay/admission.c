// SPDX-License-Identifier: GPL-2.0
#include "relay/admission.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "lib/fetch.h"
#include "lib/json.h"
#include "lib/util.h"
#include "relay/client.h"

#define ANSWER_MAX 4096
#define WHOIS_MAX 65536
#define WHY_MAX 200

struct relayd_checks {
	struct relayd *server;
	struct relayd_admission admission;
	struct fetcher *fetcher;
};

/*
 * One client that waits. Made and freed on its worker; in between the main
 * thread has it. @client belongs to the worker.
 */
struct question {
	struct relayd_checks *checks;
	struct relayd_worker *worker;
	struct relayd_client *client; /* NULL: has gone */
	struct key key;
	struct ip_addr source;
	bool yes;
	char why[WHY_MAX];
};

static void deliver(void *arg)
{
	struct question *q = arg;

	if (q->client)
		relayd_client_admit(q->client, q->yes, q->why);
	free(q);
}

static void answer(struct question *q, bool yes, const char *fmt,
		   const char *arg)
{
	q->yes = yes;
	snprintf(q->why, sizeof(q->why), fmt, arg);
	relayd_worker_post(q->worker, deliver, q);
}

static bool allowed(const char *body, size_t len)
{
	struct json_object *o = json_parse(body, len), *allow;
	bool yes;

	allow = o && json_object_is_type(o, json_type_object) ?
			json_member(o, "Allow") :
			NULL;
	yes = allow && json_object_is_type(allow, json_type_boolean) &&
	      json_object_get_boolean(allow);
	json_object_put(o);
	return yes;
}

static void on_url(void *ctx, int status, const char *body, size_t len,
		   const char *why)
{
	struct question *q = ctx;
	char text[16];

	if (!status) {
		answer(q, q->checks->server->config->verify_fail_open,
		       "no answer from the admission controller: %s", why);
	} else if (status != 200) {
		snprintf(text, sizeof(text), "%d", status);
		answer(q, false, "the admission controller says %s", text);
	} else {
		answer(q, allowed(body, len),
		       "the admission controller does not allow it%s", "");
	}
}

static void ask_url(struct question *q)
{
	char hex[KEY_TEXT_MAX], ip[IP_TEXT_MAX], body[256];
	struct fetch_request r = {
		.url = q->checks->server->config->verify_url,
		.body = body,
		.timeout_ms = RELAYD_ADMISSION_MS,
		.max = ANSWER_MAX,
	};

	if (!r.url) {
		answer(q, true, "%s", "");
		return;
	}
	snprintf(body, sizeof(body), "{\"NodePublic\":\"%s\",\"Source\":\"%s\"}",
		 key_format(hex, KEY_NODE, &q->key), ip_format(&q->source, ip));
	fetch_start(q->checks->fetcher, &r, on_url, q);
}

static void on_whois(void *ctx, int status, const char *body, size_t len,
		     const char *why)
{
	struct question *q = ctx;
	char text[16];

	if (status == 200) {
		ask_url(q);
	} else if (status == 404) {
		answer(q, false, "the node here does not know it%s", "");
	} else if (status) {
		snprintf(text, sizeof(text), "%d", status);
		answer(q, false, "the node here says %s", text);
	} else {
		answer(q, false, "no answer from the node here: %s", why);
	}
}

/* On the main thread. */
static void begin(void *arg)
{
	struct question *q = arg;
	char hex[KEY_TEXT_MAX], url[256];
	struct fetch_request r = {
		.url = url,
		.unix_socket = q->checks->server->config->verify_socket,
		.timeout_ms = RELAYD_ADMISSION_MS,
		.max = WHOIS_MAX,
	};

	if (!r.unix_socket) {
		ask_url(q);
		return;
	}
	snprintf(url, sizeof(url),
		 "http://local-tailscaled.sock/localapi/v0/whois?addr=%s",
		 key_format(hex, KEY_NODE, &q->key));
	fetch_start(q->checks->fetcher, &r, on_whois, q);
}

static void ask(void *ctx, struct relayd_client *c)
{
	struct relayd_checks *checks = ctx;
	struct question *q;

	if (checks->server->config->mesh_only) {
		relayd_client_admit(c, false, "only mesh peers may");
		return;
	}
	q = xcalloc(1, sizeof(*q));
	q->checks = checks;
	q->worker = c->worker;
	q->client = c;
	q->key = c->seat.key;
	q->source = c->seat.endpoint.ip;
	c->admission = q;
	relayd_worker_post(checks->server->main, begin, q);
}

static void cancel(void *ctx, struct relayd_client *c)
{
	struct question *q = c->admission;

	q->client = NULL;
}

int relayd_checks_new(struct relayd *server, struct relayd_checks **out)
{
	const struct relayd_config *config = server->config;
	struct relayd_checks *c;

	*out = NULL;
	if (config->verify_url && strncmp(config->verify_url, "http://", 7) &&
	    strncmp(config->verify_url, "https://", 8))
		return -EINVAL;
	if (!config->mesh_only && !config->verify_url &&
	    !config->verify_socket)
		return 0;
	c = xcalloc(1, sizeof(*c));
	c->server = server;
	c->admission.ask = ask;
	c->admission.cancel = cancel;
	if (!config->mesh_only)
		c->fetcher = fetcher_new(server->main->base,
					 RELAYD_ADMISSION_REQUESTS);
	server->admission = &c->admission;
	server->admission_ctx = c;
	*out = c;
	return 0;
}

void relayd_checks_free(struct relayd_checks *c)
{
	if (!c)
		return;
	c->server->admission = NULL;
	fetcher_free(c->fetcher);
	free(c);
}
