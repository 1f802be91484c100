/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PROTO_DISCO_H
#define PROTO_DISCO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/addr.h"
#include "lib/key.h"

/*
 * Disco packets and messages (spec/disco.md sections 3 to 6). A packet is
 *
 *   magic[6] sender_public[32] nonce[24] box[16 + n]
 *
 * The way in: disco_sender(), look the key up, disco_open() with the cached
 * shared key, disco_decode(). The way out: disco_encode(), disco_seal().
 */
#define DISCO_MAGIC_LEN 6
#define DISCO_NONCE_LEN 24
#define DISCO_TAG_LEN 16
#define DISCO_TXID_LEN 12
#define DISCO_CHALLENGE_LEN 32
#define DISCO_HEADER_LEN (DISCO_MAGIC_LEN + KEY_LEN + DISCO_NONCE_LEN)
#define DISCO_OVERHEAD (DISCO_HEADER_LEN + DISCO_TAG_LEN)

/* The modern ping without padding, as sealed datagram: 124 bytes. */
#define DISCO_PING_LEN (DISCO_OVERHEAD + 2 + DISCO_TXID_LEN + KEY_LEN)

/* Endpoints kept from one message; more are ignored, they are best first. */
#define DISCO_ENDPOINTS_MAX 64

/* Enough for the plaintext of every message but a padded ping. */
#define DISCO_PLAIN_MAX (2 + 4 + 124 + 18 * DISCO_ENDPOINTS_MAX)

enum disco_type {
	DISCO_PING = 0x01,
	DISCO_PONG = 0x02,
	DISCO_CALL_ME_MAYBE = 0x03,
	DISCO_BIND = 0x04,
	DISCO_BIND_CHALLENGE = 0x05,
	DISCO_BIND_ANSWER = 0x06,
	DISCO_CALL_ME_MAYBE_VIA = 0x07,
	DISCO_ALLOCATE_REQUEST = 0x08,
	DISCO_ALLOCATE_RESPONSE = 0x09,
};

struct disco_endpoints {
	size_t count; /* at most DISCO_ENDPOINTS_MAX */
	struct endpoint list[DISCO_ENDPOINTS_MAX];
};

struct disco_ping {
	uint8_t txid[DISCO_TXID_LEN];
	struct key node_key; /* a hint; zero means none */
	size_t padding; /* zero bytes after it, to 65535; needs a node key */
};

struct disco_pong {
	uint8_t txid[DISCO_TXID_LEN];
	struct endpoint src; /* of the ping, as its receiver saw it */
};

/* 0x04..0x06. The generation is never zero on a well-behaved wire. */
struct disco_bind {
	uint32_t vni;
	uint32_t generation;
	struct key remote_key; /* of the other client, not of the relay */
	uint8_t challenge[DISCO_CHALLENGE_LEN]; /* zero in 0x04 */
};

/* A relay's endpoint, as 0x07 and 0x09 describe it. */
struct disco_relay {
	struct key server_disco; /* differs from the relay node's disco key */
	struct key client_disco[2]; /* smaller key first */
	uint64_t lamport_id;	    /* bigger is newer */
	uint32_t vni;		    /* 1..0xffffff */
	int64_t bind_lifetime_ns;   /* as sent, any value: clamp before use */
	int64_t steady_lifetime_ns; /* likewise */
	struct disco_endpoints endpoints; /* at least one */
};

struct disco_allocate_request {
	struct key client_disco[2]; /* smaller key first */
	uint32_t generation;
};

struct disco_allocate_response {
	uint32_t generation; /* the request's */
	struct disco_relay relay;
};

struct disco_msg {
	enum disco_type type;
	union {
		struct disco_ping ping;
		struct disco_pong pong;
		struct disco_endpoints call_me_maybe;
		struct disco_bind bind; /* 0x04, 0x05, 0x06 */
		struct disco_relay via;
		struct disco_allocate_request request;
		struct disco_allocate_response response;
	};
};

/* Precomputed box key of one (own private, peer public) pair; a secret. */
struct disco_shared {
	struct key k;
};

/*
 * The two "looks like disco" tests of section 3. A decides what a client takes
 * from UDP and DERP, B what a DERP server or a peer relay counts and queues as
 * disco. Neither promises that the packet opens.
 */
bool disco_is_client_packet(const uint8_t *in, size_t len); /* A: 38 bytes */
bool disco_is_relay_packet(const uint8_t *in, size_t len);  /* B: 62 bytes */

/* 0, or -EINVAL for a zero or low-order key; @shared is then wiped. */
int disco_shared_key(struct disco_shared *shared, const struct key *own_private,
		     const struct key *peer_public);

/*
 * The sender's public key, which is in the clear. 0, or -EBADMSG for what
 * cannot be a disco packet: wrong magic, shorter than DISCO_OVERHEAD, zero key.
 */
int disco_sender(const uint8_t *in, size_t len, struct key *sender);

/*
 * Opens the box of a packet into @plain, which may be the same buffer as @in.
 * Returns the plaintext's length (@len - DISCO_OVERHEAD), -EBADMSG if the
 * packet is malformed or does not authenticate, -ENOSPC if @cap is too small.
 * Failures are normal after either side restarted: count, drop, stay silent.
 */
ssize_t disco_open(const uint8_t *in, size_t len,
		   const struct disco_shared *shared, uint8_t *plain,
		   size_t cap);

/*
 * Seals @plain as a packet. @nonce is random for every packet. @plain may be
 * @out + DISCO_OVERHEAD, else must not overlap it. Returns the packet's length
 * (@len + DISCO_OVERHEAD), -ENOSPC if @cap is too small, -EINVAL for a zero
 * @sender_public.
 */
ssize_t disco_seal(const uint8_t *plain, size_t len,
		   const struct key *sender_public,
		   const struct disco_shared *shared,
		   const uint8_t nonce[DISCO_NONCE_LEN], uint8_t *out,
		   size_t cap);

/*
 * Reads an opened message. Returns 0; -EOPNOTSUPP for an unknown type, and for
 * types 0x07..0x09 with a version other than 0 (a newer peer: ignore silently);
 * -EBADMSG for one that is too short, or whose keys (other than a ping's) are
 * zero, or whose relay VNI is out of range. Other types ignore the version,
 * except that 0x03 is then an empty list; so is one with an odd length.
 * Bytes after the known fields are ignored. @m is unspecified on error.
 */
int disco_decode(struct disco_msg *m, const uint8_t *plain, size_t len);

/*
 * Writes the plaintext of @m, version 0. Returns its length, -ENOSPC if @cap is
 * too small, -EINVAL if @m breaks what its struct says above.
 */
ssize_t disco_encode(const struct disco_msg *m, uint8_t *out, size_t cap);

/* A constant name for logs and counters, as "call-me-maybe". */
const char *disco_type_name(enum disco_type type);

#endif
