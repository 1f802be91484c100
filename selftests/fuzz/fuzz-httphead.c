// SPDX-License-Identifier: GPL-2.0
/* Any response head; what is accepted must be its own shortest form. */
#include <stdlib.h>

#include "lib/httphead.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int status = 0, again = 0;
	ssize_t n = http_head_parse(data, size, &status);

	if (n <= 0)
		return 0;
	if ((size_t)n > size || n > HTTP_HEAD_MAX || status < 100 ||
	    status > 999)
		abort();
	if (http_head_parse(data, (size_t)n, &again) != n || again != status ||
	    http_head_parse(data, (size_t)n - 1, &again) != 0)
		abort();
	return 0;
}
