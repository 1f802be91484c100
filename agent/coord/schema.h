/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_SCHEMA_H
#define COORD_SCHEMA_H

#include "coord/db.h"

/* The coordination server's database. Steps are never changed, only added. */
extern const struct db_schema coord_schema;

#endif
