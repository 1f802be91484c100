// SPDX-License-Identifier: GPL-2.0
/*
 * Load for any DERP server with TLS on the loopback, from one process, and what
 * the server needed for it. Prints one line of NAME=VALUE words. Run by the
 * script beside it.
 *
 *   relay pairs PORT PID [OPTION=VALUE...]     packets between pairs of clients
 *   relay idle PORT PID [OPTION=VALUE...]      clients that only are there
 *   relay overload PORT PID [OPTION=VALUE...]  a ring of clients and some deaf
 *
 * PID: the server, whose CPU time and memory are read from /proc, with those of
 * its children. Options, all of them numbers:
 *   clients  200, 5000, 1000
 *   size     of a packet's data: 1200
 *   rate     packets a second of all; 0: as many as arrive, at most `window'
 *            of each sender under way
 *   window   24, under the 32 that derper queues
 *   batch    packets in a TLS record: 1, as tailscaled sends
 *   warm     seconds before the measurement: 1
 *   seconds  of the measurement: 5; idle: how long the clients sit there
 *   deaf     clients that read nothing, beyond `clients': 0
 *   flood    packets a second to all of the deaf: 10000
 */
#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "lib/httphead.h"
#include "lib/stream.h"
#include "lib/util.h"
#include "proto/derp.h"

#define HANDSHAKES 64 /* at a time */
#define SAMPLES_MAX (4u << 20)
#define HELLO_MAX (DERP_HEAD_MAX + DERP_INFO_BOX_MAX + 64)
#define STALLED SEC_NS /* then its window is lost */

static struct {
	unsigned long clients, size, rate, window, batch, warm, seconds, deaf,
		flood;
} opt = { .size = 1200, .window = 24, .batch = 1, .warm = 1, .seconds = 5,
	  .flood = 10000 };

static const struct {
	const char *name;
	unsigned long *value;
} options[] = {
	{ "clients", &opt.clients }, { "size", &opt.size },
	{ "rate", &opt.rate },	     { "window", &opt.window },
	{ "batch", &opt.batch },     { "warm", &opt.warm },
	{ "seconds", &opt.seconds }, { "deaf", &opt.deaf },
	{ "flood", &opt.flood },
};

/* Packets from one client to another. */
struct flow {
	struct key dst;
	uint64_t sent, seen; /* sequence numbers */
	uint64_t due;	     /* at a fixed rate: how many may have been sent */
	uint64_t heard;	     /* when the last one arrived */
	uint64_t sent_before, received; /* since the measurement began */
	bool blocked; /* the window is used up; waits until half of it is free */
};

enum state { UPGRADING, GREETING, LOGGING_IN, UP };

struct client {
	struct stream *stream;
	struct key private_key, public_key;
	enum state state;
	uint8_t hello[HELLO_MAX];
	size_t hello_len;
	struct client *from; /* who sends to this one */
	struct flow flow;
	bool floods;
	struct flow flood;
};

static struct event_base *base;
static SSL_CTX *tls;
static uint16_t port;
static pid_t server;
static struct client *clients;
static size_t n_clients, started, n_up;
static bool fixed, running, measuring, deaf;
static uint64_t strange, lost, late, closed;
static uint32_t *samples;
static size_t n_samples;
static char cipher[64];

static void die(const char *what, const char *why)
{
	fprintf(stderr, "relay: %s: %s\n", what, why);
	exit(1);
}

/* ── what the server uses ─────────────────────────────────────────────── */

struct usage {
	double cpu;		/* seconds */
	uint64_t rss, pss, anon; /* bytes */
};

static void add_usage(struct usage *u, pid_t pid)
{
	char path[64], line[1024];
	unsigned long user, system, kb;
	const char *p;
	long child;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f || !fgets(line, sizeof(line), f) || !(p = strrchr(line, ')')) ||
	    sscanf(p, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
		   &user, &system) != 2)
		die(path, "the server is gone");
	fclose(f);
	u->cpu += (double)(user + system) / (double)sysconf(_SC_CLK_TCK);

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Rss: %lu kB", &kb) == 1)
			u->rss += kb << 10;
		else if (sscanf(line, "Pss: %lu kB", &kb) == 1)
			u->pss += kb << 10;
		else if (sscanf(line, "Anonymous: %lu kB", &kb) == 1)
			u->anon += kb << 10;
	}
	if (!f)
		die(path, strerror(errno));
	fclose(f);

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "r");
	while (f && fscanf(f, "%ld", &child) == 1)
		add_usage(u, (pid_t)child);
	if (f)
		fclose(f);
}

