// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "lib/util.h"
#include "proto/derp.h"

#define META_PREFIX "derpkey"
#define JSON_DEPTH 8

_Static_assert(DERP_TAG_LEN == crypto_box_MACBYTES, "box tag");
_Static_assert(DERP_NONCE_LEN == crypto_box_NONCEBYTES, "box nonce");

static ssize_t seal(const char *json, size_t len,
		    const struct key *from_private, const struct key *to_public,
		    const uint8_t nonce[DERP_NONCE_LEN],
		    uint8_t box[DERP_INFO_BOX_MAX])
{
	if (key_is_zero(from_private) ||
	    crypto_box_easy(box, (const uint8_t *)json, len, nonce,
			    to_public->b, from_private->b))
		return -EINVAL;
	return (ssize_t)(len + DERP_TAG_LEN);
}

ssize_t derp_seal_client_info(const struct derp_client_info *info,
			      const struct key *client_private,
			      const struct key *server_public,
			      const uint8_t nonce[DERP_NONCE_LEN],
			      uint8_t box[DERP_INFO_BOX_MAX])
{
	char json[DERP_INFO_BOX_MAX - DERP_TAG_LEN];
	char mesh[sizeof("\"meshKey\":\"\",") + KEY_TEXT_MAX] = "";
	struct json_object *name = NULL;
	char hex[KEY_TEXT_MAX];
	ssize_t len;
	int n;

	/* The relay fails the login on an empty meshKey: leave it out. */
	if (info->has_mesh_key)
		snprintf(mesh, sizeof(mesh), "\"meshKey\":\"%s\",",
			 key_format(hex, "", &info->mesh_key));
	if (info->app_name[0])
		name = json_object_new_string(info->app_name);
	n = snprintf(json, sizeof(json),
		     "{%s\"version\":%d,\"CanAckPings\":%s%s%s%s}", mesh,
		     info->version, info->can_ack_pings ? "true" : "false",
		     info->is_prober ? ",\"IsProber\":true" : "",
		     name ? ",\"AppName\":" : "",
		     name ? json_object_to_json_string_ext(
				    name, JSON_C_TO_STRING_PLAIN)
			  : "");
	json_object_put(name);
	len = seal(json, (size_t)n, client_private, server_public, nonce, box);
	sodium_memzero(json, sizeof(json));
	sodium_memzero(mesh, sizeof(mesh));
	sodium_memzero(hex, sizeof(hex));
	return len;
}

ssize_t derp_encode_login(const struct derp_client_info *info,
			  const struct key *client_private,
			  const struct key *server_public,
			  const uint8_t nonce[DERP_NONCE_LEN], uint8_t *out,
			  size_t cap)
{
	struct derp_frame f = { .type = DERP_CLIENT_INFO };
	uint8_t box[DERP_INFO_BOX_MAX];
	ssize_t n = derp_seal_client_info(info, client_private, server_public,
					  nonce, box);

	if (n < 0)
		return n;
	key_public(&f.key, client_private);
	memcpy(f.nonce, nonce, sizeof(f.nonce));
	f.data = box;
	f.data_len = (size_t)n;
	return derp_encode(&f, out, cap);
}

ssize_t derp_seal_server_info(const struct derp_server_info *info,
			      const struct key *server_private,
			      const struct key *client_public,
			      const uint8_t nonce[DERP_NONCE_LEN],
			      uint8_t box[DERP_INFO_BOX_MAX])
{
	char json[DERP_INFO_BOX_MAX - DERP_TAG_LEN], rate[96] = "";
	int n;

	if (info->rate)
		snprintf(rate, sizeof(rate),
			 ",\"TokenBucketBytesPerSecond\":%lld"
			 ",\"TokenBucketBytesBurst\":%lld",
			 (long long)info->rate, (long long)info->burst);
	n = snprintf(json, sizeof(json), "{\"version\":%d%s}", info->version,
		     rate);
	return seal(json, (size_t)n, server_private, client_public, nonce, box);
}

/* The JSON object in the box of @f, owned by the caller; NULL if there is none.
 */
static struct json_object *open_json(const struct derp_frame *f,
				     const struct key *from_public,
				     const struct key *own_private)
{
	struct json_object *o = NULL;
	struct json_tokener *tok;
	uint8_t *json;
	size_t len;

	if (f->data_len < DERP_TAG_LEN)
		return NULL;
	len = f->data_len - DERP_TAG_LEN;
	if (len > DERP_INFO_JSON_MAX)
		return NULL;
	json = xmalloc(len + 1);
	if (crypto_box_open_easy(json, f->data, f->data_len, f->nonce,
				 from_public->b, own_private->b))
		goto out;
	tok = json_tokener_new_ex(JSON_DEPTH);
	if (!tok)
		abort();
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
	o = json_tokener_parse_ex(tok, (const char *)json, (int)len);
	if (o && json_tokener_get_parse_end(tok) != len) {
		json_object_put(o);
		o = NULL;
	}
	json_tokener_free(tok);
	if (o && !json_object_is_type(o, json_type_object)) {
		json_object_put(o);
		o = NULL;
	}
out:
	sodium_memzero(json, len);
	free(json);
	return o;
}

