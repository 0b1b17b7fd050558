/* SPDX-License-Identifier: Apache-2.0 */
#include "common.h"

#include "core/id.h"

#include <string.h>

#define PAGE_MAX 100

bool
efs_bad_request(GError **error, const char *text)
{
    return virga_api_fail(error, "BadRequest", 400, "%s", text);
}

bool
efs_unsupported(GError **error, const char *parameter)
{
    return virga_api_fail(error, "UnsupportedOperation", 400,
                          "The parameter %s is not supported by this cloud", parameter);
}

const char *
efs_file_system_id(const VirgaCall *call, const char *text, GError **error)
{
    const char *slash = g_str_has_prefix(text, "arn:") ? strrchr(text, '/') : NULL;
    const char *id = slash ? slash + 1 : text;

    if (virga_id_is(id, "fs"))
        return id;
    virga_api_fail(error, "BadRequest", 400, "'%.200s' is not the id of a file system", text);
    return NULL;
}

void
efs_page(bool has_max, gint64 max, size_t count, size_t *first, size_t *end)
{
    size_t most = has_max ? (size_t) CLAMP(max, 1, PAGE_MAX) : PAGE_MAX;

    *end = MIN(count, *first + most);
}

bool
efs_tags_set(const VirgaCall *call, VirgaTxn *txn, const char *id, const EfsTags *tags,
             GError **error)
{
    VirgaTag *rows = efs_array(call, VirgaTag, tags->count);

    for (size_t i = 0; i < tags->count; i++)
        rows[i] = (VirgaTag){ .key = (char *) tags->items[i].key,
                              .value = (char *) tags->items[i].value };
    return virga_tag_set(txn, call->account_id, id, rows, tags->count, error);
}

bool
efs_tags_read(const VirgaCall *call, VirgaTxn *txn, const char *id, EfsTags *ret, GError **error)
{
    const char *const ids[] = { id, NULL };
    VirgaTag *rows;
    size_t count;

    if (!virga_tag_list(txn, call->arena, call->account_id, ids, &rows, &count, error))
        return false;
    *ret = (EfsTags){ efs_array(call, EfsTag, count), count };
    for (size_t i = 0; i < count; i++)
        ret->items[i] = (EfsTag){ .key = rows[i].key, .value = rows[i].value };
    return true;
}
