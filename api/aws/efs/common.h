/* SPDX-License-Identifier: Apache-2.0 */
/* What EFS's handlers share. */
#pragma once

#include "api/call.h"
#include "api/errors.h"
#include "api/query.h"
#include "compute/file-system.h"
#include "core/error.h"
#include "core/tag.h"
#include "efs.h"

#define efs_array(call, Type, count) virga_arena_new_array((call)->arena, Type, count)

/* The handler of an action, in a transaction called "txn". */
#define EFS_ACTION(name, Name) VIRGA_QUERY_ACTION(efs, Efs, virga_query_transaction, name, Name)

bool efs_bad_request(GError **error, const char *text);
bool efs_unsupported(GError **error, const char *parameter);

/* The id in 'text': itself, or at the end of an ARN.  Fails with BadRequest. */
const char *efs_file_system_id(const VirgaCall *call, const char *text, GError **error);

/* A page of 'count' items from behind 'marker', an id; sets *first and *end. */
void efs_page(bool has_max, gint64 max, size_t count, size_t *first, size_t *end);

bool efs_tags_set(const VirgaCall *call, VirgaTxn *txn, const char *id, const EfsTags *tags,
                  GError **error);
bool efs_tags_read(const VirgaCall *call, VirgaTxn *txn, const char *id, EfsTags *ret,
                   GError **error);
