// SPDX-License-Identifier: GPL-2.0
/*
 * netfuzz: messages. What a request may hold comes from uapi/tailrace.yaml by
 * way of netfuzz-tables; values are mostly such as get far, and at the edges.
 */
#include <err.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netfuzz.h"
#include "tailrace.h"

#define RULES 200 /* of a transaction that is let grow */

enum kind {
	U8, U16, U32, U64, S32, FLAG, PAD, NEST, BINARY, BYTES, WORDS, ADDRS,
	DSTS, ENDPOINTS,
};

struct attr_spec {
	const char *name;
	enum kind kind;
	int nested;
	bool multi;
};

struct set_spec {
	const char *name;
	const struct attr_spec *attrs; /* [0] is none */
	int n;
};

struct cmd_spec {
	const char *name;
	int set;
	bool has_do, has_dump;
	uint64_t do_attrs, dump_attrs;
};

#include "netfuzz-tables.h"

#define N_CMDS ((int)(sizeof(cmds) / sizeof(cmds[0])))

static uint64_t rng;
static uint16_t family;
static uint32_t next_seq = 1;
static int udp_fds[4], other_fd;
static uint8_t *out;
static size_t out_len;
/* Of the message in the making, so that its parts go together. */
static bool is_six, has_keys;

uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 20) % n;
}

bool one_in(uint32_t n)
{
	return !rnd(n);
}

static void put(const void *data, size_t len)
{
	if (out_len + len > ROOM)
		errx(1, "a message too long");
	memcpy(out + out_len, data, len);
	out_len += len;
}

static void put_random(size_t len)
{
	while (len--)
		put(&(uint8_t){ rnd(256) }, 1);
}

static void put_addr(bool whole, bool prefix)
{
	struct tailrace_addr a = { .kind = prefix ? 1 + rnd(2) : rnd(5) };
	bool six = a.kind == TAILRACE_ADDR_PREFIX6 ||
		   a.kind == TAILRACE_ADDR_RANGE6;
	unsigned int bits = six ? 128 : 32, i;

	if (a.kind != TAILRACE_ADDR_ANY) {
		static const uint8_t nets4[][2] = { { 10, 9 }, { 10, 200 },
						    { 192, 0 }, { 0, 0 } };
		const uint8_t *net = nets4[rnd(4)];

		a.first[0] = six ? 0xfd : net[0];
		a.first[1] = six ? rnd(3) : net[1];
		for (i = 2; i < bits / 8; i++)
			a.first[i] = one_in(2) ? 0 : rnd(256);
	}
	if (a.kind == TAILRACE_ADDR_PREFIX4 || a.kind == TAILRACE_ADDR_PREFIX6) {
		a.prefix_len = one_in(3) ? bits : rnd(bits + 1);
		for (i = a.prefix_len; i < bits; i++)
			a.first[i / 8] &= ~(0x80 >> i % 8);
	} else if (a.kind != TAILRACE_ADDR_ANY) {
		memcpy(a.last, a.first, sizeof(a.last));
		a.last[bits / 8 - 1] = 255;
	}
	if (!whole) {
		uint8_t *b = (uint8_t *)&a;

		b[rnd(sizeof(a))] = one_in(2) ? 255 : rnd(256);
	}
	put(&a, sizeof(a));
}

/* Elements of an array, now and then many, hardly ever a broken one. */
static uint32_t count(void)
{
	switch (rnd(40)) {
	case 0:
		return 0;
	case 1:
		return rnd(300);
	default:
		return 1 + rnd(4);
	}
}

static void put_endpoint(void)
{
	struct tailrace_endpoint ep = {
		.family = one_in(3) ? AF_INET6 : AF_INET,
		.port = htons(rnd(4) ? 1024 + rnd(64) : rnd(65536)),
		.addr = { 192, 0, 2, rnd(64) },
	};

	if (ep.family == AF_INET6)
		memcpy(ep.addr, (uint8_t[]){ 0xfd, 1, [15] = rnd(64) }, 16);
	if (one_in(50))
		((uint8_t *)&ep)[rnd(sizeof(ep))] = rnd(256);
	put(&ep, sizeof(ep));
}

/* An address in the tunnel. */
static void put_inside(void)
{
	if (is_six)
		put((uint8_t[16]){ 0xfd, 9, [15] = rnd(4) }, 16);
	else
		put((uint8_t[4]){ 10, 9, 0, rnd(4) }, 4);
}

static uint32_t number(uint32_t max)
{
	switch (rnd(8)) {
	case 0:
		return 0;
	case 1:
		return 1;
	case 2:
		return max;
	case 3:
		return max - 1;
	case 4:
		return max / 2 + 1;
	case 5:
		return 1U << rnd(32) & max;
	default:
		return rnd(32) & max;
	}
}

