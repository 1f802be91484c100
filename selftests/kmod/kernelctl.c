// SPDX-License-Identifier: GPL-2.0
/*
 * The engine's place taken by a script: commands on standard input build a
 * state and paths and hand them to a real kernel process; what it reports goes
 * to standard output, a line each. The first line names its process id.
 */
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "kernel/kernel.h"
#include "kernel/list.h"
#include "kernel/process.h"
#include "lib/log.h"
#include "lib/util.h"

#define NOBODY 65534

struct ctl {
	struct event_base *base;
	struct kernel *kernel;
	struct kernel_state state;
	struct kernel_rule rule;
	int steer[2];
};

static struct tailrace_addr any = { .kind = TAILRACE_ADDR_ANY };
static struct tailrace_dst everywhere = { .addr = { .kind = TAILRACE_ADDR_ANY },
					  .port_last = 65535 };

static void line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void line(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static void on_applied(void *ctx, int link, uint16_t port, const char *error)
{
	line("applied %d %u %s", link, port, error);
}

static void on_active(void *ctx, uint32_t peer)
{
	line("active %u", peer);
}

static void on_idle(void *ctx, uint32_t peer)
{
	line("idle %u", peer);
}

static void on_roamed(void *ctx, uint32_t peer, const struct endpoint *e)
{
	char text[ENDPOINT_TEXT_MAX];

	line("roamed %u %s", peer, endpoint_format(e, text));
}

static void on_tsmp(void *ctx, const struct ip_addr *src,
		    const struct ip_addr *dst, const uint8_t *data, size_t n)
{
	char from[IP_TEXT_MAX], to[IP_TEXT_MAX];

	line("tsmp %s %s %zu %c", ip_format(src, from), ip_format(dst, to), n,
	     data[0]);
}

static void on_link(void *ctx)
{
	line("link");
}

static void on_lost(void *ctx)
{
	struct ctl *c = ctx;

	line("lost");
	event_base_loopbreak(c->base);
}

static void on_stats(void *ctx, const struct kernel_peer_stats *s, size_t n,
		     const char *json)
{
	char text[ENDPOINT_TEXT_MAX];
	size_t i;

	for (i = 0; i < n; i++)
		line("peer %u %s rx %llu tx %llu", s[i].peer,
		     endpoint_format(&s[i].endpoint, text),
		     (unsigned long long)s[i].rx_bytes,
		     (unsigned long long)s[i].tx_bytes);
	line("stats %s", json);
}

static const struct kernel_ops ops = {
	.applied = on_applied,
	.peer_active = on_active,
	.peer_idle = on_idle,
	.roamed = on_roamed,
	.tsmp = on_tsmp,
	.link_changed = on_link,
	.lost = on_lost,
};

static char *word(char **rest)
{
	char *w;

	do
		w = strsep(rest, " ");
	while (w && !*w);
	return w;
}

static void need(bool good, const char *what)
{
	if (good)
		return;
	line("bad %s", what);
	exit(2);
}

static void add_prefixes(struct prefix **list, size_t *n, char **rest)
{
	struct prefix p;
	char *w;

	while ((w = word(rest))) {
		need(!prefix_parse(&p, w), w);
		*list_add(*list, n) = p;
	}
}

static void add_peer(struct ctl *c, char **rest)
{
	struct kernel_peer *p = list_add(c->state.peers, &c->state.n_peers);
	char *w = word(rest);

	need(w, "peer id");
	p->id = (uint32_t)strtoul(w, NULL, 10);
	w = word(rest);
	need(w && !key_parse(&p->public_key, "", w), "peer key");
	add_prefixes(&p->allowed_ips, &p->n_allowed_ips, rest);
	p->addrs = list_copy(p->allowed_ips, p->n_allowed_ips,
			     sizeof(*p->addrs));
	p->n_addrs = p->n_allowed_ips;
}

/* The last peer's disco key; ours and the secret are made up. */
static void add_disco(struct ctl *c, const char *text)
{
	struct kernel_peer *p = &c->state.peers[c->state.n_peers - 1];

	need(c->state.n_peers && !key_parse(&p->disco, "", text), "disco");
	memset(&c->state.disco, 1, sizeof(c->state.disco));
	memset(&p->disco_shared, 2, sizeof(p->disco_shared));
}

static void set_path(struct ctl *c, char **rest)
{
	struct kernel_path p = { 0 };
	char *w = word(rest);

	need(w, "path");
	p.peer = (uint32_t)strtoul(w, NULL, 10);
	w = word(rest);
	need(w && !endpoint_parse(&p.canonical, w), "canonical");
	while ((w = word(rest)) && p.n_seen < TAILRACE_MAX_ALIASES)
		need(!endpoint_parse(&p.seen[p.n_seen++], w), w);
	kernel_set_path(c->kernel, &p);
}

static void open_steer(struct ctl *c, const char *family)
{
	int i = family && *family == '6';
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	struct endpoint e;
	char text[ENDPOINT_TEXT_MAX];

	close_cleanup(&c->steer[i]);
	c->steer[i] = kernel_socket_steer(c->kernel, i ? AF_INET6 : AF_INET);
	need(c->steer[i] >= 0, "steer");
	getsockname(c->steer[i], (struct sockaddr *)&ss, &n);
	endpoint_from_sockaddr(&e, (struct sockaddr *)&ss);
	line("steer %s", endpoint_format(&e, text));
}

/* Where the steer socket's packets leave from now. */
static void show_steer(struct ctl *c)
{
	struct sockaddr_storage ss;
	socklen_t n = sizeof(ss);
	struct endpoint e = { 0 };

	if (!getsockname(c->steer[0], (struct sockaddr *)&ss, &n))
		endpoint_from_sockaddr(&e, (struct sockaddr *)&ss);
	line("steer-port %u", e.port);
}

static void clear(struct ctl *c)
{
	struct kernel_state *s = &c->state;
	size_t i;

	for (i = 0; i < s->n_peers; i++) {
		free(s->peers[i].allowed_ips);
		free(s->peers[i].addrs);
	}
	free(s->peers);
	free(s->addrs);
	free(s->routes);
	memset(s, 0, sizeof(*s));
	strcpy(s->ifname, "tailrace0");
	s->mtu = 1280;
	s->up = true;
	s->local = &any;
	s->n_local = 1;
	s->have_policy = true;
	c->rule = (struct kernel_rule){ .id = 1, .src = &any, .n_src = 1,
					.dst = &everywhere, .n_dst = 1 };
	s->rules = &c->rule;
	s->n_rules = 1;
}

static void command(struct ctl *c, char *text)
{
	struct kernel_state *s = &c->state;
	char *rest = text, *verb = word(&rest);

	if (!verb)
		return;
	if (!strcmp(verb, "clear")) {
		clear(c);
	} else if (!strcmp(verb, "if")) {
		snprintf(s->ifname, sizeof(s->ifname), "%s", word(&rest));
	} else if (!strcmp(verb, "key")) {
		need(!key_parse(&s->private_key, "", word(&rest)), "key");
	} else if (!strcmp(verb, "port")) {
		s->port = (uint16_t)atoi(word(&rest));
	} else if (!strcmp(verb, "addr")) {
		add_prefixes(&s->addrs, &s->n_addrs, &rest);
	} else if (!strcmp(verb, "route")) {
		add_prefixes(&s->routes, &s->n_routes, &rest);
	} else if (!strcmp(verb, "peer")) {
		add_peer(c, &rest);
	} else if (!strcmp(verb, "disco")) {
		add_disco(c, word(&rest));
	} else if (!strcmp(verb, "dport")) {
		char *w = word(&rest);

		everywhere.port_first = (uint16_t)atoi(w);
		everywhere.port_last = (uint16_t)atoi(w);
	} else if (!strcmp(verb, "deny")) {
		s->n_rules = 0;
	} else if (!strcmp(verb, "nopolicy")) {
		s->have_policy = false;
	} else if (!strcmp(verb, "max-stale")) {
		s->settings.max_stale = (uint32_t)atoi(word(&rest));
	} else if (!strcmp(verb, "records")) {
		s->settings.records = (uint32_t)atoi(word(&rest));
	} else if (!strcmp(verb, "flow-table")) {
		s->settings.flows_max = (uint32_t)atoi(word(&rest));
	} else if (!strcmp(verb, "strict")) {
		s->settings.flags = TAILRACE_DEVICE_STRICT;
	} else if (!strcmp(verb, "down")) {
		s->up = false;
	} else if (!strcmp(verb, "publish")) {
		kernel_publish(c->kernel, s);
	} else if (!strcmp(verb, "path")) {
		set_path(c, &rest);
	} else if (!strcmp(verb, "stats")) {
		kernel_get_stats(c->kernel, true, on_stats, c);
	} else if (!strcmp(verb, "steer")) {
		open_steer(c, word(&rest));
	} else if (!strcmp(verb, "steer-port")) {
		show_steer(c);
	} else {
		need(false, verb);
	}
}

static void on_input(struct bufferevent *bev, void *ctx)
{
	char *text;

	while ((text = evbuffer_readln(bufferevent_get_input(bev), NULL,
				       EVBUFFER_EOL_LF))) {
		command(ctx, text);
		free(text);
	}
}

static void on_input_end(struct bufferevent *bev, short what, void *ctx)
{
	struct ctl *c = ctx;

	event_base_loopbreak(c->base);
}

int main(int argc, char **argv)
{
	int stream[2], broker[2], status;
	struct ctl c = { .steer = { -1, -1 } };
	struct bufferevent *in;
	pid_t engine = getpid(), child;

	if (argc == 3 && !strcmp(argv[1], "--cleanup"))
		return kernel_process_cleanup(argv[2]);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, broker))
		abort();
	child = fork();
	if (!child) {
		close(stream[0]);
		close(broker[0]);
		close(0);
		log_init("kernel", true);
		_exit(kernel_process_run(stream[1], broker[1], engine, NOBODY,
					 NOBODY));
	}
	close(stream[1]);
	close(broker[1]);
	line("kernel %d", child);
	c.base = event_base_new();
	c.kernel = kernel_new(c.base, stream[0], broker[0], &ops, &c);
	clear(&c);
	evutil_make_socket_nonblocking(0);
	in = bufferevent_socket_new(c.base, 0, 0);
	bufferevent_setcb(in, on_input, NULL, on_input_end, &c);
	bufferevent_enable(in, EV_READ);
	event_base_dispatch(c.base);
	kernel_free(c.kernel);
	waitpid(child, &status, 0);
	line("exit %d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	return 0;
}
