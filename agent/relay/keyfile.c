// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <json-c/json.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "relay/server.h"

#define FILE_MAX 65536

static int make(const char *path, struct key *k)
{
	char text[KEY_TEXT_MAX], json[KEY_TEXT_MAX + 32];
	int n, err;

	key_generate(k);
	n = snprintf(json, sizeof(json), "{\n\t\"PrivateKey\": \"%s\"\n}\n",
		     key_format(text, KEY_PRIVATE, k));
	err = file_write(path, json, (size_t)n);
	sodium_memzero(text, sizeof(text));
	sodium_memzero(json, sizeof(json));
	if (err)
		log_error("cannot write the relay's key to %s: %s; choose "
			  "another place by --c",
			  path, strerror(-err));
	else
		log_info("made a key for this relay, %s", path);
	return err;
}

int relayd_key_load(const char *path, struct key *private_key)
{
	struct json_object *o;
	const char *text;
	char *json;
	size_t n;
	int err;

	err = file_read(path, FILE_MAX, 1, &json, &n);
	if (err == -ENOENT)
		return make(path, private_key);
	if (err) {
		log_error("cannot read the relay's key from %s: %s%s", path,
			  strerror(-err),
			  err == -EPERM ? "; nobody else may read it (chmod "
					  "600)" :
					  "");
		return err;
	}
	o = json_parse(json, n);
	sodium_memzero(json, n);
	free(json);
	text = json_object_is_type(o, json_type_object) ?
		       json_text(json_member(o, "PrivateKey")) :
		       NULL;
	err = text ? key_parse(private_key, KEY_PRIVATE, text) : -EINVAL;
	if (!err && key_is_zero(private_key))
		err = -EINVAL;
	if (err)
		log_error("%s is not {\"PrivateKey\":\"" KEY_PRIVATE
			  "<64 hex digits>\"}",
			  path);
	json_object_put(o);
	return err;
}
