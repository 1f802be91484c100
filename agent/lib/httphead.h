/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_HTTPHEAD_H
#define LIB_HTTPHEAD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A response head longer than this is refused. */
#define HTTP_HEAD_MAX 8192

/*
 * The head of an HTTP/1.x response at @in: only its end and its status matter
 * where this is used (CONNECT, protocol upgrades, latency probes). Returns the
 * head's length with the empty line, so that what follows is not lost; 0 when
 * more bytes are needed; -EBADMSG if it is none; -EMSGSIZE over HTTP_HEAD_MAX.
 */
ssize_t http_head_parse(const uint8_t *in, size_t n, int *status);

#endif
