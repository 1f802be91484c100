/* SPDX-License-Identifier: GPL-2.0 */
#ifndef _TR_COMPAT_CRYPTO_UTILS_H
#define _TR_COMPAT_CRYPTO_UTILS_H

#ifdef TR_HAVE_crypto_memneq
#include_next <crypto/utils.h>
#else
#include <crypto/algapi.h>
#endif

#endif
