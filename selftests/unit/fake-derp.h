/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_FAKE_DERP_H
#define UNIT_FAKE_DERP_H

/*
 * A DERP server in the test's own event loop, with certificates made on the
 * spot. It logs clients in, keeps what they sent, and says what it is told.
 */

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <string.h>
#include <utlist.h>

#include "engine/netmap.h"
#include "lib/util.h"
#include "loop.h"
#include "proto/derp.h"

#define FAKE_NAME "derp.test"

struct fake_derp;

struct fake_conn {
	struct fake_derp *server;
	struct bufferevent *bev;
	struct key client;
	bool fast, upgraded, logged_in;
	int preferred; /* -1: not told */
	char ideal[64];
	struct fake_conn *prev, *next;
};

struct fake_derp {
	struct event_base *base;
	struct evconnlistener *listener;
	SSL_CTX *tls; /* NULL: plain */
	X509 *cert;
	uint16_t port;
	struct key private_key, public_key;
	/* Before fake_start(): the certificate's end, what to send with it. */
	long expires; /* seconds from now; 0: an hour */
	X509 *extra; /* owned by the server then */
	const char *name; /* NULL: FAKE_NAME */
	/* How it behaves. */
	bool silent; /* accepts and says nothing */
	bool reject; /* closes after ClientInfo */
	bool mute_pings;
	const char *status; /* instead of 101 */
	size_t chunk; /* writes this much at a time */
	struct derp_server_info info;
	/* What it saw. */
	struct fake_conn *conns;
	unsigned int logins, latency_checks;
	unsigned int packets, pongs;
	struct key last_dst;
	uint8_t first[64], last[64]; /* starts of the packets' data */
	size_t last_len;
	uint64_t bytes;
	uint8_t pong[DERP_PING_LEN];
};

static EVP_PKEY *fake_key(int type)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_id(type, NULL);
	EVP_PKEY *k = NULL;

	EVP_PKEY_keygen_init(c);
	if (type == EVP_PKEY_EC)
		EVP_PKEY_CTX_set_ec_paramgen_curve_nid(c,
						       NID_X9_62_prime256v1);
	EVP_PKEY_keygen(c, &k);
	EVP_PKEY_CTX_free(c);
	return k;
}

/*
 * Self-signed, valid from @from to @to seconds from now. @serial 0 stands for
 * what an authority gives: 20 bytes.
 */
static X509 *fake_cert(EVP_PKEY *key, const char *cn, const char *alt,
		       long serial, long from, long to)
{
	X509 *x = X509_new();
	X509_NAME *name;
	X509_EXTENSION *e;

	X509_set_version(x, 2);
	if (serial)
		ASN1_INTEGER_set(X509_get_serialNumber(x), serial);
	else
		ASN1_STRING_set(X509_get_serialNumber(x),
				"20 bytes, 160 bits..", 20);
	X509_gmtime_adj(X509_getm_notBefore(x), from);
	X509_gmtime_adj(X509_getm_notAfter(x), to);
	name = X509_get_subject_name(x);
	/* Not as MBSTRING: that refuses more than 64 characters. */
	X509_NAME_add_entry_by_txt(name, "CN", V_ASN1_UTF8STRING,
				   (const uint8_t *)cn, (int)strlen(cn), -1,
				   0);
	X509_set_issuer_name(x, name);
	if (alt) {
		e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt);
		X509_add_ext(x, e, -1);
		X509_EXTENSION_free(e);
	}
	X509_set_pubkey(x, key);
	X509_sign(x, key,
		  EVP_PKEY_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256());
	return x;
}

static void fake_flush(struct fake_conn *c, struct evbuffer *out)
{
	size_t n = evbuffer_get_length(out);
	size_t chunk = c->server->chunk ? c->server->chunk : n;

	while (evbuffer_get_length(out)) {
		evbuffer_remove_buffer(out, bufferevent_get_output(c->bev),
				       chunk);
		bufferevent_flush(c->bev, EV_WRITE, BEV_FLUSH);
		if (c->server->chunk)
			event_base_loop(c->server->base, EVLOOP_NONBLOCK);
	}
	evbuffer_free(out);
}

