// SPDX-License-Identifier: GPL-2.0
#include <stdlib.h>
#include <string.h>

#include "kernel/wire.h"

/* What decodes encodes to the same bytes. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct wire_message m;
	uint8_t *frame;
	size_t len;

	if (wire_decode(data, n, &m))
		return 0;
	frame = wire_encode(m.type, &m.u, &len);
	if (len != n || memcmp(frame, data, n))
		abort();
	free(frame);
	wire_free(&m);
	return 0;
}
