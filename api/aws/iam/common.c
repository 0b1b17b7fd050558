/* SPDX-License-Identifier: Apache-2.0 */
#include "common.h"

#include <stdlib.h>

#define PAGE_SIZE     100
#define PAGE_SIZE_MAX 1000

/* ---- finding ---- */

bool
iam_find(const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *name,
         VirgaIamEntity **ret, GError **error)
{
    return virga_iam_find(txn, call->arena, call->account_id, kind, name, false, ret, error);
}

bool
iam_lock(const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *name,
         VirgaIamEntity **ret, GError **error)
{
    return virga_iam_find(txn, call->arena, call->account_id, kind, name, true, ret, error);
}

bool
iam_find_user(const VirgaCall *call, VirgaTxn *txn, const char *name, bool lock,
              VirgaIamEntity **ret, GError **error)
{
    const VirgaIamEntity *caller = virga_call_entity(call);

    if (!name && (!caller || caller->kind != VIRGA_IAM_USER))
        return iam_fail(error, "ValidationError", 400,
                        "Must specify userName when calling with non-User credentials");
    return virga_iam_find(txn, call->arena, call->account_id, VIRGA_IAM_USER,
                          name ? name : caller->name, lock, ret, error);
}

/* ---- pages ---- */

static const VirgaPager *
pager(const VirgaCall *call)
{
    return ((const VirgaServices *) call->services)->pager;
}

bool
iam_page_read(const VirgaCall *call, bool has_max_items, gint64 max_items, const char *marker,
              IamPage *ret, GError **error)
{
    return virga_page_size(has_max_items, max_items, 1, PAGE_SIZE_MAX, PAGE_SIZE, &ret->size,
                           error) &&
           virga_page_key(pager(call), call->arena, call->account_id, call->action, marker,
                          &ret->after, error);
}

static const char *
key_at(const void *item, size_t offset)
{
    return *(const char *const *) (const void *) ((const guint8 *) item + offset);
}

static int
compare_keys(const void *a, const void *b, void *offset)
{
    return strcmp(key_at(a, *(size_t *) offset), key_at(b, *(size_t *) offset));
}

void
iam_page_cut(const VirgaCall *call, const IamPage *page, void **items, size_t *count, size_t size,
             size_t offset, bool *ret_truncated, const char **ret_marker)
{
    guint8 *first = *items;

    if (*count > 1)
        qsort_r(first, *count, size, compare_keys, &offset);
    while (*count > 0 && page->after && strcmp(key_at(first, offset), page->after) <= 0) {
        first += size;
        (*count)--;
    }
    *items = first;
    *ret_truncated = *count > (size_t) page->size;
    *ret_marker = NULL;
    if (!*ret_truncated)
        return;
    *count = (size_t) page->size;
    *ret_marker = virga_page_token(pager(call), call->arena, call->account_id, call->action,
                                   key_at(first + (*count - 1) * size, offset));
}

/* ---- tags ---- */

VirgaTag *
iam_tags_given(const VirgaCall *call, const IamTagListType *tags)
{
    VirgaTag *rows = iam_array(call, VirgaTag, tags->count);

    for (size_t i = 0; i < tags->count; i++)
        rows[i] = (VirgaTag){ .key = (char *) tags->items[i].key,
                              .value = (char *) tags->items[i].value };
    return rows;
}

IamTagListType
iam_tags_shown(const VirgaCall *call, const VirgaTag *tags, size_t count)
{
    IamTagListType list = { iam_array(call, IamTag, count), count };

    for (size_t i = 0; i < count; i++)
        list.items[i] = (IamTag){ .key = tags[i].key, .value = tags[i].value };
    return list;
}

bool
iam_tags_read(const VirgaCall *call, VirgaTxn *txn, const VirgaIamEntity *entity,
              IamTagListType *ret, GError **error)
{
    VirgaTag *tags;
    size_t count;

    if (!virga_iam_tags(txn, call->arena, entity->id, &tags, &count, error))
        return false;
    *ret = iam_tags_shown(call, tags, count);
    return true;
}

/* ---- answers ---- */

const char *
iam_document(const VirgaCall *call, const char *document)
{
    g_autofree char *escaped = g_uri_escape_string(document, NULL, FALSE);

    return virga_arena_strdup(call->arena, escaped);
}

