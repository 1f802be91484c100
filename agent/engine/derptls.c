// SPDX-License-Identifier: GPL-2.0
#include "engine/derptls.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "lib/addr.h"
#include "proto/derp.h"

#define PIN_PREFIX "sha256-raw:"
#define PLAIN_PORT 3340

static const char *pin_of(const struct derp_node *n)
{
	size_t len = sizeof(PIN_PREFIX) - 1;

	return n->cert_name && !strncmp(n->cert_name, PIN_PREFIX, len) ?
		       n->cert_name + len :
		       NULL;
}

bool derp_node_is_plain(const struct derp_node *node)
{
	return node->insecure_for_tests && node->derp_port == PLAIN_PORT;
}

/* The common name as it stands in the certificate; not terminated. */
static const char *common_name(const X509 *cert, size_t *len)
{
	X509_NAME *name = X509_get_subject_name(cert);
	int i = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	const ASN1_STRING *text;

	if (i < 0)
		return NULL;
	text = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, i));
	*len = (size_t)ASN1_STRING_length(text);
	return (const char *)ASN1_STRING_get0_data(text);
}

static bool is_meta(const X509 *cert)
{
	size_t len = 0;
	const char *cn = common_name(cert, &len);

	return cn && len >= 7 && !memcmp(cn, "derpkey", 7);
}

static bool name_matches(X509 *cert, const char *name)
{
	struct ip_addr ip;

	if (!name || !*name)
		return true;
	if (!ip_parse(&ip, name))
		return X509_check_ip_asc(cert, name, 0) == 1;
	return X509_check_host(cert, name, strlen(name), 0, NULL) == 1;
}

/* X509_V_OK if exactly one certificate is there and it is the pinned one. */
static int verify_pin(X509_STORE_CTX *x, const struct derp_node *node)
{
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(x);
	unsigned char hash[32];
	struct key want, have;
	X509 *pinned = NULL;
	unsigned int len = 0;
	int i;

	for (i = 0; i < sk_X509_num(chain); i++) {
		X509 *cert = sk_X509_value(chain, i);

		if (is_meta(cert))
			continue;
		if (pinned)
			return X509_V_ERR_CERT_CHAIN_TOO_LONG;
		pinned = cert;
	}
	if (!pinned || !X509_digest(pinned, EVP_sha256(), hash, &len) ||
	    len != sizeof(hash) || key_parse(&want, "", pin_of(node)))
		return X509_V_ERR_CERT_REJECTED;
	memcpy(have.b, hash, sizeof(hash));
	if (!key_equal(&want, &have))
		return X509_V_ERR_CERT_REJECTED;
	/* TLS has proven the key of the first one only. */
	if (pinned != X509_STORE_CTX_get0_cert(x))
		return X509_V_ERR_CERT_REJECTED;
	if (X509_cmp_current_time(X509_get0_notBefore(pinned)) >= 0)
		return X509_V_ERR_CERT_NOT_YET_VALID;
	if (X509_cmp_current_time(X509_get0_notAfter(pinned)) <= 0)
		return X509_V_ERR_CERT_HAS_EXPIRED;
	if (!name_matches(pinned, node->host_name))
		return X509_V_ERR_HOSTNAME_MISMATCH;
	return X509_V_OK;
}

static int verify(X509_STORE_CTX *x, void *arg)
{
	const SSL *ssl = X509_STORE_CTX_get_ex_data(
		x, SSL_get_ex_data_X509_STORE_CTX_idx());
	const struct derp_node *node = SSL_get_app_data(ssl);
	int result;

	if (!pin_of(node))
		return X509_verify_cert(x);
	result = verify_pin(x, node);
	X509_STORE_CTX_set_error(x, result);
	return result == X509_V_OK;
}

SSL_CTX *derp_tls_context(void)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx)
		return NULL;
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_default_verify_paths(ctx);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_default_read_buffer_len(ctx, 65536);
	SSL_CTX_set_cert_verify_callback(ctx, verify, NULL);
	return ctx;
}

SSL *derp_tls_session(SSL_CTX *ctx, const struct derp_node *node)
{
	const char *name = node->host_name;
	struct ip_addr ip;
	struct key pin;
	bool ok = true;
	SSL *ssl;

	if (pin_of(node) && key_parse(&pin, "", pin_of(node)))
		return NULL;
	ssl = SSL_new(ctx);
	if (!ssl)
		return NULL;
	SSL_set_app_data(ssl, (void *)node);
	if (ip_parse(&ip, name))
		ok = SSL_set_tlsext_host_name(ssl, name) == 1;
	if (node->insecure_for_tests) {
		SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
	} else {
		SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
		if (!pin_of(node)) {
			if (node->cert_name && *node->cert_name)
				name = node->cert_name;
			ok = ok && (ip_parse(&ip, name) ?
					    SSL_set1_host(ssl, name) :
					    X509_VERIFY_PARAM_set1_ip_asc(
						    SSL_get0_param(ssl),
						    name)) == 1;
		}
	}
	if (!ok) {
		SSL_free(ssl);
		return NULL;
	}
	return ssl;
}

int derp_tls_meta(const SSL *ssl, struct key *server_public)
{
	STACK_OF(X509) *chain;
	int i;

	if (SSL_version(ssl) < TLS1_3_VERSION)
		return -ENOENT;
	chain = SSL_get_peer_cert_chain(ssl);
	for (i = 0; i < sk_X509_num(chain); i++) {
		const X509 *cert = sk_X509_value(chain, i);
		uint64_t serial = 0;
		size_t len = 0;
		const char *cn = common_name(cert, &len);

		if (cn &&
		    ASN1_INTEGER_get_uint64(&serial,
					    X509_get0_serialNumber(cert)) &&
		    !derp_meta_parse(cn, len, serial, server_public))
			return 0;
	}
	return -ENOENT;
}
