// SPDX-License-Identifier: GPL-2.0
#include "lib/ktls.h"

#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/util.h"

/* Setting it up needs a connection; the kernel says first if it knows it. */
bool ktls_available(void)
{
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int err = ktls_attach(fd);

	return !err || err == -ENOTCONN;
}

int ktls_attach(int fd)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")) ?
		       -errno :
		       0;
}

/* TLS 1.3's nonce is salt and iv in one. */
#define FILL(to, w, suite_name)                                                \
	do {                                                                   \
		(to)->info.version = TLS_1_3_VERSION;                          \
		(to)->info.cipher_type = TLS_CIPHER_##suite_name;              \
		memcpy((to)->salt, (w)->iv, sizeof((to)->salt));               \
		memcpy((to)->iv, (w)->iv + sizeof((to)->salt),                 \
		       sizeof((to)->iv));                                      \
		memcpy((to)->key, (w)->key, sizeof((to)->key));                \
		put_be64((to)->rec_seq, (w)->seq);                             \
	} while (0)

static int set(int fd, int way, const struct tls_suite *suite,
	       const struct tls_way *w)
{
	union {
		struct tls12_crypto_info_aes_gcm_128 aes128;
		struct tls12_crypto_info_aes_gcm_256 aes256;
		struct tls12_crypto_info_chacha20_poly1305 chacha;
	} u;
	socklen_t len;
	int err = 0;

	memset(&u, 0, sizeof(u));
	switch (tls_suite_id(suite)) {
	case 0x1301:
		FILL(&u.aes128, w, AES_GCM_128);
		len = sizeof(u.aes128);
		break;
	case 0x1302:
		FILL(&u.aes256, w, AES_GCM_256);
		len = sizeof(u.aes256);
		break;
	default:
		FILL(&u.chacha, w, CHACHA20_POLY1305);
		len = sizeof(u.chacha);
		break;
	}
	if (setsockopt(fd, SOL_TLS, way, &u, len))
		err = -errno;
	sodium_memzero(&u, sizeof(u));
	return err;
}

int ktls_set_tx(int fd, const struct tls_records *r)
{
	return set(fd, TLS_TX, r->suite, &r->tx);
}

int ktls_set_rx(int fd, const struct tls_records *r)
{
	return set(fd, TLS_RX, r->suite, &r->rx);
}

ssize_t ktls_recv(int fd, void *buf, size_t cap, uint8_t *type)
{
	char control[CMSG_SPACE(sizeof(uint8_t))];
	struct iovec iov = { .iov_base = buf, .iov_len = cap };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	const struct cmsghdr *c;
	ssize_t n = recvmsg(fd, &msg, 0);

	*type = TLS_DATA;
	if (n < 0)
		return -errno;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_TLS && c->cmsg_type == TLS_GET_RECORD_TYPE)
		*type = *CMSG_DATA(c);
	return n;
}

ssize_t ktls_send(int fd, enum tls_type type, const void *data, size_t n)
{
	char control[CMSG_SPACE(sizeof(uint8_t))];
	struct iovec iov = { .iov_base = (void *)data, .iov_len = n };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	ssize_t put;

	memset(control, 0, sizeof(control));
	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_SET_RECORD_TYPE;
	c->cmsg_len = CMSG_LEN(sizeof(uint8_t));
	*CMSG_DATA(c) = (uint8_t)type;
	put = sendmsg(fd, &msg, MSG_NOSIGNAL);
	return put < 0 ? -errno : put;
}
