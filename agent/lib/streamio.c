// SPDX-License-Identifier: GPL-2.0
#include "lib/streamio.h"

#include <errno.h>
#include <openssl/err.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/ktls.h"
#include "lib/util.h"

#define WHY_MAX 256
/* What is received at once of records. */
#define RAW_LEN 32768u

/* Alerts, RFC 8446 section 6. */
enum alert {
	CLOSE_NOTIFY = 0,
	UNEXPECTED_MESSAGE = 10,
	BAD_RECORD_MAC = 20,
	RECORD_OVERFLOW = 22,
	INTERNAL_ERROR = 80,
};

static const char closed[] = "closed by the other side";

void io_init(struct stream_io *io, int fd, SSL *ssl)
{
	memset(io, 0, sizeof(*io));
	io->fd = fd;
	io->ssl = ssl;
	if (!ssl)
		return;
	SSL_set_fd(ssl, fd);
	if (SSL_is_server(ssl))
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	/* What is left over moves to a buffer of its own. */
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
				  SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
				  SSL_MODE_RELEASE_BUFFERS);
}

void io_own_records(struct stream_io *io, bool kernel)
{
	io->secrets = xcalloc(1, sizeof(*io->secrets));
	tls_secrets_ask(io->ssl, io->secrets);
	io->want_kernel = kernel;
}

static void free_secrets(struct stream_io *io)
{
	if (!io->secrets)
		return;
	if (io->ssl)
		SSL_set_app_data(io->ssl, NULL);
	sodium_memzero(io->secrets, sizeof(*io->secrets));
	free(io->secrets);
	io->secrets = NULL;
}

