// SPDX-License-Identifier: GPL-2.0
/* Verdicts: the words of conditions and questions, the codec, what is printed. */
#include <json-c/json.h>
#include <linux/genetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "cli/expression.h"
#include "cli/question.h"
#include "cli/rule.h"
#include "cli/verdict.h"
#include "kernel/addrset.h"
#include "kernel/stats.h"
#include "lib/util.h"
#include "tap.h"

/* Conditions. */

static int express(struct expression *e, const char *text,
		   char error[EXPRESSION_ERROR_MAX])
{
	char *argv[] = { (char *)text };

	return expression_parse(e, 1, argv, error);
}

/* The filter as words of our own, so that a table can name it. */
static const char *describe(const struct expression *e)
{
	const struct verdict_filter *f = &e->filter;
	static char out[512];
	char text[ADDRSET_TEXT_MAX];
	size_t n = 0;

	*out = '\0';
#define ADD(attr, fmt, ...)                                               \
	do {                                                              \
		if (f->given & VERDICT_GIVEN(attr))                       \
			n += (size_t)snprintf(out + n, sizeof(out) - n,   \
					      #attr "=" fmt " ",          \
					      __VA_ARGS__);               \
	} while (0)
	ADD(FLAGS, "%x", f->flags);
	ADD(PROTO, "%u", f->proto);
	ADD(SRC, "%s", addrset_format(&f->src, text));
	ADD(DST, "%s", addrset_format(&f->dst, text));
	ADD(HOST, "%s", addrset_format(&f->host, text));
	ADD(SPORT, "%u", f->sport);
	ADD(DPORT, "%u", f->dport);
	ADD(PORT, "%u", f->port);
	ADD(PEER, "%s",
	    e->peer.family ? ip_format(&e->peer, text) :
			     (snprintf(text, sizeof(text), "%u", f->peer),
			      text));
	ADD(REASON, "%s", stats_drop_name(f->reason));
	ADD(RULE, "%u", f->rule);
#undef ADD
	if (n)
		out[n - 1] = '\0';
	return out;
}

static void conditions(void)
{
	static const struct {
		const char *text, *want;
	} good[] = {
		{ "", "" },
		{ "drop in tcp port 22 from 100.64.0.2",
		  "FLAGS=9 PROTO=6 SRC=100.64.0.2 PORT=22" },
		{ "accept and out and udp", "FLAGS=6 PROTO=17" },
		{ "src net 10.0.0.0/8 dst host fd7a::1",
		  "SRC=10.0.0.0/8 DST=fd7a::1" },
		{ "to 10.0.0.1-10.0.0.9 dst port domain",
		  "DST=10.0.0.1-10.0.0.9 DPORT=53" },
		{ "src port 1 dport 2", "SPORT=1 DPORT=2" },
		{ "saddr * daddr ::/0", "SRC=* DST=::/0" },
		{ "host 192.0.2.1 proto 47", "PROTO=47 HOST=192.0.2.1" },
		{ "proto icmp6", "PROTO=58" },
		{ "peer 16777215", "PEER=16777215" },
		{ "peer fd7a::2", "PEER=fd7a::2" },
		{ "reason no-rule", "REASON=no_rule" },
		{ "reason not_local rule 4294967295",
		  "REASON=not_local RULE=4294967295" },
	};
	static const char *const bad[] = {
		"drop accept", "in out", "in in", "tcp udp", "tcp or udp",
		"not tcp", "(tcp)", "! tcp", "from", "from 10.0.0.1/8",
		"from 10.0.0.9-10.0.0.1", "from nobody", "port", "port 65536",
		"port -1", "port 22x", "proto 256", "proto", "proto no",
		"rule x", "rule 4294967296", "peer x", "reason", "reason bad",
		"tcp and", "and", "from 10.0.0.1 src 10.0.0.2", "22", "src port",
		"port 1 port 2",
	};
	char error[EXPRESSION_ERROR_MAX];
	struct expression e;
	char *words[] = { "drop", "in tcp", "port", "22" };
	size_t i, n;

	for (i = 0; i < ARRAY_SIZE(good); i++) {
		bool fine = !express(&e, good[i].text, error) &&
			    !strcmp(describe(&e), good[i].want);

		tap_ok(fine, "'%s' is %s", good[i].text, describe(&e));
	}
	for (i = n = 0; i < ARRAY_SIZE(bad); i++) {
		*error = '\0';
		if (!express(&e, bad[i], error) || !*error)
			printf("# '%s' should be refused\n", bad[i]);
		else
			n++;
	}
	tap_ok(n == i, "%zu wrong expressions are refused with a text", n);
	tap_ok(!expression_parse(&e, 4, words, error) &&
		       !strcmp(describe(&e), "FLAGS=9 PROTO=6 PORT=22"),
	       "words and arguments need not be the same");
	tap_ok(express(&e, "port 22x", error) && strstr(error, "22x"),
	       "a complaint names the word: %s", error);
}

