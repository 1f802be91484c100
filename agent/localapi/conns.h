/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LOCALAPI_CONNS_H
#define LOCALAPI_CONNS_H

#include <stdbool.h>

/*
 * The open connections of an HTTP server that anybody may connect to. Descriptors
 * are what the engine needs for relays and control, too: of all that are not
 * privileged there are at most CONNS_MAX, and the next one ends the oldest; one
 * with a question under way ends with the answer.
 */

#define CONNS_MAX 32

struct bufferevent;
struct conns;
struct evhttp;

/* Before @http has any; ends before it does. */
struct conns *conns_new(struct evhttp *http);
void conns_free(struct conns *c);

/* A unix socket's other end is root, or the user we run as. */
bool conns_privileged(struct bufferevent *bev);

#endif
