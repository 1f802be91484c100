// SPDX-License-Identifier: GPL-2.0
#include "coord/oidc_token.h"

#include <errno.h>
#include <json.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <sodium.h>
#include <string.h>

#include "lib/json.h"
#include "lib/util.h"

#define SKEW_S 60
#define RSA_BITS_MIN 2048
#define RSA_BYTES_MAX 1024
#define P256_LEN 32

/* A malloced buffer with a NUL behind it, or NULL. */
static uint8_t *unbase64(const char *text, size_t n, size_t *len)
{
	uint8_t *out = xmalloc(n + 1);

	if (sodium_base642bin(out, n, text, n, NULL, len, NULL,
			      sodium_base64_VARIANT_URLSAFE_NO_PADDING)) {
		free(out);
		return NULL;
	}
	out[*len] = '\0';
	return out;
}

static struct json_object *part(const char *text, size_t n)
{
	size_t len;
	_cleanup_free_ uint8_t *json = unbase64(text, n, &len);

	return json ? json_parse((const char *)json, len) : NULL;
}

static const char *text_of(struct json_object *o, const char *name)
{
	struct json_object *v = json_member(o, name);

	return v ? json_text(v) : NULL;
}

static bool member_is(struct json_object *o, const char *name, const char *want)
{
	const char *have = text_of(o, name);

	return have && !strcmp(have, want);
}

static uint8_t *member_bytes(struct json_object *o, const char *name,
			     size_t *len)
{
	const char *text = text_of(o, name);

	return text ? unbase64(text, strlen(text), len) : NULL;
}

static EVP_PKEY *make_key(const char *type, OSSL_PARAM_BLD *build)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
	OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
	EVP_PKEY *key = NULL;

	if (!ctx || !params || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	OSSL_PARAM_free(params);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

static EVP_PKEY *rsa_key(struct json_object *jwk)
{
	size_t n_len = 0, e_len = 0;
	_cleanup_free_ uint8_t *n = member_bytes(jwk, "n", &n_len);
	_cleanup_free_ uint8_t *e = member_bytes(jwk, "e", &e_len);
	OSSL_PARAM_BLD *build;
	EVP_PKEY *key = NULL;
	BIGNUM *bn, *be;

	if (!n || !e || n_len > RSA_BYTES_MAX || e_len > 8)
		return NULL;
	build = OSSL_PARAM_BLD_new();
	bn = BN_bin2bn(n, (int)n_len, NULL);
	be = BN_bin2bn(e, (int)e_len, NULL);
	if (BN_num_bits(bn) >= RSA_BITS_MIN &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn) &&
	    OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, be))
		key = make_key("RSA", build);
	BN_free(bn);
	BN_free(be);
	OSSL_PARAM_BLD_free(build);
	return key;
}

static EVP_PKEY *ec_key(struct json_object *jwk)
{
	size_t x_len = 0, y_len = 0;
	_cleanup_free_ uint8_t *x = member_bytes(jwk, "x", &x_len);
	_cleanup_free_ uint8_t *y = member_bytes(jwk, "y", &y_len);
	uint8_t point[1 + 2 * P256_LEN] = { 4 };
	OSSL_PARAM_BLD *build;
	EVP_PKEY *key = NULL;

	if (!x || !y || x_len != P256_LEN || y_len != P256_LEN ||
	    !member_is(jwk, "crv", "P-256"))
		return NULL;
	memcpy(point + 1, x, P256_LEN);
	memcpy(point + 1 + P256_LEN, y, P256_LEN);
	build = OSSL_PARAM_BLD_new();
	if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME,
					    "prime256v1", 0) &&
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY,
					     point, sizeof(point)))
		key = make_key("EC", build);
	OSSL_PARAM_BLD_free(build);
	return key;
}

/* The JWS form of an ECDSA signature is r and s; OpenSSL wants DER. */
static uint8_t *ec_signature(const uint8_t *raw, size_t n, size_t *len)
{
	uint8_t *der = NULL;
	ECDSA_SIG *sig;
	int size;

	if (n != 2 * P256_LEN)
		return NULL;
	sig = ECDSA_SIG_new();
	ECDSA_SIG_set0(sig, BN_bin2bn(raw, P256_LEN, NULL),
		       BN_bin2bn(raw + P256_LEN, P256_LEN, NULL));
	size = i2d_ECDSA_SIG(sig, &der);
	ECDSA_SIG_free(sig);
	*len = size > 0 ? (size_t)size : 0;
	return size > 0 ? der : NULL;
}

static bool verify(EVP_PKEY *key, const uint8_t *sig, size_t sig_len,
		   const char *text, size_t len)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool good;

	good = EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key) == 1 &&
	       EVP_DigestVerify(ctx, sig, sig_len, (const uint8_t *)text,
				len) == 1;
	EVP_MD_CTX_free(ctx);
	return good;
}

