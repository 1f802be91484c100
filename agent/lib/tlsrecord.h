/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_TLSRECORD_H
#define LIB_TLSRECORD_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * TLS 1.3's record layer (RFC 8446 sections 5 and 7.2) for a connection whose
 * handshake OpenSSL has done. After that a connection is two secrets and two
 * counters, some 3 KiB with their cipher contexts, where OpenSSL's objects for
 * it take 14 KiB. A server that has thousands of idle ones wants that.
 *
 * Bytes in, bytes out: no sockets here. Only what may follow a handshake is
 * spoken: data, alerts and KeyUpdate; a client that sends anything else is in
 * error. There are no tickets, no early data, no client certificates.
 */
enum tls_type {
	TLS_CHANGE_CIPHER_SPEC = 20,
	TLS_ALERT = 21,
	TLS_HANDSHAKE = 22,
	TLS_DATA = 23,
};

#define TLS_PLAIN_MAX 16384u
#define TLS_HEADER_LEN 5u
#define TLS_TAG_LEN 16u
/* What seal() writes behind the content. */
#define TLS_TAIL_LEN (1 + TLS_TAG_LEN)
#define TLS_RECORD_MAX (TLS_HEADER_LEN + TLS_PLAIN_MAX + 256)
#define TLS_SECRET_MAX 48
#define TLS_KEY_MAX 32
#define TLS_IV_LEN 12
/*
 * A key of AES-GCM is good for 2^24.5 records (section 5.5): after so many we
 * change ours.
 */
#define TLS_KEY_RECORDS (1u << 24)
/* More records in a row that carry no data are an attack. */
#define TLS_QUIET_MAX 32u

struct tls_suite;

/* One direction. */
struct tls_way {
	uint8_t secret[TLS_SECRET_MAX], key[TLS_KEY_MAX], iv[TLS_IV_LEN];
	uint64_t seq;
	EVP_CIPHER_CTX *cipher;
};

struct tls_records {
	const struct tls_suite *suite;
	struct tls_way tx, rx;
	bool update_due; /* a KeyUpdate of ours is to be sent */
	unsigned int quiet; /* records without data since the last with some */
};

/*
 * @suite: of TLS 1.3, as on the wire. 0, or -ENOTSUP for one that is not known.
 */
int tls_records_init(struct tls_records *r, uint16_t suite,
		     const uint8_t *tx_secret, const uint8_t *rx_secret);
void tls_records_wipe(struct tls_records *r);

/*
 * Makes a record of the @n bytes, at most TLS_PLAIN_MAX, that are at @record +
 * TLS_HEADER_LEN; TLS_TAIL_LEN more are written behind them. Returns its length.
 */
size_t tls_seal(struct tls_records *r, enum tls_type type, uint8_t *record,
		size_t n);
/* Seals the KeyUpdate that is due, and changes our key. */
#define TLS_KEY_UPDATE_LEN (TLS_HEADER_LEN + 5 + TLS_TAIL_LEN)
extern const uint8_t tls_key_update[5];
size_t tls_seal_key_update(struct tls_records *r,
			   uint8_t record[TLS_KEY_UPDATE_LEN]);

/*
 * The length of the record that @data begins with; 0: its header is not there,
 * or it is not there as a whole; -EBADMSG: that is no record of data;
 * -EMSGSIZE: it is too long.
 */
ssize_t tls_record_len(const uint8_t *data, size_t n);
/*
 * Opens one whole record of @n bytes into @out, which has room for @n -
 * TLS_HEADER_LEN - TLS_TAG_LEN bytes and may be @record + TLS_HEADER_LEN.
 * Returns the content's length, its type in @type; -EBADMSG if it is forged or
 * malformed; -EPROTO: too many without data.
 */
ssize_t tls_open(struct tls_records *r, const uint8_t *record, size_t n,
		 uint8_t *out, uint8_t *type);
/*
 * Content that is not data. 0: go on, with a new receiving key if it was a
 * KeyUpdate; -ESHUTDOWN: the other side says goodbye; -ECONNABORTED: it reports
 * an error; -EPROTO: it must not say that here.
 */
int tls_control(struct tls_records *r, uint8_t type, const uint8_t *data,
		size_t n);

/* What a handshake leaves for us; a secret. */
struct tls_secrets {
	uint8_t client[TLS_SECRET_MAX], server[TLS_SECRET_MAX];
	size_t client_len, server_len;
};

/* From now on sessions of @ctx may be asked for their secrets. */
void tls_secrets_enable(SSL_CTX *ctx);
/* Before the handshake: @ssl's secrets go to @s, by its application data. */
void tls_secrets_ask(SSL *ssl, struct tls_secrets *s);
/*
 * After it: the record layer of a server's end. -ENOTSUP: not TLS 1.3, or
 * OpenSSL holds something that would be lost.
 */
int tls_records_take(struct tls_records *r, SSL *ssl,
		     const struct tls_secrets *s);

/* For the kernel (lib/ktls.h). Its KeyUpdate has gone out: our next key. */
void tls_update_tx(struct tls_records *r);
/* The kernel has this way's key: nothing is sealed or opened here any more. */
void tls_way_release(struct tls_way *w);
/* As on the wire. */
uint16_t tls_suite_id(const struct tls_suite *suite);

#endif
