// SPDX-License-Identifier: GPL-2.0
/*
 * netfuzz SEED COUNT DEVICE DEVICE: hostile and honest netlink to two
 * WireGuard devices of this namespace, COUNT messages, many of them in one
 * send. What a request may hold comes from uapi/tailrace.yaml by way of
 * netfuzz-tables; values are mostly such as get far, and at the edges.
 *
 * Each socket's answers tell what must be in force on a device: the local set
 * and the rules of the last transaction whose commit was acknowledged. Every
 * CHECK messages that is compared with what the module says it has. Exit 0
 * when it was so to the end, with figures on stdout; the seed repeats a run as
 * far as what is sent goes.
 */
#include <err.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tailrace.h"

#ifndef SO_RCVBUFFORCE
#define SO_RCVBUFFORCE 33
#endif
#define SOCKETS 3
#define DEVICES 2
#define BATCH 16 /* messages in a send, at most */
#define CHECK 5000
#define ROOM (1 << 18)
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
#define N_SETS ((int)(sizeof(sets) / sizeof(sets[0])))

/* A policy as it is dumped: the local set, then the rules, tagged. */
struct model {
	bool is_valid;
	size_t n_local, n_rules;
	uint8_t *local, *rules;
	unsigned int rule_count;
};

struct device {
	unsigned int ifindex;
	bool is_attached;
	struct model committed;
	bool has_policy;
	uint32_t generation;
};

/* What an answer will be about. */
struct asked {
	uint32_t seq;
	int cmd;
	unsigned int ifindex;
	bool is_dump;
	uint8_t *body; /* of POLICY_ADD */
	size_t len;
};

struct channel {
	int fd;
	struct asked asked[BATCH];
	int n_asked;
	struct model pending[DEVICES];
};

static uint64_t rng;
static struct device devices[DEVICES];
static struct channel channels[SOCKETS];
static uint16_t family;
static uint32_t next_seq = 1;
static int udp_fds[4], other_fd;
static unsigned long n_ok[64], n_refused[64], n_errno[200], n_checks;
static uint8_t *out;
static size_t out_len;
/* Of the message in the making, so that its parts go together. */
static bool is_six, has_keys;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 20) % n;
}

static bool one_in(uint32_t n)
{
	return !rnd(n);
}

/* ── the model ─────────────────────────────────────────────────────────── */

static void forget(struct model *m)
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

/* What a POLICY_ADD, or a message of a dump, has of a policy. */
static void append_policy(struct model *m, const uint8_t *data, size_t len)
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

static bool is_equal(const struct model *a, const struct model *b)
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

static void happened(struct channel *ch, const struct asked *q, int error)
{
	int i = device_of(q->ifindex), k;
	struct device *d = i < 0 ? NULL : &devices[i];

	if (error)
		n_refused[q->cmd]++;
	else
		n_ok[q->cmd]++;
	if (-error < 200)
		n_errno[-error]++;
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
		forget(&d->committed);
		for (k = 0; k < SOCKETS; k++)
			forget(&channels[k].pending[i]);
		break;
	case TAILRACE_CMD_POLICY_BEGIN:
		/* What was refused for lack of a device has forgotten nothing. */
		if (!error || error == -EBUSY) {
			forget(&ch->pending[i]);
			ch->pending[i].is_valid = !error;
		}
		break;
	case TAILRACE_CMD_POLICY_ADD:
		/*
		 * Refused, the transaction may be over or not. If it is, all
		 * that follows in it will be refused as well.
		 */
		if (!error)
			append_policy(&ch->pending[i], q->body, q->len);
		break;
	case TAILRACE_CMD_POLICY_COMMIT:
		if (error)
			break;
		if (!ch->pending[i].is_valid)
			errx(1, "a commit without a transaction");
		forget(&d->committed);
		d->committed = ch->pending[i];
		d->has_policy = true;
		ch->pending[i] = (struct model){ 0 };
		break;
	}
}

/* ── sockets ───────────────────────────────────────────────────────────── */

