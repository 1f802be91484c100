/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_STATS_H
#define RELAY_STATS_H

#include <stdint.h>

/*
 * Counters and gauges of one worker, written by its thread only and summed
 * over the workers by whoever shows them (relay/metrics.h has their names). A
 * gauge's share in one worker may be negative: what one worker adds another
 * may take away.
 */
enum relayd_stat {
	/* gauges */
	RELAYD_CONNECTIONS,
	RELAYD_HOME_CONNECTIONS,
	RELAYD_NOT_IDEAL_CONNECTIONS,
	RELAYD_CLIENTS_TOTAL, /* keys: local or behind a mesh peer */
	RELAYD_CLIENTS_LOCAL, /* keys with a connection here */
	RELAYD_WATCHERS,
	RELAYD_DUP_KEYS,
	RELAYD_DUP_CONNS,
	RELAYD_HALF_OPEN, /* accepted, not logged in */
	RELAYD_TLS_12_ACTIVE,
	RELAYD_TLS_13_ACTIVE,
	/* counters */
	RELAYD_ACCEPTS, /* upgraded to DERP */
	RELAYD_DUP_CONNS_TOTAL,
	RELAYD_UNKNOWN_FRAMES,
	RELAYD_GOT_PING,
	RELAYD_SENT_PONG,
	RELAYD_BYTES_RECEIVED,
	RELAYD_BYTES_SENT,
	RELAYD_PACKETS_RECEIVED,
	RELAYD_PACKETS_SENT,
	RELAYD_RECEIVED_DISCO,
	RELAYD_RECEIVED_OTHER,
	RELAYD_HOME_MOVES_IN,
	RELAYD_HOME_MOVES_OUT,
	RELAYD_GONE_DISCONNECTED_FRAMES,
	RELAYD_GONE_NOT_HERE_FRAMES,
	RELAYD_FORWARDED_OUT,
	RELAYD_FORWARDED_IN,
	RELAYD_MULTIFORWARDER_CREATED,
	RELAYD_MULTIFORWARDER_DELETED,
	RELAYD_FORWARDER_DELETE_OTHER,
	RELAYD_WRITE_TIMEOUTS,
	RELAYD_QUEUE_NS, /* with the next: their time in a queue */
	RELAYD_QUEUE_PACKETS,
	RELAYD_RATE_WAITS,
	RELAYD_REJECTED, /* by admission */
	RELAYD_WEBSOCKET_ACCEPTS,
	RELAYD_TLS_12,
	RELAYD_TLS_13,
	RELAYD_TLS_FAILED,
	RELAYD_TCP_ACCEPTED,
	RELAYD_TCP_REJECTED, /* by the accept limit */
	RELAYD_HALF_OPEN_EVICTED,
	RELAYD_HTTP_BAD,
	RELAYD_PROTOCOL_ERRORS,
	RELAYD_RTT_10, /* ms and less; the next up to RELAYD_RTT_ERROR */
	RELAYD_RTT_20,
	RELAYD_RTT_50,
	RELAYD_RTT_100,
	RELAYD_RTT_150,
	RELAYD_RTT_250,
	RELAYD_RTT_500,
	RELAYD_RTT_INF,
	RELAYD_RTT_ERROR,
	RELAYD_STUN_READ_ERROR,
	RELAYD_STUN_NOT_STUN,
	RELAYD_STUN_WRITE_ERROR,
	RELAYD_STUN_SUCCESS,
	RELAYD_STUN_IPV4,
	RELAYD_STUN_IPV6,
	RELAYD_N_STATS
};

/* Why a packet was dropped (spec/derp.md section 14). */
enum relayd_drop {
	RELAYD_UNKNOWN_DEST,
	RELAYD_UNKNOWN_DEST_ON_FWD,
	RELAYD_GONE_DISCONNECTED,
	RELAYD_QUEUE_HEAD,
	RELAYD_QUEUE_TAIL,
	RELAYD_WRITE_ERROR,
	RELAYD_DUP_CLIENT,
	RELAYD_N_DROPS
};

struct relayd_stats {
	uint64_t v[RELAYD_N_STATS];
	uint64_t dropped[RELAYD_N_DROPS][2]; /* [1]: disco */
	uint64_t dropped_bytes[RELAYD_N_DROPS][2];
};

/* The owner's thread is the only writer; readers load the same way. */
static inline void relayd_add(uint64_t *v, uint64_t n)
{
	__atomic_store_n(v, *v + n, __ATOMIC_RELAXED);
}

static inline void relayd_count(struct relayd_stats *s, enum relayd_stat what,
				int64_t n)
{
	relayd_add(&s->v[what], (uint64_t)n);
}

static inline void relayd_dropped(struct relayd_stats *s, enum relayd_drop why,
				  int disco, uint64_t bytes)
{
	relayd_add(&s->dropped[why][!!disco], 1);
	relayd_add(&s->dropped_bytes[why][!!disco], bytes);
}

static inline uint64_t relayd_stat_read(const uint64_t *v)
{
	return __atomic_load_n(v, __ATOMIC_RELAXED);
}

#endif
