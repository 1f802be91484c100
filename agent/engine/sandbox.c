// SPDX-License-Identifier: GPL-2.0
#include "engine/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "lib/util.h"

/* What a network agent never does. EPERM, so that a library can cope. */
static const int forbidden[] = {
	SCMP_SYS(execve),	SCMP_SYS(execveat),
	SCMP_SYS(fork),		SCMP_SYS(vfork),
	SCMP_SYS(ptrace),	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev), SCMP_SYS(kcmp),
	SCMP_SYS(mount),	SCMP_SYS(umount2),
	SCMP_SYS(pivot_root),	SCMP_SYS(chroot),
	SCMP_SYS(setns),	SCMP_SYS(unshare),
	SCMP_SYS(bpf),		SCMP_SYS(perf_event_open),
	SCMP_SYS(init_module),	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module), SCMP_SYS(kexec_load),
	SCMP_SYS(keyctl),	SCMP_SYS(add_key),
	SCMP_SYS(request_key),	SCMP_SYS(userfaultfd),
	SCMP_SYS(open_by_handle_at), SCMP_SYS(reboot),
	SCMP_SYS(swapon),	SCMP_SYS(setuid),
	SCMP_SYS(setresuid),	SCMP_SYS(io_uring_setup),
};

static int drop_privileges(uid_t uid, gid_t gid, const char **what)
{
	cap_t none;
	int err;

	*what = "changing the user";
	if (geteuid() == 0 &&
	    (setgroups(0, NULL) || setresgid(gid, gid, gid) ||
	     setresuid(uid, uid, uid)))
		return -errno;
	*what = "dropping capabilities";
	none = cap_init();
	err = cap_set_proc(none) ? -errno : 0;
	cap_free(none);
	return err;
}

int sandbox_filter_calls(const char **what)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int err = ctx ? 0 : -ENOMEM;
	size_t i;

	*what = "filtering system calls";
	for (i = 0; !err && i < ARRAY_SIZE(forbidden); i++)
		err = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), forbidden[i],
				       0);
	if (!err)
		err = seccomp_load(ctx);
	seccomp_release(ctx);
	return err;
}

int sandbox_enter(uid_t uid, gid_t gid, const char **what)
{
	int err = drop_privileges(uid, gid, what);

	if (err)
		return err;
	*what = "forbidding new privileges";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
	return sandbox_filter_calls(what);
}