/* Questions. */

static int ask(struct verdict_question *q, const struct question_words *w)
{
	char error[QUESTION_ERROR_MAX] = "";
	int err = question_parse(q, w, error);

	return err && !*error ? 1 : err;
}

static void questions(void)
{
	static const struct question_words bad[] = {
		{ 0 },
		{ .src = "1.2.3.4" },
		{ .src = "1.2.3.4", .dst = "::1" },
		{ .src = "1.2.3.4", .dst = "5.6.7.8:65536" },
		{ .src = "1.2.3.4", .dst = "5.6.7.8:" },
		{ .src = "1.2.3.4", .dst = ":22" },
		{ .src = "1.2.3.4", .dst = "[5.6.7.8]:22" },
		{ .src = "::1", .dst = "[::2]22" },
		{ .src = "1.2.3.4", .dst = "5.6.7.8", .proto = "tcp" },
		{ .src = "1.2.3.4", .dst = "5.6.7.8:1", .proto = "icmp" },
		{ .src = "1.2.3.4", .dst = "5.6.7.8", .proto = "256" },
		{ .src = "1.2.3.4", .dst = "5.6.7.8", .proto = "x" },
		{ .src = "1.2.3.4", .dst = "5.6.7.8:1", .icmp_type = "8" },
		{ .src = "1.2.3.4", .dst = "5.6.7.8", .icmp_type = "256" },
		{ .src = "1.2.3.4", .dst = "5.6.7.8", .icmp_code = "x" },
		{ .src = "1.2.3.4", .dst = "5.6.7.8", .established = true },
	};
	struct verdict_question q;
	size_t i, n;

	tap_ok(!ask(&q, &(struct question_words){ .src = "1.2.3.4",
						  .dst = "5.6.7.8:22" }) &&
		       q.proto == IPPROTO_TCP && q.dport == 22 && q.sport &&
		       q.tcp_flags == 2 && !q.out && q.dst.b[0] == 5,
	       "with a port it is the first packet of TCP");
	tap_ok(!ask(&q, &(struct question_words){ .src = "1.2.3.4:5",
						  .dst = "5.6.7.8:ssh",
						  .established = true,
						  .out = true }) &&
		       q.sport == 5 && q.dport == 22 && q.tcp_flags == 0x10 &&
		       q.out,
	       "or a later one, outwards, with both ports");
	tap_ok(!ask(&q, &(struct question_words){ .src = "::1",
						  .dst = "[::2]:53",
						  .proto = "udp" }) &&
		       q.proto == IPPROTO_UDP && q.dport == 53 &&
		       q.dst.b[15] == 2 && !q.tcp_flags,
	       "IPv6 with a port");
	tap_ok(!ask(&q, &(struct question_words){ .src = "::1",
						  .dst = "::2:22" }) &&
		       q.proto == IPPROTO_ICMPV6 && q.icmp_type == 128,
	       "IPv6 without: an echo request");
	tap_ok(!ask(&q, &(struct question_words){ .src = "1.2.3.4",
						  .dst = "5.6.7.8",
						  .icmp_type = "3",
						  .icmp_code = "1" }) &&
		       q.proto == IPPROTO_ICMP && q.icmp_type == 3 &&
		       q.icmp_code == 1,
	       "ICMP of a type");
	tap_ok(!ask(&q, &(struct question_words){ .src = "::1", .dst = "::2",
						  .proto = "icmp" }) &&
		       q.proto == IPPROTO_ICMPV6,
	       "icmp is that of the family");
	tap_ok(!ask(&q, &(struct question_words){ .src = "1.2.3.4",
						  .dst = "5.6.7.8",
						  .proto = "47" }) &&
		       q.proto == 47,
	       "a protocol by number");
	for (i = n = 0; i < ARRAY_SIZE(bad); i++)
		if (ask(&q, &bad[i]) < 0)
			n++;
		else
			printf("# number %zu should be refused\n", i);
	tap_ok(n == i, "%zu wrong questions are refused with a text", n);
}

