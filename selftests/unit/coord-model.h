/* SPDX-License-Identifier: GPL-2.0 */
#ifndef UNIT_COORD_MODEL_H
#define UNIT_COORD_MODEL_H

#include <json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coord/model.h"

/* A directory for a test's database, and nodes to put in. */

static inline void test_directory(char dir[64])
{
	strcpy(dir, "/tmp/tailrace-coord-XXXXXX");
	if (!mkdtemp(dir))
		abort();
}

static inline void test_remove(const char *dir)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	if (system(command))
		abort();
}

static inline struct model *test_open(const char *path)
{
	struct model_config c;
	char error[512];
	struct model *m;

	model_config_default(&c);
	c.path = path;
	m = model_open(&c, error, sizeof(error));
	if (!m)
		printf("# %s\n", error);
	return m;
}

/* Node @i: keys made of its number; caller puts r->hostinfo. */
static inline struct registration test_node(unsigned int i, const char *hostname)
{
	struct registration r = { .cap = 116 };

	memset(&r.machine, 0xaa, sizeof(r.machine));
	memset(&r.key, 0xbb, sizeof(r.key));
	memcpy(r.machine.b, &i, sizeof(i));
	memcpy(r.key.b, &i, sizeof(i));
	r.hostinfo = json_object_new_object();
	json_object_object_add(r.hostinfo, "Hostname",
			       json_object_new_string(hostname));
	json_object_object_add(r.hostinfo, "OS",
			       json_object_new_string("linux"));
	return r;
}

#endif
