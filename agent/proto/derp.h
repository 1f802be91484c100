/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PROTO_DERP_H
#define PROTO_DERP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/addr.h"
#include "lib/key.h"

/*
 * DERP frames, protocol version 2 (spec/derp.md sections 3.3, 4 to 6): one
 * byte of type, a big-endian 32-bit payload length, the payload. Both sides use
 * this: "receiver" says whose rules apply.
 */
#define DERP_VERSION 2
#define DERP_HEADER_LEN 5
#define DERP_NONCE_LEN 24
#define DERP_TAG_LEN 16
#define DERP_PING_LEN 8
#define DERP_PACKET_MAX 65536u	     /* data of Send, Recv, Forward */
#define DERP_FRAME_MAX (1u << 20)    /* payload a client accepts */
#define DERP_CLIENT_INFO_MAX 262144u /* payload of ClientInfo */

enum derp_type {
	DERP_SERVER_KEY = 0x01,
	DERP_CLIENT_INFO = 0x02,
	DERP_SERVER_INFO = 0x03,
	DERP_SEND_PACKET = 0x04,
	DERP_RECV_PACKET = 0x05,
	DERP_KEEP_ALIVE = 0x06,
	DERP_NOTE_PREFERRED = 0x07,
	DERP_PEER_GONE = 0x08,
	DERP_PEER_PRESENT = 0x09,
	DERP_FORWARD_PACKET = 0x0a,
	DERP_WATCH_CONNS = 0x10,
	DERP_CLOSE_PEER = 0x11,
	DERP_PING = 0x12,
	DERP_PONG = 0x13,
	DERP_HEALTH = 0x14,
	DERP_RESTARTING = 0x15,
};

enum derp_side {
	DERP_CLIENT,
	DERP_SERVER,
};

/* Reasons of PeerGone, flags of PeerPresent; unknown values are passed on. */
#define DERP_GONE_DISCONNECTED 0x00
#define DERP_GONE_NOT_HERE 0x01
#define DERP_PRESENT_REGULAR 0x01
#define DERP_PRESENT_MESH 0x02
#define DERP_PRESENT_PROBER 0x04
#define DERP_PRESENT_NOT_IDEAL 0x08

struct derp_header {
	uint8_t type; /* an enum derp_type, or one of the future */
	uint32_t len; /* of the payload */
};

/* A parsed frame. Fields not named for its type are zero. */
struct derp_frame {
	enum derp_type type;
	/*
	 * ServerKey: the server's. ClientInfo: the client's. SendPacket: the
	 * destination. RecvPacket, ForwardPacket: the source. PeerGone,
	 * PeerPresent, ClosePeer: the peer's.
	 */
	struct key key;
	struct key dst;		       /* ForwardPacket */
	uint8_t nonce[DERP_NONCE_LEN]; /* ClientInfo, ServerInfo */
	uint8_t ping[DERP_PING_LEN];   /* Ping, Pong */
	bool preferred;		       /* NotePreferred */
	uint8_t reason;		       /* PeerGone */
	struct endpoint endpoint;      /* PeerPresent; family 0: not told */
	uint8_t flags;		       /* PeerPresent; 0: not told */
	uint32_t reconnect_ms, try_ms; /* Restarting */
	/*
	 * The rest of the payload: data of packets, the box of ClientInfo and
	 * ServerInfo, text of Health (not terminated, not checked to be UTF-8).
	 * Points into the caller's buffer, owned by the caller.
	 */
	const uint8_t *data;
	size_t data_len;
};

void derp_header_encode(uint8_t out[DERP_HEADER_LEN],
			const struct derp_header *h);
void derp_header_decode(struct derp_header *h,
			const uint8_t in[DERP_HEADER_LEN]);

/*
 * What @receiver does with a frame announced by @h, before its payload is read:
 * 0            read @h->len bytes and derp_parse() them
 * -EOPNOTSUPP  not for this side or unknown: skip @h->len bytes (a server may
 *              be told up to 4 GiB here: discard in pieces)
 * -EBADMSG     too short for its type, or of a wrong fixed size: a client skips
 *              it (but fails while it waits for ServerKey), a server closes
 *              the connection
 * -EMSGSIZE    more than the receiver accepts: close the connection
 */
int derp_check(enum derp_side receiver, const struct derp_header *h);

/*
 * Parses the @h->len bytes at @payload. Returns what derp_check() does, and
 * -EBADMSG also for a wrong magic in ServerKey and zero keys in ServerKey and
 * ClientInfo.
 */