/* The codec. */

static char buffer[8192];

static struct nlmsghdr *news_message(size_t n)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(buffer);
	struct genlmsghdr *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));
	struct tailrace_verdict v[8] = { { .time = 1 } };
	size_t i;

	g->cmd = TAILRACE_CMD_TRACE_NTF;
	for (i = 0; i < n; i++)
		v[i] = (struct tailrace_verdict){ .time = i + 1,
						  .rule = 100 + (uint32_t)i };
	mnl_attr_put_u32(h, TAILRACE_A_TRACE_IFINDEX, 7);
	mnl_attr_put(h, TAILRACE_A_TRACE_VERDICTS, n * sizeof(v[0]), v);
	mnl_attr_put_u64(h, TAILRACE_A_TRACE_LOST_RATE, 1ull << 40);
	mnl_attr_put_u64(h, TAILRACE_A_TRACE_LOST_RING, 2);
	mnl_attr_put_u64(h, TAILRACE_A_TRACE_LOST_SOCKET, 3);
	mnl_attr_put(h, TAILRACE_A_TRACE_ENDED, 0, NULL);
	return h;
}

static void codec(void)
{
	struct nlmsghdr *h = news_message(3), *copy;
	uint32_t len = h->nlmsg_len, cut;
	struct verdict_news news;
	bool bounded = true;
	size_t i;

	tap_ok(verdict_news_parse(h, &news) && news.link == 7 && news.n == 3 &&
		       news.lost_rate == 1ull << 40 && news.lost_ring == 2 &&
		       news.lost_socket == 3 && news.ended,
	       "news");
	tap_ok(verdict_news_at(&news, 0).rule == 100 &&
		       verdict_news_at(&news, 2).time == 3 &&
		       verdict_news_at(&news, 2).rule == 102,
	       "the verdicts in it");
	/* of its own allocation, so that a sanitizer sees the first byte past it */
	for (cut = sizeof(*h); cut < len; cut++) {
		copy = malloc(cut);
		memcpy(copy, buffer, cut);
		copy->nlmsg_len = cut;
		if (verdict_news_parse(copy, &news)) {
			for (i = 0; i < news.n; i++)
				bounded &= verdict_news_at(&news, i).rule ==
					   100 + i;
			bounded &= news.n == 0 || news.n == 3;
		}
		free(copy);
	}
	tap_ok(bounded, "cut off at every byte");
	h = news_message(0);
	tap_ok(verdict_news_parse(h, &news) && !news.n, "without verdicts");
	((struct genlmsghdr *)mnl_nlmsg_get_payload(h))->cmd =
		TAILRACE_CMD_STATE_NTF;
	tap_ok(!verdict_news_parse(h, &news), "another message");
}

/* Texts. */

static struct tailrace_addr set(const char *text)
{
	struct tailrace_addr a = { .kind = 99 };

	addrset_parse(&a, text);
	return a;
}

static void put_ip(uint8_t out[16], const char *text)
{
	struct ip_addr ip;

	ip_parse(&ip, text);
	memcpy(out, ip.b, 16);
}

static struct tailrace_verdict verdict(const char *src, const char *dst,
				       uint8_t proto, uint16_t dport)
{
	struct tailrace_verdict v = {
		.time = 1700000000123456789ull,
		.rule = 17,
		.generation = 4,
		.peer = 9,
		.len = 60,
		.packets = 1,
		.flags = TAILRACE_TRACE_IN | TAILRACE_TRACE_ACCEPT,
		.cause = TAILRACE_CAUSE_RULE,
		.family = strchr(src, ':') ? AF_INET6 : AF_INET,
		.proto = proto,
		.tcp_flags = proto == IPPROTO_TCP ? 2 : 0,
		.sport = verdict_has_ports(proto) ? 40000 : 0,
		.dport = dport,
	};

	put_ip(v.src, src);
	put_ip(v.dst, dst);
	return v;
}

