/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_REGISTER_H
#define COORD_REGISTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "coord/model.h"
#include "coord/tailnet.h"

/*
 * POST /machine/register (control.md section 4): who may join, as whom, with
 * which key, until when. Followups wait here until somebody approves.
 */

struct event_base;
struct http_request;
struct registrar;

/* Followups that wait at once; more are answered at once with their URL. */
#define REGISTER_WAITING_MAX 10000

struct register_config {
	const char *server_url; /* no '/' at its end; AuthURLs begin with it */
	int64_t key_expiry_s; /* of node keys without tags; 0: never */
	int min_version; /* capability version */
};

struct registrar *registrar_new(struct event_base *base, struct model *m,
				struct tailnet *t,
				const struct register_config *c);
/* After the transport. */
void registrar_free(struct registrar *g); /* NULL is fine */

void registrar_request(struct registrar *g, struct http_request *r);
void registrar_event(struct registrar *g, const struct model_event *e);

/*
 * When the key of a node that logs in now expires, if the node asks for
 * @asked (0: it does not). Tagged nodes never expire.
 */
int64_t register_expiry(const struct register_config *c, int64_t asked,
			bool tagged, int64_t now);

/* What is asked for, decoded. Zeroed memory is empty. */
struct register_input {
	int version;
	struct key key, old_key;
	char *auth_key; /* a secret; NULL none */
	char *followup; /* NULL or the AuthURL */
	int64_t expiry; /* 0: nothing said */
	bool ephemeral;
	struct json_object *hostinfo; /* NULL none */
	char **request_tags; /* of Hostinfo */
	size_t n_request_tags;
};

/* 0, or -EPROTO with @why naming the field; clear @in either way. */
int register_input_decode(struct register_input *in, const char *body,
			  size_t len, const char **why);
void register_input_clear(struct register_input *in);

/* The answer to it. */
struct register_answer {
	enum {
		REGISTER_DONE, /* @node is registered */
		REGISTER_ERROR, /* @error, for people */
		REGISTER_EXPIRED, /* the node key cannot be used any more */
		REGISTER_URL, /* @pending is to be approved */
		REGISTER_WAIT, /* the same, and the client waits for it */
		REGISTER_LOGGED_OUT,
	} kind;
	struct coord_node *node;
	struct pending_node *pending;
	char error[256];
};

/*
 * Decides, and makes the change in the model. @machine is authenticated,
 * @policy NULL if there is none.
 */
void register_decide(struct model *m, const struct policy *policy,
		     const struct register_config *c,
		     const struct register_input *in,
		     const struct key *machine, int64_t now,
		     struct register_answer *out);

#endif
