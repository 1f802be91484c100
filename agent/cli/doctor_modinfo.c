// SPDX-License-Identifier: GPL-2.0
/* What a module's file says of itself, and who signed it. */
#include <openssl/pkcs7.h>
#include <openssl/x509.h>
#include <string.h>

#include "cli/doctor.h"
#include "lib/util.h"

/* include/linux/module_signature.h: this, then the magic text, end the file. */
#define MAGIC "~Module signature appended~\n"
#define MAGIC_LEN (sizeof(MAGIC) - 1)
#define TRAILER_LEN 12 /* ids and lengths; the last 4 the signature's, BE */

/* The section is a list of NUL-terminated "key=value"; elsewhere it is rare. */
const char *doctor_modinfo(const char *ko, size_t n, const char *key)
{
	const char *p = ko, *end = ko + n;
	size_t len = strlen(key);

	while ((p = memmem(p, (size_t)(end - p), key, len))) {
		const char *value = p + len + 1;

		if (p > ko && !p[-1] && value < end && p[len] == '=' &&
		    memchr(value, '\0', (size_t)(end - value)))
			return value;
		p++;
	}
	return NULL;
}

static void issuer_name(const X509_NAME *name, char out[128])
{
	int at = X509_NAME_get_index_by_NID((X509_NAME *)(uintptr_t)name,
					    NID_commonName, -1);
	const ASN1_STRING *s;
	int len;

	strcpy(out, "an unnamed key");
	if (at < 0)
		return;
	s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
	len = ASN1_STRING_length(s);
	if (len <= 0 || len > 127)
		return;
	memcpy(out, ASN1_STRING_get0_data(s), (size_t)len);
	out[len] = '\0';
}

bool doctor_signer(const char *ko, size_t n, char out[128])
{
	STACK_OF(PKCS7_SIGNER_INFO) * signers;
	const unsigned char *at;
	PKCS7 *p7;
	size_t len;

	if (n < MAGIC_LEN + TRAILER_LEN ||
	    memcmp(ko + n - MAGIC_LEN, MAGIC, MAGIC_LEN) != 0)
		return false;
	n -= MAGIC_LEN;
	len = get_be32((const uint8_t *)ko + n - 4);
	n -= TRAILER_LEN;
	strcpy(out, "an unreadable signature");
	if (!len || len > n)
		return true;
	at = (const unsigned char *)ko + n - len;
	p7 = d2i_PKCS7(NULL, &at, (long)len);
	signers = p7 ? PKCS7_get_signer_info(p7) : NULL;
	if (signers && sk_PKCS7_SIGNER_INFO_num(signers) > 0)
		issuer_name(sk_PKCS7_SIGNER_INFO_value(signers, 0)
				    ->issuer_and_serial->issuer,
			    out);
	PKCS7_free(p7);
	return true;
}
