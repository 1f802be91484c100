// SPDX-License-Identifier: GPL-2.0
/* The engine's side of kernel.h against a peer played by hand. */
#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "kernel/broker.h"
#include "kernel/kernel.h"
#include "kernel/wire.h"
#include "lib/util.h"
#include "tap.h"

static struct {
	unsigned int applied, active, idle, roamed, tsmp, link, lost, stats;
	char text[256];
} seen;

static void applied(void *ctx, int link, uint16_t port, const char *error)
{
	seen.applied++;
	snprintf(seen.text, sizeof(seen.text), "%d %u %s", link, port, error);
}

static void active(void *ctx, uint32_t peer)
{
	seen.active += peer;
}

static void idle(void *ctx, uint32_t peer)
{
	seen.idle += peer;
}

static void roamed(void *ctx, uint32_t peer, const struct endpoint *e)
{
	char text[ENDPOINT_TEXT_MAX];

	seen.roamed += !strcmp(endpoint_format(e, text), "1.2.3.4:5");
}

static void tsmp(void *ctx, const struct ip_addr *src,
		 const struct ip_addr *dst, const uint8_t *data, size_t n)
{
	seen.tsmp += n == 2 && data[0] == 'a';
}

static void link_changed(void *ctx)
{
	seen.link++;
}

static void lost(void *ctx)
{
	seen.lost++;
}

static const struct kernel_ops ops = { applied, active, idle, roamed,
				       tsmp,	link_changed, lost };

static void on_stats(void *ctx, const struct kernel_peer_stats *s, size_t n,
		     const char *json)
{
	seen.stats += n == 1 && s->peer == 4 && !strcmp(json, "{}");
}

static void say(int fd, enum wire_type type, const void *body)
{
	size_t n;
	_cleanup_free_ uint8_t *frame = wire_encode(type, body, &n);

	if (write(fd, frame, n) != (ssize_t)n)
		abort();
}

static void turn(struct event_base *base)
{
	int i;

	for (i = 0; i < 5; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
}

static void events(struct event_base *base)
{
	int stream[2], broker[2];
	struct kernel *k;
	struct wire_applied a = { 7, 41641, (char *)"why" };
	struct wire_peer p = { 3 };
	struct wire_roamed r = { 3, { .ip = ip_v4(1, 2, 3, 4), .port = 5 } };
	struct wire_tsmp t = { ip_v4(1, 1, 1, 1), ip_v4(2, 2, 2, 2),
			       (uint8_t *)"ab", 2 };
	struct kernel_peer_stats one = { .peer = 4 };
	struct wire_stats s = { &one, 1, (char *)"{}" };

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, stream) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, broker))
		abort();
	memset(&seen, 0, sizeof(seen));
	k = kernel_new(base, stream[0], broker[0], &ops, NULL);
	say(stream[1], WIRE_STATS, &s);
	turn(base);
	tap_ok(!seen.stats, "an answer that nobody asked for is ignored");
	kernel_get_stats(k, false, on_stats, NULL);
	turn(base);
	say(stream[1], WIRE_APPLIED, &a);
	say(stream[1], WIRE_PEER_ACTIVE, &p);
	say(stream[1], WIRE_PEER_IDLE, &p);
	say(stream[1], WIRE_ROAMED, &r);
	say(stream[1], WIRE_TSMP, &t);
	say(stream[1], WIRE_LINK_CHANGED, NULL);
	say(stream[1], WIRE_STATS, &s);
	turn(base);
	tap_ok(seen.applied == 1 && !strcmp(seen.text, "7 41641 why"),
	       "applied");
	tap_ok(seen.active == 3 && seen.idle == 3, "active and idle");
	tap_ok(seen.roamed == 1, "roamed");
	tap_ok(seen.tsmp == 1, "TSMP");
	tap_ok(seen.link == 1, "link changed");
	tap_ok(seen.stats == 1, "stats");
	close(stream[1]);
	turn(base);
	tap_ok(seen.lost == 1, "the end of the kernel process is told once");
	kernel_free(k);
	close(broker[1]);
}

