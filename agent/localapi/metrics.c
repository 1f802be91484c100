// SPDX-License-Identifier: GPL-2.0
#include "localapi/metrics.h"

#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "lib/json.h"
#include "lib/util.h"
#include "localapi/status.h"
#include "version.h"

/* Devices. */

struct figure {
	const char *json; /* the member of a device */
	const char *name;
	const char *labels; /* beside device; NULL: none */
	const char *help;
};

static const struct figure gauges[] = {
	{ "max_stale", "tailrace_max_stale_seconds", NULL,
	  "How long packets pass without an agent, 0 for ever." },
	{ "stale", "tailrace_stale_seconds", NULL,
	  "For how long there is no agent." },
	{ "strict", "tailrace_strict", NULL,
	  "Whether a policy that revokes cuts established flows." },
	{ "generation", "tailrace_policy_generation", NULL,
	  "How often a policy was committed since the device was attached." },
	{ "rules", "tailrace_policy_rules", NULL, "Rules of the policy." },
	{ "peers", "tailrace_device_peers", NULL,
	  "Peers that the module knows." },
	{ "flows", "tailrace_flows", NULL, "Flows in the table." },
	{ "flows_max", "tailrace_flows_max", NULL,
	  "Flows that the table can hold." },
	{ "records", "tailrace_flow_record_interval_seconds", NULL,
	  "Time between the records of a living flow, 0 if there are none." },
};

static const struct figure counters[] = {
	{ "steer_disco", "tailrace_steered_packets_total", "kind=\"disco\"",
	  "Packets on WireGuard's port that the agent's socket got." },
	{ "steer_geneve", "tailrace_steered_packets_total", "kind=\"geneve\"",
	  NULL },
	{ "steer_portmap", "tailrace_steered_packets_total",
	  "kind=\"portmap\"", NULL },
	{ "steer_stun", "tailrace_steered_packets_total", "kind=\"stun\"",
	  NULL },
	{ "steer_limited", "tailrace_steer_limited_packets_total", NULL,
	  "Packets for the agent over its rate limit." },
	{ "steer_no_socket", "tailrace_steer_unclaimed_packets_total", NULL,
	  "Packets for the agent while there was none." },
	{ "steer_pongs", "tailrace_steer_pongs_total", NULL,
	  "Of them, pings that the module answered." },
	{ "wg_rx", "tailrace_wireguard_packets_total", NULL,
	  "WireGuard packets that arrived on its port." },
	{ "wg_aliased", "tailrace_wireguard_aliased_packets_total", NULL,
	  "Of them, those from another endpoint of a peer's." },
	{ "wg_unknown", "tailrace_wireguard_unknown_packets_total", NULL,
	  "Of them, those from nobody's endpoint." },
	{ "filter_in", "tailrace_filter_packets_total", "direction=\"in\"",
	  "Packets that the filter let pass." },
	{ "filter_out", "tailrace_filter_packets_total", "direction=\"out\"",
	  NULL },
	{ "flow_hits", "tailrace_flow_hits_total", NULL,
	  "Packets of flows that were in the table." },
	{ "flow_new", "tailrace_flow_created_total", NULL,
	  "Flows that entered the table." },
	{ "flow_evicted", "tailrace_flow_evicted_total", NULL,
	  "Flows that had to leave it to others." },
	{ "tsmp_pongs", "tailrace_tsmp_pongs_total", NULL,
	  "TSMP pings that were answered." },
	{ "tsmp_rejects", "tailrace_tsmp_rejects_total", NULL,
	  "TSMP rejects that were sent." },
	{ "records_lost", "tailrace_flow_records_lost_total", NULL,
	  "Flow records that nobody got." },
	{ "netlink_changes", "tailrace_netlink_changes_total", NULL,
	  "Requests of the agent's that changed the kernel." },
};

static const char *const states[] = { "active", "closed", "expired",
				      "orphaned" };

/* Drop reasons under the words that tailscaled has for them. */
static const struct {
	const char *drop, *reason;
} tailscaled_reasons[] = {
	{ "no_rule", "acl" },	   { "shields_up", "acl" },
	{ "jailed", "acl" },	   { "not_local", "acl" },
	{ "no_policy", "acl" },	   { "expired", "acl" },
	{ "multicast", "multicast" },
	{ "link_local", "link_local_unicast" },
	{ "malformed", "unknown_protocol" },
};