static struct policy *sample(void)
{
	static const uint8_t tcp[] = { 6 }, gre[] = { 47, 200 };
	static const uint32_t caps[] = { 5 };
	static struct tailrace_addr src[5];
	static struct tailrace_dst dst[6];
	static struct kernel_rule rules[5];
	static struct policy p = { .generation = 4, .rules = rules,
				   .n_rules = ARRAY_SIZE(rules) };

	src[0] = set("100.64.0.0/10");
	src[1] = set("10.0.0.1-10.0.0.5");
	src[2] = set("fd7a::/48");
	src[3] = set("192.0.2.1");
	src[4] = set("*");
	dst[0] = (struct tailrace_dst){ set("10.0.0.0/8"), 22, 22 };
	dst[1] = (struct tailrace_dst){ set("fd7a::/48"), 80, 90 };
	dst[2] = (struct tailrace_dst){ set("10.1.0.1"), 0, 65535 };
	dst[3] = (struct tailrace_dst){ set("*"), 443, 443 };
	dst[4] = (struct tailrace_dst){ set("172.16.0.0/12"), 0, 65535 };
	dst[5] = (struct tailrace_dst){ set("*"), 0, 65535 };
	rules[0] = (struct kernel_rule){ .id = 17, .protos = tcp, .n_protos = 1,
					 .src = src, .n_src = 1,
					 .dst = dst, .n_dst = 1 };
	rules[1] = (struct kernel_rule){ .id = 18, .src = src, .n_src = 4,
					 .dst = dst, .n_dst = 5 };
	rules[2] = (struct kernel_rule){ .id = 19, .protos = gre, .n_protos = 2,
					 .src = src + 4, .n_src = 1,
					 .dst = dst + 4, .n_dst = 2 };
	rules[3] = (struct kernel_rule){ .id = 20, .src_caps = caps,
					 .n_src_caps = 1, .dst = dst + 1,
					 .n_dst = 1 };
	/* the second part of rule 18 */
	rules[4] = (struct kernel_rule){ .id = 18, .src = src + 4, .n_src = 1,
					 .dst = dst + 3, .n_dst = 1 };
	return &p;
}

