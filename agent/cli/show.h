/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_SHOW_H
#define CLI_SHOW_H

#include <stdint.h>
#include <stdio.h>

/* What lines and objects about packets and flows have in common. */

struct json_object;

/* @name; or @n, enough of what this version has no name for. */
const char *show_named(const char *name, unsigned int n, char text[16]);
/* Local time of day, to as many @digits (1..9) of a second. @ns: since 1970. */
void show_time(FILE *f, uint64_t ns, int digits);

void show_add_text(struct json_object *o, const char *name, const char *text);
void show_add_number(struct json_object *o, const char *name, uint64_t n);
/* As RFC 3339 has it, UTC. */
void show_add_time(struct json_object *o, const char *name, uint64_t ns);

#endif
