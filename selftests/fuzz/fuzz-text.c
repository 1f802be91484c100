// SPDX-License-Identifier: GPL-2.0
/*
 * The small texts that come within JSON, files and command lines: what is parsed
 * and written out again means the same, what is refused changes nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "kernel/addrset.h"
#include "lib/addr.h"
#include "lib/duration.h"
#include "lib/key.h"
#include "lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(what)                                                            \
	do {                                                                   \
		if (!(what))                                                   \
			abort();                                               \
	} while (0)

static void try_ip(const char *text)
{
	struct ip_addr a, again = { 0 }, before;
	char out[IP_TEXT_MAX];

	memset(&a, 0xa5, sizeof(a));
	before = a;
	if (ip_parse(&a, text)) {
		CHECK(!memcmp(&a, &before, sizeof(a)));
		return;
	}
	CHECK(ip_bits(&a));
	/* IPv4 as IPv6 does not exist in here */
	CHECK(a.family == 4 ||
	      memcmp(a.b, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12));
	CHECK(!ip_parse(&again, ip_format(&a, out)) && ip_equal(&a, &again));
}

static void try_endpoint(const char *text)
{
	struct endpoint e, again = { 0 };
	char out[ENDPOINT_TEXT_MAX];

	if (endpoint_parse(&e, text))
		return;
	CHECK(!endpoint_parse(&again, endpoint_format(&e, out)));
	CHECK(endpoint_equal(&e, &again));
}

static void try_prefix(const char *text)
{
	struct prefix p, again = { 0 }, masked;
	char out[PREFIX_TEXT_MAX];

	if (prefix_parse(&p, text))
		return;
	CHECK(p.bits <= ip_bits(&p.ip) && prefix_contains(&p, &p.ip));
	CHECK(!prefix_parse(&again, prefix_format(&p, out)));
	CHECK(prefix_equal(&p, &again));
	masked = prefix_masked(&p);
	CHECK(prefix_contains(&masked, &p.ip) &&
	      prefix_contains(&p, &masked.ip));
}

static void try_addrset(const char *text)
{
	struct tailrace_addr a, again;
	char out[ADDRSET_TEXT_MAX];

	if (addrset_parse(&a, text))
		return;
	CHECK(!addrset_parse(&again, addrset_format(&a, out)));
	CHECK(!memcmp(&a, &again, sizeof(a)));
}

static void try_key(const char *text)
{
	char out[KEY_TEXT_MAX];
	struct key k, again;

	if (key_parse(&k, "nodekey:", text))
		return;
	CHECK(!key_parse(&again, "nodekey:", key_format(out, "nodekey:", &k)));
	CHECK(key_equal(&k, &again));
}

static void try_duration(const char *text)
{
	char out[DURATION_TEXT_MAX];
	uint64_t ns, again;

	if (duration_parse(text, &ns))
		return;
	CHECK(!duration_parse(duration_format(ns / SEC_NS, out), &again));
	CHECK(again == ns - ns % SEC_NS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *text = xmalloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	try_ip(text);
	try_endpoint(text);
	try_prefix(text);
	try_addrset(text);
	try_key(text);
	try_duration(text);
	return 0;
}