bool
iam_check_boundary(const VirgaCall *call, VirgaTxn *txn, const char *arn, GError **error)
{
    VirgaIamEntity *policy;

    return !arn ||
           virga_iam_policy_find(txn, call->arena, call->account_id, arn, false, &policy, error);
}

IamAttachedPermissionsBoundary *
iam_boundary(const VirgaCall *call, const VirgaIamEntity *entity)
{
    IamAttachedPermissionsBoundary *boundary;

    if (!entity->boundary)
        return NULL;
    boundary = iam_new(call, IamAttachedPermissionsBoundary);
    boundary->permissions_boundary_type = "Policy";
    boundary->permissions_boundary_arn = entity->boundary;
    return boundary;
}

IamUser
iam_user(const VirgaCall *call, const VirgaIamEntity *entity)
{
    return (IamUser){ .path = entity->path,
                      .user_name = entity->name,
                      .user_id = entity->id,
                      .arn = entity->arn,
                      .create_date = entity->created,
                      .permissions_boundary = iam_boundary(call, entity) };
}

IamGroup
iam_group(const VirgaIamEntity *entity)
{
    return (IamGroup){ .path = entity->path,
                       .group_name = entity->name,
                       .group_id = entity->id,
                       .arn = entity->arn,
                       .create_date = entity->created };
}

IamRole
iam_role(const VirgaCall *call, const VirgaIamEntity *entity)
{
    return (IamRole){ .path = entity->path,
                      .role_name = entity->name,
                      .role_id = entity->id,
                      .arn = entity->arn,
                      .create_date = entity->created,
                      .assume_role_policy_document = iam_document(call, entity->trust),
                      .description = entity->description,
                      .max_session_duration = entity->session_max_s,
                      .has_max_session_duration = true,
                      .permissions_boundary = iam_boundary(call, entity) };
}

IamPolicy
iam_policy(const VirgaCall *call, const VirgaIamEntity *entity)
{
    return (IamPolicy){ .policy_name = entity->name,
                        .policy_id = entity->id,
                        .arn = entity->arn,
                        .path = entity->path,
                        .default_version_id = iam_version_id(call, entity->default_version),
                        .attachment_count = entity->attached,
                        .has_attachment_count = true,
                        .permissions_boundary_usage_count = entity->bounds,
                        .has_permissions_boundary_usage_count = true,
                        .is_attachable = true,
                        .has_is_attachable = true,
                        .description = entity->description,
                        .create_date = entity->created,
                        .update_date = entity->updated };
}

bool
iam_profile(const VirgaCall *call, VirgaTxn *txn, const VirgaIamEntity *entity,
            IamInstanceProfile *ret, GError **error)
{
    VirgaIamEntity *roles;
    size_t count;

    if (!virga_iam_profile_partners(txn, call->arena, entity, NULL, 1, &roles, &count, error))
        return false;
    *ret = (IamInstanceProfile){ .path = entity->path,
                                 .instance_profile_name = entity->name,
                                 .instance_profile_id = entity->id,
                                 .arn = entity->arn,
                                 .create_date = entity->created,
                                 .roles = { iam_array(call, IamRole, count), count } };
    if (count)
        ret->roles.items[0] = iam_role(call, &roles[0]);
    return true;
}

bool
iam_profiles(const VirgaCall *call, VirgaTxn *txn, const VirgaIamEntity *entities, size_t count,
             IamInstanceProfileListType *ret, GError **error)
{
    *ret = (IamInstanceProfileListType){ iam_array(call, IamInstanceProfile, count), count };
    for (size_t i = 0; i < count; i++)
        if (!iam_profile(call, txn, &entities[i], &ret->items[i], error))
            return false;
    return true;
}

const char *
iam_version_id(const VirgaCall *call, gint64 number)
{
    return virga_arena_printf(call->arena, "v%" G_GINT64_FORMAT, number);
}

bool
iam_version_number(const char *id, gint64 *ret, GError **error)
{
    guint64 number;

    if (id[0] != 'v' || !g_ascii_string_to_unsigned(id + 1, 10, 1, G_MAXINT32, &number, NULL))
        return iam_fail(error, "ValidationError", 400,
                        "1 validation error detected: Value '%.64s' at 'versionId' failed to "
                        "satisfy constraint: Member must satisfy regular expression pattern: "
                        "v[1-9][0-9]*(\\.[A-Za-z0-9-]*)?",
                        id);
    *ret = (gint64) number;
    return true;
}
