// SPDX-License-Identifier: GPL-2.0
#include "kernel/stats.h"

#include <json-c/json.h>
#include <linux/genetlink.h>
#include <net/if.h>
#include <string.h>

#include "kernel/module.h"
#include "kernel/wg.h"
#include "lib/util.h"
#include "tailrace.h"

void stats_peers(struct netlink *nl, uint32_t link,
		 const struct kernel_state *state, struct wire_stats *out)
{
	struct wg_device have;
	size_t i;

	if (wg_get(nl, link, &have))
		return;
	out->peers = xcalloc(state->n_peers, sizeof(*out->peers));
	for (i = 0; i < state->n_peers; i++) {
		const struct kernel_peer *k = &state->peers[i];
		const struct wg_peer *w = wg_find(&have, &k->public_key);

		if (w)
			out->peers[out->n_peers++] =
				(struct kernel_peer_stats){
					.peer = k->id,
					.rx_bytes = w->rx_bytes,
					.tx_bytes = w->tx_bytes,
					.last_handshake = w->last_handshake,
					.endpoint = w->endpoint,
				};
	}
	wg_free(&have);
}

struct counter {
	uint16_t attr;
	const char *name;
};

static const struct counter device_counters[] = {
	{ TAILRACE_A_DEVICE_PORT, "port" },
	{ TAILRACE_A_DEVICE_GENERATION, "generation" },
	{ TAILRACE_A_DEVICE_RULES, "rules" },
	{ TAILRACE_A_DEVICE_PEERS, "peers" },
	{ TAILRACE_A_DEVICE_FLOWS, "flows" },
	{ TAILRACE_A_DEVICE_FLOWS_MAX, "flows_max" },
	{ TAILRACE_A_DEVICE_RECORDS, "records" },
	{ TAILRACE_A_DEVICE_MAX_STALE, "max_stale" },
	{ TAILRACE_A_DEVICE_STALE, "stale" },
};

static const struct counter stats_counters[] = {
	{ TAILRACE_A_STATS_STEER_DISCO, "steer_disco" },
	{ TAILRACE_A_STATS_STEER_STUN, "steer_stun" },
	{ TAILRACE_A_STATS_STEER_GENEVE, "steer_geneve" },
	{ TAILRACE_A_STATS_STEER_PORTMAP, "steer_portmap" },
	{ TAILRACE_A_STATS_STEER_LIMITED, "steer_limited" },
	{ TAILRACE_A_STATS_STEER_NO_SOCKET, "steer_no_socket" },
	{ TAILRACE_A_STATS_STEER_PONGS, "steer_pongs" },
	{ TAILRACE_A_STATS_WG_RX, "wg_rx" },
	{ TAILRACE_A_STATS_WG_ALIASED, "wg_aliased" },
	{ TAILRACE_A_STATS_WG_UNKNOWN, "wg_unknown" },
	{ TAILRACE_A_STATS_FILTER_IN, "filter_in" },
	{ TAILRACE_A_STATS_FILTER_OUT, "filter_out" },
	{ TAILRACE_A_STATS_FLOW_HITS, "flow_hits" },
	{ TAILRACE_A_STATS_FLOW_NEW, "flow_new" },
	{ TAILRACE_A_STATS_FLOW_EVICTED, "flow_evicted" },
	{ TAILRACE_A_STATS_TSMP_PONGS, "tsmp_pongs" },
	{ TAILRACE_A_STATS_TSMP_REJECTS, "tsmp_rejects" },
	{ TAILRACE_A_STATS_RECORDS_LOST, "records_lost" },
};

