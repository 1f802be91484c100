// SPDX-License-Identifier: GPL-2.0
#include "kernel/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>

#include "lib/util.h"

/* The kernel fills dumps up to 32 KiB a datagram, or one large peer. */
#define IN_SIZE NETLINK_OUT

int netlink_open(struct netlink *nl, int bus)
{
	int one = 1, room = 2 * NETLINK_OUT;

	memset(nl, 0, sizeof(*nl));
	nl->socket = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!nl->socket)
		return -errno;
	if (mnl_socket_bind(nl->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int err = -errno;

		mnl_socket_close(nl->socket);
		nl->socket = NULL;
		return err;
	}
	/* older kernels lack some of these and work without */
	mnl_socket_setsockopt(nl->socket, NETLINK_EXT_ACK, &one, sizeof(one));
	mnl_socket_setsockopt(nl->socket, NETLINK_CAP_ACK, &one, sizeof(one));
	mnl_socket_setsockopt(nl->socket, NETLINK_GET_STRICT_CHK, &one,
			      sizeof(one));
	/* the kernel refuses messages longer than the buffer */
	setsockopt(mnl_socket_get_fd(nl->socket), SOL_SOCKET, SO_SNDBUFFORCE,
		   &room, sizeof(room));
	nl->port_id = mnl_socket_get_portid(nl->socket);
	nl->sequence = (uint32_t)now_ns();
	nl->out = xmalloc(NETLINK_OUT);
	nl->in = xmalloc(IN_SIZE);
	return 0;
}

void netlink_close(struct netlink *nl)
{
	if (!nl->socket)
		return;
	mnl_socket_close(nl->socket);
	/* WireGuard's private key passes through both */
	explicit_bzero(nl->out, NETLINK_OUT);
	explicit_bzero(nl->in, IN_SIZE);
	free(nl->out);
	free(nl->in);
	memset(nl, 0, sizeof(*nl));
}

struct nlmsghdr *netlink_begin(struct netlink *nl, uint16_t type,
			       uint16_t flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(nl->out);

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = ++nl->sequence;
	return h;
}

struct nlmsghdr *netlink_begin_genl(struct netlink *nl, uint16_t family,
				    uint8_t command, uint8_t version,
				    uint16_t flags)
{
	struct nlmsghdr *h = netlink_begin(nl, family, flags);
	struct genlmsghdr *g = mnl_nlmsg_put_extra_header(h, sizeof(*g));

	g->cmd = command;
	g->version = version;
	return h;
}

/* The error of an ACK or DONE, and its text when the kernel gave one. */
static int read_error(struct netlink *nl, const struct nlmsghdr *h)
{
	const struct nlattr *tb[NLMSGERR_ATTR_MAX + 1];
	size_t offset = sizeof(struct nlmsgerr);
	int err;

	if (h->nlmsg_len < mnl_nlmsg_size(sizeof(err)))
		return 0;
	memcpy(&err, mnl_nlmsg_get_payload(h), sizeof(err));
	if (err >= 0)
		return 0;
	snprintf(nl->error, sizeof(nl->error), "%s", strerror(-err));
	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return err;
	if (h->nlmsg_type == NLMSG_DONE) {
		offset = sizeof(err);
	} else if (!(h->nlmsg_flags & NLM_F_CAPPED)) {
		const struct nlmsgerr *e = mnl_nlmsg_get_payload(h);

		offset += e->msg.nlmsg_len - sizeof(e->msg);
	}
	netlink_msg_attrs(h, offset, tb, ARRAY_SIZE(tb));
	if (tb[NLMSGERR_ATTR_MSG] &&
	    mnl_attr_validate(tb[NLMSGERR_ATTR_MSG], MNL_TYPE_NUL_STRING) >= 0)
		snprintf(nl->error, sizeof(nl->error), "%s (%s)",
			 mnl_attr_get_str(tb[NLMSGERR_ATTR_MSG]),
			 strerror(-err));
	return err;
}

/* Reads to the end of the answer to the last message. */
static int read_answer(struct netlink *nl, netlink_cb cb, void *ctx)
{
	bool torn = false;

	for (;;) {
		ssize_t got = mnl_socket_recvfrom(nl->socket, nl->in, IN_SIZE);
		const struct nlmsghdr *h = (const struct nlmsghdr *)nl->in;
		int left = (int)got;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			snprintf(nl->error, sizeof(nl->error), "%s",
				 strerror(errno));
			return -errno;
		}
		for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			if (!h->nlmsg_seq && nl->stray)
				nl->stray(nl->stray_ctx, h);
			if (h->nlmsg_seq != nl->sequence)
				continue;
			torn |= !!(h->nlmsg_flags & NLM_F_DUMP_INTR);
			if (h->nlmsg_type == NLMSG_ERROR)
				return read_error(nl, h);
			if (h->nlmsg_type == NLMSG_DONE) {
				int err = read_error(nl, h);

				return !err && torn ? -EAGAIN : err;
			}
			if (cb && h->nlmsg_type >= NLMSG_MIN_TYPE)
				cb(ctx, h);
		}
	}
}

