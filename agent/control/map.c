// SPDX-License-Identifier: GPL-2.0
#include "control/map.h"

#include <errno.h>
#include <json.h>
#include <string.h>
#include <zstd.h>

#include "control/hostinfo.h"
#include "lib/json.h"
#include "lib/util.h"

#define SIZE_LEN 4
#define ZSTD_FIRST_BYTE 0x28 /* of its magic; no JSON begins with it */
#define WINDOW_LOG_MAX 26    /* 64 MiB */
#define OUT_CHUNK (64u << 10)

char *map_encode(enum map_kind kind, const struct key *node_public,
		 const struct control_self *self)
{
	struct json_object *o = json_object_new_object(), *list, *types;
	char key[KEY_TEXT_MAX], text[ENDPOINT_TEXT_MAX];
	char *body;
	size_t i;

	json_object_object_add(o, "Version",
			       json_object_new_int(CONTROL_CAPABILITY_VERSION));
	json_put_bool(o, "KeepAlive", true);
	json_put_text(o, "NodeKey", key_format(key, KEY_NODE, node_public));
	json_put_text(o, "DiscoKey",
		      key_format(key, KEY_DISCO, &self->disco_public));
	if (kind == MAP_STREAM) {
		json_put_bool(o, "Stream", true);
		json_put_text(o, "Compress", "zstd");
	} else {
		json_put_bool(o, "OmitPeers", true);
	}
	json_object_object_add(o, "Hostinfo",
			       hostinfo_encode(self, kind != MAP_COMPARE));
	if (self->n_endpoints) {
		list = json_object_new_array();
		types = json_object_new_array();
		for (i = 0; i < self->n_endpoints; i++) {
			json_object_array_add(
				list, json_object_new_string(endpoint_format(
					      &self->endpoints[i], text)));
			json_object_array_add(
				types,
				json_object_new_int(self->endpoint_types[i]));
		}
		json_object_object_add(o, "Endpoints", list);
		json_object_object_add(o, "EndpointTypes", types);
	}
	body = xstrdup(json_object_to_json_string_ext(
		o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return body;
}

struct map_reader {
	bool (*message)(void *ctx, struct json_object *msg);
	void *ctx;
	uint8_t size[SIZE_LEN];
	size_t size_have;
	uint32_t left;		   /* of the frame; 0: between two */
	bool zstd, started, ended; /* of the frame's compression */
	size_t total;		   /* JSON bytes of this message */
	struct json_object *msg;   /* complete, the frame not yet */
	char tail[4];		   /* a character that is not complete yet */
	size_t n_tail;
	struct json_tokener *tok;
	ZSTD_DCtx *z;
	uint8_t out[OUT_CHUNK];
};

struct map_reader *
map_reader_new(bool (*message)(void *ctx, struct json_object *msg), void *ctx)
{
	struct map_reader *r = xcalloc(1, sizeof(*r));

	r->message = message;
	r->ctx = ctx;
	r->tok = json_tokener_strict();
	r->z = ZSTD_createDCtx();
	if (!r->z)
		abort();
	ZSTD_DCtx_setParameter(r->z, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
	return r;
}

void map_reader_free(struct map_reader *r)
{
	if (!r)
		return;
	json_object_put(r->msg);
	json_tokener_free(r->tok);
	ZSTD_freeDCtx(r->z);
	free(r);
}

/* How many of the last bytes begin a UTF-8 character and do not end it. */
static size_t incomplete(const char *text, size_t n)
{
	size_t k, len;

	for (k = 1; k <= n && k <= 3; k++) {
		uint8_t c = (uint8_t)text[n - k];

		if ((c & 0xc0) == 0x80)
			continue;
		len = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
		return len > k ? k : 0;
	}
	return 0;
}

/* Whole characters. */
static int feed_text(struct map_reader *r, const char *text, size_t n,
		     const char **why)
{
	size_t end = 0;

	r->total += n;
	if (r->total > MAP_MESSAGE_MAX) {
		*why = "a map message is too long";
		return -EMSGSIZE;
	}
	*why = "a map message is not JSON";
	if (!r->msg) {
		r->msg = json_tokener_parse_ex(r->tok, text, (int)n);
		end = json_tokener_get_parse_end(r->tok);
		if (!r->msg)
			return json_tokener_get_error(r->tok) ==
						       json_tokener_continue &&
					       end == n
				       ? 0
				       : -EPROTO;
	}
	for (; end < n; end++)
		if (!memchr(" \t\r\n", text[end], 4))
			return -EPROTO;
	return 0;
}

/* All of the tail is one character's beginning; less is an error in it. */
static bool tail_grows(const struct map_reader *r)
{
	return r->n_tail < sizeof(r->tail) &&
	       incomplete(r->tail, r->n_tail) == r->n_tail;
}

/* json-c checks the UTF-8 of each piece it gets by itself. */
static int feed_json(struct map_reader *r, const char *text, size_t n,
		     const char **why)
{
	int err;

	if (r->n_tail) {
		while (n && tail_grows(r)) {
			r->tail[r->n_tail++] = *text++;
			n--;
		}
		if (tail_grows(r))
			return 0;
		err = feed_text(r, r->tail, r->n_tail, why);
		r->n_tail = 0;
		if (err)
			return err;
	}
	r->n_tail = incomplete(text, n);
	n -= r->n_tail;
	memcpy(r->tail, text + n, r->n_tail);
	return n ? feed_text(r, text, n, why) : 0;
}

static int feed_zstd(struct map_reader *r, const uint8_t *in, size_t n,
		     const char **why)
{
	ZSTD_inBuffer src = {in, n, 0};
	size_t left = 1;

	while (src.pos < src.size || left) {
		ZSTD_outBuffer dst = {r->out, sizeof(r->out), 0};

		if (r->ended) {
			*why = "bytes behind a zstd frame";
			return -EPROTO;
		}
		left = ZSTD_decompressStream(r->z, &dst, &src);
		if (ZSTD_isError(left)) {
			*why = "a map message is not zstd";
			return -EPROTO;
		}
		r->ended = !left;
		if (dst.pos && feed_json(r, (char *)r->out, dst.pos, why))
			return r->total > MAP_MESSAGE_MAX ? -EMSGSIZE : -EPROTO;
		/* Full output may hide more; anything less needs input. */
		if (src.pos == src.size && dst.pos < dst.size)
			break;
	}
	return 0;
}

static int frame_begin(struct map_reader *r, const char **why)
{
	r->left = (uint32_t)r->size[0] | (uint32_t)r->size[1] << 8 |
		  (uint32_t)r->size[2] << 16 | (uint32_t)r->size[3] << 24;
	r->size_have = 0;
	if (!r->left || r->left > MAP_MESSAGE_MAX) {
		*why = r->left ? "a map message is too long"
			       : "a map message is empty";
		return r->left ? -EMSGSIZE : -EPROTO;
	}
	r->started = r->ended = false;
	r->total = r->n_tail = 0;
	json_tokener_reset(r->tok);
	ZSTD_DCtx_reset(r->z, ZSTD_reset_session_only);
	return 0;
}

/* The frame is complete; @stop: the receiver wants no more now. */
static int frame_end(struct map_reader *r, bool *stop, const char **why)
{
	struct json_object *msg = r->msg;

	if (!msg || r->n_tail || (r->zstd && !r->ended)) {
		*why = "a map message is incomplete";
		return -EPROTO;
	}
	r->msg = NULL;
	*stop = !r->message(r->ctx, msg);
	json_object_put(msg);
	return 0;
}

ssize_t map_reader_feed(struct map_reader *r, const uint8_t *in, size_t n,
			const char **why)
{
	bool stop = false;
	size_t pos = 0, part;
	int err;

	while (pos < n && !stop) {
		if (!r->left) {
			r->size[r->size_have++] = in[pos++];
			if (r->size_have < SIZE_LEN)
				continue;
			err = frame_begin(r, why);
			if (err)
				return err;
			continue;
		}
		if (!r->started) {
			r->zstd = in[pos] == ZSTD_FIRST_BYTE;
			r->started = true;
		}
		part = n - pos < r->left ? n - pos : r->left;
		err = r->zstd ? feed_zstd(r, in + pos, part, why)
			      : feed_json(r, (const char *)in + pos, part, why);
		if (err)
			return err;
		pos += part;
		r->left -= (uint32_t)part;
		if (!r->left) {
			err = frame_end(r, &stop, why);
			if (err)
				return err;
		}
	}
	return (ssize_t)pos;
}
