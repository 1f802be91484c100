// SPDX-License-Identifier: GPL-2.0
#include "lib/tlsrecord.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sodium.h>
#include <string.h>

#include "lib/util.h"

#define LEGACY_VERSION 0x0303
#define LABEL_PREFIX "tls13 "
#define KEY_UPDATE 24
#define CLOSE_NOTIFY 0
#define USER_CANCELED 90

struct tls_suite {
	uint16_t id;
	size_t key_len, secret_len;
	const EVP_CIPHER *(*cipher)(void);
	const EVP_MD *(*hash)(void);
};

static const struct tls_suite suites[] = {
	{ 0x1301, 16, 32, EVP_aes_128_gcm, EVP_sha256 },
	{ 0x1302, 32, 48, EVP_aes_256_gcm, EVP_sha384 },
	{ 0x1303, 32, 32, EVP_chacha20_poly1305, EVP_sha256 },
};

const uint8_t tls_key_update[5] = { KEY_UPDATE, 0, 0, 1, 0 };

/* libcrypto without memory or without a primitive: nothing can go on. */
static void must(int ok)
{
	if (ok != 1)
		abort();
}

/* Section 7.1, for no context and no more than one hash of output. */
static void expand_label(const struct tls_suite *suite, const uint8_t *secret,
			 const char *label, uint8_t *out, size_t n)
{
	uint8_t info[64], hash[EVP_MAX_MD_SIZE];
	size_t len = strlen(LABEL_PREFIX) + strlen(label);
	unsigned int hash_len = sizeof(hash);

	put_be16(info, (uint16_t)n);
	info[2] = (uint8_t)len;
	memcpy(info + 3, LABEL_PREFIX, strlen(LABEL_PREFIX));
	memcpy(info + 3 + strlen(LABEL_PREFIX), label, strlen(label));
	info[3 + len] = 0; /* context */
	info[4 + len] = 1; /* HKDF's block */
	must(HMAC(suite->hash(), secret, (int)suite->secret_len, info, len + 5,
		  hash, &hash_len) != NULL);
	memcpy(out, hash, n);
	sodium_memzero(hash, sizeof(hash));
}

static void set_keys(const struct tls_suite *suite, struct tls_way *w, bool tx)
{
	expand_label(suite, w->secret, "key", w->key, suite->key_len);
	expand_label(suite, w->secret, "iv", w->iv, TLS_IV_LEN);
	w->seq = 0;
	if (!w->cipher) /* the kernel's to use */
		return;
	must(EVP_CipherInit_ex(w->cipher, suite->cipher(), NULL, w->key, NULL,
			       tx));
}

/* Section 7.2. */
static void next_keys(const struct tls_suite *suite, struct tls_way *w, bool tx)
{
	expand_label(suite, w->secret, "traffic upd", w->secret,
		     suite->secret_len);
	set_keys(suite, w, tx);
}

void tls_update_tx(struct tls_records *r)
{
	next_keys(r->suite, &r->tx, true);
	r->update_due = false;
}

void tls_way_release(struct tls_way *w)
{
	EVP_CIPHER_CTX_free(w->cipher);
	w->cipher = NULL;
}

int tls_records_init(struct tls_records *r, uint16_t suite,
		     const uint8_t *tx_secret, const uint8_t *rx_secret)
{
	size_t i = 0;

	memset(r, 0, sizeof(*r));
	while (i < ARRAY_SIZE(suites) && suites[i].id != suite)
		i++;
	if (i == ARRAY_SIZE(suites))
		return -ENOTSUP;
	r->suite = &suites[i];
	memcpy(r->tx.secret, tx_secret, r->suite->secret_len);
	memcpy(r->rx.secret, rx_secret, r->suite->secret_len);
	r->tx.cipher = EVP_CIPHER_CTX_new();
	r->rx.cipher = EVP_CIPHER_CTX_new();
	must(r->tx.cipher && r->rx.cipher);
	set_keys(r->suite, &r->tx, true);
	set_keys(r->suite, &r->rx, false);
	return 0;
}

void tls_records_wipe(struct tls_records *r)
{
	EVP_CIPHER_CTX_free(r->tx.cipher);
	EVP_CIPHER_CTX_free(r->rx.cipher);
	sodium_memzero(r, sizeof(*r));
}

/* Gives the cipher its next nonce and the record's header. */
static void begin(struct tls_way *w, const uint8_t *header)
{
	uint8_t nonce[TLS_IV_LEN], seq[8];
	size_t i;
	int n;

	memcpy(nonce, w->iv, sizeof(nonce));
	put_be64(seq, w->seq++);
	for (i = 0; i < sizeof(seq); i++)
		nonce[i + TLS_IV_LEN - sizeof(seq)] ^= seq[i];
	must(EVP_CipherInit_ex(w->cipher, NULL, NULL, NULL, nonce, -1));
	must(EVP_CipherUpdate(w->cipher, NULL, &n, header, TLS_HEADER_LEN));
}

