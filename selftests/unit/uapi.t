#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""uapi/tailrace.yaml and uapi/tailrace.h say the same.

The compiler judges values, orders and layouts: every entry of the yaml becomes
a static assertion about the header. What the header has more than that is
found by its names, and the types of attributes by the header's comments.
"""
import os
import re
import subprocess
import sys

import yaml

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), '../..')
spec = yaml.safe_load(open(os.path.join(TOP, 'uapi/tailrace.yaml')))
header = open(os.path.join(TOP, 'uapi/tailrace.h')).read()
count = failed = 0
named = set()


def ok(good, name, why=''):
    global count, failed
    count += 1
    failed += not good
    print('%sok %d - %s' % ('' if good else 'not ', count, name))
    for line in [] if good else why.splitlines():
        print('# ' + line)


def holds(what, *lines):
    """The compiler accepts declarations that follow the header."""
    source = '#include <stddef.h>\n#include "tailrace.h"\n' + '\n'.join(lines)
    done = subprocess.run(
        [os.environ.get('CC', 'cc'), '-std=gnu11', '-Wall', '-Werror',
         '-fsyntax-only', '-I', os.path.join(TOP, 'uapi'), '-xc', '-'],
        input=source, text=True, stderr=subprocess.PIPE)
    ok(done.returncode == 0, what, done.stderr)


def is_value(name, value):
    named.add(name)
    return '_Static_assert(%s == %d, "%s");' % (name, value, name)


def constant(text):
    return text.upper().replace('-', '_')


C_TYPES = {'u8': '__u8', 'u16': '__u16', 'u32': '__u32', 'u64': '__u64'}


def tag(prefix, name):
    return prefix + '_' + name.replace('-', '_')


def member(one):
    name = one['name'].replace('-', '_')
    if 'struct' in one:
        return 'struct %s %s' % (tag('tailrace', one['struct']), name)
    if one['type'] == 'binary':
        return '__u8 %s[%d]' % (name, one['len'])
    if one.get('byte-order') == 'big-endian':
        return '__be%s %s' % (one['type'][1:], name)
    return '%s %s' % (C_TYPES[one['type']], name)


def struct(one):
    ours, theirs = ('struct ' + tag(p, one['name'])
                    for p in ('spec', 'tailrace'))
    yield '%s { %s; };' % (ours, '; '.join(map(member, one['members'])))
    yield '_Static_assert(sizeof(%s) == sizeof(%s), "size");' % (ours, theirs)
    for m in one['members']:
        field = m['name'].replace('-', '_')
        yield '_Static_assert(offsetof(%s, %s) == offsetof(%s, %s), "%s");' % (
            ours, field, theirs, field, field)
        yield ('_Static_assert(__builtin_types_compatible_p('
               'typeof(((%s *)0)->%s), typeof(((%s *)0)->%s)), "%s");') % (
                   ours, field, theirs, field, field)


for one in spec['definitions']:
    name = one['name']
    if one['type'] == 'const':
        holds('constant ' + name,
              is_value('TAILRACE_' + constant(name), one['value']))
    elif one['type'] == 'struct':
        holds('struct ' + name, *struct(one))
    else:
        holds(one['type'] + ' ' + name, *(
            is_value(constant(one['name-prefix'] + entry['name']),
                     n if one['type'] == 'enum' else 1 << n)
            for n, entry in enumerate(one['entries'])))

# The type a comment in the header begins with.
comments = {}
for match in re.finditer(r'\b(TAILRACE_A_\w+), /\* (.*?) \*/', header, re.S):
    comments[match.group(1)] = match.group(2)


def in_words(one):
    """How the header's comment has to begin."""
    if 'sub-type' in one:
        sub = one['sub-type']
        return (sub if sub in C_TYPES else
                'struct ' + tag('tailrace', sub)) + '['
    if 'struct' in one:
        return 'struct ' + tag('tailrace', one['struct'])
    if one['type'] == 'nest':
        return 'nest of TAILRACE_A_' + constant(one['nested-attributes'])
    if one['type'] == 'binary':
        return ''
    return one['type']


for one in spec['attribute-sets']:
    prefix = constant(one['name-prefix'])
    lines, wrong = [], []
    for n, attr in enumerate(one['attributes'], 1):
        full = prefix + constant(attr['name'])
        lines.append(is_value(full, n))
        comment = comments.get(full, '')
        want = in_words(attr)
        scalar = re.match(r'(u8|u16|u32|s32|u64|flag)\b', comment)
        if attr['type'] == 'pad':
            good = not comment
        elif want:
            good = comment.startswith(want)
        else:
            good = not scalar
        if good and 'enum' in attr:
            good = 'enum tailrace_' + attr['enum'].replace('-', '_') in comment
        if not good:
            wrong.append('%s: "%s" against "%s"' % (full, want, comment))
    lines.append(is_value(prefix + 'MAX', len(one['attributes'])))
    holds('attributes of ' + one['name'], *lines)
    ok(not wrong, 'their types', '\n'.join(wrong))

ops = spec['operations']
prefix = constant(ops['name-prefix'])
holds('commands', *(is_value(prefix + constant(one['name']), n)
                    for n, one in enumerate(ops['list'], 1)),
      is_value(prefix + 'MAX', len(ops['list'])))
sets = {one['name']: {a['name'] for a in one['attributes']}
        for one in spec['attribute-sets']}
unknown = ['%s: %s' % (one['name'], name) for one in ops['list']
           for part in (one.get('do', {}), one.get('dump', {}), one)
           for key in ('request', 'reply', 'event')
           for name in part.get(key, {}).get('attributes', [])
           if name not in sets[one['attribute-set']]]
ok(not unknown, 'commands name attributes of their sets', '\n'.join(unknown))
open_ops = [one['name'] for one in ops['list'] if 'event' not in one and
            one.get('flags') != ['uns-admin-perm']]
ok(not open_ops, 'every request needs a privilege', '\n'.join(open_ops))

groups = [one['name'] for one in spec['mcast-groups']['list']]
names = {'TAILRACE_FAMILY_NAME', 'TAILRACE_FAMILY_VERSION'} | {
    'TAILRACE_MCGRP_' + constant(name) for name in groups}
holds('names', '_Static_assert(!__builtin_strcmp(TAILRACE_FAMILY_NAME, "%s")'
      ', "");' % spec['name'],
      *('_Static_assert(!__builtin_strcmp(TAILRACE_MCGRP_%s, "%s"), "");'
        % (constant(name), name) for name in groups))
code = re.sub(r'/\*.*?\*/', '', header, flags=re.S)
there = {name for name in re.findall(r'\bTAILRACE_\w+', code)
         if not name.endswith('_UNSPEC')}
ok(there == named | names, 'the header has nothing else',
   '\n'.join(sorted(there ^ (named | names))))


def version(path, pattern):
    found = re.search(pattern, open(os.path.join(TOP, path)).read())
    return found and found[1]


ours = version('agent/version.h', r'TAILRACE_VERSION "(.*)"')
ok(ours and ours == version('kmod/main.c', r'MODULE_VERSION\("(.*)"\)'),
   'module and agent have one version')
print('1..%d' % count)
sys.exit(failed > 0)
