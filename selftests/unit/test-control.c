// SPDX-License-Identifier: GPL-2.0
/* The whole session against a control server in this process. */
#include <errno.h>
#include <json.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <signal.h>
#include <sys/socket.h>

#include "control/control.h"
#include "fake-control.h"
#include "lib/json.h"
#include "tap.h"

#define LIMIT_S 20
#define REQUESTS_MAX 64

struct world {
	struct event_base *base;
	struct fake fake;
	struct control *c;
	struct control_self self;
	char url[64];
	/* What the client told. */
	enum control_state state;
	char error[256], auth_url[256];
	int urls, node_keys, netmaps, logouts;
	unsigned int changed;
	struct key node, old;
	int node_key_result;
	void (*inside)(struct world *w); /* run once by the next netmap */
	/* What the server was asked: the last of each kind, and how many. */
	int registers, streams, updates, others;
	char *last_register, *last_stream, *last_update, *last_other;
	char last_path[272];
	struct fake_req *stream, *held; /* the open map stream, a held answer */
	/* How it answers. */
	const char *register_answer;
	int register_status, map_status;
	const char *retry_after;
	bool hold_followup, hold_updates, silent_stream;
	char first[2048]; /* message of a stream */
};

static void keep(char **to, struct fake_req *r, int *count)
{
	free(*to);
	*to = xstrdup(fake_body(r));
	++*count;
}

static void handle(void *ctx, struct fake_req *r)
{
	struct world *w = ctx;
	const char *body = fake_body(r);

	if (!strcmp(r->path, "/machine/register")) {
		keep(&w->last_register, r, &w->registers);
		if (w->hold_followup && !strstr(body, "\"Followup\":\"\"")) {
			w->held = r;
			return;
		}
		fake_status(r, w->register_status, w->retry_after);
		evbuffer_add_printf(r->out, "%s", w->register_answer);
		fake_end(r);
	} else if (!strcmp(r->path, "/machine/map") &&
		   strstr(body, "\"Stream\":true")) {
		keep(&w->last_stream, r, &w->streams);
		if (w->map_status != 200) {
			fake_answer(r, w->map_status, "node not found");
			return;
		}
		w->stream = r;
		fake_status(r, 200, NULL);
		if (!w->silent_stream)
			fake_map(r, w->first);
	} else if (!strcmp(r->path, "/machine/map")) {
		keep(&w->last_update, r, &w->updates);
		if (w->hold_updates)
			w->held = r;
		else
			fake_answer(r, 200, "");
	} else {
		keep(&w->last_other, r, &w->others);
		snprintf(w->last_path, sizeof(w->last_path), "%s %s", r->method,
			 r->path);
		fake_answer(r, 204, "");
	}
}

static void on_state(void *ctx, enum control_state s, const char *error)
{
	struct world *w = ctx;

	w->state = s;
	if (*error)
		snprintf(w->error, sizeof(w->error), "%s", error);
}

static void on_url(void *ctx, const char *url)
{
	struct world *w = ctx;

	snprintf(w->auth_url, sizeof(w->auth_url), "%s", url);
	w->urls++;
}

static int on_node_key(void *ctx, const struct key *node, const struct key *old)
{
	struct world *w = ctx;

	w->node = *node;
	w->old = *old;
	w->node_keys++;
	return w->node_key_result;
}

static void on_netmap(void *ctx, const struct netmap *nm, unsigned int changed)
{
	struct world *w = ctx;

	void (*inside)(struct world * w) = w->inside;

	w->netmaps++;
	w->changed = changed;
	w->inside = NULL;
	if (inside)
		inside(w);
}