int derp_parse(struct derp_frame *f, enum derp_side receiver,
	       const struct derp_header *h, const uint8_t *payload);

/*
 * The frame that a client's input begins with. Returns its length, to be taken
 * off, with what derp_check() and derp_parse() say in *@err; 0: it is not here
 * as a whole; -EMSGSIZE: a longer one than a client takes.
 */
ssize_t derp_client_next(struct derp_frame *f, const uint8_t *data, size_t n,
			 int *err);

/*
 * Writes a frame's header and fixed fields; the wire then takes f->data, so
 * that packets are not copied. @f->data_len counts for types that have data and
 * must be 0 for others. PeerPresent is written in its full 51-byte form when it
 * has an endpoint, as the bare key otherwise. Returns the bytes written, at
 * most DERP_HEAD_MAX, or -EMSGSIZE if the data are over the limit for the type.
 */
#define DERP_HEAD_MAX (DERP_HEADER_LEN + 2 * KEY_LEN)
ssize_t derp_head(const struct derp_frame *f, uint8_t out[DERP_HEAD_MAX]);

/* derp_head() and the data in one buffer; also -ENOSPC. */
ssize_t derp_encode(const struct derp_frame *f, uint8_t *out, size_t cap);

/*
 * The login messages: JSON in a NaCl box from the sender's node key to the
 * receiver's.
 */
#define DERP_APP_NAME_MAX 63

struct derp_client_info {
	int version;
	bool has_mesh_key;
	bool can_ack_pings;
	bool is_prober;
	struct key mesh_key; /* a secret: compare with key_equal(), wipe */
	char app_name[DERP_APP_NAME_MAX + 1]; /* cut if longer; hostile text */
};

struct derp_server_info {
	int version;
	int64_t rate;  /* bytes per second; 0: unlimited */
	int64_t burst; /* bytes */
};

/* Longest box the two seal functions below make. */
#define DERP_INFO_BOX_MAX 640

/* Longest JSON the two open functions read; real ones have some 100 bytes. */
#define DERP_INFO_JSON_MAX 16384u

/*
 * Seals @info into @box, which is then the f->data of a ClientInfo or
 * ServerInfo frame whose f->nonce is @nonce (random). Returns the box's length,
 * -EINVAL for a zero or low-order key.
 */
ssize_t derp_seal_client_info(const struct derp_client_info *info,
			      const struct key *client_private,
			      const struct key *server_public,
			      const uint8_t nonce[DERP_NONCE_LEN],
			      uint8_t box[DERP_INFO_BOX_MAX]);
ssize_t derp_seal_server_info(const struct derp_server_info *info,
			      const struct key *server_private,
			      const struct key *client_public,
			      const uint8_t nonce[DERP_NONCE_LEN],
			      uint8_t box[DERP_INFO_BOX_MAX]);

/*
 * The whole ClientInfo frame: what a client logs in with. Returns its length,
 * -EINVAL as above, or -ENOSPC.
 */
#define DERP_LOGIN_MAX (DERP_HEAD_MAX + DERP_INFO_BOX_MAX)
ssize_t derp_encode_login(const struct derp_client_info *info,
			  const struct key *client_private,
			  const struct key *server_public,
			  const uint8_t nonce[DERP_NONCE_LEN], uint8_t *out,
			  size_t cap);

/*
 * Opens the box of a parsed frame. Member names match in any case, unknown ones
 * are ignored, a missing one is zero. Returns 0, or -EBADMSG: it does not
 * authenticate, is not JSON of the expected types, is over DERP_INFO_JSON_MAX,
 * or carries a meshKey that is not 64 hex digits. @info is zeroed on error.
 */
int derp_open_client_info(struct derp_client_info *info,
			  const struct derp_frame *f,
			  const struct key *server_private);
int derp_open_server_info(struct derp_server_info *info,
			  const struct derp_frame *f,
			  const struct key *server_public,
			  const struct key *client_private);

/*
 * The meta certificate behind a server's TLS chain names its DERP key as common
 * name, "derpkey" and 64 hex digits, and the protocol version as serial. The
 * caller trusts it only from a TLS 1.3 handshake. Returns 0, or -EINVAL if this
 * is another certificate (or the key or the serial is zero, or the serial over
 * 8 bits).
 */
#define DERP_META_CN_LEN (7 + KEY_HEX_LEN)
int derp_meta_parse(const char *common_name, size_t len, uint64_t serial,
		    struct key *server_public);
void derp_meta_format(char out[DERP_META_CN_LEN + 1],
		      const struct key *server_public);

#endif
