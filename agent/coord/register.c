// SPDX-License-Identifier: GPL-2.0
#include "coord/register.h"

#include <errno.h>
#include <json.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/json.h"
#include "lib/json_net.h"
#include "lib/util.h"

/* ── Decoding ── */

static const struct json_field auth_fields[] = {
	JSON_FIELD(struct register_input, auth_key, "AuthKey", json_get_string),
};

static int get_auth(struct json_object *v, void *out, size_t *n)
{
	const char *why = NULL;

	/* @out is the struct itself: the field is an object's member. */
	return json_decode(v, auth_fields, ARRAY_SIZE(auth_fields), out, &why);
}

static const struct json_field input_fields[] = {
	JSON_FIELD(struct register_input, version, "Version", json_get_int),
	JSON_FIELD(struct register_input, key, "NodeKey", json_get_node_key),
	JSON_FIELD(struct register_input, old_key, "OldNodeKey", json_get_node_key),
	{ .name = "Auth", .decode = get_auth },
	JSON_FIELD(struct register_input, followup, "Followup",
		   json_get_string),
	JSON_FIELD(struct register_input, expiry, "Expiry", json_get_time),
	JSON_FIELD(struct register_input, ephemeral, "Ephemeral",
		   json_get_bool),
	JSON_FIELD(struct register_input, hostinfo, "Hostinfo", json_get_object),
};

static const struct json_field hostinfo_fields[] = {
	JSON_LIST(struct register_input, request_tags, "RequestTags",
		  json_get_strings),
};

int register_input_decode(struct register_input *in, const char *body,
			  size_t len, const char **why)
{
	struct json_object *o = json_parse(body, len);
	int err;

	*why = NULL;
	if (!o) {
		*why = "JSON";
		return -EPROTO;
	}
	err = json_decode(o, input_fields, ARRAY_SIZE(input_fields), in, why);
	if (!err && in->hostinfo)
		err = json_decode(in->hostinfo, hostinfo_fields,
				  ARRAY_SIZE(hostinfo_fields), in, why);
	if (!err && key_is_zero(&in->key)) {
		*why = "NodeKey";
		err = -EPROTO;
	}
	json_object_put(o);
	return err;
}

void register_input_clear(struct register_input *in)
{
	if (in->auth_key)
		sodium_memzero(in->auth_key, strlen(in->auth_key));
	free(in->auth_key);
	free(in->followup);
	free_strings(in->request_tags, in->n_request_tags);
	json_object_put(in->hostinfo);
	*in = (struct register_input){0};
}

/* ── Decisions ── */

struct decision {
	struct model *m;
	const struct policy *policy;
	const struct register_config *c;
	const struct register_input *in;
	const struct key *machine;
	int64_t now;
	struct register_answer *out;
};

__attribute__((format(printf, 2, 3))) static void
refuse(struct decision *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->out->error, sizeof(d->out->error), fmt, ap);
	va_end(ap);
	d->out->kind = REGISTER_ERROR;
}

static void done(struct decision *d, struct coord_node *n)
{
	d->out->kind = REGISTER_DONE;
	d->out->node = n;
}

static bool has_auth_key(const struct register_input *in)
{
	return in->auth_key && *in->auth_key;
}

int64_t register_expiry(const struct register_config *c, int64_t asked,
			bool tagged, int64_t now)
{
	int64_t at = tagged || !c->key_expiry_s ? 0 : now + c->key_expiry_s;

	if (asked > now && !tagged && (!at || asked < at))
		at = asked;
	return at;
}

static struct registration registration(const struct decision *d)
{
	return (struct registration){
		.machine = *d->machine,
		.key = d->in->key,
		.old_key = d->in->old_key,
		.hostinfo = d->in->hostinfo,
		.cap = d->in->version,
		.ephemeral = d->in->ephemeral,
	};
}

static bool has_tag(char *const *tags, size_t n, const char *tag)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (!strcmp(tags[i], tag))
			return true;
	return false;
}

/*
 * May a node of @login with @tags bear all that it asks for? Says no in the
 * words of the tag that is at fault.
 */
static bool may_tag(struct decision *d, const char *login, char *const *tags,
		    size_t n_tags)
{
	size_t i;

	for (i = 0; i < d->in->n_request_tags; i++) {
		const char *tag = d->in->request_tags[i];

		if (has_tag(tags, n_tags, tag) ||
		    policy_may_tag(d->policy, login,
				   (const char *const *)tags, n_tags, tag))
			continue;
		refuse(d, "requested tags [%.60s] are invalid or not permitted",
		       tag);
		return false;
	}
	return true;
}

