// SPDX-License-Identifier: GPL-2.0
/*
 * A tailnet of N nodes that all stream, on a whole `coord serve` but for its
 * command line: what the server's memory is, and how long a change of one
 * node's endpoints takes to the last of the others. tailnet [N [ROUNDS]]
 */
#include <sodium.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <zstd.h>

#include "../unit/coord-client.h"
#include "coord/coord.h"

#define FRAME_MAX (4u << 20)

struct fleet;

/* A node: the messages of its stream are cut, and looked into once whole. */
struct node_client {
	struct fleet *f;
	struct client *c;
	struct key node;
	struct answer a;
	struct evbuffer *in;
	unsigned int messages;
	uint64_t heard; /* when the marker of this round came */
};

struct fleet {
	struct world w;
	struct node_client *nodes;
	size_t n, heard;
	char marker[80];
	char *json;
	uint64_t bytes;
};

/* ── The server, a process of its own ── */

static void say_ready(int fd, struct coord *c, const char *dir, int port)
{
	char secret[AUTHKEY_SECRET_MAX] = "", path[128], text[KEY_TEXT_MAX] = "";
	struct coord_user *u;
	struct authkey *k;
	uint8_t out[2];
	struct key key;
	FILE *f;

	if (model_user_create(coord_model(c), "bench", NULL, NULL, NULL, &u) ||
	    model_authkey_create(coord_model(c), u, true, false, 0, NULL, 0,
				 secret, &k))
		exit(1);
	snprintf(path, sizeof(path), "%s/noise.key", dir);
	f = fopen(path, "re");
	if (!f || !fgets(text, sizeof(text), f) ||
	    key_parse(&key, KEY_PRIVATE, text))
		exit(1);
	fclose(f);
	key_public(&key, &key);
	put_be16(out, (uint16_t)port);
	if (write(fd, out, 2) != 2 || write(fd, key.b, KEY_LEN) != KEY_LEN ||
	    write(fd, secret, sizeof(secret)) != sizeof(secret))
		exit(1);
}

