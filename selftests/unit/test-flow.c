// SPDX-License-Identifier: GPL-2.0
/* Flow records: the codec, cut off anywhere, and what people read. */
#include <json-c/json.h>
#include <linux/genetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "cli/flow.h"
#include "kernel/flow.h"
#include "lib/util.h"
#include "tap.h"

static const struct tailrace_flow_record ssh = {
	.start = 1000000000500000000ull,
	.last = 1000000002750000000ull,
	.rx_packets = 12,
	.rx_bytes = 840,
	.tx_packets = 10,
	.tx_bytes = 9000,
	.local = { [10] = 0xff, 0xff, 10, 0, 0, 8 },
	.remote = { [10] = 0xff, 0xff, 100, 64, 0, 2 },
	.local_port = 22,
	.remote_port = 40000,
	.family = AF_INET,
	.proto = IPPROTO_TCP,
	.flags = TAILRACE_FLOW_BY_RULE,
	.end = TAILRACE_FLOW_END_CLOSED,
	.rx_tcp_flags = 0x1b,
	.tx_tcp_flags = 0x13,
	.rule = 4000000000u,
	.peer = 7,
	.generation = 3,
};

/* A message of @n records like @r, each with its index in .peer. */
static struct nlmsghdr *message(const struct tailrace_flow_record *r, size_t n,
				char *b)
{
	struct tailrace_flow_record *list = xcalloc(n, sizeof(*list));
	struct nlmsghdr *h = mnl_nlmsg_put_header(b);
	struct genlmsghdr *g;
	size_t i;

	g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	g->cmd = TAILRACE_CMD_FLOW_NTF;
	for (i = 0; i < n; i++) {
		list[i] = *r;
		list[i].peer = (uint32_t)i;
	}
	mnl_attr_put_u32(h, TAILRACE_A_FLOW_IFINDEX, 5);
	mnl_attr_put(h, TAILRACE_A_FLOW_RECORDS, n * sizeof(*list), list);
	free(list);
	return h;
}

static void test_codec(void)
{
	static char b[16384] __attribute__((aligned(8)));
	struct nlmsghdr *h = message(&ssh, 64, b);
	struct tailrace_flow_record r;
	struct flow_news news;
	size_t i, len, bad = 0;

	tap_ok(flow_news_parse(h, &news) && news.link == 5 && news.n == 64,
	       "a message of 64 records");
	for (i = 0; i < news.n; i++) {
		r = flow_news_at(&news, i);
		bad += r.peer != i || r.tx_bytes != 9000 || r.rule != ssh.rule;
	}
	tap_ok(!bad, "which are what was put in");
	((struct genlmsghdr *)mnl_nlmsg_get_payload(h))->cmd =
		TAILRACE_CMD_TRACE_NTF;
	tap_ok(!flow_news_parse(h, &news), "another command is none");

	/* in memory of its own length, for the sanitizer */
	h = message(&ssh, 3, b);
	for (len = sizeof(*h); len < h->nlmsg_len; len++) {
		struct nlmsghdr *cut = xmalloc(len);

		memcpy(cut, h, len);
		cut->nlmsg_len = (uint32_t)len;
		if (flow_news_parse(cut, &news))
			for (i = 0; i < news.n; i++) {
				r = flow_news_at(&news, i);
				bad += r.peer != i;
			}
		free(cut);
	}
	tap_ok(!bad, "cut off anywhere it is none, or shorter");
}

static char *printed(const struct tailrace_flow_record *r)
{
	char *text = NULL;
	size_t n;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		abort();
	flow_print(f, r);
	fclose(f);
	return text;
}

static void says(const struct tailrace_flow_record *r, const char *want)
{
	_cleanup_free_ char *text = printed(r);

	text[strcspn(text, "\n")] = '\0';
	if (!tap_ok(!strcmp(text, want), "%s", want))
		printf("# %s\n", text);
}

static void test_text(void)
{
	struct tailrace_flow_record r = ssh;

	says(&r, "01:46:42.750 in accept tcp 100.64.0.2:40000 > 10.0.0.8:22: "
		 "12 packets 840 bytes, back 10 packets 9000 bytes, 2.250 s, "
		 "rule 4000000000, peer 7, closed");
	r.flags = TAILRACE_FLOW_OUTBOUND;
	r.end = TAILRACE_FLOW_END_NONE;
	r.peer = 0;
	says(&r, "01:46:42.750 out accept tcp 10.0.0.8:22 > 100.64.0.2:40000: "
		 "10 packets 9000 bytes, back 12 packets 840 bytes, 2.250 s, "
		 "goes on");
	r = ssh;
	r.flags = TAILRACE_FLOW_DROPPED;
	r.drop = TAILRACE_DROP_NO_RULE;
	r.family = AF_INET6;
	r.proto = IPPROTO_UDP;
	r.end = TAILRACE_FLOW_END_IDLE;
	r.last = r.start - 1;
	memset(r.local, 0, 16);
	memset(r.remote, 0, 16);
	r.local[15] = 1;
	r.remote[0] = 0xfd;
	says(&r, "01:46:40.499 in drop udp [fd00::]:40000 > [::1]:22: "
		 "12 packets 840 bytes, 0.000 s, no_rule, peer 7, idle");
	r.proto = IPPROTO_ICMPV6;
	r.end = TAILRACE_FLOW_END_EVICTED;
	says(&r, "01:46:40.499 in drop icmp6 fd00:: > ::1: "
		 "12 packets 840 bytes, 0.000 s, no_rule, peer 7, evicted");
	r.family = 0;
	r.proto = 0;
	r.drop = 200;
	r.end = 77;
	says(&r, "01:46:40.499 in drop malformed ? > ?: "
		 "12 packets 840 bytes, 0.000 s, 200, peer 7, 77");
}

static void test_json(void)
{
	struct tailrace_flow_record r = ssh;
	struct json_object *o = flow_json(&r);
	const char *text =
		json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	static const char *const want =
		"{\"start\":\"2001-09-09T01:46:40.500000000Z\","
		"\"last\":\"2001-09-09T01:46:42.750000000Z\","
		"\"direction\":\"in\",\"verdict\":\"accept\","
		"\"rule\":4000000000,\"generation\":3,\"peer\":7,\"proto\":6,"
		"\"proto_name\":\"tcp\",\"local\":\"10.0.0.8\","
		"\"remote\":\"100.64.0.2\",\"local_port\":22,"
		"\"remote_port\":40000,\"rx_packets\":12,\"rx_bytes\":840,"
		"\"tx_packets\":10,\"tx_bytes\":9000,\"rx_tcp_flags\":27,"
		"\"tx_tcp_flags\":19,\"end\":\"closed\"}";

	if (!tap_ok(!strcmp(text, want), "a record in JSON"))
		printf("# %s\n", text);
	json_object_put(o);
	r.flags = TAILRACE_FLOW_DROPPED;
	r.drop = TAILRACE_DROP_JAILED;
	r.family = 0;
	r.proto = 255;
	r.end = 0;
	o = flow_json(&r);
	tap_ok(!strcmp(json_object_get_string(
			       json_object_object_get(o, "reason")),
		       "jailed") &&
	       !json_object_object_get(o, "local") &&
	       !json_object_object_get(o, "rule") &&
	       !json_object_object_get(o, "local_port") &&
	       !strcmp(json_object_get_string(json_object_object_get(o, "end")),
		       "none"),
	       "what a record does not have is absent");
	json_object_put(o);
}

int main(void)
{
	setenv("TZ", "UTC", 1);
	test_codec();
	test_text();
	test_json();
	return tap_done();
}
