// SPDX-License-Identifier: GPL-2.0
/* What waits for a DERP connection: order, bounds, frames cut anywhere. */
#include "engine/derpqueue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "proto/derp.h"
#include "tap.h"

#define NO_LIMIT SIZE_MAX

static struct derp_queue q;
static const struct key dst = { { 7 } };

static void push(uint8_t id, size_t n, size_t max_packets, size_t max_bytes)
{
	uint8_t *data = malloc(n);

	memset(data, id, n);
	if (derp_queue_push(&q, &dst, data, n, max_packets, max_bytes))
		abort();
	free(data);
}

/* Takes all out, @step bytes at a time, after the @had bytes in @wire. */
static char *drain(uint8_t *wire, size_t had, size_t step)
{
	static char ids[256];
	size_t at = 0, len = had, n, k = 0;

	while ((n = derp_queue_fill(&q, wire + len, step)))
		len += n;
	while (at + DERP_HEADER_LEN <= len) {
		struct derp_header h;
		struct derp_frame f;

		derp_header_decode(&h, wire + at);
		if (at + DERP_HEADER_LEN + h.len > len ||
		    derp_parse(&f, DERP_SERVER, &h,
			       wire + at + DERP_HEADER_LEN) ||
		    f.type != DERP_SEND_PACKET || !key_equal(&f.key, &dst))
			return "a broken frame";
		ids[k++] = f.data_len ? (char)f.data[0] : '.';
		at += DERP_HEADER_LEN + h.len;
	}
	ids[k] = '\0';
	return at == len ? ids : "a torn frame";
}

int main(void)
{
	uint8_t *wire = malloc(1 << 20);
	bool good = true;
	size_t step, n;
	char id;

	for (step = 1; step < 200; step++) {
		push('a', 10, NO_LIMIT, NO_LIMIT);
		push('b', 1, NO_LIMIT, NO_LIMIT);
		push('c', 150, NO_LIMIT, NO_LIMIT);
		good = good && !strcmp(drain(wire, 0, step), "abc") && !q.n &&
		       !q.bytes && !q.head;
	}
	tap_ok(good, "frames come out whole whatever the steps");

	for (id = 'a'; id <= 'j'; id++)
		push((uint8_t)id, 5, 4, NO_LIMIT);
	tap_ok(q.n == 4 && q.dropped == 6 &&
		       !strcmp(drain(wire, 0, 100), "ghij"),
	       "too many: the oldest go");
	for (id = 'a'; id <= 'j'; id++)
		push((uint8_t)id, 63, NO_LIMIT, 400);
	tap_ok(q.bytes == 400 && !strcmp(drain(wire, 0, 100), "ghij"),
	       "too large: the oldest go");
	push('a', 1000, 4, 10);
	tap_ok(q.n == 1 && !strcmp(drain(wire, 0, 100), "a"),
	       "the newest stays even if it is too large alone");

	push('a', 100, NO_LIMIT, NO_LIMIT);
	push('b', 100, NO_LIMIT, NO_LIMIT);
	n = derp_queue_fill(&q, wire, 50);
	tap_ok(n == 50 && derp_queue_is_partial(&q), "half a frame is out");
	for (id = 'c'; id <= 'j'; id++)
		push((uint8_t)id, 100, 3, NO_LIMIT);
	tap_ok(!strcmp(drain(wire, n, 100), "aij"),
	       "its other half is not dropped");

	push('a', 100, NO_LIMIT, NO_LIMIT);
	push('b', 100, NO_LIMIT, NO_LIMIT);
	push('c', 100, NO_LIMIT, NO_LIMIT);
	derp_queue_fill(&q, wire, 50);
	derp_queue_trim(&q, 3);
	tap_ok(!derp_queue_is_partial(&q) &&
		       !strcmp(drain(wire, 0, 100), "abc"),
	       "on a new connection half a frame starts over");
	push('a', 100, NO_LIMIT, NO_LIMIT);
	push('b', 100, NO_LIMIT, NO_LIMIT);
	derp_queue_trim(&q, 1);
	tap_ok(!strcmp(drain(wire, 0, 100), "b"), "and only the newest wait");

	tap_ok(derp_queue_push(&q, &dst, wire, DERP_PACKET_MAX + 1, 1, 1) ==
			       -EMSGSIZE &&
		       !q.n,
	       "too large for DERP");
	push('a', DERP_PACKET_MAX, NO_LIMIT, NO_LIMIT);
	derp_queue_clear(&q);
	tap_ok(!q.n && !q.bytes && !q.head, "cleared");
	free(wire);
	return tap_done();
}
