// SPDX-License-Identifier: GPL-2.0
#include "control/dial.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <event2/bufferevent_ssl.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "lib/addr.h"
#include "lib/log.h"
#include "lib/tcpdial.h"
#include "lib/util.h"

#define WHY_MAX 256

struct dialer {
	struct event_base *base;
	struct evdns_base *dns;
	SSL_CTX *tls;
	int (*socket)(void *ctx, int family);
	void *socket_ctx;
};

struct dial {
	struct dialer *dialer;
	char *host;
	enum dial_tls tls;
	struct tcp_dial *tcp;
	struct bufferevent *stream;
	struct event *timer; /* for the whole of it */
	void (*done)(void *ctx, struct bufferevent *stream, const char *why);
	void *ctx;
};

struct dialer *dialer_new(struct event_base *base, struct evdns_base *dns,
			  const char *ca_file,
			  int (*socket)(void *ctx, int family),
			  void *socket_ctx)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
	struct dialer *d;

	if (!tls)
		abort();
	SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
	SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_default_verify_paths(tls);
	if (ca_file && SSL_CTX_load_verify_file(tls, ca_file) != 1) {
		log_error("cannot read certificates from %s", ca_file);
		SSL_CTX_free(tls);
		ERR_clear_error();
		return NULL;
	}
	d = xcalloc(1, sizeof(*d));
	d->base = base;
	d->dns = dns;
	d->tls = tls;
	d->socket = socket;
	d->socket_ctx = socket_ctx;
	return d;
}

void dialer_free(struct dialer *d)
{
	if (!d)
		return;
	SSL_CTX_free(d->tls);
	free(d);
}

void dial_cancel(struct dial *d)
{
	if (!d)
		return;
	if (d->tcp)
		tcp_dial_cancel(d->tcp);
	if (d->stream)
		bufferevent_free(d->stream);
	event_free(d->timer);
	free(d->host);
	free(d);
}

static void finish(struct dial *d, const char *why)
{
	void (*done)(void *ctx, struct bufferevent *stream, const char *why) =
		d->done;
	struct bufferevent *stream = why ? NULL : d->stream;
	void *ctx = d->ctx;

	if (stream) {
		bufferevent_setcb(stream, NULL, NULL, NULL, NULL);
		bufferevent_disable(stream, EV_READ);
		d->stream = NULL;
	}
	dial_cancel(d);
	done(ctx, stream, why);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct dial *d = arg;
	char why[WHY_MAX];

	snprintf(why, sizeof(why), "%s: no connection in time", d->host);
	finish(d, why);
}

static void tls_failed(struct dial *d)
{
	SSL *ssl = bufferevent_openssl_get_ssl(d->stream);
	unsigned long error = bufferevent_get_openssl_error(d->stream);
	long verify = SSL_get_verify_result(ssl);
	const char *text = "connection closed";
	char why[WHY_MAX];

	if (d->tls == DIAL_TLS && verify != X509_V_OK)
		text = X509_verify_cert_error_string(verify);
	else if (error && ERR_reason_error_string(error))
		text = ERR_reason_error_string(error);
	snprintf(why, sizeof(why), "TLS to %s: %s", d->host, text);
	ERR_clear_error();
	finish(d, why);
}

static void on_tls_event(struct bufferevent *stream, short what, void *arg)
{
	struct dial *d = arg;

	if (what & BEV_EVENT_CONNECTED)
		finish(d, NULL);
	else
		tls_failed(d);
}

static SSL *tls_session(const struct dial *d)
{
	SSL *ssl = SSL_new(d->dialer->tls);
	struct ip_addr ip;
	bool literal = !ip_parse(&ip, d->host);

	if (!ssl)
		abort();
	/* No ALPN: the upgrade needs HTTP/1.1. */
	if (!literal)
		SSL_set_tlsext_host_name(ssl, d->host);
	if (d->tls == DIAL_TLS_UNVERIFIED) {
		SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
		return ssl;
	}
	SSL_set_verify(ssl, SSL_VERIFY_PEER, NULL);
	if ((literal ? X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl),
						     d->host)
		     : SSL_set1_host(ssl, d->host)) != 1)
		abort();
	return ssl;
}

static void on_tcp(void *ctx, int fd, const char *why)
{
	struct dial *d = ctx;

	d->tcp = NULL;
	if (fd < 0) {
		finish(d, why);
		return;
	}
	if (d->tls == DIAL_PLAIN) {
		d->stream = bufferevent_socket_new(d->dialer->base, fd,
						   BEV_OPT_CLOSE_ON_FREE);
		finish(d, NULL);
		return;
	}
	d->stream = bufferevent_openssl_socket_new(
		d->dialer->base, fd, tls_session(d), BUFFEREVENT_SSL_CONNECTING,
		BEV_OPT_CLOSE_ON_FREE);
	/* Middleboxes and some servers never send close_notify. */
	bufferevent_openssl_set_allow_dirty_shutdown(d->stream, 1);
	bufferevent_setcb(d->stream, NULL, NULL, on_tls_event, d);
	bufferevent_enable(d->stream, EV_READ | EV_WRITE);
}

struct dial *dial_start(struct dialer *dialer, const char *host, uint16_t port,
			enum dial_tls tls, unsigned int timeout_ms,
			void (*done)(void *ctx, struct bufferevent *stream,
				     const char *why),
			void *ctx)
{
	struct timeval limit = {.tv_sec = timeout_ms / 1000,
				.tv_usec = timeout_ms % 1000 * 1000};
	struct tcp_dial_spec spec = {.host = host,
				     .port = port,
				     .v4_delay_ms = 300,
				     .timeout_ms = timeout_ms,
				     .socket = dialer->socket,
				     .socket_ctx = dialer->socket_ctx};
	struct dial *d = xcalloc(1, sizeof(*d));
	struct proxy proxy;

	d->dialer = dialer;
	d->host = xstrdup(host);
	d->tls = tls;
	d->done = done;
	d->ctx = ctx;
	d->timer = evtimer_new(dialer->base, on_timer, d);
	event_add(d->timer, &limit);
	if (proxy_from_env(&proxy, host, port, tls != DIAL_PLAIN) > 0)
		spec.proxy = &proxy;
	d->tcp = tcp_dial_start(dialer->base, dialer->dns, &spec, on_tcp, d);
	sodium_memzero(&proxy, sizeof(proxy));
	return d;
}
