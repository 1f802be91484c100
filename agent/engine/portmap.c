// SPDX-License-Identifier: GPL-2.0
#include "engine/portmap.h"

#include <sodium.h>
#include <string.h>

#include "lib/util.h"
#include "proto/natpmp.h"

#define LIFETIME_S 7200u
#define SEEN_AGE (600 * SEC_NS)
/* A probe this young that nobody answered makes an attempt pointless. */
#define PROBE_FRESH (5 * SEC_NS)
#define TRIES_MAX 4
#define FIRST_WAIT (250 * MS_NS)
/* A mapping shorter than this is not worth its renewals. */
#define LIFETIME_MIN_S 60u
/* Gateways' clocks may run this much slow or be read this much late. */
#define EPOCH_SLACK_S 5u

void portmap_init(struct portmap *p, const struct portmap_ops *ops, void *ctx)
{
	memset(p, 0, sizeof(*p));
	p->ops = ops;
	p->ctx = ctx;
}

static bool seen(uint64_t at, uint64_t now)
{
	return at && now - at < SEEN_AGE;
}

int portmap_has_pmp(const struct portmap *p, uint64_t now)
{
	return p->probed ? seen(p->pmp_seen, now) : -1;
}

int portmap_has_pcp(const struct portmap *p, uint64_t now)
{
	return p->probed ? seen(p->pcp_seen, now) : -1;
}

static void send_map(struct portmap *p, bool pcp, uint32_t lifetime)
{
	uint8_t out[PCP_MAP_LEN];

	if (pcp) {
		pcp_map_request(out, &p->own, p->nonce, p->port,
				lifetime ? p->wish : 0, lifetime);
		p->ops->send(p->ctx, out, PCP_MAP_LEN);
	} else {
		natpmp_map_request(out, p->port, lifetime ? p->wish : 0,
				   lifetime);
		p->ops->send(p->ctx, out, NATPMP_MAP_LEN);
	}
}

static void send_address(struct portmap *p)
{
	uint8_t out[NATPMP_ADDRESS_LEN];

	natpmp_address_request(out);
	p->ops->send(p->ctx, out, sizeof(out));
}

/* Forgets the mapping; the gateway has or will. */
static void drop(struct portmap *p)
{
	bool had = p->external.ip.family;

	memset(&p->external, 0, sizeof(p->external));
	p->tries = 0;
	if (had && p->ops->changed)
		p->ops->changed(p->ctx);
}

void portmap_release(struct portmap *p)
{
	if (p->external.ip.family)
		send_map(p, p->by_pcp, 0);
	drop(p);
}

void portmap_set_gateway(struct portmap *p, const struct ip_addr *own)
{
	portmap_release(p);
	p->own = *own;
	p->pmp_seen = p->pcp_seen = p->probed = 0;
	memset(&p->pmp_address, 0, sizeof(p->pmp_address));
}

void portmap_set_port(struct portmap *p, uint16_t port)
{
	if (port == p->port)
		return;
	portmap_release(p);
	p->port = port;
	p->wish = 0;
	randombytes_buf(p->nonce, sizeof(p->nonce));
}

void portmap_probe(struct portmap *p, uint64_t now)
{
	uint8_t out[PCP_ANNOUNCE_LEN];

	if (p->own.family != 4)
		return;
	p->probed = now;
	if (!seen(p->pmp_seen, now))
		send_address(p);
	if (!seen(p->pcp_seen, now)) {
		pcp_announce_request(out, &p->own);
		p->ops->send(p->ctx, out, sizeof(out));
	}
}

/* Asks once more: 250 ms of patience, then twice that, and so on. */
static void ask(struct portmap *p, uint64_t now)
{
	p->again = now + (FIRST_WAIT << p->tries++);
	if (!p->use_pcp && !p->pmp_address.family)
		send_address(p);
	send_map(p, p->use_pcp, LIFETIME_S);
}

static bool is_promising(const struct portmap *p, uint64_t now)
{
	if (p->own.family != 4 || !p->port)
		return false;
	return seen(p->pmp_seen, now) || seen(p->pcp_seen, now) || !p->probed ||
	       now - p->probed > PROBE_FRESH;
}