static void on_logged_out(void *ctx)
{
	((struct world *)ctx)->logouts++;
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

static void first_message(struct world *w, const char *more)
{
	char key[KEY_TEXT_MAX];
	struct key node;

	key_public(&node, &w->node);
	snprintf(w->first, sizeof(w->first),
		 "{\"Node\":{\"ID\":1,\"Name\":\"me.\",\"Key\":\"%s\","
		 "\"Addresses\":[\"100.64.0.1/32\"],\"MachineAuthorized\":true"
		 "%s}}",
		 key_format(key, KEY_NODE, &node), more);
}

#define REGISTERED "{\"MachineAuthorized\":true}"

/* @tls: its certificate is in @ca_file, or in no file that we know of. */
static struct world *world_make(const char *auth_key, SSL_CTX *tls,
				const char *ca_file)
{
	struct world *w = xcalloc(1, sizeof(*w));
	struct control_config config = {.auth_key = auth_key,
					.ca_file = ca_file};

	w->base = event_base_new();
	w->fake.handle = handle;
	w->fake.ctx = w;
	w->fake.early = true;
	w->fake.tls = tls;
	fake_start(&w->fake, w->base);
	w->register_answer = REGISTERED;
	w->register_status = w->map_status = 200;
	key_generate(&w->node); /* any key will do for the first message */
	first_message(w, "");
	key_generate(&config.machine_private);
	snprintf(w->url, sizeof(w->url), "http%s://127.0.0.1:%u/",
		 tls ? "s" : "", w->fake.port);
	config.server_url = w->url;
	w->c = control_new(w->base, NULL, &config, &ops, w);
	w->self.hostname = (char *)"box";
	w->self.preferred_derp = 1;
	control_set_self(w->c, &w->self);
	return w;
}

static struct world *world_new(const char *auth_key)
{
	return world_make(auth_key, NULL, NULL);
}

static void world_free(struct world *w)
{
	control_free(w->c);
	fake_stop(&w->fake);
	event_base_loop(w->base, EVLOOP_NONBLOCK);
	event_base_free(w->base);
	free(w->last_register);
	free(w->last_stream);
	free(w->last_update);
	free(w->last_other);
	free(w);
}

static void on_limit(evutil_socket_t fd, short what, void *arg)
{
	*(bool *)arg = true;
}

/* Runs the loop until @cond; the limit is for hangs only. */
#define UNTIL(w, cond)                                                        \
	({                                                                    \
		struct timeval limit_ = {LIMIT_S, 0};                         \
		bool late_ = false;                                           \
		struct event *ev_ = evtimer_new((w)->base, on_limit, &late_); \
		evtimer_add(ev_, &limit_);                                    \
		while (!(cond) && !late_)                                     \
			event_base_loop((w)->base, EVLOOP_ONCE);              \
		event_free(ev_);                                              \
		!late_;                                                       \
	})

/* Lets whatever is in flight arrive: a lite update is the last of a login. */
static struct world *streaming(void)
{
	struct world *w = world_new("key-1");

	control_start(w->c);
	if (!UNTIL(w, w->state == CONTROL_STREAMING && w->updates == 1))
		tap_ok(false, "a usual login: %s", w->error);
	return w;
}

/*
 * Two round trips by way of the map stream: whatever the client had in mind to
 * send by now has arrived.
 */
static void settle(struct world *w)
{
	static int id;
	char text[160];
	int i, want;

	for (i = 0; i < 2; i++) {
		snprintf(text, sizeof(text),
			 "{\"KeepAlive\":true,\"PingRequest\":{\"URL\":"
			 "\"http://x/settle/%d\",\"URLIsNoise\":true}}",
			 ++id);
		want = w->others + 1;
		fake_map(w->stream, text);
		if (!UNTIL(w, w->others >= want))
			tap_ok(false, "a round trip");
	}
}

static bool has(const char *text, const char *what)
{
	return text && strstr(text, what);
}

static void login(void)
{
	struct world *w = world_new("key-1");
	char key[KEY_TEXT_MAX];
	struct key node;

	control_start(w->c);
	tap_ok(UNTIL(w, w->registers), "it registers");
	tap_ok(w->node_keys == 1 && key_is_zero(&w->old),
	       "the key was told before");
	key_public(&node, &w->node);
	tap_ok(has(w->last_register, key_format(key, KEY_NODE, &node)) &&
		       has(w->last_register, "\"AuthKey\":\"key-1\"") &&
		       has(w->last_register, "\"Hostname\":\"box\""),
	       "with this key, the auth key and Hostinfo");
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING), "then it streams");
	tap_ok(UNTIL(w, w->updates == 1), "and makes itself known");
	tap_ok(w->streams == 1 && has(w->last_stream, "\"Hostname\":\"box\"") &&
		       has(w->last_update, "\"Hostname\":\"box\""),
	       "both times in full");
	tap_ok(w->netmaps == 1 && w->changed == NETMAP_ALL &&
		       control_netmap(w->c)->self->id == 1,
	       "there is a netmap");
	fake_map(w->stream, "{\"KeepAlive\":true}");
	fake_map(w->stream, "{\"Domain\":\"d\"}");
	tap_ok(UNTIL(w, w->netmaps == 2) && w->changed == NETMAP_OTHER,
	       "a delta, a keepalive is none");
	tap_ok(w->fake.key_fetches == 1 && w->fake.upgrades == 1,
	       "all that on one connection");
	world_free(w);
}

