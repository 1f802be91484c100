/* SPDX-License-Identifier: GPL-2.0 */
#ifndef RELAY_BOOTSTRAP_H
#define RELAY_BOOTSTRAP_H

/*
 * Addresses of a few names for clients whose DNS does not work, /bootstrap-dns
 * (spec/derp.md section 12.2): looked up every ten minutes, told from memory.
 */
#define BOOTSTRAP_NAME_MAX 256

struct event_base;
struct relayd_bootstrap;

/*
 * Names separated by commas, NULL: none. NULL if there are none at all. Lives in
 * @base's loop.
 */
struct relayd_bootstrap *relayd_bootstrap_new(struct event_base *base,
					      const char *published,
					      const char *unpublished);
void relayd_bootstrap_free(struct relayd_bootstrap *b); /* NULL is fine */

/*
 * {"name":["address",...]}: all published names, or the unpublished one that is
 * @asked for alone. Malloced; @b may be NULL. From any thread.
 */
char *relayd_bootstrap_json(struct relayd_bootstrap *b, const char *asked);

#endif