/* The first key of the set that can have made this signature. */
static struct json_object *find_key(struct json_object *jwks, const char *kid,
				    const char *kty)
{
	struct json_object *keys = json_member(jwks, "keys"), *k;
	size_t i;

	if (!json_object_is_type(keys, json_type_array))
		return NULL;
	for (i = 0; i < json_object_array_length(keys); i++) {
		k = json_object_array_get_idx(keys, i);
		if (!member_is(k, "kty", kty) || member_is(k, "use", "enc") ||
		    (kid && !member_is(k, "kid", kid)))
			continue;
		return k;
	}
	return NULL;
}

static int check_signature(struct json_object *header, struct json_object *jwks,
			   const char *text, size_t len, const char *signature,
			   const char **why)
{
	bool rsa = member_is(header, "alg", "RS256");
	size_t sig_len = 0, der_len = 0;
	_cleanup_free_ uint8_t *sig = NULL;
	struct json_object *jwk;
	uint8_t *der = NULL;
	EVP_PKEY *key;
	bool good;

	if (!rsa && !member_is(header, "alg", "ES256")) {
		*why = "the ID token is signed with neither RS256 nor ES256";
		return -EBADMSG;
	}
	if (json_member(header, "crit")) {
		*why = "the ID token has critical extensions";
		return -EBADMSG;
	}
	jwk = find_key(jwks, text_of(header, "kid"), rsa ? "RSA" : "EC");
	if (!jwk) {
		*why = "the provider has no key for the ID token";
		return -ENOKEY;
	}
	key = rsa ? rsa_key(jwk) : ec_key(jwk);
	if (!key) {
		*why = "the provider's key is unusable";
		return -EBADMSG;
	}
	sig = unbase64(signature, strlen(signature), &sig_len);
	if (sig && !rsa)
		der = ec_signature(sig, sig_len, &der_len);
	if (rsa)
		good = sig && verify(key, sig, sig_len, text, len);
	else
		good = der && verify(key, der, der_len, text, len);
	OPENSSL_free(der);
	EVP_PKEY_free(key);
	ERR_clear_error(); /* or TLS takes a bad signature for its own error */
	*why = "the ID token's signature is wrong";
	return good ? 0 : -EBADMSG;
}

static int number(struct json_object *o, const char *name, int64_t *out)
{
	struct json_object *v = json_member(o, name);

	/* Some write a fraction of a second. */
	if (json_object_is_type(v, json_type_double)) {
		*out = json_object_get_int64(v);
		return 0;
	}
	return v ? json_get_int64(v, out, NULL) : -ENOENT;
}

/* A string, or a list of strings. */
static bool audience_has(struct json_object *claims, const char *client_id,
			 bool *many)
{
	struct json_object *aud = json_member(claims, "aud");
	size_t i;

	*many = false;
	if (!json_object_is_type(aud, json_type_array))
		return member_is(claims, "aud", client_id);
	*many = json_object_array_length(aud) > 1;
	for (i = 0; i < json_object_array_length(aud); i++) {
		const char *s = json_text(json_object_array_get_idx(aud, i));

		if (s && !strcmp(s, client_id))
			return true;
	}
	return false;
}

static const char *check_claims(struct json_object *claims,
				const struct oidc_expect *e)
{
	const char *nonce = text_of(claims, "nonce");
	const char *subject = text_of(claims, "sub");
	int64_t expires = 0, issued = 0;
	bool many;

	if (!member_is(claims, "iss", e->issuer))
		return "the ID token is another issuer's";
	if (!audience_has(claims, e->client_id, &many))
		return "the ID token is for another client";
	if ((many || json_member(claims, "azp")) &&
	    !member_is(claims, "azp", e->client_id))
		return "the ID token was made for another party";
	if (!subject || !*subject || strlen(subject) > 255)
		return "the ID token names nobody";
	if (number(claims, "exp", &expires) || expires + SKEW_S <= e->now)
		return "the ID token has expired: are the clocks right?";
	if (number(claims, "iat", &issued) || issued - SKEW_S > e->now)
		return "the ID token is from the future: are the clocks right?";
	if (!nonce || strlen(nonce) != strlen(e->nonce) ||
	    sodium_memcmp(nonce, e->nonce, strlen(nonce)) != 0)
		return "the ID token belongs to another login";
	return NULL;
}

int oidc_token_verify(const char *token, struct json_object *jwks,
		      const struct oidc_expect *e, struct json_object **claims,
		      const char **why)
{
	const char *dot = strchr(token, '.');
	const char *dot2 = dot ? strchr(dot + 1, '.') : NULL;
	struct json_object *header, *body;
	int err;

	*why = "the ID token is malformed";
	if (!dot2)
		return -EBADMSG;
	header = part(token, (size_t)(dot - token));
	if (!json_object_is_type(header, json_type_object)) {
		json_object_put(header);
		return -EBADMSG;
	}
	err = check_signature(header, jwks, token, (size_t)(dot2 - token),
			      dot2 + 1, why);
	json_object_put(header);
	if (err)
		return err;
	body = part(dot + 1, (size_t)(dot2 - dot) - 1);
	*why = "the ID token is malformed";
	if (!json_object_is_type(body, json_type_object)) {
		json_object_put(body);
		return -EBADMSG;
	}
	*why = check_claims(body, e);
	if (*why) {
		json_object_put(body);
		return -EPERM;
	}
	*claims = body;
	return 0;
}
