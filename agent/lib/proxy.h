/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_PROXY_H
#define LIB_PROXY_H

#include <stdbool.h>
#include <stdint.h>

/*
 * An HTTP proxy from the environment, by the conventions of curl and Go:
 * HTTPS_PROXY for https, HTTP_PROXY for http, lower-case names first, NO_PROXY
 * against them.
 */
#define PROXY_HOST_MAX 256
#define PROXY_AUTH_MAX 512

struct proxy {
	bool tls; /* the proxy itself speaks TLS */
	uint16_t port;
	char host[PROXY_HOST_MAX]; /* name or literal, no brackets */
	char auth[PROXY_AUTH_MAX]; /* base64 for "Basic"; a secret; "" none */
};

/*
 * The proxy to use for @host:@port. @https picks the variable. Returns 1 with
 * @p filled, 0 for a direct connection, -EINVAL for a value that is no URL,
 * -EPROTONOSUPPORT for a scheme other than http and https.
 */
int proxy_from_env(struct proxy *p, const char *host, uint16_t port,
		   bool https);

/* The same over given values; NULL or "" is unset. */
int proxy_select(struct proxy *p, const char *url, const char *no_proxy,
		 const char *host, uint16_t port);

#endif
