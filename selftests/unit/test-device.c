// SPDX-License-Identifier: GPL-2.0
/* What the module says of a device: from its messages to what people read. */
#include <json-c/json.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/device.h"
#include "kernel/stats.h"
#include "lib/util.h"
#include "tailrace.h"
#include "tap.h"

static char buffer[4096];

static struct nlmsghdr *begin(void)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);

	mnl_nlmsg_put_extra_header(h, GENL_HDRLEN);
	return h;
}

static const char *plain(struct json_object *o)
{
	return json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
}

static struct nlmsghdr *counters(void)
{
	struct tailrace_path_counters paths[__TAILRACE_PATH_MAX] = {
		[TAILRACE_PATH_DIRECT6] = { 1, 2, 3, 1ull << 40 },
	};
	uint64_t drops[__TAILRACE_DROP_MAX] = { 0 };
	struct nlmsghdr *h = begin();

	drops[TAILRACE_DROP_NO_RULE] = 7;
	mnl_attr_put_u64(h, TAILRACE_A_STATS_STEER_DISCO, 5);
	mnl_attr_put(h, TAILRACE_A_STATS_DROP, sizeof(drops), drops);
	mnl_attr_put(h, TAILRACE_A_STATS_PATHS, sizeof(paths), paths);
	return h;
}

static void messages(void)
{
	struct json_object *o = json_object_new_object();
	struct nlmsghdr *h = begin();
	uint32_t len, cut, good = 0;
	unsigned int i, unnamed = 0;

	mnl_attr_put_u32(h, TAILRACE_A_DEVICE_STATE, TAILRACE_STATE_ORPHANED);
	mnl_attr_put_u16(h, TAILRACE_A_DEVICE_PORT, 41641);
	mnl_attr_put_u32(h, TAILRACE_A_DEVICE_FLOWS_MAX, 4096);
	mnl_attr_put_u32(h, TAILRACE_A_DEVICE_RECORDS, 10);
	mnl_attr_put_u32(h, TAILRACE_A_DEVICE_STALE, 90);
	mnl_attr_put_u32(h, TAILRACE_A_DEVICE_FLAGS, TAILRACE_DEVICE_STRICT);
	stats_add_device(o, h);
	tap_ok(!strcmp(plain(o),
		       "{\"strict\":true,\"state\":\"orphaned\",\"port\":41641,\"flows_max\":4096,\"records\":10,\"stale\":90}"),
	       "a device: %s", plain(o));
	json_object_put(o);

	o = json_object_new_object();
	h = begin();
	mnl_attr_put_u32(h, TAILRACE_A_DEVICE_STATE, 99);
	stats_add_device(o, h);
	tap_ok(!strcmp(plain(o), "{\"state\":\"?\"}"),
	       "a state that is not known");
	json_object_put(o);

	o = json_object_new_object();
	h = counters();
	stats_add_counters(o, h);
	tap_ok(strstr(plain(o), "\"steer_disco\":5") &&
		       strstr(plain(o), "\"no_rule\":7") &&
		       strstr(plain(o),
			      "\"direct_ipv6\":{\"rx_packets\":1,\"rx_bytes\":2,"
			      "\"tx_packets\":3,\"tx_bytes\":1099511627776}"),
	       "its counters");
	json_object_put(o);

	for (i = 0; i < __TAILRACE_DROP_MAX; i++)
		unnamed += !stats_drop_name(i);
	tap_ok(!unnamed && !stats_drop_name(i), "each drop reason has a name");

	/* An exact allocation each, for the address sanitizer. */
	len = h->nlmsg_len;
	for (cut = NLMSG_HDRLEN + GENL_HDRLEN; cut < len; cut++) {
		struct nlmsghdr *copy = xmalloc(cut);

		memcpy(copy, h, cut);
		copy->nlmsg_len = cut;
		o = json_object_new_object();
		stats_add_counters(o, copy);
		good += !strstr(plain(o), "\"direct_ipv6\"");
		json_object_put(o);
		free(copy);
	}
	tap_ok(good == len - NLMSG_HDRLEN - GENL_HDRLEN,
	       "half a message is half of the counters");
}

