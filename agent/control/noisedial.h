/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CONTROL_NOISEDIAL_H
#define CONTROL_NOISEDIAL_H

#include "control/dial.h"
#include "control/url.h"
#include "lib/key.h"
#include "proto/noise.h"

/*
 * From nothing to a Noise channel (control.md 3.3, 3.4): plain and TLS raced,
 * HTTP upgrade, handshake. The first whole handshake wins.
 */

struct noise_dial;

struct noise_dial_spec {
	const struct url *server;
	uint16_t version; /* capability version */
	const struct key *machine_private;
	const struct key *server_public;
	/*
	 * TLS first, where there is any: the last dial was recent, and some
	 * middleboxes kill plain connections after the upgrade. Plain is then
	 * the way out for a server that has no TLS.
	 */
	bool tls_first;
};

/*
 * Calls @done once, never from inside. On success @stream (owned by the
 * callee, reading off) may already hold records in its input; @s is to be
 * copied. On failure @stream is NULL and @why one line; @refused says that a
 * server accepted the upgrade but not the handshake: its key may have changed.
 */
struct noise_dial *
noise_dial_start(struct event_base *base, struct dialer *dialer,
		 const struct noise_dial_spec *spec,
		 void (*done)(void *ctx, struct bufferevent *stream,
			      const struct noise_session *s, bool refused,
			      const char *why),
		 void *ctx);
void noise_dial_cancel(struct noise_dial *d);

/* The two ports of a server URL, 0 for none. */
void noise_dial_ports(const struct url *server, uint16_t *plain, uint16_t *tls);

#endif
