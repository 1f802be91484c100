/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The agent's sockets on a device's port. They are ordinary UDP sockets, bound
 * to a port of their own; steering attaches packets to them, and their source
 * port is made to be WireGuard's.
 */
#ifndef _TR_SOCK_H
#define _TR_SOCK_H

#include <linux/mutex.h>
#include <net/sock.h>

struct netlink_ext_ack;

/**
 * struct tr_sock - the agent's sockets of one device
 * @lock: writers
 * @sk: IPv4, IPv6; a reference is held, the socket may be dead
 * @mark: what the last one taken marked its packets with then
 */
struct tr_sock {
	struct mutex lock;
	struct sock __rcu *sk[2];
	u32 mark;
};

static inline int tr_sock_index(u8 family)
{
	return family == AF_INET6;
}

void tr_sock_init(struct tr_sock *sock);
/* Restores the sockets' ports. Process context, waits for a grace period. */
void tr_sock_uninit(struct tr_sock *sock);

/**
 * tr_sock_bind() - take a socket of the caller
 * @sock: of the device
 * @net: the device's namespace
 * @fd: file descriptor of a bound UDP socket in @net
 * @port: WireGuard's
 * @extack: text on error
 *
 * An earlier socket of the same family is restored. Process context.
 *
 * Return: 0, -EBADF, -ENOTSOCK, -EINVAL, -EXDEV or -EBUSY.
 */
int tr_sock_bind(struct tr_sock *sock, struct net *net, int fd, __be16 port,
		 struct netlink_ext_ack *extack);

/* WireGuard's port is another one now. Process context. */
void tr_sock_set_port(struct tr_sock *sock, __be16 port);

/*
 * Let go of sockets that have been closed; until then they keep their network
 * namespace alive. Process context, waits for a grace period if there are any.
 */
void tr_sock_reap(struct tr_sock *sock);

/* Whether there is a socket that is not closed. Any context. */
bool tr_sock_is_alive(struct tr_sock *sock);

/**
 * tr_sock_get() - the socket for packets of a family
 * @sock: of the device
 * @family: AF_INET or AF_INET6
 *
 * RCU read side. Return: with a reference, or NULL when there is none or it
 * has been closed.
 */
static inline struct sock *tr_sock_get(struct tr_sock *sock, u8 family)
{
	struct sock *sk = rcu_dereference(sock->sk[tr_sock_index(family)]);

	if (!sk || sock_flag(sk, SOCK_DEAD) ||
	    !refcount_inc_not_zero(&sk->sk_refcnt))
		return NULL;
	return sk;
}

/* Whether @sk is one of the agent's. RCU read side. */
static inline bool tr_sock_owns(struct tr_sock *sock, const struct sock *sk)
{
	return sk && (rcu_access_pointer(sock->sk[0]) == sk ||
		      rcu_access_pointer(sock->sk[1]) == sk);
}

#endif
