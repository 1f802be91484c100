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

/*
 * Listens on @path, where it replaces a stale socket. Done while there are
 * privileges, as the directory may be root's. The socket, or a negative errno.
 */
int localapi_listen(const char *path);

/*
 * Listens for Prometheus on "ADDRESS:PORT" or ":PORT". The socket, or a
 * negative errno; -EINVAL for another text.
 */
int localapi_listen_metrics(const char *where);

/* Serves on @fd, of localapi_listen(); takes ownership. */
struct localapi *localapi_new(struct agent *a, int fd);
void localapi_free(struct localapi *l);
/* GET /metrics on @fd, of localapi_listen_metrics(); takes ownership. */
void localapi_scraped(struct localapi *l, int fd);

#endif
