/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CONTROL_C2N_H
#define CONTROL_C2N_H

#include <stddef.h>
#include <stdint.h>

/*
 * Control-to-node requests (control.md 8.2): an HTTP/1.x request inside of a
 * PingRequest, answered by a serialised HTTP/1.1 response. Only /echo is
 * known; everything gets some answer. Returns the response, malloced, @len
 * bytes; NULL if @in is no HTTP request.
 */
uint8_t *c2n_answer(const uint8_t *in, size_t n, size_t *len);

#endif
