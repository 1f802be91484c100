/* SPDX-License-Identifier: GPL-2.0 */
#ifndef CLI_QUESTION_H
#define CLI_QUESTION_H

#include <stdbool.h>

#include "kernel/verdict.h"

/* A packet in the words of `tailrace policy test`. */
struct question_words {
	const char *src, *dst; /* ADDR, ADDR:PORT, [ADDR]:PORT */
	const char *proto; /* NULL: tcp with a port of @dst, else icmp */
	const char *icmp_type, *icmp_code; /* NULL: an echo request */
	bool established; /* TCP that is no SYN */
	bool out;
};

#define QUESTION_ERROR_MAX 256

/* 0; or -EINVAL and in @error what is wrong. */
int question_parse(struct verdict_question *out, const struct question_words *w,
		   char error[QUESTION_ERROR_MAX]);

#endif
