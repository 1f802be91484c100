// SPDX-License-Identifier: GPL-2.0
#include "relay/ws.h"

#include <stdlib.h>
#include <string.h>

#include "lib/util.h"
#include "proto/websocket.h"
#include "relay/client.h"

/* Of what we send: fill() gives less than 64 KiB. */
#define HEAD_MAX 4

struct relayd_ws {
	struct websocket ws;
	bool paused, yielded, over;
	uint8_t *plain; /* decoded, not taken by the client; NULL: nothing */
	size_t len;
};

struct relayd_ws *relayd_ws_new(void)
{
	return xcalloc(1, sizeof(struct relayd_ws));
}

void relayd_ws_free(struct relayd_ws *ws)
{
	if (!ws)
		return;
	free(ws->plain);
	free(ws);
}

bool relayd_ws_is_over(const struct relayd_ws *ws)
{
	return ws->over;
}

void relayd_ws_yield(struct relayd_ws *ws)
{
	ws->yielded = true;
}

/*
 * All that is decoded, though the client yields: the stream would not call for
 * it, as it has nothing left of it. It is at most a piece.
 */
static void feed(struct relayd_ws *ws, struct relayd_client *client)
{
	size_t at = 0, took;

	while (at < ws->len && !ws->paused) {
		took = relayd_client_input(client, ws->plain + at,
					   ws->len - at);
		if (!took)
			break;
		at += took;
	}
	ws->len -= at;
	if (!ws->len) {
		free(ws->plain);
		ws->plain = NULL;
	} else if (at) {
		memmove(ws->plain, ws->plain + at, ws->len);
	}
}

void relayd_ws_pause(struct relayd_ws *ws, struct relayd_client *client,
		     bool paused)
{
	ws->paused = paused;
	if (!paused)
		feed(ws, client);
}

size_t relayd_ws_input(struct relayd_ws *ws, struct relayd_client *client,
		       const uint8_t *data, size_t n)
{
	size_t at = 0;

	ws->yielded = false;
	while (at < n && !ws->over && !ws->paused && !ws->yielded) {
		size_t part = n - at < RELAYD_WS_PIECE ? n - at :
							 RELAYD_WS_PIECE;
		ssize_t got;

		ws->plain = xrealloc(ws->plain, ws->len + part, 1);
		memcpy(ws->plain + ws->len, data + at, part);
		at += part;
		got = websocket_decode(&ws->ws, ws->plain + ws->len, part);
		if (got < 0)
			ws->over = true;
		else
			ws->len += (size_t)got;
		feed(ws, client);
	}
	return ws->over ? n : at;
}

size_t relayd_ws_fill(struct relayd_ws *ws, struct relayd_client *client,
		      uint8_t *buf, size_t cap, bool *over)
{
	size_t n = 0, len, head;

	if (websocket_has_control(&ws->ws))
		n = websocket_put_control(&ws->ws, buf);
	*over = ws->ws.closed;
	if (*over)
		return n;
	len = relayd_client_fill(client, buf + n + HEAD_MAX,
				 cap - n - HEAD_MAX);
	if (!len)
		return n;
	head = websocket_put_head(buf + n + HEAD_MAX, len);
	if (head < HEAD_MAX)
		memmove(buf + n, buf + n + HEAD_MAX - head, head + len);
	return n + head + len;
}