/* The tags of @have and what is asked for beyond them, to *@out (borrowed). */
static size_t join_tags(const struct decision *d, char *const *have, size_t n,
			const char ***out)
{
	size_t i, total = n;

	*out = xcalloc(n + d->in->n_request_tags, sizeof(**out));
	for (i = 0; i < n; i++)
		(*out)[i] = have[i];
	for (i = 0; i < d->in->n_request_tags; i++)
		if (!has_tag(have, n, d->in->request_tags[i]))
			(*out)[total++] = d->in->request_tags[i];
	return total;
}

static void logout(struct decision *d, struct coord_node *n)
{
	int err;

	if (n->ephemeral)
		err = model_node_delete(d->m, n);
	else
		err = model_node_set_expiry(d->m, n, d->now, d->now);
	if (err)
		refuse(d, "%s", model_error(d->m));
	else
		d->out->kind = REGISTER_LOGGED_OUT;
}

/* The node is known by this very key, and the key is good. */
static void refresh(struct decision *d, struct coord_node *n)
{
	struct registration r = registration(d);
	_cleanup_free_ const char **tags = NULL;
	int err = 0;
	size_t n_tags;

	if (!may_tag(d, n->user->name, n->tags, n->n_tags))
		return;
	/* An earlier date is the node's to choose, a later one is not. */
	if (d->in->expiry > d->now) {
		if (!has_auth_key(d->in) && n->expiry &&
		    d->in->expiry > n->expiry) {
			refuse(d, "extending key is not allowed");
			return;
		}
		if (!n->expiry || d->in->expiry < n->expiry)
			err = model_node_set_expiry(d->m, n, d->in->expiry,
						    d->now);
	}
	n_tags = join_tags(d, n->tags, n->n_tags, &tags);
	if (!err && n_tags != n->n_tags)
		err = model_node_set_tags(d->m, n, tags, n_tags);
	if (!err)
		err = model_node_refresh(d->m, n, &r);
	if (err)
		refuse(d, "%s", model_error(d->m));
	else
		done(d, n);
}

static void join_by_key(struct decision *d)
{
	struct authkey *k = model_authkey_find(d->m, d->in->auth_key);
	struct registration r = registration(d);
	_cleanup_free_ const char **tags = NULL;
	struct coord_node *n;
	size_t n_tags;

	if (!k) {
		refuse(d, "invalid pre auth key");
		return;
	}
	if (!may_tag(d, k->user->name, k->tags, k->n_tags))
		return;
	n_tags = join_tags(d, k->tags, k->n_tags, &tags);
	r.tags = tags + k->n_tags; /* the key's own are a matter of the model */
	r.n_tags = n_tags - k->n_tags;
	r.ephemeral |= k->ephemeral;
	r.expiry = register_expiry(d->c, d->in->expiry, n_tags, d->now);
	if (model_register(d->m, &r, k, d->now, &n))
		refuse(d, "%s", model_error(d->m));
	else
		done(d, n);
}

static void ask(struct decision *d)
{
	struct registration r = registration(d);

	if (model_pending_add(d->m, &r, d->now, &d->out->pending))
		refuse(d, "%s", model_error(d->m));
	else
		d->out->kind = REGISTER_URL;
}

/* The pending registration that an AuthURL of ours names, if it is theirs. */
static struct pending_node *find_pending(const struct decision *d)
{
	const char *id = strrchr(d->in->followup, '/');
	struct pending_node *p = id ? model_pending(d->m, id + 1) : NULL;

	return p && key_equal(&p->machine, d->machine) &&
			       key_equal(&p->key, &d->in->key)
		       ? p
		       : NULL;
}

static void follow_up(struct decision *d)
{
	struct pending_node *p = find_pending(d);

	/* Expired, or approved and its node is gone again: with a new URL. */
	if (!p || p->node) {
		ask(d);
		return;
	}
	d->out->kind = REGISTER_WAIT;
	d->out->pending = p;
}

void register_decide(struct model *m, const struct policy *policy,
		     const struct register_config *c,
		     const struct register_input *in,
		     const struct key *machine, int64_t now,
		     struct register_answer *out)
{
	struct decision d = {m, policy, c, in, machine, now, out};
	struct coord_node *n = model_node_by_key(m, &in->key);

	*out = (struct register_answer){0};
	if (n && !key_equal(&n->machine, machine)) {
		refuse(&d, "this node key belongs to another machine");
		return;
	}
	/* Logout: an expiry in the past. 0 is year 1, "none". */
	if (in->expiry && in->expiry <= now) {
		if (n)
			logout(&d, n);
		else
			out->kind = REGISTER_LOGGED_OUT;
		return;
	}
	if (n && !n->expired && (!n->expiry || n->expiry > now)) {
		refresh(&d, n);
		return;
	}
	if (has_auth_key(in))
		join_by_key(&d);
	else if (in->followup && *in->followup)
		follow_up(&d);
	else if (n)
		out->kind = REGISTER_EXPIRED;
	else
		ask(&d);
}
