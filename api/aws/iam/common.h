/* SPDX-License-Identifier: Apache-2.0 */
/* What IAM's handlers share: transactions, pages, and entities as answers show them. */
#pragma once

#include "api/authorize.h"
#include "api/call.h"
#include "api/errors.h"
#include "api/query.h"
#include "api/services.h"
#include "core/db.h"
#include "core/error.h"
#include "core/iam-policy.h"
#include "iam.h"

#include <string.h>

#define iam_new(call, Type)          virga_arena_new_array((call)->arena, Type, 1)
#define iam_array(call, Type, count) virga_arena_new_array((call)->arena, Type, count)

/* More than an account can have of anything. */
#define IAM_ALL 100000

/* ---- actions ---- */

/* The handler of an action; see api/query.h. */
#define IAM_ACTION(name, Name) VIRGA_QUERY_ACTION(iam, Iam, virga_query_transaction, name, Name)

/* Fails with a code and HTTP status of IAM's own. */
#define iam_fail(error, code, status, ...) virga_api_fail((error), (code), (status), __VA_ARGS__)

/* ---- finding ---- */

/* The entity called 'name' of the caller's account. */
bool iam_find(const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *name,
              VirgaIamEntity **ret, GError **error);
bool iam_lock(const VirgaCall *call, VirgaTxn *txn, VirgaIamKind kind, const char *name,
              VirgaIamEntity **ret, GError **error);

/* The user called so; NULL: the caller, who must be one. */
bool iam_find_user(const VirgaCall *call, VirgaTxn *txn, const char *name, bool lock,
                   VirgaIamEntity **ret, GError **error);

/* ---- pages ---- */

typedef struct {
    const char *after; /* the key of the last item shown, or NULL */
    gint64 size;
} IamPage;

bool iam_page_read(const VirgaCall *call, bool has_max_items, gint64 max_items, const char *marker,
                   IamPage *ret, GError **error);
#define iam_page_begin(call, request, page, error)                                                 \
    iam_page_read((call), (request)->has_max_items, (request)->max_items, (request)->marker,       \
                  (page), (error))

/* How many items to ask the database for: one more than are shown tells that there are more. */
#define iam_page_limit(page) ((page)->size + 1)

/* Leaves of 'items' (each of 'size' bytes, its key a string at 'offset') those of the page. */
void iam_page_cut(const VirgaCall *call, const IamPage *page, void **items, size_t *count,
                  size_t size, size_t offset, bool *ret_truncated, const char **ret_marker);

/* The same, for an array of structs with a member 'key', telling the answer what was cut. */
#define iam_page_end(call, page, items, count, key, response)                                      \
    do {                                                                                           \
        iam_page_cut((call), (page), (void **) &(items), &(count), sizeof *(items),                \
                     offsetof(__typeof__(*(items)), key), &(response)->is_truncated,               \
                     &(response)->marker);                                                         \
        (response)->has_is_truncated = true;                                                       \
    } while (0)

/* ---- tags ---- */

/* A request's tags for the rows. */
VirgaTag *iam_tags_given(const VirgaCall *call, const IamTagListType *tags);
/* The rows' tags for an answer. */
IamTagListType iam_tags_shown(const VirgaCall *call, const VirgaTag *tags, size_t count);
bool iam_tags_read(const VirgaCall *call, VirgaTxn *txn, const VirgaIamEntity *entity,
                   IamTagListType *ret, GError **error);

/* ---- answers ---- */

/* A policy document as answers have it: escaped as in URLs. */
const char *iam_document(const VirgaCall *call, const char *document);

/* Fails with NoSuchEntity if 'arn' (NULL is none) is not a policy's. */
bool iam_check_boundary(const VirgaCall *call, VirgaTxn *txn, const char *arn, GError **error);
IamAttachedPermissionsBoundary *iam_boundary(const VirgaCall *call, const VirgaIamEntity *entity);

/* Without their tags. */
IamUser iam_user(const VirgaCall *call, const VirgaIamEntity *entity);
IamGroup iam_group(const VirgaIamEntity *entity);
IamRole iam_role(const VirgaCall *call, const VirgaIamEntity *entity);
IamPolicy iam_policy(const VirgaCall *call, const VirgaIamEntity *entity);
/* With its role. */
bool iam_profile(const VirgaCall *call, VirgaTxn *txn, const VirgaIamEntity *entity,
                 IamInstanceProfile *ret, GError **error);
bool iam_profiles(const VirgaCall *call, VirgaTxn *txn, const VirgaIamEntity *entities,
                  size_t count, IamInstanceProfileListType *ret, GError **error);

/* "v2" */
const char *iam_version_id(const VirgaCall *call, gint64 number);
bool iam_version_number(const char *id, gint64 *ret, GError **error);