static void fake_send(struct fake_conn *c, const struct derp_frame *f)
{
	struct evbuffer *out = evbuffer_new();
	uint8_t head[DERP_HEAD_MAX];
	ssize_t n = derp_head(f, head);

	if (n < 0)
		abort();
	evbuffer_add(out, head, (size_t)n);
	if (f->data_len)
		evbuffer_add(out, f->data, f->data_len);
	fake_flush(c, out);
}

static void fake_close(struct fake_conn *c)
{
	DL_DELETE(c->server->conns, c);
	bufferevent_free(c->bev);
	free(c);
}

static void fake_request(struct fake_conn *c, const char *head)
{
	struct fake_derp *s = c->server;
	struct derp_frame f = { .type = DERP_SERVER_KEY,
				.key = s->public_key };
	const char *ideal = strstr(head, "\r\nIdeal-Node: ");

	if (!strncmp(head, "GET /derp/latency-check ", 24)) {
		s->latency_checks++;
		evbuffer_add_printf(bufferevent_get_output(c->bev),
				    "HTTP/1.1 %s\r\nContent-Length: 0\r\n\r\n",
				    s->status ? s->status : "200 OK");
		return;
	}
	c->upgraded = true;
	c->fast = strstr(head, "\r\nDerp-Fast-Start: 1\r\n");
	if (ideal)
		sscanf(ideal + 14, "%63[^\r]", c->ideal);
	if (s->status)
		evbuffer_add_printf(bufferevent_get_output(c->bev),
				    "HTTP/1.1 %s\r\n\r\n", s->status);
	else if (!c->fast)
		evbuffer_add_printf(bufferevent_get_output(c->bev),
				    "HTTP/1.1 101 Switching Protocols\r\n"
				    "Upgrade: DERP\r\nConnection: Upgrade\r\n"
				    "Derp-Version: 2\r\n\r\n");
	fake_send(c, &f);
}

static void fake_login(struct fake_conn *c, const struct derp_frame *f)
{
	struct fake_derp *s = c->server;
	struct derp_client_info info;
	uint8_t box[DERP_INFO_BOX_MAX];
	struct derp_frame out = { .type = DERP_SERVER_INFO, .data = box };

	if (derp_open_client_info(&info, f, &s->private_key) ||
	    info.version != DERP_VERSION || !info.can_ack_pings)
		return;
	c->client = f->key;
	c->logged_in = true;
	s->logins++;
	randombytes_buf(out.nonce, sizeof(out.nonce));
	out.data_len = (size_t)derp_seal_server_info(
		&s->info, &s->private_key, &c->client, out.nonce, box);
	fake_send(c, &out);
}

static void fake_frame(struct fake_conn *c, const struct derp_frame *f)
{
	struct fake_derp *s = c->server;
	struct derp_frame out = { .type = DERP_PONG };

	switch (f->type) {
	case DERP_CLIENT_INFO:
		fake_login(c, f);
		break;
	case DERP_SEND_PACKET:
		memset(s->last, 0, sizeof(s->last));
		if (f->data_len)
			memcpy(s->last, f->data,
			       f->data_len < 64 ? f->data_len : 64);
		if (!s->packets++)
			memcpy(s->first, s->last, sizeof(s->first));
		s->last_len = f->data_len;
		s->last_dst = f->key;
		s->bytes += f->data_len;
		break;
	case DERP_NOTE_PREFERRED:
		c->preferred = f->preferred;
		break;
	case DERP_PING:
		memcpy(out.ping, f->ping, sizeof(out.ping));
		if (!s->mute_pings)
			fake_send(c, &out);
		break;
	case DERP_PONG:
		s->pongs++;
		memcpy(s->pong, f->ping, sizeof(s->pong));
		break;
	default:
		break;
	}
}

