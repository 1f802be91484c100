// SPDX-License-Identifier: GPL-2.0
/* NAT-PMP and PCP: bytes, and the life of a mapping on a clock of its own. */
#include "engine/portmap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/portmapper.h"
#include "lib/util.h"
#include "proto/natpmp.h"
#include "tap.h"

#define T0 (1000 * SEC_NS)
#define PORT 41641

static void test_natpmp(void)
{
	static const uint8_t map[] = { 0x00, 0x01, 0x00, 0x00, 0xa2, 0xa9,
				       0x00, 0x00, 0x00, 0x00, 0x1c, 0x20 };
	static const uint8_t address[] = { 0, 0x80, 0,	  0,   0, 0,
					   1, 2,    203, 0, 113, 9 };
	static const uint8_t mapped[] = { 0,	0x81, 0,    0,	  0, 0, 1, 2,
					  0xa2, 0xa9, 0xc0, 0x01, 0, 0, 14,
					  16 };
	static const uint8_t refused[] = { 0, 0x81, 0, 2, 0, 0, 1, 2 };
	uint8_t out[NATPMP_MAP_LEN], two[NATPMP_ADDRESS_LEN];
	struct natpmp_reply r;
	char text[IP_TEXT_MAX];
	bool good = true;
	size_t n;

	natpmp_address_request(two);
	natpmp_map_request(out, PORT, 0, 7200);
	tap_ok(!two[0] && !two[1] && !memcmp(out, map, sizeof(map)),
	       "NAT-PMP requests");
	tap_ok(!natpmp_parse(&r, address, sizeof(address)) &&
		       r.op == NATPMP_ADDRESS && r.epoch == 258 &&
		       !strcmp(ip_format(&r.address, text), "203.0.113.9"),
	       "an address");
	tap_ok(!natpmp_parse(&r, mapped, sizeof(mapped)) &&
		       r.op == NATPMP_MAP_UDP && r.internal == PORT &&
		       r.external == 0xc001 && r.lifetime == 3600,
	       "a mapping");
	tap_ok(!natpmp_parse(&r, refused, sizeof(refused)) && r.result == 2,
	       "a short error");
	for (n = 0; n < sizeof(mapped); n++) {
		uint8_t *copy = malloc(n ? n : 1);

		memcpy(copy, mapped, n);
		good = good && natpmp_parse(&r, copy, n) == -EBADMSG;
		free(copy);
	}
	tap_ok(good && natpmp_parse(&r, map, sizeof(map)) == -EBADMSG,
	       "truncated replies and requests are none");
}

static void test_pcp(void)
{
	static const uint8_t nonce[PCP_NONCE_LEN] = "abcdefghijk";
	struct ip_addr own = ip_v4(192, 168, 1, 5);
	uint8_t out[PCP_MAP_LEN];
	struct pcp_reply r;
	bool good = true;
	size_t n;

	pcp_map_request(out, &own, nonce, PORT, 5000, 7200);
	tap_ok(out[0] == 2 && out[1] == 1 && get_be32(out + 4) == 7200 &&
		       get_be16(out + 18) == 0xffff &&
		       get_be32(out + 20) == 0xc0a80105 &&
		       !memcmp(out + 24, nonce, PCP_NONCE_LEN) &&
		       out[36] == 17 && get_be16(out + 40) == PORT &&
		       get_be16(out + 42) == 5000 &&
		       get_be16(out + 54) == 0xffff && !get_be32(out + 56),
	       "a PCP request");
	tap_ok(pcp_parse(&r, out, sizeof(out)) == -EBADMSG,
	       "which is no reply");
	out[1] |= 0x80;
	put_be32(out + 8, 77);
	put_be32(out + 56, 0xcb007109);
	tap_ok(!pcp_parse(&r, out, sizeof(out)) && r.op == PCP_MAP &&
		       r.epoch == 77 && r.lifetime == 7200 &&
		       r.internal == PORT && r.external == 5000 &&
		       r.address.family == 4 && r.address.b[3] == 9,
	       "a reply");
	for (n = 0; n < sizeof(out); n++) {
		uint8_t *copy = malloc(n ? n : 1);

		memcpy(copy, out, n);
		good = good && pcp_parse(&r, copy, n) == -EBADMSG;
		free(copy);
	}
	tap_ok(good, "truncated replies are none");
	pcp_announce_request(out, &own);
	out[1] |= 0x80;
	tap_ok(!pcp_parse(&r, out, PCP_ANNOUNCE_LEN) && r.op == PCP_ANNOUNCE,
	       "an announcement");
}

/* A gateway: keeps the last request of each kind, answers when told. */
static struct {
	unsigned int addresses, maps, announces, pcp_maps;
	uint8_t map[NATPMP_MAP_LEN], pcp_map[PCP_MAP_LEN];
	uint32_t epoch;
} gw;
static struct portmap pm;
static unsigned int changes;

