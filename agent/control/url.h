/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CONTROL_URL_H
#define CONTROL_URL_H

#include <stdbool.h>
#include <stdint.h>

#define URL_HOST_MAX 256
#define URL_PATH_MAX 2048

/* An http or https URL, without user, with the fragment cut off. */
struct url {
	bool https;
	char host[URL_HOST_MAX]; /* name or literal, no brackets */
	uint16_t port;		 /* 0: not given */
	char path[URL_PATH_MAX]; /* with query; begins with '/', or "" */
};

/*
 * Untrusted text: control characters, blanks and bytes over 0x7e are refused.
 * 0 or -EINVAL; @u untouched on error.
 */
int url_parse(struct url *u, const char *text);
uint16_t url_port(const struct url *u); /* 80, 443 if not given */
/* A private or loopback literal, or localhost: never has TLS by default. */
bool url_is_private(const struct url *u);
/* host[:port] for Host and :authority, with brackets; returns @out. */
#define URL_AUTHORITY_MAX (URL_HOST_MAX + 8)
const char *url_authority(const struct url *u, char out[URL_AUTHORITY_MAX]);

#endif
