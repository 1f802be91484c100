// SPDX-License-Identifier: GPL-2.0
#include "kernel/wire.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/util.h"

/* How one field lies in memory and on the wire. */
enum field_kind {
	FIELD_BOOL,
	FIELD_U8,
	FIELD_U16,
	FIELD_U32,
	FIELD_U64,
	FIELD_KEY, /* 32 bytes, wiped when freed */
	FIELD_IP, /* of family 4 or 6 */
	FIELD_ENDPOINT, /* family 0 is "none" */
	FIELD_PREFIX,
	FIELD_ADDR, /* struct tailrace_addr; the module judges its contents */
	FIELD_DST, /* struct tailrace_dst */
	FIELD_NAME, /* char[16], NUL-terminated */
	FIELD_TEXT, /* char *, owned */
	FIELD_LIST, /* pointer and size_t count, owned */
	FIELD_ARRAY, /* in place, with a size_t count */
	FIELD_STRUCT, /* an element with fields of its own */
};

struct field {
	enum field_kind kind;
	size_t offset;
	/* LIST and ARRAY only */
	size_t count; /* offset of the count */
	size_t max; /* elements */
	bool maybe_null; /* no list at all differs from an empty one */
	enum field_kind of;
	size_t size; /* of an element in memory */
	const struct field *fields; /* of a STRUCT element */
	size_t n_fields;
};

#define F(type, member, k) { .kind = (k), .offset = offsetof(type, member) }
#define SIZE_OF(type, member) sizeof(*((type *)NULL)->member)
#define LIST(type, member, cnt, k, maximum)                                  \
	{ .kind = FIELD_LIST, .offset = offsetof(type, member),              \
	  .count = offsetof(type, cnt), .max = (maximum), .of = (k),         \
	  .size = SIZE_OF(type, member) }
#define LIST_OF(type, member, cnt, table, maximum)                           \
	{ .kind = FIELD_LIST, .offset = offsetof(type, member),              \
	  .count = offsetof(type, cnt), .max = (maximum), .of = FIELD_STRUCT,\
	  .size = SIZE_OF(type, member), .fields = (table),                  \
	  .n_fields = ARRAY_SIZE(table) }

static const struct field peer_fields[] = {
	F(struct kernel_peer, id, FIELD_U32),
	F(struct kernel_peer, public_key, FIELD_KEY),
	F(struct kernel_peer, flags, FIELD_U32),
	LIST(struct kernel_peer, addrs, n_addrs, FIELD_PREFIX,
	     TAILRACE_MAX_PEER_ADDRS),
	LIST(struct kernel_peer, allowed_ips, n_allowed_ips, FIELD_PREFIX,
	     TAILRACE_MAX_PEER_ADDRS),
	LIST(struct kernel_peer, caps, n_caps, FIELD_U32, TAILRACE_MAX_CAPS),
	F(struct kernel_peer, disco, FIELD_KEY),
	F(struct kernel_peer, disco_shared, FIELD_KEY),
};

static const struct field rule_fields[] = {
	F(struct kernel_rule, id, FIELD_U32),
	{ .kind = FIELD_LIST, .offset = offsetof(struct kernel_rule, protos),
	  .count = offsetof(struct kernel_rule, n_protos), .max = 256,
	  .maybe_null = true, .of = FIELD_U8, .size = 1 },
	LIST(struct kernel_rule, src, n_src, FIELD_ADDR,
	     TAILRACE_MAX_RULE_ADDRS),
	LIST(struct kernel_rule, src_caps, n_src_caps, FIELD_U32,
	     TAILRACE_MAX_CAPS),
	LIST(struct kernel_rule, dst, n_dst, FIELD_DST,
	     TAILRACE_MAX_RULE_ADDRS),
};

