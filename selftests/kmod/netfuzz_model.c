// SPDX-License-Identifier: GPL-2.0
/* netfuzz: what must be in force, told from the module's own answers. */
#include <err.h>
#include <errno.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "netfuzz.h"
#include "tailrace.h"

struct device devices[DEVICES];
struct channel channels[SOCKETS];
struct figures figures;

void model_forget(struct model *m)
{
	free(m->local);
	free(m->rules);
	*m = (struct model){ 0 };
}

static void append(uint8_t **to, size_t *n, const void *data, size_t len)
{
	*to = realloc(*to, *n + len + 1);
	if (!*to)
		err(1, "memory");
	memcpy(*to + *n, data, len);
	*n += len;
}

/* A rule in a form that does not depend on the order of its attributes. */
static void append_rule(struct model *m, const uint8_t *data, size_t len)
{
	const struct nlattr *last[8] = { 0 };
	static const int kinds[] = {
		TAILRACE_A_RULE_ID, TAILRACE_A_RULE_PROTOS, TAILRACE_A_RULE_SRC,
		TAILRACE_A_RULE_SRC_CAPS, TAILRACE_A_RULE_DST
	};
	size_t i;

	while (len >= NLA_HDRLEN) {
		const struct nlattr *a = (const void *)data;
		size_t step = NLA_ALIGN(a->nla_len);

		if ((a->nla_type & NLA_TYPE_MASK) < 8)
			last[a->nla_type & NLA_TYPE_MASK] = a;
		if (step > len)
			break;
		data += step;
		len -= step;
	}
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct nlattr *a = last[kinds[i]];
		uint32_t n = a ? a->nla_len - NLA_HDRLEN : 0;

		append(&m->rules, &m->n_rules, &n, sizeof(n));
		if (n)
			append(&m->rules, &m->n_rules, (const uint8_t *)a +
			       NLA_HDRLEN, n);
	}
	m->rule_count++;
}

void model_append(struct model *m, const uint8_t *data, size_t len)
{
	while (len >= NLA_HDRLEN) {
		const struct nlattr *a = (const void *)data;
		size_t step = NLA_ALIGN(a->nla_len);
		int type = a->nla_type & NLA_TYPE_MASK;

		if (a->nla_len < NLA_HDRLEN || a->nla_len > len)
			break;
		if (type == TAILRACE_A_POLICY_LOCAL)
			append(&m->local, &m->n_local, data + NLA_HDRLEN,
			       a->nla_len - NLA_HDRLEN);
		else if (type == TAILRACE_A_POLICY_RULE)
			append_rule(m, data + NLA_HDRLEN,
				    a->nla_len - NLA_HDRLEN);
		if (step > len)
			break;
		data += step;
		len -= step;
	}
}

bool model_is_equal(const struct model *a, const struct model *b)
{
	return a->n_local == b->n_local && a->n_rules == b->n_rules &&
	       (!a->n_local || !memcmp(a->local, b->local, a->n_local)) &&
	       (!a->n_rules || !memcmp(a->rules, b->rules, a->n_rules));
}

static int device_of(unsigned int ifindex)
{
	int i;

	for (i = 0; i < DEVICES; i++) {
		if (devices[i].ifindex == ifindex)
			return i;
	}
	return -1;
}

void model_happened(struct channel *ch, const struct asked *q, int error)
{
	int i = device_of(q->ifindex), k;
	struct device *d = i < 0 ? NULL : &devices[i];

	if (error)
		figures.refused[q->cmd]++;
	else
		figures.ok[q->cmd]++;
	if (-error < ERRNOS)
		figures.errors[-error]++;
	if (!d)
		return;
	switch (q->cmd) {
	case TAILRACE_CMD_DEV_ATTACH:
		d->is_attached |= !error;
		break;
	case TAILRACE_CMD_DEV_DETACH:
		if (error)
			break;
		d->is_attached = d->has_policy = false;
		d->generation = 0;
		model_forget(&d->committed);
		for (k = 0; k < SOCKETS; k++)
			model_forget(&channels[k].pending[i]);
		break;
	case TAILRACE_CMD_POLICY_BEGIN:
		/* What was refused for lack of a device has forgotten nothing. */
		if (!error || error == -EBUSY) {
			model_forget(&ch->pending[i]);
			ch->pending[i].is_valid = !error;
		}
		break;
	case TAILRACE_CMD_POLICY_ADD:
		/*
		 * Refused, the transaction may be over or not. If it is, all
		 * that follows in it will be refused as well.
		 */
		if (!error)
			model_append(&ch->pending[i], q->body, q->len);
		break;
	case TAILRACE_CMD_POLICY_COMMIT:
		if (error)
			break;
		if (!ch->pending[i].is_valid)
			errx(1, "a commit without a transaction");
		model_forget(&d->committed);
		d->committed = ch->pending[i];
		d->has_policy = true;
		ch->pending[i] = (struct model){ 0 };
		break;
	}
}
