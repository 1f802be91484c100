// SPDX-License-Identifier: GPL-2.0
/* Who may log in to a relay: its checks against an admission controller. */
#include "relay/admission.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#include "relayd.h"
#include "tap.h"

static struct core core;
static struct relayd_config config;
static struct evhttp *http;
static char url[64], asked[256];
static struct {
	int status; /* 0: no answer at all */
	const char *body;
} reply;

static void on_request(struct evhttp_request *r, void *arg)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(r), *out;
	ssize_t n = evbuffer_copyout(in, asked, sizeof(asked) - 1);

	asked[n > 0 ? n : 0] = '\0';
	if (evhttp_request_get_command(r) != EVHTTP_REQ_POST)
		asked[0] = '\0';
	out = evbuffer_new();
	evbuffer_add(out, reply.body, strlen(reply.body));
	evhttp_send_reply(r, reply.status, "Whatever", out);
	evbuffer_free(out);
}

/* A controller on the loopback; its port. */
static uint16_t serve(void)
{
	struct sockaddr_in a = { 0 };
	socklen_t len = sizeof(a);
	struct evhttp_bound_socket *s;

	http = evhttp_new(core.w->base);
	s = evhttp_bind_socket_with_handle(http, "127.0.0.1", 0);
	if (!s || getsockname(evhttp_bound_socket_get_fd(s),
			      (struct sockaddr *)&a, &len))
		abort();
	evhttp_set_gencb(http, on_request, NULL);
	return ntohs(a.sin_port);
}

/* 1: logged in, 0: thrown out, -1: neither in 20 s. */
static int login(struct peer *p)
{
	uint64_t start = now_ns();

	peer_open(p, &core);
	peer_hello(p, NULL);
	while (!p->logged_in && !p->closed && now_ns() - start < 20 * SEC_NS)
		event_base_loop(core.w->base, EVLOOP_ONCE);
	return p->logged_in ? 1 : p->closed ? 0 : -1;
}

static int login_once(void)
{
	struct peer p;
	int ret = login(&p);

	peer_close(&p);
	return ret;
}

static struct relayd_checks *checks_new(void)
{
	struct relayd_checks *c = NULL;

	if (relayd_checks_new(&core.server, &c))
		abort();
	return c;
}

static int with_reply(int status, const char *body)
{
	reply.status = status;
	reply.body = body;
	return login_once();
}

static void test_url(void)
{
	struct relayd_checks *c;
	char hex[KEY_TEXT_MAX], want[256];
	struct peer p;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u/admit", serve());
	config.verify_url = url;
	config.verify_fail_open = true;
	c = checks_new();
	reply.status = 200;
	reply.body = "{\"Allow\":true}";
	tap_ok(login(&p) == 1 && !p.paused, "the controller allows it");
	snprintf(want, sizeof(want),
		 "{\"NodePublic\":\"%s\",\"Source\":\"192.0.2.1\"}",
		 key_format(hex, KEY_NODE, &p.public_key));
	tap_ok(!strcmp(asked, want), "it was asked about the right one");
	peer_close(&p);
	tap_ok(!with_reply(200, "{\"Allow\":false}"), "it does not");
	tap_ok(!with_reply(200, "{}") && !with_reply(200, "[true]") &&
		       !with_reply(200, "yes") &&
		       !with_reply(200, "{\"Allow\":\"true\"}"),
	       "something else is no yes");
	tap_ok(!with_reply(403, "{\"Allow\":true}") &&
		       !with_reply(302, "{\"Allow\":true}"),
	       "nor is another status, also when silence is");
	tap_ok(stat_of(&core, RELAYD_REJECTED) == 7, "all were counted");

	peer_open(&p, &core);
	peer_hello(&p, NULL);
	peer_close(&p);
	tap_ok(with_reply(200, "{\"Allow\":true}") == 1,
	       "one that leaves while it is asked about does no harm");

	evhttp_free(http);
	tap_ok(login_once() == 1, "no controller: everybody may");
	config.verify_fail_open = false;
	tap_ok(!login_once(), "or nobody");
	relayd_checks_free(c);
	config.verify_url = NULL;
}

static void test_others(void)
{
	struct relayd_checks *c = NULL;

	config.verify_url = "ftp://127.0.0.1/";
	tap_ok(relayd_checks_new(&core.server, &c) && !c,
	       "a URL of another kind is refused");
	config.verify_url = NULL;
	c = checks_new();
	tap_ok(!c && login_once() == 1, "without checks everybody may");
	config.mesh_only = true;
	c = checks_new();
	tap_ok(!login_once(), "mesh peers only");
	relayd_checks_free(c);
	config.mesh_only = false;
	config.verify_socket = "/nonexistent/socket";
	config.verify_fail_open = true;
	c = checks_new();
	tap_ok(!login_once(), "no node here to ask");
	relayd_checks_free(c);
}

int main(void)
{
	if (sodium_init() < 0)
		return 1;
	unsetenv("http_proxy");
	core_start(&core);
	core.server.config = &config;
	test_url();
	test_others();
	core_stop(&core);
	return tap_done();
}