/* A u32 that means something by its name. */
static uint32_t meaningful(const char *name)
{
	if (one_in(40))
		return number(UINT32_MAX);
	if (!strcmp(name, "ifindex"))
		return one_in(60) ? rnd(20) : devices[rnd(DEVICES)].ifindex;
	if (!strcmp(name, "fd"))
		return one_in(8) ? (uint32_t)other_fd : (uint32_t)udp_fds[rnd(4)];
	if (!strcmp(name, "id") || !strcmp(name, "peer"))
		return 1 + rnd(40);
	if (!strcmp(name, "flags"))
		return one_in(3) ? rnd(8) : 0;
	/* Memory that a test machine has not got is of another test. */
	if (!strcmp(name, "flows-max"))
		return 4096 << rnd(3);
	return number(UINT32_MAX);
}

static size_t open_attr(int type)
{
	size_t at = out_len;

	put(&(struct nlattr){ .nla_type = type }, NLA_HDRLEN);
	return at;
}

static void close_attr(size_t at)
{
	uint16_t len = out_len - at;

	memcpy(out + at, &len, sizeof(len));
	while (out_len % NLA_ALIGNTO)
		put("", 1);
}

static void put_attr(const struct set_spec *set, int type);

/* All of them or none. */
static bool is_key(const struct attr_spec *a)
{
	return !strncmp(a->name, "disco", 5);
}

/* The attributes of @mask, most of them, and hardly ever another. */
static void put_attrs(const struct set_spec *set, uint64_t mask)
{
	int i, times;

	for (i = 1; i <= set->n; i++) {
		if (!(mask >> i & 1))
			continue;
		/* Without the first there is not much to try. */
		if (one_in(i == 1 ? 200 : 6) && !is_key(&set->attrs[i]))
			continue;
		if (is_key(&set->attrs[i]) && has_keys == one_in(100))
			continue;
		/* For dumps alone, but who knows. */
		if (!strcmp(set->attrs[i].name, "hits") && !one_in(200))
			continue;
		times = set->attrs[i].multi || one_in(100) ? 1 + rnd(3) : 1;
		while (times--)
			put_attr(set, i);
	}
	if (one_in(60))
		put_attr(set, 1 + rnd(set->n));
	if (one_in(100)) {
		size_t at = open_attr(rnd(300));

		put_random(rnd(40));
		close_attr(at);
	}
}

static void put_value(const struct set_spec *set, const struct attr_spec *a)
{
	bool whole = rnd(100);
	uint32_t n;

	switch (a->kind) {
	case U8:
		put(&(uint8_t){ number(255) }, 1);
		break;
	case U16:
		if (!strcmp(a->name, "port") && rnd(10)) /* few collide */
			put(&(uint16_t){ 41600 + rnd(64) }, 2);
		else
			put(&(uint16_t){ number(65535) }, 2);
		break;
	case U32:
	case S32:
		put(&(uint32_t){ meaningful(a->name) }, 4);
		break;
	case U64:
		put_random(8);
		break;
	case FLAG:
	case PAD:
		break;
	case NEST:
		put_attrs(&sets[a->nested], ~(uint64_t)0);
		break;
	case BINARY:
		if (one_in(50))
			put_random(rnd(100));
		else if (!strncmp(a->name, "disco", 5))
			put_random(32);
		else if (!strcmp(a->name, "src") || !strcmp(a->name, "dst"))
			put_inside();
		else
			put_random(1 + rnd(64));
		break;
	case BYTES:
		put_random(1 + rnd(8));
		break;
	case WORDS:
		for (n = count(); n; n--)
			put(&(uint32_t){ rnd(16) }, 4);
		break;
	case ADDRS:
		for (n = a->multi || !strcmp(set->name, "policy") ||
			 !strcmp(set->name, "rule") ? count() : 1; n; n--)
			put_addr(whole || n > 1, !strcmp(set->name, "peer"));
		break;
	case DSTS:
		for (n = count(); n; n--) {
			uint16_t first = number(65535);

			put_addr(whole || n > 1, false);
			put(&first, 2);
			put(&(uint16_t){ one_in(2) ? 65535 : first }, 2);
		}
		break;
	case ENDPOINTS:
		for (n = !strcmp(a->name, "seen") ? count() : 1; n; n--)
			put_endpoint();
		break;
	}
}

static void put_attr(const struct set_spec *set, int type)
{
	const struct attr_spec *a = &set->attrs[type];
	bool nested = a->kind == NEST;
	size_t at;

	if (one_in(200))
		nested = !nested;
	at = open_attr(type | (nested ? NLA_F_NESTED : 0));
	if (one_in(100))
		put_random(rnd(70));
	else
		put_value(set, a);
	if (one_in(200) && out_len > at + NLA_HDRLEN)
		out_len -= 1 + rnd(out_len - at - NLA_HDRLEN);
	close_attr(at);
	if (one_in(1000)) {
		uint16_t len = rnd(65536);

		memcpy(out + at, &len, 2);
	}
}

/* The last one counts, for what is parsed. */
static unsigned int ifindex_in(const uint8_t *data, size_t len)
{
	unsigned int found = 0;

	while (len >= NLA_HDRLEN) {
		const struct nlattr *a = (const void *)data;
		size_t step = NLA_ALIGN(a->nla_len);

		if (a->nla_len < NLA_HDRLEN || a->nla_len > len)
			break;
		if ((a->nla_type & NLA_TYPE_MASK) == 1 && a->nla_len == 8)
			memcpy(&found, data + NLA_HDRLEN, 4);
		if (step > len)
			break;
		data += step;
		len -= step;
	}
	return found;
}

