// SPDX-License-Identifier: GPL-2.0
/* Is there a module for the kernel, is it the right one, what does it say? */
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/doctor.h"
#include "lib/duration.h"
#include "lib/util.h"
#include "version.h"

/* The path that modules.dep of @release has for @module, below /lib/modules. */
static char *installed(const struct doctor *d, const char *release,
		       const char *module)
{
	char path[DOCTOR_PATH_MAX], name[64];
	_cleanup_free_ char *text = NULL;
	char *line, *save = NULL, *full = NULL;

	snprintf(path, sizeof(path), "/lib/modules/%s/modules.dep", release);
	text = doctor_read(d, path, NULL);
	snprintf(name, sizeof(name), "/%s.ko", module);
	for (line = text ? strtok_r(text, "\n", &save) : NULL; line && !full;
	     line = strtok_r(NULL, "\n", &save)) {
		char *colon = strchr(line, ':');
		char *at;

		if (colon)
			*colon = '\0';
		at = strstr(line, name);
		if (!colon || !at || strchr(at + 1, '/'))
			continue;
		if (*line == '/')
			full = xstrdup(line);
		else if (asprintf(&full, "/lib/modules/%s/%s", release,
				  line) < 0)
			abort();
	}
	return full;
}

/* A module that is part of the kernel itself. */
static bool builtin(const struct doctor *d, const char *module)
{
	char path[DOCTOR_PATH_MAX], name[64];
	_cleanup_free_ char *text = NULL;

	snprintf(path, sizeof(path), "/lib/modules/%s/modules.builtin",
		 d->release);
	text = doctor_read(d, path, NULL);
	snprintf(name, sizeof(name), "/%s.ko", module);
	return text && strstr(text, name);
}

static bool loaded(const struct doctor *d)
{
	return doctor_exists(d, "/sys/module/tailrace");
}

/* CONFIG_NAME of the running kernel: 1 or 0; -1 when that is not known. */
static int configured(const struct doctor *d, const char *name)
{
	char path[DOCTOR_PATH_MAX], wanted[64];
	_cleanup_free_ char *text = NULL;

	snprintf(path, sizeof(path), "/boot/config-%s", d->release);
	text = doctor_read(d, path, NULL);
	if (!text)
		return -1;
	snprintf(wanted, sizeof(wanted), "\nCONFIG_%s=", name);
	return strstr(text, wanted) != NULL;
}

static void check_kernel(const struct doctor *d, struct doctor_result *r)
{
	unsigned int major = 0, minor = 0, patch = 0;
	int n = sscanf(d->release, "%u.%u.%u", &major, &minor, &patch);

	if (n < 2) {
		doctor_say(r, DOCTOR_WARNING, "kernel '%s' has no version",
			   d->release);
		return;
	}
	doctor_say(r, DOCTOR_OK, "%s", d->release);
	if (major < 5 || (major == 5 && minor < 10))
		doctor_say(r, DOCTOR_FAULT,
			   "kernel %s is too old: 5.10 or later is needed",
			   d->release);
	/* merged UDP packets of equal length lose their lengths */
	if (major == 7 && (!minor || (minor == 1 && patch <= 4)))
		doctor_say(r, DOCTOR_WARNING,
			   "kernel %s can corrupt UDP packets that it merges (7.0.0 to 7.1.4 do): update it, or turn off rx-gro-list and rx-udp-gro-forwarding on the uplink (ethtool -K)",
			   d->release);
}

static void check_features(const struct doctor *d, struct doctor_result *r)
{
	int ingress = configured(d, "NETFILTER_INGRESS");
	int egress = configured(d, "NETFILTER_EGRESS");

	if (ingress < 0)
		return;
	if (!ingress)
		doctor_say(r, DOCTOR_FAULT,
			   "the kernel has no ingress hook (CONFIG_NETFILTER_INGRESS): take a distribution's kernel");
	else
		doctor_say(r, DOCTOR_OK, "ingress hook, %s",
			   egress ? "egress hook" :
				    "no egress hook: POST_ROUTING is used");
}

static void check_wireguard(const struct doctor *d, struct doctor_result *r)
{
	_cleanup_free_ char *path = installed(d, d->release, "wireguard");

	if (doctor_exists(d, "/sys/module/wireguard"))
		doctor_say(r, DOCTOR_OK, "wireguard is loaded");
	else if (path || builtin(d, "wireguard"))
		doctor_say(r, DOCTOR_OK, "the kernel has wireguard");
	else
		doctor_say(r, DOCTOR_FAULT,
			   "kernel %s has no WireGuard: install its modules (linux-modules-extra on some systems), or another kernel",
			   d->release);
}

