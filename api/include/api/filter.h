/* SPDX-License-Identifier: Apache-2.0 */
/* EC2's filters, declared as a table:
 *
 *     static const VirgaFilterField fields[] = {
 *         { "instance-state-name", "State.Name" },
 *         { "reservation-id", NULL },            (the handler knows: VirgaFilterValue)
 *     };
 *
 * A path names members of the answer's struct as the model calls them.  tag:KEY, tag-key and
 * tag-value work by themselves for structs with a Tags (or TagSet) list.  Values of one filter are
 * alternatives, filters must all hold.  In values, * stands for any characters, ? for one, and a
 * backslash takes the next one literally; case matters. */
#pragma once

#include "api/wire.h"

#define VIRGA_FILTER_VALUES_MAX 200

typedef struct {
    const char *name;
    const char *path; /* NULL: asked of VirgaFilterValue */
} VirgaFilterField;

typedef struct VirgaFilter VirgaFilter;

/* Compiles the request's list of filters: 'filters' is a generated list struct of Filter
 * (&request->filters), 'shape' that of the items.  Memory is the arena's.  Fails with
 * InvalidParameterValue for an unknown name or too many values.  A path that does not exist is our
 * bug and aborts. */
#define virga_filter_new(arena, fields, shape, filters, error)                                     \
    virga_filter_compile((arena), (fields), G_N_ELEMENTS(fields), (shape),                         \
                         (const VirgaWireList *) (const void *) (filters), (error))
VirgaFilter *virga_filter_compile(VirgaArena *arena, const VirgaFilterField *fields,
                                  gsize field_count, const VirgaWireShape *shape,
                                  const VirgaWireList *filters, GError **error);

/* The value of a field without a path, or NULL; a loan. */
typedef const char *(*VirgaFilterValue)(const char *name, const void *item, gpointer user_data);

/* True if 'item', a struct of the shape, passes.  'value' may be NULL if every field has a path. */
bool virga_filter_match(const VirgaFilter *filter, const void *item, VirgaFilterValue value,
                        gpointer user_data);

/* The values of the filter called 'name' if they are all without wildcards, so that a handler can
 * ask the database for less; NULL otherwise.  NULL-terminated, a loan. */
const char *const *virga_filter_literals(const VirgaFilter *filter, const char *name);

/* True if 'text' fits EC2's 'pattern'. */
bool virga_filter_pattern_match(const char *pattern, const char *text);
