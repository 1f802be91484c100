// SPDX-License-Identifier: GPL-2.0
/*
 * The control client alone, without a kernel: control URL STATE FIFO [AUTHKEY].
 * Keys live in STATE, extra roots come from $CA. Prints what the session tells,
 * one event a line, and obeys the FIFO, one command a line.
 */
#include <errno.h>
#include <event2/dns.h>
#include <event2/event.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "control/control.h"
#include "lib/log.h"
#include "lib/util.h"

struct driver {
	struct event_base *base;
	struct control *c;
	const char *path;
	struct {
		struct key machine, node, old;
	} keys;
	struct control_self self;
	struct endpoint endpoint;
	struct prefix route;
	uint8_t endpoint_type;
	char hostname[64];
};

static void on_state(void *ctx, enum control_state s, const char *error)
{
	static const char *const names[] = {
		[CONTROL_STOPPED] = "stopped",
		[CONTROL_CONNECTING] = "connecting",
		[CONTROL_NEEDS_LOGIN] = "needs-login",
		[CONTROL_NEEDS_APPROVAL] = "needs-approval",
		[CONTROL_STREAMING] = "streaming",
	};

	printf("state %s %s\n", names[s], error);
}

static void on_url(void *ctx, const char *url)
{
	printf("url %s\n", url);
}

static int on_node_key(void *ctx, const struct key *node, const struct key *old)
{
	struct driver *d = ctx;
	char text[KEY_TEXT_MAX];
	struct key public;
	FILE *f;

	d->keys.node = *node;
	d->keys.old = *old;
	f = fopen(d->path, "w");
	if (!f)
		return -errno;
	fwrite(&d->keys, sizeof(d->keys), 1, f);
	fclose(f);
	key_public(&public, node);
	printf("key %s\n", key_is_zero(node)
				   ? "none"
				   : key_format(text, KEY_NODE, &public));
	return 0;
}

static void on_netmap(void *ctx, const struct netmap *nm, unsigned int changed)
{
	struct filter_list *list, *tmp;
	struct node *n, *tmp_n;
	size_t rules = 0;

	HASH_ITER(hh, nm->filters, list, tmp)
	rules += list->n_rules;
	printf("netmap id=%lld name=%s rules=%zu regions=%u",
	       (long long)nm->self->id, nm->self->name, rules,
	       HASH_COUNT(nm->derp_regions));
	HASH_ITER(hh, nm->peers, n, tmp_n)
	printf(" peer=%s online=%d routes=%zu", n->name, n->online,
	       n->n_allowed_ips - n->n_addresses);
	printf("\n");
}

static void on_logged_out(void *ctx)
{
	printf("logged-out\n");
}

static int on_socket(void *ctx, int family)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	return fd < 0 ? -errno : fd;
}

static const struct control_ops ops = {
	.state = on_state,
	.auth_url = on_url,
	.node_key = on_node_key,
	.netmap = on_netmap,
	.logged_out = on_logged_out,
	.tcp_socket = on_socket,
};

static void obey(struct driver *d, const char *verb, const char *arg)
{
	if (!strcmp(verb, "login")) {
		control_login(d->c, arg, false);
	} else if (!strcmp(verb, "rotate")) {
		control_login(d->c, arg, true);
	} else if (!strcmp(verb, "logout")) {
		control_logout(d->c);
	} else if (!strcmp(verb, "link")) {
		control_link_changed(d->c);
	} else if (!strcmp(verb, "quit")) {
		event_base_loopexit(d->base, NULL);
	} else {
		if (!strcmp(verb, "hostname"))
			snprintf(d->hostname, sizeof(d->hostname), "%s", arg);
		else if (!strcmp(verb, "endpoint"))
			endpoint_parse(&d->endpoint, arg);
		else if (!strcmp(verb, "route"))
			d->self.n_routes = !prefix_parse(&d->route, arg);
		control_set_self(d->c, &d->self);
	}
}

static void on_command(evutil_socket_t fd, short what, void *arg)
{
	char buf[1024], *line, *save, *space;
	ssize_t n = read(fd, buf, sizeof(buf) - 1);

	if (n <= 0)
		return;
	buf[n] = '\0';
	for (line = strtok_r(buf, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		space = strchr(line, ' ');
		if (space)
			*space++ = '\0';
		obey(arg, line, space);
	}
}

int main(int argc, char **argv)
{
	struct driver d = {.hostname = "client", .endpoint_type = 2};
	struct control_config config = {.ca_file = getenv("CA")};
	struct evdns_base *dns;
	struct event *commands;
	struct key disco;
	FILE *f;
	int fd;

	if (argc < 4)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	signal(SIGPIPE, SIG_IGN);
	log_init("control", true);
	d.path = argv[2];
	f = fopen(d.path, "r");
	if (!f || fread(&d.keys, sizeof(d.keys), 1, f) != 1)
		key_generate(&d.keys.machine);
	if (f)
		fclose(f);
	fd = open(argv[3], O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return 2;
	d.base = event_base_new();
	dns = evdns_base_new(d.base, EVDNS_BASE_INITIALIZE_NAMESERVERS |
					     EVDNS_BASE_DISABLE_WHEN_INACTIVE |
					     EVDNS_BASE_NAMESERVERS_NO_DEFAULT);
	config.server_url = argv[1];
	config.machine_private = d.keys.machine;
	config.node_private = d.keys.node;
	config.old_node_private = d.keys.old;
	config.auth_key = argv[4];
	d.c = control_new(d.base, dns, &config, &ops, &d);
	if (!d.c)
		return 1;

	key_generate(&disco);
	key_public(&d.self.disco_public, &disco);
	endpoint_parse(&d.endpoint, "192.0.2.1:41641");
	d.self.hostname = d.hostname;
	d.self.endpoints = &d.endpoint;
	d.self.endpoint_types = &d.endpoint_type;
	d.self.n_endpoints = 1;
	d.self.routes = &d.route;
	control_set_self(d.c, &d.self);
	control_start(d.c);
	commands = event_new(d.base, fd, EV_READ | EV_PERSIST, on_command, &d);
	event_add(commands, NULL);
	event_base_dispatch(d.base);

	event_free(commands);
	control_free(d.c);
	evdns_base_free(dns, 0);
	event_base_free(d.base);
	close(fd);
	return 0;
}
