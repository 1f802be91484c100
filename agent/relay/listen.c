// SPDX-License-Identifier: GPL-2.0
#include "relay/listen.h"

#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <utlist.h>

#include "lib/log.h"
#include "lib/util.h"
#include "relay/conn.h"
#include "relay/server.h"

/* What one turn accepts before signals and STUN have theirs. */
#define BATCH 64
#define BACKLOG 4096

struct relayd_listener {
	struct relayd *server;
	int fd;
	bool tls, redirect;
	struct event *readable;
	struct event *again;
	struct relayd_listener *prev, *next;
};

/* A connection on its way to its worker. */
struct handover {
	struct relayd_worker *worker;
	struct endpoint remote;
	int fd;
	bool tls, redirect;
};

static void on_handover(void *arg)
{
	struct handover *h = arg;

	relayd_conn_open(h->worker, h->fd, &h->remote, h->tls, h->redirect);
	free(h);
}

static struct relayd_worker *idlest(struct relayd *s)
{
	struct relayd_worker *best = s->workers[0];
	unsigned int i;

	for (i = 1; i < s->n_workers; i++)
		if (__atomic_load_n(&s->workers[i]->load, __ATOMIC_RELAXED) <
		    __atomic_load_n(&best->load, __ATOMIC_RELAXED))
			best = s->workers[i];
	return best;
}

static void accepted(struct relayd_listener *l, int fd,
		     const struct sockaddr_storage *ss)
{
	struct relayd *s = l->server;
	struct handover *h;

	if (l->tls && !relayd_limit_take(&s->accept_limit, 1, now_ns())) {
		relayd_count(&s->main->stats, RELAYD_TCP_REJECTED, 1);
		close(fd);
		return;
	}
	relayd_count(&s->main->stats, RELAYD_TCP_ACCEPTED, 1);
	h = xcalloc(1, sizeof(*h));
	endpoint_from_sockaddr(&h->remote, (const struct sockaddr *)ss);
	h->worker = idlest(s);
	h->fd = fd;
	h->tls = l->tls;
	h->redirect = l->redirect;
	__atomic_add_fetch(&h->worker->load, 1, __ATOMIC_RELAXED);
	relayd_worker_post(h->worker, on_handover, h);
}

static void on_readable(evutil_socket_t sock, short what, void *arg)
{
	static const struct timeval pause = {.tv_usec = 200000};
	struct relayd_listener *l = arg;
	int i;

	for (i = 0; i < BATCH; i++) {
		struct sockaddr_storage ss;
		socklen_t len = sizeof(ss);
		int fd = accept4(l->fd, (struct sockaddr *)&ss, &len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			accepted(l, fd, &ss);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM) {
			log_warn("cannot accept: %s; raise the limit of open "
				 "files (LimitNOFILE=)",
				 strerror(errno));
			event_del(l->readable);
			event_add(l->again, &pause);
			return;
		}
		/* Others concern the connection that is no more. */
	}
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct relayd_listener *l = arg;

	event_add(l->readable, NULL);
}

static int open_socket(const struct endpoint *local)
{
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(local, &ss);
	_cleanup_fd_ int fd = socket(ss.ss_family,
				     SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC,
				     0);
	int one = 1, zero = 0, keep;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (local->ip.family == 6 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)))
		return -errno;
	if (bind(fd, (struct sockaddr *)&ss, len) || listen(fd, BACKLOG))
		return -errno;
	keep = fd;
	fd = -1;
	return keep;
}

int relayd_listen(struct relayd *server, const struct endpoint *local, bool tls,
		  bool redirect)
{
	int fd = open_socket(local);
	char text[ENDPOINT_TEXT_MAX];
	struct relayd_listener *l;

	if (fd < 0) {
		log_error("cannot listen on %s: %s%s",
			  endpoint_format(local, text), strerror(-fd),
			  fd == -EACCES ? "; ports below 1024 need root or "
					  "CAP_NET_BIND_SERVICE" :
			  fd == -EADDRINUSE ? "; choose another by --a" :
					      "");
		return fd;
	}
	l = xcalloc(1, sizeof(*l));
	l->server = server;
	l->fd = fd;
	l->tls = tls;
	l->redirect = redirect;
	l->readable = event_new(server->main->base, fd, EV_READ | EV_PERSIST,
				on_readable, l);
	l->again = evtimer_new(server->main->base, on_again, l);
	event_add(l->readable, NULL);
	DL_APPEND(server->listeners, l);
	return 0;
}

void relayd_listen_stop(struct relayd *server)
{
	struct relayd_listener *l;

	while ((l = server->listeners)) {
		DL_DELETE(server->listeners, l);
		event_free(l->readable);
		event_free(l->again);
		close(l->fd);
		free(l);
	}
}