static int open_socket(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	int size = 64 << 20, fd, one = 1;

	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (fd < 0 || bind(fd, (void *)&addr, sizeof(addr)))
		err(1, "netlink");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	return fd;
}

static void resolve(void)
{
	struct {
		struct nlmsghdr h;
		struct genlmsghdr g;
		struct nlattr a;
		char name[12];
	} q = {
		.h = { sizeof(q), GENL_ID_CTRL, NLM_F_REQUEST, 1, 0 },
		.g = { CTRL_CMD_GETFAMILY, 1, 0 },
		.a = { NLA_HDRLEN + 9, CTRL_ATTR_FAMILY_NAME },
		.name = "tailrace",
	};
	uint8_t buf[16384];
	int fd = open_socket();
	ssize_t n;
	size_t off;

	if (send(fd, &q, sizeof(q), 0) < 0 ||
	    (n = recv(fd, buf, sizeof(buf), 0)) < 0)
		err(1, "netlink");
	for (off = sizeof(q.h) + sizeof(q.g); off + NLA_HDRLEN < (size_t)n;) {
		const struct nlattr *a = (const void *)(buf + off);

		if (a->nla_type == CTRL_ATTR_FAMILY_ID)
			memcpy(&family, buf + off + NLA_HDRLEN, 2);
		off += NLA_ALIGN(a->nla_len);
	}
	close(fd);
	if (!family)
		errx(1, "no tailrace");
}

static struct asked *find(struct channel *ch, uint32_t seq)
{
	int i;

	for (i = 0; i < ch->n_asked; i++) {
		if (ch->asked[i].seq == seq)
			return &ch->asked[i];
	}
	return NULL;
}

static void finish(struct channel *ch, struct asked *q, int error)
{
	happened(ch, q, error);
	free(q->body);
	*q = ch->asked[--ch->n_asked];
}

/* The answers to everything that was asked. */
static void drain(struct channel *ch)
{
	static uint8_t buf[ROOM];

	while (ch->n_asked) {
		ssize_t n = recv(ch->fd, buf, sizeof(buf), 0);
		size_t off = 0;

		if (n < 0)
			err(1, "recv");
		while (off + sizeof(struct nlmsghdr) <= (size_t)n) {
			const struct nlmsghdr *h = (const void *)(buf + off);
			struct asked *q = find(ch, h->nlmsg_seq);
			int error = 0;

			off += NLMSG_ALIGN(h->nlmsg_len);
			if (!q || (h->nlmsg_type != NLMSG_ERROR &&
				   h->nlmsg_type != NLMSG_DONE))
				continue;
			/* A dump is acknowledged by its end. */
			if (h->nlmsg_len >= NLMSG_LENGTH(4))
				memcpy(&error, NLMSG_DATA(h), 4);
			if (q->is_dump && h->nlmsg_type == NLMSG_ERROR &&
			    !error)
				continue;
			finish(ch, q, error);
		}
	}
}

/* ── messages ──────────────────────────────────────────────────────────── */

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

/* ── invariants ────────────────────────────────────────────────────────── */

static int ask(int fd, int cmd, unsigned int ifindex, bool dump,
	       struct model *m)
{
	struct {
		struct nlmsghdr h;
		struct genlmsghdr g;
		struct nlattr a;
		uint32_t ifindex;
	} q = {
		.h = { sizeof(q), family, NLM_F_REQUEST |
		       (dump ? NLM_F_DUMP : NLM_F_ACK), next_seq++, 0 },
		.g = { cmd, 1, 0 },
		.a = { NLA_HDRLEN + 4, 1 },
		.ifindex = ifindex,
	};
	static uint8_t buf[ROOM];

	if (send(fd, &q, sizeof(q), 0) < 0)
		err(1, "send");
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		size_t off = 0;

