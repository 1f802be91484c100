// SPDX-License-Identifier: GPL-2.0
/*
 * Traffic for a machine whose clock counts instructions: nothing idles, so that
 * the time is what the packets cost.
 *
 *   echo serve ADDRESS PORT                    UDP echoes, and a TCP sink
 *   echo run ADDRESS PORT COUNT SIZE WINDOW    prints ns per echo
 *   echo send ADDRESS PORT KIB STREAMS         prints ns per KiB
 *
 * run is UDP in closed loop: a window of packets goes out, the next one follows
 * when all of them are back. send is TCP: as much as the streams take, until all
 * has been read on the other side.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define WINDOW_MAX 64
#define DATAGRAM_MAX 2048
#define STREAMS_MAX 64

static struct mmsghdr msgs[WINDOW_MAX];
static struct iovec iov[WINDOW_MAX];
static struct sockaddr_in from[WINDOW_MAX];
static char data[WINDOW_MAX][DATAGRAM_MAX];
static char bulk[1 << 16];

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

static void echo(int fd)
{
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

/* Its end is answered by ours. Returns whether there is more to come. */
static int sink(int fd)
{
	ssize_t n = recv(fd, bulk, sizeof(bulk), MSG_DONTWAIT);

	if (n > 0 || (n < 0 && errno == EAGAIN))
		return 1;
	close(fd);
	return 0;
}

static void serve(int udp, int listener)
{
	struct pollfd fds[2 + STREAMS_MAX] = { { .fd = udp, .events = POLLIN },
					       { .fd = listener,
						 .events = POLLIN } };
	nfds_t i, n = 2;

	for (;;) {
		if (poll(fds, n, -1) < 0)
			err(1, "poll");
		if (fds[0].revents)
			echo(udp);
		for (i = 2; i < n; i++)
			if (fds[i].revents && !sink(fds[i].fd))
				fds[i--] = fds[--n];
		if (fds[1].revents && n < 2 + STREAMS_MAX)
			fds[n++] = (struct pollfd){
				.fd = accept(listener, NULL, NULL),
				.events = POLLIN,
			};
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

/* To the end: the other side has closed as well. */
static void finish(int fd)
{
	shutdown(fd, SHUT_WR);
	if (recv(fd, bulk, 1, 0))
		err(1, "no end of a stream");
	close(fd);
}

static void send_streams(const struct sockaddr_in *sin, size_t kib,
			 unsigned int streams)
{
	struct pollfd fds[STREAMS_MAX];
	size_t left[STREAMS_MAX];
	unsigned int i, open = streams;
	double start = now();

	for (i = 0; i < streams; i++) {
		fds[i] = (struct pollfd){ .fd = socket(AF_INET, SOCK_STREAM, 0),
					  .events = POLLOUT };
		if (connect(fds[i].fd, (const struct sockaddr *)sin,
			    sizeof(*sin)))
			err(1, "connect");
		left[i] = (kib << 10) / streams;
	}
	while (open) {
		if (poll(fds, streams, 30000) <= 0)
			err(1, "poll");
		for (i = 0; i < streams; i++) {
			size_t want = left[i] < sizeof(bulk) ? left[i] :
							       sizeof(bulk);
			ssize_t n;

			if (!fds[i].revents)
				continue;
			n = send(fds[i].fd, bulk, want, MSG_DONTWAIT);
			if (n < 0 && errno != EAGAIN)
				err(1, "send");
			left[i] -= n > 0 ? (size_t)n : 0;
			if (left[i])
				continue;
			finish(fds[i].fd);
			fds[i].fd = -1;
			open--;
		}
	}
	printf("%.0f\n", (now() - start) / (double)kib);
}

int main(int argc, char **argv)
{
	struct timeval limit = { 5, 0 };
	struct sockaddr_in sin = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	int listener, on = 1;
	unsigned int window;
	size_t size;

	if (argc < 4 || inet_pton(AF_INET, argv[2], &sin.sin_addr) != 1)
		errx(2, "usage: echo serve ADDRESS PORT | run ADDRESS PORT COUNT SIZE WINDOW | send ADDRESS PORT KIB STREAMS");
	sin.sin_port = htons((uint16_t)atoi(argv[3]));
	if (!strcmp(argv[1], "serve")) {
		listener = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
		if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) ||
		    bind(listener, (struct sockaddr *)&sin, sizeof(sin)) ||
		    listen(listener, STREAMS_MAX))
			err(1, "bind");
		serve(fd, listener);
	}
	if (!strcmp(argv[1], "send")) {
		window = argc == 6 ? (unsigned int)atoi(argv[5]) : 0;
		if (!window || window > STREAMS_MAX)
			errx(2, "1 to %d streams", STREAMS_MAX);
		send_streams(&sin, (size_t)atol(argv[4]), window);
		return 0;
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
