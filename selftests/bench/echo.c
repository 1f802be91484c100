// SPDX-License-Identifier: GPL-2.0
/*
 * UDP echoes in closed loop: a window of packets goes out, the next one follows
 * when all of them are back. Nothing is lost and nothing idles, so on a machine
 * whose clock counts instructions the time is what the packets cost.
 *
 *   echo serve ADDRESS PORT
 *   echo run ADDRESS PORT COUNT SIZE WINDOW    prints ns per echo
 */
#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WINDOW_MAX 64
#define DATAGRAM_MAX 2048

static struct mmsghdr msgs[WINDOW_MAX];
static struct iovec iov[WINDOW_MAX];
static struct sockaddr_in from[WINDOW_MAX];
static char data[WINDOW_MAX][DATAGRAM_MAX];

static void set_sizes(size_t size)
{
	int i;

	for (i = 0; i < WINDOW_MAX; i++) {
		iov[i] = (struct iovec){ data[i], size };
		msgs[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i],
						   .msg_iovlen = 1 };
	}
}

static void send_all(int fd, unsigned int n)
{
	unsigned int done = 0;

	while (done < n) {
		int sent = sendmmsg(fd, msgs + done, n - done, 0);

		if (sent < 0)
			err(1, "sendmmsg");
		done += (unsigned int)sent;
	}
}

static void serve(int fd)
{
	for (;;) {
		int i, n;

		set_sizes(DATAGRAM_MAX);
		for (i = 0; i < WINDOW_MAX; i++) {
			msgs[i].msg_hdr.msg_name = &from[i];
			msgs[i].msg_hdr.msg_namelen = sizeof(from[i]);
		}
		n = recvmmsg(fd, msgs, WINDOW_MAX, MSG_WAITFORONE, NULL);
		if (n < 0)
			err(1, "recvmmsg");
		for (i = 0; i < n; i++)
			iov[i].iov_len = msgs[i].msg_len;
		send_all(fd, (unsigned int)n);
	}
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static void run(int fd, unsigned int count, size_t size, unsigned int window)
{
	double start = now();
	unsigned int done, back;

	for (done = 0; done < count; done += window) {
		set_sizes(size);
		send_all(fd, window);
		for (back = 0; back < window;) {
			int n = recvmmsg(fd, msgs, window - back,
					 MSG_WAITFORONE, NULL);

			if (n < 0)
				err(1, "an echo is lost after %u", done);
			back += (unsigned int)n;
		}
	}
	printf("%.0f\n", (now() - start) / done);
}

int main(int argc, char **argv)
{
	struct timeval limit = { 5, 0 };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	unsigned int window;
	size_t size;

	if (argc < 4 || inet_pton(AF_INET, argv[2], &sin.sin_addr) != 1)
		errx(2, "usage: echo serve ADDRESS PORT | run ADDRESS PORT COUNT SIZE WINDOW");
	sin.sin_port = htons((uint16_t)atoi(argv[3]));
	if (!strcmp(argv[1], "serve")) {
		if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)))
			err(1, "bind");
		serve(fd);
	}
	if (argc != 7)
		errx(2, "run takes ADDRESS PORT COUNT SIZE WINDOW");
	size = (size_t)atoi(argv[5]);
	window = (unsigned int)atoi(argv[6]);
	if (size > DATAGRAM_MAX || !window || window > WINDOW_MAX)
		errx(2, "at most %d bytes, a window of 1 to %d", DATAGRAM_MAX,
		     WINDOW_MAX);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&sin, sizeof(sin)))
		err(1, "connect");
	run(fd, (unsigned int)atoi(argv[4]), size, window);
	return 0;
}