static void gw_take(void *ctx, const uint8_t *data, size_t n)
{
	if (n == NATPMP_ADDRESS_LEN) {
		gw.addresses++;
	} else if (n == NATPMP_MAP_LEN) {
		gw.maps++;
		memcpy(gw.map, data, n);
	} else if (n == PCP_ANNOUNCE_LEN) {
		gw.announces++;
	} else {
		gw.pcp_maps++;
		memcpy(gw.pcp_map, data, n);
	}
}

static void on_changed(void *ctx)
{
	changes++;
}

static const struct portmap_ops ops = { .send = gw_take,
					.changed = on_changed };

static void pmp_address(uint64_t now, uint16_t result)
{
	uint8_t r[12] = { 0, 0x80, 0, 0, 0, 0, 0, 0, 203, 0, 113, 9 };

	put_be16(r + 2, result);
	put_be32(r + 4, gw.epoch);
	portmap_input(&pm, r, sizeof(r), now);
}

static void pmp_mapped(uint64_t now, uint16_t external, uint32_t lifetime)
{
	uint8_t r[16] = { 0, 0x81 };

	put_be32(r + 4, gw.epoch);
	memcpy(r + 8, gw.map + 4, 2);
	put_be16(r + 10, external);
	put_be32(r + 12, lifetime);
	portmap_input(&pm, r, sizeof(r), now);
}

static void pcp_answer(uint64_t now, uint8_t result, bool map,
		       uint16_t external)
{
	uint8_t r[PCP_MAP_LEN] = { 0 };

	if (map)
		memcpy(r, gw.pcp_map, sizeof(r));
	r[0] = 2;
	r[1] = map ? 0x81 : 0x80;
	r[3] = result;
	put_be32(r + 8, gw.epoch);
	put_be16(r + 42, external);
	put_be16(r + 54, 0xffff);
	put_be32(r + 56, 0xcb007109);
	portmap_input(&pm, r, map ? PCP_MAP_LEN : PCP_ANNOUNCE_LEN, now);
}

static void begin(void)
{
	struct ip_addr own = ip_v4(192, 168, 1, 5);

	memset(&gw, 0, sizeof(gw));
	gw.epoch = 1000;
	changes = 0;
	portmap_init(&pm, &ops, NULL);
	portmap_set_gateway(&pm, &own);
	portmap_set_port(&pm, PORT);
}

static void test_pmp_life(void)
{
	uint64_t now = T0, half = 3600 * SEC_NS;
	struct endpoint e;
	char text[ENDPOINT_TEXT_MAX];

	begin();
	tap_ok(portmap_has_pmp(&pm, now) == -1 && portmap_next(&pm) ==
							  UINT64_MAX,
	       "nothing is known, nothing is due");
	portmap_probe(&pm, now);
	tap_ok(gw.addresses == 1 && gw.announces == 1 &&
		       portmap_has_pmp(&pm, now) == 0,
	       "a probe asks for both protocols");
	tap_ok(!portmap_get(&pm, &e, now) && !gw.maps,
	       "nobody answered so far: no attempt");
	pmp_address(now, 0);
	tap_ok(portmap_has_pmp(&pm, now) == 1 && !portmap_get(&pm, &e, now) &&
		       gw.maps == 1 && get_be16(gw.map + 4) == PORT &&
		       get_be32(gw.map + 8) == 7200,
	       "NAT-PMP is there: ask for a mapping");
	pmp_mapped(now, 5000, 7200);
	tap_ok(changes == 1 && portmap_get(&pm, &e, now) &&
		       !strcmp(endpoint_format(&e, text), "203.0.113.9:5000"),
	       "and have it");
	pmp_mapped(now, 6000, 7200);
	tap_ok(portmap_get(&pm, &e, now) && e.port == 5000 && changes == 1,
	       "a reply nobody asked for changes nothing");
	now += half - 1;
	gw.epoch += 3600;
	tap_ok(portmap_get(&pm, &e, now) && gw.maps == 1, "not renewed early");
	now += 1;
	tap_ok(portmap_get(&pm, &e, now) && gw.maps == 2 &&
		       get_be16(gw.map + 6) == 5000,
	       "renewed at half its life, with the same port in mind");
	pmp_mapped(now, 5000, 7200);
	tap_ok(changes == 1 && pm.expires == now + 2 * half,
	       "which is no news");
	now += 2 * half;
	portmap_tick(&pm, now);
	tap_ok(changes == 2 && !portmap_get(&pm, &e, now), "it ends unrenewed");

	begin();
	portmap_get(&pm, &e, T0);
	tap_ok(gw.maps == 1 && gw.addresses == 1 && portmap_next(&pm) ==
							    T0 + 250 * MS_NS,
	       "without a probe, it just asks");
	portmap_tick(&pm, T0 + 250 * MS_NS);
	portmap_tick(&pm, T0 + 750 * MS_NS);
	portmap_tick(&pm, T0 + 1750 * MS_NS);
	tap_ok(gw.maps == 4, "and asks again");
	portmap_tick(&pm, T0 + 3750 * MS_NS);
	tap_ok(gw.maps == 4 && portmap_next(&pm) == UINT64_MAX,
	       "until it gives up");
	portmap_get(&pm, &e, T0 + 4 * SEC_NS);
	pmp_address(T0 + 4 * SEC_NS, 3);
	tap_ok(portmap_next(&pm) == UINT64_MAX, "an error ends an attempt");
	portmap_get(&pm, &e, T0 + 5 * SEC_NS);
	pmp_address(T0 + 5 * SEC_NS, 0);
	pmp_mapped(T0 + 5 * SEC_NS, 5000, 7200);
	portmap_set_port(&pm, PORT + 1);
	tap_ok(get_be32(gw.map + 8) == 0 && get_be16(gw.map + 4) == PORT &&
		       !portmap_get(&pm, &e, T0 + 5 * SEC_NS),
	       "another port: the old mapping is deleted");
}