size_t tls_seal(struct tls_records *r, enum tls_type type, uint8_t *record,
		size_t n)
{
	uint8_t *body = record + TLS_HEADER_LEN;
	EVP_CIPHER_CTX *cipher = r->tx.cipher;
	int len;

	record[0] = TLS_DATA;
	put_be16(record + 1, LEGACY_VERSION);
	put_be16(record + 3, (uint16_t)(n + TLS_TAIL_LEN));
	body[n++] = (uint8_t)type;
	begin(&r->tx, record);
	must(EVP_CipherUpdate(cipher, body, &len, body, (int)n));
	must(EVP_CipherFinal_ex(cipher, body + len, &len));
	must(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_GET_TAG, TLS_TAG_LEN,
				 body + n));
	if (r->tx.seq == TLS_KEY_RECORDS)
		r->update_due = true;
	return TLS_HEADER_LEN + n + TLS_TAG_LEN;
}

size_t tls_seal_key_update(struct tls_records *r,
			   uint8_t record[TLS_KEY_UPDATE_LEN])
{
	size_t n;

	memcpy(record + TLS_HEADER_LEN, tls_key_update, sizeof(tls_key_update));
	n = tls_seal(r, TLS_HANDSHAKE, record, sizeof(tls_key_update));
	tls_update_tx(r);
	return n;
}

ssize_t tls_record_len(const uint8_t *data, size_t n)
{
	size_t len;

	if (n < TLS_HEADER_LEN)
		return 0;
	len = TLS_HEADER_LEN + (size_t)get_be16(data + 3);
	if (data[0] != TLS_DATA || len < TLS_HEADER_LEN + TLS_TAIL_LEN)
		return -EBADMSG;
	if (len > TLS_RECORD_MAX)
		return -EMSGSIZE;
	return n < len ? 0 : (ssize_t)len;
}

ssize_t tls_open(struct tls_records *r, const uint8_t *record, size_t n,
		 uint8_t *out, uint8_t *type)
{
	const uint8_t *body = record + TLS_HEADER_LEN;
	EVP_CIPHER_CTX *cipher = r->rx.cipher;
	int len, rest;

	n -= TLS_HEADER_LEN + TLS_TAG_LEN;
	begin(&r->rx, record);
	must(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_AEAD_SET_TAG, TLS_TAG_LEN,
				 (void *)(body + n)));
	must(EVP_CipherUpdate(cipher, out, &len, body, (int)n));
	if (EVP_CipherFinal_ex(cipher, out + len, &rest) != 1)
		return -EBADMSG;
	while (n && !out[n - 1]) /* padding */
		n--;
	if (!n || n > TLS_PLAIN_MAX + 1)
		return -EBADMSG;
	*type = out[--n];
	if (*type == TLS_DATA && n)
		r->quiet = 0;
	else if (++r->quiet > TLS_QUIET_MAX)
		return -EPROTO;
	return (ssize_t)n;
}

int tls_control(struct tls_records *r, uint8_t type, const uint8_t *data,
		size_t n)
{
	if (type == TLS_ALERT && n == 2) {
		if (data[1] == USER_CANCELED)
			return 0;
		return data[1] == CLOSE_NOTIFY ? -ESHUTDOWN : -ECONNABORTED;
	}
	/* In a record of its own: no message may follow it under that key. */
	if (type != TLS_HANDSHAKE || n != sizeof(tls_key_update) ||
	    memcmp(data, tls_key_update, n - 1) != 0 || data[n - 1] > 1)
		return -EPROTO;
	next_keys(r->suite, &r->rx, false);
	r->update_due |= data[n - 1];
	return 0;
}

/* The last word of a line of NSS' key log, in hex. */
static size_t parse_secret(uint8_t out[TLS_SECRET_MAX], const char *line)
{
	const char *hex = strrchr(line, ' '), *end;
	size_t n = 0;

	if (!hex || sodium_hex2bin(out, TLS_SECRET_MAX, hex + 1,
				   strlen(hex + 1), NULL, &n, &end) || *end)
		return 0;
	return n;
}

static void on_line(const SSL *ssl, const char *line)
{
	static const char client[] = "CLIENT_TRAFFIC_SECRET_0 ";
	static const char server[] = "SERVER_TRAFFIC_SECRET_0 ";
	struct tls_secrets *s = SSL_get_app_data(ssl);

	if (!s)
		return;
	if (!strncmp(line, client, strlen(client)))
		s->client_len = parse_secret(s->client, line);
	else if (!strncmp(line, server, strlen(server)))
		s->server_len = parse_secret(s->server, line);
}

void tls_secrets_enable(SSL_CTX *ctx)
{
	SSL_CTX_set_keylog_callback(ctx, on_line);
}

void tls_secrets_ask(SSL *ssl, struct tls_secrets *s)
{
	memset(s, 0, sizeof(*s));
	SSL_set_app_data(ssl, s);
}

int tls_records_take(struct tls_records *r, SSL *ssl,
		     const struct tls_secrets *s)
{
	const SSL_CIPHER *c = SSL_get_current_cipher(ssl);
	int err;

	/* Tickets would have been sent under the key that we begin with. */
	if (!c || SSL_version(ssl) != TLS1_3_VERSION || !SSL_is_server(ssl) ||
	    SSL_get_num_tickets(ssl) || SSL_has_pending(ssl))
		return -ENOTSUP;
	err = tls_records_init(r, SSL_CIPHER_get_protocol_id(c), s->server,
			       s->client);
	if (!err && (s->client_len != r->suite->secret_len ||
		     s->server_len != s->client_len)) {
		tls_records_wipe(r);
		err = -ENOTSUP;
	}
	return err;
}

uint16_t tls_suite_id(const struct tls_suite *suite)
{
	return suite->id;
}
