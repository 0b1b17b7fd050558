/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns: wildcards, and the variables that are put into them. */
#include "policy-priv.h"

#include <string.h>

static bool
same_byte(char a, char b, bool fold_case)
{
    return fold_case ? g_ascii_tolower(a) == g_ascii_tolower(b) : a == b;
}

/* The byte after a character, of whatever bytes: the text may come from a header. */
static const char *
next_character(const char *at)
{
    do
        at++;
    while (((guchar) *at & 0xc0) == 0x80);
    return at;
}

bool
policy_match(const char *pattern, const char *text, bool fold_case)
{
    const char *star = NULL, *retry = NULL;

    while (*text) {
        if (*pattern == POLICY_ANY) {
            star = ++pattern;
            retry = text;
        } else if (*pattern == POLICY_ONE) {
            pattern++;
            text = next_character(text);
        } else if (*pattern && same_byte(*pattern, *text, fold_case)) {
            pattern++;
            text++;
        } else if (star) { /* the last star takes one byte more */
            pattern = star;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == POLICY_ANY)
        pattern++;
    return *pattern == '\0';
}

static char
wildcard(char byte)
{
    return byte == '*' ? POLICY_ANY : byte == '?' ? POLICY_ONE : byte;
}

PolicyPattern
policy_pattern(VirgaArena *arena, const char *text, bool wild, bool variables)
{
    PolicyPattern pattern = { .variables = variables && strstr(text, "${") != NULL, .wild = wild };
    char *copy = virga_arena_strdup(arena, text);

    if (wild && !pattern.variables)
        for (char *byte = copy; *byte; byte++)
            *byte = wildcard(*byte);
    pattern.text = copy;
    return pattern;
}

/* What stands for "${name, 'default'}", of which 'inner' are the 'length' bytes in the braces; NULL
 * if nothing does.  '*', '?' and '$' stand for themselves. */
static const char *
variable(const char *inner, size_t length, const VirgaPolicyRequest *request, GString *scratch)
{
    const char *comma = memchr(inner, ',', length);
    g_autofree char *name = g_strndup(inner, comma ? (size_t) (comma - inner) : length);
    const char *const *values;
    const char *open, *close;

    g_strstrip(name);
    if (strlen(name) == 1 && strchr("*?$", *name)) {
        g_string_assign(scratch, name);
        return scratch->str;
    }
    values = request->key ? request->key(name, request->key_data) : NULL;
    if (values && values[0] && !values[1]) /* one of several has no place in a text */
        return strpbrk(values[0], "\1\2") ? NULL : values[0];
    open = comma ? memchr(comma, '\'', length - (size_t) (comma - inner)) : NULL;
    close = open ? memchr(open + 1, '\'', length - (size_t) (open + 1 - inner)) : NULL;
    if (!close)
        return NULL;
    g_string_truncate(scratch, 0);
    g_string_append_len(scratch, open + 1, close - open - 1);
    return scratch->str;
}

bool
policy_resolve(const PolicyPattern *pattern, const VirgaPolicyRequest *request, GString *buffer,
               const char **ret)
{
    g_autoptr(GString) scratch = NULL;
    const char *at = pattern->text;

    *ret = pattern->text;
    if (!pattern->variables)
        return true;
    scratch = g_string_new(NULL);
    g_string_truncate(buffer, 0);
    while (*at) {
        const char *close = at[0] == '$' && at[1] == '{' ? strchr(at, '}') : NULL;
        const char *value;

        if (!close) {
            g_string_append_c(buffer, pattern->wild ? wildcard(*at) : *at);
            at++;
            continue;
        }
        value = variable(at + 2, (size_t) (close - at - 2), request, scratch);
        if (!value)
            return false;
        g_string_append(buffer, value);
        at = close + 1;
    }
    *ret = buffer->str;
    return true;
}
