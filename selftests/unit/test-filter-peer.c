// SPDX-License-Identifier: GPL-2.0
#include <stdio.h>

#include "../../kmod/peer.h"
#include "tap.h"

static struct tailrace_addr prefix4(u8 a, u8 b, u8 c, u8 d, u8 len)
{
	return (struct tailrace_addr){ .kind = TAILRACE_ADDR_PREFIX4,
				       .prefix_len = len,
				       .first = { a, b, c, d } };
}

static struct tailrace_addr prefix6(u8 last, u8 len)
{
	return (struct tailrace_addr){ .kind = TAILRACE_ADDR_PREFIX6,
				       .prefix_len = len,
				       .first = { 0xfd, 0x7a, [15] = last } };
}

static struct in6_addr addr4(u8 a, u8 b, u8 c, u8 d)
{
	return (struct in6_addr){ .s6_addr = { [10] = 0xff, 0xff, a, b, c, d } };
}

static u32 route_of(struct tr_peers *peers, struct in6_addr addr)
{
	struct tr_peer *peer = tr_peers_route(peers, AF_INET, &addr);

	return peer ? peer->id : 0;
}

static u32 owner_of(struct tr_peers *peers, struct in6_addr addr)
{
	struct tr_peer *peer = tr_peers_owner(peers, AF_INET, &addr);

	return peer ? peer->id : 0;
}

static int set(struct tr_peers *peers, u32 id, const struct tailrace_addr *addr,
	       const struct tailrace_addr *routes, u32 n_routes)
{
	return tr_peers_set(peers,
			    &(struct tr_peer_config){ .id = id,
						      .addrs = addr,
						      .n_addrs = !!addr,
						      .routes = routes,
						      .n_routes = n_routes },
			    NULL);
}

static void test_routes(struct tr_peers *peers)
{
	struct tailrace_addr a1 = prefix4(100, 64, 0, 1, 32);
	struct tailrace_addr a2 = prefix4(100, 64, 0, 2, 32);
	struct tailrace_addr all = prefix4(0, 0, 0, 0, 0);
	struct tailrace_addr some[] = { prefix4(10, 0, 0, 0, 8),
					prefix4(10, 1, 2, 128, 25) };
	struct in6_addr v6 = { .s6_addr = { 0xfd, 0x7a, [15] = 9 } };
	struct tailrace_addr net6 = prefix6(8, 125);
	u32 generation = tr_peers_generation(peers);

	tap_ok(!set(peers, 1, &a1, &all, 1) && !set(peers, 2, &a2, some, 2),
	       "two peers");
	tap_ok(tr_peers_generation(peers) != generation, "generation moved");
	tap_ok(route_of(peers, addr4(100, 64, 0, 1)) == 1 &&
	       route_of(peers, addr4(100, 64, 0, 2)) == 2, "own addresses");
	tap_ok(route_of(peers, addr4(10, 200, 0, 1)) == 2 &&
	       route_of(peers, addr4(10, 1, 2, 129)) == 2 &&
	       route_of(peers, addr4(8, 8, 8, 8)) == 1, "routes");
	tap_ok(owner_of(peers, addr4(100, 64, 0, 2)) == 2 &&
	       !owner_of(peers, addr4(10, 200, 0, 1)),
	       "nobody owns an address by a route");
	tap_ok(!tr_peers_route(peers, AF_INET6, &v6), "no IPv6 route yet");
	tap_ok(!set(peers, 3, NULL, &net6, 1) &&
	       tr_peers_route(peers, AF_INET6, &v6) == tr_peers_get(peers, 3),
	       "IPv6 route");
	v6 = addr4(100, 64, 0, 1);
	tap_ok(!tr_peers_route(peers, AF_INET6, &v6),
	       "a mapped address in IPv6 is not the IPv4 peer's");

	tap_ok(!set(peers, 3, NULL, &some[1], 1) &&
	       route_of(peers, addr4(10, 1, 2, 129)) == 3, "a route moves");
	tap_ok(!set(peers, 2, &a2, &some[0], 1) &&
	       route_of(peers, addr4(10, 1, 2, 129)) == 3 &&
	       route_of(peers, addr4(10, 1, 2, 1)) == 2,
	       "its former owner leaves it alone");
	tap_ok(!tr_peers_del(peers, 3) &&
	       route_of(peers, addr4(10, 1, 2, 129)) == 2,
	       "a shorter prefix takes over");
	tap_ok(tr_peers_del(peers, 3) == -ENOENT, "no such peer");
	tap_ok(!set(peers, 1, &a1, NULL, 0) &&
	       !route_of(peers, addr4(8, 8, 8, 8)), "a route withdrawn");
}

static void test_dump(struct tr_peers *peers)
{
	struct tr_peer *peer;
	u32 id = 0, sum = 0;

	set(peers, 0xffffff, NULL, NULL, 0);
	while ((peer = tr_peers_next(peers, &id))) {
		sum += peer->id;
		id++;
	}
	tap_ok(sum == 1 + 2 + 0xffffff, "all peers dumped");
}

