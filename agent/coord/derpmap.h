/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_DERPMAP_H
#define COORD_DERPMAP_H

#include <stddef.h>
#include <stdint.h>

/*
 * The relays that nodes are told of: a DERPMap (derp.md section 16) as JSON,
 * from a file, or made for one relay.
 */
#define COORD_DERPMAP_MAX (1u << 20)
#define WHY_LEN 256

/*
 * Reads and checks @path: regions with the id of their key, nodes with a host
 * name. The DERPMap alone as text in *@out, malloced; the file may also hold it
 * as the member DERPMap of an object. 0, or a negative errno with one line in
 * @why.
 */
int derpmap_load(const char *path, char **out, char why[WHY_LEN]);
/* The same for text. */
int derpmap_check(const char *text, size_t len, char **out, char why[WHY_LEN]);

/*
 * A map of one region, 999, with the relay at @relay (HOST[:PORT], STUN at the
 * usual port). @cert_name as in a DERPMap, or NULL. Malloced; NULL if @relay is
 * no such thing.
 */
char *derpmap_single(const char *relay, const char *cert_name);

#endif
