// SPDX-License-Identifier: GPL-2.0
/* The agent: its service, its processes, its state, and the clock. */
#include <ctype.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "cli/doctor.h"
#include "lib/util.h"
#include "version.h"

#define STATE_DIR "/var/lib/tailrace"
#define UNIT "tailraced.service"
#define NET_ADMIN (1ull << 12)

/* The project is not older than this: 2025-01-01. */
#define EPOCH 1735689600

/* The number in base @base behind "Name:" of /proc/PID/status. */
static unsigned long long field(const char *status, const char *name, int base)
{
	const char *at = strstr(status, name);

	return at ? strtoull(at + strlen(name), NULL, base) : 0;
}

/* What each of the two processes has to be; seen: how many there are. */
static void look_at(const char *status, bool engine, struct doctor_result *r)
{
	unsigned long long caps = field(status, "\nCapEff:", 16);
	unsigned long long want = engine ? 0 : NET_ADMIN;

	if (!field(status, "\nUid:", 10))
		doctor_say(r, DOCTOR_WARNING,
			   "the %s process runs as root: it should have left that behind, see the journal",
			   engine ? "engine" : "kernel");
	if (caps & ~want)
		doctor_say(r, DOCTOR_WARNING,
			   "the %s process has capabilities that it does not need (%llx)",
			   engine ? "engine" : "kernel", caps);
	if (!engine && !(caps & NET_ADMIN))
		doctor_say(r, DOCTOR_FAULT,
			   "the kernel process has no CAP_NET_ADMIN: start tailraced as root, or by its unit");
	if (field(status, "\nSeccomp:", 10) != 2)
		doctor_say(r, DOCTOR_WARNING,
			   "the %s process has no system call filter",
			   engine ? "engine" : "kernel");
}

static void check_processes(const struct doctor *d, struct doctor_result *r)
{
	size_t n, i, engines = 0, kernels = 0;
	char **pids = doctor_list(d, "/proc", &n);
	char path[DOCTOR_PATH_MAX];

	for (i = 0; i < n; i++) {
		_cleanup_free_ char *status = NULL;
		bool engine;

		snprintf(path, sizeof(path), "/proc/%s/status", pids[i]);
		if (isdigit((unsigned char)pids[i][0]))
			status = doctor_read(d, path, NULL);
		free(pids[i]);
		if (!status || strncmp(status, "Name:\ttailraced", 15) != 0)
			continue;
		engine = !strncmp(status + 15, "-eng\n", 5);
		if (!engine && status[15] != '\n')
			continue;
		engines += engine;
		kernels += !engine;
		look_at(status, engine, r);
	}
	free(pids);
	if (engines && kernels)
		doctor_say(r, DOCTOR_OK,
			   "the engine has no capabilities, the kernel process CAP_NET_ADMIN alone");
	else
		doctor_say(r, DOCTOR_FAULT,
			   "tailraced is not running: systemctl start tailraced");
}

static void check_agent(const struct doctor *d, struct doctor_result *r)
{
	const char *state = cli_text(d->status, "BackendState");
	struct json_object *health = json_member(d->status, "Health");
	const char *version = cli_text(d->status, "Version");
	size_t i, n = health ? json_object_array_length(health) : 0;

	if (!d->status) {
		doctor_say(r, DOCTOR_FAULT,
			   "tailraced does not answer: systemctl status tailraced, journalctl -u tailraced");
		return;
	}
	if (*version && strcmp(version, TAILRACE_VERSION) != 0)
		doctor_say(r, DOCTOR_WARNING,
			   "tailraced %s is running, this command is %s: systemctl restart tailraced loses no packet",
			   version, TAILRACE_VERSION);
	if (!strcmp(state, "Running"))
		doctor_say(r, DOCTOR_OK, "running");
	else if (!strcmp(state, "NeedsMachineAuth"))
		doctor_say(r, DOCTOR_WARNING,
			   "an admin has to approve this node");
	else if (!strcmp(state, "Starting"))
		doctor_say(r, DOCTOR_WARNING,
			   "no word from the control server yet");
	else
		doctor_say(r, DOCTOR_WARNING, "%s: run 'tailrace up'", state);
	for (i = 0; i < n; i++)
		doctor_say(r, DOCTOR_WARNING, "%s",
			   json_object_get_string(
				   json_object_array_get_idx(health, i)));
}

