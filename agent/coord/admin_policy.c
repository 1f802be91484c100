// SPDX-License-Identifier: GPL-2.0
/* Administration: the policy and the DERP map. */
#include <errno.h>
#include <string.h>

#include "coord/admin_internal.h"
#include "coord/coord.h"
#include "coord/policy.h"
#include "lib/json.h"

int admin_policy_get(struct admin_request *r)
{
	size_t len;
	const char *text = model_policy(r->model, &len);

	r->out = json_object_new_object();
	json_object_object_add(r->out, "policy",
			       text ? json_object_new_string(text) : NULL);
	return 0;
}

static struct json_object *messages(const struct policy_report *report)
{
	struct json_object *a = json_object_new_array(), *o;
	size_t i;

	for (i = 0; i < report->n_messages; i++) {
		const struct policy_message *m = &report->messages[i];

		o = json_object_new_object();
		json_object_object_add(o, "warning",
				       json_object_new_boolean(m->warning));
		json_object_object_add(o, "line",
				       json_object_new_int64(m->line));
		json_object_object_add(o, "column",
				       json_object_new_int64(m->column));
		json_object_object_add(o, "text",
				       json_object_new_string(m->text));
		json_object_array_add(a, o);
	}
	return a;
}

static int judge(struct admin_request *r, bool set)
{
	struct policy_report report = { 0 };
	const char *text;
	int err;

	err = admin_text(r, "policy", &text);
	if (err)
		return err;
	err = set ? coord_set_policy(r->coord, text, strlen(text), &report) :
		    coord_check_policy(r->coord, text, strlen(text), &report);
	if (err == -EBUSY)
		admin_fail(r, err,
			   "the policy is a file's: change that and send the server a SIGHUP");
	else if (err && report.n_errors)
		admin_fail(r, err, "the policy has errors: nothing was changed");
	else if (err)
		admin_model(r, err);
	r->out = json_object_new_object();
	json_object_object_add(r->out, "messages", messages(&report));
	policy_report_clear(&report);
	return err;
}

int admin_policy_put(struct admin_request *r)
{
	return judge(r, true);
}

int admin_policy_check(struct admin_request *r)
{
	return judge(r, false);
}

int admin_derp_get(struct admin_request *r)
{
	const char *text = coord_derp_map(r->coord);

	r->out = json_parse(text, strlen(text));
	return r->out ? 0 : admin_fail(r, -ENOENT, "there is no DERP map");
}
