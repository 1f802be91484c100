// SPDX-License-Identifier: GPL-2.0
/* What the relay answers over HTTP. */
#include "relayd.h"

#include <event2/event.h>
#include <json-c/json.h>
#include <stdio.h>

#include "relay/bootstrap.h"
#include "relay/http.h"
#include "tap.h"

static struct core core;
static struct relayd_config config = { .derp = true };
static struct endpoint stranger = { .ip = { .family = 4, .b = { 192, 0, 2 } } };
static struct endpoint local = { .ip = { .family = 4, .b = { 127, 0, 0, 1 } } };
static struct relayd_http_answer a;

/* The answer to a request of these lines, from @remote. */
static const char *ask(const char *lines, const struct endpoint *remote,
		       bool redirect)
{
	struct http_req r;
	const char *why;
	char text[2048];

	free(a.text);
	snprintf(text, sizeof(text), "%s\r\n\r\n", lines);
	if (http_req_parse(text, strlen(text), &r, &why) <= 0)
		abort();
	relayd_http_answer(&core.server, &r, remote, redirect, &a);
	return a.text ? a.text : "";
}

static bool has(const char *text, const char *what)
{
	return strstr(text, what);
}

static bool status(const char *text, int n)
{
	char line[16];

	snprintf(line, sizeof(line), "HTTP/1.1 %d ", n);
	return !strncmp(text, line, strlen(line));
}

#define GET(path) ask("GET " path " HTTP/1.1\r\nHost: derp.test", &stranger, \
		      false)

static void test_upgrade(void)
{
	char key[KEY_TEXT_MAX];
	const char *t;

	t = ask("GET /derp HTTP/1.1\r\nUpgrade: DERP", &stranger, false);
	tap_ok(status(t, 101) && a.action == RELAYD_HTTP_DERP &&
		       has(t, "\r\nUpgrade: DERP\r\n") &&
		       has(t, "\r\nConnection: Upgrade\r\n") &&
		       has(t, "\r\nDerp-Version: 2\r\n") &&
		       has(t, key_format(key, "", &core.server.public_key)) &&
		       !strcmp(t + strlen(t) - 4, "\r\n\r\n"),
	       "an upgrade");
	tap_ok(!a.not_ideal, "to the ideal node");
	ask("GET /derp HTTP/1.1\r\nUpgrade: derp\r\nDerp-Fast-Start: 1\r\n"
	    "Ideal-Node: 1a",
	    &stranger, false);
	tap_ok(!a.text && a.action == RELAYD_HTTP_DERP && a.not_ideal,
	       "a fast start has no answer; to another node");
	t = ask("GET /derp HTTP/1.1\r\nUpgrade: WebSocket", &stranger, false);
	tap_ok(status(t, 101) && a.action == RELAYD_HTTP_DERP,
	       "the old spelling");
	tap_ok(status(GET("/derp"), 426) &&
		       has(a.text, "DERP requires connection upgrade"),
	       "no upgrade");
	t = ask("GET /derp HTTP/1.1\r\nUpgrade: h2c", &stranger, false);
	tap_ok(status(t, 426), "an upgrade to something else");
	config.derp = false;
	t = ask("GET /derp HTTP/1.1\r\nUpgrade: DERP", &stranger, false);
	tap_ok(status(t, 404), "a server that is no relay");
	tap_ok(status(GET("/derp/probe"), 200), "can still be probed");
	config.derp = true;
}

