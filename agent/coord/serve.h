/* SPDX-License-Identifier: GPL-2.0 */
#ifndef COORD_SERVE_H
#define COORD_SERVE_H

struct cli;

/* `tailrace coord serve`: argv[0] is "serve". Returns the exit status. */
int cmd_coord_serve(struct cli *c, int argc, char **argv);

#endif
