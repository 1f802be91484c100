/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_ADDR_H
#define LIB_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * An IP address. @family is 4, 6 or 0 for "none". IPv4 uses b[0..3], the rest
 * is zero, so that memcmp of two whole structs is equality. IPv4-mapped IPv6
 * is never stored: every way in unmaps it.
 */
struct ip_addr {
	uint8_t family;
	uint8_t b[16];
};

struct endpoint {
	struct ip_addr ip;
	uint8_t zero; /* no hidden padding: an endpoint can be a hash key */
	uint16_t port; /* host byte order */
};

struct prefix {
	struct ip_addr ip;
	uint8_t bits; /* 0..32 or 0..128 */
};

#define IP_TEXT_MAX 46
#define ENDPOINT_TEXT_MAX (IP_TEXT_MAX + 8)
#define PREFIX_TEXT_MAX (IP_TEXT_MAX + 4)

bool ip_equal(const struct ip_addr *a, const struct ip_addr *b);
int ip_compare(const struct ip_addr *a, const struct ip_addr *b);
bool ip_is_loopback(const struct ip_addr *a);
bool ip_is_link_local(const struct ip_addr *a); /* 169.254/16, fe80::/10 */
bool ip_is_private(const struct ip_addr *a); /* RFC 1918, fc00::/7 */
bool ip_is_multicast(const struct ip_addr *a);
/* 100.64/10 less 100.115.92/23, or fd7a:115c:a1e0::/48. */
bool ip_is_tailscale(const struct ip_addr *a);
/* Bits in a full address of this family: 32, 128, or 0 for none. */
unsigned int ip_bits(const struct ip_addr *a);

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b);
int endpoint_compare(const struct endpoint *a, const struct endpoint *b);
bool prefix_equal(const struct prefix *a, const struct prefix *b);
int prefix_compare(const struct prefix *a, const struct prefix *b);
bool prefix_contains(const struct prefix *p, const struct ip_addr *a);
bool prefix_is_default(const struct prefix *p); /* /0 of either family */
/* The prefix with its host bits cleared. */
struct prefix prefix_masked(const struct prefix *p);

/* Parsers take the whole string; 0 or -EINVAL, @out untouched on error. */
int ip_parse(struct ip_addr *out, const char *text);
int endpoint_parse(struct endpoint *out, const char *text); /* 1.2.3.4:5, [::1]:5 */
int prefix_parse(struct prefix *out, const char *text); /* bare address: full length */

/* Formatters write to the caller's buffer and return it. */
const char *ip_format(const struct ip_addr *a, char out[IP_TEXT_MAX]);
const char *endpoint_format(const struct endpoint *e,
			    char out[ENDPOINT_TEXT_MAX]);
const char *prefix_format(const struct prefix *p, char out[PREFIX_TEXT_MAX]);

/* 16 bytes, IPv4 as ::ffff:a.b.c.d; the form used on the wire. */
void ip_to_wire16(const struct ip_addr *a, uint8_t out[16]);
void ip_from_wire16(struct ip_addr *a, const uint8_t in[16]);

struct ip_addr ip_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d);

/* Returns the length used in @ss, 0 if @e has no family. */
socklen_t endpoint_to_sockaddr(const struct endpoint *e,
			       struct sockaddr_storage *ss);
/* 0, or -EAFNOSUPPORT. */
int endpoint_from_sockaddr(struct endpoint *e, const struct sockaddr *sa);

#endif
