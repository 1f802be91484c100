// SPDX-License-Identifier: GPL-2.0
#include "cli/expression.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "kernel/addrset.h"
#include "kernel/stats.h"
#include "lib/util.h"

static const struct {
	const char *name;
	uint8_t proto;
} protos[] = {
	{ "tcp", 6 },	 { "udp", 17 },	 { "icmp", 1 },	 { "icmp6", 58 },
	{ "sctp", 132 }, { "tsmp", 99 }, { "gre", 47 },	 { "esp", 50 },
	{ "igmp", 2 },	 { "icmpv6", 58 },
};

int expression_proto(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(protos); i++)
		if (!strcmp(protos[i].name, name))
			return protos[i].proto;
	return -1;
}

const char *expression_proto_name(uint8_t proto)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(protos); i++)
		if (protos[i].proto == proto)
			return protos[i].name;
	return NULL;
}

/* The whole text, in decimal, at most @max; -1 when it is none. */
static int64_t number(const char *text, int64_t max)
{
	char *end;
	long long n;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	n = strtoll(text, &end, 10);
	return errno || *end || n > max ? -1 : n;
}

int expression_port(const char *text)
{
	const struct servent *service;
	int64_t port = number(text, 65535);

	if (port >= 0)
		return (int)port;
	service = getservbyname(text, NULL);
	return service ? ntohs((uint16_t)service->s_port) : -1;
}

/* The words that are left, and where to complain. */
struct parser {
	struct expression *out;
	char **word; /* ends with NULL */
	char *error;
};

__attribute__((format(printf, 2, 3))) static bool wrong(struct parser *p,
							 const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->error, EXPRESSION_ERROR_MAX, fmt, ap);
	va_end(ap);
	return false;
}

/* The argument of @name, NULL after a complaint. */
static const char *argument(struct parser *p, const char *name)
{
	if (*p->word)
		return *p->word++;
	wrong(p, "'%s' needs something after it", name);
	return NULL;
}

/* Each condition once: they all have to hold, and two would exclude another. */
static bool give(struct parser *p, uint32_t what, const char *name)
{
	if (p->out->filter.given & what)
		return wrong(p, "'%s' says it twice; there is no 'or'", name);
	p->out->filter.given |= what;
	return true;
}

static bool give_flag(struct parser *p, uint32_t flag, uint32_t pair,
		      const char *name)
{
	if (p->out->filter.flags & pair)
		return wrong(p, "'%s' says it twice, or its contrary", name);
	p->out->filter.flags |= flag;
	p->out->filter.given |= VERDICT_GIVEN(FLAGS);
	return true;
}

static bool give_addr(struct parser *p, uint32_t what,
		      struct tailrace_addr *out, const char *name)
{
	const char *text = argument(p, name);

	if (!text || !give(p, what, name))
		return false;
	if (addrset_parse(out, text))
		return wrong(p,
			     "'%s' is no address, prefix without host bits or first-last",
			     text);
	return true;
}

static bool give_port(struct parser *p, uint32_t what, uint16_t *out,
		      const char *name)
{
	const char *text = argument(p, name);
	int port;

	if (!text || !give(p, what, name))
		return false;
	port = expression_port(text);
	if (port < 0)
		return wrong(p, "'%s' is no port", text);
	*out = (uint16_t)port;
	return true;
}

static bool give_number(struct parser *p, uint32_t what, uint32_t *out,
			const char *name)
{
	const char *text = argument(p, name);
	int64_t n;

	if (!text || !give(p, what, name))
		return false;
	n = number(text, UINT32_MAX);
	if (n < 0)
		return wrong(p, "'%s' is no number for '%s'", text, name);
	*out = (uint32_t)n;
	return true;
}

static bool give_proto(struct parser *p, int proto, const char *name)
{
	if (!give(p, VERDICT_GIVEN(PROTO), name))
		return false;
	p->out->filter.proto = (uint8_t)proto;
	return true;
}

static bool proto_term(struct parser *p, const char *name)
{
	const char *text = argument(p, name);
	int proto;

	if (!text)
		return false;
	proto = expression_proto(text);
	if (proto < 0)
		proto = (int)number(text, 255);
	if (proto < 0)
		return wrong(p, "'%s' is no IP protocol", text);
	return give_proto(p, proto, name);
}

/* After src or dst: "host" and "net" change nothing, "port" does. */
static bool side_term(struct parser *p, bool src, const char *name)
{
	struct verdict_filter *f = &p->out->filter;

	if (*p->word && !strcmp(*p->word, "port")) {
		p->word++;
		return src ? give_port(p, VERDICT_GIVEN(SPORT), &f->sport,
				       name) :
			     give_port(p, VERDICT_GIVEN(DPORT), &f->dport,
				       name);
	}
	if (*p->word && (!strcmp(*p->word, "host") || !strcmp(*p->word, "net")))
		p->word++;
	return src ? give_addr(p, VERDICT_GIVEN(SRC), &f->src, name) :
		     give_addr(p, VERDICT_GIVEN(DST), &f->dst, name);
}