/*
 * Readers of one member. JSON null leaves the field as it is, as if the member
 * were missing. 0, or -EBADMSG for another type.
 */
static int get_int(const struct json_object *v, int64_t *out)
{
	if (!v)
		return 0;
	if (!json_object_is_type(v, json_type_int))
		return -EBADMSG;
	*out = json_object_get_int64(v);
	return 0;
}

static int get_version(const struct json_object *v, int *out)
{
	int64_t n = *out;
	int err = get_int(v, &n);

	if (!err && (n < INT_MIN || n > INT_MAX))
		return -EBADMSG;
	*out = (int)n;
	return err;
}

static int get_bool(const struct json_object *v, bool *out)
{
	if (!v)
		return 0;
	if (!json_object_is_type(v, json_type_boolean))
		return -EBADMSG;
	*out = json_object_get_boolean(v);
	return 0;
}

static int get_mesh_key(struct json_object *v, struct derp_client_info *info)
{
	if (!v)
		return 0;
	if (!json_object_is_type(v, json_type_string) ||
	    (size_t)json_object_get_string_len(v) != KEY_HEX_LEN ||
	    key_parse(&info->mesh_key, "", json_object_get_string(v)))
		return -EBADMSG;
	info->has_mesh_key = true;
	return 0;
}

static int get_app_name(struct json_object *v, struct derp_client_info *info)
{
	if (!v)
		return 0;
	if (!json_object_is_type(v, json_type_string))
		return -EBADMSG;
	snprintf(info->app_name, sizeof(info->app_name), "%s",
		 json_object_get_string(v));
	return 0;
}

int derp_open_client_info(struct derp_client_info *info,
			  const struct derp_frame *f,
			  const struct key *server_private)
{
	struct json_object *o = open_json(f, &f->key, server_private);
	int err = 0;

	memset(info, 0, sizeof(*info));
	if (!o)
		return -EBADMSG;
	json_object_object_foreach(o, name, v)
	{
		if (!strcasecmp(name, "meshKey"))
			err = get_mesh_key(v, info);
		else if (!strcasecmp(name, "version"))
			err = get_version(v, &info->version);
		else if (!strcasecmp(name, "CanAckPings"))
			err = get_bool(v, &info->can_ack_pings);
		else if (!strcasecmp(name, "IsProber"))
			err = get_bool(v, &info->is_prober);
		else if (!strcasecmp(name, "AppName"))
			err = get_app_name(v, info);
		if (err)
			break;
	}
	json_object_put(o);
	if (err)
		sodium_memzero(info, sizeof(*info));
	return err;
}

int derp_open_server_info(struct derp_server_info *info,
			  const struct derp_frame *f,
			  const struct key *server_public,
			  const struct key *client_private)
{
	struct json_object *o = open_json(f, server_public, client_private);
	int err = 0;

	memset(info, 0, sizeof(*info));
	if (!o)
		return -EBADMSG;
	json_object_object_foreach(o, name, v)
	{
		if (!strcasecmp(name, "version"))
			err = get_version(v, &info->version);
		else if (!strcasecmp(name, "TokenBucketBytesPerSecond"))
			err = get_int(v, &info->rate);
		else if (!strcasecmp(name, "TokenBucketBytesBurst"))
			err = get_int(v, &info->burst);
		if (err)
			break;
	}
	json_object_put(o);
	if (err)
		memset(info, 0, sizeof(*info));
	return err;
}

int derp_meta_parse(const char *common_name, size_t len, uint64_t serial,
		    struct key *server_public)
{
	char text[DERP_META_CN_LEN + 1];
	struct key k;

	if (len != DERP_META_CN_LEN || !serial || serial > UINT8_MAX)
		return -EINVAL;
	memcpy(text, common_name, len);
	text[len] = '\0';
	if (key_parse(&k, META_PREFIX, text) || key_is_zero(&k))
		return -EINVAL;
	*server_public = k;
	return 0;
}

void derp_meta_format(char out[DERP_META_CN_LEN + 1],
		      const struct key *server_public)
{
	char text[KEY_TEXT_MAX];

	key_format(text, META_PREFIX, server_public);
	memcpy(out, text, DERP_META_CN_LEN + 1);
}
