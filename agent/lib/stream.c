// SPDX-License-Identifier: GPL-2.0
#include "lib/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/util.h"

#define INPUT_MIN 65536u
#define OUTPUT_LEN 16384u
/* What one turn reads or writes before others have theirs. */
#define TURN_BYTES (512u << 10)
#define WHY_MAX 256

enum io_result {
	IO_OK,
	IO_WANT_READ,
	IO_WANT_WRITE,
	IO_END, /* s->why is set */
};

struct stream {
	struct event_base *base;
	const struct stream_ops *ops;
	void *ctx;
	int fd;
	SSL *ssl;
	struct event *readable, *writable;
	bool handshaking;
	bool read_needs_write, write_needs_read;
	bool want_write;
	/* A callback may free us: then the outermost frame does it. */
	bool busy, dead;
	uint8_t *in;
	size_t in_start, in_len, in_cap, in_max;
	uint8_t out[OUTPUT_LEN]; /* TLS must retry with the same bytes */
	size_t out_start, out_len;
	char why[WHY_MAX];
};

static void destroy(struct stream *s)
{
	free(s->in);
	free(s);
}

/* Everything but the memory. */
static void shut(struct stream *s)
{
	if (s->dead)
		return;
	s->dead = true;
	event_free(s->readable);
	event_free(s->writable);
	if (s->ssl) {
		if (!s->handshaking && !s->why[0])
			SSL_shutdown(s->ssl);
		SSL_free(s->ssl);
		ERR_clear_error();
	}
	close(s->fd);
}

void stream_free(struct stream *s)
{
	if (!s)
		return;
	shut(s);
	if (!s->busy)
		destroy(s);
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}

SSL *stream_ssl(const struct stream *s)
{
	return s->ssl;
}