#define LABELS_MAX 256

/* device="NAME" and what else there is. */
static const char *labels_of(char out[LABELS_MAX], const char *device,
			     const char *more)
{
	char name[64];

	snprintf(out, LABELS_MAX, "device=\"%s\"%s%s",
		 metrics_label(device, name, sizeof(name)), more ? "," : "",
		 more ? more : "");
	return out;
}

static uint64_t number(struct json_object *o)
{
	if (json_object_is_type(o, json_type_boolean))
		return json_object_get_boolean(o) ? 1 : 0;
	return json_object_get_uint64(o);
}

static void add_figure(struct metrics *m, struct json_object *devices,
		       const struct figure *f, bool counter)
{
	char labels[LABELS_MAX];

	json_object_object_foreach(devices, name, d) {
		struct json_object *v = json_member(d, f->json);

		if (!v)
			continue;
		labels_of(labels, name, f->labels);
		if (counter)
			metrics_counter(m, f->name, f->help, labels,
					number(v));
		else
			metrics_gauge(m, f->name, f->help, labels,
				      (double)number(v));
	}
}

static void add_states(struct metrics *m, struct json_object *devices)
{
	char labels[LABELS_MAX], more[32];
	size_t i;

	json_object_object_foreach(devices, name, d) {
		const char *now = json_text(json_member(d, "state"));

		for (i = 0; now && i < ARRAY_SIZE(states); i++) {
			snprintf(more, sizeof(more), "state=\"%s\"",
				 states[i]);
			metrics_gauge(m, "tailrace_device_state",
				      "Whether the device is in that state.",
				      labels_of(labels, name, more),
				      !strcmp(now, states[i]));
		}
	}
}

/* Every member of the member @list of each device as a label of one metric. */
static void add_list(struct metrics *m, struct json_object *devices,
		     const char *list, const char *label, const char *metric,
		     const char *help)
{
	char labels[LABELS_MAX], more[96], value[64];

	json_object_object_foreach(devices, name, d) {
		struct json_object *o = json_member(d, list);

		if (!o)
			continue;
		json_object_object_foreach(o, key, v) {
			snprintf(more, sizeof(more), "%s=\"%s\"", label,
				 metrics_label(key, value, sizeof(value)));
			metrics_counter(m, metric, help,
					labels_of(labels, name, more),
					number(v));
		}
	}
}

/* tailscaled's names have no device: sums. */

static uint64_t sum(struct json_object *devices, const char *list,
		    const char *key, const char *member)
{
	uint64_t n = 0;

	json_object_object_foreach(devices, name, d) {
		struct json_object *v = json_member(json_member(d, list), key);

		(void)name;
		n += number(member ? json_member(v, member) : v);
	}
	return n;
}

static void add_dropped(struct metrics *m, struct json_object *devices)
{
	uint64_t n = 0;
	char label[64];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(tailscaled_reasons); i++) {
		n += sum(devices, "drops", tailscaled_reasons[i].drop, NULL);
		if (i + 1 < ARRAY_SIZE(tailscaled_reasons) &&
		    !strcmp(tailscaled_reasons[i].reason,
			    tailscaled_reasons[i + 1].reason))
			continue;
		snprintf(label, sizeof(label), "reason=\"%s\"",
			 tailscaled_reasons[i].reason);
		metrics_counter(m, "tailscaled_inbound_dropped_packets_total",
				"Packets from peers that were dropped.", label,
				n);
		n = 0;
	}
	metrics_counter(m, "tailscaled_outbound_dropped_packets_total",
			"Packets to peers that were dropped.",
			"reason=\"error\"",
			sum(devices, "drops", "tsmp_out", NULL));
}

