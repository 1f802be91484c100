// SPDX-License-Identifier: GPL-2.0
/* The files an operator gives us: policy, DERP map, certificate; and our key. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "coord/coord_internal.h"
#include "coord/derpmap.h"
#include "lib/file.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/util.h"

#define KEY_FILE_MAX 256

/* ── Policy ── */

static void log_report(const struct policy_report *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_messages; i++) {
		char *text = policy_message_format(&r->messages[i], name);

		if (r->messages[i].warning)
			log_warn("coord: %s", text);
		else
			log_error("coord: %s", text);
		free(text);
	}
}

int coord_check_policy(struct coord *c, const char *text, size_t len,
		       struct policy_report *report)
{
	return tailnet_check_policy(c->tailnet, text, len, report);
}

/* Good text comes into force by the model's announcement. */
static int use_policy(struct coord *c, const char *text, size_t len,
		      struct policy_report *report)
{
	const char *old;
	size_t old_len;
	int err;

	err = coord_check_policy(c, text, len, report);
	if (err)
		return err;
	old = model_policy(c->model, &old_len);
	if (old && old_len == len && !memcmp(old, text, len))
		return 0;
	return model_set_policy(c->model, text, len);
}

int coord_set_policy(struct coord *c, const char *text, size_t len,
		     struct policy_report *report)
{
	return c->policy_path ? -EBUSY : use_policy(c, text, len, report);
}

static int load_policy_file(struct coord *c)
{
	struct policy_report report = {0};
	_cleanup_free_ char *text = NULL;
	size_t len;
	int err;

	if (!c->policy_path)
		return 0;
	err = file_read(c->policy_path, POLICY_MAX_BYTES, 0, &text, &len);
	if (err) {
		log_error("coord: %s: %s", c->policy_path, strerror(-err));
		return err;
	}
	err = use_policy(c, text, len, &report);
	log_report(&report, c->policy_path);
	if (err && !report.n_errors)
		log_error("coord: %s: %s", c->policy_path,
			  model_error(c->model));
	policy_report_clear(&report);
	return err;
}

/*
 * What was in force last comes into force again; a file that is bad now does
 * not change that, but without anything there is no start: nobody wants
 * "everything is allowed" because of a typing error.
 */
int coord_start_policy(struct coord *c)
{
	struct policy_report report = {0};
	size_t len;
	int err;

	err = tailnet_load_policy(c->tailnet, &report);
	if (err)
		log_error("coord: the stored policy does not parse");
	log_report(&report, "policy");
	policy_report_clear(&report);
	if (!c->policy_path)
		return err;
	err = load_policy_file(c);
	if (err && model_policy(c->model, &len)) {
		log_warn("coord: the last good policy stays in force");
		return 0;
	}
	return err;
}

/* ── Files ── */

static int load_derp_map(struct coord *c)
{
	_cleanup_free_ char *json = NULL;
	char why[WHY_LEN];
	int err;

	if (!c->derp_map_path)
		return 0;
	err = derpmap_load(c->derp_map_path, &json, why);
	if (err) {
		log_error("coord: %s: %s", c->derp_map_path, why);
		return err;
	}
	if (strcmp(json, tailnet_derp_map(c->tailnet)) != 0) {
		tailnet_set_derp_map(c->tailnet, json);
		mapstreams_changed(c->streams);
	}
	return 0;
}

int coord_start_derp_map(struct coord *c, const struct coord_config *config)
{
	_cleanup_free_ char *json = NULL;

	if (c->derp_map_path)
		return load_derp_map(c);
	if (!config->relay) {
		log_warn("coord: no relays (--derp-map, --relay): nodes can "
			 "only meet where they reach each other directly");
		return 0;
	}
	json = derpmap_single(config->relay, config->relay_cert);
	if (!json) {
		log_error("coord: --relay takes HOST[:PORT], not '%s'",
			  config->relay);
		return -EINVAL;
	}
	tailnet_set_derp_map(c->tailnet, json);
	return 0;
}

int coord_load_tls(struct coord *c)
{
	char why[HTTP_WHY_MAX];
	int err;

	if (!c->tls_cert)
		return 0;
	err = http_server_tls(c->http, c->tls_cert, c->tls_key, why);
	if (err)
		log_error("coord: %s", why);
	return err;
}

void coord_reload(struct coord *c)
{
	coord_load_tls(c);
	load_policy_file(c);
	load_derp_map(c);
	log_info("coord: files read again");
}

/* The server's own key, made at the first start. */
int coord_load_noise_key(const char *state_dir, struct key *k)
{
	_cleanup_free_ char *path = NULL, *text = NULL;
	char out[KEY_TEXT_MAX];
	size_t len;
	int err;

	if (asprintf(&path, "%s/noise.key", state_dir) < 0)
		return -ENOMEM;
	err = file_read(path, KEY_FILE_MAX, 1, &text, &len);
	if (err == -ENOENT) {
		key_generate(k);
		key_format(out, KEY_PRIVATE, k);
		err = file_write(path, out, strlen(out));
		explicit_bzero(out, sizeof(out));
	} else if (!err) {
		text[strcspn(text, "\r\n")] = '\0';
		err = key_parse(k, KEY_PRIVATE, text);
		explicit_bzero(text, len);
	}
	if (err)
		log_error("coord: %s: %s", path,
			  err == -EPERM ? "others may read it"
					: strerror(-err));
	return err;
}
