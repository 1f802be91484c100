/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_CLIENT_H
#define RELAY_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/derp.h"
#include "relay/queue.h"
#include "relay/ratelimit.h"
#include "relay/table.h"

/*
 * The server's side of one DERP connection (spec/derp.md sections 6 and 8),
 * without its I/O: bytes in, bytes out. Below it is a byte stream, be it TLS,
 * plain or WebSocket, behind struct relayd_client_io.
 */
struct relayd_client;

struct relayd_client_io {
	/* relayd_client_fill() has something. */
	void (*want_write)(void *io);
	/* Stop, or begin again, to call relayd_client_input(). */
	void (*pause)(void *io, bool paused);
	/* Enough for this turn of the loop: others first. */
	void (*yield)(void *io);
	/* Logged in: no longer half-open. */
	void (*logged_in)(void *io);
	/* To be closed and freed, but later, from the loop. */
	void (*close)(void *io, const char *why);
};

enum relayd_client_state {
	RELAYD_LOGIN,	/* ServerKey is out, ClientInfo is not here */
	RELAYD_ADMISSION, /* somebody is being asked */
	RELAYD_OPEN,
	RELAYD_CLOSED,
};

/* At most as many as the limiter's burst. */
struct relayd_not_here {
	struct key key;
	struct relayd_not_here *next;
};

struct relayd_client {
	struct relayd_queue queue; /* first: wake() casts */
	struct relayd_seat seat;
	struct relayd_worker *worker;
	struct relayd_table *table;
	const struct relayd_client_io *io;
	void *io_ctx;
	enum relayd_client_state state;
	bool home;
	struct relayd_watcher *watcher; /* NULL: does not */
	uint64_t opened_ns;
	uint32_t skip; /* what is left of a frame nobody knows */
	/* Frames of our own to be written, ahead of packets. */
	bool send_server_key, send_server_info, send_keep_alive, send_pong,
		send_restarting;
	uint8_t pong[DERP_PING_LEN];
	uint32_t restarting_ms, restarting_try_ms;
	struct relayd_sub *gone; /* whose end is being told */
	struct relayd_not_here *not_here; /* PeerGone to be written */
	struct relayd_limit not_here_limit, rate;
	struct event *rate_timer;
	struct relayd_packet *partial; /* longer than fill() had room for */
	size_t partial_at;
	void *admission; /* for whoever is being asked */
};

/*
 * For a connection from @remote, on @worker's thread; @not_ideal: it said that
 * this is not the node it should be at. ServerKey is to be written at once.
 */
struct relayd_client *relayd_client_new(struct relayd_worker *worker,
					const struct relayd_client_io *io,
					void *io_ctx,
					const struct endpoint *remote,
					bool not_ideal);
void relayd_client_free(struct relayd_client *c);
/* Has it closed; once. */
void relayd_client_fail(struct relayd_client *c, const char *why);

/*
 * Takes whole frames from the front of @data and returns how many bytes those
 * were. The longest frame, with its header, has RELAYD_INPUT_MAX bytes: a
 * longer one closes the connection.
 */
#define RELAYD_INPUT_MAX (DERP_HEADER_LEN + 2 * KEY_LEN + DERP_PACKET_MAX)
size_t relayd_client_input(struct relayd_client *c, const uint8_t *data,
			   size_t n);
/*
 * Writes at most @cap bytes, at least DERP_HEAD_MAX + DERP_INFO_BOX_MAX, into
 * @buf; 0: nothing to write until want_write().
 */
size_t relayd_client_fill(struct relayd_client *c, uint8_t *buf, size_t cap);

/*
 * The answer to relayd's admission (server.h), on the client's worker. @why is
 * for the log when it is no.
 */
void relayd_client_admit(struct relayd_client *c, bool yes, const char *why);

void relayd_client_keep_alive(struct relayd_client *c);
/* "Come back in @reconnect_ms, trying for @try_ms." */
void relayd_client_restarting(struct relayd_client *c, uint32_t reconnect_ms,
			      uint32_t try_ms);
/* New limits for a connection that is there; 0: none. */
void relayd_client_set_rate(struct relayd_client *c, uint64_t rate,
			    uint64_t burst);

#endif