static void test_pcp_life(void)
{
	struct ip_addr own = ip_v4(10, 0, 0, 2);
	uint8_t nonce[PCP_NONCE_LEN];
	struct endpoint e;

	begin();
	portmap_probe(&pm, T0);
	pcp_answer(T0, PCP_SUCCESS, false, 0);
	portmap_get(&pm, &e, T0);
	memcpy(nonce, gw.pcp_map + 24, sizeof(nonce));
	tap_ok(gw.pcp_maps == 1 && !gw.maps && portmap_has_pcp(&pm, T0) == 1,
	       "PCP alone is there: PCP is used");
	gw.pcp_map[24] ^= 1;
	pcp_answer(T0, PCP_SUCCESS, true, 5000);
	tap_ok(!portmap_get(&pm, &e, T0), "a foreign nonce is no answer");
	gw.pcp_map[24] ^= 1;
	pcp_answer(T0, PCP_SUCCESS, true, 5000);
	tap_ok(portmap_get(&pm, &e, T0) && e.port == 5000 && changes == 1,
	       "the right one is");
	gw.epoch += 3600;
	portmap_probe(&pm, T0 + 3600 * SEC_NS);
	pcp_answer(T0 + 3600 * SEC_NS, PCP_SUCCESS, false, 0);
	portmap_get(&pm, &e, T0 + 3600 * SEC_NS);
	tap_ok(gw.pcp_maps == 2 &&
		       !memcmp(nonce, gw.pcp_map + 24, sizeof(nonce)) &&
		       get_be16(gw.pcp_map + 42) == 5000,
	       "renewals keep nonce and port");
	pcp_answer(T0 + 3600 * SEC_NS, PCP_SUCCESS, true, 5000);
	gw.epoch = 3;
	pcp_answer(T0 + 3700 * SEC_NS, PCP_SUCCESS, false, 0);
	tap_ok(changes == 2 && !pm.external.ip.family,
	       "a gateway that started over has forgotten it");
	portmap_get(&pm, &e, T0 + 3700 * SEC_NS);
	pcp_answer(T0 + 3700 * SEC_NS, PCP_NOT_AUTHORIZED, true, 0);
	tap_ok(portmap_has_pcp(&pm, T0 + 3700 * SEC_NS) == 0 &&
		       portmap_next(&pm) == UINT64_MAX,
	       "not authorised: not for us");

	begin();
	portmap_probe(&pm, T0);
	pcp_answer(T0, PCP_SUCCESS, false, 0);
	portmap_get(&pm, &e, T0);
	pcp_answer(T0, PCP_SUCCESS, true, 5000);
	portmap_set_gateway(&pm, &own);
	tap_ok(gw.pcp_maps == 2 && get_be32(gw.pcp_map + 4) == 0 &&
		       portmap_has_pcp(&pm, T0) == -1 && changes == 2,
	       "another gateway: given back and forgotten");
	own.family = 0;
	portmap_set_gateway(&pm, &own);
	portmap_probe(&pm, T0);
	tap_ok(gw.announces == 1 && !portmap_get(&pm, &e, T0) &&
		       portmap_next(&pm) == UINT64_MAX,
	       "no gateway, no question");
}

static void test_gateway(void)
{
	static const char title[] = "Iface\tDestination\tGateway\tFlags\n";
	char text[512], ip[IP_TEXT_MAX];
	struct gateway g = { 0 };

	snprintf(text, sizeof(text),
		 "%sppp0\t00000000\t0100A8CB\t0003\n"
		 "eth1\t00000000\t0101A8C0\t0002\n"
		 "eth0\t0000FEA9\t00000000\t0001\n"
		 "eth0\t00000000\t0101A8C0\t0003\n",
		 title);
	tap_ok(!gateway_parse(&g, text) && !strcmp(g.ifname, "eth0") &&
		       !strcmp(ip_format(&g.ip, ip), "192.168.1.1"),
	       "the first route that is up and has a private gateway");
	tap_ok(gateway_parse(&g, title) == -ENOENT &&
		       gateway_parse(&g, "") == -ENOENT &&
		       gateway_parse(&g, "x\ny z\n\n\nw") == -ENOENT,
	       "no routes, no text, no sense");
}

int main(void)
{
	test_natpmp();
	test_pcp();
	test_pmp_life();
	test_pcp_life();
	test_gateway();
	return tap_done();
}