static int transact(struct netlink *nl, struct nlmsghdr *h, netlink_cb cb,
		    void *ctx)
{
	if (mnl_socket_sendto(nl->socket, h, h->nlmsg_len) < 0) {
		snprintf(nl->error, sizeof(nl->error), "%s", strerror(errno));
		return -errno;
	}
	return read_answer(nl, cb, ctx);
}

int netlink_change(struct netlink *nl, struct nlmsghdr *h, netlink_cb cb,
		   void *ctx)
{
	h->nlmsg_flags |= NLM_F_ACK;
	nl->changes++;
	return transact(nl, h, cb, ctx);
}

int netlink_ask(struct netlink *nl, struct nlmsghdr *h, netlink_cb cb,
		void *ctx)
{
	/* the acknowledgement marks the end of a reply that is not a dump */
	if ((h->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		h->nlmsg_flags |= NLM_F_ACK;
	return transact(nl, h, cb, ctx);
}

struct family_answer {
	uint16_t id;
	const char *group_name;
	uint32_t group;
};

static void on_family(void *ctx, const struct nlmsghdr *h)
{
	const struct nlattr *tb[CTRL_ATTR_MAX + 1], *one;
	struct family_answer *f = ctx;

	netlink_msg_attrs(h, GENL_HDRLEN, tb, ARRAY_SIZE(tb));
	f->id = attr_u16(tb[CTRL_ATTR_FAMILY_ID]);
	if (!tb[CTRL_ATTR_MCAST_GROUPS] || !f->group_name)
		return;
	mnl_attr_for_each_nested(one, tb[CTRL_ATTR_MCAST_GROUPS]) {
		const struct nlattr *g[CTRL_ATTR_MCAST_GRP_MAX + 1];

		netlink_nest_attrs(one, g, ARRAY_SIZE(g));
		if (g[CTRL_ATTR_MCAST_GRP_NAME] &&
		    !strcmp(mnl_attr_get_str(g[CTRL_ATTR_MCAST_GRP_NAME]),
			    f->group_name))
			f->group = attr_u32(g[CTRL_ATTR_MCAST_GRP_ID]);
	}
}

int netlink_family(struct netlink *nl, const char *name, uint16_t *id,
		   const char *group_name, uint32_t *group)
{
	struct family_answer f = { .group_name = group_name };
	struct nlmsghdr *h =
		netlink_begin_genl(nl, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1, 0);
	int err;

	mnl_attr_put_strz(h, CTRL_ATTR_FAMILY_NAME, name);
	err = netlink_ask(nl, h, on_family, &f);
	if (err)
		return err;
	*id = f.id;
	if (group)
		*group = f.group;
	return 0;
}

int netlink_unblock(struct netlink *nl)
{
	int fd = mnl_socket_get_fd(nl->socket);
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int netlink_join(struct netlink *nl, uint32_t group)
{
	int err = netlink_unblock(nl);

	if (err)
		return err;
	return mnl_socket_setsockopt(nl->socket, NETLINK_ADD_MEMBERSHIP, &group,
				     sizeof(group)) < 0 ?
		       -errno :
		       0;
}

int netlink_receive(struct netlink *nl, netlink_cb cb, void *ctx)
{
	bool lost = false;

	for (;;) {
		ssize_t got = mnl_socket_recvfrom(nl->socket, nl->in, IN_SIZE);
		const struct nlmsghdr *h = (const struct nlmsghdr *)nl->in;
		int left = (int)got;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == ENOBUFS) {
			lost = true;
			continue;
		}
		if (got < 0)
			return lost ? -ENOBUFS : errno == EAGAIN ? 0 : -errno;
		for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left))
			if (h->nlmsg_type >= NLMSG_MIN_TYPE)
				cb(ctx, h);
	}
}

void netlink_attrs(const struct nlattr *at, size_t len,
		   const struct nlattr **tb, size_t n)
{
	int left = (int)len;

	memset(tb, 0, n * sizeof(*tb));
	for (; mnl_attr_ok(at, left);
	     left -= (int)MNL_ALIGN(at->nla_len), at = mnl_attr_next(at))
		if (mnl_attr_get_type(at) < n)
			tb[mnl_attr_get_type(at)] = at;
}

void netlink_msg_attrs(const struct nlmsghdr *h, size_t offset,
		       const struct nlattr **tb, size_t n)
{
	size_t len = mnl_nlmsg_get_payload_len(h);

	offset = MNL_ALIGN(offset);
	if (len < offset) {
		memset(tb, 0, n * sizeof(*tb));
		return;
	}
	netlink_attrs(mnl_nlmsg_get_payload_offset(h, offset), len - offset, tb,
		      n);
}

static bool sized(const struct nlattr *a, size_t n)
{
	return a && mnl_attr_get_payload_len(a) >= n;
}

uint16_t attr_u16(const struct nlattr *a)
{
	return sized(a, 2) ? mnl_attr_get_u16(a) : 0;
}

uint32_t attr_u32(const struct nlattr *a)
{
	return sized(a, 4) ? mnl_attr_get_u32(a) : 0;
}

uint64_t attr_u64(const struct nlattr *a)
{
	return sized(a, 8) ? mnl_attr_get_u64(a) : 0;
}
