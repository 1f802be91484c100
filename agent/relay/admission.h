/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_ADMISSION_H
#define RELAY_ADMISSION_H

#include "relay/server.h"

/*
 * Who may log in to a relay (spec/derp.md section 10), but for those with the
 * mesh key, who always may. All checks that are configured must say yes.
 *
 * Requests are made from the main thread's loop, at most
 * RELAYD_ADMISSION_REQUESTS at a time; more wait, each for RELAYD_ADMISSION_MS
 * in all. Those who wait are half-open connections and bounded as such.
 */
#define RELAYD_ADMISSION_REQUESTS 64
#define RELAYD_ADMISSION_MS 5000

struct relayd_checks;

/*
 * Fills in @server's admission, on its main thread, before there are clients, by
 * its config:
 *   mesh_only      nobody else
 *   verify_socket  of a tailnet node here: it has to know the client
 *   verify_url     gets {"NodePublic","Source"}, has to say {"Allow":true};
 *                  with verify_fail_open silence is a yes
 * 0, or -EINVAL if the URL is not of http or https. *@out is NULL if everybody
 * may.
 */
int relayd_checks_new(struct relayd *server, struct relayd_checks **out);
/* When the workers have ended. NULL is fine. */
void relayd_checks_free(struct relayd_checks *c);

#endif
