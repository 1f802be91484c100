// SPDX-License-Identifier: GPL-2.0
/* What stands in the strings of a policy: names, addresses, ports, protocols. */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "coord/policy_doc.h"
#include "lib/util.h"

#define BIT(what) (1u << (what))
#define PEOPLE (BIT(POLICY_USER) | BIT(POLICY_GROUP) | BIT(POLICY_TAG))
#define NODES                                                          \
	(PEOPLE | BIT(POLICY_MEMBER) | BIT(POLICY_TAGGED) | BIT(POLICY_RANGE))

static const struct {
	unsigned int possible;
	const char *name;
} roles[] = {
	[POLICY_ROLE_SRC] = { NODES | BIT(POLICY_ANY) | BIT(POLICY_DANGER_ALL),
			      "a source" },
	[POLICY_ROLE_DST] = { NODES | BIT(POLICY_ANY) | BIT(POLICY_SELF) |
				      BIT(POLICY_INTERNET),
			      "a destination" },
	[POLICY_ROLE_VIA] = { BIT(POLICY_TAG), "a router: via takes tags" },
	[POLICY_ROLE_OWNER] = { PEOPLE | BIT(POLICY_MEMBER),
				"an owner or approver" },
	[POLICY_ROLE_TARGET] = { NODES | BIT(POLICY_ANY), "a target" },
	[POLICY_ROLE_TEST_SRC] = { NODES, "the source of a test" },
	[POLICY_ROLE_TEST_DST] = { NODES | BIT(POLICY_SELF),
				   "the destination of a test" },
};

static const struct {
	const char *name;
	enum policy_what what;
} autogroups[] = {
	{ "autogroup:member", POLICY_MEMBER },
	{ "autogroup:tagged", POLICY_TAGGED },
	{ "autogroup:self", POLICY_SELF },
	{ "autogroup:internet", POLICY_INTERNET },
	{ "autogroup:danger-all", POLICY_DANGER_ALL },
};

/* IANA's numbers under the names that the public format has for them. */
static const struct {
	const char *name;
	uint8_t number;
} protocols[] = {
	{ "icmp", PROTO_ICMP }, { "igmp", 2 },
	{ "ipv4", 4 },		{ "ip-in-ip", 4 },
	{ "tcp", PROTO_TCP },	{ "egp", 8 },
	{ "igp", 9 },		{ "udp", PROTO_UDP },
	{ "gre", 47 },		{ "esp", 50 },
	{ "ah", 51 },		{ "ipv6-icmp", PROTO_ICMPV6 },
	{ "sctp", PROTO_SCTP }, { "fc", 133 },
};

static bool error_at(struct policy_report *r, const struct hujson *at,
		     const char *before, const char *text, const char *after)
{
	policy_note(r, false, at->line, at->column, "%s\"%.80s\"%s", before,
		    text, after);
	return false;
}

/* The length of a login name without the @ that may end it. */
static size_t login_length(const char *login)
{
	size_t n = strlen(login);

	return n > 1 && login[n - 1] == '@' ? n - 1 : n;
}

struct policy_user *policy_find_user(const struct policy *p, const char *login)
{
	struct policy_user *u;

	HASH_FIND(hh, p->users, login, login_length(login), u);
	return u;
}

struct policy_user *policy_intern_user(struct policy *p, const char *login)
{
	struct policy_user *u = policy_find_user(p, login);
	size_t n = login_length(login);

	if (u)
		return u;
	u = xcalloc(1, sizeof(*u));
	u->login = xstrdup(login);
	u->login[n] = '\0';
	u->id = HASH_COUNT(p->users);
	HASH_ADD_KEYPTR(hh, p->users, u->login, n, u);
	return u;
}

bool policy_group_has(const struct policy_group *g,
		      const struct policy_user *user)
{
	size_t i;

	for (i = 0; i < g->n_members; i++)
		if (g->members[i] == user)
			return true;
	return false;
}

bool policy_parse_range(const char *text, struct ip_range *out)
{
	const char *dash = strchr(text, '-');
	struct ip_range r;
	struct prefix p;
	char low[IP_TEXT_MAX];

	if (!prefix_parse(&p, text)) {
		*out = ip_range_of(&p);
		return true;
	}
	if (!dash || (size_t)(dash - text) >= sizeof(low))
		return false;
	memcpy(low, text, (size_t)(dash - text));
	low[dash - text] = '\0';
	if (ip_parse(&r.first, low) || ip_parse(&r.last, dash + 1) ||
	    r.first.family != r.last.family ||
	    ip_compare(&r.first, &r.last) > 0)
		return false;
	*out = r;
	return true;
}

/* An autogroup by its name, or one of the two reasons why not. */
static bool read_autogroup(struct policy_report *r, const struct hujson *at,
			   const char *text, struct policy_selector *out)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(autogroups); i++) {
		if (!strcmp(text, autogroups[i].name)) {
			out->what = autogroups[i].what;
			return true;
		}
	}
	return error_at(r, at, "", text,
			" is not known here; there are autogroup:member, tagged, self, internet and danger-all (users have no roles)");
}

static bool read_name(struct policy *p, struct policy_report *r,
		      const struct hujson *at, const char *text,
		      struct policy_selector *out)
{
	struct policy_host *host;

