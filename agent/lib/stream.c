// SPDX-License-Identifier: GPL-2.0
#include "lib/stream.h"

#include <errno.h>
#include <event2/event.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/util.h"

#define INPUT_LEN 65536u
#define OUTPUT_LEN 16384u
/* What one turn reads or writes before others have theirs. */
#define TURN_BYTES (512u << 10)
/* Left-over input up to this is copied in front of what is read next. */
#define COPY_MAX 4096u
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
	bool paused, yielded;
	bool backlog; /* @in may hold what read() would take */
	/* A callback may free us: then the outermost frame does it. */
	bool busy, dead;
	size_t turn;
	uint8_t *in; /* what the owner has not taken; NULL: nothing */
	size_t in_len, in_cap, in_max;
	uint8_t *out; /* what the socket has not; TLS retries with the same */
	size_t out_start, out_len;
	char *why; /* set: over */
};

static void destroy(struct stream *s)
{
	free(s->in);
	free(s->out);
	free(s->why);
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
		if (!s->handshaking && !s->why)
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

static void set_why(struct stream *s, const char *prefix, const char *text)
{
	char why[WHY_MAX];

	snprintf(why, sizeof(why), "%s%s", prefix, text ? text : "unknown error");
	free(s->why);
	s->why = xstrdup(why);
}

/* Sets the reason from OpenSSL's queue and errno. */
static void explain(struct stream *s, int ssl_error)
{
	unsigned long e = ERR_get_error();
	long verify = s->ssl && s->handshaking ? SSL_get_verify_result(s->ssl) :
						 X509_V_OK;

	if (verify != X509_V_OK)
		set_why(s, "TLS: certificate: ",
			X509_verify_cert_error_string(verify));
	else if (ssl_error == SSL_ERROR_ZERO_RETURN ||
		 ERR_GET_REASON(e) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		set_why(s, "", "closed by the other side");
	else if (e)
		set_why(s, "TLS: ", ERR_reason_error_string(e));
	else
		set_why(s, "", errno ? strerror(errno) :
				       "closed by the other side");
	ERR_clear_error();
}

/* Whatever others left there would be taken for a failure of ours. */
static void forget_errors(void)
{
	errno = 0;
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

/* With IO_WANT_READ there may be data too: then the socket had no more. */
static enum io_result do_read(struct stream *s, uint8_t *buf, size_t cap,
			      size_t *n)
{
	ssize_t got;

	forget_errors();
	if (s->ssl) {
		int ret = SSL_read_ex(s->ssl, buf, cap, n);

		if (ret <= 0)
			return ssl_result(s, ret);
		/* Asking again would be a system call for nothing, mostly. */
		return SSL_has_pending(s->ssl) ? IO_OK : IO_WANT_READ;
	}
	got = recv(s->fd, buf, cap, 0);
	if (got > 0) {
		*n = (size_t)got;
		return *n == cap ? IO_OK : IO_WANT_READ;
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

	forget_errors();
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

/* Input that is being read: on the stack, or in a buffer of the stream's. */
struct input {
	uint8_t *at;
	size_t len, cap;
};

/* Gives the input to the owner, frame by frame; moves the rest to the front. */
static void deliver(struct stream *s, struct input *in)
{
	size_t start = 0;

	while (start < in->len && !s->paused && !s->yielded) {
		size_t took = s->ops->read(s->ctx, in->at + start,
					   in->len - start);

		if (s->dead)
			return;
		if (!took)
			break;
		start += took;
	}
	if (start && start < in->len)
		memmove(in->at, in->at + start, in->len - start);
	in->len -= start;
	s->backlog = in->len && (s->paused || s->yielded);
}

/*
 * A bit of left-over input goes to the front of the stack's buffer; what is
 * more has, and grows, one of its own, so that a large frame that comes in small
 * pieces is not copied again and again.
 */
static void begin_input(struct stream *s, struct input *in, uint8_t *stack)
{
	if (s->in_len <= COPY_MAX) {
		in->at = stack;
		in->cap = s->turn < INPUT_LEN - COPY_MAX ? s->turn + COPY_MAX :
							   INPUT_LEN;
		if (s->in_len)
			memcpy(stack, s->in, s->in_len);
	} else {
		size_t cap = s->in_len < INPUT_LEN / 2 ? INPUT_LEN :
							 2 * s->in_len;

		if (cap > s->in_max)
			cap = s->in_max;
		if (cap > s->in_cap) {
			s->in = xrealloc(s->in, cap, 1);
			s->in_cap = cap;
		}
		in->at = s->in;
		in->cap = s->in_cap;
	}
	in->len = s->in_len;
}

static void end_input(struct stream *s, const struct input *in)
{
	if (!in->len) {
		free(s->in);
		s->in = NULL;
		s->in_cap = 0;
	} else if (in->at != s->in) {
		if (s->in_cap < in->len) {
			free(s->in);
			s->in = xmalloc(in->len);
			s->in_cap = in->len;
		}
		memcpy(s->in, in->at, in->len);
	}
	s->in_len = in->len;
}

static enum io_result read_turn(struct stream *s, struct input *in)
{
	enum io_result r = IO_OK;
	size_t turn = 0;

	if (s->backlog) {
		deliver(s, in);
		if (s->dead)
			return IO_END;
	}
	while (turn < s->turn && !s->paused && !s->yielded) {
		size_t n = 0;

		if (in->len < in->cap)
			r = do_read(s, in->at + in->len, in->cap - in->len, &n);
		in->len += n;
		turn += n;
		if (r == IO_OK && in->len < in->cap)
			continue;
		deliver(s, in);
		while (r == IO_END && s->yielded && !s->dead) {
			s->yielded = false; /* there is no other turn */
			deliver(s, in);
		}
		if (s->dead || r != IO_OK)
			return s->dead ? IO_END : r;
		if (in->len == in->cap) /* to be continued in a larger one */
			break;
	}
	deliver(s, in);
	if (s->dead)
		return IO_END;
	if (in->len >= s->in_max && !s->paused && !s->yielded) {
		set_why(s, "", "too much in one piece");
		return IO_END;
	}
	return IO_OK;
}

static enum io_result pump_in(struct stream *s)
{
	uint8_t stack[INPUT_LEN];
	enum io_result r;
	struct input in;

	s->read_needs_write = s->yielded = false;
	begin_input(s, &in, stack);
	r = read_turn(s, &in);
	if (s->dead)
		return IO_END;
	end_input(s, &in);
	if (r == IO_WANT_WRITE)
		s->read_needs_write = true;
	/* We or OpenSSL may hold the rest: epoll would not tell. */
	if ((r == IO_OK || s->yielded) && !s->paused)
		event_active(s->readable, EV_READ, 0);
	return r;
}

/* Keeps what the socket did not take of @buf. */
static void keep_output(struct stream *s, const uint8_t *buf, size_t n)
{
	s->out = xmalloc(n);
	memcpy(s->out, buf, n);
	s->out_start = 0;
	s->out_len = n;
}

static enum io_result pump_out(struct stream *s)
{
	uint8_t stack[OUTPUT_LEN];
	size_t turn = 0;

	s->write_needs_read = false;
	while (turn < TURN_BYTES) {
		const uint8_t *buf = stack;
		size_t n = 0, len = s->out_len;
		enum io_result r;

		if (s->out) {
			buf = s->out + s->out_start;
		} else {
			len = s->ops->fill(s->ctx, stack, sizeof(stack));
			if (s->dead)
				return IO_END;
			if (!len) {
				s->want_write = false;
				return IO_OK;
			}
		}
		r = do_write(s, buf, len, &n);
		turn += n;
		if (s->out) {
			s->out_start += n;
			s->out_len -= n;
			if (!s->out_len) {
				free(s->out);
				s->out = NULL;
			}
		} else if (n < len) {
			keep_output(s, buf + n, len - n);
		}
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

		forget_errors();
		ret = SSL_do_handshake(s->ssl);
		if (ret <= 0)
			return ssl_result(s, ret);
	}
	/* Not before: whoever stops in the middle must not hold much. */
	if (s->ssl)
		SSL_set_read_ahead(s->ssl, 1);
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
		if (!s->paused && (in || (out && s->read_needs_write)))
			r = pump_in(s);
		if (r != IO_END && (s->want_write || s->out) &&
		    (out || (in && s->write_needs_read))) {
			r = pump_out(s);
			if (r == IO_OK && (s->want_write || s->out)) /* had its turn */
				event_active(s->writable, EV_WRITE, 0);
			wait_writable = r == IO_WANT_WRITE;
		}
	}
	if (!s->dead && r == IO_END) {
		event_del(s->readable);
		event_del(s->writable);
		s->ops->closed(s->ctx, s->why ? s->why : "");
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

void stream_set_turn(struct stream *s, size_t bytes)
{
	s->turn = bytes ? bytes : TURN_BYTES;
}

void stream_yield(struct stream *s)
{
	s->yielded = true;
}

void stream_pause(struct stream *s, bool paused)
{
	if (s->dead || s->paused == paused)
		return;
	s->paused = paused;
	if (paused) {
		event_del(s->readable);
	} else {
		event_add(s->readable, NULL);
		/* We or OpenSSL may hold something. */
		event_active(s->readable, EV_READ, 0);
	}
}

bool stream_is_blocked(const struct stream *s)
{
	return s->out;
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
	s->in_max = max_input > INPUT_LEN ? max_input : INPUT_LEN;
	s->turn = TURN_BYTES;
	if (ssl) {
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
	s->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_event, s);
	s->writable = event_new(base, fd, EV_WRITE, on_event, s);
	event_add(s->readable, NULL);
	event_active(s->writable, EV_WRITE, 0);
	return s;
}
