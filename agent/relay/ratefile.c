// SPDX-License-Identifier: GPL-2.0
#include "relay/ratefile.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <sodium.h>
#include <string.h>

#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/util.h"

#define FILE_MAX 65536
/* 1 TiB/s: the arithmetic of the bucket stays far from its ends. */
#define RATE_MAX (1ll << 40)

struct rates {
	int64_t rate, burst;
};

static const struct json_field fields[] = {
	JSON_FIELD(struct rates, rate, "PerClientRateLimitBytesPerSec",
		   json_get_int64),
	JSON_FIELD(struct rates, burst, "PerClientRateBurstBytes",
		   json_get_int64),
};

int relayd_rate_load(const char *path, uint64_t *rate, uint64_t *burst)
{
	struct rates r = {0};
	struct json_object *o;
	const char *why = NULL;
	char *text;
	size_t n;
	int err;

	err = file_read(path, FILE_MAX, 0, &text, &n);
	if (err) {
		log_error("cannot read %s: %s", path, strerror(-err));
		return err;
	}
	o = json_parse(text, n);
	free(text);
	if (!o)
		why = "it is no JSON";
	err = o ? json_decode(o, fields, ARRAY_SIZE(fields), &r, &why) :
		  -EINVAL;
	json_object_put(o);
	if (!err && (r.rate < 0 || r.burst < 0 || r.rate > RATE_MAX ||
		     r.burst > RATE_MAX)) {
		why = "a number is out of range";
		err = -EINVAL;
	}
	if (err) {
		log_error("%s: %s; it must be "
			  "{\"PerClientRateLimitBytesPerSec\":N,"
			  "\"PerClientRateBurstBytes\":M}",
			  path, why);
		return err;
	}
	*rate = (uint64_t)r.rate;
	*burst = (uint64_t)r.burst;
	return 0;
}

int relayd_mesh_key_load(const char *path, struct key *mesh_key)
{
	char *text, *start, *end;
	size_t n;
	int err = file_read(path, FILE_MAX, 1, &text, &n);

	if (err) {
		log_error("cannot read the mesh key from %s: %s%s", path,
			  strerror(-err),
			  err == -EPERM ? "; nobody else may read it (chmod "
					  "600)" :
					  "");
		return err;
	}
	start = text;
	while (isspace((unsigned char)*start))
		start++;
	end = text + n;
	while (end > start && isspace((unsigned char)end[-1]))
		*--end = '\0';
	err = key_parse(mesh_key, "", start);
	if (!err && (key_is_zero(mesh_key) || start + strlen(start) != end))
		err = -EINVAL;
	sodium_memzero(text, n);
	free(text);
	if (err)
		log_error("%s must hold 64 hex digits, not all zero "
			  "(openssl rand -hex 32)",
			  path);
	return err;
}