/* What the kernel will not load is as good as not there. */
static void check_module(const struct doctor *d, struct doctor_result *r)
{
	_cleanup_free_ char *path = installed(d, d->release, "tailrace");

	if (loaded(d))
		doctor_say(r, DOCTOR_OK, "tailrace.ko is loaded");
	else if (path)
		doctor_say(r, DOCTOR_WARNING,
			   "tailrace.ko is there for %s and not loaded: modprobe tailrace",
			   d->release);
	else
		doctor_say(r, DOCTOR_FAULT,
			   "there is no tailrace.ko for kernel %s: dkms autoinstall -k %s",
			   d->release, d->release);
}

/* Text up to its first white space. */
static void first_word(char *text)
{
	text[strcspn(text, " \t\n")] = '\0';
}

static void check_version(const struct doctor *d, struct doctor_result *r)
{
	_cleanup_free_ char *running =
		doctor_read(d, "/sys/module/tailrace/version", NULL);
	_cleanup_free_ char *source =
		doctor_read(d, "/sys/module/tailrace/srcversion", NULL);
	_cleanup_free_ char *path = installed(d, d->release, "tailrace");
	_cleanup_free_ char *ko = NULL;
	const char *on_disk;
	size_t n;

	if (!running)
		return;
	first_word(running);
	if (strcmp(running, TAILRACE_VERSION) != 0)
		doctor_say(r, DOCTOR_WARNING,
			   "tailrace.ko %s is loaded, this command is %s: 'tailrace down', rmmod tailrace, 'tailrace up' loads the new one",
			   running, TAILRACE_VERSION);
	else
		doctor_say(r, DOCTOR_OK, "tailrace.ko and command are both %s",
			   running);
	/* only what is not compressed can be looked into */
	ko = path ? doctor_read(d, path, &n) : NULL;
	on_disk = ko ? doctor_modinfo(ko, n, "srcversion") : NULL;
	if (!source || !on_disk)
		return;
	first_word(source);
	if (strcmp(source, on_disk) != 0)
		doctor_say(r, DOCTOR_WARNING,
			   "another tailrace.ko is installed than the one that is loaded: it comes into force at the next load");
}

/* A directory of /lib/modules is a kernel's when depmod has been there. */
static bool is_kernel(const struct doctor *d, const char *release)
{
	char path[DOCTOR_PATH_MAX];

	snprintf(path, sizeof(path), "/lib/modules/%s/kernel", release);
	return doctor_exists(d, path);
}

static void say_missing(const struct doctor *d, const char *release,
			struct doctor_result *r)
{
	enum doctor_level level = strcmp(release, d->release) ? DOCTOR_WARNING :
								DOCTOR_FAULT;
	char path[DOCTOR_PATH_MAX];

	snprintf(path, sizeof(path), "/lib/modules/%s/build/Makefile",
		 release);
	if (!doctor_exists(d, path))
		doctor_say(r, level,
			   "no module for %s, whose headers are missing: install linux-headers-%s",
			   release, release);
	else
		doctor_say(r, level,
			   "no module for %s: dkms autoinstall -k %s (what fails is in /var/lib/dkms/tailrace/*/build/make.log)",
			   release, release);
}

static void check_dkms(const struct doctor *d, struct doctor_result *r)
{
	size_t n, i, good = 0;
	char **releases = doctor_list(d, "/lib/modules", &n);

	for (i = 0; i < n; i++) {
		_cleanup_free_ char *path =
			installed(d, releases[i], "tailrace");

		if (path)
			good++;
		else if (is_kernel(d, releases[i]))
			say_missing(d, releases[i], r);
		free(releases[i]);
	}
	free(releases);
	if (good)
		doctor_say(r, DOCTOR_OK, "a module for %s",
			   good == 1 ? "the one kernel that is installed" :
				       "each kernel that is installed");
	if (!doctor_exists(d, "/var/lib/dkms/tailrace"))
		doctor_say(r, DOCTOR_WARNING,
			   "DKMS does not know tailrace: the next kernel will have no module (make install, or the dkms package)");
}

/* efivars: four bytes of attributes, then the value. */
static bool secure_boot(const struct doctor *d)
{
	static const char path[] =
		"/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";
	size_t n = 0;
	_cleanup_free_ char *v = doctor_read(d, path, &n);

	return v && n >= 5 && v[4] == 1;
}

