// SPDX-License-Identifier: GPL-2.0
#include "relay/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "lib/addr.h"
#include "lib/file.h"
#include "lib/ktls.h"
#include "lib/log.h"
#include "lib/tlsrecord.h"
#include "lib/util.h"
#include "proto/derp.h"
#include "relay/server.h"

#define DAY_SECONDS 86400L
#define META_DAYS 30
#define SELF_DAYS 365
#define WARN_DAYS 14L
static const char *tls_error(void)
{
	unsigned long e = ERR_get_error();
	const char *text = e ? ERR_reason_error_string(e) : NULL;

	ERR_clear_error();
	return text ? text : "unknown error";
}

static EVP_PKEY *make_key(int type)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_id(type, NULL);
	EVP_PKEY *k = NULL;

	if (c && EVP_PKEY_keygen_init(c) > 0 &&
	    (type != EVP_PKEY_EC || EVP_PKEY_CTX_set_ec_paramgen_curve_nid(
					    c, NID_X9_62_prime256v1) > 0))
		EVP_PKEY_keygen(c, &k);
	EVP_PKEY_CTX_free(c);
	return k;
}

static bool add_extension(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	bool ok = e && X509_add_ext(x, e, -1);

	X509_EXTENSION_free(e);
	return ok;
}

/* Signed by its own key, valid from a day or @days ago; NULL: no memory. */
static X509 *make_cert(EVP_PKEY *key, const char *cn, const char *alt,
		       const ASN1_INTEGER *serial, long from_days, long days)
{
	X509 *x = X509_new();
	X509_NAME *name;

	if (!x)
		return NULL;
	name = X509_get_subject_name(x);
	if (X509_set_version(x, X509_VERSION_3) &&
	    X509_set_serialNumber(x, (ASN1_INTEGER *)serial) &&
	    X509_gmtime_adj(X509_getm_notBefore(x), -from_days * DAY_SECONDS) &&
	    X509_gmtime_adj(X509_getm_notAfter(x), days * DAY_SECONDS) &&
	    /* Not as MBSTRING: that refuses more than 64 characters. */
	    X509_NAME_add_entry_by_txt(name, "CN", V_ASN1_UTF8STRING,
				       (const uint8_t *)cn, (int)strlen(cn),
				       -1, 0) &&
	    X509_set_issuer_name(x, name) && X509_set_pubkey(x, key) &&
	    add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
	    (!alt || add_extension(x, NID_subject_alt_name, alt)) &&
	    X509_sign(x, key, EVP_PKEY_id(key) == EVP_PKEY_ED25519 ?
				      NULL :
				      EVP_sha256()))
		return x;
	X509_free(x);
	return NULL;
}

static X509 *make_meta(const struct key *derp_public)
{
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	EVP_PKEY *key = make_key(EVP_PKEY_ED25519);
	char cn[DERP_META_CN_LEN + 1];
	X509 *x = NULL;

	derp_meta_format(cn, derp_public);
	if (serial && key && ASN1_INTEGER_set(serial, DERP_VERSION))
		x = make_cert(key, cn, NULL, serial, META_DAYS, META_DAYS);
	EVP_PKEY_free(key);
	ASN1_INTEGER_free(serial);
	return x;
}

static int write_pem(const char *path, BIO *pem)
{
	char *data;
	long n = BIO_get_mem_data(pem, &data);
	int err = file_write(path, data, (size_t)n);

	if (err)
		log_error("cannot write %s: %s", path, strerror(-err));
	return err;
}

static int make_self_signed(const char *crt, const char *key_path,
			    const char *host)
{
	BIO *cert_pem = BIO_new(BIO_s_mem()), *key_pem = BIO_new(BIO_s_secmem());
	ASN1_INTEGER *serial = ASN1_INTEGER_new();
	EVP_PKEY *key = make_key(EVP_PKEY_EC);
	char alt[300];
	struct ip_addr ip;
	uint64_t random;
	X509 *x = NULL;
	int err = -ENOMEM;

	snprintf(alt, sizeof(alt), "%s:%s", ip_parse(&ip, host) ? "DNS" : "IP",
		 host);
	if (serial && key && cert_pem && key_pem &&
	    RAND_bytes((uint8_t *)&random, sizeof(random)) > 0 &&
	    ASN1_INTEGER_set_uint64(serial, random >> 1))
		x = make_cert(key, host, alt, serial, 1, SELF_DAYS);
	if (x && PEM_write_bio_X509(cert_pem, x) &&
	    PEM_write_bio_PrivateKey(key_pem, key, NULL, NULL, 0, NULL, NULL))
		err = write_pem(key_path, key_pem);
	else
		log_error("cannot make a certificate for '%s': %s", host,
			  tls_error());
	if (!err)
		err = write_pem(crt, cert_pem);
	if (!err)
		log_info("made a self-signed certificate, %s, for %d days", crt,
			 SELF_DAYS);
	X509_free(x);
	EVP_PKEY_free(key);
	ASN1_INTEGER_free(serial);
	BIO_free(cert_pem);
	BIO_free(key_pem);
	return err;
}