static void add_by_path(struct metrics *m, struct json_object *devices)
{
	static const char *const paths[] = { "derp", "direct_ipv4",
					     "direct_ipv6" };
	static const struct figure figures[] = {
		{ "rx_bytes", "tailscaled_inbound_bytes_total", NULL,
		  "Bytes from peers." },
		{ "rx_packets", "tailscaled_inbound_packets_total", NULL,
		  "Packets from peers." },
		{ "tx_bytes", "tailscaled_outbound_bytes_total", NULL,
		  "Bytes to peers." },
		{ "tx_packets", "tailscaled_outbound_packets_total", NULL,
		  "Packets to peers." },
	};
	char label[32];
	size_t i, j;

	for (i = 0; i < ARRAY_SIZE(figures); i++)
		for (j = 0; j < ARRAY_SIZE(paths); j++) {
			snprintf(label, sizeof(label), "path=\"%s\"",
				 paths[j]);
			metrics_counter(m, figures[i].name, figures[i].help,
					label,
					sum(devices, "paths", paths[j],
					    figures[i].json));
		}
}

void metrics_devices(struct metrics *m, struct json_object *devices)
{
	size_t i;

	add_states(m, devices);
	for (i = 0; i < ARRAY_SIZE(gauges); i++)
		add_figure(m, devices, &gauges[i], false);
	for (i = 0; i < ARRAY_SIZE(counters); i++)
		add_figure(m, devices, &counters[i], true);
	add_list(m, devices, "drops", "reason",
		 "tailrace_dropped_packets_total",
		 "Packets that the filter dropped.");
	add_list(m, devices, "rule_hits", "rule", "tailrace_rule_hits_total",
		 "Packets that a rule let in, of the rules with the most of them; the rest is 'other'.");
	add_dropped(m, devices);
	add_by_path(m, devices);
}

/* The engine. */

static size_t approved_routes(const struct agent *a, const struct node *self)
{
	const struct prefs *p = &a->store.prefs;
	size_t i, j, n = 0;

	for (i = 0; i < p->n_routes; i++)
		for (j = 0; j < self->n_allowed_ips; j++)
			n += prefix_equal(&p->routes[i],
					  &self->allowed_ips[j]);
	return n;
}

static void add_backend(struct metrics *m, const struct agent *a)
{
	static const enum agent_state all[] = { AGENT_NEEDS_LOGIN,
						AGENT_NEEDS_APPROVAL,
						AGENT_RUNNING, AGENT_STARTING,
						AGENT_STOPPED };
	enum agent_state now = agent_state(a);
	char label[48];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(all); i++) {
		snprintf(label, sizeof(label), "state=\"%s\"",
			 agent_state_name(all[i]));
		metrics_gauge(m, "tailrace_backend_state",
			      "Whether the agent is in that state.", label,
			      now == all[i]);
	}
}

void metrics_agent(struct metrics *m, const struct agent *a)
{
	const struct netmap *nm = agent_netmap(a);
	struct json_object *health = health_json(a, nm);

	metrics_gauge(m, "tailrace_agent_up", "Whether the agent answers.",
		      NULL, 1);
	metrics_gauge(m, "tailrace_build_info", "The agent's version.",
		      "version=\"" TAILRACE_VERSION "\"", 1);
	add_backend(m, a);
	metrics_gauge(m, "tailrace_control_connected",
		      "Whether the control server's stream is there.", NULL,
		      a->control_state == CONTROL_STREAMING);
	metrics_gauge(m, "tailrace_netmap_peers",
		      "Peers in the network map.", NULL,
		      nm ? HASH_COUNT(nm->peers) : 0);
	metrics_gauge(m, "tailscaled_health_messages",
		      "Number of health messages.", "type=\"warning\"",
		      (double)json_object_array_length(health));
	json_object_put(health);
	metrics_gauge(m, "tailscaled_home_derp_region_id",
		      "The DERP region where peers reach this node.", NULL,
		      derps_home(a->derps));
	metrics_gauge(m, "tailscaled_advertised_routes",
		      "Subnets that this node offers to route for.", NULL,
		      (double)a->store.prefs.n_routes);
	metrics_gauge(m, "tailscaled_approved_routes",
		      "Of them, those that were approved.", NULL,
		      nm ? (double)approved_routes(a, nm->self) : 0);
	metrics_gauge(m, "tailscaled_primary_routes",
		      "Of them, those that this node is the primary for.",
		      NULL, nm ? (double)nm->self->n_primary_routes : 0);
	metrics_process(m);
}