static const char *const drop_names[__TAILRACE_DROP_MAX] = {
	[TAILRACE_DROP_NO_POLICY] = "no_policy",
	[TAILRACE_DROP_MALFORMED] = "malformed",
	[TAILRACE_DROP_MULTICAST] = "multicast",
	[TAILRACE_DROP_LINK_LOCAL] = "link_local",
	[TAILRACE_DROP_NOT_LOCAL] = "not_local",
	[TAILRACE_DROP_NO_RULE] = "no_rule",
	[TAILRACE_DROP_SHIELDS_UP] = "shields_up",
	[TAILRACE_DROP_JAILED] = "jailed",
	[TAILRACE_DROP_TSMP_OUT] = "tsmp_out",
	[TAILRACE_DROP_DISCO_INSIDE] = "disco_inside",
	[TAILRACE_DROP_EXPIRED] = "expired",
	[TAILRACE_DROP_NO_FLOW] = "no_flow",
	[TAILRACE_DROP_FLOWS_FULL] = "flows_full",
};

static const char *const path_names[__TAILRACE_PATH_MAX] = {
	[TAILRACE_PATH_DERP] = "derp",
	[TAILRACE_PATH_DIRECT4] = "direct_ipv4",
	[TAILRACE_PATH_DIRECT6] = "direct_ipv6",
};

static void add_counters(struct json_object *to, const struct nlattr **tb,
			 const struct counter *c, size_t n)
{
	for (; n--; c++) {
		const struct nlattr *a = tb[c->attr];
		size_t size = a ? mnl_attr_get_payload_len(a) : 0;
		uint64_t v = size == 8 ? attr_u64(a) :
			     size == 4 ? attr_u32(a) :
					 attr_u16(a);

		if (a)
			json_object_object_add(to, c->name,
					       json_object_new_uint64(v));
	}
}

const char *stats_drop_name(unsigned int drop)
{
	return drop < ARRAY_SIZE(drop_names) ? drop_names[drop] : NULL;
}

void stats_add_device(struct json_object *o, const struct nlmsghdr *h)
{
	static const char *const states[] = { "closed", "active", "orphaned",
					      "expired" };
	const struct nlattr *tb[TAILRACE_A_DEVICE_MAX + 1];
	uint32_t state;

	netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
	state = attr_u32(tb[TAILRACE_A_DEVICE_STATE]);
	if (tb[TAILRACE_A_DEVICE_FLAGS])
		json_object_object_add(
			o, "strict",
			json_object_new_boolean(
				(attr_u32(tb[TAILRACE_A_DEVICE_FLAGS]) &
				 TAILRACE_DEVICE_STRICT) != 0));
	json_object_object_add(
		o, "state",
		json_object_new_string(
			state < ARRAY_SIZE(states) ? states[state] : "?"));
	add_counters(o, tb, device_counters, ARRAY_SIZE(device_counters));
}

static void add_drops(struct json_object *to, const struct nlattr *drops)
{
	struct json_object *o = json_object_new_object();
	uint64_t v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(drop_names) &&
		    (i + 1) * sizeof(v) <= mnl_attr_get_payload_len(drops);
	     i++) {
		if (!drop_names[i])
			continue;
		memcpy(&v,
		       (const char *)mnl_attr_get_payload(drops) +
			       i * sizeof(v),
		       sizeof(v));
		json_object_object_add(o, drop_names[i],
				       json_object_new_uint64(v));
	}
	json_object_object_add(to, "drops", o);
}

static void add_paths(struct json_object *to, const struct nlattr *paths)
{
	struct json_object *o = json_object_new_object(), *path;
	struct tailrace_path_counters c;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(path_names) &&
		    (i + 1) * sizeof(c) <= mnl_attr_get_payload_len(paths);
	     i++) {
		memcpy(&c,
		       (const char *)mnl_attr_get_payload(paths) +
			       i * sizeof(c),
		       sizeof(c));
		path = json_object_new_object();
		json_object_object_add(path, "rx_packets",
				       json_object_new_uint64(c.rx_packets));
		json_object_object_add(path, "rx_bytes",
				       json_object_new_uint64(c.rx_bytes));
		json_object_object_add(path, "tx_packets",
				       json_object_new_uint64(c.tx_packets));
		json_object_object_add(path, "tx_bytes",
				       json_object_new_uint64(c.tx_bytes));
		json_object_object_add(o, path_names[i], path);
	}
	json_object_object_add(to, "paths", o);
}

