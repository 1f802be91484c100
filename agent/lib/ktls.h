/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_KTLS_H
#define LIB_KTLS_H

#include <stdbool.h>

#include "lib/tlsrecord.h"

/*
 * TLS records made and opened by the kernel (CONFIG_TLS), one direction at a
 * time. The socket then takes and gives plain data; what is not data has its
 * type beside it. Negative errno on failure.
 */

/* Whether this kernel has it, loading its module if that is allowed. */
bool ktls_available(void);

/*
 * Once for a connected socket, before the next two. Without them it stays as it
 * is.
 */
int ktls_attach(int fd);
/*
 * From the next record on, with @r's key and sequence number. Again with a new
 * key: -EBUSY on kernels before 6.14.
 */
int ktls_set_tx(int fd, const struct tls_records *r);
int ktls_set_rx(int fd, const struct tls_records *r);

/* As recv(), with the records' type: @type is TLS_DATA for ordinary data. */
ssize_t ktls_recv(int fd, void *buf, size_t cap, uint8_t *type);
/* One record of another type. */
ssize_t ktls_send(int fd, enum tls_type type, const void *data, size_t n);

#endif
