// SPDX-License-Identifier: GPL-2.0
/* HuJSON and policy files: what is taken, and what is said of the rest. */
#include <json.h>
#include <stdlib.h>
#include <string.h>

#include "coord/hujson.h"
#include "coord/policy_compile.h"
#include "coord/policy_test.h"
#include "lib/json.h"
#include "lib/util.h"
#include "tap.h"

static const struct hujson_limits limits = { 1 << 16, 8, 1000 };

/* Every value as "line:column", in order, members with their names. */
static size_t walk(const struct hujson *v, char *out, size_t max)
{
	size_t n = 0;

	for (; v; v = v->next) {
		n += (size_t)snprintf(out + n, max - n, "%s%s%u:%u%s%s ",
				      v->name ? v->name : "",
				      v->name ? "=" : "", v->line, v->column,
				      v->text ? "/" : "",
				      v->text ? v->text : "");
		n += walk(v->children, out + n, max - n);
	}
	return n;
}

static void is_document(const char *text, const char *want)
{
	struct hujson_error err = { 0 };
	struct hujson *v = hujson_parse(text, strlen(text), &limits, &err);
	char have[512] = "";

	if (v)
		walk(v, have, sizeof(have));
	else
		snprintf(have, sizeof(have), "%u:%u: %s", err.line, err.column,
			 err.text);
	hujson_free(v);
	if (!tap_ok(!strcmp(have, want), "hujson %.*s",
		    (int)strcspn(want, "\n"), want))
		printf("# have %s\n", have);
}

static void test_hujson(void)
{
	static const char *const good[][2] = {
		{ "{}", "1:1 " },
		{ " [1, -2.5e3,]\n", "1:2 1:3/1 1:6/-2.5e3 " },
		{ "// a\n{/* b */\"k\"/**/:\n\ttrue,}//", "2:1 k=3:2 " },
		{ "{\"a\": {\"b\": [null, false]}, \"c\": \"d\"}",
		  "1:1 a=1:7 b=1:13 1:14 1:20 c=1:34/d " },
		{ "\"\\u0041\\n\\\"\\\\ \\ud83d\\ude00 \xc3\xa9\"",
		  "1:1/A\n\"\\ \xf0\x9f\x98\x80 \xc3\xa9 " },
	};
	static const char *const bad[][2] = {
		{ "", "1:1: the end of the file where a value is expected" },
		{ "[1,,2]", "1:4: ',' where a value is expected" },
		{ "[1 2]", "1:4: '2' where ',' or ']' is expected" },
		{ "{\"a\" 1}", "1:6: '1' where ':' is expected" },
		{ "{\"a\":1\n\"b\":2}", "2:1: '\"' where ',' or '}' is expected" },
		{ "{a:1}", "1:2: 'a' where a name in quotes or '}' is expected" },
		{ "{'a':1}", "1:2: ''' where a name in quotes or '}' is expected" },
		{ "{,}", "1:2: ',' where a name in quotes or '}' is expected" },
		{ "[,]", "1:2: ',' where a value is expected" },
		{ "{} x", "1:4: 'x' where the end of the file is expected" },
		{ "[1]]", "1:4: ']' where the end of the file is expected" },
		{ "[\n\"abc\n\"]", "2:1: this string has no end, '\"' is expected" },
		{ "\"a\\", "1:1: this string has no end, '\"' is expected" },
		{ "\"a\\x\"", "1:3: this escape is none that JSON knows" },
		{ "\"\\u12g4\"", "1:2: this escape is none that JSON knows" },
		{ "\"\\ud800\"", "1:2: half of a surrogate pair" },
		{ "\"\\udc00\"", "1:2: half of a surrogate pair" },
		{ "\"\\u0000\"", "1:2: a NUL is no part of any name" },
		{ "\"a\tb\"", "1:3: the byte 0x09 in a string, an escape is expected" },
		{ "\"\xc3\"", "1:2: the byte 0xc3 is not UTF-8" },
		{ "\"\xed\xa0\x80\"", "1:2: the byte 0xed is not UTF-8" },
		{ "// \xff\n{}", "1:4: the byte 0xff is not UTF-8" },
		{ "\xef\xbb\xbf{}", "1:1: the byte 0xef where a value is expected" },
		{ "\n /* a\n", "2:2: this comment has no end, '*/' is expected" },
		{ "/ {}", "1:1: '/' where a value is expected" },
		{ "[01]", "1:2: not a number as JSON writes them" },
		{ "[1.]", "1:2: not a number as JSON writes them" },
		{ "[.5]", "1:2: '.' where a value is expected" },
		{ "[-]", "1:2: not a number as JSON writes them" },
		{ "[tru]", "1:2: 't' where a value is expected" },
		{ "[truely]", "1:6: 'l' where ',' or ']' is expected" },
		{ "{\"a\":1, \"b\":2,\n \"a\":3, \"b\":4}",
		  "2:2: \"a\" is there twice" },
		{ "[[[[[[[[[1]]]]]]]]]", "1:9: nested more than 8 levels deep" },
	};
	char *many;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		is_document(good[i][0], good[i][1]);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		is_document(bad[i][0], bad[i][1]);
	many = xmalloc(limits.bytes + 2);
	memset(many, ' ', limits.bytes + 1);
	many[limits.bytes + 1] = '\0';
	is_document(many, "1:1: 65537 bytes, at most 65536 are read");
	many[0] = '[';
	for (i = 0; i < 1000; i++)
		memcpy(many + 1 + 2 * i, "1,", 2);
	many[2001] = ']';
	many[2002] = '\0';
	is_document(many, "1:2000: more than 1000 values");
	free(many);
}

