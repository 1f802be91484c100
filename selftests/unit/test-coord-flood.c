// SPDX-License-Identifier: GPL-2.0
/*
 * Ten thousand connections that never say who they are, against one machine
 * that streams and one that joins: bounded, and nobody notices.
 */
#include <sys/resource.h>

#include "coord-client.h"

#define FLOOD 10000
#define UNPROVEN 4096
#ifdef __SANITIZE_ADDRESS__ /* has memory of its own around all of ours */
#define BYTES_EACH 32768
#else
#define BYTES_EACH 4096
#endif

/* A connection of the flood, without a libevent buffer of its own. */
static int flood_connect(struct world *w, const char *say)
{
	struct endpoint at = loopback(w->port);
	struct sockaddr_storage ss;
	socklen_t len = endpoint_to_sockaddr(&at, &ss);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&ss, len)) {
		printf("# %s\n", strerror(errno));
		return -1;
	}
	evutil_make_socket_nonblocking(fd);
	if (*say && send(fd, say, strlen(say), MSG_NOSIGNAL) < 0)
		printf("# %s\n", strerror(errno));
	return fd;
}

static size_t resident(void)
{
	unsigned long size = 0, pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (fscanf(f, "%lu %lu", &size, &pages) != 2)
		pages = 0;
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static size_t count_open(const int *fd, size_t n)
{
	size_t i, open = 0;
	char c;

	for (i = 0; i < n; i++)
		open += recv(fd[i], &c, 1, MSG_PEEK) < 0 && errno == EAGAIN;
	return open;
}

static void flood(const char *what, const char *say)
{
	struct http_limits limits = http_limits_default;
	struct client *old, *new;
	int *fd = xcalloc(FLOOD, sizeof(*fd));
	struct world *w;
	struct answer a;
	size_t i, before, grown, open;
	uint64_t start;

	limits.unproven = UNPROVEN;
	limits.handshake_ms = 600000; /* the limit is to hold, not the clock */
	w = world_new(&limits);
	old = connected(w, NULL);
	ask(old, &a, "POST", "/machine/map", "{}", 2);
	UNTIL(w, a.status == 200);
	before = resident();
	start = now_ns();
	for (i = 0; i < FLOOD; i++) {
		fd[i] = flood_connect(w, say);
		if (fd[i] < 0)
			break;
		if (i % 32 == 31)
			event_base_loop(w->base, EVLOOP_NONBLOCK);
	}
	for (open = 0; open < 200; open++)
		event_base_loop(w->base, EVLOOP_NONBLOCK);
	grown = resident();
	grown = grown > before ? grown - before : 0;
	open = count_open(fd, i);
	tap_ok(i == FLOOD && open <= UNPROVEN,
	       "%d connections that %s: %zu are open, in %.1f s", FLOOD, what,
	       open, (double)(now_ns() - start) / 1e9);
	tap_ok(grown / UNPROVEN < BYTES_EACH, "each costs %zu bytes",
	       grown / UNPROVEN);
	http_write(w->held, "delta", 5);
	tap_ok(UNTIL(w, a.len == 5) && !old->closed,
	       "a machine that streams goes on");
	new = connected(w, NULL);
	tap_ok(served(new), "a machine that joins is served");
	client_free(new);
	client_free(old);
	while (i)
		close(fd[--i]);
	free(fd);
	world_free(w);
}

/* Every descriptor is in use when somebody knocks. */
static void test_descriptors(void)
{
	struct http_limits limits = http_limits_default;
	static int filler[1024];
	struct rlimit old, few;
	struct world *w;
	struct raw *r, *waiting;
	int n = 0;

	limits.stall_ms = 400; /* a tick of 100 ms */
	w = world_new(&limits);
	r = raw_new(w, w->port);
	raw_send(r, "GET /hello HTTP/1.1\r\n\r\n", 23);
	UNTIL(w, r->len);
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = 1000;
	setrlimit(RLIMIT_NOFILE, &few);
	while (n < 1024 && (filler[n] = dup(0)) >= 0)
		n++;
	close(filler[--n]);
	waiting = raw_new(w, w->port); /* takes the last one */
	raw_send(waiting, "GET /hello HTTP/1.0\r\n\r\n", 23);
	tap_ok(UNTIL(w, r->eof), "without descriptors the oldest that has shown "
				 "no key makes room");
	while (n)
		close(filler[--n]);
	tap_ok(UNTIL(w, waiting->eof) && strstr(waiting->text, "200 OK"),
	       "and who waited is served");
	setrlimit(RLIMIT_NOFILE, &old);
	raw_free(r);
	raw_free(waiting);
	world_free(w);
}

int main(void)
{
	struct rlimit r;

	signal(SIGPIPE, SIG_IGN);
	log_init("test", false);
	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	if (r.rlim_cur < FLOOD + UNPROVEN + 100) {
		printf("1..0 # SKIP only %llu open files\n",
		       (unsigned long long)r.rlim_cur);
		return 0;
	}
	test_descriptors();
	flood("say nothing", "");
	flood("begin a request", "POST /ts2021 HTTP/1.1\r\nHost: a\r\n");
	return tap_done();
}
