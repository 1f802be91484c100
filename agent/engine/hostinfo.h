/* SPDX-License-Identifier: GPL-2.0 */
#ifndef ENGINE_HOSTINFO_H
#define ENGINE_HOSTINFO_H

#include "control/control.h"
#include "engine/netreport.h"
#include "engine/prefs.h"

/* The host's own facts: names, kernel, distribution, preferences. */
void hostinfo_fill(struct control_self *self, const struct prefs *prefs);
/* NetInfo.DERPLatency from a report. */
void hostinfo_latencies(struct control_self *self, const struct net_report *r);
/* Frees what hostinfo_fill() made, nothing else of @self. */
void hostinfo_free(struct control_self *self);

#endif