/* All messages of a file, joined by newlines. */
static char *check(const char *text)
{
	struct policy_report report = { 0 };
	struct policy *p =
		policy_load(text, strlen(text), NULL, 0, &report);
	char *out = xstrdup(p ? "ok" : "refused"), *line, *joined;
	size_t i;

	if (!p != !!report.n_errors)
		tap_ok(false, "errors are what refuses a file");
	for (i = 0; i < report.n_messages; i++) {
		line = policy_message_format(&report.messages[i], "f");
		if (asprintf(&joined, "%s\n%s", out, line) < 0)
			abort();
		free(out);
		free(line);
		out = joined;
	}
	if (report.more)
		strcpy(out, "more");
	policy_report_clear(&report);
	policy_free(p);
	return out;
}

static void is_policy(const char *text, const char *want)
{
	_cleanup_free_ char *have = check(text);

	const char *first = strchr(want, '\n');

	first = first ? first + 1 : want;
	if (!tap_ok(!strcmp(have, want), "%.*s", (int)strcspn(first, "\n"),
		    first))
		printf("# of\n%s\n# have\n%s\n# want\n%s\n", text, have, want);
}

#define NAMES                                                        \
	"\"groups\": {\"group:g\": [\"a@\", \"b@x.org\"]},"          \
	"\"tagOwners\": {\"tag:t\": [\"group:g\"], \"tag:u\": []},"  \
	"\"hosts\": {\"h\": \"10.1.0.1\", \"n\": \"10.2.0.0/16\"},"

/* A rule alone in a file that has some names. */
static void is_rule(const char *rule, const char *want)
{
	_cleanup_free_ char *text = NULL;

	if (asprintf(&text, "{%s\"acls\": [\n%s\n]}", NAMES, rule) < 0)
		abort();
	is_policy(text, want);
}

#define ACL(src, dst) \
	"{\"action\": \"accept\", \"src\": [" src "], \"dst\": [" dst "]}"

