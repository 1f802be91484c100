// SPDX-License-Identifier: GPL-2.0
/*
 * Logins by OpenID Connect against a strict provider in this process: what it
 * is asked is checked, what it answers is right or wrong in every way. The
 * real one is in interop/oidc.t.
 */
#include <json.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <sodium.h>
#include <time.h>

#include "coord-world.h"
#include "coord/oidc.h"
#include "coord/oidc_claims.h"
#include "coord/oidc_token.h"
#include "lib/json.h"

#define URL_SAFE sodium_base64_VARIANT_URLSAFE_NO_PADDING

/* ── tokens ─────────────────────────────────────────────────────────────── */

static EVP_PKEY *rsa, *rsa2, *ec;

static void b64(char *out, size_t cap, const void *in, size_t n)
{
	sodium_bin2base64(out, cap, in, n, URL_SAFE);
}

static void add_rsa(struct json_object *list, EVP_PKEY *key, const char *kid)
{
	struct json_object *o = json_object_new_object();
	uint8_t raw[1024];
	BIGNUM *n = NULL;
	char text[2048];
	int len;

	EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n);
	len = BN_bn2bin(n, raw);
	BN_free(n);
	b64(text, sizeof(text), raw, (size_t)len);
	json_object_object_add(o, "kty", json_object_new_string("RSA"));
	json_object_object_add(o, "kid", json_object_new_string(kid));
	json_object_object_add(o, "n", json_object_new_string(text));
	json_object_object_add(o, "e", json_object_new_string("AQAB"));
	json_object_array_add(list, o);
}

static void add_ec(struct json_object *list, EVP_PKEY *key, const char *kid)
{
	struct json_object *o = json_object_new_object();
	uint8_t point[65];
	char text[64];
	size_t n = 0;

	EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point,
					sizeof(point), &n);
	json_object_object_add(o, "kty", json_object_new_string("EC"));
	json_object_object_add(o, "crv", json_object_new_string("P-256"));
	json_object_object_add(o, "kid", json_object_new_string(kid));
	b64(text, sizeof(text), point + 1, 32);
	json_object_object_add(o, "x", json_object_new_string(text));
	b64(text, sizeof(text), point + 33, 32);
	json_object_object_add(o, "y", json_object_new_string(text));
	json_object_array_add(list, o);
}

static struct json_object *key_set(void)
{
	struct json_object *o = json_object_new_object();
	struct json_object *list = json_object_new_array();

	add_rsa(list, rsa, "r1");
	add_ec(list, ec, "e1");
	json_object_object_add(o, "keys", list);
	return o;
}

static char *sign(const char *header, const char *claims, EVP_PKEY *key)
{
	size_t n = strlen(header) + strlen(claims), sig_len = 1024, len;
	char *out = xmalloc(2 * n + 2048);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[1024], raw[64];

	b64(out, 2 * n, header, strlen(header));
	strcat(out, ".");
	len = strlen(out);
	b64(out + len, 2 * n, claims, strlen(claims));
	EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key);
	EVP_DigestSign(ctx, sig, &sig_len, (uint8_t *)out, strlen(out));
	EVP_MD_CTX_free(ctx);
	if (EVP_PKEY_is_a(key, "EC")) {
		const uint8_t *p = sig;
		ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)sig_len);

		BN_bn2binpad(ECDSA_SIG_get0_r(s), raw, 32);
		BN_bn2binpad(ECDSA_SIG_get0_s(s), raw + 32, 32);
		ECDSA_SIG_free(s);
		memcpy(sig, raw, sig_len = 64);
	}
	strcat(out, ".");
	len = strlen(out);
	b64(out + len, 2000, sig, sig_len);
	return out;
}

static int check(char *token, const char **why)
{
	const struct oidc_expect e = { "https://i", "me", "n", 1000000 };
	struct json_object *keys = key_set(), *claims = NULL;
	int err = oidc_token_verify(token, keys, &e, &claims, why);

	if (!err != !!claims)
		err = -EDOM;
	json_object_put(claims);
	json_object_put(keys);
	free(token);
	return err;
}

#define CLAIMS(iss, aud, more)                                         \
	"{\"iss\":\"" iss "\",\"aud\":" aud ",\"sub\":\"s\",\"nonce\":" \
	"\"n\",\"iat\":999990,\"exp\":1000100" more "}"
#define GOOD CLAIMS("https://i", "\"me\"", "")
#define RS "{\"alg\":\"RS256\",\"kid\":\"r1\"}"
#define ES "{\"alg\":\"ES256\",\"kid\":\"e1\"}"