static void updates(void)
{
	struct world *w = streaming();

	settle(w);
	tap_ok(w->updates == 1, "a login makes one update");
	w->hold_updates = true;
	w->self.preferred_derp = 2;
	control_set_self(w->c, &w->self);
	tap_ok(UNTIL(w, w->updates == 2), "a change goes out");
	w->self.preferred_derp = 3;
	control_set_self(w->c, &w->self);
	w->self.preferred_derp = 4;
	control_set_self(w->c, &w->self);
	settle(w);
	tap_ok(w->updates == 2, "one in flight at a time");
	w->hold_updates = false;
	fake_answer(w->held, 200, "");
	tap_ok(UNTIL(w, w->updates == 3) &&
		       has(w->last_update, "\"PreferredDERP\":4"),
	       "then the newest state");
	w->self.n_derp_latency = 1;
	strcpy(w->self.derp_latency[0].name, "1-v4");
	w->self.derp_latency[0].seconds = 0.1;
	control_set_self(w->c, &w->self);
	settle(w);
	tap_ok(w->updates == 3, "latencies are no reason for one");
	w->hold_updates = true;
	w->self.preferred_derp = 5;
	control_set_self(w->c, &w->self);
	UNTIL(w, w->updates == 4);
	fake_answer(w->held, 500, "");
	tap_ok(UNTIL(w, w->updates == 5) &&
		       has(w->last_update, "\"PreferredDERP\":5"),
	       "a refused one is repeated");
	world_free(w);
}

static void pings(void)
{
	struct world *w = streaming();
	char text[512];

	fake_map(w->stream,
		 "{\"KeepAlive\":true,\"PingRequest\":{\"URL\":"
		 "\"http://elsewhere/machine/c2n/1\",\"Types\":\"c2n\","
		 "\"Payload\":\"UE9TVCAvZWNobyBIVFRQLzEuMQ0KDQpoaQ==\"}}");
	tap_ok(UNTIL(w, w->others == 1) &&
		       !strcmp(w->last_path, "POST /machine/c2n/1") &&
		       has(w->last_other, "HTTP/1.1 200 OK\r\n") &&
		       has(w->last_other, "\r\n\r\nhi"),
	       "c2n echo, inside of Noise, also on a keepalive");
	snprintf(text, sizeof(text),
		 "{\"KeepAlive\":true,\"PingRequest\":{\"URL\":"
		 "\"http://127.0.0.1:%u/ping?id=1\"}}",
		 w->fake.port);
	fake_map(w->stream, text);
	tap_ok(UNTIL(w, w->fake.heads == 1), "HEAD outside of it");
	fake_map(w->stream, text);
	fake_map(w->stream, "{\"KeepAlive\":true,\"PingRequest\":{\"URL\":"
			    "\"http://x/machine/p?2\",\"URLIsNoise\":true}}");
	tap_ok(UNTIL(w, w->others == 2) &&
		       !strcmp(w->last_path, "HEAD /machine/p?2"),
	       "HEAD inside of it");
	tap_ok(w->fake.heads == 1, "the same URL again is ignored");
	fake_map(w->stream, "{\"KeepAlive\":true,\"PingRequest\":{\"URL\":"
			    "\"file:///etc/passwd\"}}");
	fake_map(w->stream, "{\"Domain\":\"d\"}");
	tap_ok(UNTIL(w, w->netmaps == 2), "other URLs do no harm");
	world_free(w);
}