static void test_rules(void)
{
	static const char *const good[] = {
		ACL("\"*\"", "\"*:*\""),
		ACL("\"a@\", \"b@x.org\", \"group:g\", \"tag:t\"", "\"h:22\""),
		ACL("\"autogroup:member\", \"autogroup:tagged\"",
		    "\"autogroup:internet:*\""),
		ACL("\"autogroup:danger-all\"", "\"tag:u:1-65535\""),
		ACL("\"a@\", \"*\"", "\"autogroup:self:*\""),
		ACL("\"100.64.0.1\", \"fd7a::/64\", \"h\"",
		    "\"10.0.0.0/8:80,443,8000-8080\", \"n:*\""),
		ACL("\"100.64.0.1-100.64.0.9\"", "\"fd7a::1:22\""),
		ACL("", ""),
		ACL("\" tag:t \"", "\"[fd7a::1]:22\", \"[fd7a::]/64:*\""),
		"{\"action\": \"accept\", \"proto\": \"TCP\", \"src\": [\"*\"],"
		" \"dst\": [\"*:22\"], \"#note\": {\"x\": 1}}",
		"{\"Action\": \"accept\", \"proto\": 47, \"src\": [\"*\"],"
		" \"DST\": [\"*:*\"]}",
	};
	static const char *const bad[][2] = {
		{ "{}", "f:2:1: this has no action\n"
			"f:2:1: this has no dst\n"
			"f:2:1: this has no src" },
		{ "[]", "f:2:1: a rule is a list, an object is expected" },
		{ "{\"action\": \"deny\", \"src\": [], \"dst\": []}",
		  "f:2:12: the action \"deny\" is not \"accept\", the only one there is" },
		{ "{\"action\": \"accept\", \"src\": \"*\", \"dst\": []}",
		  "f:2:29: src is a string, a list is expected" },
		{ ACL("1", ""), "f:2:30: an entry is a number, a string is expected" },
		{ ACL("\"group:x\"", ""), "f:2:30: \"group:x\" is not in groups" },
		{ ACL("", "\"tag:x:*\""), "f:2:41: \"tag:x\" is not in tagOwners" },
		{ ACL("\"autogroup:admin\"", ""),
		  "f:2:30: \"autogroup:admin\" is not known here; there are autogroup:member, tagged, self, internet and danger-all (users have no roles)" },
		{ ACL("\"autogroup:self\"", ""),
		  "f:2:30: \"autogroup:self\" is not possible as a source" },
		{ ACL("\"autogroup:internet\"", ""),
		  "f:2:30: \"autogroup:internet\" is not possible as a source" },
		{ ACL("", "\"autogroup:danger-all:*\""),
		  "f:2:41: \"autogroup:danger-all\" is not possible as a destination" },
		{ ACL("\"nobody\"", ""),
		  "f:2:30: \"nobody\" is no address and not in hosts; users are written with an @, others as group:, tag: or autogroup:" },
		{ ACL("\"10.0.0.0/33\"", ""),
		  "f:2:30: \"10.0.0.0/33\" is no address and not in hosts; users are written with an @, others as group:, tag: or autogroup:" },
		{ ACL("\"100.64.0.9-100.64.0.1\"", ""),
		  "f:2:30: \"100.64.0.9-100.64.0.1\" is no address and not in hosts; users are written with an @, others as group:, tag: or autogroup:" },
		{ ACL("\"user:*@x.org\"", ""),
		  "f:2:30: \"user:*@x.org\" is no user's name: users are named one by one here" },
		{ ACL("\"ipset:x\"", ""),
		  "f:2:30: \"ipset:x\": IP sets and services are not known here" },
		{ ACL("", "\"h\""), "f:2:41: \"h\" has no ports, HOST:PORTS is expected" },
		{ ACL("", "\":22\""), "f:2:41: \":22\" has no ports, HOST:PORTS is expected" },
		{ ACL("", "\"h:\""), "f:2:41: \"h:\" has no ports, HOST:PORTS is expected" },
		{ ACL("", "\"h:0\""), "f:2:41: the ports \"0\" are not '*' or a list such as 22,80-90 of 1 to 65535" },
		{ ACL("", "\"h:65536\""), "f:2:41: the ports \"65536\" are not '*' or a list such as 22,80-90 of 1 to 65535" },
		{ ACL("", "\"h:9-1\""), "f:2:41: the ports \"9-1\" are not '*' or a list such as 22,80-90 of 1 to 65535" },
		{ ACL("", "\"h:22,\""), "f:2:41: the ports \"22,\" are not '*' or a list such as 22,80-90 of 1 to 65535" },
		{ ACL("", "\"h:ssh\""), "f:2:41: the ports \"ssh\" are not '*' or a list such as 22,80-90 of 1 to 65535" },
		{ ACL("", "\"[h]:22\""), "f:2:41: \"[h]:22\": brackets are for IPv6 addresses, [2001:db8::1]:22" },
		{ ACL("", "\"[10.0.0.1]:22\""), "f:2:41: \"[10.0.0.1]:22\": brackets are for IPv6 addresses, [2001:db8::1]:22" },
		{ ACL("\"tag:t\"", "\"autogroup:self:*\""),
		  "f:2:29: with the destination autogroup:self, sources are users, groups or autogroup:member or *" },
		{ "{\"action\": \"accept\", \"proto\": \"icmp\", \"src\": [], \"dst\": [\"*:22\"]}",
		  "f:2:58: \"*:22\": only tcp, udp and sctp have ports, '*' is expected" },
		{ "{\"action\": \"accept\", \"proto\": \"*\", \"src\": [], \"dst\": []}",
		  "f:2:31: the protocol \"*\" is neither 1 to 255 nor a name such as tcp, udp, icmp, sctp, gre" },
		{ "{\"action\": \"accept\", \"proto\": \"06\", \"src\": [], \"dst\": []}",
		  "f:2:31: the protocol \"06\" is neither 1 to 255 nor a name such as tcp, udp, icmp, sctp, gre" },
		{ "{\"action\": \"accept\", \"proto\": 256, \"src\": [], \"dst\": []}",
		  "f:2:31: the protocol \"256\" is neither 1 to 255 nor a name such as tcp, udp, icmp, sctp, gre" },
		{ "{\"action\": \"accept\", \"users\": [], \"src\": [], \"dst\": []}",
		  "f:2:22: users is not supported: it is called src now" },
		{ "{\"action\": \"accept\", \"srcs\": [], \"src\": [], \"dst\": []}",
		  "f:2:22: \"srcs\" is not known; there are action, proto, src, dst" },
		{ "{\"action\": \"accept\", \"src\": [], \"SRC\": [], \"dst\": []}",
		  "f:2:33: src is there twice" },
		{ "{\"action\": \"accept\", \"srcPosture\": [], \"src\": [], \"dst\": []}",
		  "f:2:22: srcPosture is not supported: device posture is not known here, and without it the rule would allow more than is written" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		is_rule(good[i], "ok");
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup_free_ char *want = NULL;

		if (asprintf(&want, "refused\n%s", bad[i][1]) < 0)
			abort();
		is_rule(bad[i][0], want);
	}
}

static void test_sections(void)
{
	static const char *const table[][2] = {
		{ "{}", "ok" },
		{ "{\"acls\": null, \"tests\": []}", "ok" },
		{ "[]", "refused\nf:1:1: the policy is a list, an object is expected" },
		{ "{\"groups\": {\"g\": []}}",
		  "refused\nf:1:13: \"g\" is no group, \"group:NAME\" is expected" },
		{ "{\"groups\": {\"group:g\": \"a@\"}}",
		  "refused\nf:1:24: group:g is a string, a list is expected" },
		{ "{\"groups\": {\"group:g\": [\"group:h\", \"a\", 1]}}",
		  "refused\nf:1:25: \"group:h\": a group has users, no groups\n"
		  "f:1:36: \"a\" is no user, a name with an @ is expected\n"
		  "f:1:41: a member is a number, a string is expected" },
		{ "{\"hosts\": {\"a:b\": \"10.0.0.1\", \"10.0.0.2\": \"10.0.0.1\", \"c\": \"d\", \"e\": 1}}",
		  "refused\nf:1:12: \"a:b\" cannot be a host's name: no address, none of @ : * / or blanks\n"
		  "f:1:31: \"10.0.0.2\" cannot be a host's name: no address, none of @ : * / or blanks\n"
		  "f:1:60: \"d\" is no address and no prefix\n"
		  "f:1:70: e is a number, a string is expected" },
		{ "{\"tagOwners\": {\"tag:\": [], \"tag:1\": [], \"tag:a b\": [], \"t\": []}}",
		  "refused\nf:1:16: \"tag:\" is no tag, \"tag:NAME\" is expected: a letter, then letters, digits, - _ .\n"
		  "f:1:28: \"tag:1\" is no tag, \"tag:NAME\" is expected: a letter, then letters, digits, - _ .\n"
		  "f:1:41: \"tag:a b\" is no tag, \"tag:NAME\" is expected: a letter, then letters, digits, - _ .\n"
		  "f:1:56: \"t\" is no tag, \"tag:NAME\" is expected: a letter, then letters, digits, - _ ." },
		{ "{\"tagOwners\": {\"tag:a\": [\"tag:b\", \"*\", \"tag:c\"], \"tag:b\": [\"tag:a\", \"autogroup:member\"]}}",
		  "refused\nf:1:35: \"*\" is not possible as an owner or approver\n"
		  "f:1:40: \"tag:c\" is not in tagOwners" },
		{ "{\"autoApprovers\": {\"routes\": {\"10/8\": [], \"10.0.0.0/8\": [\"h\"]}, \"exit\": []}}",
		  "refused\nf:1:31: \"10/8\" is no prefix such as 10.0.0.0/8\n"
		  "f:1:58: \"h\" is no address and not in hosts; users are written with an @, others as group:, tag: or autogroup:\n"
		  "f:1:65: \"exit\" is not known; there are routes, exitNode" },
		{ "{\"grants\": [{\"src\": [\"*\"], \"dst\": [\"*\"], \"ip\": []}]}",
		  "refused\nf:1:13: this grant has no ip, such as [\"tcp:443\"] or [\"*\"]" },
		{ "{\"grants\": [{\"src\": [\"*\"], \"dst\": [\"*\"]}]}",
		  "refused\nf:1:13: this grant has no ip, such as [\"tcp:443\"] or [\"*\"]" },
		{ "{\"grants\": [{\"src\": [\"*\"], \"dst\": [\"10.0.0.0/8\", \"a@\"], \"ip\": [\"*\", \"22\", \"tcp:80-90,443\", \"icmp:*\", \"47:*\"]}]}",
		  "ok" },
		{ "{\"grants\": [{\"src\": [\"*\"], \"dst\": [\"0.0.0.0/0\"], \"ip\": [\"icmp:1\", \"*:22\", \"tcp:x\", \"tcp\"]}]}",
		  "refused\nf:1:36: \"0.0.0.0/0\" is not a grant's destination; write * or autogroup:internet\n"
		  "f:1:57: \"icmp:1\": only tcp, udp and sctp have ports, '*' is expected\n"
		  "f:1:67: the protocol \"*\" is neither 1 to 255 nor a name such as tcp, udp, icmp, sctp, gre\n"
		  "f:1:75: the ports \"x\" are not '*' or a list such as 22,80-90 of 1 to 65535\n"
		  "f:1:84: the ports \"tcp\" are not '*' or a list such as 22,80-90 of 1 to 65535" },
		{ "{\"grants\": [{\"src\": [\"*\"], \"dst\": [\"autogroup:self\"], \"ip\": [\"*\"], \"via\": [\"tag:x\"]}]}",
		  "refused\nf:1:21: with the destination autogroup:self, sources are users, groups or autogroup:member\n"
		  "f:1:76: \"tag:x\" is not in tagOwners" },
		{ "{\"tagOwners\": {\"tag:r\": []}, \"grants\": ["
		  "{\"src\": [\"*\"], \"dst\": [\"10.0.0.0/8\", \"autogroup:internet\"], \"ip\": [\"*\"], \"via\": [\"tag:r\"]},\n"
		  "{\"src\": [\"*\"], \"dst\": [\"10.0.0.0/8\"], \"ip\": [\"*\"], \"via\": []},\n"
		  "{\"src\": [\"*\"], \"dst\": [\"*\"], \"ip\": [\"*\"], \"via\": null}]}",
		  "ok" },
		{ "{\"tagOwners\": {\"tag:r\": []}, \"grants\": [{\"src\": [\"*\"], \"dst\": [\"10.0.0.0/8\"], \"ip\": [\"*\"],\n"
		  "\"via\": [\"tag:r\", \"autogroup:tagged\", \"a@\", 1]}]}",
		  "refused\nf:2:18: \"autogroup:tagged\" is not possible as a router: via takes tags\n"
		  "f:2:38: \"a@\" is not possible as a router: via takes tags\n"
		  "f:2:44: an entry is a number, a string is expected" },
		{ "{\"tagOwners\": {\"tag:r\": []}, \"grants\": [{\"src\": [\"*\"], \"dst\": [\"10.0.0.0/8\", \"tag:r\",\n\"*\"], \"ip\": [\"*\"], \"via\": [\"tag:r\"]}]}",
		  "ok\nf:1:78: warning: \"tag:r\" has no effect: via is for subnets and autogroup:internet\n"
		  "f:2:1: warning: \"*\" has no effect: via is for subnets and autogroup:internet" },
		{ "{\"tagOwners\": {\"tag:r\": []}, \"acls\": [{\"action\": \"accept\", \"src\": [], \"dst\": [], \"via\": [\"tag:r\"]}]}",
		  "refused\nf:1:82: \"via\" is not known; there are action, proto, src, dst" },
		{ "{\"grants\": [{\"src\": [\"*\"], \"dst\": [\"*\"], \"app\": {\"a.org/c\": [{}]}}], \"acls\": []}",
		  "ok\nf:1:42: warning: app has no effect: this server grants no application capabilities" },
		{ "{\"ssh\": [],\n \"sshTests\": [],\n \"SSH\": []}",
		  "refused\nf:1:2: warning: ssh has no effect: this server sends no SSH policy\n"
		  "f:2:2: warning: sshTests has no effect: this server sends no SSH policy\n"
		  "f:3:2: ssh is there twice" },
		{ "{\"acl\": []}",
		  "refused\nf:1:2: \"acl\" is not known; there are groups, hosts, tagOwners, acls, grants, autoApprovers, nodeAttrs, randomizeClientPort, tests" },
		{ "{\"nodeAttrs\": [{\"target\": [\"*\"], \"attr\": [\"funnel\"], \"ipPool\": []}, {\"attr\": []}]}",
		  "refused\nf:1:54: warning: ipPool has no effect: addresses come from one pool here\n"
		  "f:1:69: this has no target" },
		{ "{\"randomizeClientPort\": 1}",
		  "refused\nf:1:25: randomizeClientPort is a number, true or false is expected" },
		{ "{\"acls\": [{\"\\u001b[31m\\u007f\": 1}]}",
		  "refused\nf:1:11: this has no action\nf:1:11: this has no dst\n"
		  "f:1:11: this has no src\nf:1:12: \"?[31m?\" is not known; there are action, proto, src, dst" },
		{ "{\"acls\": [", "refused\nf:1:11: the end of the file where a value is expected" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++)
		is_policy(table[i][0], table[i][1]);
}

static void test_tests(void)
{
	/* the destinations that a test cannot have, then those that fail */
	static const char *const table[][2] = {
		{ "{\"src\": \"a@\", \"accept\": [\"h:22\", \"tag:t:80\"], \"deny\": [\"h:23\"]}",
		  "ok" },
		{ "{\"src\": \"b@x.org\", \"accept\": [\"h:22\"]}",
		  "refused\nf:2:31: test failed: \"b@x.org\" to \"h:22\": expected to be accepted, but denied" },
		{ "{\"src\": \"a@\", \"deny\": [\"h:22\"]}",
		  "refused\nf:2:24: test failed: \"a@\" to \"h:22\": expected to be denied, but accepted" },
		{ "{\"src\": \"a@\", \"proto\": \"udp\", \"deny\": [\"h:22\"], \"accept\": [\"tag:t:80\"]}",
		  "ok" },
		{ "{\"src\": \"a@\", \"proto\": \"sctp\", \"accept\": [\"tag:t:80\"]}",
		  "refused\nf:2:43: test failed: \"a@\" to \"tag:t:80\": expected to be accepted, but denied" },
		/* a group is denied only if none of it is let in */
		{ "{\"src\": \"group:g\", \"deny\": [\"h:22\"]}",
		  "refused\nf:2:29: test failed: \"group:g\" to \"h:22\": expected to be denied, but accepted" },
		{ "{\"src\": \"group:g\", \"accept\": [\"h:22\"]}",
		  "refused\nf:2:31: test failed: \"group:g\" to \"h:22\": expected to be accepted, but denied" },
		{ "{\"src\": \"stranger@\", \"deny\": [\"h:22\", \"tag:t:80\"]}", "ok" },
		{ "{\"src\": \"a@\", \"accept\": [\"autogroup:self:9\"], \"deny\": [\"b@x.org:9\"]}", "ok" },
		{ "{\"src\": \"autogroup:tagged\", \"deny\": [\"autogroup:member:80\"]}", "ok" },
		{ "{\"src\": \"group:e\", \"deny\": [\"h:1\"]}",
		  "refused\nf:2:29: test failed: \"group:e\" to \"h:1\": the source is nobody" },
		{ "{\"src\": \"a@\"}",
		  "refused\nf:2:1: this test expects nothing, accept or deny is missing" },
		{ "{\"src\": \"a@\", \"proto\": \"icmp\", \"deny\": [\"h:22,23\", \"10.0.0.0/8:1\", \"autogroup:internet:1\"]}",
		  "refused\nf:2:24: \"icmp\": tests are of tcp, udp or sctp\n"
		  "f:2:41: \"h:22,23\": a test has one port\n"
		  "f:2:52: \"10.0.0.0/8:1\": a test has one destination\n"
		  "f:2:68: \"autogroup:internet\" is not possible as the destination of a test" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(table); i++) {
		_cleanup_free_ char *text = NULL;

		if (asprintf(&text,
			     "{\"groups\":{\"group:g\":[\"a@\",\"b@x.org\"],\"group:e\":[]},"
			     "\"tagOwners\":{\"tag:t\":[]},\"hosts\":{\"h\":\"10.1.0.1\"},"
			     "\"acls\":[{\"action\":\"accept\",\"proto\":\"tcp\",\"src\":[\"a@\"],\"dst\":[\"h:22\"]},"
			     "{\"action\":\"accept\",\"src\":[\"a@\"],\"dst\":[\"tag:t:80\",\"autogroup:self:*\"]}],\"tests\":[\n%s]}",
			     table[i][0]) < 0)
			abort();
		is_policy(text, table[i][1]);
	}
}

static void test_bounds(void)
{
	struct policy_report report = { 0 };
	char *text = xmalloc(POLICY_MAX_BYTES + 1), *p;
	size_t i, n;

	p = text + sprintf(text, "{\"acls\":[");
	for (i = 0; i < 30; i++)
		p += sprintf(p, "7,\n");
	strcpy(p, "]}");
	policy_parse(text, strlen(text), &report);
	tap_ok(report.n_errors == POLICY_MAX_ERRORS && report.more,
	       "%zu errors of 30 are reported", report.n_errors);
	policy_report_clear(&report);

	p = text + sprintf(text, "{\"acls\":[");
	for (i = 0; i <= POLICY_MAX_RULES; i++)
		p += sprintf(p, "{\"action\":\"accept\",\"src\":[],\"dst\":[]},");
	strcpy(p, "]}");
	policy_parse(text, strlen(text), &report);
	tap_ok(report.n_errors == 1 &&
		       !strcmp(report.messages[0].text,
			       "more than 10000 rules"),
	       "the number of rules is bounded");
	policy_report_clear(&report);

	p = text + sprintf(text, "{\"groups\":{\"group:g\":[");
	for (i = 0; i <= 5000; i++)
		p += sprintf(p, "\"u%zu@\",", i);
	strcpy(p, "]},\"tests\":[{\"src\":\"group:g\",\"deny\":[\"10.0.0.1:1\"]}]}");
	tap_ok(!policy_load(text, strlen(text), NULL, 0, &report) &&
		       report.n_errors == 1 &&
		       !strcmp(report.messages[0].text,
			       "the tests are about more than 5000 users and tags"),
	       "the number of users in tests is bounded");
	policy_report_clear(&report);

	n = POLICY_MAX_BYTES + 1;
	memset(text, ' ', n);
	text[0] = '{';
	text[1] = '}';
	tap_ok(!policy_parse(text, n, &report) && report.n_errors == 1,
	       "the size of a file is bounded");
	policy_report_clear(&report);
	free(policy_parse(text, n - 1, &report));
	tap_ok(!report.n_messages, "and one byte less is taken");
	policy_report_clear(&report);
	free(text);
}

/* A bit of everything. */
static const char sample[] =
	"// who is who\n"
	"{\n"
	"\t\"groups\": {\"group:dev\": [\"ann@\", \"bob@example.com\"],},\n"
	"\t\"hosts\": {\"db\": \"10.1.2.3\", \"lab\": \"10.9.0.0/16\"},\n"
	"\t\"tagOwners\": {\"tag:web\": [\"group:dev\"], \"tag:ci\": [\"tag:web\"]},\n"
	"\t\"acls\": [ /* first */\n"
	"\t\t{\"action\": \"accept\", \"proto\": \"tcp\", \"src\": [\"group:dev\"],\n"
	"\t\t \"dst\": [\"tag:web:80,443\", \"db:5432\", \"lab:*\"]},\n"
	"\t\t{\"action\": \"accept\", \"src\": [\"autogroup:member\"],\n"
	"\t\t \"dst\": [\"autogroup:self:*\", \"autogroup:internet:*\"]},\n"
	"\t],\n"
	"\t\"grants\": [{\"src\": [\"tag:ci\", \"100.64.0.1-100.64.0.7\"],\n"
	"\t\t\"dst\": [\"tag:web\", \"fd7a:115c:a1e0::/64\"], \"ip\": [\"tcp:22\", \"icmp:*\"]}],\n"
	"\t\"autoApprovers\": {\"routes\": {\"10.0.0.0/8\": [\"tag:web\"]}, \"exitNode\": [\"ann@\"]},\n"
	"\t\"nodeAttrs\": [{\"target\": [\"*\"], \"attr\": [\"magicdns-aaaa\"]}],\n"
	"\t\"ssh\": [{\"action\": \"check\", \"src\": [\"\\u0061\"]}],\n"
	"\t\"tests\": [{\"src\": \"ann@\", \"accept\": [\"db:5432\"], \"deny\": [\"db:22\"]}],\n"
	"}\n";

/* Whatever is refused is refused with a place inside the file and a reason. */
static bool sound(const char *text, size_t len)
{
	struct policy_report report = { 0 };
	char *copy = xmalloc(len ? len : 1);
	struct policy *p;
	bool good;
	size_t i;

	memcpy(copy, text, len); /* for the sanitizer: not a byte more */
	p = policy_load(copy, len, NULL, 0, &report);
	good = !p == !!report.n_errors;
	for (i = 0; i < report.n_messages; i++)
		good = good && report.messages[i].line &&
		       report.messages[i].column &&
		       report.messages[i].column <= len + 1 &&
		       *report.messages[i].text;
	policy_free(p);
	policy_report_clear(&report);
	free(copy);
	return good;
}

static void test_mutations(void)
{
	static const char bytes[] = "\0\"\\{}[],:/*0a@-\n\xff";
	char *copy = xstrdup(sample);
	struct policy_report report = { 0 };
	struct policy *p = policy_load(sample, strlen(sample), NULL, 0,
				       &report);
	size_t len = strlen(sample), i, k, bad = 0, taken = 0;

	tap_ok(p && report.n_messages == 1 && report.messages[0].warning,
	       "the sample is taken, with a warning of ssh");
	policy_free(p);
	policy_report_clear(&report);
	for (i = 0; i < len; i++)
		bad += !sound(sample, i);
	tap_ok(!bad, "cut short at each of %zu bytes", len);
	for (i = 0; i + 2 < len; i++) {
		p = policy_parse(sample, i, &report);
		taken += !!p;
		policy_free(p);
		policy_report_clear(&report);
	}
	tap_ok(!taken, "no part of a file is taken for a file");
	for (i = 0; i < len; i++) {
		for (k = 0; k < sizeof(bytes) - 1; k++) {
			copy[i] = bytes[k];
			bad += !sound(copy, len);
		}
		copy[i] = sample[i];
	}
	tap_ok(!bad, "%zu bytes changed, one at a time", len * k);
	free(copy);
}

static void test_tags_and_routes(void)
{
	static const char text[] =
		"{\"groups\": {\"group:g\": [\"ann@\", \"bob@example.com\"]},"
		"\"tagOwners\": {\"tag:a\": [\"group:g\"], \"tag:b\": [\"tag:a\"],"
		" \"tag:c\": [\"tag:c\", \"tag:d\"], \"tag:d\": [\"tag:c\"], \"tag:e\": [\"autogroup:member\"]},"
		"\"autoApprovers\": {\"routes\": {\"10.0.0.0/8\": [\"tag:a\"], \"0.0.0.0/0\": [\"tag:b\"],"
		" \"192.168.1.0/24\": [\"group:g\"]}, \"exitNode\": [\"bob@example.com\"]}}";
	static const char *const a[] = { "tag:a" }, *const c[] = { "tag:c" };
	static const struct {
		const char *login;
		const char *const *tags;
		const char *tag;
		bool may;
	} tags[] = {
		{ "ann", NULL, "tag:a", true },
		{ "ann@", NULL, "tag:a", true },
		{ "bob@example.com", NULL, "tag:a", true },
		{ "bob", NULL, "tag:a", false },
		{ "ann", NULL, "tag:b", true }, /* by way of tag:a */
		{ NULL, a, "tag:b", true },
		{ NULL, a, "tag:a", false },
		{ NULL, c, "tag:d", true },
		{ "ann", NULL, "tag:c", false }, /* a circle */
		{ "eve", NULL, "tag:e", true },
		{ NULL, a, "tag:e", false },
		{ "ann", NULL, "tag:x", false },
		{ "ann", NULL, "a", false },
	};
	static const struct {
		const char *user, *tag, *route;
		bool approved;
	} routes[] = {
		{ NULL, "tag:a", "10.0.0.0/8", true },
		{ NULL, "tag:a", "10.1.0.0/16", true },
		{ NULL, "tag:a", "10.0.0.0/7", false },
		{ NULL, "tag:a", "11.0.0.0/8", false },
		{ "ann", NULL, "10.0.0.0/8", false },
		{ "ann", NULL, "192.168.1.128/25", true },
		{ "ann", "tag:c", "192.168.1.0/24", false }, /* no longer hers */
		{ NULL, "tag:b", "172.16.0.0/12", true },
		{ NULL, "tag:b", "0.0.0.0/0", false }, /* exitNode's matter */
		{ NULL, "tag:b", "2001:db8::/32", false },
		{ "bob@example.com", NULL, "0.0.0.0/0", true },
		{ "bob@example.com", NULL, "::/0", true },
		{ "ann", NULL, "::/0", false },
	};
	struct policy_report report = { 0 };
	struct policy *p = policy_parse(text, strlen(text), &report);
	struct prefix prefix;
	size_t i;

	tap_ok(p && policy_tag_exists(p, "tag:a") &&
		       !policy_tag_exists(p, "tag:x") &&
		       !policy_tag_exists(NULL, "tag:a"),
	       "the tags there are");
	for (i = 0; i < ARRAY_SIZE(tags); i++)
		tap_ok(policy_may_tag(p, tags[i].login, tags[i].tags,
				      !!tags[i].tags, tags[i].tag) ==
			       tags[i].may,
		       "%s %s may%s take %s",
		       tags[i].login ? tags[i].login : "",
		       tags[i].tags ? *tags[i].tags : "",
		       tags[i].may ? "" : " not", tags[i].tag);
	for (i = 0; i < ARRAY_SIZE(routes); i++) {
		struct policy_node node = { .user = routes[i].user,
					    .tags = &routes[i].tag,
					    .n_tags = !!routes[i].tag };

		prefix_parse(&prefix, routes[i].route);
		tap_ok(policy_approves_route(p, &node, &prefix) ==
			       routes[i].approved,
		       "%s of %s %s is%s approved", routes[i].route,
		       routes[i].user ? routes[i].user : "",
		       routes[i].tag ? routes[i].tag : "",
		       routes[i].approved ? "" : " not");
	}
	policy_free(p);
	policy_report_clear(&report);
}

int main(void)
{
	test_hujson();
	test_rules();
	test_sections();
	test_tests();
	test_bounds();
	test_mutations();
	test_tags_and_routes();
	return tap_done();
}
