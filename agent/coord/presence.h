/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_PRESENCE_H
#define COORD_PRESENCE_H

#include "coord/mapstream.h"
#include "coord/model.h"

/*
 * Who is there: a node is online while it has a map stream, and for
 * PRESENCE_GRACE_S after. Routers that share a prefix are asked every
 * PRESENCE_PING_S to answer a ping (control.md 5.10) within PRESENCE_ANSWER_S:
 * who does not is no primary any more where another one answers.
 */
#define PRESENCE_GRACE_S 10
#define PRESENCE_PING_S 10
#define PRESENCE_ANSWER_S 5

#define PRESENCE_PING_PATH "/machine/ping-response"

struct event_base;
struct http_request;
struct presence;

struct presence *presence_new(struct event_base *base, struct model *m,
			      struct tailnet *t, struct mapstreams *s,
			      const char *server_url);
void presence_free(struct presence *p); /* NULL is fine */

/* The node's stream has begun or ended. */
void presence_connected(struct presence *p, struct member *m);
void presence_disconnected(struct presence *p, struct member *m);
/* The node is being removed. */
void presence_gone(struct presence *p, struct member *m);
/* HEAD of the path above, inside of Noise. */
void presence_answer(struct presence *p, struct http_request *r);

#endif
