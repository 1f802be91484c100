/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LOCALAPI_SERVER_H
#define LOCALAPI_SERVER_H

/*
 * HTTP on a unix socket, with the paths and JSON that tailscale's own command
 * line and its exporters use. Anyone on the host may read; changing anything
 * takes root, or the user the agent runs as.
 */

struct agent;
struct localapi;

/* Requests larger than this are refused. */
#define LOCALAPI_BODY_MAX (1 << 20)

/* Replaces a stale socket at @path. NULL: logged. */
struct localapi *localapi_new(struct agent *a, const char *path);
void localapi_free(struct localapi *l);

#endif