static const struct field state_fields[] = {
	F(struct kernel_state, up, FIELD_BOOL),
	F(struct kernel_state, ifname, FIELD_NAME),
	F(struct kernel_state, private_key, FIELD_KEY),
	F(struct kernel_state, disco, FIELD_KEY),
	F(struct kernel_state, port, FIELD_U16),
	F(struct kernel_state, mtu, FIELD_U32),
	LIST(struct kernel_state, addrs, n_addrs, FIELD_PREFIX, 1024),
	LIST(struct kernel_state, routes, n_routes, FIELD_PREFIX, 1 << 20),
	LIST_OF(struct kernel_state, peers, n_peers, peer_fields,
		TAILRACE_MAX_PEERS),
	F(struct kernel_state, policy_flags, FIELD_U32),
	LIST(struct kernel_state, local, n_local, FIELD_ADDR,
	     TAILRACE_MAX_RULE_ADDRS),
	LIST_OF(struct kernel_state, rules, n_rules, rule_fields,
		TAILRACE_MAX_RULES),
	F(struct kernel_state, have_policy, FIELD_BOOL),
	F(struct kernel_state, settings.flags, FIELD_U32),
	F(struct kernel_state, settings.flows_max, FIELD_U32),
	F(struct kernel_state, settings.max_stale, FIELD_U32),
	F(struct kernel_state, settings.records, FIELD_U32),
};

static const struct field path_fields[] = {
	F(struct kernel_path, peer, FIELD_U32),
	F(struct kernel_path, canonical, FIELD_ENDPOINT),
	{ .kind = FIELD_ARRAY, .offset = offsetof(struct kernel_path, seen),
	  .count = offsetof(struct kernel_path, n_seen),
	  .max = TAILRACE_MAX_ALIASES, .of = FIELD_ENDPOINT,
	  .size = sizeof(struct endpoint) },
};

static const struct field ask_fields[] = {
	F(struct wire_ask, rules, FIELD_BOOL),
};

static const struct field tsmp_fields[] = {
	F(struct wire_tsmp, src, FIELD_IP),
	F(struct wire_tsmp, dst, FIELD_IP),
	LIST(struct wire_tsmp, data, n, FIELD_U8, TAILRACE_MAX_TSMP),
};

static const struct field applied_fields[] = {
	F(struct wire_applied, link, FIELD_U32),
	F(struct wire_applied, port, FIELD_U16),
	F(struct wire_applied, error, FIELD_TEXT),
};

static const struct field event_fields[] = {
	F(struct wire_peer, peer, FIELD_U32),
};

static const struct field roamed_fields[] = {
	F(struct wire_roamed, peer, FIELD_U32),
	F(struct wire_roamed, endpoint, FIELD_ENDPOINT),
};

static const struct field peer_stats_fields[] = {
	F(struct kernel_peer_stats, peer, FIELD_U32),
	F(struct kernel_peer_stats, rx_bytes, FIELD_U64),
	F(struct kernel_peer_stats, tx_bytes, FIELD_U64),
	F(struct kernel_peer_stats, last_handshake, FIELD_U64),
	F(struct kernel_peer_stats, endpoint, FIELD_ENDPOINT),
};

static const struct field stats_fields[] = {
	LIST_OF(struct wire_stats, peers, n_peers, peer_stats_fields,
		TAILRACE_MAX_PEERS),
	F(struct wire_stats, device_json, FIELD_TEXT),
};

struct message_table {
	const struct field *fields;
	size_t n;
};

#define TABLE(table) { (table), ARRAY_SIZE(table) }
static const struct message_table messages[] = {
	[WIRE_STATE] = TABLE(state_fields),
	[WIRE_PATH] = TABLE(path_fields),
	[WIRE_STATS_ASK] = TABLE(ask_fields),
	[WIRE_TSMP] = TABLE(tsmp_fields),
	[WIRE_APPLIED] = TABLE(applied_fields),
	[WIRE_PEER_ACTIVE] = TABLE(event_fields),
	[WIRE_PEER_IDLE] = TABLE(event_fields),
	[WIRE_ROAMED] = TABLE(roamed_fields),
	[WIRE_LINK_CHANGED] = { 0 },
	[WIRE_STATS] = TABLE(stats_fields),
};

#define IP_WIRE 17
#define ENDPOINT_WIRE (IP_WIRE + 2)
#define PREFIX_WIRE (IP_WIRE + 1)

