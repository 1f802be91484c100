/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_NETLINK_H
#define KERNEL_NETLINK_H

#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Netlink requests, one at a time and synchronous: the kernel answers before
 * send() returns. Every request that changes something is counted, so that a
 * test can prove that applying a state twice changes nothing.
 */

struct netlink {
	struct mnl_socket *socket;
	uint32_t port_id;
	uint32_t sequence;
	unsigned int changes; /* requests sent by netlink_change */
	char *out; /* the message being built */
	char *in;
	/*
	 * Sees notifications that come before an answer; NULL: nobody does. They
	 * and those of netlink_receive() are the socket's events, in order.
	 */
	void (*stray)(void *ctx, const struct nlmsghdr *h);
	void *stray_ctx;
	/* The kernel's text (extack) or strerror of the last failure. */
	char error[256];
};

/*
 * Room for one outgoing message; build no longer ones. The longest is a peer of
 * the module's with TAILRACE_MAX_PEER_ADDRS addresses and as many routes.
 */
#define NETLINK_OUT (512 * 1024)
/* Close a message of many elements past this and start another. */
#define NETLINK_BATCH (30 * 1024)

/* @bus is NETLINK_ROUTE or NETLINK_GENERIC; 0 or negative errno. */
int netlink_open(struct netlink *nl, int bus);
void netlink_close(struct netlink *nl);

/* Starts the next message in nl->out; the earlier one is gone. */
struct nlmsghdr *netlink_begin(struct netlink *nl, uint16_t type,
			       uint16_t flags);
struct nlmsghdr *netlink_begin_genl(struct netlink *nl, uint16_t family,
				    uint8_t command, uint8_t version,
				    uint16_t flags);

typedef void (*netlink_cb)(void *ctx, const struct nlmsghdr *h);

/*
 * Sends what changes something and waits for the acknowledgement. @cb, when
 * not NULL, sees replies before it. 0 or the kernel's negative errno with
 * nl->error set.
 */
int netlink_change(struct netlink *nl, struct nlmsghdr *h, netlink_cb cb,
		   void *ctx);

/*
 * Sends a question (do or dump). -EAGAIN when a dump was not consistent: ask
 * again from the start.
 */
int netlink_ask(struct netlink *nl, struct nlmsghdr *h, netlink_cb cb,
		void *ctx);

/*
 * The id of a generic netlink family, and of its multicast group when
 * @group_name is not NULL. Asking makes the kernel load the module that has
 * the alias. -ENOENT when there is none.
 */
int netlink_family(struct netlink *nl, const char *name, uint16_t *id,
		   const char *group_name, uint32_t *group);

/* From here on netlink_receive() does not wait. */
int netlink_unblock(struct netlink *nl);
/* Joins a multicast group; the socket becomes non-blocking. */
int netlink_join(struct netlink *nl, uint32_t group);
/*
 * Notifications that are waiting. 0 when all were read, -ENOBUFS when some
 * were lost.
 */
int netlink_receive(struct netlink *nl, netlink_cb cb, void *ctx);

/* Attributes by type, @n slots; those out of range are skipped. */
void netlink_attrs(const struct nlattr *at, size_t len,
		   const struct nlattr **tb, size_t n);
void netlink_msg_attrs(const struct nlmsghdr *h, size_t offset,
		       const struct nlattr **tb, size_t n);
#define netlink_nest_attrs(attr, tb, n)                                       \
	netlink_attrs(mnl_attr_get_payload(attr),                             \
		      mnl_attr_get_payload_len(attr), tb, n)

/* Values of attributes that may be absent or too short: 0 then. */
uint16_t attr_u16(const struct nlattr *a);
uint32_t attr_u32(const struct nlattr *a);
uint64_t attr_u64(const struct nlattr *a);

#endif
