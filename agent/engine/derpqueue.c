// SPDX-License-Identifier: GPL-2.0
#include "engine/derpqueue.h"

#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "lib/util.h"
#include "proto/derp.h"

struct derp_packet {
	struct derp_packet *prev, *next;
	size_t len, sent;
	uint8_t frame[];
};

static void take_off(struct derp_queue *q, struct derp_packet *p)
{
	DL_DELETE(q->head, p);
	q->n--;
	q->bytes -= p->len;
	free(p);
}

/* The oldest packet that may go, but for the newest; NULL if there is none. */
static struct derp_packet *oldest(const struct derp_queue *q)
{
	struct derp_packet *p = q->head;

	if (p && p->sent)
		p = p->next;
	return p && p->next ? p : NULL;
}

int derp_queue_push(struct derp_queue *q, const struct key *dst,
		    const void *data, size_t n, size_t max_packets,
		    size_t max_bytes)
{
	struct derp_frame f = { .type = DERP_SEND_PACKET,
				.key = *dst,
				.data = data,
				.data_len = n };
	struct derp_packet *p;
	ssize_t head;

	if (n > DERP_PACKET_MAX)
		return -EMSGSIZE;
	p = xmalloc(sizeof(*p) + DERP_HEAD_MAX + n);
	head = derp_head(&f, p->frame);
	if (head < 0) {
		free(p);
		return (int)head;
	}
	if (n)
		memcpy(p->frame + head, data, n);
	p->len = (size_t)head + n;
	p->sent = 0;
	DL_APPEND(q->head, p);
	q->n++;
	q->bytes += p->len;
	while ((q->n > max_packets || q->bytes > max_bytes) &&
	       (p = oldest(q))) {
		take_off(q, p);
		q->dropped++;
	}
	return 0;
}

size_t derp_queue_fill(struct derp_queue *q, uint8_t *out, size_t cap)
{
	size_t n = 0;

	while (q->head && n < cap) {
		struct derp_packet *p = q->head;
		size_t take = p->len - p->sent;

		/* Whole packets, as long as that leaves no record tiny. */
		if (take > cap - n && n && n >= cap / 2 && !p->sent)
			break;
		if (take > cap - n)
			take = cap - n;
		memcpy(out + n, p->frame + p->sent, take);
		p->sent += take;
		n += take;
		if (p->sent == p->len)
			take_off(q, p);
	}
	return n;
}

bool derp_queue_is_partial(const struct derp_queue *q)
{
	return q->head && q->head->sent;
}

void derp_queue_trim(struct derp_queue *q, size_t max_packets)
{
	if (q->head)
		q->head->sent = 0;
	while (q->n > max_packets) {
		take_off(q, q->head);
		q->dropped++;
	}
}

void derp_queue_clear(struct derp_queue *q)
{
	while (q->head)
		take_off(q, q->head);
}
