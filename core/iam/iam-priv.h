/* SPDX-License-Identifier: Apache-2.0 */
/* How rows of iam_entity are read. */
#pragma once

#include "core/iam.h"

#define POLICY_ARN(entity)                                                                         \
    "'arn:aws:iam::' || " entity ".account_id || ':policy' || " entity ".path || " entity ".name"

/* Of iam_entity called "e"; what counts for policies only is counted for them only. */
#define ENTITY_COLUMNS                                                                             \
    "e.id, e.account_id, e.kind, e.name, e.path, e.description, e.boundary, e.trust,"              \
    " e.session_max_s, e.default_version, " VIRGA_SQL_TIME("e.created") ", " VIRGA_SQL_TIME(       \
        "e.updated") ", CASE WHEN e.kind = 'policy' THEN"                                          \
                     " (SELECT count(*) FROM iam_attachment WHERE policy_id = e.id) ELSE 0 END,"   \
                     " CASE WHEN e.kind = 'policy' THEN (SELECT count(*) FROM iam_entity b"        \
                     " WHERE b.account_id = e.account_id AND b.boundary = " POLICY_ARN(            \
                         "e") ") ELSE 0 END, e.trusted"

/* The entities in 'rows', which may be NULL: then false. */
bool iam_read_entities(const VirgaRows *rows, VirgaArena *arena, VirgaIamEntity **ret,
                       size_t *ret_count);
