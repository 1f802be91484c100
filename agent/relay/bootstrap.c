// SPDX-License-Identifier: GPL-2.0
#include "relay/bootstrap.h"

#include <event2/dns.h>
#include <event2/event.h>
#include <event2/util.h>
#include <json-c/json.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <utlist.h>

#include "lib/addr.h"
#include "lib/log.h"
#include "lib/resolver.h"
#include "lib/util.h"

#define REFRESH_SECONDS 600
#define ADDRESSES_MAX 32

struct name {
	struct relayd_bootstrap *owner;
	char *name;
	bool published;
	struct evdns_getaddrinfo_request *request;
	/* Guarded by the owner's lock; 0: not known. */
	struct ip_addr ip[ADDRESSES_MAX];
	size_t n;
	struct name *prev, *next;
};

struct relayd_bootstrap {
	struct resolver *resolver;
	struct event *refresh;
	struct name *names;
	pthread_mutex_t lock;
};

static void shuffle(struct ip_addr *ip, size_t n)
{
	while (n > 1) {
		size_t i = randombytes_uniform((uint32_t)n--);
		struct ip_addr t = ip[i];

		ip[i] = ip[n];
		ip[n] = t;
	}
}

static void on_answer(int err, struct evutil_addrinfo *list, void *arg)
{
	struct name *name = arg;
	struct evutil_addrinfo *a;
	struct endpoint ep;

	name->request = NULL;
	if (err == EVUTIL_EAI_CANCEL)
		return;
	if (err) {
		/* What was known stays: old is better than nothing here. */
		log_warn("bootstrap DNS: %s: %s", name->name,
			 evutil_gai_strerror(err));
		return;
	}
	pthread_mutex_lock(&name->owner->lock);
	name->n = 0;
	for (a = list; a && name->n < ADDRESSES_MAX; a = a->ai_next)
		if (!endpoint_from_sockaddr(&ep, a->ai_addr))
			name->ip[name->n++] = ep.ip;
	shuffle(name->ip, name->n);
	pthread_mutex_unlock(&name->owner->lock);
	evutil_freeaddrinfo(list);
}

static void on_refresh(evutil_socket_t fd, short what, void *arg)
{
	const struct evutil_addrinfo hints = {.ai_family = AF_UNSPEC,
					      .ai_socktype = SOCK_STREAM};
	struct relayd_bootstrap *b = arg;
	struct evdns_getaddrinfo_request *request;
	struct name *name;

	for (name = b->names; name; name = name->next) {
		if (name->request)
			continue;
		request = evdns_getaddrinfo(b->resolver->dns, name->name,
					    NULL, &hints,
					    on_answer, name);
		name->request = request; /* NULL: it has answered already */
	}
}

static void add_names(struct relayd_bootstrap *b, const char *list,
		      bool published)
{
	char *copy = xstrdup(list ? list : ""), *save = NULL, *text;
	struct name *name;

	for (text = strtok_r(copy, ", ", &save); text;
	     text = strtok_r(NULL, ", ", &save)) {
		name = xcalloc(1, sizeof(*name));
		name->owner = b;
		name->name = xstrdup(text);
		name->published = published;
		DL_APPEND(b->names, name);
	}
	free(copy);
}

struct relayd_bootstrap *relayd_bootstrap_new(struct event_base *base,
					      const char *published,
					      const char *unpublished)
{
	static const struct timeval every = {.tv_sec = REFRESH_SECONDS};
	struct relayd_bootstrap *b = xcalloc(1, sizeof(*b));

	pthread_mutex_init(&b->lock, NULL);
	add_names(b, published, true);
	add_names(b, unpublished, false);
	if (b->names)
		b->resolver = resolver_new(base, RESOLV_CONF);
	if (!b->resolver) {
		relayd_bootstrap_free(b);
		return NULL;
	}
	b->refresh = event_new(base, -1, EV_PERSIST, on_refresh, b);
	event_add(b->refresh, &every);
	event_active(b->refresh, EV_TIMEOUT, 0);
	return b;
}

void relayd_bootstrap_free(struct relayd_bootstrap *b)
{
	struct name *name, *next;

	if (!b)
		return;
	if (b->refresh)
		event_free(b->refresh);
	for (name = b->names; name; name = name->next)
		if (name->request)
			evdns_getaddrinfo_cancel(name->request);
	resolver_free(b->resolver);
	for (name = b->names; name; name = next) {
		next = name->next;
		free(name->name);
		free(name);
	}
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static void add_json(struct json_object *o, const struct name *name)
{
	struct json_object *list = json_object_new_array();
	char text[IP_TEXT_MAX];
	size_t i;

	for (i = 0; i < name->n; i++)
		json_object_array_add(
			list,
			json_object_new_string(ip_format(&name->ip[i], text)));
	json_object_object_add(o, name->name, list);
}

char *relayd_bootstrap_json(struct relayd_bootstrap *b, const char *asked)
{
	struct json_object *o = json_object_new_object();
	struct name *name;
	bool alone = false;
	char *text;

	if (b) {
		pthread_mutex_lock(&b->lock);
		for (name = b->names; name; name = name->next) {
			if (name->published || !name->n ||
			    strcasecmp(name->name, asked) != 0)
				continue;
			add_json(o, name);
			alone = true;
		}
		for (name = b->names; name; name = name->next)
			if (!alone && name->published && name->n)
				add_json(o, name);
		pthread_mutex_unlock(&b->lock);
	}
	text = xstrdup(json_object_to_json_string_ext(
		o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
	return text;
}
