/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CONTROL_INTERNAL_H
#define CONTROL_INTERNAL_H

#include <event2/event.h>

#include "control/backoff.h"
#include "control/control.h"
#include "control/dial.h"
#include "control/https.h"
#include "control/map.h"
#include "control/noisedial.h"
#include "control/ts2021.h"
#include "control/url.h"

/*
 * The session's insides, shared by control.c (connection and state), auth.c
 * (registration), poll.c (map stream, lite updates, expiry) and ping.c.
 *
 * Whatever happens only notes it and calls control_kick(); the next steps are
 * taken from the loop by step(), which looks at what is wanted and what is
 * there. So nobody's callback finds itself deep in somebody else's stack.
 */

struct evbuffer;

#define ERROR_MAX 256
/* Beyond this, what the server says is not kept. */
#define REPLY_MAX (1u << 20)
#define PINGS_MAX 8

enum want { WANT_STOPPED, WANT_UP, WANT_LOGOUT };

/* A short request and its answer. */
struct exchange {
	struct ts2021_stream *stream; /* NULL: none in flight */
	int status;
	unsigned int retry_after;
	struct evbuffer *reply; /* at most REPLY_MAX */
	struct event *timer;
};

struct auth {
	bool needed;
	bool rotate;  /* with a new node key */
	bool refused; /* the auth key */
	bool fresh;   /* the key in trying was made for this attempt */
	char *key;    /* auth key, a secret; NULL none */
	char *url;    /* interactive login pending; "" none */
	struct exchange x;
	struct backoff backoff;
};

struct poll {
	struct ts2021_stream *stream;
	struct map_reader *reader;
	struct evbuffer *pending; /* held back while sleeping */
	int status;
	char error[ERROR_MAX];	  /* body of a refusal */
	bool full;		  /* the first message has been applied */
	bool feeding, abandoned;  /* inside of map_reader_feed() */
	unsigned int missing;	  /* 404 or 400 in a row */
	char *popped;		  /* the last PopBrowserURL, NULL none */
	struct json_object *held; /* message being slept on */
	struct event *watchdog, *sleep, *expiry;
	struct backoff backoff;
};

struct update {
	struct exchange x;
	char *current, *sent, *acked; /* MAP_COMPARE texts, NULL none */
	struct backoff backoff;
};

struct ping;

struct control {
	struct event_base *base;
	struct dialer *dialer;
	const struct control_ops *ops;
	void *ctx;
	struct url url;
	char authority[URL_AUTHORITY_MAX];
	struct key machine, node, old_node, trying; /* private */
	bool ephemeral;
	struct control_self self;
	struct netmap *nm;

	enum want want;
	enum control_state state;
	char error[ERROR_MAX], told[ERROR_MAX];
	bool registered;
	bool expired; /* our own key */
	struct event *kick, *logout_timer;

	struct https *key_fetch;
	bool have_server_key;
	struct key server_key;
	struct noise_dial *dialing;
	uint64_t last_dial; /* now_ns() of a finished handshake, 0 never */
	struct ts2021 *conn;
	bool drop; /* the connection, at the next step */
	struct backoff connect;

	struct auth auth;
	struct poll poll;
	struct update update;
	struct exchange logout;
	struct ping *pings;
	char *last_ping; /* its URL */
};

/* control.c */
void control_kick(struct control *c);
/* Notes a failure for people; printable, one line. */
void control_fail(struct control *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* All is well: forgets the note. */
void control_well(struct control *c);
/* Tells the state if it has changed. */
void control_tell(struct control *c);
void control_event(evutil_socket_t fd, short what, void *arg); /* a kick */

/* Exchanges, in control.c. */
void exchange_init(struct exchange *x, struct control *c,
		   event_callback_fn timeout);
void exchange_uninit(struct exchange *x);
void exchange_cancel(struct exchange *x);
/*
 * POSTs @body to @path. @seconds: limit, 0 none. False: no connection. The
 * ops' ctx is @c, they fill @x by exchange_headers() and exchange_data().
 */
bool exchange_start(struct control *c, struct exchange *x, const char *path,
		    const char *body, const struct key *node_public,
		    const struct key *old_node_public,
		    const struct ts2021_stream_ops *ops, unsigned int seconds);
void exchange_headers(struct exchange *x, int status, unsigned int retry);
void exchange_data(struct exchange *x, const uint8_t *data, size_t n);
/* The reply as a string; NULL if it was too long. Valid until the next use. */
const char *exchange_reply(struct exchange *x, size_t *len);

/* auth.c */
void auth_init(struct control *c);
void auth_uninit(struct control *c);
void auth_step(struct control *c);
/* Register again; @rotate with a new node key. */
void auth_begin(struct control *c, bool rotate);
/* The key in use is good again: drop a pending rotation. */
void auth_abandon(struct control *c);
void auth_set_key(struct control *c, const char *auth_key);
/* The streams of the old connection are gone. */
void auth_lost(struct control *c);

/* poll.c */
void poll_init(struct control *c);
void poll_uninit(struct control *c);
void poll_step(struct control *c);
void poll_stop(struct control *c);
void update_step(struct control *c);
void update_lost(struct control *c);
void update_self_changed(struct control *c);

/* ping.c */
void ping_request(struct control *c, struct json_object *req);
void ping_uninit(struct control *c);
void ping_lost(struct control *c);

#endif
