/* SPDX-License-Identifier: Apache-2.0 */
/* Tags of IAM's entities; EC2's DescribeTags knows nothing of them. */
#include "core/error.h"
#include "core/iam.h"
#include "core/limits.h"

#include <string.h>

#define KEY_CHARS_MAX   128
#define VALUE_CHARS_MAX 256

static const char sql_list[] =
    "SELECT key, value FROM iam_tag WHERE entity_id = $1 ORDER BY key COLLATE \"C\"";
static const char sql_set[] = "INSERT INTO iam_tag (entity_id, key, value) VALUES ($1, $2, $3)"
                              " ON CONFLICT (entity_id, key) DO UPDATE SET value = $3";
static const char sql_unset[] = "DELETE FROM iam_tag WHERE entity_id = $1 AND key = ANY ($2)";
static const char sql_count[] = "SELECT count(*) FROM iam_tag WHERE entity_id = $1";

bool
virga_iam_tags(VirgaTxn *txn, VirgaArena *arena, const char *entity_id, VirgaTag **ret,
               size_t *ret_count, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_list, "s", entity_id);

    if (!rows)
        return false;
    *ret_count = (size_t) virga_rows_count(rows);
    *ret = virga_arena_new_array(arena, VirgaTag, *ret_count);
    for (int i = 0; i < virga_rows_count(rows); i++)
        (*ret)[i] = (VirgaTag){ .key = virga_rows_dup(rows, arena, i, 0),
                                .value = virga_rows_dup(rows, arena, i, 1) };
    return true;
}

static bool
check_tag(const VirgaTag *tag, GError **error)
{
    glong key_chars = g_utf8_strlen(tag->key, -1);

    if (key_chars < 1 || key_chars > KEY_CHARS_MAX)
        return virga_fail(error, "identity", VIRGA_ERROR_INVALID,
                          "Tag keys must have 1 to %d characters", KEY_CHARS_MAX);
    if (tag->value && g_utf8_strlen(tag->value, -1) > VALUE_CHARS_MAX)
        return virga_fail(error, "identity", VIRGA_ERROR_INVALID,
                          "Tag values must have at most %d characters", VALUE_CHARS_MAX);
    if (g_ascii_strncasecmp(tag->key, "aws:", strlen("aws:")) == 0)
        return virga_fail(error, "identity input", VIRGA_ERROR_INVALID,
                          "Tag keys that begin with 'aws:' are reserved for system use");
    return true;
}

bool
virga_iam_tags_set(VirgaTxn *txn, const VirgaIamEntity *entity, const VirgaTag *tags, size_t count,
                   GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(VirgaRows) rows = NULL;

    if (count == 0)
        return true;
    for (size_t i = 0; i < count; i++) {
        if (!check_tag(&tags[i], error))
            return false;
        if (!g_hash_table_add(seen, g_utf8_casefold(tags[i].key, -1)))
            return virga_fail(error, "identity input", VIRGA_ERROR_INVALID,
                              "Duplicate tag keys found. Please note that Tag keys are case "
                              "insensitive.");
        if (!virga_txn_run(txn, error, NULL, sql_set, "sss", entity->id, tags[i].key,
                           tags[i].value ? tags[i].value : ""))
            return false;
    }
    rows = virga_txn_query(txn, error, sql_count, "s", entity->id);
    if (!rows)
        return false;
    return virga_rows_int(rows, 0, 0) <= VIRGA_TAGS_MAX ||
           virga_fail(error, "identity", VIRGA_ERROR_QUOTA, "Cannot exceed quota for tags: %d",
                      VIRGA_TAGS_MAX);
}

bool
virga_iam_tags_unset(VirgaTxn *txn, const VirgaIamEntity *entity, const char *const *keys,
                     GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_unset, "sa", entity->id, keys);
}
