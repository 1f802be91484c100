// SPDX-License-Identifier: GPL-2.0
#include "control/register.h"

#include <errno.h>
#include <json.h>
#include <sodium.h>
#include <string.h>

#include "control/hostinfo.h"
#include "control/url.h"
#include "lib/json.h"
#include "lib/util.h"

/* Unix time 123: what "log out" looks like on the wire. */
#define LOGOUT_EXPIRY 123
#define LOCK_MARK "--TL"

char *register_encode(const struct register_request *req)
{
	struct json_object *o = json_object_new_object(), *auth, *secret = NULL;
	struct key zero = {0};
	char text[KEY_TEXT_MAX], time[TIME_TEXT_MAX];
	const char *mark;
	char *body;

	json_object_object_add(o, "Version",
			       json_object_new_int(CONTROL_CAPABILITY_VERSION));
	json_put_text(o, "NodeKey",
		      key_format(text, KEY_NODE, req->node_public));
	json_put_text(o, "OldNodeKey",
		      key_format(text, KEY_NODE, req->old_node_public));
	json_put_text(o, "NLKey", key_format(text, KEY_NL, &zero));
	if (req->auth_key) {
		mark = strstr(req->auth_key, LOCK_MARK);
		auth = json_object_new_object();
		secret = json_object_new_string_len(
			req->auth_key,
			(int)(mark ? (size_t)(mark - req->auth_key)
				   : strlen(req->auth_key)));
		json_object_object_add(auth, "AuthKey", secret);
		json_object_object_add(o, "Auth", auth);
	}
	json_put_text(
		o, "Expiry",
		time_format_rfc3339(req->logout ? LOGOUT_EXPIRY : 0, time));
	json_object_object_add(o, "Followup",
			       json_object_new_string(req->followup));
	json_put_bool(o, "Ephemeral", req->ephemeral);
	json_object_object_add(o, "Hostinfo", hostinfo_encode(req->self, true));
	json_object_object_add(o, "NodeKeySignature", NULL);
	body = (char *)json_object_to_json_string_ext(
		o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
	mark = body;
	body = xstrdup(mark);
	/* json-c's own texts, which hold the auth key. */
	sodium_memzero((char *)mark, strlen(mark));
	if (secret)
		sodium_memzero((char *)json_object_get_string(secret),
			       (size_t)json_object_get_string_len(secret));
	json_object_put(o);
	return body;
}

/* Bytes, in base64: only whether there are any matters. */
static int get_has_bytes(struct json_object *v, void *out, size_t *n)
{
	const char *s = json_text(v);

	if (!s)
		return -EPROTO;
	*(bool *)out = *s;
	return 0;
}

static const struct json_field response_fields[] = {
	JSON_FIELD(struct register_response, error, "Error", json_get_string),
	JSON_FIELD(struct register_response, wants_signature,
		   "NodeKeySignature", get_has_bytes),
	JSON_FIELD(struct register_response, node_key_expired, "NodeKeyExpired",
		   json_get_bool),
	JSON_FIELD(struct register_response, auth_url, "AuthURL",
		   json_get_string),
	JSON_FIELD(struct register_response, machine_authorized,
		   "MachineAuthorized", json_get_bool),
};

int register_decode(struct register_response *r, const char *body, size_t len,
		    const char **why)
{
	struct json_object *o = json_parse(body, len);
	struct url url;
	int err;

	*why = NULL;
	memset(r, 0, sizeof(*r));
	r->error = xstrdup("");
	r->auth_url = xstrdup("");
	err = json_decode(o, response_fields, ARRAY_SIZE(response_fields), r,
			  why);
	json_object_put(o);
	if (!err && *r->auth_url && url_parse(&url, r->auth_url)) {
		*why = "AuthURL";
		err = -EPROTO;
	}
	return err;
}

void register_response_clear(struct register_response *r)
{
	free(r->error);
	free(r->auth_url);
	memset(r, 0, sizeof(*r));
}
