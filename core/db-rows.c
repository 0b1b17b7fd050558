/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what a statement returned. */
#include "db-priv.h"

#include <string.h>

struct VirgaRows {
    PGresult *result;
    VirgaArena *keeper; /* of the result, or NULL */
};

VirgaRows *
virga_rows_new(PGresult *result)
{
    VirgaRows *rows;

    if (!result)
        return NULL;
    rows = g_new0(VirgaRows, 1);
    rows->result = result;
    return rows;
}

void
virga_rows_free(VirgaRows *rows)
{
    if (!rows)
        return;
    if (!rows->keeper)
        PQclear(rows->result);
    g_free(rows);
}

void
virga_rows_keep(VirgaRows *rows, VirgaArena *arena)
{
    g_assert(!rows->keeper);
    rows->keeper = arena;
    virga_arena_own(arena, rows->result, (GDestroyNotify) PQclear);
}

int
virga_rows_count(const VirgaRows *rows)
{
    return PQntuples(rows->result);
}

bool
virga_rows_is_null(const VirgaRows *rows, int row, int column)
{
    return PQgetisnull(rows->result, row, column);
}

const char *
virga_rows_text(const VirgaRows *rows, int row, int column)
{
    return PQgetisnull(rows->result, row, column) ? NULL : PQgetvalue(rows->result, row, column);
}

char *
virga_rows_dup(const VirgaRows *rows, VirgaArena *arena, int row, int column)
{
    if (PQgetisnull(rows->result, row, column))
        return NULL;
    if (rows->keeper == arena)
        return PQgetvalue(rows->result, row, column);
    return virga_arena_strndup(arena, PQgetvalue(rows->result, row, column),
                               (gsize) PQgetlength(rows->result, row, column));
}

gint64
virga_rows_int(const VirgaRows *rows, int row, int column)
{
    return g_ascii_strtoll(PQgetvalue(rows->result, row, column), NULL, 10);
}

bool
virga_rows_bool(const VirgaRows *rows, int row, int column)
{
    return PQgetvalue(rows->result, row, column)[0] == 't';
}

gint64
virga_rows_time(const VirgaRows *rows, int row, int column)
{
    return virga_rows_int(rows, row, column);
}

/* PostgreSQL's text form of a one-dimensional text[]: {a,"b \"c\"",NULL}. */
char **
virga_rows_array(const VirgaRows *rows, int row, int column)
{
    const char *text = virga_rows_text(rows, row, column);
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    g_autoptr(GString) item = g_string_new(NULL);
    bool quoted = false, any = false;

    for (text = text && *text == '{' ? text + 1 : ""; *text; text++) {
        if (*text == '\\' && text[1]) {
            g_string_append_c(item, *++text);
        } else if (*text == '"') {
            quoted = !quoted;
            any = true;
        } else if (!quoted && (*text == ',' || *text == '}')) {
            if (any || item->len)
                g_strv_builder_add(builder, item->str);
            g_string_truncate(item, 0);
            any = false;
        } else {
            g_string_append_c(item, *text);
        }
    }
    return g_strv_builder_end(builder);
}