static struct usage usage(void)
{
	struct usage u = { 0 };

	add_usage(&u, server);
	return u;
}

/* Of the machine, for both ends of the connections. */
struct kernel_usage {
	uint64_t slab, percpu, available; /* bytes */
	uint64_t tcp;			  /* pages of buffers */
};

static struct kernel_usage kernel_usage(void)
{
	struct kernel_usage u = { 0 };
	unsigned long n;
	char line[256];
	FILE *f = fopen("/proc/meminfo", "r");

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "SUnreclaim: %lu kB", &n) == 1)
			u.slab = (uint64_t)n << 10;
		else if (sscanf(line, "Percpu: %lu kB", &n) == 1)
			u.percpu = (uint64_t)n << 10;
		else if (sscanf(line, "MemAvailable: %lu kB", &n) == 1)
			u.available = (uint64_t)n << 10;
	}
	if (!f)
		die("/proc/meminfo", strerror(errno));
	fclose(f);
	f = fopen("/proc/net/sockstat", "r");
	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "TCP: %*s %*u %*s %*u %*s %*u %*s %*u mem %lu",
			   &n) == 1)
			u.tcp = n;
	if (f)
		fclose(f);
	return u;
}

/* ── packets ──────────────────────────────────────────────────────────── */

static bool flow_ready(const struct flow *f, bool paced)
{
	return running && (paced ? f->sent < f->due : !f->blocked);
}

static void kick(struct client *c)
{
	if (c->stream)
		stream_want_write(c->stream);
}

/* One SendPacket frame: sequence number and time first. */
static size_t put_packet(struct flow *f, uint8_t *out, size_t cap)
{
	static uint8_t data[DERP_PACKET_MAX];
	struct derp_frame frame = { .type = DERP_SEND_PACKET,
				    .key = f->dst,
				    .data = data,
				    .data_len = opt.size };
	ssize_t n;

	put_be64(data, f->sent + 1);
	put_be64(data + 8, now_ns());
	n = derp_encode(&frame, out, cap);
	if (n < 0)
		return 0;
	f->sent++;
	if (f->sent - f->seen >= opt.window)
		f->blocked = true;
	return (size_t)n;
}

static size_t on_fill(void *ctx, uint8_t *out, size_t cap)
{
	struct client *c = ctx;
	size_t n = c->hello_len, packets = 0, put;

	if (n) {
		memcpy(out, c->hello, n);
		c->hello_len = 0;
		return n;
	}
	while (packets < opt.batch) {
		if (flow_ready(&c->flow, fixed))
			put = put_packet(&c->flow, out + n, cap - n);
		else if (c->floods && flow_ready(&c->flood, true))
			put = put_packet(&c->flood, out + n, cap - n);
		else
			break;
		if (!put)
			break;
		n += put;
		packets++;
	}
	return n;
}

static void on_packet(struct client *c, const struct derp_frame *f)
{
	struct flow *flow;
	uint64_t seq, now = now_ns();

	if (f->data_len != opt.size || !c->from ||
	    !key_equal(&f->key, &c->from->public_key)) {
		strange++;
		return;
	}
	flow = &c->from->flow;
	seq = get_be64(f->data);
	if (seq <= flow->seen || seq > flow->sent) { /* given up already */
		late++;
		return;
	}
	lost += seq - flow->seen - 1;
	flow->seen = seq;
	flow->heard = now;
	if (measuring && seq > flow->sent_before) {
		flow->received++;
		if (n_samples < SAMPLES_MAX)
			samples[n_samples++] =
				(uint32_t)(now - get_be64(f->data + 8));
	}
	if (flow->blocked && flow->sent - flow->seen <= opt.window / 2) {
		flow->blocked = false;
		if (!fixed)
			kick(c->from);
	}
}

/* What a lost packet would block for good. */
static void on_stall_check(evutil_socket_t fd, short what, void *arg)
{
	uint64_t now = now_ns();
	size_t i;

	for (i = 0; i < n_clients && running && !fixed; i++) {
		struct flow *f = &clients[i].flow;

		if (!f->blocked || now - f->heard < STALLED)
			continue;
		f->blocked = false;
		f->heard = now;
		lost += f->sent - f->seen;
		f->seen = f->sent;
		kick(&clients[i]);
	}
}