static void sleeping(void)
{
	struct world *w = streaming();

	fake_map(w->stream,
		 "{\"Debug\":{\"SleepSeconds\":3},\"Domain\":\"d\"}");
	fake_map(w->stream, "{\"Domain\":\"e\"}");
	w->self.preferred_derp = 2;
	control_set_self(w->c, &w->self);
	tap_ok(UNTIL(w, w->updates == 2) && w->netmaps == 1,
	       "a message that says so waits, nothing else does");
	tap_ok(UNTIL(w, w->netmaps == 3) &&
		       !strcmp(control_netmap(w->c)->domain, "e"),
	       "and those behind it keep their order");
	world_free(w);
}

static void big(void)
{
	struct world *w = streaming();
	size_t n = 24u << 20, head;
	char *text = xmalloc(n + 1);

	memset(text, 'x', n);
	text[n] = '\0';
	head = (size_t)sprintf(text, "{\"Health\":[\"");
	text[head] = 'x';
	memcpy(text + n - 3, "\"]}", 3);
	fake_map(w->stream, text);
	tap_ok(UNTIL(w, w->netmaps == 2) &&
		       control_netmap(w->c)->n_health == 1 &&
		       strlen(control_netmap(w->c)->health[0]) == n - head - 3,
	       "24 MiB in one message: the windows are replenished");
	free(text);
	world_free(w);
}

/* What ends a stream; each time a new one must come. */
static void interruptions(void)
{
	struct world *w = streaming();

	fake_end(w->stream);
	tap_ok(UNTIL(w, w->streams == 2 && w->state == CONTROL_STREAMING &&
				w->netmaps == 2) &&
		       w->changed == NETMAP_ALL,
	       "the stream ends: again, and everything is new");
	fake_send(w->stream, "\x08\0\0\0garbage!", 12);
	tap_ok(UNTIL(w, w->streams == 3 && w->netmaps == 3) &&
		       has(w->error, "not JSON"),
	       "garbage: %s", w->error);
	fake_map(w->stream, "{\"PeersRemoved\":\"x\"}");
	tap_ok(UNTIL(w, w->streams == 4 && w->netmaps == 4) &&
		       has(w->error, "PeersRemoved"),
	       "a malformed message: %s", w->error);
	fake_send(w->stream, "\xff\xff\xff\xff", 4);
	tap_ok(UNTIL(w, w->streams == 5 && w->netmaps == 5) &&
		       has(w->error, "too long"),
	       "an endless message: %s", w->error);
	tap_ok(w->fake.upgrades == 1 && w->registers == 1,
	       "all on the same connection");
	strcpy(w->first, "{\"Peers\":[]}");
	fake_end(w->stream);
	tap_ok(UNTIL(w, has(w->error, "Node")) &&
		       control_netmap(w->c)->self->id == 1,
	       "a first message without Node: the old netmap stays");
	first_message(w, "");
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING), "until a better one");

	fake_goaway(&w->fake);
	tap_ok(UNTIL(w, w->fake.upgrades == 2 && w->netmaps == 7),
	       "GOAWAY: a new connection");
	fake_drop(&w->fake);
	tap_ok(UNTIL(w, w->fake.upgrades == 3 && w->netmaps == 8),
	       "the connection is lost: a new one");
	control_link_changed(w->c);
	tap_ok(UNTIL(w, w->fake.upgrades == 4 && w->netmaps == 9),
	       "the link has changed: a new one");
	bufferevent_write(w->stream->conn->bev,
			  "\x04\x00\x20garbagegarbage"
			  "garbagegarbage!!!!",
			  35);
	tap_ok(UNTIL(w, w->fake.upgrades == 5 && w->netmaps == 10) &&
		       has(w->error, "forged"),
	       "a forged record: %s", w->error);
	tap_ok(w->fake.key_fetches == 1 && w->registers == 1,
	       "without asking for the key or registering again");
	world_free(w);
}

