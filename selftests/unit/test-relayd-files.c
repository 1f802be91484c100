// SPDX-License-Identifier: GPL-2.0
/* The relay's small files: its key, the mesh's, the rates. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/file.h"
#include "relay/ratefile.h"
#include "relay/server.h"
#include "tap.h"

#define HEX "0123456789abcdef0123456789ABCDEF0123456789abcdef0123456789abcdef"

static char dir[] = "/tmp/test-relayd-files.XXXXXX", path[64];

static void put(const void *text, size_t n, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0 || write(fd, text, n) != (ssize_t)n || fchmod(fd, mode))
		abort();
	close(fd);
}

static int rate(const char *text, uint64_t *r, uint64_t *b)
{
	*r = *b = 7;
	put(text, strlen(text), 0644);
	return relayd_rate_load(path, r, b);
}

static void test_rates(void)
{
	static const char good[] = "{\"PerClientRateLimitBytesPerSec\":1000,"
				   "\"PerClientRateBurstBytes\":70000}";
	static const char *const bad[] = {
		"[]", "null", "5", "",
		"{\"PerClientRateLimitBytesPerSec\":-1}",
		"{\"PerClientRateLimitBytesPerSec\":\"1\"}",
		"{\"PerClientRateLimitBytesPerSec\":1099511627777}",
		"{\"PerClientRateBurstBytes\":-1}",
		"{\"PerClientRateBurstBytes\":1e99}",
	};
	uint64_t r, b;
	size_t i, cut = 0;

	tap_ok(!rate(good, &r, &b) && r == 1000 && b == 70000, "rates");
	tap_ok(!rate("{\"Other\":1}", &r, &b) && !r && !b, "no rates");
	tap_ok(!rate("{\"PerClientRateLimitBytesPerSec\":1099511627776}", &r,
		     &b) && r == 1099511627776,
	       "the highest rate");
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		tap_ok(rate(bad[i], &r, &b) < 0 && r == 7 && b == 7,
		       "refused, and nothing changed: %s", bad[i]);
	for (i = 0; i < sizeof(good) - 1; i++) {
		put(good, i, 0644);
		cut += relayd_rate_load(path, &r, &b) != -EINVAL;
	}
	tap_ok(!cut && r == 7, "cut off anywhere");
}

static void test_mesh_key(void)
{
	static const char *const bad[] = {
		"", " ", HEX "0", "g" HEX, HEX " " HEX,
		"0000000000000000000000000000000000000000000000000000000000000000",
	};
	struct key k, before;
	size_t i, cut = 0;

	put("\n " HEX "\t\n", strlen(HEX) + 4, 0600);
	tap_ok(!relayd_mesh_key_load(path, &k) && k.b[0] == 0x01 &&
		       k.b[31] == 0xef,
	       "a mesh key with white space around it");
	before = k;
	for (i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		put(bad[i], strlen(bad[i]), 0600);
		tap_ok(relayd_mesh_key_load(path, &k) == -EINVAL,
		       "refused: '%s'", bad[i]);
	}
	k = before;
	for (i = 0; i < strlen(HEX); i++) {
		put(HEX, i, 0600);
		cut += relayd_mesh_key_load(path, &k) != -EINVAL;
	}
	tap_ok(!cut && key_equal(&k, &before), "cut off anywhere");
	put(HEX "\0x", strlen(HEX) + 2, 0600);
	tap_ok(relayd_mesh_key_load(path, &k) == -EINVAL,
	       "with something behind a NUL");
	put(HEX, strlen(HEX), 0640);
	tap_ok(relayd_mesh_key_load(path, &k) == -EPERM,
	       "one that others may read");
}

static void test_key(void)
{
	struct key made, again, other;
	size_t i, n, cut = 0;
	struct stat st;
	char *text;

	unlink(path);
	tap_ok(!relayd_key_load(path, &made) && !key_is_zero(&made) &&
		       !stat(path, &st) && (st.st_mode & 07777) == 0600,
	       "a key is made, for us alone");
	tap_ok(!relayd_key_load(path, &again) && key_equal(&made, &again),
	       "and found again");
	chmod(path, 0604);
	tap_ok(relayd_key_load(path, &other) == -EPERM,
	       "but not if others may read it");
	if (file_read(path, 4096, 0, &text, &n))
		abort();
	for (i = 0; i + 2 < n; i++) { /* "}\n" is the end */
		put(text, i, 0600);
		cut += relayd_key_load(path, &other) != -EINVAL ||
		       stat(path, &st) || (size_t)st.st_size != i;
	}
	tap_ok(!cut, "cut off anywhere it is refused and left as it is");
	memset(strstr(text, "privkey:") + 8, '0', 64);
	put(text, n, 0600);
	tap_ok(relayd_key_load(path, &other) == -EINVAL, "a key of nothing");
	free(text);
}

int main(void)
{
	/* what the operator is told, hundreds of times */
	if (!mkdtemp(dir) || !freopen("/dev/null", "w", stderr))
		return 1;
	snprintf(path, sizeof(path), "%s/file", dir);
	test_rates();
	test_mesh_key();
	test_key();
	unlink(path);
	rmdir(dir);
	return tap_done();
}