void stats_add_counters(struct json_object *to, const struct nlmsghdr *h)
{
	const struct nlattr *tb[TAILRACE_A_STATS_MAX + 1];

	netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
	add_counters(to, tb, stats_counters, ARRAY_SIZE(stats_counters));
	if (tb[TAILRACE_A_STATS_DROP])
		add_drops(to, tb[TAILRACE_A_STATS_DROP]);
	if (tb[TAILRACE_A_STATS_PATHS])
		add_paths(to, tb[TAILRACE_A_STATS_PATHS]);
}

static void on_device(void *ctx, const struct nlmsghdr *h)
{
	stats_add_device(ctx, h);
}

static void on_counters(void *ctx, const struct nlmsghdr *h)
{
	stats_add_counters(ctx, h);
}

static struct nlmsghdr *begin(struct netlink *nl, uint16_t family,
			      enum tailrace_cmd cmd, uint16_t attr,
			      uint32_t link)
{
	struct nlmsghdr *h = netlink_begin_genl(nl, family, cmd,
						TAILRACE_FAMILY_VERSION, 0);

	mnl_attr_put_u32(h, attr, link);
	return h;
}

static int by_hits(const void *a, const void *b)
{
	const struct kernel_rule *x = a, *y = b;

	if (x->hits != y->hits)
		return x->hits < y->hits ? 1 : -1;
	return (x->id > y->id) - (x->id < y->id);
}

void stats_add_rules(struct json_object *to, struct policy *p)
{
	struct json_object *o = json_object_new_object();
	uint64_t other = 0;
	char id[16];
	size_t i;

	if (p->n_rules)
		qsort(p->rules, p->n_rules, sizeof(*p->rules), by_hits);
	for (i = 0; i < p->n_rules && i < STATS_RULES; i++) {
		snprintf(id, sizeof(id), "%u", p->rules[i].id);
		json_object_object_add(
			o, id, json_object_new_uint64(p->rules[i].hits));
	}
	for (; i < p->n_rules; i++)
		other += p->rules[i].hits;
	if (p->n_rules > STATS_RULES)
		json_object_object_add(o, "other",
				       json_object_new_uint64(other));
	json_object_object_add(to, "rule_hits", o);
}

struct json_object *stats_json(struct netlink *nl, uint16_t family,
			       uint32_t link, bool rules)
{
	struct json_object *o = json_object_new_object();
	struct policy p;

	if (!netlink_ask(nl,
			 begin(nl, family, TAILRACE_CMD_DEV_GET,
			       TAILRACE_A_DEVICE_IFINDEX, link),
			 on_device, o))
		netlink_ask(nl,
			    begin(nl, family, TAILRACE_CMD_STATS_GET,
				  TAILRACE_A_STATS_IFINDEX, link),
			    on_counters, o);
	if (rules && !policy_get(nl, family, link, &p)) {
		policy_join(&p);
		stats_add_rules(o, &p);
		policy_clear(&p);
	}
	return o;
}

struct json_object *stats_all_json(bool rules, const char **why)
{
	struct module_links links;
	struct json_object *o;
	char name[IF_NAMESIZE];
	struct netlink nl;
	const char *error;
	uint16_t family;
	size_t i;

	error = module_open(&nl, &family, &links);
	if (error) {
		*why = error;
		return NULL;
	}
	o = json_object_new_object();
	for (i = 0; i < links.n; i++)
		if (if_indextoname(links.index[i], name))
			json_object_object_add(
				o, name,
				stats_json(&nl, family, links.index[i], rules));
	free(links.index);
	netlink_close(&nl);
	return o;
}