static void check_unit(const struct doctor *d, struct doctor_result *r)
{
	static const char *const places[] = { "/etc/systemd/system/",
					      "/usr/lib/systemd/system/",
					      "/lib/systemd/system/" };
	char path[DOCTOR_PATH_MAX];
	bool there = false;
	struct stat st;
	size_t i;

	if (!doctor_exists(d, "/run/systemd/system"))
		return;
	for (i = 0; i < ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), "%s" UNIT, places[i]);
		there |= doctor_exists(d, path);
	}
	if (!there) {
		doctor_say(r, DOCTOR_WARNING,
			   "systemd has no " UNIT ": make install");
		return;
	}
	/* a link that may point to what is not below a test's root */
	doctor_path(d, path, "/etc/systemd/system/multi-user.target.wants/" UNIT);
	if (lstat(path, &st))
		doctor_say(r, DOCTOR_WARNING,
			   UNIT " is not started at boot: systemctl enable tailraced");
	if (!doctor_exists(d, "/sys/fs/cgroup/system.slice/" UNIT) &&
	    !doctor_exists(d, "/sys/fs/cgroup/systemd/system.slice/" UNIT))
		doctor_say(r, DOCTOR_WARNING,
			   UNIT " is not active: systemctl start tailraced");
	doctor_say(r, DOCTOR_OK, UNIT " is enabled and active");
}

static void check_user(const struct doctor *d, struct doctor_result *r)
{
	_cleanup_free_ char *passwd = doctor_read(d, "/etc/passwd", NULL);

	if (passwd && (strstr(passwd, "\ntailrace:") ||
		       !strncmp(passwd, "tailrace:", 9)))
		doctor_say(r, DOCTOR_OK, "user tailrace");
	else
		doctor_say(r, DOCTOR_WARNING,
			   "there is no user tailrace for the engine: systemd-sysusers, or make install");
}

static void check_directory(const struct doctor *d, struct doctor_result *r)
{
	char path[DOCTOR_PATH_MAX];
	struct stat st, file;
	size_t n, i;
	char **names;

	if (stat(doctor_path(d, path, STATE_DIR), &st)) {
		doctor_say(r, DOCTOR_WARNING,
			   "there is no " STATE_DIR ": systemd-tmpfiles --create, or make install");
		return;
	}
	if (st.st_mode & 0077)
		doctor_say(r, DOCTOR_FAULT,
			   STATE_DIR " is open to others: chmod 700 " STATE_DIR);
	if (!stat(doctor_path(d, path, STATE_DIR "/tailrace.state"), &file)) {
		if (file.st_mode & 0077)
			doctor_say(r, DOCTOR_FAULT,
				   "others can read the keys in " STATE_DIR "/tailrace.state: chmod 600 it, 'tailrace logout' and log in again");
		if (file.st_uid != st.st_uid)
			doctor_say(r, DOCTOR_FAULT,
				   "tailrace.state does not belong to the owner of " STATE_DIR ": chown -R tailrace " STATE_DIR);
	}
	names = doctor_list(d, STATE_DIR, &n);
	for (i = 0; i < n; i++) {
		if (strstr(names[i], ".damaged-"))
			doctor_say(r, DOCTOR_WARNING,
				   "%s was set aside: look at it, then remove it",
				   names[i]);
		free(names[i]);
	}
	free(names);
	doctor_say(r, DOCTOR_OK, STATE_DIR " is for the agent alone");
}

static void check_clock(const struct doctor *d, struct doctor_result *r)
{
	if (d->now < EPOCH)
		doctor_say(r, DOCTOR_FAULT,
			   "the clock is wrong: certificates and keys will not be valid (timedatectl set-ntp true)");
	else if (!d->clock_synced)
		doctor_say(r, DOCTOR_WARNING,
			   "nobody keeps the clock right: timedatectl set-ntp true");
	else
		doctor_say(r, DOCTOR_OK, "the clock is %s",
			   d->clock_synced > 0 ? "synchronized" : "plausible");
}

const struct doctor_check doctor_host_checks[] = {
	{ "unit", check_unit },
	{ "user", check_user },
	{ "processes", check_processes },
	{ "agent", check_agent },
	{ "directory", check_directory },
	{ "clock", check_clock },
	{ 0 }
};
