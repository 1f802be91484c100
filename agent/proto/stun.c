// SPDX-License-Identifier: GPL-2.0
#include "proto/stun.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "lib/util.h"

#define COOKIE 0x2112a442u
#define FINGERPRINT_XOR 0x5354554eu
#define BINDING_REQUEST 0x0001
#define BINDING_SUCCESS 0x0101
#define ATTR_HEADER_LEN 4
#define FINGERPRINT_LEN 8 /* the whole attribute */

enum attr_type {
	ATTR_MAPPED_ADDRESS = 0x0001,
	ATTR_XOR_MAPPED_ADDRESS = 0x0020,
	ATTR_XOR_MAPPED_ADDRESS_ALT = 0x8020, /* before the RFC */
	ATTR_SOFTWARE = 0x8022,
	ATTR_FINGERPRINT = 0x8028,
};

static const char software[8] = "tailnode"; /* without the NUL */

/* IEEE 802.3, reflected, four bits at a time. */
static uint32_t crc32(const uint8_t *p, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac,
		0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
		0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
		0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
	};
	uint32_t c = 0xffffffff;

	while (len--) {
		c ^= *p++;
		c = c >> 4 ^ table[c & 15];
		c = c >> 4 ^ table[c & 15];
	}
	return ~c;
}

struct attr {
	uint16_t type;
	size_t len;
	const uint8_t *value;
};

/*
 * Takes the next attribute off [*p, end). 1, 0 at the end, -EBADMSG if it does
 * not fit with its padding to four bytes.
 */
static int next_attr(struct attr *a, const uint8_t **p, const uint8_t *end)
{
	size_t left = (size_t)(end - *p), padded;

	if (!left)
		return 0;
	if (left < ATTR_HEADER_LEN)
		return -EBADMSG;
	a->type = get_be16(*p);
	a->len = get_be16(*p + 2);
	a->value = *p + ATTR_HEADER_LEN;
	padded = (a->len + 3) & ~(size_t)3;
	if (padded > left - ATTR_HEADER_LEN)
		return -EBADMSG;
	*p = a->value + padded;
	return 1;
}

/* XORs @n bytes at @out with the cookie and the txid, which follow each other.
 */
static void xor_address(uint8_t *out, const uint8_t *in, size_t n,
			const uint8_t *cookie)
{
	size_t i;

	for (i = 0; i < n; i++)
		out[i] = in[i] ^ cookie[i];
}

/* @cookie points to cookie and txid in the packet, NULL for the plain form. */
static int get_address(struct endpoint *e, const struct attr *a,
		       const uint8_t *cookie)
{
	static const uint8_t plain[16];
	uint8_t b[16];
	size_t n;

	if (a->len < 4)
		return -EBADMSG;
	if (a->value[1] == 1)
		n = 4;
	else if (a->value[1] == 2)
		n = 16;
	else
		return -EBADMSG;
	if (a->len < 4 + n)
		return -EBADMSG;
	if (!cookie)
		cookie = plain;
	xor_address(b, a->value + 4, n, cookie);
	if (n == 4)
		e->ip = ip_v4(b[0], b[1], b[2], b[3]);
	else
		ip_from_wire16(&e->ip, b);
	e->port = get_be16(a->value + 2) ^ get_be16(cookie);
	return 0;
}

static bool is_stun(const uint8_t *in, size_t len, uint16_t type)
{
	return len >= STUN_HEADER_LEN && get_be16(in) == type &&
	       get_be32(in + 4) == COOKIE;
}

static void put_header(uint8_t *out, uint16_t type, size_t attrs_len,
		       const uint8_t txid[STUN_TXID_LEN])
{
	put_be16(out, type);
	put_be16(out + 2, (uint16_t)attrs_len);
	put_be32(out + 4, COOKIE);
	memcpy(out + 8, txid, STUN_TXID_LEN);
}

