/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_FILE_H
#define LIB_FILE_H

#include <stddef.h>

/*
 * Reads all of @path, at most @max bytes (-EFBIG past that). *@out gets the
 * bytes and a NUL, owned by the caller; returns 0 or a negative errno. The
 * file must be regular and, when @secret, not readable by others (-EPERM).
 */
int file_read(const char *path, size_t max, int secret, char **out,
	      size_t *len);

/*
 * Replaces @path as a whole, mode 0600: a new file is written, synced and
 * renamed over it, then the directory is synced. 0 or a negative errno, with
 * the old file untouched.
 */
int file_write(const char *path, const void *data, size_t n);

/* Makes a rename to @path last. 0 or a negative errno. */
int file_sync_directory(const char *path);

#endif
