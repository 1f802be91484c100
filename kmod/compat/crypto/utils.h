/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_COMPAT_CRYPTO_UTILS_H
#define _TR_COMPAT_CRYPTO_UTILS_H

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#include_next <crypto/utils.h>
#else
#include <crypto/algapi.h>
#endif

#endif