static void test_pages(void)
{
	const char *t;

	t = GET("/derp/latency-check");
	tap_ok(status(t, 200) && has(t, "Access-Control-Allow-Origin: *\r\n") &&
		       has(t, "Content-Length: 0\r\n"),
	       "latency-check");
	t = ask("POST /derp/probe HTTP/1.1\r\nContent-Length: 0", &stranger,
		false);
	tap_ok(status(t, 405), "probe by POST");
	t = ask("GET /generate_204 HTTP/1.1\r\nX-Tailscale-Challenge: ts_a:b-C.9",
		&stranger, false);
	tap_ok(status(t, 204) &&
		       has(t, "X-Tailscale-Response: response ts_a:b-C.9\r\n") &&
		       has(t, "no-store"),
	       "generate_204 with a challenge");
	t = ask("GET /generate_204 HTTP/1.1\r\nX-Tailscale-Challenge: a b",
		&stranger, false);
	tap_ok(status(t, 204) && !has(t, "X-Tailscale-Response"),
	       "a challenge of other characters");
	t = ask("GET /generate_204 HTTP/1.1\r\nX-Tailscale-Challenge: "
		"0123456789012345678901234567890123456789012345678901234567890"
		"1234",
		&stranger, true);
	tap_ok(status(t, 204) && !has(t, "X-Tailscale-Response"),
	       "one too long");
	t = GET("/robots.txt");
	tap_ok(has(t, "\r\n\r\nUser-agent: *\nDisallow: /\n") &&
		       has(t, "X-Frame-Options: DENY"),
	       "robots.txt");
	tap_ok(status(GET("/"), 200) && has(a.text, "text/html"), "/");
	t = ask("HEAD / HTTP/1.1", &stranger, false);
	tap_ok(status(t, 200) && !has(t, "<html>"), "HEAD has no body");
	config.home = "https://example.com/";
	tap_ok(status(GET("/"), 302) &&
		       has(a.text, "Location: https://example.com/\r\n"),
	       "/ elsewhere");
	config.home = "blank";
	tap_ok(status(GET("/"), 200) && !has(a.text, "<html>"), "/ blank");
	config.home = NULL;
	tap_ok(status(GET("/nothing"), 404), "nothing else");
	t = ask("CONNECT example.com:443 HTTP/1.1", &stranger, false);
	tap_ok(status(t, 403), "CONNECT");
}

static void test_redirect(void)
{
	const char *t;

	t = ask("GET /a?b HTTP/1.1\r\nHost: derp.test:80", &stranger, true);
	tap_ok(status(t, 302) &&
		       has(t, "Location: https://derp.test/a?b\r\n"),
	       "the plain port sends to the other");
	t = ask("GET / HTTP/1.1\r\nHost: [2001:db8::1]", &stranger, true);
	tap_ok(has(t, "Location: https://[2001:db8::1]/\r\n"), "an IPv6 host");
	t = ask("GET / HTTP/1.1\r\nHost: evil/path", &stranger, true);
	tap_ok(status(t, 400), "no host");
	t = ask("GET /derp HTTP/1.1\r\nHost: a\r\nUpgrade: DERP", &stranger,
		true);
	tap_ok(status(t, 302), "no DERP without TLS");
}

static void test_debug(void)
{
	struct endpoint tailnet = { .ip = ip_v4(100, 64, 0, 1) };
	const char *t;

	tap_ok(status(GET("/debug/varz"), 403), "figures are not for strangers");
	t = ask("GET /debug/varz HTTP/1.1", &local, false);
	tap_ok(status(t, 200) &&
		       has(t, "\n# TYPE derp_current_connections gauge\n"
			      "derp_current_connections 0\n") &&
		       has(t, "derp_packets_dropped{reason=\"queue_head\","
			      "kind=\"disco\"} 0\n"),
	       "but for this machine");
	t = ask("GET /metrics HTTP/1.1", &tailnet, false);
	tap_ok(status(t, 200), "and the tailnet");
	t = ask("GET /metrics HTTP/1.1\r\nX-Forwarded-For: 127.0.0.1", &local,
		false);
	tap_ok(status(t, 403), "not through a proxy");
	tap_ok(status(GET("/metrics"), 403), "/metrics neither");
	tap_ok(status(GET("/debug/check"), 403) &&
		       status(GET("/debug/traffic"), 403) &&
		       a.action == RELAYD_HTTP_REPLY,
	       "nor the rest");
	t = ask("GET /debug/ HTTP/1.1", &local, false);
	tap_ok(status(t, 200) && has(t, "/debug/traffic"), "what there is");
	t = ask("GET /debug/pprof HTTP/1.1", &local, false);
	tap_ok(status(t, 404), "what there is not");
}