static void refused(const char *what, char *token, int err)
{
	const char *why;
	int got = check(token, &why);

	tap_ok(got == err, "refused: %s (%s)", what, why);
}

static void test_tokens(void)
{
	static const struct {
		const char *what, *claims;
		int err;
	} cases[] = {
		{ "one audience of one", CLAIMS("https://i", "[\"me\"]", ""), 0 },
		{ "of two, made for us",
		  CLAIMS("https://i", "[\"you\",\"me\"]", ",\"azp\":\"me\""), 0 },
		{ "of two, made for another",
		  CLAIMS("https://i", "[\"you\",\"me\"]", ",\"azp\":\"you\""),
		  -EPERM },
		{ "of two, made for nobody",
		  CLAIMS("https://i", "[\"you\",\"me\"]", ""), -EPERM },
		{ "another audience", CLAIMS("https://i", "\"you\"", ""),
		  -EPERM },
		{ "no audience", CLAIMS("https://i", "[]", ""), -EPERM },
		{ "another issuer", CLAIMS("https://i/", "\"me\"", ""), -EPERM },
		{ "expired", "{\"iss\":\"https://i\",\"aud\":\"me\",\"sub\":\"s\","
			     "\"nonce\":\"n\",\"iat\":1,\"exp\":999940}",
		  -EPERM },
		{ "from the future",
		  "{\"iss\":\"https://i\",\"aud\":\"me\",\"sub\":\"s\","
		  "\"nonce\":\"n\",\"iat\":1000061,\"exp\":1000100}", -EPERM },
		{ "without an end", "{\"iss\":\"https://i\",\"aud\":\"me\","
				    "\"sub\":\"s\",\"nonce\":\"n\",\"iat\":1}",
		  -EPERM },
		{ "another nonce", "{\"iss\":\"https://i\",\"aud\":\"me\","
				   "\"sub\":\"s\",\"nonce\":\"m\",\"iat\":1,"
				   "\"exp\":1000100}", -EPERM },
		{ "no nonce", "{\"iss\":\"https://i\",\"aud\":\"me\","
			      "\"sub\":\"s\",\"iat\":1,\"exp\":1000100}",
		  -EPERM },
		{ "nobody", "{\"iss\":\"https://i\",\"aud\":\"me\",\"sub\":\"\","
			    "\"nonce\":\"n\",\"iat\":1,\"exp\":1000100}",
		  -EPERM },
		{ "no object", "[]", -EBADMSG },
	};
	const char *why;
	size_t i, n;
	char *t;
	bool good = true;

	tap_ok(!check(sign(RS, GOOD, rsa), &why), "RS256");
	tap_ok(!check(sign(ES, GOOD, ec), &why), "ES256");
	tap_ok(!check(sign("{\"alg\":\"RS256\"}", GOOD, rsa), &why),
	       "a token that names no key");
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		tap_ok(check(sign(RS, cases[i].claims, rsa), &why) ==
			       cases[i].err,
		       "%s: %s", cases[i].err ? "refused" : "taken",
		       cases[i].what);
	refused("another's signature", sign(RS, GOOD, rsa2), -EBADMSG);
	refused("an unknown key",
		sign("{\"alg\":\"RS256\",\"kid\":\"r2\"}", GOOD, rsa2),
		-ENOKEY);
	refused("a key of another kind",
		sign("{\"alg\":\"RS256\",\"kid\":\"e1\"}", GOOD, rsa),
		-ENOKEY);
	refused("no signature", sign("{\"alg\":\"none\"}", GOOD, rsa),
		-EBADMSG);
	refused("HS256 with a public key",
		sign("{\"alg\":\"HS256\",\"kid\":\"r1\"}", GOOD, rsa),
		-EBADMSG);
	refused("no algorithm", sign("{\"kid\":\"r1\"}", GOOD, rsa),
		-EBADMSG);
	refused("critical extensions",
		sign("{\"alg\":\"RS256\",\"crit\":[\"b64\"]}", GOOD, rsa),
		-EBADMSG);
	t = sign(ES, GOOD, ec);
	strchr(t, '.')[1] ^= 1;
	refused("a changed claim", t, -EBADMSG);
	t = sign(RS, GOOD, rsa);
	n = strlen(t);
	for (i = 0; i < n; i++) {
		char *cut = xstrdup(t);

		cut[i] = '\0';
		good = good && check(cut, &why) == -EBADMSG;
	}
	free(t);
	tap_ok(good, "cut at every byte");
}