static void fake_read(struct bufferevent *bev, void *arg)
{
	struct fake_conn *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);

	while (!c->upgraded) {
		uint8_t *first = evbuffer_pullup(in, 1);
		struct evbuffer_ptr end =
			evbuffer_search(in, "\r\n\r\n", 4, NULL);
		char head[2048] = "";

		if (first && *first != 'G') { /* TLS to a plain server */
			fake_close(c);
			return;
		}
		if (end.pos < 0 || end.pos > 2000 || c->server->silent)
			return;
		evbuffer_remove(in, head, (size_t)end.pos + 4);
		fake_request(c, head);
	}
	while (evbuffer_get_length(in) >= DERP_HEADER_LEN) {
		uint8_t *p = evbuffer_pullup(in, DERP_HEADER_LEN);
		struct derp_header h;
		struct derp_frame f;

		derp_header_decode(&h, p);
		if (evbuffer_get_length(in) < DERP_HEADER_LEN + h.len)
			return;
		p = evbuffer_pullup(in, (ssize_t)(DERP_HEADER_LEN + h.len));
		if (!derp_parse(&f, DERP_SERVER, &h, p + DERP_HEADER_LEN)) {
			if (c->server->reject &&
			    f.type == DERP_CLIENT_INFO) {
				fake_close(c);
				return;
			}
			fake_frame(c, &f);
		}
		evbuffer_drain(in, DERP_HEADER_LEN + h.len);
	}
}

static void fake_event(struct bufferevent *bev, short what, void *arg)
{
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		fake_close(arg);
}

static void fake_accept(struct evconnlistener *l, evutil_socket_t fd,
			struct sockaddr *sa, int len, void *arg)
{
	struct fake_derp *s = arg;
	struct fake_conn *c = xcalloc(1, sizeof(*c));

	c->server = s;
	c->preferred = -1;
	if (s->tls)
		c->bev = bufferevent_openssl_socket_new(
			s->base, fd, SSL_new(s->tls),
			BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	else
		c->bev = bufferevent_socket_new(s->base, fd,
						BEV_OPT_CLOSE_ON_FREE);
	DL_APPEND(s->conns, c);
	bufferevent_setcb(c->bev, fake_read, NULL, fake_event, c);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

static bool fake_listen(struct fake_derp *s)
{
	struct endpoint ep = { .port = s->port };
	struct sockaddr_storage ss;
	socklen_t len;

	ip_parse(&ep.ip, "127.0.0.1");
	len = endpoint_to_sockaddr(&ep, &ss);
	s->listener = evconnlistener_new_bind(
		s->base, fake_accept, s,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, 16,
		(struct sockaddr *)&ss, (int)len);
	if (!s->listener)
		return false;
	len = sizeof(ss);
	getsockname(evconnlistener_get_fd(s->listener),
		    (struct sockaddr *)&ss, &len);
	endpoint_from_sockaddr(&ep, (struct sockaddr *)&ss);
	s->port = ep.port;
	return true;
}

/* @tls: highest version, 0 for plain; @meta: with a meta certificate. */
static bool fake_start(struct fake_derp *s, struct event_base *base, int tls,
		       bool meta)
{
	char cn[DERP_META_CN_LEN + 1];
	EVP_PKEY *key;

	s->base = base;
	s->info.version = DERP_VERSION;
	key_generate(&s->private_key);
	key_public(&s->public_key, &s->private_key);
	if (tls) {
		s->tls = SSL_CTX_new(TLS_server_method());
		SSL_CTX_set_max_proto_version(s->tls, tls);
		key = fake_key(EVP_PKEY_EC);
		s->cert = fake_cert(key, s->name ? s->name : FAKE_NAME, "DNS:" FAKE_NAME, 0, -60,
				    s->expires ? s->expires : 3600);
		SSL_CTX_use_certificate(s->tls, s->cert);
		SSL_CTX_use_PrivateKey(s->tls, key);
		EVP_PKEY_free(key);
		if (s->extra)
			SSL_CTX_add_extra_chain_cert(s->tls, s->extra);
		if (meta) {
			key = fake_key(EVP_PKEY_ED25519);
			derp_meta_format(cn, &s->public_key);
			SSL_CTX_add_extra_chain_cert(
				s->tls, fake_cert(key, cn, NULL, DERP_VERSION,
						  -60, 3600));
			EVP_PKEY_free(key);
		}
	}
	return fake_listen(s);
}

/* Closes all connections and, until fake_listen(), the port. */
static void fake_down(struct fake_derp *s)
{
	while (s->conns)
		fake_close(s->conns);
	if (s->listener)
		evconnlistener_free(s->listener);
	s->listener = NULL;
}

static void fake_stop(struct fake_derp *s)
{
	fake_down(s);
	X509_free(s->cert);
	SSL_CTX_free(s->tls);
	memset(s, 0, sizeof(*s));
}

#endif