/* Every millisecond: what is due by now, the clients in turn. */
static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	static uint64_t begun, due, due_flood;
	static size_t turn, turn_flood;
	uint64_t now = now_ns(), t;

	if (!running || (!fixed && !opt.deaf)) {
		begun = 0;
		return;
	}
	if (!begun) {
		begun = now;
		due = due_flood = 0;
	}
	for (t = (now - begun) * opt.rate / SEC_NS; fixed && due < t; due++) {
		struct client *c = &clients[turn++ % n_clients];

		c->flow.due++;
		kick(c);
	}
	t = opt.deaf ? (now - begun) * opt.flood / SEC_NS : 0;
	for (; due_flood < t; due_flood++) {
		struct client *c = &clients[turn_flood++ % opt.deaf];

		c->flood.due++;
		kick(c);
	}
}

/* ── login ────────────────────────────────────────────────────────────── */

static void connect_next(void);

static void log_in(struct client *c, const struct key *server_key)
{
	struct derp_client_info info = { .version = DERP_VERSION,
					 .can_ack_pings = true };
	struct derp_frame home = { .type = DERP_NOTE_PREFERRED,
				   .preferred = true };
	uint8_t nonce[DERP_NONCE_LEN];
	ssize_t n;

	randombytes_buf(nonce, sizeof(nonce));
	n = derp_encode_login(&info, &c->private_key, server_key, nonce,
			      c->hello, sizeof(c->hello));
	if (n < 0)
		die("login", strerror((int)-n));
	n += derp_encode(&home, c->hello + n, sizeof(c->hello) - (size_t)n);
	c->hello_len = (size_t)n;
	c->state = LOGGING_IN;
	stream_want_write(c->stream);
}

static void on_ready(void *ctx)
{
	struct client *c = ctx;
	const SSL *ssl = stream_ssl(c->stream);

	snprintf(cipher, sizeof(cipher), "%s", SSL_get_cipher(ssl));
	c->hello_len = (size_t)snprintf(
		(char *)c->hello, sizeof(c->hello),
		"GET /derp HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
		"Connection: Upgrade\r\nUpgrade: DERP\r\n\r\n",
		port);
	stream_want_write(c->stream);
}

static void on_frame(struct client *c, const struct derp_frame *f)
{
	if (f->type == DERP_RECV_PACKET) {
		on_packet(c, f);
	} else if (f->type == DERP_SERVER_KEY && c->state == GREETING) {
		log_in(c, &f->key);
	} else if (f->type == DERP_SERVER_INFO && c->state == LOGGING_IN) {
		c->state = UP;
		n_up++;
		connect_next();
		if (n_up == n_clients)
			event_base_loopbreak(base);
	}
}

static size_t on_read(void *ctx, const uint8_t *data, size_t n)
{
	struct client *c = ctx;
	struct derp_frame f;
	int status = 0, err;
	ssize_t len;

	if (c->state == UPGRADING) {
		ssize_t head = http_head_parse(data, n, &status);

		if (head < 0 || (head && status != 101))
			die("upgrade", "no 101");
		if (head)
			c->state = GREETING;
		return (size_t)head;
	}
	len = derp_client_next(&f, data, n, &err);
	if (len < 0)
		die("frame", strerror((int)-len));
	if (len && err)
		strange++;
	else if (len)
		on_frame(c, &f);
	return (size_t)len;
}

static void on_closed(void *ctx, const char *why)
{
	struct client *c = ctx;

	if (c->state != UP)
		die("the server closed a connection", why);
	/* Slow readers are thrown out; on a busy machine we may be one. */
	closed++;
	stream_free(c->stream);
	c->stream = NULL;
}

static const struct stream_ops ops = { .ready = on_ready,
				       .read = on_read,
				       .fill = on_fill,
				       .closed = on_closed };

static void connect_next(void)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct client *c;
	int fd, one = 1, small = 16384;

	if (started == n_clients)
		return;
	c = &clients[started++];
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (deaf) /* or the kernel would read megabytes for it */
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	if (fd < 0 || (connect(fd, (struct sockaddr *)&to, sizeof(to)) &&
		       errno != EINPROGRESS))
		die("connect", strerror(errno));
	c->stream = stream_new(base, fd, SSL_new(tls), DERP_FRAME_MAX, &ops, c);
}