static const char *refusal(const char *json, const char *domains,
			   const char *users, const char *groups)
{
	struct json_object *o = json_parse(json, strlen(json));
	const char *no = oidc_refusal(o, domains, users, groups);

	json_object_put(o);
	return no;
}

static void test_conditions(void)
{
	static const char json[] = "{\"email\":\"a@Example.com\","
				   "\"email_verified\":true,"
				   "\"groups\":[\"dev\",\"ops\"]}";

	tap_ok(!refusal("{}", NULL, NULL, NULL), "no condition");
	tap_ok(!refusal(json, "x.org, example.com", NULL, NULL) &&
		       refusal(json, "ample.com,example.co", NULL, NULL),
	       "the domain");
	tap_ok(!refusal(json, NULL, "b@x,a@example.com", NULL) &&
		       refusal(json, NULL, "aa@example.com", NULL),
	       "the address");
	tap_ok(!refusal(json, NULL, NULL, "ops,x") &&
		       refusal(json, NULL, NULL, "op,s,Ops") &&
		       refusal("{}", NULL, NULL, "ops"),
	       "a group");
	tap_ok(refusal(json, "example.com", NULL, "x") &&
		       refusal(json, "x.org", NULL, "ops"),
	       "all of them");
	tap_ok(refusal("{\"email\":\"a@example.com\"}", "example.com", NULL,
		       NULL) &&
		       !refusal("{\"email\":\"a@b\",\"email_verified\":\"true\"}",
				"b", NULL, NULL),
	       "the address is verified");
	tap_ok(refusal("{\"email_verified\":true}", "", NULL, NULL) &&
		       refusal("{\"email\":\"a@\",\"email_verified\":true}",
			       "x,,y", NULL, NULL),
	       "nothing is no domain");
}

/* ── a provider, and a browser ──────────────────────────────────────────── */

struct site {
	struct world *w; /* for its loop */
	struct http_server *coord, *provider;
	struct oidc *oidc;
	char url[64], issuer[64];
	uint16_t port;
	/* the provider's manners */
	const char *wrong_issuer, *token_error, *subject; /* NULL: as usual */
	bool new_key, no_keys;
	int configurations, key_sets, tokens, userinfos;
	/* what it was asked */
	char nonce[64], challenge[64], code[32];
	bool token_ok;
	/* what came out */
	int identified;
	char id[64], who[256];
};

static void serve_configuration(void *ctx, struct http_request *r)
{
	struct site *s = ctx;

	s->configurations++;
	http_reply_text(r, 200,
			"{\"issuer\":\"%s\",\"authorization_endpoint\":"
			"\"%s/authorize?x=y\",\"token_endpoint\":\"%s/token\","
			"\"userinfo_endpoint\":\"%s/userinfo\",\"jwks_uri\":"
			"\"%s/keys\"}",
			s->wrong_issuer ? s->wrong_issuer : s->issuer,
			s->issuer, s->issuer, s->issuer, s->issuer);
}

static void serve_keys(void *ctx, struct http_request *r)
{
	struct json_object *o = key_set();
	struct site *s = ctx;
	const char *text;

	s->key_sets++;
	if (s->new_key && s->key_sets > 1)
		add_rsa(json_object_object_get(o, "keys"), rsa2, "r2");
	text = json_object_to_json_string(o);
	if (s->no_keys)
		http_reply_text(r, 500, "no");
	else
		http_reply(r, 200, "application/json", text, strlen(text));
	json_object_put(o);
}

static bool param_is(const char *form, const char *name, const char *want)
{
	char *v = http_param(form, name);
	bool good = v && !strcmp(v, want);

	free(v);
	return good;
}

