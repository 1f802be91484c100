// SPDX-License-Identifier: GPL-2.0
/*
 * The LocalAPI's edge: who may do what, what bad requests get, and what somebody
 * who opens connections by the dozen takes from others. Clients are processes,
 * as users are theirs; the engine behind it is only what these requests reach.
 */
#include <dirent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "engine/agent.h"
#include "lib/util.h"
#include "localapi/conns.h"
#include "localapi/server.h"
#include "tap.h"

#define NOBODY 65534
#define PATIENCE_MS 60000

static char dir[] = "/tmp/test-localapi.XXXXXX", path[64];
static struct event_base *base;

static int dial(void)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sun.sun_path, path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&sun, sizeof(sun)))
		_exit(100);
	return fd;
}

/* Waits for an answer's first line: its status; 0: it was closed. */
static int status_on(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char text[4096];
	ssize_t n;

	if (poll(&p, 1, PATIENCE_MS) != 1)
		return -1;
	n = recv(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? atoi(text + strlen("HTTP/1.1 ")) : 0;
}

static void put(int fd, const char *method, const char *what, const char *body)
{
	char text[1024];
	int n = snprintf(text, sizeof(text),
			 "%s /localapi/v0/%s HTTP/1.1\r\nHost: local\r\n"
			 "Content-Length: %zu\r\n\r\n%s",
			 method, what, strlen(body), body);

	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
		_exit(101);
}

/* A client of that user, whose exit status is what @run returns. */
static pid_t client(uid_t uid, int (*run)(void *arg), void *arg)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	if (uid && (setgid(uid) || setuid(uid)))
		_exit(102);
	alarm(PATIENCE_MS / 1000);
	_exit(run(arg));
}