static void test_errors(struct tr_peers *peers)
{
	struct tailrace_addr a = prefix4(100, 64, 0, 9, 32), bad;
	struct tailrace_addr many[40];
	u32 i, caps[TAILRACE_MAX_CAPS + 1] = {};
	u32 n_peers = peers->n_peers, n_routes = peers->n_routes;
	int failed = 0, ret;

	tap_ok(set(peers, 0, &a, NULL, 0) == -EINVAL &&
	       set(peers, 0x1000000, &a, NULL, 0) == -EINVAL, "bad ids");
	tap_ok(tr_peers_set(peers, &(struct tr_peer_config){ .id = 9,
							     .flags = 4 },
			    NULL) == -EINVAL, "unknown flag");
	bad = (struct tailrace_addr){};
	tap_ok(set(peers, 9, &bad, NULL, 0) == -EINVAL, "any is no address");
	bad = prefix4(100, 64, 0, 9, 24);
	tap_ok(set(peers, 9, &bad, NULL, 0) == -EINVAL, "host bits");
	tap_ok(tr_peers_set(peers, &(struct tr_peer_config){
				.id = 9, .caps = caps,
				.n_caps = ARRAY_SIZE(caps) }, NULL) == -E2BIG,
	       "too many capabilities");
	tap_ok(set(peers, 9, NULL, &a, TAILRACE_MAX_PEER_ADDRS + 1) == -E2BIG,
	       "too many addresses");

	for (i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = prefix4(10, 9, 0, i, 32);
	for (i = 0; i < 200; i++) {
		shim_allocations = i;
		ret = set(peers, 9, &a, many, ARRAY_SIZE(many));
		shim_allocations = -1;
		if (!ret)
			break;
		failed++;
		if (ret != -ENOMEM || peers->n_peers != n_peers ||
		    peers->n_routes != n_routes ||
		    route_of(peers, addr4(10, 9, 0, 0)) != 2)
			break;
	}
	tap_ok(!ret && failed > 40,
	       "%d ways to run out of memory change nothing", failed);
	tap_ok(route_of(peers, addr4(10, 9, 0, 7)) == 9, "then it works");
}

static u32 n_active, n_idle;

static void count_active(struct tr_peers *peers, struct tr_peer *peer)
{
	n_active++;
}

static void count_idle(struct tr_peers *peers, struct tr_peer *peer)
{
	n_idle++;
}

static void test_activity(struct tr_peers *peers)
{
	struct tr_peer *peer = tr_peers_get(peers, 1);
	struct tr_peer_counters sum;
	u64 ms;

	tap_ok(!tr_peer_rx_age(peer, &ms) && !tr_peer_is_active(peer),
	       "never heard of");
	tr_peer_rx(peers, peer, 3, 4000);
	tr_peer_tx(peers, peer, 1, 100);
	tr_peer_rx(peers, peer, 1, 500);
	tap_ok(n_active == 1 && tr_peer_is_active(peer), "one event");
	tr_peer_counters(peer, &sum);
	tap_ok(sum.rx.packets == 4 && sum.rx.bytes == 4500 &&
	       sum.tx[TR_PATH_NONE].packets == 1 &&
	       sum.tx[TR_PATH_NONE].bytes == 100, "counters");
	tr_peers_set_path(peers, 1, TAILRACE_PATH_DIRECT6);
	tr_peers_set_path(peers, 77, TAILRACE_PATH_DIRECT6);
	shim_jiffies += 44 * HZ;
	tr_peers_scan_idle(peers, count_idle);
	tap_ok(!n_idle && tr_peer_rx_age(peer, &ms) && ms == 44000,
	       "active for 44 s");
	tr_peer_tx(peers, peer, 1, 100);
	shim_jiffies += 44 * HZ;
	tr_peers_scan_idle(peers, count_idle);
	tap_ok(!n_idle, "sending counts too");
	shim_jiffies += HZ;
	tr_peers_scan_idle(peers, count_idle);
	tr_peers_scan_idle(peers, count_idle);
	tap_ok(n_idle == 1 && !tr_peer_is_active(peer), "idle after 45 s");
	tr_peer_tx(peers, peer, 1, 100);
	tap_ok(n_active == 2, "active again");
	set(peers, 1, NULL, NULL, 0);
	tr_peer_counters(peer, &sum);
	tap_ok(tr_peers_get(peers, 1) == peer &&
	       sum.tx[TR_PATH_NONE].packets == 1 &&
	       sum.tx[TAILRACE_PATH_DIRECT6].packets == 2 &&
	       sum.tx[TAILRACE_PATH_DIRECT6].bytes == 200,
	       "counters of each path survive a new configuration");
}

int main(void)
{
	struct tr_peers peers;

	if (tr_peers_init(&peers, count_active))
		return 1;
	test_routes(&peers);
	test_dump(&peers);
	test_errors(&peers);
	test_activity(&peers);
	tr_peers_uninit(&peers);
	return tap_done();
}