/* The two bytes of an alert; the socket takes them or does not. */
static void send_alert(struct stream_io *io, enum alert what)
{
	uint8_t record[IO_HEAD + 2 + IO_TAIL];
	const uint8_t alert[2] = { what == CLOSE_NOTIFY ? 1 : 2,
				   (uint8_t)what };
	size_t n;

	if (io->kernel_tx) {
		ktls_send(io->fd, TLS_ALERT, alert, sizeof(alert));
		return;
	}
	memcpy(record + IO_HEAD, alert, sizeof(alert));
	n = tls_seal(io->records, TLS_ALERT, record, sizeof(alert));
	if (send(io->fd, record, n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return; /* it is over anyway */
}

void io_close(struct stream_io *io, bool goodbye)
{
	if (io->ssl) {
		if (goodbye && !io->why)
			SSL_shutdown(io->ssl);
		free_secrets(io);
		SSL_free(io->ssl);
		ERR_clear_error();
	}
	if (io->records) {
		if (goodbye && !io->why)
			send_alert(io, CLOSE_NOTIFY);
		tls_records_wipe(io->records);
		free(io->records);
	}
	free(io->raw);
	free(io->why);
	close(io->fd);
}

void io_set_why(struct stream_io *io, const char *prefix, const char *text)
{
	char why[WHY_MAX];

	snprintf(why, sizeof(why), "%s%s", prefix, text ? text : "unknown error");
	free(io->why);
	io->why = xstrdup(why);
}

/* Sets the reason from OpenSSL's queue and errno. */
static void explain(struct stream_io *io, int ssl_error)
{
	unsigned long e = ERR_get_error();
	long verify = io->ssl && !SSL_is_init_finished(io->ssl) ?
			      SSL_get_verify_result(io->ssl) :
			      X509_V_OK;

	if (verify != X509_V_OK)
		io_set_why(io, "TLS: certificate: ",
			   X509_verify_cert_error_string(verify));
	else if (ssl_error == SSL_ERROR_ZERO_RETURN ||
		 ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		io_set_why(io, "", closed);
	else if (e)
		io_set_why(io, "TLS: ", ERR_reason_error_string(e));
	else
		io_set_why(io, "", errno ? strerror(errno) : closed);
	ERR_clear_error();
}

/* Whatever others left there would be taken for a failure of ours. */
static void forget_errors(void)
{
	errno = 0;
	ERR_clear_error();
}

static enum io_result ssl_result(struct stream_io *io, int ret)
{
	int e = SSL_get_error(io->ssl, ret);

	if (e == SSL_ERROR_WANT_READ)
		return IO_WANT_READ;
	if (e == SSL_ERROR_WANT_WRITE)
		return IO_WANT_WRITE;
	explain(io, e);
	return IO_END;
}

enum io_result io_handshake(struct stream_io *io)
{
	int ret;

	if (!io->ssl)
		return IO_OK;
	forget_errors();
	ret = SSL_do_handshake(io->ssl);
	return ret > 0 ? IO_OK : ssl_result(io, ret);
}

void io_hand_over(struct stream_io *io)
{
	struct tls_records r;

	if (!io->ssl)
		return;
	if (!io->secrets || tls_records_take(&r, io->ssl, io->secrets)) {
		/*
		 * Not before: whoever stops in the middle of a handshake must
		 * not hold much.
		 */
		SSL_set_read_ahead(io->ssl, 1);
		free_secrets(io);
		return;
	}
	free_secrets(io);
	io->records = xmalloc(sizeof(r));
	*io->records = r;
	sodium_memzero(&r, sizeof(r));
	SSL_free(io->ssl);
	io->ssl = NULL;
	ERR_clear_error();
	if (!io->want_kernel || ktls_attach(io->fd))
		return;
	io->kernel_tx = !ktls_set_tx(io->fd, io->records);
	if (io->kernel_tx)
		tls_way_release(&io->records->tx);
	io->kernel_rx = !ktls_set_rx(io->fd, io->records);
	if (io->kernel_rx)
		tls_way_release(&io->records->rx);
}

/* ── receiving ────────────────────────────────────────────────────────── */

static enum io_result socket_result(struct stream_io *io, ssize_t n)
{
	if (n < 0 && (n == -EAGAIN || n == -EINTR))
		return IO_WANT_READ;
	io_set_why(io, "", n < 0 ? strerror((int)-n) : closed);
	return IO_END;
}

static enum io_result refuse(struct stream_io *io, enum alert alert,
			     const char *why)
{
	send_alert(io, alert);
	io_set_why(io, "TLS: ", why);
	return IO_END;
}

/* After a KeyUpdate from the other side: the kernel's keys. */
static bool update_kernel(struct stream_io *io)
{
	struct tls_records *r = io->records;

	if (io->kernel_rx && ktls_set_rx(io->fd, r))
		return false;
	if (!io->kernel_tx || !r->update_due)
		return true;
	if (ktls_send(io->fd, TLS_HANDSHAKE, tls_key_update,
		      sizeof(tls_key_update)) != sizeof(tls_key_update))
		return false;
	tls_update_tx(r);
	return !ktls_set_tx(io->fd, r);
}

/* A record that is not data. */
static enum io_result control(struct stream_io *io, uint8_t type,
			      const uint8_t *data, size_t n)
{
	char text[8];

	switch (tls_control(io->records, type, data, n)) {
	case 0:
		if (type == TLS_HANDSHAKE && !update_kernel(io))
			return refuse(io, INTERNAL_ERROR,
				      "the kernel takes no new key");
		return IO_OK;
	case -ESHUTDOWN:
		io_set_why(io, "", closed);
		return IO_END;
	case -ECONNABORTED:
		snprintf(text, sizeof(text), "%u", data[1]);
		io_set_why(io, "TLS: the other side reports alert ", text);
		return IO_END;
	default:
		return refuse(io, UNEXPECTED_MESSAGE,
			      "a record that must not come here");
	}
}

static enum io_result kernel_read(struct stream_io *io, uint8_t *buf,
				  size_t cap, size_t *n)
{
	uint8_t type;
	ssize_t got = ktls_recv(io->fd, buf, cap, &type);

	if (got == -EBADMSG)
		return refuse(io, BAD_RECORD_MAC, "a forged record");
	if (got <= 0)
		return socket_result(io, got);
	if (type != TLS_DATA)
		return control(io, type, buf, (size_t)got);
	io->records->quiet = 0;
	*n = (size_t)got;
	return *n == cap ? IO_OK : IO_WANT_READ;
}

/* What is being received: on the stack, the rest of last time in front. */
struct raw {
	uint8_t *at;
	size_t start, len, plain; /* from @start: @plain bytes, then records */
};

/* Gives opened bytes to @buf. */
static void give(struct raw *raw, uint8_t *buf, size_t cap, size_t *n)
{
	size_t len = raw->plain < cap - *n ? raw->plain : cap - *n;

	memcpy(buf + *n, raw->at + raw->start, len);
	*n += len;
	raw->start += len;
	raw->plain -= len;
}

/* Opens the record at hand, of @len bytes. */
static enum io_result open_record(struct stream_io *io, struct raw *raw,
				  size_t len, uint8_t *buf, size_t cap,
				  size_t *n)
{
	uint8_t *record = raw->at + raw->start;
	/* Straight to where it is wanted, if it is sure to fit. */
	bool direct = cap - *n >= len - TLS_HEADER_LEN - TLS_TAG_LEN;
	uint8_t *out = direct ? buf + *n : record + TLS_HEADER_LEN, type;
	ssize_t got = tls_open(io->records, record, len, out, &type);

	if (got < 0)
		return refuse(io, got == -EPROTO ? UNEXPECTED_MESSAGE :
						   BAD_RECORD_MAC,
			      got == -EPROTO ? "too many records of nothing" :
					       "a forged record");
	raw->start += len;
	if (type != TLS_DATA)
		return control(io, type, out, (size_t)got);
	if (direct) {
		*n += (size_t)got;
		return IO_OK;
	}
	/* Up to the next record, without the gap that padding and tag leave. */
	raw->start -= (size_t)got;
	memmove(raw->at + raw->start, out, (size_t)got);
	raw->plain = (size_t)got;
	return IO_OK;
}

/* As much as there is and fits. */
static enum io_result open_records(struct stream_io *io, struct raw *raw,
				   uint8_t *buf, size_t cap, size_t *n)
{
	enum io_result r = IO_OK;

	give(raw, buf, cap, n);
	while (*n < cap && r == IO_OK) {
		ssize_t len = tls_record_len(raw->at + raw->start,
					     raw->len - raw->start);

		if (len < 0)
			return refuse(io, len == -EMSGSIZE ? RECORD_OVERFLOW :
						      UNEXPECTED_MESSAGE,
				      len == -EMSGSIZE ? "too long a record" :
							 "no record of data");
		if (!len)
			break;
		r = open_record(io, raw, (size_t)len, buf, cap, n);
		give(raw, buf, cap, n);
	}
	return r;
}

static void keep_raw(struct stream_io *io, const struct raw *raw)
{
	size_t n = raw->len - raw->start;

	free(io->raw);
	io->raw = NULL;
	io->raw_len = n;
	io->raw_plain = raw->plain;
	if (!n)
		return;
	io->raw = xmalloc(n);
	memcpy(io->raw, raw->at + raw->start, n);
}

/* Fills up to @want bytes; at most a part of a record is there. */
static enum io_result receive(struct stream_io *io, struct raw *raw,
			      size_t want)
{
	ssize_t got;

	raw->len -= raw->start;
	memmove(raw->at, raw->at + raw->start, raw->len);
	raw->start = 0;
	got = recv(io->fd, raw->at + raw->len, want - raw->len, 0);
	if (got <= 0)
		return socket_result(io, got < 0 ? -errno : 0);
	raw->len += (size_t)got;
	return IO_OK;
}

static enum io_result records_read(struct stream_io *io, uint8_t *buf,
				   size_t cap, size_t *n)
{
	uint8_t stack[RAW_LEN];
	struct raw raw = { .at = stack,
			   .len = io->raw_len,
			   .plain = io->raw_plain };
	size_t want = cap < TLS_RECORD_MAX ? TLS_RECORD_MAX : cap;
	enum io_result r;

	if (raw.len)
		memcpy(stack, io->raw, raw.len);
	r = open_records(io, &raw, buf, cap, n);
	if (r == IO_OK && !*n)
		r = receive(io, &raw, want < RAW_LEN ? want : RAW_LEN);
	if (r == IO_OK && !*n)
		r = open_records(io, &raw, buf, cap, n);
	keep_raw(io, &raw);
	if (r != IO_OK)
		return r;
	/* The rest is for epoll to tell, but for what is here already. */
	return raw.plain || tls_record_len(stack + raw.start,
					   raw.len - raw.start) ?
		       IO_OK :
		       IO_WANT_READ;
}

enum io_result io_read(struct stream_io *io, uint8_t *buf, size_t cap,
		       size_t *n)
{
	ssize_t got;
	int ret;

	if (io->kernel_rx)
		return kernel_read(io, buf, cap, n);
	if (io->records)
		return records_read(io, buf, cap, n);
	forget_errors();
	if (io->ssl) {
		ret = SSL_read_ex(io->ssl, buf, cap, n);
		if (ret <= 0)
			return ssl_result(io, ret);
		/* Asking again would be a system call for nothing, mostly. */
		return SSL_has_pending(io->ssl) ? IO_OK : IO_WANT_READ;
	}
	got = recv(io->fd, buf, cap, 0);
	if (got <= 0)
		return socket_result(io, got < 0 ? -errno : 0);
	*n = (size_t)got;
	return *n == cap ? IO_OK : IO_WANT_READ;
}

/* ── sending ──────────────────────────────────────────────────────────── */

uint8_t *io_seal(struct stream_io *io, uint8_t *buf, size_t *n)
{
	if (!io->records || io->kernel_tx)
		return buf;
	*n = tls_seal(io->records, TLS_DATA, buf - IO_HEAD, *n);
	return buf - IO_HEAD;
}

bool io_has_answer(const struct stream_io *io)
{
	return io->records && io->records->update_due && !io->kernel_tx;
}

uint8_t *io_answer(struct stream_io *io, uint8_t *buf, size_t *n)
{
	if (!io_has_answer(io))
		return NULL;
	*n = tls_seal_key_update(io->records, buf - IO_HEAD);
	return buf - IO_HEAD;
}

enum io_result io_write(struct stream_io *io, const uint8_t *buf, size_t len,
			size_t *n)
{
	ssize_t put;

	forget_errors();
	if (io->ssl) {
		int ret = SSL_write_ex(io->ssl, buf, len, n);

		return ret > 0 ? IO_OK : ssl_result(io, ret);
	}
	put = send(io->fd, buf, len, MSG_NOSIGNAL);
	if (put >= 0) {
		*n = (size_t)put;
		return IO_OK;
	}
	if (errno == EAGAIN || errno == EINTR)
		return IO_WANT_WRITE;
	explain(io, 0);
	return IO_END;
}
