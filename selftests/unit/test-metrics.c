// SPDX-License-Identifier: GPL-2.0
#include <json-c/json.h>
#include <stdint.h>
#include <string.h>

#include "lib/util.h"
#include "localapi/metrics.h"
#include "promlint.h"
#include "tap.h"

static struct promlint lint;

/* The linter finds what it is for. */
static void linter(void)
{
#define GOOD "# HELP a_total Things.\n# TYPE a_total counter\n"
	static const struct {
		const char *page;
		bool good;
	} cases[] = {
		{ GOOD "a_total 1\n", true },
		{ GOOD "a_total{x=\"y\",z=\"\\\"\\\\\\n\"} 1\n", true },
		{ "", false },
		{ GOOD "a_total 1", false },
		{ "a_total 1\n", false },
		{ GOOD "a_total -1\n", false },
		{ GOOD "a_total\n", false },
		{ GOOD "a_total 1x\n", false },
		{ GOOD "a_total{x=\"y} 1\n", false },
		{ GOOD "a_total{x=y} 1\n", false },
		{ GOOD "a_total{1=\"y\"} 1\n", false },
		{ GOOD "a_total{x=\"\\t\"} 1\n", false },
		{ GOOD "a_total 1\na_total 2\n", false },
		{ GOOD "b_total 1\n", false },
		{ "# HELP a_total Things.\n# TYPE a_total gauge\na_total 1\n",
		  false },
		{ "# HELP a Things.\n# TYPE a counter\na 1\n", false },
		{ "# HELP a_ms Things.\n# TYPE a_ms gauge\na_ms 1\n", false },
		{ "# HELP a \n# TYPE a gauge\na 1\n", false },
		{ "# HELP a Things.\na 1\n", false },
		{ "# TYPE a gauge\na 1\n", false },
		{ GOOD "a_total 1\n# HELP b Things.\n# TYPE b gauge\nb 1\n" GOOD
		       "a_total{x=\"y\"} 1\n",
		  false },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		char *page = xstrdup(cases[i].page);
		const char *why = promlint(&lint, page);

		tap_ok(!why == cases[i].good, "lint %zu: %s", i,
		       why ? why : "fine");
		free(page);
	}
}

static char *page_of(const char *json)
{
	struct json_object *o = json_tokener_parse(json);
	struct metrics *m = metrics_new();
	char *copy;
	size_t n;

	metrics_devices(m, o);
	copy = xstrdup(metrics_text(m, &n));
	metrics_free(m);
	json_object_put(o);
	return copy;
}

static void has(const char *page, const char *line)
{
	const char *at = strstr(page, line);

	if (!tap_ok(at && (at == page || at[-1] == '\n'), "%.*s",
		    (int)strcspn(line, "\n"), line))
		printf("# not there\n");
}

static void devices(void)
{
	static const char json[] =
		"{\"tailrace0\":{\"state\":\"orphaned\",\"stale\":90,"
		"\"max_stale\":3600,\"strict\":true,\"generation\":3,"
		"\"rules\":2,\"peers\":1,\"flows\":5,\"flows_max\":4096,"
		"\"records\":10,\"steer_disco\":7,\"steer_stun\":8,"
		"\"steer_geneve\":1,\"steer_portmap\":2,\"steer_limited\":3,"
		"\"steer_no_socket\":4,\"steer_pongs\":5,\"wg_rx\":6,"
		"\"wg_aliased\":7,\"wg_unknown\":8,\"filter_in\":9,"
		"\"filter_out\":18446744073709551615,\"flow_hits\":11,"
		"\"flow_new\":12,\"flow_evicted\":13,\"tsmp_pongs\":14,"
		"\"tsmp_rejects\":15,\"records_lost\":16,"
		"\"netlink_changes\":17,"
		"\"drops\":{\"no_rule\":20,\"shields_up\":3,\"malformed\":2,"
		"\"tsmp_out\":1,\"something_new\":6},"
		"\"rule_hits\":{\"17\":100,\"other\":4},"
		"\"paths\":{\"derp\":{\"rx_packets\":1,\"rx_bytes\":2,"
		"\"tx_packets\":3,\"tx_bytes\":4},"
		"\"direct_ipv6\":{\"rx_packets\":5,\"rx_bytes\":6}}},"
		"\"a\\\"b\":{\"state\":\"active\",\"flows\":1,"
		"\"drops\":{\"no_rule\":1},\"steer_disco\":1,"
		"\"paths\":{\"derp\":{\"rx_packets\":10}}}}";
	char *page = page_of(json);
	const char *why;

	has(page, "tailrace_device_state{device=\"tailrace0\",state=\"orphaned\"} 1\n");
	has(page, "tailrace_device_state{device=\"tailrace0\",state=\"active\"} 0\n");
	has(page, "tailrace_device_state{device=\"a\\\"b\",state=\"active\"} 1\n");
	has(page, "tailrace_stale_seconds{device=\"tailrace0\"} 90\n");
	has(page, "tailrace_strict{device=\"tailrace0\"} 1\n");
	has(page, "tailrace_steered_packets_total{device=\"tailrace0\",kind=\"stun\"} 8\n");
	has(page, "tailrace_filter_packets_total{device=\"tailrace0\",direction=\"out\"} 18446744073709551615\n");
	has(page, "tailrace_dropped_packets_total{device=\"tailrace0\",reason=\"something_new\"} 6\n");
	has(page, "tailrace_rule_hits_total{device=\"tailrace0\",rule=\"17\"} 100\n");
	has(page, "tailscaled_inbound_dropped_packets_total{reason=\"acl\"} 24\n");
	has(page, "tailscaled_inbound_dropped_packets_total{reason=\"unknown_protocol\"} 2\n");
	has(page, "tailscaled_outbound_dropped_packets_total{reason=\"error\"} 1\n");
	has(page, "tailscaled_inbound_packets_total{path=\"derp\"} 11\n");
	has(page, "tailscaled_inbound_bytes_total{path=\"direct_ipv6\"} 6\n");
	has(page, "tailscaled_outbound_bytes_total{path=\"direct_ipv4\"} 0\n");
	why = promlint(&lint, page);
	tap_ok(!why, "all of it passes the linter%s%s", why ? ": " : "",
	       why ? why : "");
	free(page);

	page = page_of("{}");
	why = promlint(&lint, page);
	tap_ok(!why, "no device at all");
	free(page);
	page = page_of("{\"tailrace0\":{}}");
	why = promlint(&lint, page);
	tap_ok(!why, "one without a module");
	free(page);
}

int main(void)
{
	linter();
	devices();
	return tap_done();
}