/* Whoever asks for another name is at the wrong door; an IP has no name. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	const char *host = arg;

	if (name && !strcasecmp(name, host))
		return SSL_TLSEXT_ERR_OK;
	*alert = SSL_AD_UNRECOGNIZED_NAME;
	return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static SSL_CTX *context(bool ktls)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (!ctx)
		return NULL;
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
					 SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_num_tickets(ctx, 0);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
	tls_secrets_enable(ctx);
	if (ktls && !ktls_available())
		log_warn("--ktls: this kernel has no TLS (modprobe tls); the "
			 "relay encrypts by itself");
	return ctx;
}

static void warn_if_old(const SSL_CTX *ctx, const char *crt)
{
	time_t soon = time(NULL) + WARN_DAYS * DAY_SECONDS;
	const ASN1_TIME *end =
		X509_get0_notAfter(SSL_CTX_get0_certificate(ctx));

	if (X509_cmp_time(end, &soon) < 0)
		log_warn("%s ends in less than %ld days: renew it, or, if it "
			 "is self-signed, remove it with its key; then SIGHUP",
			 crt, WARN_DAYS);
}

SSL_CTX *relayd_tls_load(const char *dir, const char *host,
			 const struct key *derp_public, bool ktls)
{
	char crt[PATH_MAX], key[PATH_MAX];
	struct ip_addr ip;
	SSL_CTX *ctx;
	X509 *meta;

	if (strchr(host, '/') || strlen(host) > 253 ||
	    (size_t)snprintf(crt, sizeof(crt), "%s/%s.crt", dir, host) >=
		    sizeof(crt) ||
	    (size_t)snprintf(key, sizeof(key), "%s/%s.key", dir, host) >=
		    sizeof(key)) {
		log_error("'%s' is no host name for a certificate", host);
		return NULL;
	}
	if (access(crt, F_OK) && access(key, F_OK) &&
	    make_self_signed(crt, key, host))
		return NULL;
	ctx = context(ktls);
	meta = make_meta(derp_public);
	if (!ctx || !meta) {
		log_error("TLS does not start: %s", tls_error());
	} else if (SSL_CTX_use_certificate_chain_file(ctx, crt) != 1) {
		log_error("%s: %s; it must hold the certificate of '%s' in PEM",
			  crt, tls_error(), host);
	} else if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) !=
		   1) {
		log_error("%s: %s; it must hold the key of %s in PEM", key,
			  tls_error(), crt);
	} else if (SSL_CTX_add_extra_chain_cert(ctx, meta) != 1) {
		log_error("TLS does not start: %s", tls_error());
	} else {
		if (ip_parse(&ip, host)) {
			SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
			SSL_CTX_set_tlsext_servername_arg(ctx, (void *)host);
		}
		warn_if_old(ctx, crt);
		return ctx;
	}
	X509_free(meta);
	SSL_CTX_free(ctx);
	return NULL;
}

void relayd_tls_pin(const SSL_CTX *ctx, char out[RELAYD_PIN_LEN + 1])
{
	char text[KEY_TEXT_MAX];
	unsigned int len = 0;
	struct key hash;

	memset(&hash, 0, sizeof(hash));
	X509_digest(SSL_CTX_get0_certificate(ctx), EVP_sha256(), hash.b, &len);
	key_format(text, "sha256-raw:", &hash);
	memcpy(out, text, RELAYD_PIN_LEN + 1);
}

SSL *relayd_tls_session(struct relayd *server)
{
	SSL_CTX *ctx;
	SSL *ssl;

	pthread_mutex_lock(&server->lock);
	ctx = server->tls;
	SSL_CTX_up_ref(ctx);
	pthread_mutex_unlock(&server->lock);
	ssl = SSL_new(ctx);
	SSL_CTX_free(ctx);
	return ssl;
}
