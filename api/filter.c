/* SPDX-License-Identifier: Apache-2.0 */
/* Filters over the structs of answers. */
#include "api/filter.h"
#include "api/errors.h"

#include <string.h>

typedef struct {
    const char *name;
    const char *const *patterns; /* NULL-terminated */
    bool literal;                /* no pattern has a wildcard */
    bool by_path;
    VirgaWirePath path;
    const char *tag_key; /* tag:KEY: the path leads to the list of tags */
} Condition;

struct VirgaFilter {
    Condition *conditions;
    gsize count;
    VirgaWirePath tag_keys, tag_values;
};

/* ---- patterns ---- */

static const char *
next_character(const char *text)
{
    return g_utf8_next_char(text);
}

/* One character of the pattern that is not a star against one of the text; returns where the
 * pattern goes on, or NULL. */
static const char *
match_one(const char *pattern, const char *text)
{
    gsize length;

    if (*pattern == '?')
        return pattern + 1;
    if (*pattern == '\\' && pattern[1])
        pattern++;
    length = (gsize) (next_character(text) - text);
    return strncmp(pattern, text, length) == 0 ? pattern + length : NULL;
}

bool
virga_filter_pattern_match(const char *pattern, const char *text)
{
    const char *star = NULL, *resume = NULL;

    /* Only the latest star ever needs to take more: linear for one, quadratic at worst. */
    while (*text) {
        const char *next = NULL;

        if (*pattern == '*') {
            star = ++pattern;
            resume = text;
            continue;
        }
        if (*pattern)
            next = match_one(pattern, text);
        if (next) {
            pattern = next;
            text = next_character(text);
        } else if (star) {
            pattern = star;
            resume = next_character(resume);
            text = resume;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool
match_any(const Condition *condition, const char *text)
{
    for (const char *const *pattern = condition->patterns; *pattern; pattern++) {
        if (condition->literal ? g_str_equal(*pattern, text)
                               : virga_filter_pattern_match(*pattern, text))
            return true;
    }
    return false;
}

/* ---- compiling ---- */

static const char *
string_member(const VirgaWireShape *shape, const char *name, const void *structure)
{
    const VirgaWireMember *member = virga_wire_member(shape, name);
    return *(const char *const *) ((const guint8 *) structure + member->offset);
}

static bool
set_tags(VirgaFilter *filter, const VirgaWireShape *shape)
{
    return (virga_wire_path(shape, "Tags.Key", &filter->tag_keys) &&
            virga_wire_path(shape, "Tags.Value", &filter->tag_values)) ||
           (virga_wire_path(shape, "TagSet.Key", &filter->tag_keys) &&
            virga_wire_path(shape, "TagSet.Value", &filter->tag_values));
}

static bool
resolve(VirgaFilter *filter, const VirgaFilterField *fields, gsize field_count,
        const VirgaWireShape *shape, bool has_tags, Condition *condition)
{
    const char *name = condition->name;

    for (gsize i = 0; i < field_count; i++) {
        if (!g_str_equal(fields[i].name, name))
            continue;
        condition->by_path = fields[i].path != NULL;
        if (fields[i].path && !virga_wire_path(shape, fields[i].path, &condition->path))
            g_error("filter %s: %s has no member %s", name, shape->name, fields[i].path);
        return true;
    }
    if (!has_tags)
        return false;
    condition->by_path = true;
    if (g_str_has_prefix(name, "tag:")) {
        condition->tag_key = name + strlen("tag:");
        return true;
    }
    if (g_str_equal(name, "tag-key"))
        condition->path = filter->tag_keys;
    else if (g_str_equal(name, "tag-value"))
        condition->path = filter->tag_values;
    else
        return false;
    return true;
}

static bool
set_patterns(VirgaArena *arena, Condition *condition, const VirgaWireList *values, GError **error)
{
    const char **patterns;

    if (values->count == 0)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "The filter '%.200s' has no value", condition->name);
    if (values->count > VIRGA_FILTER_VALUES_MAX)
        return virga_api_fail(error, "FilterLimitExceeded", 400,
                              "The filter '%.200s' has more than %d values", condition->name,
                              VIRGA_FILTER_VALUES_MAX);
    patterns = virga_arena_new_array(arena, const char *, values->count + 1);
    condition->literal = true;
    for (gsize i = 0; i < values->count; i++) {
        const char *value = ((const char *const *) values->items)[i];

        patterns[i] = value ? value : "";
        condition->literal = condition->literal && !strpbrk(patterns[i], "*?\\");
    }
    condition->patterns = patterns;
    return true;
}

VirgaFilter *
virga_filter_compile(VirgaArena *arena, const VirgaFilterField *fields, gsize field_count,
                     const VirgaWireShape *shape, const VirgaWireList *filters, GError **error)
{
    /* A generated Filter is a name and a list of strings, in this order in every model. */
    typedef struct {
        const char *name;
        VirgaWireList values;
    } Filter;
    VirgaFilter *filter = virga_arena_alloc(arena, 1, sizeof *filter);
    bool has_tags = set_tags(filter, shape);

    filter->conditions = virga_arena_new_array(arena, Condition, filters->count);
    filter->count = filters->count;
    for (gsize i = 0; i < filters->count; i++) {
        const Filter *asked = (const Filter *) filters->items + i;
        Condition *condition = &filter->conditions[i];

        condition->name = asked->name ? asked->name : "";
        if (!resolve(filter, fields, field_count, shape, has_tags, condition)) {
            virga_api_fail(error, "InvalidParameterValue", 400, "The filter '%.200s' is invalid",
                           condition->name);
            return NULL;
        }
        if (!set_patterns(arena, condition, &asked->values, error))
            return NULL;
    }
    return filter;
}

/* ---- matching ---- */

static bool
end_at_match(const char *text, gpointer user_data)
{
    return !match_any(user_data, text);
}

static bool
match_tag(const VirgaFilter *filter, const Condition *condition, const void *item)
{
    const VirgaWireMember *tags = filter->tag_keys.steps[0];
    const VirgaWireList *list = (const void *) ((const guint8 *) item + tags->offset);
    const VirgaWireShape *shape = tags->shape->element;

    for (gsize i = 0; i < list->count; i++) {
        const void *tag = (const guint8 *) list->items + i * shape->size;
        const char *value = string_member(shape, "Value", tag);

        if (g_strcmp0(string_member(shape, "Key", tag), condition->tag_key) == 0)
            return match_any(condition, value ? value : "");
    }
    return false;
}

bool
virga_filter_match(const VirgaFilter *filter, const void *item, VirgaFilterValue value,
                   gpointer user_data)
{
    for (gsize i = 0; i < filter->count; i++) {
        Condition *condition = &filter->conditions[i];
        bool holds;

        if (condition->tag_key) {
            holds = match_tag(filter, condition, item);
        } else if (condition->by_path) {
            holds = !virga_wire_values(&condition->path, item, end_at_match, condition);
        } else {
            const char *text = value ? value(condition->name, item, user_data) : NULL;
            holds = text && match_any(condition, text);
        }
        if (!holds)
            return false;
    }
    return true;
}

const char *const *
virga_filter_literals(const VirgaFilter *filter, const char *name)
{
    for (gsize i = 0; i < filter->count; i++) {
        if (filter->conditions[i].literal && g_str_equal(filter->conditions[i].name, name))
            return filter->conditions[i].patterns;
    }
    return NULL;
}
