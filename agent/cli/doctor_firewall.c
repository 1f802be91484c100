// SPDX-License-Identifier: GPL-2.0
/* nft's JSON, read for one question: is our port shut? */
#include <json-c/json.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/doctor.h"

/* One base chain that drops what it does not accept. */
struct closed {
	const char *family, *table, *chain;
};

/* A match's right side: a number, a range, or a set of these. */
static bool covers(struct json_object *right, unsigned int port)
{
	struct json_object *list;
	size_t i;

	if (json_object_is_type(right, json_type_int))
		return json_object_get_int64(right) == port;
	list = json_member(right, "range");
	if (list)
		return json_object_array_length(list) == 2 &&
		       json_object_get_int64(json_object_array_get_idx(
			       list, 0)) <= port &&
		       port <= json_object_get_int64(
				       json_object_array_get_idx(list, 1));
	list = json_member(right, "set");
	for (i = 0; list && i < json_object_array_length(list); i++)
		if (covers(json_object_array_get_idx(list, i), port))
			return true;
	/* a named set: its elements are another object */
	return json_object_is_type(right, json_type_string) &&
	       *json_object_get_string(right) == '@';
}

static bool is_text(struct json_object *o, const char *text)
{
	return json_object_is_type(o, json_type_string) &&
	       !strcmp(json_object_get_string(o), text);
}

/* What one match of a rule asks of a packet to our port, or from our device. */
static bool matches(struct json_object *match, unsigned int port,
		    const char *device)
{
	struct json_object *left = json_member(match, "left");
	struct json_object *right = json_member(match, "right");
	struct json_object *payload = json_member(left, "payload");
	struct json_object *meta = json_member(left, "meta");
	const char *field = cli_text(payload, "field");

	if (!strcmp(field, "dport"))
		return port && (!strcmp(cli_text(payload, "protocol"), "udp") ||
				!strcmp(cli_text(payload, "protocol"), "th")) &&
		       covers(right, port);
	if (*field || json_member(left, "ct"))
		return false;
	if (!strcmp(cli_text(meta, "key"), "iifname") ||
	    !strcmp(cli_text(meta, "key"), "iif"))
		return !port && is_text(right, device);
	if (!strcmp(cli_text(meta, "key"), "l4proto"))
		return !port || is_text(right, "udp");
	return false;
}

/* Accepts without asking for anything that a packet of ours may not have. */
static bool accepts(struct json_object *rule, unsigned int port,
		    const char *device)
{
	struct json_object *expr = json_member(rule, "expr");
	bool verdict = false;
	size_t i;

	for (i = 0; expr && i < json_object_array_length(expr); i++) {
		struct json_object *e = json_object_array_get_idx(expr, i);
		struct json_object *match = json_member(e, "match");

		if (match && !matches(match, port, device))
			return false;
		verdict |= json_object_object_get_ex(e, "accept", NULL);
	}
	return verdict;
}

static bool table_accepts(struct json_object *list, const struct closed *c,
			  unsigned int port, const char *device)
{
	size_t i;

	for (i = 0; i < json_object_array_length(list); i++) {
		struct json_object *rule = json_member(
			json_object_array_get_idx(list, i), "rule");

		if (rule && !strcmp(cli_text(rule, "family"), c->family) &&
		    !strcmp(cli_text(rule, "table"), c->table) &&
		    accepts(rule, port, device))
			return true;
	}
	return false;
}

/* The next base chain at @hook from *@at on with a policy of drop. */
static bool next_closed(struct json_object *list, const char *hook, size_t *at,
			struct closed *c)
{
	while (*at < json_object_array_length(list)) {
		struct json_object *chain = json_member(
			json_object_array_get_idx(list, (*at)++), "chain");

		if (!chain || strcmp(cli_text(chain, "hook"), hook) != 0 ||
		    strcmp(cli_text(chain, "policy"), "drop") != 0)
			continue;
		c->family = cli_text(chain, "family");
		c->table = cli_text(chain, "table");
		c->chain = cli_text(chain, "name");
		return true;
	}
	return false;
}

void doctor_firewall(struct json_object *ruleset, unsigned int port,
		     const char *device, bool forwards,
		     struct doctor_result *r)
{
	struct json_object *list = json_member(ruleset, "nftables");
	struct closed c;
	size_t at = 0;

	if (!json_object_is_type(list, json_type_array))
		return;
	while (next_closed(list, "input", &at, &c))
		if (!table_accepts(list, &c, port, device))
			doctor_say(r, DOCTOR_WARNING,
				   "the firewall (%s %s, %s) drops what it does not know, and UDP port %u may be such: nft add rule %s %s %s udp dport %u accept",
				   c.family, c.table, c.chain, port, c.family,
				   c.table, c.chain, port);
	for (at = 0; forwards && next_closed(list, "forward", &at, &c);)
		if (!table_accepts(list, &c, 0, device))
			doctor_say(r, DOCTOR_WARNING,
				   "the firewall (%s %s, %s) forwards only what it knows, and what %s brings may not be: nft insert rule %s %s %s iifname %s accept",
				   c.family, c.table, c.chain, device, c.family,
				   c.table, c.chain, device);
	doctor_say(r, DOCTOR_OK, "nftables lets UDP port %u in", port);
}