static int64_t number(json_object *o, const char *a1, const char *a2,
		      const char *a3)
{
	if (a1 && !json_object_object_get_ex(o, a1, &o))
		return -1;
	if (!json_object_object_get_ex(o, a2, &o) ||
	    (a3 && !json_object_object_get_ex(o, a3, &o)))
		return -1;
	return json_object_get_int64(o);
}

static void test_vars(void)
{
	json_object *o, *drops;
	const char *t;

	relayd_count(&core.w->stats, RELAYD_RECEIVED_DISCO, 7);
	relayd_count(&core.w->stats, RELAYD_WATCHERS, 3);
	relayd_dropped(&core.w->stats, RELAYD_QUEUE_HEAD, 1, 100);
	t = ask("GET /debug/vars HTTP/1.1", &local, false);
	o = json_tokener_parse(strstr(t, "\r\n\r\n") + 4);
	tap_ok(status(t, 200) && has(t, "application/json") && o, "vars");
	tap_ok(number(o, "derp", "gauge_watchers", NULL) == 3, "vars: a gauge");
	tap_ok(number(o, "derp", "packets_received", NULL) == 0,
	       "vars: a counter");
	tap_ok(number(o, "derp", "counter_packets_received_kind", "disco") == 7,
	       "vars: one with a label");
	tap_ok(number(o, NULL, "derp_websocket_accepts", NULL) == 0,
	       "vars: one outside of the groups");
	tap_ok(json_object_object_get_ex(o, "derp_bytes_dropped", &drops) &&
		       number(drops, "queue_head", "disco", NULL) == 100,
	       "vars: one with two labels");
	json_object_put(o);
	relayd_count(&core.w->stats, RELAYD_RECEIVED_DISCO, -7);
	relayd_count(&core.w->stats, RELAYD_WATCHERS, -3);
}

static void test_check(void)
{
	struct peer p, q;
	const char *t;

	peer_start(&p, &core);
	peer_open(&q, &core);
	q.private_key = p.private_key; /* a second one of the same key */
	q.public_key = p.public_key;
	peer_hello(&q, NULL);
	t = ask("GET /debug/check HTTP/1.1", &local, false);
	tap_ok(status(t, 200) && has(t, "consistent: 2 connections, 1 keys"),
	       "a check");
	relayd_count(&core.w->stats, RELAYD_DUP_CONNS, 1);
	t = ask("GET /debug/check HTTP/1.1", &local, false);
	tap_ok(status(t, 500) &&
		       has(t, "duplicate connections: 3 counted, 2 there"),
	       "a check finds what is wrong");
	relayd_count(&core.w->stats, RELAYD_DUP_CONNS, -1);
	peer_close(&p);
	peer_close(&q);
	t = ask("GET /debug/check HTTP/1.1", &local, false);
	tap_ok(status(t, 200) && has(t, "consistent: 0 connections, 0 keys"),
	       "a check when all have gone");
}

static void test_bootstrap(void)
{
	tap_ok(status(GET("/bootstrap-dns?q=x"), 200) &&
		       has(a.text, "application/json") &&
		       has(a.text, "\r\n\r\n{}"),
	       "bootstrap DNS without names");
	/* Literals take no name server. */
	core.server.bootstrap = relayd_bootstrap_new(core.w->base,
						     "192.0.2.7,2001:db8::7",
						     "192.0.2.8");
	event_base_loop(core.w->base, EVLOOP_NONBLOCK);
	tap_ok(has(GET("/bootstrap-dns?q=other"),
		   "{\"192.0.2.7\":[\"192.0.2.7\"],"
		   "\"2001:db8::7\":[\"2001:db8::7\"]}"),
	       "what is published goes to everybody");
	tap_ok(has(GET("/bootstrap-dns?a=b&q=192.0.2.8"),
		   "\r\n\r\n{\"192.0.2.8\":[\"192.0.2.8\"]}"),
	       "what is not, alone to who asks for it");
	relayd_bootstrap_free(core.server.bootstrap);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	core_start(&core);
	core.server.config = &config;
	test_upgrade();
	test_pages();
	test_redirect();
	test_debug();
	test_vars();
	test_check();
	test_bootstrap();
	free(a.text);
	core_stop(&core);
	return tap_done();
}
