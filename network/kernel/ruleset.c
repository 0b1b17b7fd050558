/* SPDX-License-Identifier: Apache-2.0 */
#include "ruleset.h"

#include <string.h>

static void
part_free(VirgaRulesetPart *part)
{
    g_free(part->name);
    g_free(part->head);
    g_ptr_array_unref(part->lines);
    g_free(part);
}

VirgaRuleset *
virga_ruleset_new(void)
{
    VirgaRuleset *ruleset = g_new0(VirgaRuleset, 1);

    ruleset->tables = g_ptr_array_new();
    ruleset->parts = g_ptr_array_new_with_free_func((GDestroyNotify) part_free);
    return ruleset;
}

void
virga_ruleset_free(VirgaRuleset *ruleset)
{
    if (!ruleset)
        return;
    g_ptr_array_unref(ruleset->tables);
    g_ptr_array_unref(ruleset->parts);
    g_free(ruleset);
}

VirgaRulesetPart *
virga_ruleset_add(VirgaRuleset *ruleset, const char *kind, const char *table, const char *name,
                  const char *head)
{
    VirgaRulesetPart *part = g_new0(VirgaRulesetPart, 1);

    if (!g_ptr_array_find_with_equal_func(ruleset->tables, table, g_str_equal, NULL))
        g_ptr_array_add(ruleset->tables, (gpointer) table);
    part->kind = kind;
    part->table = table;
    part->name = g_strdup(name);
    part->head = g_strdup(head);
    part->lines = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(ruleset->parts, part);
    return part;
}

void
virga_ruleset_line(VirgaRulesetPart *part, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    g_ptr_array_add(part->lines, g_strdup_vprintf(format, args));
    va_end(args);
}

static bool
is_chain(const VirgaRulesetPart *part)
{
    return g_str_equal(part->kind, "chain");
}

static void
append_part(GString *text, const VirgaRulesetPart *part)
{
    const GPtrArray *lines = part->lines;

    g_string_append_printf(text, "\t%s %s {\n", part->kind, part->name);
    if (*part->head)
        g_string_append_printf(text, "\t\t%s\n", part->head);
    for (guint i = 0; i < lines->len && is_chain(part); i++)
        g_string_append_printf(text, "\t\t%s\n", (char *) lines->pdata[i]);
    /* Without elements nft wants no "elements" at all. */
    for (guint i = 0; i < lines->len && !is_chain(part); i++)
        g_string_append_printf(text, "%s%s%s", i ? ",\n\t\t\t" : "\t\telements = {\n\t\t\t",
                               (char *) lines->pdata[i], i + 1 == lines->len ? "\n\t\t}\n" : "");
    g_string_append(text, "\t}\n");
}

char *
virga_ruleset_text(const VirgaRuleset *ruleset)
{
    GString *text = g_string_new(NULL);

    for (guint i = 0; i < ruleset->tables->len; i++) {
        const char *table = ruleset->tables->pdata[i];
        g_string_append_printf(text, "add table %s\ndelete table %s\n", table, table);
    }
    for (guint i = 0; i < ruleset->tables->len; i++) {
        const char *table = ruleset->tables->pdata[i];

        g_string_append_printf(text, "table %s {\n", table);
        for (guint p = 0; p < ruleset->parts->len; p++) {
            const VirgaRulesetPart *part = ruleset->parts->pdata[p];
            if (g_str_equal(part->table, table))
                append_part(text, part);
        }
        g_string_append(text, "}\n");
    }
    return g_string_free(text, FALSE);
}

/* ---- the difference ---- */

static char *
key_of(const VirgaRulesetPart *part)
{
    return g_strdup_printf("%s %s %s", part->kind, part->table, part->name);
}

static GHashTable *
index_of(const VirgaRuleset *ruleset)
{
    GHashTable *parts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (guint i = 0; i < ruleset->parts->len; i++)
        g_hash_table_insert(parts, key_of(ruleset->parts->pdata[i]), ruleset->parts->pdata[i]);
    return parts;
}

static const VirgaRulesetPart *
counterpart(GHashTable *parts, const VirgaRulesetPart *part)
{
    g_autofree char *key = key_of(part);
    return g_hash_table_lookup(parts, key);
}

