// SPDX-License-Identifier: GPL-2.0
/* `tailrace policy rules`: the rules in force, and what each has let in. */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/flags.h"
#include "cli/policyrules.h"
#include "cli/rule.h"
#include "cli/sight.h"
#include "cli/table.h"
#include "kernel/addrset.h"

static struct json_object *add_list(struct json_object *o, const char *name)
{
	struct json_object *list = json_object_new_array();

	json_object_object_add(o, name, list);
	return list;
}

static struct json_object *destination(const struct tailrace_dst *d)
{
	struct json_object *o = json_object_new_object();
	char text[ADDRSET_TEXT_MAX];

	json_object_object_add(o, "addr", json_object_new_string(
			addrset_format(&d->addr, text)));
	json_object_object_add(o, "first", json_object_new_int(d->port_first));
	json_object_object_add(o, "last", json_object_new_int(d->port_last));
	return o;
}

struct json_object *policyrules_json(const struct kernel_rule *r)
{
	struct json_object *o = json_object_new_object(), *list;
	char text[ADDRSET_TEXT_MAX];
	size_t i;

	json_object_object_add(o, "id", json_object_new_uint64(r->id));
	json_object_object_add(o, "hits", json_object_new_uint64(r->hits));
	list = add_list(o, "src");
	for (i = 0; i < r->n_src; i++)
		json_object_array_add(list, json_object_new_string(
				addrset_format(&r->src[i], text)));
	list = r->n_src_caps ? add_list(o, "caps") : NULL;
	for (i = 0; i < r->n_src_caps; i++)
		json_object_array_add(list,
				      json_object_new_uint64(r->src_caps[i]));
	list = add_list(o, "dst");
	for (i = 0; i < r->n_dst; i++)
		json_object_array_add(list, destination(&r->dst[i]));
	/* absent: the usual ones */
	list = r->n_protos ? add_list(o, "protos") : NULL;
	for (i = 0; i < r->n_protos; i++)
		json_object_array_add(list, json_object_new_int(r->protos[i]));
	return o;
}

static void print_json(const struct policy *p, const char *device)
{
	struct json_object *o = json_object_new_object(), *list;
	size_t i;

	json_object_object_add(o, "device", json_object_new_string(device));
	json_object_object_add(o, "generation",
			       json_object_new_uint64(p->generation));
	json_object_object_add(
		o, "shields_up",
		json_object_new_boolean(p->flags & TAILRACE_POLICY_SHIELDS_UP));
	list = add_list(o, "rules");
	for (i = 0; i < p->n_rules; i++)
		json_object_array_add(list, policyrules_json(&p->rules[i]));
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
						       JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static void print_text(const struct policy *p, const char *device)
{
	static const char *const columns[] = { "ID", "HITS", "RULE", NULL };
	char id[16], hits[24], text[RULE_TEXT_MAX];
	struct table *t;
	size_t i;

	if (!p->generation) {
		printf("%s has no policy: nothing passes\n", device);
		return;
	}
	if (p->flags & TAILRACE_POLICY_SHIELDS_UP)
		puts("shields are up: no rule lets anything in");
	if (!p->n_rules)
		return;
	t = table_new(columns);
	for (i = 0; i < p->n_rules; i++) {
		snprintf(id, sizeof(id), "%u", p->rules[i].id);
		snprintf(hits, sizeof(hits), "%llu",
			 (unsigned long long)p->rules[i].hits);
		table_add(t, id);
		table_add(t, hits);
		table_add(t, rule_excerpt(&p->rules[i], NULL, text));
	}
	table_print(t);
}

int policyrules_run(int argc, char **argv)
{
	const char *device = NULL;
	bool json = false;
	struct flag flags[] = {
		{ "json", FLAG_BOOL, &json, "as JSON", false },
		{ "device", FLAG_TEXT, &device, "of several, which", false },
		{ 0 }
	};
	int n = flags_parse(flags, "", argc, argv), err;
	struct sight s;

	if (n == -2)
		puts("\n"
		     "The rules in force with the packets that each has let in; of TCP, what opens\n"
		     "connections. Needs root, works without tailraced.");
	if (n < 0)
		return n == -2 ? 0 : 2;
	if (n < argc) {
		cli_error("policy rules takes no argument '%s'", argv[n]);
		return 2;
	}
	if (sight_open(&s, device))
		return 2;
	err = policy_get(&s.nl, s.family, s.link, &s.policy);
	if (err) {
		cli_error("%s: %s", s.device, s.nl.error);
	} else {
		policy_join(&s.policy);
		if (json)
			print_json(&s.policy, s.device);
		else
			print_text(&s.policy, s.device);
	}
	sight_close(&s);
	return err ? 2 : 0;
}
