// SPDX-License-Identifier: GPL-2.0
#include <curl/curl.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "lib/addr.h"
#include "lib/util.h"

/* An answer larger than this is not the daemon's. */
#define REPLY_MAX (256u << 20)

int cli_error(const char *fmt, ...)
{
	va_list ap;

	fputs("tailrace: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return 1;
}

struct reply {
	char *text;
	size_t n;
};

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct reply *r = arg;

	if (n > REPLY_MAX - r->n)
		return 0;
	r->text = xrealloc(r->text, r->n + n + 1, 1);
	memcpy(r->text + r->n, data, n);
	r->n += n;
	r->text[r->n] = '\0';
	return n;
}

static int explain(CURLcode err, const struct cli_api *api)
{
	if (api->unreachable)
		*api->unreachable = true;
	if (api->quiet)
		return 1;
	if (err == CURLE_COULDNT_CONNECT)
		return cli_error("%s does not answer on %s: is it running? (%s)",
				 api->daemon, api->socket, api->start);
	return cli_error("talking to %s: %s", api->daemon,
			 curl_easy_strerror(err));
}

/* What a refusal says: "error" of an object, or its first line. */
static int refused(struct reply *r, struct json_object *o)
{
	r->text[strcspn(r->text, "\n")] = '\0';
	if (json_object_is_type(o, json_type_object))
		return cli_error("%s", cli_text(o, "error"));
	return cli_error("%s", *r->text ? r->text : "request refused");
}

/* 0 with what came in @r; 1 after having said what is wrong. */
static int perform(const struct cli_api *api, const char *method,
		   const char *path, const char *body, struct reply *r,
		   long *code)
{
	CURL *curl = curl_easy_init();
	char url[512];
	CURLcode err;

	*code = 0;
	snprintf(url, sizeof(url), "%s%s", api->base, path);
	curl_easy_setopt(curl, CURLOPT_URL, url);
	curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, api->socket);
	curl_easy_setopt(curl, CURLOPT_PROXY, "");
	curl_easy_setopt(curl, CURLOPT_TIMEOUT, api->patience);
	curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(curl, CURLOPT_WRITEDATA, r);
	if (strcmp(method, "GET") != 0) {
		curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
		curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	}
	err = curl_easy_perform(curl);
	curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, code);
	curl_easy_cleanup(curl);
	return err ? explain(err, api) : 0;
}

int cli_call(const struct cli_api *api, const char *method, const char *path,
	     struct json_object *body, struct json_object **reply)
{
	struct reply r = { .text = xstrdup("") };
	const char *text = body ? json_object_to_json_string_ext(
					  body, JSON_C_TO_STRING_PLAIN) :
				  "";
	long code;
	int status;

	*reply = NULL;
	status = perform(api, method, path, text, &r, &code);
	if (!status && r.n)
		*reply = json_tokener_parse(r.text);
	if (!status && code / 100 != 2)
		status = api->quiet ? 1 : refused(&r, *reply);
	free(r.text);
	return status;
}

static struct cli_api local_api(struct cli *c)
{
	c->unreachable = false;
	return (struct cli_api){
		.socket = c->socket,
		.base = "http://local-tailscaled.sock/localapi/v0/",
		.daemon = "tailraced",
		.start = "systemctl start tailraced",
		.patience = c->patience,
		.unreachable = &c->unreachable,
		.quiet = c->quiet,
	};
}

int cli_request(struct cli *c, const char *method, const char *path,
		struct json_object *body, struct json_object **reply)
{
	struct cli_api api = local_api(c);
	int status = cli_call(&api, method, path, body, reply);

	if (status) {
		json_object_put(*reply);
		*reply = NULL;
	}
	return status;
}

int cli_get_text(struct cli *c, const char *path, char **text)
{
	struct cli_api api = local_api(c);
	struct reply r = { .text = xstrdup("") };
	long code;
	int status = perform(&api, "GET", path, NULL, &r, &code);

	if (!status && code / 100 != 2)
		status = refused(&r, NULL);
	if (status) {
		free(r.text);
		r.text = NULL;
	}
	*text = r.text;
	return status;
}

struct json_object *cli_status(struct cli *c, bool peers)
{
	struct json_object *o;

	if (cli_request(c, "GET", peers ? "status" : "status?peers=false", NULL,
			&o))
		return NULL;
	if (!o && !c->quiet)
		cli_error("tailraced gave no status");
	return o;
}

const char *cli_text(struct json_object *o, const char *name)
{
	struct json_object *v = json_member(o, name);

	return v ? json_object_get_string(v) : "";
}

int64_t cli_number(struct json_object *o, const char *name)
{
	return json_object_get_int64(json_member(o, name));
}

bool cli_true(struct json_object *o, const char *name)
{
	return json_object_get_boolean(json_member(o, name));
}

void cli_sleep(unsigned long ms)
{
	struct timespec ts = { (time_t)(ms / 1000),
			       (long)(ms % 1000) * 1000000 };

	nanosleep(&ts, NULL);
}

void cli_print_json(struct json_object *o)
{
	puts(json_object_to_json_string_ext(
		o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
			   JSON_C_TO_STRING_NOSLASHESCAPE));
}

static bool has_address(struct json_object *node, const char *text)
{
	struct json_object *ips = json_member(node, "TailscaleIPs");
	size_t i;

	for (i = 0; ips && i < json_object_array_length(ips); i++)
		if (!strcmp(json_object_get_string(
				    json_object_array_get_idx(ips, i)),
			    text))
			return true;
	return false;
}

/* MagicDNS name, its first label, or the host's own name. */
static bool has_name(struct json_object *node, const char *name)
{
	const char *dns = cli_text(node, "DNSName");
	size_t n = strlen(name);

	if (n && name[n - 1] == '.')
		n--;
	return (!strncasecmp(dns, name, n) && (dns[n] == '.' || !dns[n])) ||
	       !strcasecmp(cli_text(node, "HostName"), name);
}

static const char *first_ip(struct json_object *node, int family)
{
	struct json_object *ips = json_member(node, "TailscaleIPs");
	size_t i;

	for (i = 0; ips && i < json_object_array_length(ips); i++) {
		const char *ip = json_object_get_string(
			json_object_array_get_idx(ips, i));

		if (!family || (strchr(ip, ':') ? 6 : 4) == family)
			return ip;
	}
	return NULL;
}

struct json_object *cli_find_peer(struct json_object *status, const char *name,
				  int family, const char **ip)
{
	struct json_object *peers = json_member(status, "Peer");
	struct json_object *self = json_member(status, "Self");
	struct ip_addr parsed;
	char text[IP_TEXT_MAX];
	bool numeric = !ip_parse(&parsed, name);

	if (numeric)
		name = ip_format(&parsed, text);
	if (self && (numeric ? has_address(self, name) : has_name(self, name))) {
		cli_error("%s is this node itself", name);
		return NULL;
	}
	if (peers) {
		json_object_object_foreach(peers, key, node) {
			(void)key;
			if (!(numeric ? has_address(node, name) :
					has_name(node, name)))
				continue;
			*ip = first_ip(node, numeric ? parsed.family : family);
			if (*ip)
				return node;
		}
	}
	cli_error("no peer '%s'; 'tailrace status' lists them", name);
	return NULL;
}
