/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_DERP_CLIENT_H
#define UNIT_DERP_CLIENT_H

/* A DERP client that keeps what it was told. */

#include <stdio.h>
#include <string.h>

#include "engine/derps.h"
#include "proto/derp.h"

struct derp_client {
	struct derps *d;
	struct key private_key, public_key;
	unsigned int packets, connects, failures, gone, healths;
	/* The last packet. */
	uint8_t data[DERP_PACKET_MAX];
	size_t len;
	struct key src;
	int region;
	/* The last of each. */
	uint8_t reason;
	char why[256], health[600];
};

static void client_recv(void *ctx, int region, const struct key *src,
			const uint8_t *data, size_t n)
{
	struct derp_client *c = ctx;

	c->packets++;
	c->region = region;
	c->src = *src;
	c->len = n;
	if (n)
		memcpy(c->data, data, n);
}

static void client_gone(void *ctx, int region, const struct key *peer,
			uint8_t reason)
{
	struct derp_client *c = ctx;

	c->gone++;
	c->reason = reason;
}

static void client_connected(void *ctx, int region)
{
	struct derp_client *c = ctx;

	c->connects++;
}

static void client_disconnected(void *ctx, int region, const char *why)
{
	struct derp_client *c = ctx;

	c->failures++;
	snprintf(c->why, sizeof(c->why), "%s", why);
}

static void client_health(void *ctx, int region, const char *text)
{
	struct derp_client *c = ctx;

	c->healths++;
	snprintf(c->health, sizeof(c->health), "%s", text);
}

/* With a new key, @roots (or NULL) besides the system's, and no map yet. */
static void client_start(struct derp_client *c, struct event_base *base,
			 const char *roots)
{
	static const struct derps_ops ops = {
		.recv = client_recv,
		.peer_gone = client_gone,
		.connected = client_connected,
		.disconnected = client_disconnected,
		.health = client_health,
	};

	memset(c, 0, sizeof(*c));
	key_generate(&c->private_key);
	key_public(&c->public_key, &c->private_key);
	c->d = derps_new(base, NULL, &ops, c);
	if (roots)
		derps_add_roots(c->d, roots);
	derps_set_key(c->d, &c->private_key);
}

static void client_stop(struct derp_client *c)
{
	derps_free(c->d);
}

#endif