/* What is copied as it lies in memory has no padding. */
_Static_assert(sizeof(struct ip_addr) == IP_WIRE, "no padding");
_Static_assert(sizeof(struct prefix) == PREFIX_WIRE, "no padding");
_Static_assert(sizeof(struct tailrace_addr) == 36, "no padding");
_Static_assert(sizeof(struct tailrace_dst) == 40, "no padding");

/* Bytes of a scalar on the wire; 0 for what has no fixed size. */
static const size_t scalar_size[] = {
	[FIELD_BOOL] = 1,
	[FIELD_U8] = 1,
	[FIELD_U16] = 2,
	[FIELD_U32] = 4,
	[FIELD_U64] = 8,
	[FIELD_KEY] = KEY_LEN,
	[FIELD_IP] = IP_WIRE,
	[FIELD_ENDPOINT] = ENDPOINT_WIRE,
	[FIELD_PREFIX] = PREFIX_WIRE,
	[FIELD_ADDR] = sizeof(struct tailrace_addr),
	[FIELD_DST] = sizeof(struct tailrace_dst),
	[FIELD_NAME] = 16,
	[FIELD_STRUCT] = 0,
};

/* Encoding: a growing buffer. */

struct out {
	uint8_t *p;
	size_t n, room;
};

static uint8_t *out_room(struct out *o, size_t n)
{
	uint8_t *at;

	while (o->room - o->n < n) {
		/* realloc() would leave secrets behind */
		at = xmalloc(o->room * 2);
		memcpy(at, o->p, o->n);
		explicit_bzero(o->p, o->n);
		free(o->p);
		o->p = at;
		o->room *= 2;
	}
	at = o->p + o->n;
	o->n += n;
	return at;
}

static void out_u32(struct out *o, uint32_t v)
{
	memcpy(out_room(o, 4), &v, 4);
}

static void put_scalar(struct out *o, enum field_kind kind, const void *from)
{
	uint8_t *to = out_room(o, scalar_size[kind]);

	if (kind == FIELD_ENDPOINT) {
		const struct endpoint *e = from;

		memcpy(to, &e->ip, IP_WIRE);
		memcpy(to + IP_WIRE, &e->port, 2);
	} else {
		memcpy(to, from, scalar_size[kind]);
	}
}

static void put_fields(struct out *o, const struct field *f, size_t n,
		       const uint8_t *base);

static void put_elements(struct out *o, const struct field *f,
			 const uint8_t *at, size_t count)
{
	size_t i;

	/* wire_encode's contract: the callers obey the limits */
	if (count > f->max)
		abort();
	out_u32(o, (uint32_t)count);
	for (i = 0; i < count; i++, at += f->size) {
		if (f->of == FIELD_STRUCT)
			put_fields(o, f->fields, f->n_fields, at);
		else
			put_scalar(o, f->of, at);
	}
}

static void put_text(struct out *o, const char *text)
{
	size_t n = text ? strlen(text) : 0;

	if (n > WIRE_TEXT_MAX)
		abort();
	out_u32(o, (uint32_t)n);
	if (n)
		memcpy(out_room(o, n), text, n);
}

static void put_fields(struct out *o, const struct field *f, size_t n,
		       const uint8_t *base)
{
	for (; n--; f++) {
		const uint8_t *at = base + f->offset;
		const uint8_t *list;
		size_t count;

		if (scalar_size[f->kind]) {
			put_scalar(o, f->kind, at);
		} else if (f->kind == FIELD_TEXT) {
			memcpy(&list, at, sizeof(list));
			put_text(o, (const char *)list);
		} else if (f->kind == FIELD_ARRAY) {
			memcpy(&count, base + f->count, sizeof(count));
			put_elements(o, f, at, count);
		} else {
			memcpy(&list, at, sizeof(list));
			memcpy(&count, base + f->count, sizeof(count));
			if (f->maybe_null)
				*out_room(o, 1) = list != NULL;
			put_elements(o, f, list, list ? count : 0);
		}
	}
}