static void rules(void)
{
	struct policy *p = sample();
	const struct {
		struct tailrace_verdict v;
		int rule;
		const char *want;
	} cases[] = {
		{ verdict("100.64.0.2", "10.0.0.8", 6, 22), 0,
		  "100.64.0.0/10 > 10.0.0.0/8:22 tcp" },
		{ verdict("192.0.2.1", "172.16.3.4", 6, 22), 1,
		  "192.0.2.1 +3 > 172.16.0.0/12 +4 tcp,udp,icmp,icmp6" },
		{ verdict("fd7a::1", "fd7a::2", 6, 85), 1,
		  "fd7a::/48 +3 > [fd7a::/48]:80-90 +4 tcp,udp,icmp,icmp6" },
		{ verdict("10.0.0.3", "10.1.0.1", 6, 9), 1,
		  "10.0.0.1-10.0.0.5 +3 > 10.1.0.1 +4 tcp,udp,icmp,icmp6" },
		{ verdict("1.1.1.1", "2.2.2.2", 6, 9), 1,
		  "100.64.0.0/10 +3 > 10.0.0.0/8:22 +4 tcp,udp,icmp,icmp6" },
		{ verdict("1.1.1.1", "2.2.2.2", 47, 0), 2,
		  "* > 172.16.0.0/12,* gre,200" },
		{ verdict("1.1.1.1", "2.2.2.2", 47, 0), 3,
		  "cap:5 > [fd7a::/48]:80-90 tcp,udp,icmp,icmp6" },
	};
	const struct {
		struct tailrace_verdict v;
		enum rule_miss want;
		int rule;
	} misses[] = {
		{ verdict("100.64.0.2", "10.0.0.8", 6, 22), RULE_MATCHES, 0 },
		{ verdict("100.64.0.2", "10.0.0.8", 6, 23), RULE_OTHER_PORT, 0 },
		{ verdict("100.64.0.2", "10.0.0.8", 17, 22), RULE_OTHER_PROTO,
		  0 },
		{ verdict("1.1.1.1", "10.0.0.8", 6, 22), RULE_OTHER_ADDRESS, 0 },
		{ verdict("100.64.0.2", "11.0.0.8", 6, 22), RULE_OTHER_ADDRESS,
		  0 },
		/* ICMP asks for neither a protocol nor a port */
		{ verdict("100.64.0.2", "10.0.0.8", 1, 0), RULE_MATCHES, 0 },
		{ verdict("100.64.0.2", "10.0.0.8", 58, 0), RULE_OTHER_PROTO,
		  0 },
		{ verdict("1.1.1.1", "2.2.2.2", 47, 0), RULE_MATCHES, 2 },
		{ verdict("fd7a::1", "fd7a::2", 6, 85), RULE_OTHER_ADDRESS, 3 },
	};
	struct tailrace_verdict v = verdict("1.1.1.1", "2.2.2.2", 6, 443);
	char text[RULE_TEXT_MAX];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(cases); i++)
		tap_ok(!strcmp(rule_excerpt(&p->rules[cases[i].rule],
					   &cases[i].v, text),
			       cases[i].want),
		       "a rule as text: %s", text);
	for (i = 0; i < ARRAY_SIZE(misses); i++)
		if (rule_miss(&p->rules[misses[i].rule], &misses[i].v) !=
		    misses[i].want)
			break;
	tap_ok(i == ARRAY_SIZE(misses), "why a rule does not match (%zu)", i);
	tap_ok(rule_find(p, 18, &v) == &p->rules[4],
	       "of a rule in parts the one that let it in");
	v.dport = 1;
	tap_ok(rule_find(p, 18, &v) && !rule_find(p, 99, &v),
	       "any part is better than none");
}

static const char *line(void (*print)(FILE *f, const struct tailrace_verdict *v,
				      const struct policy *p,
				      const struct module_peer *peer),
			const struct tailrace_verdict *v,
			const struct policy *p, const struct module_peer *peer)
{
	static char out[1024];
	FILE *f = fmemopen(out, sizeof(out), "w");

	print(f, v, p, peer);
	fclose(f);
	return out;
}

