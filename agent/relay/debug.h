/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_DEBUG_H
#define RELAY_DEBUG_H

#include "relay/http.h"

/*
 * /debug/ and /metrics (spec/derp.md section 14): figures, a check, the
 * traffic. For loopback and the tailnet only, never through a proxy.
 */
void relayd_debug(const struct relayd *server, const struct http_req *r,
		  const struct http_slice *path, const struct endpoint *remote,
		  bool head, struct relayd_http_answer *out);

#endif
