// SPDX-License-Identifier: GPL-2.0
/* The map stream: what comes in it, and what ends it. */
#include <signal.h>

#include "control-world.h"

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

int main(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the agent does */
	pings();
	sleeping();
	big();
	interruptions();
	return tap_done();
}
