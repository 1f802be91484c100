/* SPDX-License-Identifier: GPL-2.0 */
#ifndef LIB_LOG_H
#define LIB_LOG_H

#include <stdbool.h>

/*
 * To standard error, one line each, with the systemd priority prefix ("<6>")
 * when it is a journal stream, with the process name otherwise. Never pass a
 * secret. Text from the network goes through %s only after its source has
 * bounded it; control characters are printed as '?'.
 */
void log_init(const char *process, bool verbose);
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
