// SPDX-License-Identifier: GPL-2.0
/*
 * netfuzz SEED COUNT DEVICE DEVICE: hostile and honest netlink to two
 * WireGuard devices of this namespace, COUNT messages, many of them in one
 * send.
 *
 * Each socket's answers tell what must be in force on a device: the local set
 * and the rules of the last transaction whose commit was acknowledged. Every
 * CHECK messages that is compared with what the module says it has. Exit 0
 * when it was so to the end, with figures on stdout; the seed repeats a run as
 * far as what is sent goes.
 */
#include <err.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "netfuzz.h"
#include "tailrace.h"

#define CHECK 5000

static unsigned long n_checks;

static void check(void)
{
	int fd = socket_open(), i;

	for (i = 0; i < DEVICES; i++) {
		struct device *d = &devices[i];
		struct model m = { 0 };
		int ret;

		ret = socket_ask(fd, TAILRACE_CMD_DEV_GET, d->ifindex, false, NULL);
		if (ret != (d->is_attached ? 0 : -ENODEV))
			errx(1, "device %d: %s, but it is%s attached", i,
			     strerror(-ret), d->is_attached ? "" : " not");
		if (!d->is_attached)
			continue;
		ret = socket_ask(fd, TAILRACE_CMD_POLICY_GET, d->ifindex, true, &m);
		if (ret)
			errx(1, "policy of %d: %s", i, strerror(-ret));
		if (!model_is_equal(&m, &d->committed))
			errx(1, "device %d: not the policy that was committed: "
			     "%zu and %zu bytes, not %zu and %zu", i,
			     m.n_local, m.n_rules, d->committed.n_local,
			     d->committed.n_rules);
		model_forget(&m);
		n_checks++;
	}
	close(fd);
}

static void reopen(struct channel *ch)
{
	int i;

	close(ch->fd);
	ch->fd = socket_open();
	for (i = 0; i < DEVICES; i++)
		model_forget(&ch->pending[i]);
}

static void report(void)
{
	int i;

	for (i = 0; i < COMMANDS; i++) {
		if (figures.ok[i] + figures.refused[i])
			printf("# %-16s %8lu done %8lu refused\n",
			       message_name(i) ?: "(unknown)", figures.ok[i],
			       figures.refused[i]);
	}
	for (i = 1; i < ERRNOS; i++) {
		if (figures.errors[i])
			printf("# %8lu %s\n", figures.errors[i], strerror(i));
	}
	printf("# %lu comparisons of policies\n", n_checks);
}

int main(int argc, char **argv)
{
	unsigned long count, sent = 0, checked = 0;
	int i;

	if (argc != 5)
		errx(1, "usage: netfuzz SEED COUNT DEVICE DEVICE");
	message_seed(strtoull(argv[1], NULL, 0));
	count = strtoul(argv[2], NULL, 0);
	for (i = 0; i < DEVICES; i++) {
		devices[i].ifindex = if_nametoindex(argv[3 + i]);
		if (!devices[i].ifindex)
			err(1, "%s", argv[3 + i]);
	}
	message_init();
	for (i = 0; i < SOCKETS; i++)
		channels[i].fd = socket_open();
	while (sent < count) {
		struct channel *ch = &channels[rnd(SOCKETS)];
		uint8_t *data;
		size_t len;

		len = message_batch(ch, 1 + rnd(BATCH), &i, &data);
		sent += i;
		if (send(ch->fd, data, len, 0) < 0)
			err(1, "send");
		socket_drain(ch);
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