static bool peer_term(struct parser *p, const char *name)
{
	if (*p->word && !ip_parse(&p->out->peer, *p->word)) {
		p->word++;
		return give(p, VERDICT_GIVEN(PEER), name);
	}
	return give_number(p, VERDICT_GIVEN(PEER), &p->out->filter.peer, name);
}

static bool same_reason(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if (*a != *b && !(*a == '_' && *b == '-'))
			return false;
	return *a == *b;
}

static bool reason_term(struct parser *p, const char *name)
{
	const char *text = argument(p, name), *known;
	uint32_t i;

	if (!text || !give(p, VERDICT_GIVEN(REASON), name))
		return false;
	for (i = 0; i < __TAILRACE_DROP_MAX; i++) {
		known = stats_drop_name(i);
		if (known && same_reason(known, text)) {
			p->out->filter.reason = i;
			return true;
		}
	}
	return wrong(p, "'%s' is no reason to drop; 'tailrace trace --help' lists them",
		     text);
}

static bool term(struct parser *p)
{
	struct verdict_filter *f = &p->out->filter;
	const char *w = *p->word++;

#define IS(word) (!strcmp(w, word))
	if (IS("and") || IS("&&"))
		return *p->word || wrong(p, "'%s' needs something after it", w);
	if (IS("accept"))
		return give_flag(p, TAILRACE_TRACE_ACCEPT,
				 TAILRACE_TRACE_ACCEPT | TAILRACE_TRACE_DROP, w);
	if (IS("drop"))
		return give_flag(p, TAILRACE_TRACE_DROP,
				 TAILRACE_TRACE_ACCEPT | TAILRACE_TRACE_DROP, w);
	if (IS("in"))
		return give_flag(p, TAILRACE_TRACE_IN,
				 TAILRACE_TRACE_IN | TAILRACE_TRACE_OUT, w);
	if (IS("out"))
		return give_flag(p, TAILRACE_TRACE_OUT,
				 TAILRACE_TRACE_IN | TAILRACE_TRACE_OUT, w);
	if (expression_proto(w) >= 0)
		return give_proto(p, expression_proto(w), w);
	if (IS("proto"))
		return proto_term(p, w);
	if (IS("from") || IS("src") || IS("saddr"))
		return side_term(p, true, w);
	if (IS("to") || IS("dst") || IS("daddr"))
		return side_term(p, false, w);
	if (IS("host") || IS("net"))
		return give_addr(p, VERDICT_GIVEN(HOST), &f->host, w);
	if (IS("port"))
		return give_port(p, VERDICT_GIVEN(PORT), &f->port, w);
	if (IS("sport"))
		return give_port(p, VERDICT_GIVEN(SPORT), &f->sport, w);
	if (IS("dport"))
		return give_port(p, VERDICT_GIVEN(DPORT), &f->dport, w);
	if (IS("peer"))
		return peer_term(p, w);
	if (IS("reason"))
		return reason_term(p, w);
	if (IS("rule"))
		return give_number(p, VERDICT_GIVEN(RULE), &f->rule, w);
	if (IS("or") || IS("not") || *w == '!' || *w == '(' || IS("||"))
		return wrong(p, "no '%s': conditions all have to hold", w);
#undef IS
	return wrong(p, "'%s' is no condition; 'tailrace trace --help' lists them",
		     w);
}

/* The words of all arguments; free the list and its first word. */
static char **split(int argc, char **argv)
{
	char **words, *text, *save = NULL;
	size_t size = 1, n = 0;
	int i;

	for (i = 0; i < argc; i++)
		size += strlen(argv[i]) + 1;
	text = xcalloc(size, 1);
	words = xcalloc(size / 2 + 2, sizeof(*words));
	words[n++] = text;
	for (i = 0; i < argc; i++) {
		strcat(text, argv[i]);
		strcat(text, " ");
	}
	for (text = strtok_r(text, " \t\n", &save); text;
	     text = strtok_r(NULL, " \t\n", &save))
		words[n++] = text;
	return words;
}

int expression_parse(struct expression *out, int argc, char **argv,
		     char error[EXPRESSION_ERROR_MAX])
{
	char **words = split(argc, argv);
	struct parser p = { out, words + 1, error };
	bool good = true;

	memset(out, 0, sizeof(*out));
	while (good && *p.word)
		good = term(&p);
	free(words[0]);
	free(words);
	return good ? 0 : -EINVAL;
}