uint8_t *wire_encode(enum wire_type type, const void *body, size_t *len)
{
	struct out o = { .p = xmalloc(256), .room = 256 };
	uint32_t head[2];

	out_room(&o, WIRE_HEADER);
	put_fields(&o, messages[type].fields, messages[type].n, body);
	if (o.n - WIRE_HEADER > WIRE_MAX)
		abort();
	head[0] = (uint32_t)(o.n - WIRE_HEADER);
	head[1] = type;
	memcpy(o.p, head, sizeof(head));
	*len = o.n;
	return o.p;
}

/* Decoding: a cursor that never passes its end. */

struct in {
	const uint8_t *p, *end;
};

static const uint8_t *in_take(struct in *in, size_t n)
{
	const uint8_t *at = in->p;

	if ((size_t)(in->end - in->p) < n)
		return NULL;
	in->p += n;
	return at;
}

static bool in_u32(struct in *in, uint32_t *v)
{
	const uint8_t *at = in_take(in, 4);

	if (at)
		memcpy(v, at, 4);
	return at;
}

/* The invariants of lib/addr.h. */
static bool ip_valid(const struct ip_addr *ip)
{
	static const uint8_t zero[16];

	switch (ip->family) {
	case 4:
		return memcmp(ip->b + 4, zero, 12) == 0;
	case 6:
		return true;
	}
	return false;
}

static bool ip_none(const struct ip_addr *ip)
{
	static const struct ip_addr none;

	return ip_equal(ip, &none);
}

static bool get_scalar(struct in *in, enum field_kind kind, void *to)
{
	size_t n = scalar_size[kind];
	const uint8_t *from = in_take(in, n);

	if (!from)
		return false;
	if (kind == FIELD_ENDPOINT) {
		struct endpoint *e = to;

		memcpy(&e->ip, from, IP_WIRE);
		memcpy(&e->port, from + IP_WIRE, 2);
		return ip_valid(&e->ip) || (ip_none(&e->ip) && !e->port);
	}
	if (kind == FIELD_BOOL && *from > 1)
		return false;
	if (kind == FIELD_NAME && !memchr(from, '\0', n))
		return false;
	memcpy(to, from, n);
	if (kind == FIELD_IP)
		return ip_valid(to);
	if (kind == FIELD_PREFIX) {
		const struct prefix *p = to;

		return ip_valid(&p->ip) && p->bits <= ip_bits(&p->ip);
	}
	return true;
}

/* The fewest bytes that one element takes, to bound what a count allocates. */
static size_t element_min(const struct field *f)
{
	size_t i, n = 0;

	if (f->of != FIELD_STRUCT)
		return scalar_size[f->of];
	for (i = 0; i < f->n_fields; i++) {
		size_t one = scalar_size[f->fields[i].kind];

		n += one ? one : 4;
	}
	return n;
}

static bool get_fields(struct in *in, const struct field *f, size_t n,
		       uint8_t *base);

static bool get_elements(struct in *in, const struct field *f, uint8_t *at,
			 size_t count)
{
	size_t i;

	for (i = 0; i < count; i++, at += f->size) {
		if (f->of == FIELD_STRUCT) {
			if (!get_fields(in, f->fields, f->n_fields, at))
				return false;
		} else if (!get_scalar(in, f->of, at)) {
			return false;
		}
	}
	return true;
}

static bool get_count(struct in *in, const struct field *f, size_t *count)
{
	uint32_t n;

	if (!in_u32(in, &n) || n > f->max ||
	    n > (size_t)(in->end - in->p) / element_min(f))
		return false;
	*count = n;
	return true;
}

/* What was allocated hangs on the zeroed struct before it is filled. */
static bool get_list(struct in *in, const struct field *f, uint8_t *base)
{
	bool present = true;
	uint8_t *list;
	size_t count;

	if (f->maybe_null && !get_scalar(in, FIELD_BOOL, &present))
		return false;
	if (!get_count(in, f, &count) || (count && !present))
		return false;
	if (!count && !(f->maybe_null && present))
		return true;
	list = xcalloc(count, f->size);
	memcpy(base + f->offset, &list, sizeof(list));
	memcpy(base + f->count, &count, sizeof(count));
	return get_elements(in, f, list, count);
}

