/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_TLS_H
#define RELAY_TLS_H

#include <openssl/ssl.h>

#include "lib/key.h"

/*
 * The relay's certificate (spec/derp.md sections 3.2, 3.3 and 13): DIR/HOST.crt
 * and DIR/HOST.key, made and signed by itself when neither is there; behind it
 * goes the meta certificate that names the relay's DERP key.
 */
struct relayd;

/*
 * A context with that certificate, TLS 1.2 or later. NULL after an error, which
 * has been logged with what to do about it.
 */
SSL_CTX *relayd_tls_load(const char *dir, const char *host,
			 const struct key *derp_public, bool ktls);

/*
 * The certificate's hash as a DERP map's CertName has it, "sha256-raw:" and 64
 * hex digits.
 */
#define RELAYD_PIN_LEN (11 + 64)
void relayd_tls_pin(const SSL_CTX *ctx, char out[RELAYD_PIN_LEN + 1]);

/* A session of the context in force; NULL: out of memory. From any thread. */
SSL *relayd_tls_session(struct relayd *server);

#endif
