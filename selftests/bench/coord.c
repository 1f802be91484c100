// SPDX-License-Identifier: GPL-2.0
/*
 * What a connected machine costs the coordination server: the memory of a
 * server with N machines that stream, each having had a netmap of 64 KiB, over
 * plain TCP and over TLS. coord [N]
 */
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../unit/coord-client.h"

#define NETMAP (64 << 10)

/* Streams get one netmap, later ones as the handler sees fit. */
static void serve(int ready, bool tls)
{
	char cert[] = "/tmp/coord-cert-XXXXXX", key[] = "/tmp/coord-key-XXXXXX";
	struct http_limits limits = http_limits_default;
	struct endpoint at = loopback(0);
	char why[HTTP_WHY_MAX];
	struct world *w;
	uint8_t out[2 + KEY_LEN];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	w = world_new(&limits);
	if (tls) {
		close(mkstemp(cert));
		close(mkstemp(key));
		write_certificate(cert, key, 1);
		if (http_server_tls(w->server, cert, key, why))
			exit(1);
		unlink(cert);
		unlink(key);
		w->port = (uint16_t)http_server_listen(w->server, &at,
						       HTTP_PUBLIC, true);
	}
	put_be16(out, w->port);
	memcpy(out + 2, w->public.b, KEY_LEN);
	if (write(ready, out, sizeof(out)) != sizeof(out))
		exit(1);
	for (;;) {
		event_base_loop(w->base, EVLOOP_ONCE);
		if (w->held) {
			static char netmap[NETMAP];

			http_write(w->held, netmap, sizeof(netmap));
			w->held = NULL;
		}
	}
}

static size_t resident(pid_t pid)
{
	unsigned long size = 0, pages = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%lu %lu", &size, &pages) != 2)
		exit(1);
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void measure(size_t n, bool tls)
{
	struct client **c = xcalloc(n, sizeof(struct client *));
	struct answer *a = xcalloc(n, sizeof(struct answer));
	struct world w = { .base = event_base_new() };
	uint8_t in[2 + KEY_LEN];
	size_t i, before, half = 0;
	uint64_t start;
	int fd[2];
	pid_t pid;

	if (pipe(fd))
		exit(1);
	pid = fork();
	if (!pid)
		serve(fd[1], tls);
	if (read(fd[0], in, sizeof(in)) != sizeof(in))
		exit(1);
	memcpy(w.public.b, in + 2, KEY_LEN);
	w.port = get_be16(in);
	w.tls = tls ? w.port : 0;
	before = resident(pid);
	start = now_ns();
	for (i = 0; i < n; i++) {
		c[i] = client_new(&w, NULL);
		client_dial(c[i], &w.public);
		if (!UNTIL(&w, c[i]->done) || !c[i]->t) {
			printf("# %s\n", c[i]->why);
			exit(1);
		}
		ask(c[i], &a[i], "POST", "/machine/map", "{}", 2);
		UNTIL(&w, a[i].len == NETMAP);
		if (i + 1 == n / 2)
			half = resident(pid);
	}
	printf("%s: %zu streams in %.1f s; server %zu KiB before, %zu KiB now: "
	       "%.1f KiB each (the second half %.1f)\n",
	       tls ? "TLS" : "plain", n, (double)(now_ns() - start) / 1e9,
	       before >> 10, resident(pid) >> 10,
	       (double)(resident(pid) - before) / 1024 / (double)n,
	       (double)(resident(pid) - half) / 1024 / (double)(n - n / 2));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	exit(0);
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000;
	struct rlimit r;
	int tls;

	signal(SIGPIPE, SIG_IGN);
	log_init("coord", false);
	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	/* A process each: memory of the first is no help for the second. */
	for (tls = 0; tls < 2; tls++) {
		pid_t pid = fork();
		int status;

		if (!pid)
			measure(n, tls);
		if (waitpid(pid, &status, 0) != pid || status)
			return 1;
	}
	return 0;
}