static void forgotten(void)
{
	struct world *w = streaming();
	struct key node = w->node;

	w->map_status = 404;
	fake_end(w->stream);
	tap_ok(UNTIL(w, w->registers == 2) && has(w->error, "node not found"),
	       "refused twice, it registers again: %s", w->error);
	tap_ok(w->streams == 3 && key_equal(&node, &w->node) &&
		       !has(w->last_register, "AuthKey"),
	       "with its key, the auth key is gone");
	w->map_status = 200;
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING) && !w->logouts,
	       "and streams when control relents");
	world_free(w);
}

static void refused(void)
{
	struct world *w = world_new("bad");

	w->register_answer = "{\"Error\":\"invalid\\nkey\"}";
	control_start(w->c);
	tap_ok(UNTIL(w, w->state == CONTROL_NEEDS_LOGIN) &&
		       has(w->error, "invalid key"),
	       "a refused auth key: %s", w->error);
	w->register_answer = REGISTERED;
	control_login(w->c, "good", false);
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING) &&
		       has(w->last_register, "\"AuthKey\":\"good\"") &&
		       w->node_keys == 1,
	       "another one, for the same node key");
	world_free(w);

	w = world_new(NULL);
	w->register_status = 500;
	w->register_answer = "out of order";
	control_start(w->c);
	tap_ok(UNTIL(w, has(w->error, "500: out of order")) &&
		       w->state == CONTROL_CONNECTING,
	       "a server error: %s", w->error);
	w->register_status = 429;
	w->retry_after = "1";
	UNTIL(w, has(w->error, "later"));
	w->register_status = 200;
	w->register_answer = "{\"AuthURL\":\"javascript:x\"}";
	tap_ok(UNTIL(w, has(w->error, "AuthURL")) && !w->urls,
	       "a URL that is none: %s", w->error);
	w->register_answer = "no JSON";
	tap_ok(UNTIL(w, has(w->error, "does not parse")), "%s", w->error);
	w->register_answer = REGISTERED;
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING), "and then it works");
	world_free(w);

	w = world_new(NULL);
	w->node_key_result = -ENOSPC;
	control_start(w->c);
	tap_ok(UNTIL(w, has(w->error, "No space")) && !w->registers,
	       "a key that cannot be saved is not used: %s", w->error);
	world_free(w);
}

static void interactive(void)
{
	struct world *w = world_new("weak");

	w->register_answer = "{\"AuthURL\":\"https://x/register/1\"}";
	w->hold_followup = true;
	control_start(w->c);
	tap_ok(UNTIL(w, w->registers == 2) && w->state == CONTROL_NEEDS_LOGIN &&
		       !strcmp(w->auth_url, "https://x/register/1"),
	       "a login URL");
	tap_ok(has(w->last_register, "\"Followup\":\"https://x/register/1\"") &&
		       !has(w->last_register, "AuthKey") && w->node_keys == 1,
	       "is waited on with the same key, without Auth");
	fake_drop(&w->fake);
	tap_ok(UNTIL(w, w->registers == 3) &&
		       has(w->last_register, "/register/1\""),
	       "also over a lost connection");
	fake_answer(w->held, 200, "{\"AuthURL\":\"https://x/register/2\"}");
	tap_ok(UNTIL(w, w->registers == 4) &&
		       !strcmp(w->auth_url, "https://x/register/2"),
	       "a newer URL takes its place");
	fake_answer(w->held, 200, REGISTERED);
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING) && !*w->auth_url,
	       "the user is done");
	world_free(w);
}

