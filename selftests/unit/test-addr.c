// SPDX-License-Identifier: GPL-2.0
#include <string.h>

#include "lib/addr.h"
#include "lib/key.h"
#include "tap.h"

static void endpoints(void)
{
	static const char *const good[] = { "1.2.3.4:41641", "[2001:db8::1]:5",
					    "0.0.0.0:0", "[::]:65535" };
	static const char *const bad[] = { "",		"1.2.3.4",   ":5",
					   "1.2.3.4:",	"1.2.3.4:65536",
					   "1.2.3.4:05", "1.2.3.4:-1",
					   "::1:5",	"[1.2.3.4]:5",
					   "[::1]5",	"[::1:5",    "[]:5",
					   "1.2.3:4",	"[fe80::1%1]:5" };
	char text[ENDPOINT_TEXT_MAX];
	struct endpoint e;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int err = endpoint_parse(&e, good[i]);

		tap_ok(!err && !strcmp(endpoint_format(&e, text), good[i]),
		       "endpoint %s survives a round trip", good[i]);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		tap_ok(endpoint_parse(&e, bad[i]) < 0,
		       "endpoint \"%s\" is refused", bad[i]);
}

static void prefixes(void)
{
	struct prefix p, q;
	struct ip_addr a;

	tap_ok(!prefix_parse(&p, "10.1.2.3/20") && p.bits == 20, "a prefix");
	p = prefix_masked(&p);
	prefix_parse(&q, "10.1.0.0/20");
	tap_ok(prefix_equal(&p, &q), "host bits are masked");
	ip_parse(&a, "10.1.15.255");
	tap_ok(prefix_contains(&p, &a), "the last address is inside");
	ip_parse(&a, "10.1.16.0");
	tap_ok(!prefix_contains(&p, &a), "the next address is outside");
	tap_ok(prefix_parse(&p, "10.0.0.0/33") < 0, "33 bits are refused");
	tap_ok(!prefix_parse(&p, "::/0") && prefix_is_default(&p),
	       "the IPv6 default route");
	ip_parse(&a, "1.2.3.4");
	tap_ok(!prefix_contains(&p, &a), "families do not mix");
	tap_ok(!ip_parse(&a, "::ffff:1.2.3.4") && a.family == 4,
	       "mapped addresses are unmapped");
	ip_parse(&a, "100.115.93.1");
	tap_ok(!ip_is_tailscale(&a), "the ChromeOS range is not ours");
	ip_parse(&a, "100.127.255.255");
	tap_ok(ip_is_tailscale(&a), "the end of 100.64.0.0/10 is");
}

static void keys(void)
{
	const char *text = "nodekey:0123456789abcdef0123456789ABCDEF"
			   "0123456789abcdef0123456789abcdef";
	char out[KEY_TEXT_MAX];
	struct key k;

	tap_ok(!key_parse(&k, KEY_NODE, text) && k.b[31] == 0xef, "a key");
	tap_ok(!strcasecmp(key_format(out, KEY_NODE, &k), text), "and back");
	tap_ok(key_parse(&k, KEY_DISCO, text) < 0, "the prefix counts");
	tap_ok(key_parse(&k, KEY_NODE, "nodekey:00") < 0, "the length counts");
	key_generate(&k);
	tap_ok(!(k.b[0] & 7) && (k.b[31] & 0xc0) == 0x40, "clamped");
}

int main(void)
{
	endpoints();
	prefixes();
	keys();
	return tap_done();
}