static void serve(int ready, const char *dir)
{
	struct event_base *base = event_base_new();
	struct coord_config config = {
		.state_dir = dir,
		.server_url = "http://127.0.0.1",
		.base_domain = "bench.test",
		.nameservers = "",
		.magic_dns = true,
		.relay = "127.0.0.1",
		.limits = http_limits_default,
	};
	struct endpoint at = loopback(0);
	struct coord *c;
	int port;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prefix_parse(&config.prefix_v4, "100.64.0.0/10");
	prefix_parse(&config.prefix_v6, "fd7a:115c:a1e0::/48");
	c = coord_new(base, &config);
	port = c ? coord_listen(c, &at, false) : -1;
	if (port < 0)
		exit(1);
	say_ready(ready, c, dir, port);
	if (!freopen("/dev/null", "w", stderr))
		exit(1);
	event_base_dispatch(base);
	exit(0);
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

/* CPU seconds of the server so far. */
static double cpu(pid_t pid)
{
	unsigned long user = 0, system = 0;
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f || fscanf(f, "%*d %*s %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u "
			    "%*u %lu %lu",
			 &user, &system) != 2)
		exit(1);
	fclose(f);
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* ── The nodes ── */

static void message(struct node_client *n, const uint8_t *data, size_t len)
{
	struct fleet *f = n->f;
	size_t got = ZSTD_decompress(f->json, FRAME_MAX, data, len);

	n->messages++;
	if (ZSTD_isError(got)) {
		printf("# %s\n", ZSTD_getErrorName(got));
		exit(1);
	}
	if (*f->marker && !n->heard &&
	    memmem(f->json, got, f->marker, strlen(f->marker))) {
		n->heard = now_ns();
		f->heard++;
	}
}

static void stream_data(void *ctx, const uint8_t *data, size_t len)
{
	struct node_client *n = ctx;
	uint8_t h[4];
	size_t size;

	n->f->bytes += len;
	evbuffer_add(n->in, data, len);
	while (evbuffer_copyout(n->in, h, 4) == 4) {
		size = (size_t)h[0] | (size_t)h[1] << 8 | (size_t)h[2] << 16 |
		       (size_t)h[3] << 24;
		if (evbuffer_get_length(n->in) < 4 + size)
			break;
		evbuffer_drain(n->in, 4);
		message(n, evbuffer_pullup(n->in, (ssize_t)size), size);
		evbuffer_drain(n->in, size);
	}
}

static void stream_end(void *ctx, const char *error)
{
	printf("# a stream ended: %s\n", error ? error : "complete");
	exit(1);
}

static const struct ts2021_stream_ops stream_ops = {
	.data = stream_data,
	.end = stream_end,
};

static size_t map_body(struct node_client *n, char *out, size_t cap, bool stream,
		       const char *endpoint)
{
	char key[KEY_TEXT_MAX], disco[KEY_TEXT_MAX];

	return (size_t)snprintf(
		out, cap,
		"{\"Version\":116,\"KeepAlive\":true,\"NodeKey\":\"%s\","
		"\"DiscoKey\":\"%s\",%s,\"Hostinfo\":{\"OS\":\"linux\","
		"\"Hostname\":\"node-%zu\",\"NetInfo\":{\"PreferredDERP\":999}},"
		"\"Endpoints\":[\"%s\",\"10.0.0.1:41641\"]}",
		key_format(key, KEY_NODE, &n->node),
		key_format(disco, KEY_DISCO, &n->node),
		stream ? "\"Stream\":true,\"Compress\":\"zstd\""
		       : "\"OmitPeers\":true",
		(size_t)(n - n->f->nodes), endpoint);
}

static void join(struct node_client *n, const char *secret)
{
	struct ts2021_request req = {.method = "POST", .path = "/machine/map",
				     .authority = "unused"};
	char body[1024], key[KEY_TEXT_MAX];

	key_generate(&n->node);
	key_public(&n->node, &n->node);
	n->in = evbuffer_new();
	n->c = client_new(&n->f->w, NULL);
	client_dial(n->c, &n->f->w.public);
	if (!UNTIL(&n->f->w, n->c->done) || !n->c->t) {
		printf("# no channel: %s\n", n->c->why);
		exit(1);
	}
	snprintf(body, sizeof(body),
		 "{\"Version\":116,\"NodeKey\":\"%s\",\"Auth\":{\"AuthKey\":"
		 "\"%s\"},\"Hostinfo\":{\"OS\":\"linux\",\"Hostname\":"
		 "\"node-%zu\"}}",
		 key_format(key, KEY_NODE, &n->node), secret,
		 (size_t)(n - n->f->nodes));
	ask(n->c, &n->a, "POST", "/machine/register", body, strlen(body));
	if (!UNTIL(&n->f->w, n->a.ended) || !strstr(n->a.text, "Authorized")) {
		printf("# not registered: %.200s\n", n->a.text);
		exit(1);
	}
	req.body = body;
	req.body_len = map_body(n, body, sizeof(body), true,
				"192.0.2.1:41641");
	ts2021_submit(n->c->t, &req, &stream_ops, n);
	UNTIL(&n->f->w, n->messages);
}

/* ── Rounds ── */

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double percentile(double *v, size_t n, double p)
{
	size_t i = (size_t)(p * (double)n);

	qsort(v, n, sizeof(*v), compare);
	return v[i < n ? i : n - 1];
}

/* Milliseconds from the update's sending to the median and the last stream. */
static void one_round(struct fleet *f, size_t number, double *median,
		      double *last)
{
	struct node_client *from = &f->nodes[number * 7919 % f->n];
	double *took = xcalloc(f->n, sizeof(*took));
	char body[1024];
	uint64_t start;
	size_t i, n = 0;

	snprintf(f->marker, sizeof(f->marker), "198.51.%zu.%zu:%zu",
		 number / 250 % 250, number % 250, 1024 + number);
	f->heard = 0;
	for (i = 0; i < f->n; i++)
		f->nodes[i].heard = 0;
	map_body(from, body, sizeof(body), false, f->marker);
	start = now_ns();
	ask(from->c, &from->a, "POST", "/machine/map", body, strlen(body));
	if (!UNTIL(&f->w, f->heard == f->n - 1)) {
		printf("# only %zu of %zu have heard\n", f->heard, f->n - 1);
		exit(1);
	}
	for (i = 0; i < f->n; i++)
		if (&f->nodes[i] != from)
			took[n++] = (double)(f->nodes[i].heard - start) / 1e6;
	*median = percentile(took, n, 0.5);
	*last = percentile(took, n, 1);
	free(took);
}

static void pause_ms(struct fleet *f, long ms)
{
	struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	event_base_loopexit(f->w.base, &tv);
	event_base_dispatch(f->w.base);
}

static void measure(struct fleet *f, size_t rounds, pid_t pid)
{
	double *median = xcalloc(rounds, sizeof(double));
	double *last = xcalloc(rounds, sizeof(double));
	double before;
	size_t i;

	f->bytes = 0;
	before = cpu(pid);
	for (i = 0; i < rounds; i++) {
		pause_ms(f, 200);
		one_round(f, i, &median[i], &last[i]);
	}
	printf("one node's endpoints change, %zu streams, %zu rounds:\n"
	       "  half of the streams have it after  p50 %.1f ms, p99 %.1f ms\n"
	       "  the last one has it after          p50 %.1f ms, p99 %.1f ms\n"
	       "  server CPU %.1f ms a round, %.0f bytes a stream\n",
	       f->n - 1, rounds, percentile(median, rounds, 0.5),
	       percentile(median, rounds, 0.99), percentile(last, rounds, 0.5),
	       percentile(last, rounds, 0.99),
	       (cpu(pid) - before) * 1e3 / (double)rounds,
	       (double)f->bytes / (double)rounds / (double)f->n);
	free(median);
	free(last);
}

int main(int argc, char **argv)
{
	size_t n = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000, i, before;
	size_t rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 50;
	char dir[] = "/tmp/bench-tailnet.XXXXXX", command[64];
	char secret[AUTHKEY_SECRET_MAX];
	struct fleet f = {.n = n};
	struct rlimit r;
	uint64_t start;
	uint8_t port[2];
	int fd[2];
	pid_t pid;

	signal(SIGPIPE, SIG_IGN);
	if (sodium_init() < 0 || !mkdtemp(dir) || pipe(fd) || n < 2)
		return 1;
	log_init("tailnet", false);
	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	pid = fork();
	if (!pid)
		serve(fd[1], dir);
	close(fd[1]);
	if (read(fd[0], port, 2) != 2 ||
	    read(fd[0], f.w.public.b, KEY_LEN) != KEY_LEN ||
	    read(fd[0], secret, sizeof(secret)) != sizeof(secret))
		return 1;
	f.w.port = get_be16(port);
	f.w.base = event_base_new();
	f.json = xmalloc(FRAME_MAX);
	f.nodes = xcalloc(n, sizeof(*f.nodes));
	before = resident(pid);
	start = now_ns();
	for (i = 0; i < n; i++) {
		f.nodes[i].f = &f;
		join(&f.nodes[i], secret);
	}
	printf("%zu nodes joined in %.1f s, %.1f s of server CPU\n", n,
	       (double)(now_ns() - start) / 1e9, cpu(pid));
	pause_ms(&f, 3000);
	printf("server: %zu KiB empty, %zu KiB with all of them streaming\n",
	       before >> 10, resident(pid) >> 10);
	measure(&f, rounds, pid);
	printf("server: %zu KiB at the end\n", resident(pid) >> 10);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command) != 0;
}
