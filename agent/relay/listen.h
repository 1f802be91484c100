/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_LISTEN_H
#define RELAY_LISTEN_H

#include <stdbool.h>

#include "lib/addr.h"

/*
 * A listening TCP socket on the main thread, which hands each connection to the
 * worker with the fewest.
 */
struct relayd;
struct relayd_listener;

/*
 * One more, owned by @server. @tls and @redirect are for relayd_conn_open(); the
 * server's accept limit is for TLS listeners. 0 or a negative errno, logged.
 */
int relayd_listen(struct relayd *server, const struct endpoint *local, bool tls,
		  bool redirect);
/* Closes all of them. */
void relayd_listen_stop(struct relayd *server);

#endif
