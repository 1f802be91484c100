/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CONTROL_HOSTINFO_H
#define CONTROL_HOSTINFO_H

#include "control/control.h"

struct json_object;

/* Hostinfo with NetInfo (control.md 4.7). Latencies change all the time. */
struct json_object *hostinfo_encode(const struct control_self *self,
				    bool with_latency);

/* Deep copy over @to, which is cleared first. */
void control_self_copy(struct control_self *to,
		       const struct control_self *from);
/* Frees what @self holds and sets the "unset" values. */
void control_self_clear(struct control_self *self);

/* JSON building with the rule "omitted when zero". */
void json_put_text(struct json_object *o, const char *name, const char *value);
void json_put_bool(struct json_object *o, const char *name, bool value);

#endif
