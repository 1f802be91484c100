/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PROTO_NOISE_H
#define PROTO_NOISE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/key.h"

/*
 * The control protocol's Noise_IK_25519_ChaChaPoly_BLAKE2s handshake and its
 * record layer (spec/control.md sections 3.1, 3.2, 3.6; Noise revision 34).
 * Bytes in, bytes out: the caller owns sockets and randomness. Frames are
 *
 *   initiation  version:be16 type=1 len:be16=96 body[96]     client -> server
 *   response    type=2 len:be16=48 body[48]                  server -> client
 *   error       type=3 len:be16 text[len]                    server -> client
 *   record      type=4 len:be16 ciphertext[len]              both ways
 *
 * Records carry one byte stream per direction; their boundaries mean nothing.
 */
#define NOISE_INITIATION_LEN 101
#define NOISE_RESPONSE_LEN 51
#define NOISE_HEADER_LEN 3
#define NOISE_TAG_LEN 16
#define NOISE_FRAME_MAX 4096
#define NOISE_RECORD_OVERHEAD (NOISE_HEADER_LEN + NOISE_TAG_LEN)
#define NOISE_PLAIN_MAX (NOISE_FRAME_MAX - NOISE_RECORD_OVERHEAD)
#define NOISE_HASH_LEN 32

enum noise_frame_type {
	NOISE_INITIATION = 1,
	NOISE_RESPONSE = 2,
	NOISE_ERROR = 3,
	NOISE_RECORD = 4,
};

/* The client's state between its initiation and the server's response. */
struct noise_handshake {
	uint8_t hash[NOISE_HASH_LEN];
	uint8_t chain[NOISE_HASH_LEN];
	struct key machine_private;
	struct key ephemeral_private;
};

/* An established channel. Wipe it with noise_session_wipe(). */
struct noise_session {
	struct key tx_key, rx_key;
	uint64_t tx_counter, rx_counter; /* of the next record */
	uint8_t hash[NOISE_HASH_LEN];	 /* channel binding */
};

/*
 * Writes the initiation for @version (the capability version, also part of
 * the prologue). @ephemeral_private is fresh for every attempt. Returns 0, or
 * -EINVAL for keys that give no shared secret (zero, low order); @hs is then
 * wiped.
 */
int noise_client_start(struct noise_handshake *hs, uint16_t version,
		       const struct key *machine_private,
		       const struct key *server_public,
		       const struct key *ephemeral_private,
		       uint8_t out[NOISE_INITIATION_LEN]);

/*
 * Completes the handshake from the server's response frame and wipes @hs in
 * every case. Returns 0, -EPROTO for a frame that is not a response, or
 * -EBADMSG if it does not authenticate; @s is filled only on 0.
 */
int noise_client_finish(struct noise_handshake *hs,
			const uint8_t response[NOISE_RESPONSE_LEN],
			struct noise_session *s);

void noise_handshake_wipe(struct noise_handshake *hs);

/* The version field of an initiation frame, before it is authenticated. */
uint16_t noise_initiation_version(const uint8_t in[NOISE_INITIATION_LEN]);

/*
 * The server's side in one step: takes an initiation frame, writes the
 * response, the session and the client's authenticated machine key. Returns
 * 0, -EPROTO for a frame that is not an initiation, or -EBADMSG if it does not
 * authenticate; outputs are filled only on 0. An initiation may be a replay:
 * nothing is proven about the client before its first record opens.
 */
int noise_server_accept(const uint8_t in[NOISE_INITIATION_LEN],
			const struct key *server_private,
			const struct key *ephemeral_private,
			uint8_t out[NOISE_RESPONSE_LEN],
			struct noise_session *s, struct key *client_public);

/*
 * Bytes that the frame beginning with @header occupies in all, header
 * included. The first is for the answer to an initiation: NOISE_RESPONSE_LEN,
 * or, with header[0] == NOISE_ERROR, an error frame whose text is an
 * unauthenticated hint. The second is for everything after the handshake.
 * -EPROTO for any other type, -EMSGSIZE for a length no peer may announce (the
 * channel is then unusable): over NOISE_FRAME_MAX, or too short for a tag.
 */
int noise_response_size(const uint8_t header[NOISE_HEADER_LEN]);
int noise_record_size(const uint8_t header[NOISE_HEADER_LEN]);

/*
 * Seals @len <= NOISE_PLAIN_MAX bytes as one record; @out may not overlap
 * @plain. Returns the frame's length (@len + NOISE_RECORD_OVERHEAD), -EMSGSIZE
 * if @len is too long, -ENOSPC if @cap is too small, -EOVERFLOW when the
 * counter is used up. Every sealed record must be sent, in order.
 */
ssize_t noise_seal_record(struct noise_session *s, const uint8_t *plain,
			  size_t len, uint8_t *out, size_t cap);

/*
 * Opens one whole record frame; @out is either @frame + NOISE_HEADER_LEN or
 * does not overlap it. Returns the plaintext's length, which may be zero;
 * -EPROTO or -EMSGSIZE as noise_record_size() or if @len differs from it;
 * -ENOSPC if @cap is less than @len - NOISE_RECORD_OVERHEAD; -EBADMSG if it
 * does not authenticate. After -EBADMSG the receive side stays dead: every
 * later call fails the same way, so a forged record cannot be stepped over.
 */
ssize_t noise_open_record(struct noise_session *s, const uint8_t *frame,
			  size_t len, uint8_t *out, size_t cap);

void noise_session_wipe(struct noise_session *s);

/*
 * The optional early payload, first thing in the server's byte stream: a
 * 9-byte header and JSON. Its records may be cut anywhere.
 */
#define NOISE_EARLY_HEADER_LEN 9
#define NOISE_EARLY_MAX (10u << 20)

/*
 * 1 if @in is an early payload's header, with *@json_len bytes of JSON behind
 * it; 0 if the nine bytes already belong to HTTP/2; -EMSGSIZE if the length is
 * over NOISE_EARLY_MAX.
 */
int noise_early_header(const uint8_t in[NOISE_EARLY_HEADER_LEN],
		       uint32_t *json_len);
void noise_early_header_encode(uint8_t out[NOISE_EARLY_HEADER_LEN],
			       uint32_t json_len);

#endif
