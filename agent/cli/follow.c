// SPDX-License-Identifier: GPL-2.0
#include "cli/follow.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	interrupted = 1;
}

int follow(struct netlink *nl, const bool *done, netlink_cb cb, void *ctx,
	   void (*lost)(void))
{
	struct pollfd pfd = { .fd = mnl_socket_get_fd(nl->socket),
			      .events = POLLIN };
	struct sigaction act = { .sa_handler = on_signal };
	sigset_t blocked, before;
	int err = 0;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	while (!*done && !interrupted && !err) {
		if (ppoll(&pfd, 1, NULL, &before) < 0 && errno != EINTR)
			err = -errno;
		else if (!interrupted)
			err = netlink_receive(nl, cb, ctx);
		if (err != -ENOBUFS)
			continue;
		if (lost)
			lost();
		err = 0;
	}
	return err;
}
