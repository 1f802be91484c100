/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_CONN_H
#define RELAY_CONN_H

#include <stdbool.h>
#include <stdio.h>

#include "lib/addr.h"

/*
 * One accepted TCP connection: TLS or not, one HTTP request, then DERP or an
 * answer and the end. It is half-open until it has logged in: such connections
 * are bounded for each worker, and a new one takes the place of the oldest. In
 * the middle of a TLS handshake such a connection takes some 50 KiB, so that the
 * default limit of 4096 means 200 MiB.
 */
struct relayd_worker;
struct relayd_conn;

/*
 * Takes over @fd, connected and non-blocking, on @w's thread. @tls: with the
 * server's certificate; @redirect: on the plain port beside the TLS one. It
 * frees itself when it is over.
 */
void relayd_conn_open(struct relayd_worker *w, int fd,
		      const struct endpoint *remote, bool tls, bool redirect);

/* On the worker's thread: a line for each that has moved since the last call. */
void relayd_conn_traffic(struct relayd_worker *w, FILE *f);
/* On the worker's thread: each is told to come back, after a while of its own. */
void relayd_conn_restarting_all(struct relayd_worker *w);
/* Limits of config or rate file have changed. */
void relayd_conn_set_rate_all(struct relayd_worker *w);
/* All of them, at the end. */
void relayd_conn_close_all(struct relayd_worker *w);

#endif