static void rotation(void)
{
	struct world *w = streaming();
	struct key first = w->node, old;
	char key[KEY_TEXT_MAX];

	w->hold_followup = true;
	w->register_answer = "{\"AuthURL\":\"https://x/register/1\"}";
	fake_map(w->stream,
		 "{\"Node\":{\"ID\":1,\"Key\":\"nodekey:1111111111111111111111"
		 "111111111111111111111111111111111111111111\",\"KeyExpiry\":"
		 "\"2024-01-01T00:00:00Z\"}}");
	tap_ok(UNTIL(w, w->registers == 3), "an expired key asks for a login");
	key_public(&old, &first);
	snprintf(key, sizeof(key), "%s", "");
	key_format(key, KEY_NODE, &old);
	tap_ok(w->state == CONTROL_NEEDS_LOGIN && w->node_keys == 2 &&
		       key_equal(&w->old, &first) && has(w->last_register, key),
	       "with a new key that names the old one");
	fake_map(w->stream, w->first);
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING) && !*w->auth_url &&
		       key_equal(&w->node, &first),
	       "the expiry is extended: the old key is good again");
	world_free(w);

	w = streaming();
	first = w->node;
	w->register_answer = "{\"NodeKeyExpired\":true}";
	control_login(w->c, "key-2", false);
	tap_ok(UNTIL(w, has(w->error, "new node key expired")) &&
		       w->registers == 3 && key_equal(&w->old, &first),
	       "an expired node key is replaced once");
	w->register_answer = REGISTERED;
	tap_ok(UNTIL(w, w->registers == 4 && w->streams == 2) &&
		       w->node_keys == 2,
	       "and then registered");
	first = w->node;
	control_login(w->c, "key-3", true);
	tap_ok(UNTIL(w, w->streams == 3) && key_equal(&w->old, &first),
	       "a forced login rotates");
	world_free(w);
}

static void logout(void)
{
	struct world *w = streaming();

	control_logout(w->c);
	tap_ok(UNTIL(w, w->logouts == 1) &&
		       has(w->last_register, "\"1970-01-01T00:02:03Z\""),
	       "logout is told to control");
	tap_ok(key_is_zero(&w->node) && w->state == CONTROL_STOPPED &&
		       !control_netmap(w->c),
	       "key and netmap are forgotten");
	control_login(w->c, "key-2", false);
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING) &&
		       !key_is_zero(&w->node) && key_is_zero(&w->old),
	       "a new login starts from nothing");
	world_free(w);
}

#define SWITCHING                     \
	"HTTP/1.1 101 x\r\nUpgrade: " \
	"tailscale-control-protocol\r\n\r\n"
#define UPGRADE(w, text)                  \
	((w)->fake.upgrade_answer = text, \
	 (w)->fake.upgrade_answer_len = sizeof(text) - 1)

static void servers(void)
{
	struct world *w = world_new("k");
	struct key real = w->fake.published;

	w->fake.early = false;
	key_generate(&w->fake.private_key);
	control_start(w->c);
	tap_ok(UNTIL(w, has(w->error, "handshake")),
	       "a server without its published key: %s", w->error);
	key_public(&w->fake.published, &w->fake.private_key);
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING) &&
		       w->fake.key_fetches >= 2,
	       "the key is asked for again; no early payload");
	world_free(w);

	w = world_new("k");
	UPGRADE(w, "HTTP/1.1 200 OK\r\n\r\nhello, portal");
	control_start(w->c);
	tap_ok(UNTIL(w, has(w->error, "200, not an upgrade")),
	       "a captive portal: %s", w->error);
	UPGRADE(w, "SSH-2.0-x\r\n");
	tap_ok(UNTIL(w, has(w->error, "no HTTP")), "no HTTP: %s", w->error);
	UPGRADE(w, SWITCHING "\x03\0\6sorry!");
	tap_ok(UNTIL(w, has(w->error, "sorry!")), "an error frame: %s",
	       w->error);
	UPGRADE(w, SWITCHING "\x09\0\6sorry!");
	tap_ok(UNTIL(w, has(w->error, "does not speak")), "another frame: %s",
	       w->error);
	w->fake.upgrade_answer = NULL;
	memset(&w->fake.published, 0, sizeof(real));
	tap_ok(UNTIL(w, has(w->error, "too old")), "a zero server key: %s",
	       w->error);
	key_public(&w->fake.published, &w->fake.private_key);
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING), "and then it works");
	world_free(w);
}

/* A certificate for @ip that signs itself, also written to @path. */
static SSL_CTX *certificate(const char *ip, const char *path)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	char san[64];
	X509_EXTENSION *e;
	FILE *f;

	snprintf(san, sizeof(san), "IP:%s", ip);
	X509_set_version(cert, 2);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, san);
	X509_add_ext(cert, e, -1);
	X509_EXTENSION_free(e);
	X509_sign(cert, key, EVP_sha256());
	SSL_CTX_use_certificate(ctx, cert);
	SSL_CTX_use_PrivateKey(ctx, key);
	f = fopen(path, "w");
	PEM_write_X509(f, cert);
	fclose(f);
	X509_free(cert);
	EVP_PKEY_free(key);
	return ctx;
}