static void serve_token(void *ctx, struct http_request *r)
{
	const char *form = (const char *)r->body;
	char *verifier = http_param(form, "code_verifier");
	char redirect[128], hash64[64] = "", claims[512], *token;
	struct site *s = ctx;
	uint8_t hash[32];
	long long now = (long long)time(NULL);

	s->tokens++;
	snprintf(redirect, sizeof(redirect), "%s/oidc/callback", s->url);
	if (verifier) {
		crypto_hash_sha256(hash, (uint8_t *)verifier, strlen(verifier));
		b64(hash64, sizeof(hash64), hash, sizeof(hash));
	}
	/* base64("me:s%2Fcret") */
	s->token_ok = param_is(form, "grant_type", "authorization_code") &&
		      param_is(form, "code", s->code) &&
		      param_is(form, "redirect_uri", redirect) &&
		      !strcmp(hash64, s->challenge) &&
		      !strcmp(r->authorization, "Basic bWU6cyUyRmNyZXQ=");
	free(verifier);
	if (s->token_error) {
		http_reply_text(r, 400, "{\"error\":\"invalid_grant\","
			"\"error_description\":\"%s\"}", s->token_error);
		return;
	}
	snprintf(claims, sizeof(claims),
		 "{\"iss\":\"%s\",\"aud\":\"me\",\"sub\":\"s1\",\"nonce\":\"%s\","
		 "\"iat\":%lld,\"exp\":%lld,\"email\":\"ann@example.com\"}",
		 s->issuer, s->nonce, now, now + 60);
	token = s->new_key ? sign("{\"alg\":\"RS256\",\"kid\":\"r2\"}", claims,
				  rsa2) : sign(ES, claims, ec);
	http_reply_text(r, 200, "{\"token_type\":\"Bearer\",\"access_token\":"
				"\"at\",\"id_token\":\"%s\"}", token);
	free(token);
}

static void serve_userinfo(void *ctx, struct http_request *r)
{
	struct site *s = ctx;

	s->userinfos++;
	if (strcmp(r->authorization, "Bearer at"))
		http_reply_text(r, 401, "{}");
	else
		http_reply_text(r, 200, "{\"sub\":\"%s\",\"email_verified\":"
			"true,\"email\":\"other@x\",\"preferred_username\":"
			"\"ann\",\"name\":\"Ann <A>\"}",
			s->subject ? s->subject : "s1");
}

static const struct http_route provider_routes[] = {
	{ HTTP_PUBLIC, "GET", "/.well-known/openid-configuration",
	  serve_configuration },
	{ HTTP_PUBLIC, "GET", "/keys", serve_keys },
	{ HTTP_PUBLIC, "POST", "/token", serve_token },
	{ HTTP_PUBLIC, "GET", "/userinfo", serve_userinfo },
};

static void serve_register(void *ctx, struct http_request *r)
{
	oidc_login(((struct site *)ctx)->oidc, r, r->rest);
}

static void serve_callback(void *ctx, struct http_request *r)
{
	oidc_callback(((struct site *)ctx)->oidc, r);
}

static const struct http_route coord_routes[] = {
	{ HTTP_PUBLIC, "GET", "/register/", serve_register },
	{ HTTP_PUBLIC, "GET", OIDC_CALLBACK_PATH, serve_callback },
};

static void on_identified(void *ctx, struct http_request *r, const char *id,
			  const struct oidc_identity *who)
{
	struct site *s = ctx;

	s->identified++;
	snprintf(s->id, sizeof(s->id), "%s", id);
	snprintf(s->who, sizeof(s->who), "%s|%s|%s|%s|%s",
		 strcmp(who->issuer, s->issuer) ? "?" : "", who->subject,
		 who->email, who->username, who->display_name);
	http_reply_text(r, 200, "welcome");
}

static struct http_server *start(struct site *s, const struct http_route *routes,
				 size_t n, uint16_t *port)
{
	struct http_server_config config = {
		.noise_private = &s->w->private,
		.routes = routes,
		.n_routes = n,
		.ctx = s,
	};
	struct endpoint at = loopback(0);
	struct http_server *h = http_server_new(s->w->base, &config);

	*port = (uint16_t)http_server_listen(h, &at, HTTP_PUBLIC, false);
	return h;
}

static struct site *site_new(const char *domains)
{
	static const struct oidc_ops ops = { on_identified };
	struct site *s = xcalloc(1, sizeof(*s));
	struct oidc_config config = {
		.issuer = s->issuer,
		.client_id = "me",
		.client_secret = "s/cret",
		.server_url = s->url,
		.allowed_domains = domains,
	};
	char why[OIDC_WHY_MAX];
	uint16_t port;

	s->w = world_new(NULL);
	s->provider = start(s, provider_routes, ARRAY_SIZE(provider_routes),
			    &port);
	snprintf(s->issuer, sizeof(s->issuer), "http://127.0.0.1:%u", port);
	s->coord = start(s, coord_routes, ARRAY_SIZE(coord_routes), &s->port);
	snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%u", s->port);
	s->oidc = oidc_new(s->w->base, &config, &ops, s, why);
	return s;
}

static void site_free(struct site *s)
{
	http_server_free(s->coord);
	http_server_free(s->provider);
	oidc_free(s->oidc);
	world_free(s->w);
	free(s);
}

