/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_SANDBOX_H
#define ENGINE_SANDBOX_H

#include <sys/types.h>

/*
 * The engine parses what strangers send: it becomes @uid and @gid without
 * capabilities or a way back to them, cannot start programs, trace, mount,
 * load code into the kernel or change namespaces. 0 or a negative errno with
 * *@what naming the step.
 */
int sandbox_enter(uid_t uid, gid_t gid, const char **what);

/* Only the part with the system calls, for a process that keeps a capability. */
int sandbox_filter_calls(const char **what);

#endif
