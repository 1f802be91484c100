# SPDX-License-Identifier: GPL-2.0
"""Test results."""
import sys

from netlink import Error

_count = 0
_failed = 0


def ok(good, name):
    global _count, _failed
    _count += 1
    _failed += not good
    print('%sok %d - %s' % ('' if good else 'not ', _count, name), flush=True)
    return good


def same(got, want, name):
    if not ok(got == want, name):
        print('#  got: %.300r\n# want: %.300r' % (got, want), flush=True)


def refused(name, text, function, *args, **kwargs):
    """function must fail with the errno called name, and text in its extack.

    Without a text none is asked for: older kernels have no place for one when
    a dump cannot start.
    """
    try:
        function(*args, **kwargs)
    except Error as error:
        same((error.name, text is None or
              text in error.text and bool(error.text)),
             (name, True), '%s: %s' % (name, error.text))
    else:
        ok(False, '%s: %s, but it succeeded' % (name, text))


def done():
    print('1..%d' % _count)
    sys.exit(_failed > 0)