/* GET @path of coord with a cookie; the whole answer. */
static struct raw *browse(struct site *s, const char *path, const char *cookie)
{
	struct raw *r = raw_new(s->w, s->port);
	char text[2048];
	int n;

	n = snprintf(text, sizeof(text),
		     "GET %s HTTP/1.0\r\nCookie: a=b; %s\r\n\r\n", path, cookie);
	raw_send(r, text, (size_t)n);
	if (!UNTIL(s->w, r->eof))
		tap_ok(false, "an answer to %s", path);
	return r;
}

struct trip {
	char cookie[256], state[64], callback[256];
};

/* To the provider; what its person would see there, and the way back. */
static bool depart(struct site *s, struct trip *t, const char *id)
{
	char path[128], *location, *cookie, *v;
	struct raw *r;

	memset(t, 0, sizeof(*t));
	snprintf(path, sizeof(path), "/register/%s", id);
	r = browse(s, path, "");
	location = strstr(r->text, "Location: ");
	cookie = strstr(r->text, "Set-Cookie: ");
	if (!strncmp(r->text, "HTTP/1.1 302", 12) && location && cookie) {
		char *query = strchr(location, '?') + 1;

		snprintf(t->cookie, sizeof(t->cookie), "%.*s",
			 (int)strcspn(cookie + 12, ";"), cookie + 12);
		query[strcspn(query, "\r\n")] = '\0';
		v = http_param(query, "state");
		snprintf(t->state, sizeof(t->state), "%s", v);
		free(v);
		v = http_param(query, "nonce");
		snprintf(s->nonce, sizeof(s->nonce), "%s", v);
		free(v);
		v = http_param(query, "code_challenge");
		snprintf(s->challenge, sizeof(s->challenge), "%s", v);
		free(v);
		if (!param_is(query, "response_type", "code") ||
		    !param_is(query, "x", "y") ||
		    !param_is(query, "client_id", "me") ||
		    !param_is(query, "scope", "openid profile email") ||
		    !param_is(query, "code_challenge_method", "S256"))
			t->state[0] = '\0';
	} else {
		snprintf(t->callback, sizeof(t->callback), "%.200s", r->text);
	}
	raw_free(r);
	snprintf(s->code, sizeof(s->code), "code/%s", id);
	if (t->state[0])
		snprintf(t->callback, sizeof(t->callback),
			 OIDC_CALLBACK_PATH "?code=code%%2F%s&state=%s", id,
			 t->state);
	return t->state[0];
}

static bool comes_to(struct site *s, const char *path, const char *cookie,
		     const char *start_of, const char *says)
{
	struct raw *r = browse(s, path, cookie);
	bool good = !strncmp(r->text, start_of, strlen(start_of)) &&
		    strstr(r->text, says);

	if (!good)
		printf("# %s\n", r->text);
	raw_free(r);
	return good;
}

static void test_login(void)
{
	struct site *s = site_new("example.com");
	struct trip t, u;

	tap_ok(depart(s, &t, "abc"), "the browser is sent to the provider");
	tap_ok(s->configurations == 1 && s->key_sets == 1,
	       "whose configuration was fetched for it");
	tap_ok(comes_to(s, t.callback, t.cookie, "HTTP/1.1 200", "welcome"),
	       "and comes back");
	tap_ok(s->token_ok, "the code was exchanged with secret and verifier");
	tap_ok(s->identified == 1 && !strcmp(s->id, "abc") &&
		       !strcmp(s->who, "|s1|ann@example.com|ann|Ann <A>"),
	       "the registration has its person: %s", s->who);
	tap_ok(comes_to(s, t.callback, t.cookie, "HTTP/1.1 400", "unknown") &&
		       s->tokens == 1,
	       "only once");

	depart(s, &t, "one");
	depart(s, &u, "two");
	tap_ok(comes_to(s, u.callback, t.cookie, "HTTP/1.1 403", "browser") &&
		       comes_to(s, u.callback, "", "HTTP/1.1 403", "browser") &&
		       s->tokens == 1,
	       "another browser's login is not taken");
	tap_ok(comes_to(s, u.callback, u.cookie, "HTTP/1.1 200", "welcome") &&
		       !strcmp(s->id, "two"),
	       "each registration has its own");
	snprintf(t.callback, sizeof(t.callback), OIDC_CALLBACK_PATH
		 "?error=access_denied&error_description=%%3Cb%%3Eno&state=%s",
		 t.state);
	tap_ok(comes_to(s, t.callback, t.cookie, "HTTP/1.1 403",
			"access_denied: &#60;b&#62;no"),
	       "the provider's refusal is shown, and is only text");
	tap_ok(comes_to(s, OIDC_CALLBACK_PATH, "", "HTTP/1.1 400", "unknown") &&
		       comes_to(s, OIDC_CALLBACK_PATH "?state=x&code=y", "",
				"HTTP/1.1 400", "unknown"),
	       "an invented state");
	tap_ok(s->configurations == 1, "all with one look at the provider");
	site_free(s);
}

