/* SPDX-License-Identifier: Apache-2.0 */
/* Which resources a request to EFS is about: the file system that it names, or makes. */
#include "authorize-priv.h"

#include "core/id.h"
#include "efs.h"

#include <string.h>

static bool
find_targets(const VirgaCall *call, const void *request, GArray *targets, GError **error)
{
    static const char *const members[] = { "FileSystemId", "ResourceId" };
    bool made = g_str_equal(call->wire->name, "CreateFileSystem");

    for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
        const char *text = request_text(call, request, members[i]);
        const char *id = text && strrchr(text, '/') ? strrchr(text, '/') + 1 : text;
        Target target = { .type = "file-system", .id = id };

        if (!id || !virga_id_is(id, "fs"))
            continue;
        target.arn =
            virga_arena_printf(call->arena, "arn:aws:elasticfilesystem:%s:%s:file-system/%s",
                               call->region, call->account_id, id);
        g_array_append_val(targets, target);
    }
    if (made) {
        Target target = { .type = "file-system", .created = true };

        target.arn =
            virga_arena_printf(call->arena, "arn:aws:elasticfilesystem:%s:%s:file-system/*",
                               call->region, call->account_id);
        g_array_append_val(targets, target);
    }
    return true;
}

/* EFS asks for no other right than the action's. */
static const char *
tag_right(const VirgaCall *call, const void *request, const GArray *targets, const char *type,
          Target *ret)
{
    return NULL;
}

const ServiceTargets targets_efs = { "elasticfilesystem", find_targets, request_tags, tag_right,
                                     resource_tags };