		if (n < 0)
			err(1, "recv");
		while (off + sizeof(q.h) <= (size_t)n) {
			const struct nlmsghdr *h = (const void *)(buf + off);
			size_t head = NLMSG_LENGTH(GENL_HDRLEN);
			int error = 0;

			if (h->nlmsg_type == NLMSG_ERROR ||
			    h->nlmsg_type == NLMSG_DONE) {
				memcpy(&error, NLMSG_DATA(h), 4);
				return error;
			}
			if (m)
				append_policy(m, buf + off + head,
					      h->nlmsg_len - head);
			off += NLMSG_ALIGN(h->nlmsg_len);
		}
	}
}

static void check(void)
{
	int fd = open_socket(), i;

	for (i = 0; i < DEVICES; i++) {
		struct device *d = &devices[i];
		struct model m = { 0 };
		int ret;

		ret = ask(fd, TAILRACE_CMD_DEV_GET, d->ifindex, false, NULL);
		if (ret != (d->is_attached ? 0 : -ENODEV))
			errx(1, "device %d: %s, but it is%s attached", i,
			     strerror(-ret), d->is_attached ? "" : " not");
		if (!d->is_attached)
			continue;
		ret = ask(fd, TAILRACE_CMD_POLICY_GET, d->ifindex, true, &m);
		if (ret)
			errx(1, "policy of %d: %s", i, strerror(-ret));
		if (!is_equal(&m, &d->committed))
			errx(1, "device %d: not the policy that was committed: "
			     "%zu and %zu bytes, not %zu and %zu", i,
			     m.n_local, m.n_rules, d->committed.n_local,
			     d->committed.n_rules);
		forget(&m);
		n_checks++;
	}
	close(fd);
}

static void reopen(struct channel *ch)
{
	int i;

	close(ch->fd);
	ch->fd = open_socket();
	for (i = 0; i < DEVICES; i++)
		forget(&ch->pending[i]);
}

static void report(void)
{
	int i;

	for (i = 0; i < 64; i++) {
		if (n_ok[i] + n_refused[i])
			printf("# %-16s %8lu done %8lu refused\n",
			       i && i < N_CMDS ? cmds[i].name : "(unknown)",
			       n_ok[i], n_refused[i]);
	}
	for (i = 1; i < 200; i++) {
		if (n_errno[i])
			printf("# %8lu %s\n", n_errno[i], strerror(i));
	}
	printf("# %lu comparisons of policies\n", n_checks);
}

int main(int argc, char **argv)
{
	unsigned long count_, sent = 0, checked = 0;
	int i;

	if (argc != 5)
		errx(1, "usage: netfuzz SEED COUNT DEVICE DEVICE");
	rng = strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15ULL + 1;
	count_ = strtoul(argv[2], NULL, 0);
	for (i = 0; i < DEVICES; i++) {
		devices[i].ifindex = if_nametoindex(argv[3 + i]);
		if (!devices[i].ifindex)
			err(1, "%s", argv[3 + i]);
	}
	out = malloc(ROOM);
	for (i = 0; i < 4; i++) {
		struct sockaddr_in6 addr = {
			.sin6_family = i % 2 ? AF_INET6 : AF_INET
		};

		udp_fds[i] = socket(addr.sin6_family, SOCK_DGRAM, 0);
		if (bind(udp_fds[i], (void *)&addr, sizeof(addr)))
			err(1, "bind");
	}
	other_fd = dup(0);
	resolve();
	for (i = 0; i < SOCKETS; i++)
		channels[i].fd = open_socket();
	while (sent < count_) {
		struct channel *ch = &channels[rnd(SOCKETS)];
		int n = 1 + rnd(BATCH);

		out_len = 0;
		for (i = 0; i < n && out_len < ROOM / 4; i++)
			put_message(ch);
		sent += i;
		if (send(ch->fd, out, out_len, 0) < 0)
			err(1, "send");
		drain(ch);
		if (one_in(2000))
			reopen(ch);
		if (sent - checked >= CHECK) {
			check();
			checked = sent;
		}
	}
	check();
	printf("# seed %s, %lu messages\n", argv[1], sent);
	report();
	return 0;
}
