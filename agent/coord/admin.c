// SPDX-License-Identifier: GPL-2.0
#include "coord/admin.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "coord/admin_internal.h"
#include "coord/coord.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/util.h"

#define TIMEOUT_S 30

struct admin {
	struct coord *coord;
	struct evhttp *http;
	char *path;
};

static const struct {
	bool write;
	const char *path;
	int (*handler)(struct admin_request *r);
} calls[] = {
	{ false, "users", admin_users_list },
	{ true, "users/create", admin_users_create },
	{ true, "users/rename", admin_users_rename },
	{ true, "users/destroy", admin_users_destroy },
	{ false, "keys", admin_keys_list },
	{ true, "keys/create", admin_keys_create },
	{ true, "keys/expire", admin_keys_expire },
	{ true, "keys/delete", admin_keys_delete },
	{ false, "nodes", admin_nodes_list },
	{ false, "nodes/pending", admin_nodes_pending },
	{ true, "nodes/approve", admin_nodes_approve },
	{ true, "nodes/deny", admin_nodes_deny },
	{ true, "nodes/delete", admin_nodes_delete },
	{ true, "nodes/expire", admin_nodes_expire },
	{ true, "nodes/rename", admin_nodes_rename },
	{ true, "nodes/tag", admin_nodes_tag },
	{ true, "nodes/move", admin_nodes_move },
	{ true, "nodes/approve-routes", admin_nodes_approve_routes },
	{ false, "routes", admin_routes_list },
	{ false, "policy", admin_policy_get },
	{ true, "policy", admin_policy_put },
	{ true, "policy/check", admin_policy_check },
	{ false, "derp", admin_derp_get },
};

int admin_fail(struct admin_request *r, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->error, sizeof(r->error), fmt, ap);
	va_end(ap);
	return err;
}

int admin_model(struct admin_request *r, int err)
{
	return err ? admin_fail(r, err, "%s", model_error(r->model)) : 0;
}

int admin_text(struct admin_request *r, const char *name, const char **out)
{
	*out = json_text(json_member(r->in, name));
	return *out ? 0 :
		      admin_fail(r, -EINVAL, "'%s' is missing, or no text", name);
}

/* A member that is an id or a text: the text of either. */
static const char *reference(struct admin_request *r, const char *name,
			     int64_t *id)
{
	struct json_object *v = json_member(r->in, name);

	*id = 0;
	if (!json_get_int64(v, id, NULL))
		return "";
	return json_text(v);
}

int admin_user(struct admin_request *r, struct coord_user **out)
{
	const char *name;
	int64_t id;

	name = reference(r, "user", &id);
	if (!name)
		return admin_fail(r, -EINVAL, "'user' is missing");
	*out = id ? model_user(r->model, id) :
		    model_user_by_name(r->model, name);
	if (!*out && !id && !json_key_int64(name, &id))
		*out = model_user(r->model, id);
	return *out ? 0 :
		      admin_fail(r, -ENOENT,
				 "no such user; 'tailrace coord users list' shows them");
}

int admin_node(struct admin_request *r, struct coord_node **out)
{
	const char *name;
	int64_t id;

	name = reference(r, "node", &id);
	if (!name)
		return admin_fail(r, -EINVAL, "'node' is missing");
	*out = id ? model_node(r->model, id) : model_node_named(r->model, name);
	return *out ? 0 :
		      admin_fail(r, -ENOENT,
				 "no such node; 'tailrace coord nodes list' shows them");
}

int admin_key(struct admin_request *r, struct authkey **out)
{
	const char *name;
	int64_t id;

	name = reference(r, "key", &id);
	if (!name)
		return admin_fail(r, -EINVAL, "'key' is missing");
	*out = id ? model_authkey(r->model, id) :
		    model_authkey_by_prefix(r->model, name);
	if (!*out)
		*out = model_authkey_find(r->model, name);
	if (!*out && !id && !json_key_int64(name, &id))
		*out = model_authkey(r->model, id);
	return *out ? 0 :
		      admin_fail(r, -ENOENT,
				 "no such key; 'tailrace coord keys list' shows them");
}

int admin_flag(struct admin_request *r, const char *name, bool *out)
{
	struct json_object *v = json_member(r->in, name);

	*out = false;
	return !v || !json_get_bool(v, out, NULL) ?
		       0 :
		       admin_fail(r, -EINVAL, "'%s' is true or false", name);
}

int admin_strings(struct admin_request *r, const char *name, size_t max,
		  const char ***out, size_t *n)
{
	struct json_object *v = json_member(r->in, name);
	const char **list;
	size_t i;

	*out = NULL;
	*n = 0;
	if (!v)
		return 0;
	if (!json_object_is_type(v, json_type_array) ||
	    json_object_array_length(v) > max)
		return admin_fail(r, -EINVAL,
				  "'%s' is a list of at most %zu texts", name,
				  max);
	*n = json_object_array_length(v);
	list = xcalloc(*n, sizeof(*list));
	for (i = 0; i < *n; i++) {
		list[i] = json_text(json_object_array_get_idx(v, i));
		if (list[i])
			continue;
		free(list);
		return admin_fail(r, -EINVAL, "'%s' is a list of texts", name);
	}
	*out = list;
	return 0;
}

