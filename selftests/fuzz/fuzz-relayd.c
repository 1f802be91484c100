// SPDX-License-Identifier: GPL-2.0
/*
 * The server's side of DERP against two clients that may say anything. The input
 * is a sequence of commands: a byte with what to do and for whom, then its
 * arguments.
 */
#include "../unit/relayd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PEERS 3

static struct core core;
static struct peer peers[PEERS];

/* Everything that is sent is made of whole frames of the right kinds. */
static void look(struct peer *p)
{
	struct derp_frame f;

	while (p->n_out) {
		size_t before = p->n_out;

		if (!peer_next(p, &f)) {
			if (p->n_out == before)
				break; /* cut by the end of the connection */
			abort();
		}
		if (f.type == DERP_RECV_PACKET && f.data_len > DERP_PACKET_MAX)
			abort();
	}
	if (p->n_out && !p->closed && !p->c->partial)
		abort();
}

static void reopen(struct peer *p, bool log_in)
{
	if (p->c)
		peer_close(p);
	peer_open(p, &core);
	if (log_in)
		peer_hello(p, NULL);
}

/* A frame of that type; keys are those of the peers, mostly. */
static void frame(struct peer *p, uint8_t type, const uint8_t *data, size_t n)
{
	uint8_t buf[DERP_HEADER_LEN + 2 * KEY_LEN + 300];
	struct derp_header h = { .type = type & 0x1f };
	size_t len = 0;

	if (n > 256)
		n = 256;
	if (type & 0x20) {
		memcpy(buf + DERP_HEADER_LEN,
		       peers[(type >> 6) % PEERS].public_key.b, KEY_LEN);
		len = KEY_LEN;
	}
	memcpy(buf + DERP_HEADER_LEN + len, data, n);
	h.len = (uint32_t)(len + n);
	derp_header_encode(buf, &h);
	peer_feed(p, buf, DERP_HEADER_LEN + len + n);
}

static size_t step(const uint8_t *in, size_t n)
{
	struct peer *p = &peers[in[0] % PEERS];
	size_t len = n > 2 ? in[1] : 0;
	const uint8_t *arg = in + 2;
	uint8_t *copy;

	if (n < 2)
		return n;
	if (len > n - 2)
		len = n - 2;
	switch (in[0] >> 5) {
	case 0: /* raw bytes, of exact size for the sanitizer */
		copy = xmalloc(len);
		memcpy(copy, arg, len);
		peer_feed(p, copy, len);
		free(copy);
		break;
	case 1:
	case 2:
	case 3:
		if (len)
			frame(p, arg[0], arg + 1, len - 1);
		break;
	case 4:
		reopen(p, true);
		break;
	case 5:
		reopen(p, false);
		break;
	case 6:
		peer_drain_by(p, DERP_HEAD_MAX + DERP_INFO_BOX_MAX + len);
		look(p);
		break;
	case 7:
		p->paused = false;
		relayd_client_keep_alive(p->c);
		break;
	}
	return 2 + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t at = 0;
	int i;

	if (!core.w) {
		if (sodium_init() < 0)
			abort();
		core_start(&core);
	}
	for (i = 0; i < PEERS; i++)
		reopen(&peers[i], i > 0);
	while (at < size)
		at += step(data + at, size - at);
	for (i = 0; i < PEERS; i++)
		peer_close(&peers[i]);
	if (stat_of(&core, RELAYD_CONNECTIONS) ||
	    stat_of(&core, RELAYD_CLIENTS_TOTAL) ||
	    stat_of(&core, RELAYD_CLIENTS_LOCAL) ||
	    stat_of(&core, RELAYD_DUP_CONNS) ||
	    stat_of(&core, RELAYD_DUP_KEYS) ||
	    stat_of(&core, RELAYD_HOME_CONNECTIONS))
		abort();
	return 0;
}
