// SPDX-License-Identifier: GPL-2.0
/* The loopback socket between DERP and WireGuard, with a stand-in for it. */
#include "engine/relay.h"

#include <arpa/inet.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/util.h"
#include "tap.h"

#define PEER 0x010203
#define OTHER 0xfffffe

static struct {
	unsigned int n;
	uint32_t peer;
	uint8_t data[256];
	size_t len;
} out; /* from WireGuard */

static void on_packet(void *ctx, uint32_t peer, const uint8_t *data, size_t n)
{
	out.n++;
	out.peer = peer;
	out.len = n;
	memcpy(out.data, data, n < sizeof(out.data) ? n : sizeof(out.data));
}

static int bind_udp(const char *text, uint16_t *port)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct sockaddr_in sin = { .sin_family = AF_INET };
	socklen_t len = sizeof(sin);

	inet_pton(AF_INET, text, &sin.sin_addr);
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) ||
	    getsockname(fd, (struct sockaddr *)&sin, &len))
		abort();
	*port = ntohs(sin.sin_port);
	return fd;
}

static void send_to(int fd, uint32_t peer, uint16_t port, const char *text)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_port = htons(port),
				   .sin_addr.s_addr = htonl(127u << 24 |
							    peer) };

	if (sendto(fd, text, strlen(text), 0, (struct sockaddr *)&sin,
		   sizeof(sin)) < 0)
		abort();
}

/* Takes the next packet to WireGuard: its length, -1 if there is none. */
static ssize_t take(int fd, uint8_t *data, size_t cap, uint32_t *peer)
{
	struct sockaddr_in from = { 0 };
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(fd, data, cap, 0, (struct sockaddr *)&from, &len);

	*peer = ntohl(from.sin_addr.s_addr) & 0xffffff;
	return n;
}

int main(void)
{
	static const size_t sizes[] = { 100, 100, 100, 60, 100, 140, 140, 1 };
	struct event_base *base = event_base_new();
	static uint8_t data[70000], big[70000];
	uint16_t wg_port, port, other_port;
	unsigned int i, seen;
	struct relay *r;
	uint32_t peer;
	bool good = true;
	int wg, other;

	wg = bind_udp("0.0.0.0", &wg_port);
	other = bind_udp("0.0.0.0", &other_port);
	close(bind_udp("0.0.0.0", &port)); /* free a moment ago */
	r = relay_new(base, port, wg_port, on_packet, NULL);
	if (!tap_ok(r, "a relay on port %u", port))
		return tap_done();

	send_to(wg, PEER, port, "hello");
	event_base_loop(base, EVLOOP_NONBLOCK);
	tap_ok(out.n == 1 && out.peer == PEER && out.len == 5 &&
		       !memcmp(out.data, "hello", 5),
	       "WireGuard's packet, by the peer's address");
	send_to(other, PEER, port, "not WireGuard");
	send_to(wg, OTHER, port, "x");
	event_base_loop(base, EVLOOP_NONBLOCK);
	event_base_loop(base, EVLOOP_NONBLOCK);
	tap_ok(out.n == 2 && out.peer == OTHER, "nobody else's");

	relay_inject(r, PEER, "one", 3);
	event_base_loop(base, EVLOOP_NONBLOCK);
	tap_ok(take(wg, data, sizeof(data), &peer) == 3 && peer == PEER &&
		       !memcmp(data, "one", 3),
	       "a packet to WireGuard, from the peer's address");

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		memset(big, (int)i + 1, sizes[i]);
		relay_inject(r, i == 5 ? OTHER : PEER, big, sizes[i]);
	}
	event_base_loop(base, EVLOOP_NONBLOCK);
	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		good = good &&
		       take(wg, data, sizeof(data), &peer) ==
			       (ssize_t)sizes[i] &&
		       data[0] == i + 1 && data[sizes[i] - 1] == i + 1 &&
		       peer == (i == 5 ? OTHER : PEER);
	tap_ok(good && take(wg, data, sizeof(data), &peer) < 0,
	       "packets of any sizes and peers, whole and in order");

	for (i = 0; i < 80; i++) {
		memset(big, (int)i, 1400);
		relay_inject(r, PEER, big, 1400);
	}
	event_base_loop(base, EVLOOP_NONBLOCK);
	for (seen = 0; take(wg, data, sizeof(data), &peer) == 1400; seen++)
		good = good && data[0] == seen && data[1399] == seen;
	tap_ok(good && seen == 80, "a burst beyond one batch (%u)", seen);
	for (i = 0; i < 100; i++)
		relay_inject(r, PEER, &i, 1);
	event_base_loop(base, EVLOOP_NONBLOCK);
	for (seen = 0; take(wg, data, sizeof(data), &peer) == 1; seen++)
		good = good && data[0] == seen;
	tap_ok(good && seen == 100, "of tiny packets (%u)", seen);
	relay_inject(r, PEER, big, 65507);
	relay_inject(r, PEER, big, 65508);
	relay_inject(r, PEER, big, 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	tap_ok(take(wg, data, sizeof(data), &peer) == 65507 &&
		       take(wg, data, sizeof(data), &peer) < 0,
	       "the largest datagram, nothing larger, nothing empty");

	relay_inject(r, PEER, "late", 4);
	relay_free(r);
	event_base_free(base);
	close(wg);
	close(other);
	return tap_done();
}