static int status_of(int err)
{
	switch (err) {
	case 0:
		return HTTP_OK;
	case -EINVAL:
		return HTTP_BADREQUEST;
	case -ENOENT:
		return HTTP_NOTFOUND;
	case -EPERM:
		return 403;
	case -EEXIST:
	case -EBUSY:
		return 409;
	case -ENOSPC:
		return 507;
	}
	return HTTP_INTERNAL;
}

int admin_call(struct coord *c, const char *path, struct json_object *in,
	       struct json_object **out)
{
	struct admin_request r = {
		.coord = c,
		.model = coord_model(c),
		.in = in ? json_object_get(in) : json_object_new_object(),
		.now = time(NULL),
	};
	bool known = false;
	int status = 0;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(calls) && !status; i++) {
		if (strcmp(calls[i].path, path) != 0)
			continue;
		known = true;
		if (calls[i].write == !in)
			continue;
		status = status_of(calls[i].handler(&r));
	}
	if (!status) {
		status = known ? HTTP_BADMETHOD : HTTP_NOTFOUND;
		admin_fail(&r, 0, known ? "method not allowed" : "not found");
	}
	if (!r.out)
		r.out = json_object_new_object();
	if (status != HTTP_OK)
		json_object_object_add(r.out, "error",
				       json_object_new_string(r.error));
	json_object_put(r.in);
	*out = r.out;
	return status;
}

/* Takes ownership of @o. */
static void reply(struct evhttp_request *req, int status, struct json_object *o)
{
	struct evbuffer *body = evbuffer_new();

	evbuffer_add_printf(
		body, "%s\n",
		json_object_to_json_string_ext(
			o, JSON_C_TO_STRING_PRETTY |
				   JSON_C_TO_STRING_NOSLASHESCAPE));
	evhttp_add_header(evhttp_request_get_output_headers(req),
			  "Content-Type", "application/json");
	evhttp_send_reply(req, status, NULL, body);
	evbuffer_free(body);
	json_object_put(o);
}

static void reply_error(struct evhttp_request *req, int status,
			const char *text)
{
	struct json_object *o = json_object_new_object();

	json_object_object_add(o, "error", json_object_new_string(text));
	reply(req, status, o);
}

static void on_request(struct evhttp_request *req, void *arg)
{
	static const char prefix[] = "/v1/";
	struct evbuffer *body = evhttp_request_get_input_buffer(req);
	const char *path = evhttp_uri_get_path(
		evhttp_request_get_evhttp_uri(req));
	struct json_object *in = NULL, *out;
	struct admin *a = arg;
	size_t n = evbuffer_get_length(body);
	int status;

	if (!path || strncmp(path, prefix, sizeof(prefix) - 1) != 0) {
		reply_error(req, HTTP_NOTFOUND, "not found");
		return;
	}
	if (evhttp_request_get_command(req) == EVHTTP_REQ_POST) {
		in = n ? json_parse((char *)evbuffer_pullup(body, -1), n) : NULL;
		if (!json_object_is_type(in, json_type_object)) {
			json_object_put(in);
			reply_error(req, HTTP_BADREQUEST,
				    "the body is not a JSON object");
			return;
		}
	}
	status = admin_call(a->coord, path + sizeof(prefix) - 1, in, &out);
	json_object_put(in);
	reply(req, status, out);
}

/* Nobody but us may connect; not even before the mode is set. */
static int listen_on(const char *path)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int fd, err;

	if (strlen(path) >= sizeof(sun.sun_path))
		return -ENAMETOOLONG;
	strcpy(sun.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	unlink(path);
	if (bind(fd, (struct sockaddr *)&sun, sizeof(sun)) ||
	    chmod(path, 0600) || listen(fd, 64)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

struct admin *admin_new(struct event_base *base, struct coord *c,
			const char *path)
{
	struct evconnlistener *listener;
	struct admin *a;
	int fd = listen_on(path);

	if (fd < 0) {
		log_error("coord: cannot listen on %s: %s", path,
			  strerror(-fd));
		return NULL;
	}
	a = xcalloc(1, sizeof(*a));
	a->coord = c;
	a->path = xstrdup(path);
	a->http = evhttp_new(base);
	evhttp_set_max_body_size(a->http, ADMIN_BODY_MAX);
	evhttp_set_max_headers_size(a->http, 16384);
	evhttp_set_timeout(a->http, TIMEOUT_S);
	evhttp_set_allowed_methods(a->http, EVHTTP_REQ_GET | EVHTTP_REQ_POST);
	evhttp_set_gencb(a->http, on_request, a);
	listener = evconnlistener_new(base, NULL, NULL, LEV_OPT_CLOSE_ON_FREE, 0,
				      fd);
	evhttp_bind_listener(a->http, listener);
	return a;
}

void admin_free(struct admin *a)
{
	if (!a)
		return;
	evhttp_free(a->http);
	unlink(a->path);
	free(a->path);
	free(a);
}
