// SPDX-License-Identifier: GPL-2.0
#include <linux/net.h>
#include <linux/netlink.h>
#include <linux/udp.h>
#include <net/inet_sock.h>

#include "sock.h"

void tr_sock_init(struct tr_sock *sock)
{
	mutex_init(&sock->lock);
	RCU_INIT_POINTER(sock->sk[0], NULL);
	RCU_INIT_POINTER(sock->sk[1], NULL);
}

/* What sendto() puts into the source port and getsockname() shows. */
static void set_source_port(struct sock *sk, __be16 port)
{
	lock_sock(sk);
	/* A closed socket has no port any more, nor needs one. */
	if (!sock_flag(sk, SOCK_DEAD) && inet_sk(sk)->inet_num)
		inet_sk(sk)->inet_sport = port ?: htons(inet_sk(sk)->inet_num);
	release_sock(sk);
}

static struct sock *replace(struct tr_sock *sock, int i, struct sock *sk)
{
	return rcu_replace_pointer(sock->sk[i], sk,
				   lockdep_is_held(&sock->lock));
}

void tr_sock_uninit(struct tr_sock *sock)
{
	struct sock *old[2];
	int i;

	mutex_lock(&sock->lock);
	for (i = 0; i < ARRAY_SIZE(old); i++)
		old[i] = replace(sock, i, NULL);
	mutex_unlock(&sock->lock);

	if (!old[0] && !old[1])
		return;
	/* Readers take their own reference before they leave theirs. */
	synchronize_net();
	for (i = 0; i < ARRAY_SIZE(old); i++) {
		if (!old[i])
			continue;
		set_source_port(old[i], 0);
		sock_put(old[i]);
	}
}

static int check(const struct sock *sk, const struct net *net,
		 struct netlink_ext_ack *extack)
{
	if (sk->sk_type != SOCK_DGRAM || sk->sk_protocol != IPPROTO_UDP ||
	    (sk->sk_family != AF_INET && sk->sk_family != AF_INET6)) {
		NL_SET_ERR_MSG(extack, "not a UDP socket");
		return -EINVAL;
	}
	if (!net_eq(sock_net(sk), net)) {
		NL_SET_ERR_MSG(extack,
			       "the socket is of another network namespace");
		return -EXDEV;
	}
	if (!inet_sk(sk)->inet_num) {
		NL_SET_ERR_MSG(extack, "the socket is not bound");
		return -EINVAL;
	}
	if (inet_sk(sk)->inet_sport != htons(inet_sk(sk)->inet_num)) {
		NL_SET_ERR_MSG(extack, "the socket serves a device already");
		return -EBUSY;
	}
	return 0;
}

int tr_sock_bind(struct tr_sock *sock, struct net *net, int fd, __be16 port,
		 struct netlink_ext_ack *extack)
{
	struct socket *file;
	struct sock *sk, *old;
	int ret = 0;

	file = sockfd_lookup(fd, &ret);
	if (!file) {
		NL_SET_ERR_MSG(extack, "not a socket");
		return ret;
	}
	sk = file->sk;

	mutex_lock(&sock->lock);
	if (tr_sock_owns(sock, sk))
		goto out;
	lock_sock(sk);
	ret = check(sk, net, extack);
	if (!ret) {
		sock_hold(sk);
		inet_sk(sk)->inet_sport = port;
		WRITE_ONCE(sock->mark, READ_ONCE(sk->sk_mark));
	}
	release_sock(sk);
	if (ret)
		goto out;

	old = replace(sock, tr_sock_index(sk->sk_family), sk);
	if (old) {
		synchronize_net();
		set_source_port(old, 0);
		sock_put(old);
	}
out:
	mutex_unlock(&sock->lock);
	sockfd_put(file);
	return ret;
}

void tr_sock_set_port(struct tr_sock *sock, __be16 port)
{
	int i;

	mutex_lock(&sock->lock);
	for (i = 0; i < ARRAY_SIZE(sock->sk); i++) {
		struct sock *sk = rcu_dereference_protected(
			sock->sk[i], lockdep_is_held(&sock->lock));

		if (sk)
			set_source_port(sk, port);
	}
	mutex_unlock(&sock->lock);
}

void tr_sock_reap(struct tr_sock *sock)
{
	struct sock *dead[2] = {};
	int i;

	mutex_lock(&sock->lock);
	for (i = 0; i < ARRAY_SIZE(dead); i++) {
		struct sock *sk = rcu_dereference_protected(
			sock->sk[i], lockdep_is_held(&sock->lock));

		if (sk && sock_flag(sk, SOCK_DEAD))
			dead[i] = replace(sock, i, NULL);
	}
	mutex_unlock(&sock->lock);

	if (!dead[0] && !dead[1])
		return;
	synchronize_net();
	for (i = 0; i < ARRAY_SIZE(dead); i++) {
		if (dead[i])
			sock_put(dead[i]);
	}
}

bool tr_sock_is_alive(struct tr_sock *sock)
{
	bool alive = false;
	int i;

	rcu_read_lock();
	for (i = 0; i < ARRAY_SIZE(sock->sk); i++) {
		struct sock *sk = rcu_dereference(sock->sk[i]);

		alive |= sk && !sock_flag(sk, SOCK_DEAD);
	}
	rcu_read_unlock();
	return alive;
}
