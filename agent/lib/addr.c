// SPDX-License-Identifier: GPL-2.0
#include "lib/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t v4_mapped[12] = { 0, 0, 0, 0, 0,	 0,
				       0, 0, 0, 0, 0xff, 0xff };

static int three_way(unsigned int a, unsigned int b)
{
	return (a > b) - (a < b);
}

bool ip_equal(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

int ip_compare(const struct ip_addr *a, const struct ip_addr *b)
{
	return memcmp(a, b, sizeof(*a));
}

static bool in_v4(const struct ip_addr *a, uint32_t net, unsigned int bits)
{
	uint32_t v = (uint32_t)a->b[0] << 24 | (uint32_t)a->b[1] << 16 |
		     (uint32_t)a->b[2] << 8 | a->b[3];

	return a->family == 4 && (v ^ net) >> (32 - bits) == 0;
}

bool ip_is_loopback(const struct ip_addr *a)
{
	static const uint8_t one[16] = { [15] = 1 };

	return in_v4(a, 0x7f000000, 8) ||
	       (a->family == 6 && memcmp(a->b, one, 16) == 0);
}

bool ip_is_link_local(const struct ip_addr *a)
{
	return in_v4(a, 0xa9fe0000, 16) ||
	       (a->family == 6 && a->b[0] == 0xfe && (a->b[1] & 0xc0) == 0x80);
}

bool ip_is_private(const struct ip_addr *a)
{
	return in_v4(a, 0x0a000000, 8) || in_v4(a, 0xac100000, 12) ||
	       in_v4(a, 0xc0a80000, 16) ||
	       (a->family == 6 && (a->b[0] & 0xfe) == 0xfc);
}

bool ip_is_multicast(const struct ip_addr *a)
{
	return in_v4(a, 0xe0000000, 4) || (a->family == 6 && a->b[0] == 0xff);
}

bool ip_is_tailscale(const struct ip_addr *a)
{
	static const uint8_t ula[6] = { 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0 };

	return (in_v4(a, 0x64400000, 10) && !in_v4(a, 0x64735c00, 23)) ||
	       (a->family == 6 && memcmp(a->b, ula, sizeof(ula)) == 0);
}

unsigned int ip_bits(const struct ip_addr *a)
{
	return a->family == 4 ? 32 : a->family == 6 ? 128 : 0;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->port == b->port && ip_equal(&a->ip, &b->ip);
}

int endpoint_compare(const struct endpoint *a, const struct endpoint *b)
{
	int c = ip_compare(&a->ip, &b->ip);

	return c ? c : three_way(a->port, b->port);
}

bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
	return a->bits == b->bits && ip_equal(&a->ip, &b->ip);
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
	int c = ip_compare(&a->ip, &b->ip);

	return c ? c : three_way(a->bits, b->bits);
}

struct prefix prefix_masked(const struct prefix *p)
{
	struct prefix out = *p;
	unsigned int i;

	for (i = 0; i < 16; i++) {
		unsigned int keep = p->bits > i * 8 ? p->bits - i * 8 : 0;

		if (keep < 8)
			out.ip.b[i] &= (uint8_t)(0xff00 >> keep);
	}
	return out;
}

bool prefix_contains(const struct prefix *p, const struct ip_addr *a)
{
	struct prefix q = { .ip = *a, .bits = p->bits }, masked;

	if (p->ip.family != a->family || !a->family)
		return false;
	q = prefix_masked(&q);
	masked = prefix_masked(p);
	return prefix_equal(&q, &masked);
}

bool prefix_is_default(const struct prefix *p)
{
	return p->ip.family && !p->bits;
}

struct ip_addr ip_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct ip_addr){ .family = 4, .b = { a, b, c, d } };
}

void ip_to_wire16(const struct ip_addr *a, uint8_t out[16])
{
	if (a->family == 4) {
		memcpy(out, v4_mapped, 12);
		memcpy(out + 12, a->b, 4);
	} else {
		memcpy(out, a->b, 16);
	}
}

void ip_from_wire16(struct ip_addr *a, const uint8_t in[16])
{
	memset(a, 0, sizeof(*a));
	if (memcmp(in, v4_mapped, 12) == 0) {
		a->family = 4;
		memcpy(a->b, in + 12, 4);
	} else {
		a->family = 6;
		memcpy(a->b, in, 16);
	}
}

