/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_AGENT_INTERNAL_H
#define ENGINE_AGENT_INTERNAL_H

#include <stdlib.h>

#include "engine/agent.h"
#include "lib/util.h"

/*
 * The engine's insides, shared by agent.c (life and preferences),
 * agent_control.c (the session with control), agent_kernel.c (the kernel
 * process) and agent_net.c (the ways out). Each of the latter three has the
 * callbacks of what it owns.
 */

static inline void set_text(char **to, const char *text)
{
	free(*to);
	*to = xstrdup(text);
}

/* agent.c: peers, routes and policy to the kernel process. */
void agent_publish(struct agent *a);

/* agent_control.c. Started at most once at a time; stopping is always fine. */
void agent_start_control(struct agent *a, const char *auth_key);
void agent_stop_control(struct agent *a);
/* What others are told about us. */
void agent_tell_control(struct agent *a);
void agent_use_node_key(struct agent *a, const struct key *node);
/* Neither keys nor netmap: the device goes, preferences stay. */
void agent_forget_login(struct agent *a);
/* A netmap is in force, @changed parts (enum netmap_change) of it new. */
void agent_apply_netmap(struct agent *a, const struct netmap *nm,
			unsigned int changed);

/* agent_kernel.c */
void agent_init_kernel(struct agent *a);
void agent_uninit_kernel(struct agent *a);
/* A socket whose packets bypass our own routes (@ctx: the agent). */
int agent_tcp_socket(void *ctx, int family);

/* agent_net.c; needs the kernel process for its sockets. */
void agent_init_net(struct agent *a);
void agent_uninit_net(struct agent *a);
/* Measures again while any peer is active. */
void agent_arm_periodic(struct agent *a);

#endif