static void lines(void)
{
	struct tailrace_addr own = set("100.64.0.2");
	struct module_peer peer = { .id = 9, .addrs = &own, .n_addrs = 1 };
	struct tailrace_verdict v = verdict("100.64.0.2", "10.0.0.8", 6, 22);
	struct policy *p = sample();
	struct json_object *o;
	unsigned int i, named = 0;
	const char *text;

	setenv("TZ", "UTC", 1);
	text = line(verdict_print, &v, p, &peer);
	tap_ok(!strcmp(text,
		       "22:13:20.123456 in  accept tcp S 100.64.0.2:40000 > 10.0.0.8:22 len 60, rule 17: 100.64.0.0/10 > 10.0.0.0/8:22 tcp, peer 9 (100.64.0.2)\n"),
	       "accepted: %.*s", (int)strcspn(text, "\n"), text);
	v.cause = TAILRACE_CAUSE_CACHE;
	tap_ok(strstr(line(verdict_print, &v, NULL, NULL),
		      "rule 17 of an earlier policy, known flow, peer 9\n"),
	       "by a rule that is gone");
	v.flags = TAILRACE_TRACE_OUT | TAILRACE_TRACE_DROP;
	v.cause = 0;
	v.drop = TAILRACE_DROP_NO_RULE;
	v.peer = 0;
	v.packets = 3;
	text = line(verdict_print, &v, p, NULL);
	tap_ok(strstr(text, " out drop   tcp S ") &&
		       strstr(text, " in 3 packets, no rule accepts it\n"),
	       "dropped: %.*s", (int)strcspn(text, "\n"), text);
	for (i = 0; i < __TAILRACE_DROP_MAX; i++) {
		v.drop = (uint8_t)i;
		text = strrchr(line(verdict_print, &v, p, NULL), ',');
		named += stats_drop_name(i) && strlen(text) > 12;
	}
	tap_ok(named == i, "words for every reason (%u)", named);
	v.drop = 200;
	tap_ok(strstr(line(verdict_print, &v, p, NULL), ", 200\n"),
	       "and for those of a newer module");
	v = verdict("fd7a::1", "fd7a::2", 58, 0);
	v.icmp_type = 1;
	v.icmp_code = 4;
	v.cause = TAILRACE_CAUSE_STATELESS;
	tap_ok(strstr(line(verdict_print, &v, p, NULL),
		      "icmp6 type 1 code 4 fd7a::1 > fd7a::2 len 60, needs no rule,"),
	       "ICMPv6");
	v.family = 0;
	v.proto = 0;
	v.cause = 77;
	tap_ok(strstr(line(verdict_print, &v, p, NULL),
		      "accept unknown len 60, 77,"),
	       "what is no IP");

	v = verdict("100.64.0.2", "10.0.0.8", 6, 22);
	o = verdict_json(&v, p, &peer);
	text = json_object_to_json_string_ext(
		o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	tap_ok(!strcmp(text,
		       "{\"time\":\"2023-11-14T22:13:20.123456789Z\",\"direction\":\"in\",\"verdict\":\"accept\",\"cause\":\"rule\",\"rule\":17,\"rule_text\":\"100.64.0.0/10 > 10.0.0.0/8:22 tcp\",\"generation\":4,\"peer\":9,\"peer_addr\":\"100.64.0.2\",\"proto\":6,\"proto_name\":\"tcp\",\"src\":\"100.64.0.2\",\"dst\":\"10.0.0.8\",\"sport\":40000,\"dport\":22,\"tcp_flags\":\"S\",\"len\":60,\"packets\":1}"),
	       "as JSON: %s", text);
	json_object_put(o);
	v.flags = TAILRACE_TRACE_IN | TAILRACE_TRACE_DROP;
	v.drop = TAILRACE_DROP_SHIELDS_UP;
	o = verdict_json(&v, NULL, NULL);
	text = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN);
	tap_ok(strstr(text, "\"verdict\":\"drop\",\"reason\":\"shields_up\",\"generation\":4") &&
		       !strstr(text, "rule") && !strstr(text, "cause"),
	       "a drop as JSON");
	json_object_put(o);
}

static void sets(void)
{
	static const char *const same[] = { "*", "10.0.0.0/8", "10.1.2.3",
					    "fd7a::/48", "::1",
					    "10.0.0.1-10.0.0.9", "::1-::9" };
	static const char *const bad[] = { "", "10.0.0.1/8", "10.0.0.0/33",
					   "9.9.9.9-1.1.1.1", "1.1.1.1-::1",
					   "a-b", "1.1.1.1-2.2.2.2-3.3.3.3",
					   "**" };
	struct ip_addr in, out, six;
	struct tailrace_addr a;
	char text[ADDRSET_TEXT_MAX];
	size_t i, n;

	for (i = n = 0; i < ARRAY_SIZE(same); i++)
		n += !addrset_parse(&a, same[i]) &&
		     !strcmp(addrset_format(&a, text), same[i]);
	tap_ok(n == i, "sets of addresses there and back (%zu)", n);
	for (i = n = 0; i < ARRAY_SIZE(bad); i++)
		n += addrset_parse(&a, bad[i]) < 0;
	tap_ok(n == i, "and what is none (%zu)", n);
	ip_parse(&in, "10.0.0.9");
	ip_parse(&out, "10.0.0.10");
	ip_parse(&six, "a00:9::");
	a = set("10.0.0.1-10.0.0.9");
	tap_ok(addrset_contains(&a, &in) && !addrset_contains(&a, &out) &&
		       !addrset_contains(&a, &six),
	       "a range ends with its last");
	a = set("10.0.0.8/31");
	tap_ok(addrset_contains(&a, &in) && !addrset_contains(&a, &out) &&
		       !addrset_contains(&a, &six),
	       "a prefix likewise");
	a.kind = 77;
	tap_ok(!addrset_contains(&a, &in) &&
		       !strcmp(addrset_format(&a, text), "?"),
	       "a kind that nobody knows contains nothing");
}

int main(void)
{
	conditions();
	questions();
	codec();
	sets();
	rules();
	lines();
	return tap_done();
}
