// SPDX-License-Identifier: GPL-2.0
/* Registrations that wait for somebody to agree. */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "coord/model.h"
#include "coord/model_internal.h"
#include "lib/util.h"

struct pending_node *model_pendings(struct model *m)
{
	return m->pending_list;
}

struct pending_node *model_pending(struct model *m, const char *id)
{
	struct pending_node *p;

	HASH_FIND_STR(m->pending, id, p);
	return p;
}

void pending_free(struct model *m, struct pending_node *p)
{
	HASH_DEL(m->pending, p);
	DL_DELETE(m->pending_list, p);
	model_emit(m, MODEL_PENDING_GONE, NULL, 0, p);
	json_object_put(p->hostinfo);
	free(p);
}

void pending_expire(struct model *m, int64_t now)
{
	/* All live equally long: the oldest is the first. */
	while (m->pending_list && m->pending_list->expires <= now)
		pending_free(m, m->pending_list);
}

int model_pending_add(struct model *m, const struct registration *r,
		      int64_t now, struct pending_node **out)
{
	uint8_t random[(sizeof((*out)->id) - 1) / 2];
	struct pending_node *p, *next;
	struct hostinfo h;
	int err;

	err = hostinfo_read(m, r->hostinfo, NULL, &h);
	if (err)
		return err;
	for (p = m->pending_list; p; p = next) {
		next = p->next;
		if (p->node || !key_equal(&p->machine, &r->machine))
			continue;
		if (!key_equal(&p->key, &r->key)) {
			pending_free(m, p);
			continue;
		}
		json_object_put(p->hostinfo);
		p->hostinfo = h.object;
		h.object = NULL;
		hostinfo_clear(&h);
		*out = p;
		return 0;
	}
	if (HASH_COUNT(m->pending) >= MODEL_PENDING_MAX)
		pending_free(m, m->pending_list);
	p = xcalloc(1, sizeof(*p));
	randombytes_buf(random, sizeof(random));
	sodium_bin2hex(p->id, sizeof(p->id), random, sizeof(random));
	p->machine = r->machine;
	p->key = r->key;
	p->old_key = r->old_key;
	p->hostinfo = h.object;
	h.object = NULL;
	hostinfo_clear(&h);
	p->cap = r->cap;
	p->ephemeral = r->ephemeral;
	p->created = now;
	p->expires = now + MODEL_PENDING_S;
	HASH_ADD_STR(m->pending, id, p);
	DL_APPEND(m->pending_list, p);
	*out = p;
	return 0;
}

int model_pending_approve(struct model *m, struct pending_node *p,
			  struct coord_user *u, const char *const *tags,
			  size_t n_tags, int64_t expiry, int64_t now,
			  struct coord_node **out)
{
	struct registration r = {
		.machine = p->machine,
		.key = p->key,
		.old_key = p->old_key,
		.hostinfo = p->hostinfo,
		.cap = p->cap,
		.expiry = expiry,
		.ephemeral = p->ephemeral,
		.tags = tags,
		.n_tags = n_tags,
	};
	int err;

	if (p->node)
		return model_fail(m, -EEXIST, "it was approved already");
	err = model_register_user(m, &r, u, now, out);
	if (err)
		return err;
	p->node = (*out)->id;
	model_emit(m, MODEL_PENDING_APPROVED, *out, 0, p);
	return 0;
}

void model_pending_deny(struct model *m, struct pending_node *p)
{
	pending_free(m, p);
}