/* Commands that cost a grace period are seldom; no device stays detached. */
static int choose(void)
{
	int cmd, i;

	for (i = 0; i < DEVICES; i++) {
		if (!devices[i].is_attached && one_in(10))
			return TAILRACE_CMD_DEV_ATTACH;
	}
	for (;;) {
		cmd = rnd(N_CMDS + 6);
		if (cmd >= N_CMDS)
			return cmd % 2 ? TAILRACE_CMD_POLICY_ADD :
					 TAILRACE_CMD_PEER_SET;
		if (!cmds[cmd].has_do && !cmds[cmd].has_dump && !one_in(20))
			continue;
		switch (cmd) {
		case TAILRACE_CMD_DEV_DETACH:
			if (!one_in(300))
				continue;
			break;
		case TAILRACE_CMD_SOCKET_BIND:
			if (!one_in(20))
				continue;
			break;
		case TAILRACE_CMD_POLICY_COMMIT:
			if (!one_in(8))
				continue;
			break;
		case TAILRACE_CMD_POLICY_BEGIN:
			if (!one_in(3))
				continue;
			break;
		case TAILRACE_CMD_DEV_SET:
			if (!one_in(5))
				continue;
			break;
		}
		return cmd;
	}
}

/* A transaction must come to an end while it can still be dumped quickly. */
static bool is_grown(const struct channel *ch)
{
	int i;

	for (i = 0; i < DEVICES; i++) {
		if (ch->pending[i].rule_count > RULES)
			return true;
	}
	return false;
}

static void put_message(struct channel *ch)
{
	int cmd = choose();
	const struct cmd_spec *spec;
	struct nlmsghdr h = { .nlmsg_type = family,
			      .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
			      .nlmsg_seq = next_seq++ };
	struct genlmsghdr g = { .version = 1 };
	struct asked *q = &ch->asked[ch->n_asked++];
	size_t at = out_len, body;
	bool dump;

	if (is_grown(ch) && cmd == TAILRACE_CMD_POLICY_ADD)
		cmd = one_in(2) ? TAILRACE_CMD_POLICY_COMMIT :
				  TAILRACE_CMD_POLICY_BEGIN;
	spec = &cmds[cmd];
	dump = cmd && spec->has_dump && (!spec->has_do || one_in(4));
	if (one_in(200))
		dump = !dump;
	if (dump)
		h.nlmsg_flags |= NLM_F_DUMP;
	else if (one_in(100))
		h.nlmsg_flags |= rnd(16) << 8 & ~NLM_F_DUMP;
	g.cmd = one_in(500) ? (int)rnd(256) : cmd;
	if (one_in(500))
		g.reserved = rnd(65536);
	is_six = one_in(3);
	has_keys = one_in(2);
	put(&h, sizeof(h));
	put(&g, sizeof(g));
	body = out_len;
	if (cmd)
		put_attrs(&sets[spec->set], one_in(300) ? ~(uint64_t)0 :
			  dump ? spec->dump_attrs : spec->do_attrs);
	if (one_in(1000))
		put_random(rnd(32));
	h.nlmsg_len = out_len - at;
	memcpy(out + at, &h, sizeof(h));
	while (out_len % NLMSG_ALIGNTO)
		put("", 1);

	*q = (struct asked){ .seq = h.nlmsg_seq, .cmd = g.cmd < 64 ? g.cmd : 0,
			     .is_dump = dump };
	q->ifindex = ifindex_in(out + body, at + h.nlmsg_len - body);
	if (g.cmd == TAILRACE_CMD_POLICY_ADD) {
		q->len = at + h.nlmsg_len - body;
		q->body = malloc(q->len + 1);
		memcpy(q->body, out + body, q->len);
	}
}

size_t message_batch(struct channel *ch, int n, int *made, uint8_t **data)
{
	int i;

	out_len = 0;
	for (i = 0; i < n && out_len < ROOM / 4; i++)
		put_message(ch);
	*made = i;
	*data = out;
	return out_len;
}

void message_seed(uint64_t seed)
{
	rng = seed * 0x9e3779b97f4a7c15ULL + 1;
}

uint32_t message_seq(void)
{
	return next_seq++;
}

void message_init(void)
{
	int i;

	out = malloc(ROOM);
	if (!out)
		err(1, "memory");
	for (i = 0; i < 4; i++) {
		struct sockaddr_in6 addr = {
			.sin6_family = i % 2 ? AF_INET6 : AF_INET
		};

		udp_fds[i] = socket(addr.sin6_family, SOCK_DGRAM, 0);
		if (bind(udp_fds[i], (void *)&addr, sizeof(addr)))
			err(1, "bind");
	}
	other_fd = dup(0);
	family = socket_family();
}

const char *message_name(int cmd)
{
	return cmd && cmd < N_CMDS ? cmds[cmd].name : NULL;
}
