// SPDX-License-Identifier: GPL-2.0
#include "lib/stream.h"

#include <event2/event.h>
#include <string.h>

#include "lib/streamio.h"
#include "lib/util.h"

#define INPUT_LEN 65536u
#define OUTPUT_LEN 16384u
/* What one turn reads or writes before others have theirs. */
#define TURN_BYTES (512u << 10)
/* Left-over input up to this is copied in front of what is read next. */
#define COPY_MAX 4096u

struct stream {
	struct event_base *base;
	const struct stream_ops *ops;
	void *ctx;
	struct stream_io io;
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
};

static void destroy(struct stream *s)
{
	free(s->in);
	free(s->out);
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
	io_close(&s->io, !s->handshaking && !s->out);
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
	return s->io.fd;
}

SSL *stream_ssl(const struct stream *s)
{
	return s->io.ssl;
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
			r = io_read(&s->io, in->at + in->len,
				    in->cap - in->len, &n);
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
		io_set_why(&s->io, "", "too much in one piece");
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
	if (io_has_answer(&s->io))
		stream_want_write(s);
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

/* What to send next, of *@len bytes, none if that is 0. */
static const uint8_t *next_output(struct stream *s, uint8_t *buf, size_t *len)
{
	const uint8_t *answer = io_answer(&s->io, buf, len);

	if (answer)
		return answer;
	*len = s->ops->fill(s->ctx, buf, OUTPUT_LEN);
	if (!*len || s->dead)
		return buf;
	return io_seal(&s->io, buf, len);
}

static enum io_result pump_out(struct stream *s)
{
	uint8_t stack[IO_HEAD + OUTPUT_LEN + IO_TAIL];
	size_t turn = 0;

	s->write_needs_read = false;
	while (turn < TURN_BYTES) {
		size_t n = 0, len = s->out_len;
		const uint8_t *buf;
		enum io_result r;

		if (s->out) {
			buf = s->out + s->out_start;
		} else {
			buf = next_output(s, stack + IO_HEAD, &len);
			if (s->dead)
				return IO_END;
			if (!len) {
				s->want_write = false;
				return IO_OK;
			}
		}
		r = io_write(&s->io, buf, len, &n);
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
	enum io_result r = io_handshake(&s->io);

	if (r != IO_OK)
		return r;
	s->handshaking = false;
	s->ops->ready(s->ctx);
	if (s->dead)
		return IO_END;
	io_hand_over(&s->io);
	return IO_OK;
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
		s->ops->closed(s->ctx, s->io.why ? s->io.why : "");
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

void stream_own_records(struct stream *s, bool kernel)
{
	io_own_records(&s->io, kernel);
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
	io_init(&s->io, fd, ssl);
	s->handshaking = true;
	s->in_max = max_input > INPUT_LEN ? max_input : INPUT_LEN;
	s->turn = TURN_BYTES;
	s->readable = event_new(base, fd, EV_READ | EV_PERSIST, on_event, s);
	s->writable = event_new(base, fd, EV_WRITE, on_event, s);
	event_add(s->readable, NULL);
	event_active(s->writable, EV_WRITE, 0);
	return s;
}