/* While the peer doesn't read, only the newest state and paths are kept. */
static void coalescing(struct event_base *base)
{
	int stream[2], broker[2], states = 0, paths = 0, i;
	static struct prefix routes[200000];
	struct kernel_state state = { .routes = routes,
				      .n_routes = ARRAY_SIZE(routes) };
	struct kernel_path path = { .peer = 9 };
	struct evbuffer *in = evbuffer_new();
	uint16_t last_state = 0, last_path = 0;
	struct wire_message m;
	struct kernel *k;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, stream) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, broker))
		abort();
	for (i = 0; i < (int)ARRAY_SIZE(routes); i++)
		routes[i].ip.family = 4;
	k = kernel_new(base, stream[0], broker[0], &ops, NULL);
	path.canonical.ip.family = 4;
	for (i = 1; i <= 20; i++) {
		state.port = path.canonical.port = (uint16_t)i;
		kernel_publish(k, &state);
		kernel_set_path(k, &path);
		turn(base);
	}
	evutil_make_socket_nonblocking(stream[1]);
	for (i = 0; i < 20000 && last_path != 20; i++) {
		turn(base);
		if (evbuffer_read(in, stream[1], 1 << 20) <= 0)
			continue;
		while (wire_take(in, &m) > 0) {
			if (m.type == WIRE_STATE) {
				states++;
				last_state = m.u.state.port;
			} else if (m.type == WIRE_PATH) {
				paths++;
				last_path = m.u.path.canonical.port;
			}
			wire_free(&m);
		}
	}
	tap_ok(last_state == 20 && last_path == 20, "the newest arrives");
	tap_ok(states == 2 && paths == 1,
	       "what was overtaken is not sent (%d states, %d paths)", states,
	       paths);
	kernel_free(k);
	evbuffer_free(in);
	close(stream[1]);
	close(broker[1]);
}

static void keep(void *ctx, int family, int fd)
{
	*(int *)ctx += family == AF_INET6;
}

static uint32_t int_option(int fd, int level, int name)
{
	socklen_t n = sizeof(int);
	int v = -1;

	getsockopt(fd, level, name, &v, &n);
	return (uint32_t)v;
}

static void sockets(struct event_base *base)
{
	int stream[2], broker[2], fd, kept = 0, status;
	struct sockaddr_in6 sa = { 0 };
	socklen_t n = sizeof(sa);
	struct kernel *k;
	pid_t child;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, stream) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET, 0, broker))
		abort();
	child = fork();
	if (!child) {
		int left = 3;

		close(broker[0]);
		while (left) {
			int err = broker_answer(broker[1], keep, &kept);

			if (!err)
				left--;
			else if (err != -EAGAIN)
				_exit(100);
			usleep(1000);
		}
		_exit(kept);
	}
	close(broker[1]);
	k = kernel_new(base, stream[0], broker[0], &ops, NULL);
	fd = kernel_socket_tcp(k, AF_INET);
	tap_ok(fd >= 0 && int_option(fd, SOL_SOCKET, SO_MARK) == FWMARK_BYPASS &&
		       int_option(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM &&
		       fcntl(fd, F_GETFL) & O_NONBLOCK &&
		       fcntl(fd, F_GETFD) & FD_CLOEXEC,
	       "a TCP socket is marked, non-blocking and close-on-exec");
	close_cleanup(&fd);
	fd = kernel_socket_udp(k, AF_INET6);
	tap_ok(fd >= 0 && int_option(fd, SOL_SOCKET, SO_MARK) == FWMARK_BYPASS,
	       "a UDP socket is marked");
	close_cleanup(&fd);
	fd = kernel_socket_steer(k, AF_INET6);
	getsockname(fd, (struct sockaddr *)&sa, &n);
	tap_ok(fd >= 0 && sa.sin6_port && int_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) == 1 &&
		       IN6_IS_ADDR_UNSPECIFIED(&sa.sin6_addr),
	       "a steer socket has an ephemeral port and is IPv6 only");
	tap_ok(int_option(fd, SOL_SOCKET, SO_RCVBUF) >= 7 << 20,
	       "its buffer is large: %u", int_option(fd, SOL_SOCKET, SO_RCVBUF));
	close_cleanup(&fd);
	waitpid(child, &status, 0);
	tap_ok(WIFEXITED(status) && WEXITSTATUS(status) == 1,
	       "the kernel process saw the steer socket only");
	tap_ok(kernel_socket_tcp(k, AF_INET) == -EPIPE,
	       "a broker that is gone is an error, not a wait");
	kernel_free(k);
	close(stream[1]);
}

int main(void)
{
	struct event_base *base = event_base_new();

	/* SO_MARK needs the capability over some network namespace */
	if (geteuid() && unshare(CLONE_NEWUSER | CLONE_NEWNET))
		printf("# no user namespaces: SO_MARK will fail\n");
	events(base);
	coalescing(base);
	sockets(base);
	event_base_free(base);
	return tap_done();
}