/* Logs in clients [@first, @first + @n) in this process. */
static void connect_all(struct client *first, size_t n)
{
	size_t i;

	base = event_base_new();
	clients = first;
	n_clients = n;
	for (i = 0; i < HANDSHAKES; i++)
		connect_next();
	while (n && n_up < n_clients)
		event_base_loop(base, EVLOOP_ONCE);
}

/*
 * A process that logs clients in and then reads nothing more; TCP stays. Ends
 * with us.
 */
static pid_t start_deaf(struct client *first, size_t n)
{
	int ready[2];
	pid_t pid;
	char c;

	if (pipe(ready))
		die("pipe", strerror(errno));
	pid = fork();
	if (!pid) {
		deaf = true;
		connect_all(first, n);
		if (write(ready[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(ready[1]);
	if (pid < 0 || read(ready[0], &c, 1) != 1)
		die("deaf clients", "cannot log in");
	close(ready[0]);
	return pid;
}

/* ── measurements ─────────────────────────────────────────────────────── */

static void run_for(uint64_t ms)
{
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000),
			      .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	event_base_loopexit(base, &tv);
	event_base_dispatch(base);
}

static int compare_samples(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static double sample_us(double share)
{
	return n_samples ? samples[(size_t)(share * (double)(n_samples - 1))] /
				   1e3 :
			   0;
}

static void start_flows(void)
{
	size_t i;

	running = true;
	for (i = 0; i < n_clients; i++) {
		clients[i].flow.heard = now_ns();
		if (!fixed)
			kick(&clients[i]);
	}
}

/* Runs the flows and prints what came of them. */
static void measure(void)
{
	struct timeval tick = { .tv_usec = 1000 }, stall = { .tv_usec = 50000 };
	struct event *ev = event_new(base, -1, EV_PERSIST, on_tick, NULL);
	struct event *check =
		event_new(base, -1, EV_PERSIST, on_stall_check, NULL);
	uint64_t sent = 0, received = 0, lost_before, at, rss = 0;
	double seconds, share = 1e9, own;
	struct usage before, after, all;
	struct rusage r;
	size_t i, k;

	event_add(ev, &tick);
	event_add(check, &stall);
	all = usage();
	start_flows();
	run_for(opt.warm * 1000);
	for (i = 0; i < n_clients; i++)
		clients[i].flow.sent_before = clients[i].flow.sent;
	measuring = true;
	lost_before = lost;
	before = usage();
	getrusage(RUSAGE_SELF, &r);
	own = (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	      (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6;
	at = now_ns();
	for (k = 0; k < opt.seconds * 10; k++) {
		run_for(100);
		if (opt.deaf) { /* reading it costs the server time */
			after = usage();
			rss = after.rss > rss ? after.rss : rss;
		}
	}
	after = usage();
	getrusage(RUSAGE_SELF, &r);
	own = (double)(r.ru_utime.tv_sec + r.ru_stime.tv_sec) +
	      (double)(r.ru_utime.tv_usec + r.ru_stime.tv_usec) / 1e6 - own;
	seconds = (double)(now_ns() - at) / 1e9;
	for (i = 0; i < n_clients; i++)
		sent += clients[i].flow.sent - clients[i].flow.sent_before;
	/* What is under way arrives; nothing new. */
	running = false;
	run_for(500);
	for (i = 0; i < n_clients; i++) {
		struct flow *f = &clients[i].flow;
		uint64_t s = f->sent - f->sent_before;
		double got = s ? (double)f->received / (double)s : 0;

		received += f->received;
		share = got < share ? got : share;
	}
	qsort(samples, n_samples, sizeof(*samples), compare_samples);
	printf("cipher=%s sent=%" PRIu64 " received=%" PRIu64
	       " lost=%" PRIu64 " late=%" PRIu64 " strange=%" PRIu64 " closed=%" PRIu64 " pps=%.0f cpu=%.3f "
	       "per_cpu=%.0f own_cpu=%.3f p50=%.1f p90=%.1f p99=%.1f "
	       "p999=%.1f min_share=%.4f rss0=%" PRIu64 " rss=%" PRIu64
	       " rss_peak=%" PRIu64 "\n",
	       cipher, sent, received, lost - lost_before, late, strange, closed,
	       (double)received / seconds, after.cpu - before.cpu,
	       (double)received / (after.cpu - before.cpu), own,
	       sample_us(0.5), sample_us(0.9), sample_us(0.99),
	       sample_us(0.999), share, all.rss, after.rss,
	       rss > after.rss ? rss : after.rss);
	event_free(ev);
	event_free(check);
}

/* @a sends to @b. */
static void join(struct client *a, struct client *b)
{
	b->from = a;
	a->flow.dst = b->public_key;
}

static void make_clients(size_t n)
{
	size_t i;

	clients = xcalloc(n, sizeof(*clients));
	for (i = 0; i < n; i++) {
		key_generate(&clients[i].private_key);
		key_public(&clients[i].public_key, &clients[i].private_key);
	}
}

static void pairs(void)
{
	size_t i, n = opt.clients ? opt.clients & ~1ul : 200;

	make_clients(n);
	for (i = 0; i < n; i++)
		join(&clients[i], &clients[i ^ 1]);
	connect_all(clients, n);
	measure();
}

static void overload(void)
{
	size_t i, n = opt.clients ? opt.clients : 1000;
	struct client *all;
	pid_t pid = 0;

	make_clients(n + opt.deaf);
	all = clients;
	if (opt.deaf)
		pid = start_deaf(all + n, opt.deaf);
	for (i = 0; i < n; i++)
		join(&all[i], &all[(i + 1) % n]);
	for (i = 0; i < opt.deaf && i < n; i++) {
		all[i].floods = true;
		all[i].flood.dst = all[n + i].public_key;
	}
	connect_all(all, n);
	measure();
	if (pid) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

static void idle(void)
{
	size_t n = opt.clients ? opt.clients : 5000;
	struct kernel_usage kernel_before, kernel;
	struct usage before, after;

	make_clients(n);
	before = usage();
	kernel_before = kernel_usage();
	connect_all(clients, n);
	run_for(opt.seconds * 1000);
	after = usage();
	kernel = kernel_usage();
	printf("cipher=%s clients=%zu rss0=%" PRIu64 " rss=%" PRIu64
	       " pss0=%" PRIu64 " pss=%" PRIu64 " rss_per_client=%.0f "
	       "pss_per_client=%.0f cpu=%.3f slab_per_client=%.0f "
	       "percpu_per_client=%.0f used_per_client=%.0f tcp_pages=%" PRId64
	       "\n",
	       cipher, n, before.rss, after.rss, before.pss, after.pss,
	       (double)(after.rss - before.rss) / (double)n,
	       (double)(after.pss - before.pss) / (double)n,
	       after.cpu - before.cpu,
	       ((double)kernel.slab - (double)kernel_before.slab) / (double)n,
	       ((double)kernel.percpu - (double)kernel_before.percpu) /
		       (double)n,
	       ((double)kernel_before.available - (double)kernel.available) /
		       (double)n,
	       (int64_t)(kernel.tcp - kernel_before.tcp));
}

static void parse_option(const char *arg)
{
	size_t i, n = strcspn(arg, "=");
	char *end;

	for (i = 0; i < ARRAY_SIZE(options) && arg[n]; i++) {
		if (strncmp(options[i].name, arg, n) || options[i].name[n])
			continue;
		*options[i].value = strtoul(arg + n + 1, &end, 10);
		if (!*end && end > arg + n + 1)
			return;
	}
	die(arg, "no such option");
}

int main(int argc, char **argv)
{
	struct rlimit files;
	int i;

	if (argc < 4) {
		fprintf(stderr, "usage: relay pairs|idle|overload PORT PID "
				"[OPTION=NUMBER...]\n");
		return 2;
	}
	port = (uint16_t)atoi(argv[2]);
	server = (pid_t)atoi(argv[3]);
	for (i = 4; i < argc; i++)
		parse_option(argv[i]);
	if (opt.size < 16 || opt.size > DERP_PACKET_MAX || !opt.batch ||
	    !opt.window)
		die("size, batch, window", "out of range");
	fixed = opt.rate > 0;
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	samples = xmalloc(SAMPLES_MAX * sizeof(*samples));
	tls = SSL_CTX_new(TLS_client_method());
	/* In the order in which Go's clients offer them. */
	SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256:"
				      "TLS_AES_256_GCM_SHA384:"
				      "TLS_CHACHA20_POLY1305_SHA256");
	SSL_CTX_set_default_read_buffer_len(tls, 65536);
	if (!strcmp(argv[1], "pairs"))
		pairs();
	else if (!strcmp(argv[1], "idle"))
		idle();
	else if (!strcmp(argv[1], "overload"))
		overload();
	else
		die(argv[1], "no such measurement");
	return 0;
}
