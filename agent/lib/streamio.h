/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_STREAMIO_H
#define LIB_STREAMIO_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/tlsrecord.h"

/*
 * The bottom of a stream (lib/stream.h): its socket, and who makes TLS records
 * of what it carries: nobody, OpenSSL, we ourselves (lib/tlsrecord.h) or the
 * kernel (lib/ktls.h). Non-blocking.
 */
enum io_result {
	IO_OK,
	IO_WANT_READ,
	IO_WANT_WRITE,
	IO_END, /* io->why is set */
};

struct stream_io {
	int fd;
	SSL *ssl; /* NULL: plain, or handed over */
	struct tls_secrets *secrets; /* collected; NULL: OpenSSL stays */
	struct tls_records *records; /* handed over */
	bool want_kernel, kernel_tx, kernel_rx;
	/* Received and not given to anybody: @plain bytes opened, then records. */
	uint8_t *raw;
	size_t raw_len, raw_plain;
	char *why; /* set: over */
};

/*
 * For output: fill() leaves so much room before and behind what it writes.
 */
#define IO_HEAD TLS_HEADER_LEN
#define IO_TAIL TLS_TAIL_LEN

/* Takes over @fd and @ssl, which may be NULL. */
void io_init(struct stream_io *io, int fd, SSL *ssl);
/* @goodbye: and says so, if that does not block. */
void io_close(struct stream_io *io, bool goodbye);
/* Before the handshake: see stream_own_records(). */
void io_own_records(struct stream_io *io, bool kernel);
void io_set_why(struct stream_io *io, const char *prefix, const char *text);

/* IO_OK: done. */
enum io_result io_handshake(struct stream_io *io);
/* The handshake is over and the owner has looked at it. */
void io_hand_over(struct stream_io *io);

/* With IO_WANT_READ there may be data too: then the socket had no more. */
enum io_result io_read(struct stream_io *io, uint8_t *buf, size_t cap,
		       size_t *n);

/*
 * Makes a record of *@n bytes at @buf where that is for us to do. Returns what
 * io_write() gets, *@n bytes.
 */
uint8_t *io_seal(struct stream_io *io, uint8_t *buf, size_t *n);
/*
 * What has to go out before anything else, into @buf with IO_HEAD before it and
 * IO_TAIL behind 5 bytes; NULL: nothing.
 */
bool io_has_answer(const struct stream_io *io);
uint8_t *io_answer(struct stream_io *io, uint8_t *buf, size_t *n);
enum io_result io_write(struct stream_io *io, const uint8_t *buf, size_t len,
			size_t *n);

#endif