bool portmap_get(struct portmap *p, struct endpoint *external, uint64_t now)
{
	if (p->external.ip.family && now >= p->expires)
		drop(p);
	if ((!p->external.ip.family || now >= p->renew) && !p->tries &&
	    is_promising(p, now)) {
		p->use_pcp = seen(p->pcp_seen, now) && !seen(p->pmp_seen, now);
		ask(p, now);
	}
	*external = p->external;
	return p->external.ip.family;
}

uint64_t portmap_next(const struct portmap *p)
{
	uint64_t next = p->tries ? p->again : UINT64_MAX;

	if (p->external.ip.family && p->expires < next)
		next = p->expires;
	return next;
}

void portmap_tick(struct portmap *p, uint64_t now)
{
	if (p->external.ip.family && now >= p->expires)
		drop(p);
	if (!p->tries || now < p->again)
		return;
	if (p->tries < TRIES_MAX)
		ask(p, now);
	else
		p->tries = 0;
}

/*
 * The gateway counts seconds since it forgot everything: if it counts from
 * less than it should by now, our mapping is among the forgotten.
 */
static void check_epoch(struct portmap *p, bool pcp, uint32_t epoch,
			uint64_t now)
{
	uint64_t passed = (now - p->epoch_at) / SEC_NS;

	if (!p->external.ip.family || p->by_pcp != pcp)
		return;
	if ((uint64_t)epoch + EPOCH_SLACK_S < p->epoch + passed * 7 / 8)
		drop(p);
	p->epoch = epoch;
	p->epoch_at = now;
}

static bool is_useful(const struct ip_addr *ip)
{
	return ip->family == 4 && !ip_is_loopback(ip) && ip->b[0] &&
	       !ip_is_multicast(ip);
}

static void have(struct portmap *p, bool pcp, const struct ip_addr *ip,
		 uint16_t port, uint32_t lifetime, uint32_t epoch, uint64_t now)
{
	struct endpoint external = { .ip = *ip, .port = port };
	bool same = endpoint_equal(&external, &p->external);

	if (!is_useful(ip) || !port || lifetime < LIFETIME_MIN_S) {
		p->tries = 0;
		return;
	}
	if (lifetime > LIFETIME_S)
		lifetime = LIFETIME_S;
	p->tries = 0;
	p->external = external;
	p->by_pcp = pcp;
	p->wish = port;
	p->epoch = epoch;
	p->epoch_at = now;
	p->renew = now + lifetime * SEC_NS / 2;
	p->expires = now + lifetime * SEC_NS;
	if (!same && p->ops->changed)
		p->ops->changed(p->ctx);
}

static void on_pmp(struct portmap *p, const struct natpmp_reply *r,
		   uint64_t now)
{
	if (r->result) {
		if (!p->use_pcp)
			p->tries = 0;
		return;
	}
	p->pmp_seen = now;
	check_epoch(p, false, r->epoch, now);
	if (r->op == NATPMP_ADDRESS) {
		p->pmp_address = r->address;
		/* The port may have come first: ask() tells both again. */
		return;
	}
	if (!p->tries || p->use_pcp || r->internal != p->port)
		return;
	if (!p->pmp_address.family) { /* half the answer: not yet a mapping */
		p->wish = r->external;
		return;
	}
	have(p, false, &p->pmp_address, r->external, r->lifetime, r->epoch,
	     now);
}

static void on_pcp(struct portmap *p, const struct pcp_reply *r, uint64_t now)
{
	if (r->op == PCP_MAP && (!p->tries || !p->use_pcp ||
				 memcmp(r->nonce, p->nonce, PCP_NONCE_LEN) ||
				 r->internal != p->port))
		return;
	if (r->result != PCP_SUCCESS) {
		/* Not authorised, address mismatch: there, but not for us. */
		p->pcp_seen = 0;
		if (r->op == PCP_MAP)
			p->tries = 0;
		return;
	}
	p->pcp_seen = now;
	check_epoch(p, true, r->epoch, now);
	if (r->op == PCP_MAP)
		have(p, true, &r->address, r->external, r->lifetime, r->epoch,
		     now);
}

void portmap_input(struct portmap *p, const uint8_t *data, size_t n,
		   uint64_t now)
{
	struct natpmp_reply pmp;
	struct pcp_reply pcp;

	if (!natpmp_parse(&pmp, data, n))
		on_pmp(p, &pmp, now);
	else if (!pcp_parse(&pcp, data, n))
		on_pcp(p, &pcp, now);
}
