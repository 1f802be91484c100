// SPDX-License-Identifier: GPL-2.0
#include "coord/limits.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "lib/util.h"

const struct http_limits http_limits_default = {
	.connections = 16000,
	.unproven = 4096,
	.per_machine = 8,
	.handshake_ms = 10000,
	.request_ms = 30000,
	.idle_ms = 60000,
	.channel_idle_ms = 300000,
	.stall_ms = 120000,
	.head = 8192,
	.http1_body = 64 << 10,
	.body = 1 << 20,
	.bodies = 64 << 20,
	.streams = 32,
	.requests_per_s = 20,
	.requests_burst = 200,
	.backlog = 16 << 20,
};

static const struct {
	const char *name;
	size_t offset;
	size_t min, max;
	const char *what;
} limits[] = {
#define LIMIT(name, member, min, max, what) \
	{ name, offsetof(struct http_limits, member), min, max, what }
	LIMIT("connections", connections, 1, 1000000, "connections in all"),
	LIMIT("unproven", unproven, 1, 1000000,
	      "connections that have shown no machine key"),
	LIMIT("per-machine", per_machine, 1, 1000,
	      "channels of one machine key"),
	LIMIT("handshake-ms", handshake_ms, 1, 600000,
	      "from accept to the first authentic record"),
	LIMIT("request-ms", request_ms, 1, 600000,
	      "from a request's first byte to its last"),
	LIMIT("idle-ms", idle_ms, 1, 3600000,
	      "an HTTP/1 connection between requests"),
	LIMIT("channel-idle-ms", channel_idle_ms, 1, 86400000,
	      "a channel without a request open"),
	LIMIT("stall-ms", stall_ms, 1, 3600000,
	      "an answer of which nothing is taken"),
	LIMIT("head", head, 1024, 65536, "bytes of a request's header"),
	LIMIT("http1-body", http1_body, 1024, 16 << 20,
	      "bytes of a body outside of Noise"),
	LIMIT("body", body, 1024, 16 << 20, "bytes of a body inside of Noise"),
	LIMIT("bodies", bodies, 1 << 20, SIZE_MAX,
	      "bytes of bodies in all; the oldest makes room"),
	LIMIT("streams", streams, 1, 1000, "requests open in one channel"),
	LIMIT("requests-per-s", requests_per_s, 1, 100000,
	      "requests of one channel, over time"),
	LIMIT("requests-burst", requests_burst, 1, 100000,
	      "requests of one channel, at once"),
	LIMIT("backlog", backlog, 65536, SIZE_MAX,
	      "bytes queued for one answer"),
#undef LIMIT
};

static size_t *field(const struct http_limits *l, size_t i)
{
	return (size_t *)(uintptr_t)((const char *)l + limits[i].offset);
}

int http_limits_set(struct http_limits *l, const char *name, size_t value)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		if (strcmp(limits[i].name, name) != 0)
			continue;
		if (value < limits[i].min || value > limits[i].max)
			return -ERANGE;
		*field(l, i) = value;
		return 0;
	}
	return -ENOENT;
}

void http_limits_each(const struct http_limits *l,
		      void (*each)(void *ctx, const char *name, size_t value,
				   const char *what),
		      void *ctx)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(limits); i++)
		each(ctx, limits[i].name, *field(l, i), limits[i].what);
}
