// SPDX-License-Identifier: GPL-2.0
/*
 * What clients send to the coordination server, and the map file of an
 * operator: no input may do more than fail.
 */
#include <stdlib.h>

#include "coord/derpmap.h"
#include "coord/map_request.h"
#include "coord/register.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct register_input r = {0};
	struct map_request m = {0};
	char why_map[WHY_LEN];
	char *map = NULL;
	const char *why;

	if (register_input_decode(&r, (const char *)data, size, &why) && !why)
		abort();
	register_input_clear(&r);
	if (map_request_decode(&m, (const char *)data, size, &why) && !why)
		abort();
	if (m.n_endpoints && !m.endpoint_types)
		abort();
	map_request_clear(&m);
	if (!derpmap_check((const char *)data, size, &map, why_map) && !map)
		abort();
	free(map);
	return 0;
}
