// SPDX-License-Identifier: GPL-2.0
#include "relay/debug.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/util.h"
#include "relay/metrics.h"
#include "relay/server.h"

static const char index_text[] =
	"/debug/vars     figures, JSON\n"
	"/debug/varz     figures, Prometheus; also /metrics\n"
	"/debug/check    are the figures those of the tables?\n"
	"/debug/traffic  who sends and receives, every 2 s\n";

static bool may_debug(const struct http_req *r, const struct endpoint *remote)
{
	return (ip_is_loopback(&remote->ip) || ip_is_tailscale(&remote->ip)) &&
	       !http_req_header(r, "X-Forwarded-For");
}

struct check {
	const struct relayd *server;
	FILE *f;
	bool wrong;
};

static void compare(struct check *c, const char *what, uint64_t counted,
		    int64_t there)
{
	if ((int64_t)counted == there)
		return;
	c->wrong = true;
	fprintf(c->f, "%s: %" PRId64 " counted, %" PRId64 " there\n", what,
		(int64_t)counted, there);
}

static void on_census(void *ctx, const struct relayd_census *there)
{
	struct check *c = ctx;
	struct relayd_stats counted;
	const uint64_t *v = counted.v;

	relayd_metrics_sum(c->server, &counted);
	compare(c, "connections", v[RELAYD_CONNECTIONS], there->connections);
	compare(c, "keys", v[RELAYD_CLIENTS_TOTAL], there->keys);
	compare(c, "keys here", v[RELAYD_CLIENTS_LOCAL], there->local_keys);
	compare(c, "duplicate keys", v[RELAYD_DUP_KEYS], there->dup_keys);
	compare(c, "duplicate connections", v[RELAYD_DUP_CONNS],
		there->dup_connections);
	if (!c->wrong)
		fprintf(c->f,
			"consistent: %" PRId64 " connections, %" PRId64
			" keys\n",
			there->connections, there->keys);
}

static void check(const struct relayd *server, bool head,
		  struct relayd_http_answer *out)
{
	struct check c = { .server = server };
	char *text = NULL;
	size_t len;

	c.f = open_memstream(&text, &len);
	if (!c.f)
		abort();
	relayd_table_census(server->table, on_census, &c);
	fclose(c.f);
	relayd_http_reply(out, c.wrong ? 500 : 200, RELAYD_HTTP_TEXT, "", text,
			  head);
	free(text);
}

/* Without a length: it ends with the connection. */
static void traffic(struct relayd_http_answer *out)
{
	out->action = RELAYD_HTTP_TRAFFIC;
	out->text = xstrdup("HTTP/1.1 200 OK\r\n"
			    "Content-Type: application/json\r\n"
			    "Connection: close\r\n\r\n");
	out->len = strlen(out->text);
}

static void figures(char *text, const char *type, bool head,
		    struct relayd_http_answer *out)
{
	relayd_http_reply(out, 200, type, "", text, head);
	free(text);
}

void relayd_debug(const struct relayd *server, const struct http_req *r,
		  const struct http_slice *path, const struct endpoint *remote,
		  bool head, struct relayd_http_answer *out)
{
	if (!may_debug(r, remote))
		relayd_http_error(403, "debug access denied", out);
	else if (http_slice_is(path, "/debug/varz") ||
		 http_slice_is(path, "/metrics"))
		figures(relayd_metrics_text(server),
			"text/plain; version=0.0.4; charset=utf-8", head, out);
	else if (http_slice_is(path, "/debug/vars"))
		figures(relayd_metrics_vars(server),
			"application/json; charset=utf-8", head, out);
	else if (http_slice_is(path, "/debug/check"))
		check(server, head, out);
	else if (http_slice_is(path, "/debug/traffic") && !head)
		traffic(out);
	else
		relayd_http_reply(out,
				  http_slice_is(path, "/debug/") ? 200 : 404,
				  RELAYD_HTTP_TEXT, "", index_text, head);
}
