/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_WS_H
#define RELAY_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A WebSocket (proto/websocket.h) between a connection's stream and its
 * relayd_client, for clients in browsers.
 *
 * Bound: RELAYD_INPUT_MAX bytes of a frame that is not complete, and
 * RELAYD_WS_PIECE.
 */
#define RELAYD_WS_PIECE 2048u

struct relayd_client;
struct relayd_ws;

struct relayd_ws *relayd_ws_new(void);
void relayd_ws_free(struct relayd_ws *ws); /* NULL is fine */

/*
 * Gives @client what the @n bytes at @data carry and returns how many of them it
 * took: all, unless the client paused or yielded. After relayd_ws_is_over() it
 * takes and drops everything. There may be something to fill() then.
 */
size_t relayd_ws_input(struct relayd_ws *ws, struct relayd_client *client,
		       const uint8_t *data, size_t n);
/* The client's io->yield() and io->pause(); un-paused it may get input. */
void relayd_ws_yield(struct relayd_ws *ws);
void relayd_ws_pause(struct relayd_ws *ws, struct relayd_client *client,
		     bool paused);
/*
 * As relayd_client_fill(), with at least 256 bytes of room for itself. *@over:
 * the last bytes there are, close after them.
 */
size_t relayd_ws_fill(struct relayd_ws *ws, struct relayd_client *client,
		      uint8_t *buf, size_t cap, bool *over);
/* Has the other side ended the WebSocket, or broken it? */
bool relayd_ws_is_over(const struct relayd_ws *ws);

#endif
