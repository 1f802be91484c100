/* SPDX-License-Identifier: GPL-2.0 */
#ifndef KERNEL_PROCESS_H
#define KERNEL_PROCESS_H

#include <sys/types.h>

/*
 * Runs the kernel process on its ends of the two socket pairs until the
 * engine closes them or SIGTERM. Device, policy and routes stay. Becomes @uid
 * and @gid (when it is root) and keeps only CAP_NET_ADMIN, under the engine's
 * system call filter; the kernel loads wireguard.ko and tailrace.ko by their
 * aliases. @engine_pid is watched: when it dies the process ends, so that the
 * service manager restarts both. Returns the exit status.
 */
int kernel_process_run(int stream, int broker, int engine_pid, uid_t uid,
		       gid_t gid);

/*
 * `tailraced --cleanup`: removes the device, routes and rules. Returns the exit
 * status.
 */
int kernel_process_cleanup(const char *ifname);

#endif