static bool
same_lines(const VirgaRulesetPart *a, const VirgaRulesetPart *b)
{
    if (a->lines->len != b->lines->len)
        return false;
    for (guint i = 0; i < a->lines->len; i++)
        if (!g_str_equal(a->lines->pdata[i], b->lines->pdata[i]))
            return false;
    return true;
}

/* Elements of 'part' that 'other' (or nobody, NULL) does not have, in one command. */
static void
append_elements(GString *text, const char *verb, const VirgaRulesetPart *part,
                const VirgaRulesetPart *other)
{
    g_autoptr(GHashTable) there = g_hash_table_new(g_str_hash, g_str_equal);
    bool any = false;

    for (guint i = 0; other && i < other->lines->len; i++)
        g_hash_table_add(there, other->lines->pdata[i]);
    for (guint i = 0; i < part->lines->len; i++) {
        if (g_hash_table_contains(there, part->lines->pdata[i]))
            continue;
        if (any)
            g_string_append(text, ", ");
        else
            g_string_append_printf(text, "%s element %s %s { ", verb, part->table, part->name);
        g_string_append(text, part->lines->pdata[i]);
        any = true;
    }
    if (any)
        g_string_append(text, " }\n");
}

static void
append_rules(GString *text, const VirgaRulesetPart *chain)
{
    for (guint i = 0; i < chain->lines->len; i++)
        g_string_append_printf(text, "add rule %s %s %s\n", chain->table, chain->name,
                               (char *) chain->lines->pdata[i]);
}

/* Takes away what is in the way of everything else: the rules of chains that change or go, and
 * elements that go.  Chains and sets themselves go last, when nothing refers to them. */
static void
append_goners(GString *text, const VirgaRuleset *from, GHashTable *to_parts)
{
    for (guint i = 0; i < from->parts->len; i++) {
        const VirgaRulesetPart *old = from->parts->pdata[i];
        const VirgaRulesetPart *new = counterpart(to_parts, old);

        if (new &&same_lines(old, new))
            continue;
        if (is_chain(old))
            g_string_append_printf(text, "flush chain %s %s\n", old->table, old->name);
        else
            append_elements(text, "delete", old, new);
    }
}

static void
append_comers(GString *text, const VirgaRuleset *to, GHashTable *from_parts)
{
    for (int pass = 0; pass < 2; pass++) /* rules may name any set */
        for (guint i = 0; i < to->parts->len; i++) {
            const VirgaRulesetPart *new = to->parts->pdata[i];
            const VirgaRulesetPart *old = counterpart(from_parts, new);

            if (is_chain(new) != (pass == 1) || (old && same_lines(old, new)))
                continue;
            if (is_chain(new))
                append_rules(text, new);
            else
                append_elements(text, "add", new, old);
        }
}

char *
virga_ruleset_diff(const VirgaRuleset *from, const VirgaRuleset *to)
{
    g_autoptr(GHashTable) from_parts = index_of(from);
    g_autoptr(GHashTable) to_parts = index_of(to);
    g_autoptr(GString) text = g_string_new(NULL);

    if (from->tables->len != to->tables->len)
        return NULL;
    for (guint i = 0; i < to->tables->len; i++)
        if (!g_str_equal(from->tables->pdata[i], to->tables->pdata[i]))
            return NULL;
    for (guint i = 0; i < to->parts->len; i++) {
        const VirgaRulesetPart *new = to->parts->pdata[i];
        const VirgaRulesetPart *old = counterpart(from_parts, new);

        if (old && !g_str_equal(old->head, new->head))
            return NULL;
        if (old)
            continue;
        g_string_append_printf(text, "add %s %s %s", new->kind, new->table, new->name);
        if (*new->head)
            g_string_append_printf(text, " { %s; }", new->head);
        g_string_append_c(text, '\n');
    }
    append_goners(text, from, to_parts);
    append_comers(text, to, from_parts);
    for (int pass = 0; pass < 2; pass++) /* chains first: their rules are gone, maps name them */
        for (guint i = 0; i < from->parts->len; i++) {
            const VirgaRulesetPart *old = from->parts->pdata[i];
            if (is_chain(old) == (pass == 0) && !counterpart(to_parts, old))
                g_string_append_printf(text, "delete %s %s %s\n", old->kind, old->table, old->name);
        }
    return g_string_free(g_steal_pointer(&text), FALSE);
}