static bool get_text(struct in *in, uint8_t *at)
{
	const uint8_t *from;
	uint32_t n;
	char *text;

	if (!in_u32(in, &n) || n > WIRE_TEXT_MAX)
		return false;
	from = in_take(in, n);
	if (!from || memchr(from, '\0', n))
		return false;
	text = xmalloc(n + 1);
	memcpy(text, from, n);
	text[n] = '\0';
	memcpy(at, &text, sizeof(text));
	return true;
}

static bool get_fields(struct in *in, const struct field *f, size_t n,
		       uint8_t *base)
{
	size_t count;

	for (; n--; f++) {
		uint8_t *at = base + f->offset;
		bool good;

		if (scalar_size[f->kind]) {
			good = get_scalar(in, f->kind, at);
		} else if (f->kind == FIELD_TEXT) {
			good = get_text(in, at);
		} else if (f->kind == FIELD_ARRAY) {
			good = get_count(in, f, &count) &&
			       get_elements(in, f, at, count);
			if (good)
				memcpy(base + f->count, &count, sizeof(count));
		} else {
			good = get_list(in, f, base);
		}
		if (!good)
			return false;
	}
	return true;
}

static void free_fields(const struct field *f, size_t n, uint8_t *base)
{
	for (; n--; f++) {
		uint8_t *list;
		size_t count, i;

		if (f->kind == FIELD_KEY)
			key_wipe((struct key *)(base + f->offset));
		if (f->kind != FIELD_LIST && f->kind != FIELD_TEXT)
			continue;
		memcpy(&list, base + f->offset, sizeof(list));
		if (f->kind == FIELD_LIST && f->of == FIELD_STRUCT) {
			memcpy(&count, base + f->count, sizeof(count));
			for (i = 0; i < count; i++)
				free_fields(f->fields, f->n_fields,
					    list + i * f->size);
		}
		free(list);
	}
}

void wire_free_state(struct kernel_state *state)
{
	free_fields(state_fields, ARRAY_SIZE(state_fields), (uint8_t *)state);
	memset(state, 0, sizeof(*state));
}

void wire_free(struct wire_message *m)
{
	const struct message_table *t = &messages[m->type];

	free_fields(t->fields, t->n, (uint8_t *)&m->u);
	memset(m, 0, sizeof(*m));
}

static bool type_known(uint32_t type)
{
	return type >= WIRE_STATE && type <= WIRE_STATS;
}

int wire_decode(const uint8_t *frame, size_t n, struct wire_message *m)
{
	struct in in = { frame, frame + n };
	const struct message_table *t;
	uint32_t len, type;

	memset(m, 0, sizeof(*m));
	if (!in_u32(&in, &len) || !in_u32(&in, &type) ||
	    len != n - WIRE_HEADER || !type_known(type))
		return -EPROTO;
	m->type = type;
	t = &messages[type];
	if (!get_fields(&in, t->fields, t->n, (uint8_t *)&m->u) ||
	    in.p != in.end) {
		wire_free(m);
		return -EPROTO;
	}
	return 0;
}

int wire_take(struct evbuffer *in, struct wire_message *m)
{
	uint32_t head[2];
	uint8_t *frame;
	size_t n;
	int err;

	if (evbuffer_copyout(in, head, sizeof(head)) != sizeof(head))
		return 0;
	if (head[0] > WIRE_MAX || !type_known(head[1]))
		return -EPROTO;
	n = WIRE_HEADER + head[0];
	if (evbuffer_get_length(in) < n)
		return 0;
	frame = evbuffer_pullup(in, (ev_ssize_t)n);
	if (!frame)
		return -EPROTO;
	err = wire_decode(frame, n, m);
	/* a state carries the private key */
	if (head[1] == WIRE_STATE)
		explicit_bzero(frame, n);
	evbuffer_drain(in, n);
	return err ? err : 1;
}