static void test_provider(void)
{
	struct site *s = site_new("example.com");
	struct trip t;

	s->wrong_issuer = "http://127.0.0.1:1";
	tap_ok(!depart(s, &t, "a") && strstr(t.callback, "HTTP/1.1 502"),
	       "a provider that is another's");
	s->wrong_issuer = NULL;
	tap_ok(!depart(s, &t, "a") && s->configurations == 1,
	       "is not asked again at once");
	site_free(s);

	s = site_new("example.com");
	s->no_keys = true;
	tap_ok(!depart(s, &t, "a") && strstr(t.callback, "HTTP/1.1 502"),
	       "a provider without keys");
	site_free(s);

	s = site_new("other.org");
	depart(s, &t, "a");
	tap_ok(comes_to(s, t.callback, t.cookie, "HTTP/1.1 403", "domain") &&
		       !s->identified,
	       "who is not admitted is told why");
	s->token_error = "expired";
	depart(s, &t, "a");
	tap_ok(comes_to(s, t.callback, t.cookie, "HTTP/1.1 502",
			"invalid_grant (expired)"),
	       "a code that is not taken");
	s->token_error = NULL;
	s->subject = "s2";
	depart(s, &t, "a");
	tap_ok(comes_to(s, t.callback, t.cookie, "HTTP/1.1 502", "two people"),
	       "userinfo of another person");
	s->subject = NULL;
	depart(s, &t, "a");
	strcpy(s->nonce, "else");
	tap_ok(comes_to(s, t.callback, t.cookie, "HTTP/1.1 502",
			"another login"),
	       "an ID token of another login");
	tap_ok(!s->identified, "none of them is anybody");
	site_free(s);
}

/* The browser leaves while we wait for the provider. */
static void test_gone(void)
{
	struct site *s = site_new(NULL);
	struct raw *r = raw_new(s->w, s->port);
	struct trip t;

	raw_send(r, "GET /register/a HTTP/1.0\r\n\r\n", 28);
	UNTIL(s->w, s->configurations);
	raw_free(r);
	tap_ok(UNTIL(s->w, s->key_sets) && depart(s, &t, "b"),
	       "a browser that leaves is no harm");
	site_free(s);
	/* And one that is still there when all ends. */
	s = site_new(NULL);
	r = raw_new(s->w, s->port);
	raw_send(r, "GET /register/a HTTP/1.0\r\n\r\n", 28);
	UNTIL(s->w, s->configurations);
	http_server_free(s->coord);
	s->coord = NULL;
	raw_free(r);
	site_free(s);
	tap_ok(true, "nor one that stays to the end");
}

static void test_config(void)
{
	static const struct oidc_ops ops = { on_identified };
	struct event_base *base = event_base_new();
	struct oidc_config c = { .client_id = "me", .server_url = "https://c" };
	char why[OIDC_WHY_MAX];
	struct oidc *o;

	c.issuer = "http://192.0.2.1";
	tap_ok(!oidc_new(base, &c, &ops, NULL, why), "refused: %s", why);
	c.issuer = "https://192.0.2.1";
	c.scope = "profile openidx";
	tap_ok(!oidc_new(base, &c, &ops, NULL, why), "refused: %s", why);
	c.scope = "profile openid";
	c.client_id = "";
	tap_ok(!oidc_new(base, &c, &ops, NULL, why), "refused: %s", why);
	c.client_id = "me";
	o = oidc_new(base, &c, &ops, NULL, why);
	tap_ok(o, "taken");
	oidc_free(o);
	event_base_free(base);
}

int main(void)
{
	signal(SIGPIPE, SIG_IGN);
	log_init("test", false);
	rsa = EVP_RSA_gen(2048);
	rsa2 = EVP_RSA_gen(2048);
	ec = EVP_EC_gen("P-256");
	test_tokens();
	test_conditions();
	test_login();
	test_provider();
	test_gone();
	test_config();
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(rsa2);
	EVP_PKEY_free(ec);
	return tap_done();
}