/* Serves until @pid has ended; its exit status. */
static int serve(pid_t pid)
{
	struct timeval tick = { 0, 2000 };
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		event_base_loopexit(base, &tick);
		event_base_dispatch(base);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

struct request {
	const char *method, *what, *body;
};

/* The answer's status, less 200 to fit. */
static int ask_one(void *arg)
{
	const struct request *r = arg;
	int fd = dial(), status;

	put(fd, r->method, r->what, r->body);
	status = status_on(fd);
	return status < 200 ? 103 : status - 200;
}

static int ask(uid_t uid, const char *method, const char *what,
	       const char *body)
{
	struct request r = { method, what, body };

	return serve(client(uid, ask_one, &r)) + 200;
}

/* ── many connections ─────────────────────────────────────────────────── */

static size_t open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

#define MANY 200

/* Opens many and says nothing; how many of them the server has ended. */
static int crowd(void *arg)
{
	static const struct timespec wait = { 0, 2000000 };
	struct pollfd p[MANY];
	int i, ended = 0, tries;

	for (i = 0; i < MANY; i++) {
		p[i].fd = dial();
		p[i].events = POLLIN;
	}
	for (tries = 0; tries < 1000 && ended < MANY - CONNS_MAX; tries++) {
		poll(p, MANY, 0);
		for (i = ended = 0; i < MANY; i++)
			ended += p[i].revents != 0;
		nanosleep(&wait, NULL);
	}
	return ended;
}

/* As root: one that was there before the crowd, and is after it. */
struct before {
	int ready, go;
};

static int steady(void *arg)
{
	const struct before *b = arg;
	int fd = dial(), status;
	char c = 0;

	put(fd, "GET", "prefs", "");
	status = status_on(fd);
	if (status != 200 || write(b->ready, &c, 1) != 1 ||
	    read(b->go, &c, 1) != 1)
		return 1;
	put(fd, "GET", "prefs", "");
	return status_on(fd) != 200;
}

static void test_crowd(void)
{
	size_t before = open_files();
	int ready[2], go[2], ended;
	struct before b;
	pid_t root;
	char c = 0;

	if (pipe(ready) || pipe(go))
		abort();
	b = (struct before){ ready[1], go[0] };
	root = client(0, steady, &b);
	while (poll(&(struct pollfd){ ready[0], POLLIN, 0 }, 1, 1) != 1)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ended = serve(client(NOBODY, crowd, NULL));
	tap_ok(ended == MANY - CONNS_MAX,
	       "of %d connections %d stay open: %d ended", MANY, CONNS_MAX,
	       ended);
	tap_ok(ask(0, "GET", "prefs", "") == 200, "root gets through");
	if (write(go[1], &c, 1) != 1)
		abort();
	tap_ok(serve(root) == 0, "what root had open still is");
	tap_ok(ask(NOBODY, "GET", "prefs", "") == 200, "and others get through");
	close(ready[0]);
	close(ready[1]);
	close(go[0]);
	close(go[1]);
	event_base_loop(base, EVLOOP_NONBLOCK);
	tap_ok(open_files() <= before + 1, "no descriptor is left: %zu, %zu",
	       before, open_files());
}

/* ── answers that take their time ─────────────────────────────────────── */

/* Questions that nobody waits for. */
static int impatient(void *arg)
{
	static const struct timespec wait = { 0, 1000000 };
	int i, fd, unread;

	for (i = 0; i < 100; i++) {
		fd = dial();
		put(fd, "GET", "status", "");
		while (!ioctl(fd, SIOCOUTQ, &unread) && unread)
			nanosleep(&wait, NULL);
		close(fd);
	}
	fd = dial();
	put(fd, "GET", "status", "");
	return status_on(fd) != 503;
}

static int hopeful(void *arg)
{
	int fd = dial();
	struct pollfd p = { .fd = fd, .events = POLLIN };

	put(fd, "GET", "status", "");
	return poll(&p, 1, 300);
}

static void test_busy(void)
{
	tap_ok(serve(client(NOBODY, impatient, NULL)) == 0,
	       "too many questions without an answer: 503");
	tap_ok(serve(client(0, hopeful, NULL)) == 0, "root's is asked");
}

/* ── who, and what ────────────────────────────────────────────────────── */

static void test_permissions(void)
{
	static const struct request writes[] = {
		{ "PATCH", "prefs", "{\"WantRunningSet\":true}" },
		{ "POST", "check-prefs", "{}" },
		{ "POST", "start", "{}" },
		{ "POST", "login-interactive", "" },
		{ "POST", "logout", "" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(writes); i++)
		tap_ok(ask(NOBODY, writes[i].method, writes[i].what,
			   writes[i].body) == 403,
		       "%s %s is not for everybody", writes[i].method,
		       writes[i].what);
	tap_ok(ask(NOBODY, "GET", "prefs", "") == 200, "reading is");
	tap_ok(ask(NOBODY, "POST", "prefs", "{}") == 405, "no such method");
	tap_ok(ask(NOBODY, "GET", "../prefs", "") == 404, "no such path");
	tap_ok(ask(NOBODY, "POST", "ping?type=disco&ip=x", "") == 400,
	       "no address to ping");
}

static void test_bodies(void)
{
	tap_ok(ask(0, "POST", "check-prefs", "{}") == 200, "an object");
	tap_ok(ask(0, "POST", "check-prefs", "") == 400, "no body");
	tap_ok(ask(0, "POST", "check-prefs", "[]") == 400, "a list");
	tap_ok(ask(0, "POST", "check-prefs", "{") == 400, "half an object");
	tap_ok(ask(0, "POST", "check-prefs", "{} {}") == 400, "two objects");
	tap_ok(ask(0, "POST", "start", "{}") == 204, "nothing to start with");
	tap_ok(ask(0, "POST", "start", "{\"AuthKey\":null}") == 204,
	       "no key to start with");
	tap_ok(ask(0, "POST", "start", "{\"UpdatePrefs\":null}") == 204,
	       "no preferences to start with");
	tap_ok(ask(0, "POST", "start", "{\"AuthKey\":[]}") == 400,
	       "a key that is a list");
	tap_ok(ask(0, "POST", "start", "{\"UpdatePrefs\":[]}") == 400,
	       "preferences that are a list");
}

int main(void)
{
	static const struct kernel_ops ops;
	int stream[2], broker[2], fd;
	struct localapi *l;
	struct agent a = { 0 };

	if (geteuid()) {
		printf("1..0 # SKIP only root can be somebody else\n");
		return 0;
	}
	signal(SIGPIPE, SIG_IGN);
	if (!mkdtemp(dir) || chmod(dir, 0755))
		return 1;
	snprintf(path, sizeof(path), "%s/sock", dir);
	base = event_base_new();
	/* a kernel process that answers nothing */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, broker))
		return 1;
	a.base = base;
	a.kernel = kernel_new(base, stream[0], broker[0], &ops, &a);
	prefs_init(&a.store.prefs);
	fd = localapi_listen(path);
	if (!tap_ok(fd >= 0, "it listens"))
		return tap_done();
	l = localapi_new(&a, fd);

	test_permissions();
	test_bodies();
	test_crowd();
	test_busy();

	localapi_free(l);
	kernel_free(a.kernel);
	close(stream[1]);
	close(broker[1]);
	prefs_uninit(&a.store.prefs);
	event_base_free(base);
	unlink(path);
	rmdir(dir);
	return tap_done();
}
