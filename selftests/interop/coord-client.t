#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# control.t, against our own coordination server.

CONTROL=coord exec "$(dirname "$0")/control.t"