int ip_parse(struct ip_addr *out, const char *text)
{
	uint8_t raw[16];

	if (inet_pton(AF_INET, text, raw) == 1) {
		*out = ip_v4(raw[0], raw[1], raw[2], raw[3]);
		return 0;
	}
	if (inet_pton(AF_INET6, text, raw) != 1)
		return -EINVAL;
	ip_from_wire16(out, raw);
	return 0;
}

/* Decimal without sign, blanks or leading zeros, at most @max. */
static int parse_number(const char *text, unsigned int max, unsigned int *out)
{
	unsigned int v = 0;
	const char *p;

	if (!*text || (text[0] == '0' && text[1]))
		return -EINVAL;
	for (p = text; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		v = v * 10 + (unsigned int)(*p - '0');
		if (v > max)
			return -EINVAL;
	}
	*out = v;
	return 0;
}

/* Copies @n bytes as a string and parses them as an address. */
static int ip_parse_n(struct ip_addr *out, const char *text, size_t n)
{
	char copy[IP_TEXT_MAX];

	if (n >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text, n);
	copy[n] = '\0';
	return ip_parse(out, copy);
}

int endpoint_parse(struct endpoint *out, const char *text)
{
	const char *colon = strrchr(text, ':');
	struct endpoint e = { 0 };
	unsigned int port;
	bool bracket = text[0] == '[';

	if (!colon || parse_number(colon + 1, 65535, &port))
		return -EINVAL;
	if (bracket) {
		if (colon < text + 2 || colon[-1] != ']' ||
		    !memchr(text, ':', (size_t)(colon - text)) ||
		    ip_parse_n(&e.ip, text + 1, (size_t)(colon - text - 2)))
			return -EINVAL;
	} else if (memchr(text, ':', (size_t)(colon - text)) ||
		   ip_parse_n(&e.ip, text, (size_t)(colon - text))) {
		return -EINVAL;
	}
	e.port = (uint16_t)port;
	*out = e;
	return 0;
}

int prefix_parse(struct prefix *out, const char *text)
{
	const char *slash = strchr(text, '/');
	struct prefix p = { 0 };
	unsigned int bits;

	if (ip_parse_n(&p.ip, text,
		       slash ? (size_t)(slash - text) : strlen(text)))
		return -EINVAL;
	bits = ip_bits(&p.ip);
	if (slash && parse_number(slash + 1, ip_bits(&p.ip), &bits))
		return -EINVAL;
	p.bits = (uint8_t)bits;
	*out = p;
	return 0;
}

const char *ip_format(const struct ip_addr *a, char out[IP_TEXT_MAX])
{
	if (!a->family)
		strcpy(out, "none");
	else
		inet_ntop(a->family == 4 ? AF_INET : AF_INET6, a->b, out,
			  IP_TEXT_MAX);
	return out;
}

const char *endpoint_format(const struct endpoint *e,
			    char out[ENDPOINT_TEXT_MAX])
{
	char ip[IP_TEXT_MAX];

	ip_format(&e->ip, ip);
	snprintf(out, ENDPOINT_TEXT_MAX, e->ip.family == 6 ? "[%s]:%u" : "%s:%u",
		 ip, e->port);
	return out;
}

const char *prefix_format(const struct prefix *p, char out[PREFIX_TEXT_MAX])
{
	char ip[IP_TEXT_MAX];

	snprintf(out, PREFIX_TEXT_MAX, "%s/%u", ip_format(&p->ip, ip), p->bits);
	return out;
}

socklen_t endpoint_to_sockaddr(const struct endpoint *e,
			       struct sockaddr_storage *ss)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ss;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ss;

	memset(ss, 0, sizeof(*ss));
	if (e->ip.family == 4) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(e->port);
		memcpy(&v4->sin_addr, e->ip.b, 4);
		return sizeof(*v4);
	}
	if (e->ip.family == 6) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(e->port);
		memcpy(&v6->sin6_addr, e->ip.b, 16);
		return sizeof(*v6);
	}
	return 0;
}

int endpoint_from_sockaddr(struct endpoint *e, const struct sockaddr *sa)
{
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)sa;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)sa;

	memset(e, 0, sizeof(*e));
	if (sa->sa_family == AF_INET) {
		e->ip.family = 4;
		memcpy(e->ip.b, &v4->sin_addr, 4);
		e->port = ntohs(v4->sin_port);
		return 0;
	}
	if (sa->sa_family == AF_INET6) {
		ip_from_wire16(&e->ip, v6->sin6_addr.s6_addr);
		e->port = ntohs(v6->sin6_port);
		return 0;
	}
	return -EAFNOSUPPORT;
}