static uint8_t *put_attr(uint8_t *out, enum attr_type type, size_t len)
{
	put_be16(out, (uint16_t)type);
	put_be16(out + 2, (uint16_t)len);
	return out + ATTR_HEADER_LEN;
}

void stun_request(uint8_t out[STUN_REQUEST_LEN],
		  const uint8_t txid[STUN_TXID_LEN])
{
	uint8_t *p = out + STUN_HEADER_LEN;

	put_header(out, BINDING_REQUEST, STUN_REQUEST_LEN - STUN_HEADER_LEN,
		   txid);
	p = put_attr(p, ATTR_SOFTWARE, sizeof(software));
	memcpy(p, software, sizeof(software));
	p = put_attr(p + sizeof(software), ATTR_FINGERPRINT, 4);
	put_be32(p, crc32(out, STUN_REQUEST_LEN - FINGERPRINT_LEN) ^
			    FINGERPRINT_XOR);
}

int stun_parse_response(const uint8_t *in, size_t len,
			uint8_t txid[STUN_TXID_LEN], struct endpoint *mapped)
{
	const uint8_t *p, *end;
	struct endpoint plain = {0}, xored = {0};
	struct attr a;
	int more;

	if (!is_stun(in, len, BINDING_SUCCESS) ||
	    get_be16(in + 2) > len - STUN_HEADER_LEN)
		return -EBADMSG;
	p = in + STUN_HEADER_LEN;
	end = p + get_be16(in + 2);
	while ((more = next_attr(&a, &p, end)) > 0) {
		int err = 0;

		if (a.type == ATTR_XOR_MAPPED_ADDRESS ||
		    a.type == ATTR_XOR_MAPPED_ADDRESS_ALT)
			err = get_address(&xored, &a, in + 4);
		else if (a.type == ATTR_MAPPED_ADDRESS)
			err = get_address(&plain, &a, NULL);
		if (err)
			return err;
	}
	if (more < 0)
		return more;
	if (!xored.ip.family)
		xored = plain;
	if (!xored.ip.family)
		return -EBADMSG;
	memcpy(txid, in + 8, STUN_TXID_LEN);
	*mapped = xored;
	return 0;
}

int stun_parse_request(const uint8_t *in, size_t len,
		       uint8_t txid[STUN_TXID_LEN])
{
	const uint8_t *p;
	bool is_tailnode = false;
	struct attr a = {0};
	int more;

	if (!is_stun(in, len, BINDING_REQUEST))
		return -EBADMSG;
	p = in + STUN_HEADER_LEN;
	while ((more = next_attr(&a, &p, in + len)) > 0)
		if (a.type == ATTR_SOFTWARE && a.len == sizeof(software) &&
		    memcmp(a.value, software, sizeof(software)) == 0)
			is_tailnode = true;
	if (more < 0 || !is_tailnode)
		return -EBADMSG;
	if (a.type != ATTR_FINGERPRINT || a.len != 4 ||
	    get_be32(a.value) !=
		    (crc32(in, len - FINGERPRINT_LEN) ^ FINGERPRINT_XOR))
		return -EBADMSG;
	memcpy(txid, in + 8, STUN_TXID_LEN);
	return 0;
}

size_t stun_response(uint8_t out[STUN_RESPONSE_MAX],
		     const uint8_t txid[STUN_TXID_LEN],
		     const struct endpoint *src)
{
	size_t n = ip_bits(&src->ip) / 8, value_len = 4 + n;
	uint8_t *p = out + STUN_HEADER_LEN;

	put_header(out, BINDING_SUCCESS, ATTR_HEADER_LEN + value_len, txid);
	p = put_attr(p, ATTR_XOR_MAPPED_ADDRESS, value_len);
	p[0] = 0;
	p[1] = src->ip.family == 4 ? 1 : 2;
	put_be16(p + 2, src->port ^ COOKIE >> 16);
	xor_address(p + 4, src->ip.b, n, out + 4);
	return STUN_HEADER_LEN + ATTR_HEADER_LEN + value_len;
}