/* Whether the kernel refuses what is not signed, and because of what. */
static const char *enforced(const struct doctor *d)
{
	_cleanup_free_ char *sig = doctor_read(
		d, "/sys/module/module/parameters/sig_enforce", NULL);
	_cleanup_free_ char *lockdown =
		doctor_read(d, "/sys/kernel/security/lockdown", NULL);

	if (sig && *sig == 'Y')
		return "module.sig_enforce";
	if (lockdown && !strstr(lockdown, "[none]"))
		return "kernel lockdown";
	return secure_boot(d) ? "Secure Boot" : NULL;
}

static void check_signature(const struct doctor *d, struct doctor_result *r)
{
	_cleanup_free_ char *path = installed(d, d->release, "tailrace");
	_cleanup_free_ char *keys = doctor_read(d, "/proc/keys", NULL);
	const char *by = enforced(d);
	_cleanup_free_ char *ko = NULL;
	char signer[128];
	size_t n;

	if (!by) {
		doctor_say(r, DOCTOR_OK,
			   "the kernel loads modules without a signature");
		return;
	}
	if (loaded(d)) {
		doctor_say(r, DOCTOR_OK, "%s is on, and took tailrace.ko", by);
		return;
	}
	ko = path ? doctor_read(d, path, &n) : NULL;
	if (!ko)
		return;
	if (n > 6 && (!memcmp(ko, "\xfd"
				  "7zXZ",
			      5) ||
		      !memcmp(ko, "\x28\xb5\x2f\xfd", 4)))
		doctor_say(r, DOCTOR_WARNING,
			   "%s is on, and the signature of a compressed module cannot be read: modinfo -F signer tailrace, mokutil --list-enrolled",
			   by);
	else if (!doctor_signer(ko, n, signer))
		doctor_say(r, DOCTOR_FAULT,
			   "%s is on and tailrace.ko has no signature: let DKMS make a key (dkms autoinstall) and enrol it with mokutil --import /var/lib/dkms/mok.pub",
			   by);
	else if (keys && !strstr(keys, signer))
		doctor_say(r, DOCTOR_FAULT,
			   "%s is on and the kernel does not know the key of '%s': mokutil --import /var/lib/dkms/mok.pub, then reboot and enrol it",
			   by, signer);
	else
		doctor_say(r, keys ? DOCTOR_OK : DOCTOR_WARNING,
			   "%s is on, tailrace.ko is signed by '%s'%s", by,
			   signer,
			   keys ? "" : ", and only root can see if that key is enrolled");
}

/* What the module says of its devices. */
static void check_state(const struct doctor *d, struct doctor_result *r)
{
	char text[DURATION_TEXT_MAX];

	if (!d->devices) {
		if (d->module_problem && loaded(d))
			doctor_say(r, DOCTOR_WARNING, "%s", d->module_problem);
		return;
	}
	json_object_object_foreach(d->devices, name, o) {
		const char *state = cli_text(o, "state");
		uint64_t stale = (uint64_t)cli_number(o, "stale");

		if (!strcmp(state, "active"))
			doctor_say(r, DOCTOR_OK, "%s is active, policy %lld",
				   name, (long long)cli_number(o, "generation"));
		else if (!strcmp(state, "closed"))
			doctor_say(r, DOCTOR_FAULT,
				   "%s is closed, nothing passes: no policy has come yet, see 'tailrace status'",
				   name);
		else if (!strcmp(state, "expired"))
			doctor_say(r, DOCTOR_FAULT,
				   "%s has expired after %s without an agent, nothing passes: systemctl start tailraced",
				   name, duration_format(stale, text));
		else
			doctor_say(r, DOCTOR_WARNING,
				   "%s is %s for %s, the last policy stays in force: systemctl start tailraced",
				   name, state, duration_format(stale, text));
	}
}

static void check_flows(const struct doctor *d, struct doctor_result *r)
{
	if (!d->devices)
		return;
	json_object_object_foreach(d->devices, name, o) {
		int64_t n = cli_number(o, "flows");
		int64_t max = cli_number(o, "flows_max");

		if (max && n > max / 10 * 9)
			doctor_say(r, DOCTOR_WARNING,
				   "%s has %lld of %lld flows: 'tailrace set --flow-table=%lld'",
				   name, (long long)n, (long long)max,
				   (long long)max * 2);
		else
			doctor_say(r, DOCTOR_OK, "%s has %lld of %lld flows",
				   name, (long long)n, (long long)max);
	}
}

const struct doctor_check doctor_module_checks[] = {
	{ "kernel", check_kernel },
	{ "features", check_features },
	{ "wireguard", check_wireguard },
	{ "module", check_module },
	{ "version", check_version },
	{ "dkms", check_dkms },
	{ "signature", check_signature },
	{ "state", check_state },
	{ "flows", check_flows },
	{ 0 }
};
