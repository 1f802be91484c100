// SPDX-License-Identifier: GPL-2.0
#include "lib/proxy.h"

#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>
#include <strings.h>

#include "lib/addr.h"
#include "lib/util.h"

/* Splits "host", "host:port", "[v6]", "[v6]:port"; *@port is kept if absent. */
static int split_host_port(const char *in, size_t n, char *host, size_t cap,
			   uint16_t *port)
{
	const char *colon = NULL, *end = in + n;
	unsigned long v = 0;

	if (n && in[0] == '[') {
		const char *close = memchr(in, ']', n);

		if (!close)
			return -EINVAL;
		if (close + 1 < end && close[1] == ':')
			colon = close + 1;
		else if (close + 1 != end)
			return -EINVAL;
		in++;
		n = (size_t)(close - in);
	} else {
		colon = memchr(in, ':', n);
		if (colon)
			n = (size_t)(colon - in);
	}
	if (!n || n >= cap)
		return -EINVAL;
	if (colon) {
		const char *p;

		for (p = colon + 1; p < end; p++) {
			if (!isdigit((unsigned char)*p))
				return -EINVAL;
			v = v * 10 + (unsigned long)(*p - '0');
			if (v > 65535)
				return -EINVAL;
		}
		if (!v)
			return -EINVAL;
		*port = (uint16_t)v;
	}
	memcpy(host, in, n);
	host[n] = '\0';
	return 0;
}

static int unhex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes user:password and encodes it for Basic authentication. */
static int basic_auth(const char *in, size_t n, char out[PROXY_AUTH_MAX])
{
	char raw[PROXY_AUTH_MAX / 2];
	size_t i, len = 0;
	int ret = -EINVAL;

	for (i = 0; i < n; i++) {
		char c = in[i];

		if (c == '%') {
			int hi = i + 2 < n ? unhex(in[i + 1]) : -1;
			int lo = i + 2 < n ? unhex(in[i + 2]) : -1;

			if (hi < 0 || lo < 0)
				goto out;
			c = (char)(hi << 4 | lo);
			i += 2;
		}
		if (len == sizeof(raw))
			goto out;
		raw[len++] = c;
	}
	sodium_bin2base64(out, PROXY_AUTH_MAX, (const uint8_t *)raw, len,
			  sodium_base64_VARIANT_ORIGINAL);
	ret = 0;
out:
	sodium_memzero(raw, sizeof(raw));
	return ret;
}

static int parse_url(struct proxy *p, const char *url)
{
	const char *rest = strstr(url, "://"), *at, *p_end;
	size_t n;

	memset(p, 0, sizeof(*p));
	p->port = 80;
	if (rest) {
		n = (size_t)(rest - url);
		if (n == 5 && !strncasecmp(url, "https", 5)) {
			p->tls = true;
			p->port = 443;
		} else if (n != 4 || strncasecmp(url, "http", 4)) {
			return -EPROTONOSUPPORT;
		}
		rest += 3;
	} else {
		rest = url;
	}
	p_end = rest + strcspn(rest, "/?#");
	at = memrchr(rest, '@', (size_t)(p_end - rest));
	if (at) {
		if (basic_auth(rest, (size_t)(at - rest), p->auth))
			return -EINVAL;
		rest = at + 1;
	}
	return split_host_port(rest, (size_t)(p_end - rest), p->host,
			       sizeof(p->host), &p->port);
}

/* One entry of NO_PROXY: "*", address, prefix, or domain, maybe with a port. */
static bool entry_matches(const char *entry, size_t n, const char *host,
			  uint16_t port)
{
	char name[PROXY_HOST_MAX];
	struct ip_addr ip;
	struct prefix prefix;
	uint16_t entry_port = 0;
	size_t host_len, len;
	bool is_ip = !ip_parse(&ip, host);

	if (n == 1 && entry[0] == '*')
		return true;
	if (n < sizeof(name)) { /* a bare IPv6 literal has colons too */
		memcpy(name, entry, n);
		name[n] = '\0';
		if (!prefix_parse(&prefix, name))
			return is_ip && prefix_contains(&prefix, &ip);
	}
	if (split_host_port(entry, n, name, sizeof(name), &entry_port))
		return false;
	if (entry_port && entry_port != port)
		return false;
	if (!prefix_parse(&prefix, name))
		return is_ip && prefix_contains(&prefix, &ip);
	if (is_ip)
		return false;
	/* "a.b" is itself and below; ".a.b" and "*.a.b" only what is below. */
	if (name[0] == '*' && name[1] == '.')
		memmove(name, name + 1, strlen(name));
	len = strlen(name);
	host_len = strlen(host);
	if (host_len && host[host_len - 1] == '.')
		host_len--;
	if (name[0] != '.' && host_len == len &&
	    !strncasecmp(host, name, len))
		return true;
	if (name[0] == '.')
		return host_len > len &&
		       !strncasecmp(host + host_len - len, name, len);
	return host_len > len + 1 && host[host_len - len - 1] == '.' &&
	       !strncasecmp(host + host_len - len, name, len);
}

static bool bypassed(const char *no_proxy, const char *host, uint16_t port)
{
	struct ip_addr ip;

	if (!strcasecmp(host, "localhost") ||
	    (!ip_parse(&ip, host) && ip_is_loopback(&ip)))
		return true;
	while (no_proxy && *no_proxy) {
		size_t n;

		no_proxy += strspn(no_proxy, ", \t");
		n = strcspn(no_proxy, ", \t");
		if (n && entry_matches(no_proxy, n, host, port))
			return true;
		no_proxy += n;
	}
	return false;
}

int proxy_select(struct proxy *p, const char *url, const char *no_proxy,
		 const char *host, uint16_t port)
{
	int ret;

	if (!url || !*url || bypassed(no_proxy, host, port))
		return 0;
	ret = parse_url(p, url);
	return ret ? ret : 1;
}

static const char *env2(const char *lower, const char *upper)
{
	const char *v = getenv(lower);

	return v && *v ? v : getenv(upper);
}

int proxy_from_env(struct proxy *p, const char *host, uint16_t port,
		   bool https)
{
	const char *url = https ? env2("https_proxy", "HTTPS_PROXY") :
				  env2("http_proxy", "HTTP_PROXY");

	return proxy_select(p, url, env2("no_proxy", "NO_PROXY"), host, port);
}
