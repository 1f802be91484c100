/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_ADMIN_H
#define COORD_ADMIN_H

struct admin;
struct coord;
struct event_base;
struct json_object;

/*
 * What `tailrace coord users|keys|nodes|routes|policy|derp` talk to: JSON over
 * HTTP on a unix socket that only its owner (and root) can open. Field names
 * are those of headscale's JSON where it has the thing. An answer is sent when
 * its change is committed.
 *
 * GET reads; POST changes and takes an object with the named members, "?" marks
 * those that may be missing. Users go by name or id, nodes by id, name or
 * address, keys by id or prefix; times are RFC 3339, durations seconds.
 *
 *	GET  users
 *	POST users/create	name display_name?		user
 *	POST users/rename	user name			user
 *	POST users/destroy	user
 *	GET  keys
 *	POST keys/create	user reusable? ephemeral? tags?
 *				expiration? (0: never)		key, with "key"
 *	POST keys/expire	key				key
 *	POST keys/delete	key
 *	GET  nodes
 *	GET  nodes/pending
 *	POST nodes/approve	id user				node
 *	POST nodes/deny		id
 *	POST nodes/delete	node
 *	POST nodes/expire	node expiry? (default: now)	node
 *	POST nodes/rename	node name			node
 *	POST nodes/tag		node tags			node
 *	POST nodes/move		node user			node
 *	POST nodes/approve-routes node routes			node
 *	GET  routes
 *	GET  policy						{"policy"}
 *	POST policy		policy				{"messages"}
 *	POST policy/check	policy				{"messages"}
 *	GET  derp						the DERPMap
 *
 * Errors are {"error"}, with "messages" where a policy was refused.
 */

/* Where `coord serve` keeps its state, and the socket in there. */
#define COORD_STATE_DIR "/var/lib/tailrace-coord"
#define ADMIN_SOCKET "admin.sock"

/* Requests larger than this are refused. */
#define ADMIN_BODY_MAX (3u << 20)

/*
 * Serves @c on a socket at @path, where it replaces a stale one. NULL, having
 * logged why.
 */
struct admin *admin_new(struct event_base *base, struct coord *c,
			const char *path);
void admin_free(struct admin *a); /* NULL is fine; removes the socket */

/*
 * One request without the HTTP: @path as above ("users/create"), @in is a POST's
 * object, borrowed; NULL for GET. Returns the HTTP status, *@out is the caller's.
 */
int admin_call(struct coord *c, const char *path, struct json_object *in,
	       struct json_object **out);

#endif
