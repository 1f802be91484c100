// SPDX-License-Identifier: GPL-2.0
/* netfuzz: sockets, and the answers that come by them. */
#include <err.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netfuzz.h"
#include "tailrace.h"

#ifndef SO_RCVBUFFORCE
#define SO_RCVBUFFORCE 33
#endif

int socket_open(void)
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

static uint16_t family;

uint16_t socket_family(void)
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
	int fd = socket_open();
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
	return family;
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
	model_happened(ch, q, error);
	free(q->body);
	*q = ch->asked[--ch->n_asked];
}

void socket_drain(struct channel *ch)
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

int socket_ask(int fd, int cmd, unsigned int ifindex, bool dump,
	       struct model *m)
{
	struct {
		struct nlmsghdr h;
		struct genlmsghdr g;
		struct nlattr a;
		uint32_t ifindex;
	} q = {
		.h = { sizeof(q), family, NLM_F_REQUEST |
		       (dump ? NLM_F_DUMP : NLM_F_ACK), message_seq(), 0 },
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
				model_append(m, buf + off + head,
					      h->nlmsg_len - head);
			off += NLMSG_ALIGN(h->nlmsg_len);
		}
	}
}
