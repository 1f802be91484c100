/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_STREAM_H
#define LIB_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/ssl.h>

/*
 * A TLS connection, of either side, or a plain one, over a connected
 * non-blocking socket. It does OpenSSL's I/O itself rather than through a
 * bufferevent for the sake of bulk: OpenSSL reads ahead, so that many records
 * cost one system call, and output is pulled from its owner at the last moment,
 * 16 KiB (one record) at a time, so that nothing is queued where it cannot be
 * dropped. An idle stream has no buffers: what is being read and written is on
 * the stack, only what is left over from that is kept.
 * The process must ignore SIGPIPE: OpenSSL writes to sockets with write().
 */

struct event_base;
struct stream;

struct stream_ops {
	/* The handshake is done (at once, but from the loop, when plain). */
	void (*ready)(void *ctx);
	/*
	 * Takes what it can of @data and returns how much: called again while
	 * it takes anything, and when more has arrived. Taking nothing of
	 * @max_input bytes ends the stream, unless it is paused.
	 */
	size_t (*read)(void *ctx, const uint8_t *data, size_t n);
	/* Writes at most @cap bytes to send into @buf; 0: nothing (more). */
	size_t (*fill)(void *ctx, uint8_t *buf, size_t cap);
	/* The stream failed or ended; free it. */
	void (*closed)(void *ctx, const char *why);
};

/*
 * Takes over @fd and @ssl (NULL: plain; set up by the caller but for the
 * descriptor; a server's if its method is one). Buffers at most @max_input bytes. Any callback may free the
 * stream, none comes from inside stream_new().
 */
struct stream *stream_new(struct event_base *base, int fd, SSL *ssl,
			  size_t max_input, const struct stream_ops *ops,
			  void *ctx);
/*
 * Just after that: when a TLS 1.3 handshake is over, and ready() has been
 * called, OpenSSL's objects go and records are made without them (see
 * lib/tlsrecord.h), or, with @kernel, by the kernel where it can. The session's
 * context has tls_secrets_enable(), its application data is ours.
 */
void stream_own_records(struct stream *s, bool kernel);
/* NULL is fine. Says goodbye to TLS if that does not block, and closes. */
void stream_free(struct stream *s);

/* fill() has something: it will be called when the socket takes data. */
void stream_want_write(struct stream *s);

/*
 * Reads at most @bytes before the owner gets them and other streams have their
 * turn; 0: as much as is good for bulk, which is also what a new stream does.
 */
void stream_set_turn(struct stream *s, size_t bytes);
/* From read(): no more until the others have had their turn. */
void stream_yield(struct stream *s);
/* No read() any more, and none from the socket, until it is un-paused. */
void stream_pause(struct stream *s, bool paused);
/* Whether output waits for the socket to take it. */
bool stream_is_blocked(const struct stream *s);

int stream_fd(const struct stream *s);
SSL *stream_ssl(const struct stream *s); /* NULL: plain, or handed over */

#endif
