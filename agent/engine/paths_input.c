// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <string.h>
#include <utlist.h>

#include "engine/paths_parts.h"
#include "lib/util.h"
#include "proto/classify.h"

/*
 * A ping over UDP is a candidate for every node with this disco key; it is
 * proof only for the one it names, or the only one.
 */
static bool ping_from_udp(struct disco_info *info, const struct disco_ping *ping,
			  const struct endpoint *from, uint64_t now)
{
	bool one = !info->peers->info_next;
	struct peer *p;

	DL_FOREACH2(info->peers, p, info_next) {
		bool mine = one || key_equal(&p->key, &ping->node_key);

		if (!path_got_ping(&p->path, from, ping->txid, mine, now))
			return false;
		paths_peer_arm(p);
	}
	return true;
}

/* @from is NULL for what came over DERP @region from @src. */
static void disco_input(struct paths *ps, const struct endpoint *from,
			int region, const struct key *src, const uint8_t *data,
			size_t n)
{
	struct disco_msg m, pong = { .type = DISCO_PONG };
	uint8_t plain[9216];
	uint64_t now = now_ns();
	struct disco_info *info;
	struct key sender;
	struct peer *p;
	ssize_t len;
	int err;

	ps->stats.disco_in++;
	info = disco_sender(data, n, &sender) ? NULL :
						paths_info_find(ps, &sender);
	/* Over DERP the server says who it was; the netmap must agree. */
	p = src ? paths_peer_find(ps, src) : NULL;
	if (!info || (src && (!p || p->info != info))) {
		ps->stats.disco_bad_peer++;
		return;
	}
	len = disco_open(data, n, &info->shared, plain, sizeof(plain));
	if (len < 0) {
		ps->stats.disco_bad_box++;
		return;
	}
	err = disco_decode(&m, plain, (size_t)len);
	if (err) {
		ps->stats.disco_bad_message += err == -EBADMSG;
		return;
	}
	switch (m.type) {
	case DISCO_PING:
		if (from && !ping_from_udp(info, &m.ping, from, now))
			return;
		memcpy(pong.pong.txid, m.ping.txid, DISCO_TXID_LEN);
		if (from)
			pong.pong.src = *from;
		else
			pong.pong.src =
				(struct endpoint){ .ip = ip_v4(127, 3, 3, 40),
						   .port = (uint16_t)region };
		paths_disco_send(ps, info, &pong, from, region, src);
		return;
	case DISCO_PONG:
		DL_FOREACH2(info->peers, p, info_next)
			if (path_got_pong(&p->path, m.pong.txid, from, region,
					  now)) {
				paths_peer_arm(p);
				return;
			}
		return;
	case DISCO_CALL_ME_MAYBE:
		if (!p)
			return;
		path_got_call_me_maybe(&p->path, m.call_me_maybe.list,
				       m.call_me_maybe.count, now);
		paths_peer_arm(p);
		return;
	case DISCO_BIND:
	case DISCO_BIND_CHALLENGE:
	case DISCO_BIND_ANSWER:
	case DISCO_CALL_ME_MAYBE_VIA:
	case DISCO_ALLOCATE_REQUEST:
	case DISCO_ALLOCATE_RESPONSE:
		/* Peer relays: our capability version doesn't ask for them. */
		return;
	}
}

void paths_udp_input(struct paths *ps, const struct endpoint *from,
		     const uint8_t *data, size_t n)
{
	disco_input(ps, from, 0, NULL, data, n);
}

void paths_derp_input(struct paths *ps, int region, const struct key *src,
		      const uint8_t *data, size_t n)
{
	struct peer *p;

	if (classify_udp(data, n) == PACKET_DISCO) {
		disco_input(ps, NULL, region, src, data, n);
		return;
	}
	p = paths_peer_find(ps, src);
	if (!p) {
		ps->stats.relay_unknown++;
		return;
	}
	ps->stats.relay_in++;
	ps->ops->inject(ps->ctx, p->id, data, n);
}

void paths_relay_input(struct paths *ps, uint32_t peer, const uint8_t *data,
		       size_t n)
{
	struct peer *p = paths_peer_find_id(ps, peer);

	if (!p) {
		ps->stats.relay_unknown++;
		return;
	}
	ps->stats.relay_out++;
	/* Not trusted, but it may work: send on both (nat-traversal.md 6.2). */
	if (p->path.best.ep.ip.family)
		ps->ops->send_udp(ps->ctx, &p->path.best.ep, data, n);
	ps->ops->send_derp(ps->ctx, p->path.home_derp, &p->key, data, n);
	path_set_active(&p->path, false, now_ns());
	paths_peer_arm(p);
}