static void rules(void)
{
	struct kernel_rule list[STATS_RULES + 3] = { 0 };
	struct policy p = { .rules = list };
	struct json_object *o = json_object_new_object();
	unsigned int i;

	stats_add_rules(o, &p);
	tap_ok(!strcmp(plain(o), "{\"rule_hits\":{}}"), "no rules");
	p.n_rules = 2;
	list[0] = (struct kernel_rule){ .id = 4000000000u, .hits = 1 };
	list[1] = (struct kernel_rule){ .id = 7, .hits = UINT64_MAX };
	stats_add_rules(o, &p);
	tap_ok(!strcmp(plain(o),
		       "{\"rule_hits\":{\"7\":18446744073709551615,"
		       "\"4000000000\":1}}"),
	       "two rules: %s", plain(o));
	p.n_rules = ARRAY_SIZE(list);
	for (i = 0; i < p.n_rules; i++)
		list[i] = (struct kernel_rule){ .id = i, .hits = i + 1 };
	stats_add_rules(o, &p);
	tap_ok(json_object_object_length(json_object_object_get(
		       o, "rule_hits")) == STATS_RULES + 1 &&
		       strstr(plain(o), "\"other\":6}") &&
		       strstr(plain(o), "{\"102\":103,"),
	       "of more than that many the rest is one");
	json_object_put(o);
}

static void prints(const char *json, const char *want)
{
	struct json_object *o = json_tokener_parse(json);
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	device_print(f, "# ", "tr0", o);
	fclose(f);
	if (!tap_ok(!strcmp(text, want), "%.60s", json))
		printf("# %s\n", text);
	free(text);
	json_object_put(o);
}

static void exits(const char *json, int want)
{
	struct json_object *o = json ? json_tokener_parse(json) : NULL;

	tap_ok(device_exit_status(o) == want, "%s: exit status %d",
	       json ? json : "no answer", want);
	json_object_put(o);
}

int main(void)
{
	messages();
	rules();
	prints("{}", "");
	prints("{\"state\":\"active\",\"generation\":3,\"rules\":2,\"peers\":1,"
	       "\"flows\":5,\"flows_max\":4096,\"strict\":true,"
	       "\"max_stale\":43200,\"records\":10,"
	       "\"drops\":{\"no_policy\":0,\"no_rule\":15,\"jailed\":1}}",
	       "# tr0: active\n"
	       "# policy 3 with 2 rules, strict, 1 peers, 5 of 4096 flows, "
	       "max-stale 12h0m0s, flow records every 10s\n"
	       "# dropped: no_rule 15, jailed 1\n");
	prints("{\"state\":\"orphaned\",\"stale\":90,\"max_stale\":150}",
	       "# tr0: orphaned for 1m30s, expires in 1m0s: no agent, the last "
	       "policy stays in force\n"
	       "# policy 0 with 0 rules, 0 peers, 0 of 0 flows, max-stale 2m30s\n");
	prints("{\"state\":\"orphaned\",\"stale\":90,\"max_stale\":0}",
	       "# tr0: orphaned for 1m30s: no agent, the last policy stays in "
	       "force\n"
	       "# policy 0 with 0 rules, 0 peers, 0 of 0 flows\n");
	prints("{\"state\":\"expired\",\"stale\":200,\"max_stale\":150}",
	       "# tr0: expired for 3m20s: no agent for longer than --max-stale, "
	       "nothing passes\n"
	       "# policy 0 with 0 rules, 0 peers, 0 of 0 flows, max-stale 2m30s\n");
	prints("{\"state\":\"closed\"}",
	       "# tr0: closed: no policy yet, nothing passes\n"
	       "# policy 0 with 0 rules, 0 peers, 0 of 0 flows\n");
	exits(NULL, 4);
	exits("{}", 4);
	exits("{\"a\":{\"state\":\"closed\"},\"b\":{}}", 4);
	exits("{\"a\":{\"state\":\"expired\"}}", 4);
	exits("{\"a\":{\"state\":\"closed\"},\"b\":{\"state\":\"orphaned\"}}",
	      3);
	exits("{\"a\":{\"state\":\"active\"}}", 3);
	return tap_done();
}