	if (!strcmp(text, "*")) {
		out->what = POLICY_ANY;
		return true;
	}
	if (!strncmp(text, "group:", 6)) {
		struct policy_group *g;

		HASH_FIND_STR(p->groups, text, g);
		out->what = POLICY_GROUP;
		out->group = g;
		return g || error_at(r, at, "", text, " is not in groups");
	}
	if (!strncmp(text, "tag:", 4)) {
		struct policy_tag *t;

		HASH_FIND_STR(p->tags, text, t);
		out->what = POLICY_TAG;
		out->tag = t;
		return t || error_at(r, at, "", text, " is not in tagOwners");
	}
	if (!strncmp(text, "autogroup:", 10))
		return read_autogroup(r, at, text, out);
	if (strchr(text, '@')) {
		if (strpbrk(text, ":*"))
			return error_at(r, at, "", text,
					" is no user's name: users are named one by one here");
		out->what = POLICY_USER;
		out->user = policy_intern_user(p, text);
		return true;
	}
	out->what = POLICY_RANGE;
	if (policy_parse_range(text, &out->range))
		return true;
	HASH_FIND_STR(p->hosts, text, host);
	if (host) {
		out->range = host->range;
		return true;
	}
	if (!strncmp(text, "ipset:", 6) || !strncmp(text, "svc:", 4))
		return error_at(r, at, "", text,
				": IP sets and services are not known here");
	return error_at(r, at, "", text,
			" is no address and not in hosts; users are written with an @, others as group:, tag: or autogroup:");
}

bool policy_read_selector(struct policy *p, struct policy_report *r,
			  const struct hujson *at, const char *text,
			  enum policy_role role, struct policy_selector *out)
{
	const char *start = text + strspn(text, " \t");
	_cleanup_free_ char *trimmed = xstrdup(start);
	size_t n = strlen(trimmed);

	while (n && (trimmed[n - 1] == ' ' || trimmed[n - 1] == '\t'))
		trimmed[--n] = '\0';
	if (!read_name(p, r, at, trimmed, out))
		return false;
	if (roles[role].possible & BIT(out->what))
		return true;
	policy_note(r, false, at->line, at->column,
		    "\"%.80s\" is not possible as %s", trimmed,
		    roles[role].name);
	return false;
}

/* At most 65535, decimal; advances *@text. */
static bool read_port(const char **text, uint16_t *out)
{
	unsigned int v = 0;
	const char *p = *text;

	if (!isdigit((unsigned char)*p))
		return false;
	for (; isdigit((unsigned char)*p); p++) {
		v = v * 10 + (unsigned int)(*p - '0');
		if (v > 65535)
			return false;
	}
	*text = p;
	*out = (uint16_t)v;
	return true;
}

bool policy_read_ports(struct policy_report *r, const struct hujson *at,
		       const char *text, struct policy_ports **out, size_t *n)
{
	struct policy_ports *list = NULL, one;
	const char *p = text;
	size_t count = 0, max = 0;

	if (!strcmp(text, "*")) {
		*out = xcalloc(1, sizeof(*list));
		(*out)->last = 65535;
		*n = 1;
		return true;
	}
	for (;;) {
		if (!read_port(&p, &one.first))
			goto bad;
		one.last = one.first;
		if (*p == '-') {
			p++;
			if (!read_port(&p, &one.last) || one.last < one.first)
				goto bad;
		} else if (!one.first) {
			goto bad;
		}
		if (count == max) {
			max = max ? 2 * max : 4;
			list = xrealloc(list, max, sizeof(*list));
		}
		list[count++] = one;
		if (!*p)
			break;
		if (*p++ != ',')
			goto bad;
	}
	*out = list;
	*n = count;
	return true;
bad:
	free(list);
	return error_at(r, at, "the ports ", text,
			" are not '*' or a list such as 22,80-90 of 1 to 65535");
}

bool policy_ports_all(const struct policy_ports *ports, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (ports[i].first || ports[i].last != 65535)
			return false;
	return true;
}

bool policy_has_ports(uint8_t proto)
{
	return !proto || proto == PROTO_TCP || proto == PROTO_UDP ||
	       proto == PROTO_SCTP;
}

bool policy_read_proto(struct policy_report *r, const struct hujson *at,
		       const char *text, uint8_t *out)
{
	const char *p = text;
	uint16_t v;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(protocols); i++) {
		if (!strcasecmp(text, protocols[i].name)) {
			*out = protocols[i].number;
			return true;
		}
	}
	if (*text != '0' && read_port(&p, &v) && !*p && v <= 255) {
		*out = (uint8_t)v;
		return true;
	}
	return error_at(r, at, "the protocol ", text,
			" is neither 1 to 255 nor a name such as tcp, udp, icmp, sctp, gre");
}

bool policy_split_ports(struct policy_report *r, const struct hujson *at,
			char **host, const char **ports)
{
	const char *text = at->text, *colon = strrchr(text, ':'), *close;
	struct ip_addr ip;
	char *copy, *end;

	if (!colon || colon == text || !colon[1])
		return error_at(r, at, "", text,
				" has no ports, HOST:PORTS is expected");
	copy = xstrdup(text);
	copy[colon - text] = '\0';
	*ports = colon + 1;
	if (*copy != '[') {
		*host = copy;
		return true;
	}
	/* [v6]:port and [v6]/bits:port */
	end = strchr(copy, ']');
	close = end ? end + 1 : "";
	if (end) {
		*end = '\0';
		if (!ip_parse(&ip, copy + 1) && strchr(copy, ':') &&
		    (!*close || *close == '/')) {
			memmove(copy, copy + 1, strlen(copy + 1) + 1);
			memmove(copy + strlen(copy), close, strlen(close) + 1);
			*host = copy;
			return true;
		}
	}
	free(copy);
	return error_at(r, at, "", text,
			": brackets are for IPv6 addresses, [2001:db8::1]:22");
}