static void over_tls(void)
{
	char path[] = "/tmp/tailrace-control-XXXXXX";
	int fd = mkstemp(path);
	SSL_CTX *good, *bad;
	struct world *w;

	close(fd);
	bad = certificate("192.0.2.1", path);
	w = world_make("k", bad, path);
	control_start(w->c);
	tap_ok(UNTIL(w, *w->error) && has(w->error, "mismatch") &&
		       !w->fake.key_fetches,
	       "a certificate for another name: %s", w->error);
	world_free(w);

	good = certificate("127.0.0.1", path);
	w = world_make("k", good, NULL);
	control_start(w->c);
	tap_ok(UNTIL(w, *w->error) && has(w->error, "TLS") &&
		       !w->fake.key_fetches,
	       "a certificate that nobody has signed: %s", w->error);
	world_free(w);

	w = world_make("k", good, path);
	control_start(w->c);
	tap_ok(UNTIL(w, w->state == CONTROL_STREAMING),
	       "one of the extra roots, on the TLS port: nothing on port 80");
	/* Verification is for the key; what Noise proves needs none. */
	w->fake.tls = bad;
	control_link_changed(w->c);
	tap_ok(UNTIL(w, w->netmaps == 2) && w->fake.upgrades == 2 &&
		       w->fake.key_fetches == 1,
	       "TLS that is intercepted later does no harm to Noise");
	world_free(w);
	SSL_CTX_free(good);
	SSL_CTX_free(bad);
	unlink(path);
	w = xcalloc(1, sizeof(*w));
	w->base = event_base_new();
	tap_ok(!control_new(w->base, NULL,
			    &(struct control_config){.server_url = "https://h",
						     .ca_file = path},
			    &ops, w),
	       "a file of certificates that is not there");
	tap_ok(!control_new(w->base, NULL,
			    &(struct control_config){.server_url = "h"}, &ops,
			    w),
	       "a URL that is none");
	event_base_free(w->base);
	free(w);
}

static void link_inside(struct world *w)
{
	control_link_changed(w->c);
}

static void login_inside(struct world *w)
{
	control_login(w->c, "inside", true);
}

static void logout_inside(struct world *w)
{
	control_logout(w->c);
}

/* The engine may call back in from a callback, deep in control's stack. */
static void reentrance(void)
{
	struct world *w = streaming();

	w->inside = link_inside;
	fake_map(w->stream, "{\"Domain\":\"a\"}");
	tap_ok(UNTIL(w, w->fake.upgrades == 2 && w->netmaps == 3),
	       "the link changes inside of a callback");
	w->inside = login_inside;
	fake_map(w->stream, "{\"Domain\":\"b\"}");
	tap_ok(UNTIL(w, w->streams == 3 && w->netmaps == 5) &&
		       has(w->last_register, "inside"),
	       "a login");
	w->inside = logout_inside;
	fake_map(w->stream, "{\"Domain\":\"c\"}");
	/* In the same write: it must not be read any more. */
	fake_map(w->stream, "{\"Domain\":\"d\"}");
	tap_ok(UNTIL(w, w->logouts == 1) && w->netmaps == 6, "a logout");
	world_free(w);
}

static void endings(void)
{
	struct world *w = world_new("k");
	int i;

	/* Freed at every step of a login: the sanitizer looks for leaks. */
	world_free(w);
	for (i = 1; i < 24; i += 2) {
		int n = i;

		w = world_new("k");
		control_start(w->c);
		while (n-- && w->updates == 0)
			event_base_loop(w->base, EVLOOP_ONCE);
		world_free(w);
	}
	tap_ok(true, "control can be freed at any step");
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the agent does */
	login();
	updates();
	pings();
	sleeping();
	big();
	interruptions();
	forgotten();
	refused();
	interactive();
	rotation();
	logout();
	servers();
	over_tls();
	reentrance();
	endings();
	return tap_done();
}
