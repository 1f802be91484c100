// SPDX-License-Identifier: GPL-2.0
#include "control/url.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/addr.h"

static int parse_port(const char *p, size_t n, uint16_t *out)
{
	unsigned int v = 0;
	size_t i;

	if (!n || n > 5)
		return -EINVAL;
	for (i = 0; i < n; i++) {
		if (p[i] < '0' || p[i] > '9')
			return -EINVAL;
		v = v * 10 + (unsigned int)(p[i] - '0');
	}
	if (!v || v > 65535)
		return -EINVAL;
	*out = (uint16_t)v;
	return 0;
}

int url_parse(struct url *u, const char *text)
{
	struct url out = {0};
	const char *p, *host, *end;
	size_t n;

	for (p = text; *p; p++)
		if (*p <= ' ' || *p > '~')
			return -EINVAL;
	if (!strncasecmp(text, "https://", 8))
		out.https = true;
	else if (strncasecmp(text, "http://", 7))
		return -EINVAL;
	host = text + (out.https ? 8 : 7);
	n = strcspn(host, "/?#");
	if (memchr(host, '@', n))
		return -EINVAL;
	p = host + n; /* the path */
	if (*host == '[') {
		struct ip_addr ip;

		host++;
		end = memchr(host, ']', n - 1);
		if (!end || (size_t)(end - host) >= sizeof(out.host))
			return -EINVAL;
		memcpy(out.host, host, (size_t)(end - host));
		if (ip_parse(&ip, out.host) || !strchr(out.host, ':'))
			return -EINVAL;
		end++;
	} else {
		end = memchr(host, ':', n);
		if (!end)
			end = p;
		if (end == host || (size_t)(end - host) >= sizeof(out.host))
			return -EINVAL;
		memcpy(out.host, host, (size_t)(end - host));
		if (strpbrk(out.host, "[]\\%"))
			return -EINVAL;
	}
	if (end != p && (*end != ':' ||
			 parse_port(end + 1, (size_t)(p - end - 1), &out.port)))
		return -EINVAL;
	n = strcspn(p, "#");
	if (n + 1 >= sizeof(out.path))
		return -EINVAL;
	snprintf(out.path, sizeof(out.path), "%s%.*s", *p == '?' ? "/" : "",
		 (int)n, p);
	*u = out;
	return 0;
}

uint16_t url_port(const struct url *u)
{
	return u->port ? u->port : u->https ? 443 : 80;
}

bool url_is_private(const struct url *u)
{
	struct ip_addr ip;

	if (!strcasecmp(u->host, "localhost"))
		return true;
	return !ip_parse(&ip, u->host) &&
	       (ip_is_loopback(&ip) || ip_is_private(&ip) ||
		ip_is_link_local(&ip));
}

const char *url_authority(const struct url *u, char out[URL_AUTHORITY_MAX])
{
	const char *colon = strchr(u->host, ':');

	if (u->port)
		snprintf(out, URL_AUTHORITY_MAX, colon ? "[%s]:%u" : "%s:%u",
			 u->host, u->port);
	else
		snprintf(out, URL_AUTHORITY_MAX, colon ? "[%s]" : "%s",
			 u->host);
	return out;
}
