/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CONTROL_HTTPS_H
#define CONTROL_HTTPS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "control/dial.h"
#include "control/url.h"

/*
 * One HTTP/1.1 request on a connection of its own, outside of Noise: GET /key
 * and HEAD for PingRequests. https is verified.
 */
#define HTTPS_BODY_MAX (64u << 10)

struct https;

/*
 * @method GET or HEAD. Calls @done once, never from inside: the status and the
 * body (terminated by a NUL that @len does not count), or status 0 and one
 * line in @why.
 */
struct https *https_start(struct event_base *base, struct dialer *dialer,
			  const char *method, const struct url *url,
			  unsigned int timeout_ms,
			  void (*done)(void *ctx, int status, const char *body,
				       size_t len, const char *why),
			  void *ctx);
void https_cancel(struct https *h);

/*
 * The body of the HTTP/1.x response in @in, by Content-Length, chunked or to
 * the end of the connection (@eof). Chunks are joined in place. Returns its
 * length with *@body set, -EAGAIN if more bytes are needed, -EBADMSG if it is
 * no response, -EMSGSIZE if it is over HTTPS_BODY_MAX.
 */
ssize_t http_response(uint8_t *in, size_t n, bool eof, int *status,
		      uint8_t **body);
/*
 * The value of a header in the head at @in (ended by the empty line), without
 * blanks around it, copied to @out. -ENOENT, or -EMSGSIZE if it does not fit.
 */
ssize_t http_header(const uint8_t *in, size_t head_len, const char *name,
		    char *out, size_t cap);

#endif
