/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_DERPTLS_H
#define ENGINE_DERPTLS_H

#include <openssl/ssl.h>

#include "engine/netmap.h"
#include "lib/key.h"

/* TLS to a DERP node (spec/derp.md sections 3.2 and 3.3). */

/*
 * The context for all sessions: TLS 1.2 or later, the system's roots
 * (SSL_CERT_FILE and SSL_CERT_DIR override them as usual).
 */
SSL_CTX *derp_tls_context(void);

/*
 * A client session to @node: SNI, and verification by roots and name, by
 * CertName's name, by its hash, or none for InsecureForTests. @node must outlive
 * the handshake. NULL: out of memory or a malformed CertName.
 */
SSL *derp_tls_session(SSL_CTX *ctx, const struct derp_node *node);

/*
 * The server's DERP key from its meta certificate, for a fast start. -ENOENT:
 * there is none, or it is not TLS 1.3.
 */
int derp_tls_meta(const SSL *ssl, struct key *server_public);

/* Development mode: plain HTTP on port 3340 of a node marked for tests. */
bool derp_node_is_plain(const struct derp_node *node);

#endif
