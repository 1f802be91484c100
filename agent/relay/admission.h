/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_ADMISSION_H
#define RELAY_ADMISSION_H

#include <stdbool.h>

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

struct relayd_admission_config {
	bool mesh_only; /* nobody else */
	/* Socket of a tailnet node here, which has to know the client; or NULL. */
	const char *verify_socket;
	/* Gets {"NodePublic","Source"} and has to say {"Allow":true}; or NULL. */
	const char *verify_url;
	bool fail_open; /* yes if there is no answer from @verify_url */
};

struct relayd_checks;

/*
 * Fills in @server's admission, on its main thread, before there are clients;
 * the strings of @config stay the caller's. 0, or -EINVAL if the URL is not of
 * http or https. *@out is NULL if everybody may.
 */
int relayd_checks_new(struct relayd *server,
		      const struct relayd_admission_config *config,
		      struct relayd_checks **out);
/* When the workers have ended. NULL is fine. */
void relayd_checks_free(struct relayd_checks *c);

#endif
