// SPDX-License-Identifier: GPL-2.0
#include "relay/tcp.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/util.h"
#include "relay/server.h"

/*
 * No more than this waits unsent in the kernel, where it cannot be dropped for
 * something newer.
 */
#define UNSENT_MAX 32768

void relayd_tcp_options(int fd, const struct relayd_config *config)
{
	int one = 1, unsent = UNSENT_MAX;
	int idle = (int)(config->tcp_keepalive_ms / 1000);
	int user = (int)config->tcp_user_timeout_ms;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	if (idle) {
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
		setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	}
	if (user)
		setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user,
			   sizeof(user));
}

struct tcp_info relayd_tcp_info(int fd)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len))
		memset(&info, 0, sizeof(info));
	return info;
}

void relayd_tcp_sample(int fd, struct relayd_stats *stats)
{
	static const struct {
		unsigned int ms;
		enum relayd_stat stat;
	} buckets[] = {
		{10, RELAYD_RTT_10},   {20, RELAYD_RTT_20},
		{50, RELAYD_RTT_50},   {100, RELAYD_RTT_100},
		{150, RELAYD_RTT_150}, {250, RELAYD_RTT_250},
		{500, RELAYD_RTT_500},
	};
	unsigned int us = relayd_tcp_info(fd).tcpi_rtt;
	enum relayd_stat stat = us ? RELAYD_RTT_INF : RELAYD_RTT_ERROR;
	size_t i;

	for (i = 0; us && i < ARRAY_SIZE(buckets); i++) {
		if (us <= buckets[i].ms * 1000) {
			stat = buckets[i].stat;
			break;
		}
	}
	relayd_count(stats, stat, 1);
}