/* Sets the reason from OpenSSL's queue and errno. */
static void explain(struct stream *s, int ssl_error)
{
	unsigned long e = ERR_get_error();
	long verify = s->ssl && s->handshaking ? SSL_get_verify_result(s->ssl) :
						 X509_V_OK;

	if (verify != X509_V_OK)
		snprintf(s->why, sizeof(s->why), "TLS: certificate: %s",
			 X509_verify_cert_error_string(verify));
	else if (ssl_error == SSL_ERROR_ZERO_RETURN ||
		 ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		snprintf(s->why, sizeof(s->why), "closed by the other side");
	else if (e)
		snprintf(s->why, sizeof(s->why), "TLS: %s",
			 ERR_reason_error_string(e) ?
				 ERR_reason_error_string(e) :
				 "unknown error");
	else
		snprintf(s->why, sizeof(s->why), "%s",
			 errno ? strerror(errno) : "closed by the other side");
	ERR_clear_error();
}

static enum io_result ssl_result(struct stream *s, int ret)
{
	int e = SSL_get_error(s->ssl, ret);

	if (e == SSL_ERROR_WANT_READ)
		return IO_WANT_READ;
	if (e == SSL_ERROR_WANT_WRITE)
		return IO_WANT_WRITE;
	explain(s, e);
	return IO_END;
}

static enum io_result do_read(struct stream *s, uint8_t *buf, size_t cap,
			      size_t *n)
{
	ssize_t got;

	errno = 0;
	if (s->ssl) {
		int ret = SSL_read_ex(s->ssl, buf, cap, n);

		return ret > 0 ? IO_OK : ssl_result(s, ret);
	}
	got = recv(s->fd, buf, cap, 0);
	if (got > 0) {
		*n = (size_t)got;
		return IO_OK;
	}
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return IO_WANT_READ;
	explain(s, 0);
	return IO_END;
}

static enum io_result do_write(struct stream *s, const uint8_t *buf, size_t len,
			       size_t *n)
{
	ssize_t put;

	errno = 0;
	if (s->ssl) {
		int ret = SSL_write_ex(s->ssl, buf, len, n);

		return ret > 0 ? IO_OK : ssl_result(s, ret);
	}
	put = send(s->fd, buf, len, MSG_NOSIGNAL);
	if (put >= 0) {
		*n = (size_t)put;
		return IO_OK;
	}
	if (errno == EAGAIN || errno == EINTR)
		return IO_WANT_WRITE;
	explain(s, 0);
	return IO_END;
}

/* Gives the input to the owner, frame by frame; moves the rest to the front. */
static void deliver(struct stream *s)
{
	while (s->in_len) {
		size_t took = s->ops->read(s->ctx, s->in + s->in_start,
					   s->in_len);

		if (s->dead)
			return;
		if (!took)
			break;
		s->in_start += took;
		s->in_len -= took;
	}
	if (s->in_start && s->in_len)
		memmove(s->in, s->in + s->in_start, s->in_len);
	s->in_start = 0;
	if (!s->in_len && s->in_cap > INPUT_MIN) {
		/* A rare big frame; do not keep its memory. */
		free(s->in);
		s->in = xmalloc(INPUT_MIN);
		s->in_cap = INPUT_MIN;
	}
}

/* Makes room for more input; IO_END if the owner cannot use what is there. */
static enum io_result make_room(struct stream *s)
{
	if (s->in_len < s->in_cap)
		return IO_OK;
	if (s->in_cap >= s->in_max) {
		snprintf(s->why, sizeof(s->why), "too much in one piece");
		return IO_END;
	}
	s->in_cap = 2 * s->in_cap < s->in_max ? 2 * s->in_cap : s->in_max;
	s->in = xrealloc(s->in, s->in_cap, 1);
	return IO_OK;
}

static enum io_result pump_in(struct stream *s)
{
	size_t turn = 0;

	s->read_needs_write = false;
	while (turn < TURN_BYTES) {
		size_t n = 0;
		enum io_result r = make_room(s);

		if (r == IO_OK)
			r = do_read(s, s->in + s->in_len,
				    s->in_cap - s->in_len, &n);
		s->in_len += n;
		turn += n;
		if (r != IO_OK || s->in_len == s->in_cap) {
			deliver(s);
			if (s->dead || r == IO_END)
				return IO_END;
		}
		if (r == IO_WANT_WRITE)
			s->read_needs_write = true;
		if (r != IO_OK)
			return r;
	}
	deliver(s);
	if (s->dead)
		return IO_END;
	/* OpenSSL may hold the rest: epoll would not tell. */
	event_active(s->readable, EV_READ, 0);
	return IO_OK;
}

static enum io_result pump_out(struct stream *s)
{
	size_t turn = 0;

	s->write_needs_read = false;
	while (turn < TURN_BYTES) {
		enum io_result r;
		size_t n = 0;

		if (!s->out_len) {
			s->out_start = 0;
			s->out_len = s->ops->fill(s->ctx, s->out, OUTPUT_LEN);
			if (s->dead)
				return IO_END;
			if (!s->out_len) {
				s->want_write = false;
				return IO_OK;
			}
		}
		r = do_write(s, s->out + s->out_start, s->out_len, &n);
		s->out_start += n;
		s->out_len -= n;
		turn += n;
		if (r == IO_WANT_READ)
			s->write_needs_read = true;
		if (r != IO_OK)
			return r;
	}
	return IO_OK;
}

static enum io_result handshake(struct stream *s)
{
	if (s->ssl) {
		int ret;

		errno = 0;
		ret = SSL_connect(s->ssl);
		if (ret <= 0)
			return ssl_result(s, ret);
	}
	s->handshaking = false;
	s->ops->ready(s->ctx);
	return s->dead ? IO_END : IO_OK;
}

static void run(struct stream *s, short what)
{
	enum io_result r = IO_OK;
	bool wait_writable = false;

	s->busy = true;
	if (s->handshaking) {
		r = handshake(s);
		wait_writable = r == IO_WANT_WRITE;
		/* OpenSSL may have read past the handshake: look now. */
		what = EV_READ | EV_WRITE;
	}
	if (!s->handshaking && r != IO_END) {
		bool in = what & EV_READ, out = what & EV_WRITE;

		r = IO_OK;
		if (in || (out && s->read_needs_write))
			r = pump_in(s);
		if (r != IO_END && (s->want_write || s->out_len) &&
		    (out || (in && s->write_needs_read))) {
			r = pump_out(s);
			if (r == IO_OK && s->want_write) /* had its turn */
				event_active(s->writable, EV_WRITE, 0);
			wait_writable = r == IO_WANT_WRITE;
		}
	}
	if (!s->dead && r == IO_END) {
		event_del(s->readable);
		event_del(s->writable);
		s->ops->closed(s->ctx, s->why);
	} else if (!s->dead && (wait_writable || s->read_needs_write)) {
		event_add(s->writable, NULL);
	}
	s->busy = false;
	if (s->dead)
		destroy(s);
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
	run(arg, what);
}

void stream_want_write(struct stream *s)
{
	if (s->dead || s->want_write)
		return;
	s->want_write = true;
	/*
	 * After the callbacks that are due already, without asking epoll: what
	 * they queue goes along.
	 */
	if (!s->handshaking)
		event_active(s->writable, EV_WRITE, 0);
}

struct stream *stream_new(struct event_base *base, int fd, SSL *ssl,
			  size_t max_input, const struct stream_ops *ops,
			  void *ctx)
{
	struct stream *s = xcalloc(1, sizeof(*s));

	s->base = base;
	s->ops = ops;
	s->ctx = ctx;
	s->fd = fd;
	s->ssl = ssl;
	s->handshaking = true;
	s->in_max = max_input > INPUT_MIN ? max_input : INPUT_MIN;
	s->in_cap = INPUT_MIN;
	s->in = xmalloc(s->in_cap);
	if (ssl) {
		SSL_set_fd(ssl, fd);
		SSL_set_connect_state(ssl);
		SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE);
		SSL_set_read_ahead(ssl, 1);
	}
	s->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_event, s);
	s->writable = event_new(base, fd, EV_WRITE, on_event, s);
	event_add(s->readable, NULL);
	event_active(s->writable, EV_WRITE, 0);
	return s;
}
