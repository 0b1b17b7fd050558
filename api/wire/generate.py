#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns a service's model into C: structs, the tables that describe them, and the dispatch table.

    generate.py --prefix ec2 --model ec2.json --actions actions.list --header ec2.h --source ec2.c
    generate.py --prefix ec2 --model ec2.json --actions actions.list --coverage docs/ec2-coverage.md

Runs at build time; the second form writes a page of docs/.  Only shapes that a handled action reaches become structs; every action of the
model gets a line in the action table.  What the tables mean is said in api/wire.h.
"""
import argparse
import json
import pathlib
import re
import sys

# Enums whose values are the operator's or grow faster than a model: any string is accepted and the
# handler judges it.
OPEN_ENUMS = {'InstanceType', 'RegionName', 'AvailabilityZoneName', 'VolumeType'}

# Answers that show what a caller once set, or has asked for: an empty list would be more than that.
SPARSE = {'ResponseLaunchTemplateData', 'FleetData', 'InstanceAttribute', 'ImageAttribute'}

RESERVED = set('''auto break case char const continue default do double else enum extern float for
goto if inline int long register restrict return short signed sizeof static struct switch typedef
union unsigned void volatile while bool true false errno linux unix asm typeof'''.split())

SCALARS = {
    'string': ('VIRGA_WIRE_STRING', 'const char *', False),
    'character': ('VIRGA_WIRE_STRING', 'const char *', False),
    'integer': ('VIRGA_WIRE_INTEGER', 'gint64 ', True),
    'long': ('VIRGA_WIRE_LONG', 'gint64 ', True),
    'double': ('VIRGA_WIRE_DOUBLE', 'double ', True),
    'float': ('VIRGA_WIRE_DOUBLE', 'double ', True),
    'boolean': ('VIRGA_WIRE_BOOLEAN', 'bool ', True),
    'timestamp': ('VIRGA_WIRE_TIMESTAMP', 'gint64 ', False),
    'blob': ('VIRGA_WIRE_BLOB', 'VirgaWireBlob ', False),
}
PROTOCOLS = {'ec2': 'VIRGA_WIRE_EC2', 'query': 'VIRGA_WIRE_QUERY', 'rest-json': 'VIRGA_WIRE_REST_JSON'}


def fail(text):
    sys.exit(f'generate.py: {text}')


def capital(name):
    return name[:1].upper() + name[1:]


def snake(name):
    name = re.sub(r'([A-Z]+)([A-Z][a-z])', r'\1_\2', name.replace('-', '_'))
    name = re.sub(r'([a-z0-9])([A-Z])', r'\1_\2', name).lower()
    return name + '_' if name in RESERVED else name


def quoted(text):
    return 'NULL' if text is None else '"%s"' % text


class Generator:
    def __init__(self, prefix, model, handled):
        self.prefix, self.model, self.handled = prefix, model, handled
        self.shapes = model['shapes']
        self.protocol = model['metadata']['protocol']
        self.order, self.state = [], {}
        self.spell_out_maps()
        if self.protocol not in PROTOCOLS:
            fail(f'no codec for protocol {self.protocol}')
        for name in handled:
            if name not in model['operations']:
                fail(f'the model has no action {name}')
            for part in ('input', 'output'):
                shape = self.action_shape(name, part)
                if shape:
                    self.reach(shape)

    def spell_out_maps(self):
        """On the wire a map is a list of entries, each with a key and a value; so it is in C."""
        for name, shape in list(self.shapes.items()):
            if shape['type'] != 'map':
                continue
            entry = name + 'Entry'
            self.shapes[entry] = {'type': 'structure', 'members': {
                part: dict({'locationName': part}, **shape[part]) for part in ('key', 'value')}}
            self.shapes[name] = {'type': 'list', 'flattened': shape.get('flattened', False),
                                 'member': {'shape': entry, 'locationName': 'entry'}}

    # ---- names ----

    def c_type(self, shape):
        return capital(self.prefix) + capital(shape)

    def table(self, shape):
        kind = '' if shape[0].isupper() else 'inner_' # MaxResults and maxResults both exist
        return f'{self.prefix}_{kind}{snake(shape)}_shape'

    def value_type(self, shape):
        """The C type of a value in a list; ends in a space or a star."""
        kind = self.shapes[shape]['type']
        return SCALARS[kind][1] if kind in SCALARS else self.c_type(shape) + ' '

    def action_shape(self, action, part):
        return self.model['operations'][action].get(part, {}).get('shape')

    # ---- which shapes, and in which order ----

    def reach(self, name):
        """Orders shapes so that what is held by value stands first."""
        if name in self.state:
            return
        shape = self.shapes[name]
        self.state[name] = 'open'
        if shape['type'] == 'list':
            self.reach(shape['member']['shape'])
        elif shape['type'] == 'structure':
            for member in shape['members'].values():
                self.reach(member['shape'])
        elif shape['type'] not in SCALARS:
            fail(f'shape {name}: type {shape["type"]} is not supported')
        self.order.append(name)

    def ordered(self, kind):
        return [name for name in self.order if self.shapes[name]['type'] == kind]

    # ---- the header ----

    def members(self, name):
        """(C name, model name, reference) of each member, checked to be distinct."""
        seen, result = set(), []
        for member, reference in self.shapes[name]['members'].items():
            c_name = snake(member)
            kind = self.shapes[reference['shape']]['type']
            names = {c_name} | ({'has_' + c_name} if SCALARS.get(kind, (0, 0, 0))[2] else set())
            if names & seen:
                fail(f'shape {name}: two members are called {c_name} in C')
            seen |= names
            result.append((c_name, member, reference))
        return result

    def struct(self, name):
        lines = [f'struct {self.c_type(name)} {{']
        for c_name, _, reference in self.members(name):
            target = reference['shape']
            kind = self.shapes[target]['type']
            if kind == 'structure':
                lines.append(f'    {self.c_type(target)} *{c_name};')
            else:
                lines.append(f'    {self.value_type(target)}{c_name};')
            if kind in SCALARS and SCALARS[kind][2]:
                lines.append(f'    bool has_{c_name};')
        if len(lines) == 1:
            lines.append('    char nothing; /* the model gives it no member */')
        return lines + ['};', '']

    def enum_comment(self, name):
        values = self.shapes[name].get('enum')
        return [f'/* {name}: {" ".join(values)} */'] if values else []

    def action_types(self, action):
        """EC2 calls the answer of RunInstances 'Reservation'; C gets ...Request and ...Response."""
        lines = []
        for part, suffix in (('input', 'Request'), ('output', 'Response')):
            shape = self.action_shape(action, part)
            wanted = self.c_type(action + suffix)
            if shape is None:
                lines.append(f'typedef struct {{ char nothing; }} {wanted};')
            elif self.c_type(shape) != wanted:
                if action + suffix in self.shapes and action + suffix in self.state:
                    fail(f'{wanted} is a shape already')
                lines.append(f'typedef {self.c_type(shape)} {wanted};')
        return lines

    def header(self):
        out = ['/* Generated by api/wire/generate.py: do not edit. */', '#pragma once', '',
               '#include "api/wire.h"', '']
        for name in self.ordered('structure'):
            out.append(f'typedef struct {self.c_type(name)} {self.c_type(name)};')
        out.append('')
        for name in self.ordered('list'):
            element = self.value_type(self.shapes[name]['member']['shape'])
            out += ['typedef struct {', f'    {element}*items;', '    size_t count;',
                    f'}} {self.c_type(name)};']
        out.append('')
        for name in self.ordered('structure'):
            out += self.struct(name)
        for action in self.handled:
            out += self.action_types(action)
        out.append('')
        for name in self.ordered('structure'):
            out.append(f'extern const VirgaWireShape {self.table(name)};')
        out += [f'extern const VirgaWireService {self.prefix}_service;', '',
                '/* The handlers, written by hand. */']
        for action in self.handled:
            out += [f'bool {self.prefix}_{snake(action)}(VirgaCall *call,',
                    f'    const {self.c_type(action)}Request *request,',
                    f'    {self.c_type(action)}Response *response, GError **error);']
        return '\n'.join(out) + '\n'

    # ---- the tables ----

    def input_key(self, member, reference):
        if self.protocol == 'ec2':
            if 'queryName' in reference:
                return reference['queryName']
            return capital(reference.get('locationName', member))
        target = self.shapes[reference['shape']]
        if target['type'] == 'list' and self.flat(reference):
            return target['member'].get('locationName', reference.get('locationName', member))
        return reference.get('locationName', member)

    def output_key(self, member, reference):
        target = self.shapes[reference['shape']]
        if target['type'] == 'list' and self.flat(reference):
            return target['member'].get('locationName', reference.get('locationName', member))
        return reference.get('locationName', member)

    def flat(self, reference):
        return bool(self.shapes[reference['shape']].get('flattened') or reference.get('flattened'))

    def limits(self, shape):
        text = ''
        for bound in ('min', 'max'):
            if bound in shape:
                text += f', .{bound} = {int(shape[bound])}, .has_{bound} = true'
        return text

    def struct_table(self, name):
        c_type, table = self.c_type(name), self.table(name)
        required = set(self.shapes[name].get('required', ()))
        rows = []
        for c_name, member, reference in self.members(name):
            kind = self.shapes[reference['shape']]['type']
            has = (f'offsetof({c_type}, has_{c_name})'
                   if kind in SCALARS and SCALARS[kind][2] else '0')
            rows.append((self.input_key(member, reference), (
                f'    {{ {quoted(member)}, {quoted(self.input_key(member, reference))},'
                f' {quoted(self.output_key(member, reference))},'
                f' &{self.table(reference["shape"])}, offsetof({c_type}, {c_name}), {has},'
                f' {str(member in required).lower()}, {str(self.flat(reference)).lower()},'
                f' {len(self.output_key(member, reference))} }},')))
        if len({key for key, _ in rows}) != len(rows):
            fail(f'shape {name}: two members have one input key')
        out, extra = [], ''
        if rows:
            order = sorted(range(len(rows)), key=lambda i: rows[i][0].encode())
            out += [f'static const VirgaWireMember {table}_members[] = {{',
                    *(row for _, row in rows), '};',
                    f'static const guint16 {table}_order[] = {{',
                    '    ' + ', '.join(map(str, order)), '};']
            extra = (f', .members = {table}_members, .by_input = {table}_order,'
                     f' .member_count = {len(rows)}')
        if name in SPARSE:
            extra += ', .sparse = true'
        return out + [f'const VirgaWireShape {table} = {{ .name = {quoted(name)},'
                      f' .type = VIRGA_WIRE_STRUCT, .size = sizeof({c_type}){extra} }};']

    def list_table(self, name):
        shape = self.shapes[name]
        member = shape['member']
        element_name = member.get('locationName', 'item' if self.protocol == 'ec2' else 'member')
        return [f'static const VirgaWireShape {self.table(name)} = {{ .name = {quoted(name)},'
                f' .type = VIRGA_WIRE_LIST, .size = sizeof(VirgaWireList),'
                f' .element = &{self.table(member["shape"])},'
                f' .element_name = {quoted(element_name)},'
                f' .element_name_length = {len(element_name)}{self.limits(shape)} }};']

    def scalar_table(self, name):
        shape = self.shapes[name]
        wire, c_type, _ = SCALARS[shape['type']]
        out, values = [], ''
        if shape.get('enum') and name not in OPEN_ENUMS:
            listed = ', '.join(quoted(value) for value in shape['enum'])
            out.append(f'static const char *const {self.table(name)}_values[] = {{'
                       f' {listed}, NULL }};')
            values = f', .values = {self.table(name)}_values'
        return out + [f'static const VirgaWireShape {self.table(name)} = {{ .name = {quoted(name)},'
                      f' .type = {wire}, .size = sizeof({c_type.strip()})'
                      f'{self.limits(shape)}{values} }};']

    # ---- the actions ----

    def empty_lists(self, action):
        """The lists of an unhandled Describe whose empty answer is true for any caller."""
        if not action.startswith('Describe') or action.endswith('Attribute'):
            return None
        request, answer = self.action_shape(action, 'input'), self.action_shape(action, 'output')
        if not answer or (request and self.shapes[request].get('required')):
            return None
        lists = []
        for member, reference in self.shapes[answer]['members'].items():
            kind = self.shapes[reference['shape']]['type']
            if kind == 'list':
                lists.append(self.output_key(member, reference))
            elif member != 'NextToken':
                return None
        return lists or None

    def action_row(self, action):
        fields = [f'.name = {quoted(action)}']
        if action in self.handled:
            fields.append(f'.handler = call_{snake(action)}')
            for part in ('input', 'output'):
                shape = self.action_shape(action, part)
                fields.append(f'.{part} = ' + (f'&{self.table(shape)}' if shape else
                                               '&no_members'))
        elif self.empty_lists(action):
            fields.append(f'.empty = empty_{snake(action)}')
        http = self.model['operations'][action].get('http')
        if http:
            fields.append(f'.method = {quoted(http["method"])}, .uri = {quoted(http["requestUri"])},'
                          f' .status = {http.get("responseCode", 200)}')
        wrapper = self.model['operations'][action].get('output', {}).get('resultWrapper')
        if wrapper:
            fields.append(f'.wrapper = {quoted(wrapper)}')
        return '    { ' + ', '.join(fields) + ' },'

    def bridge(self, action):
        return [f'static bool call_{snake(action)}(VirgaCall *call, const void *request,',
                '    void *response, GError **error)', '{',
                f'    return {self.prefix}_{snake(action)}(call, request, response, error);', '}']

    def source(self, header):
        out = ['/* Generated by api/wire/generate.py: do not edit. */', f'#include "{header}"', '',
               '/* An action without input or output. */',
               'G_GNUC_UNUSED static const VirgaWireShape no_members = { .name = "nothing",',
               '    .type = VIRGA_WIRE_STRUCT, .size = 1 };', '']
        for name in self.order:
            if self.shapes[name]['type'] != 'structure':
                out.append(f'static const VirgaWireShape {self.table(name)};')
        for name in self.order:
            kind = self.shapes[name]['type']
            out += {'structure': self.struct_table, 'list': self.list_table}.get(
                kind, self.scalar_table)(name)
        actions = sorted(self.model['operations'], key=str.encode)
        for action in actions:
            if action in self.handled:
                out += self.bridge(action)
            elif self.empty_lists(action):
                lists = ', '.join(map(quoted, self.empty_lists(action)))
                out.append(f'static const char *const empty_{snake(action)}[] = {{'
                           f' {lists}, NULL }};')
        metadata = self.model['metadata']
        # The name in credential scopes is not always the model's own.
        name = self.model['metadata'].get('endpointPrefix', self.prefix)
        out += ['static const VirgaWireAction actions[] = {', *map(self.action_row, actions), '};',
                f'const VirgaWireService {self.prefix}_service = {{',
                f'    .name = {quoted(name)}, .protocol = {PROTOCOLS[self.protocol]},',
                f'    .version = {quoted(metadata["apiVersion"])},',
                f'    .xml_namespace = {quoted(metadata.get("xmlNamespace", ""))},',
                f'    .actions = actions, .action_count = {len(actions)} }};']
        return '\n'.join(out) + '\n'


def read_notes(path):
    """What actions lack: the lines "Action # partial: …"."""
    notes = {}
    for line in path.read_text().splitlines():
        name, _, note = (part.strip() for part in line.partition('#'))
        if not name or not note:
            continue
        if not note.startswith('partial: '):
            fail(f'{path}: the note of {name} must begin with "partial: "')
        notes[name] = note[len('partial: '):]
    return notes


def coverage(generator, notes):
    """The page that tells which actions work, in Markdown."""
    title = generator.prefix.upper()
    names = sorted(generator.model['operations'], key=str.encode)
    handled = set(generator.handled)
    empty = [name for name in names if name not in handled and generator.empty_lists(name)]
    refused = [name for name in names if name not in handled and not generator.empty_lists(name)]
    out = [f'# Coverage of {title}', '',
           'Made by `tools/dev docs` from `api/wire/models` and `actions.list`: do not edit.', '',
           f'Of the {len(names)} actions that AWS\'s model knows (version'
           f' {generator.model["metadata"]["apiVersion"]}), Virga handles {len(handled)}. A parameter'
           ' that matters and is not supported is refused with `UnsupportedOperation`, never'
           ' ignored.', '', '| action | | note |', '|---|---|---|']
    for name in sorted(handled):
        out.append(f'| {name} | {"partial" if name in notes else "complete"} |'
                   f' {notes.get(name, "")} |')
    out += ['', '## Answered with an empty set', '',
            f'There is nothing of the kind, so these {len(empty)} say so:', '', ', '.join(empty) + '.',
            '', '## Refused', '',
            f'These {len(refused)} answer `UnsupportedOperation`:', '', ', '.join(refused) + '.']
    return '\n'.join(out) + '\n'


def read_actions(path):
    lines = (line.split('#')[0].strip() for line in path.read_text().splitlines())
    names = [line for line in lines if line]
    if len(set(names)) != len(names):
        fail(f'{path}: an action is listed twice')
    return names


def main():
    parser = argparse.ArgumentParser()
    for option in ('prefix', 'model', 'actions'):
        parser.add_argument('--' + option, required=True)
    for option in ('header', 'source', 'coverage'):
        parser.add_argument('--' + option)
    options = parser.parse_args()
    if not options.coverage and not (options.header and options.source):
        parser.error('give either --coverage, or --header and --source')
    model = json.loads(pathlib.Path(options.model).read_text(encoding='ascii'))
    actions = pathlib.Path(options.actions)
    generator = Generator(options.prefix, model, read_actions(actions))
    notes = read_notes(actions)
    if options.coverage:
        pathlib.Path(options.coverage).write_text(coverage(generator, notes))
        return
    header = pathlib.Path(options.header)
    header.write_text(generator.header())
    pathlib.Path(options.source).write_text(generator.source(header.name))


if __name__ == '__main__':
    main()
