/* SPDX-License-Identifier: Apache-2.0 */
/* A policy document of any bytes, and a request that it decides. */
#include "core/policy.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

/* Every key has the document itself for a value, AWS's have no other: the two meet in all ways. */
static const char *const *
key(const char *name, gpointer data)
{
    return (const char *const *) data + (*name == 'a' ? 2 : 0);
}

static void
visit(const char *arn, gpointer data)
{
    *(size_t *) data += strlen(arn);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
    static const VirgaPolicyPrincipal caller = { "000000000001",
                                                 "arn:aws:sts::000000000001:assumed-role/r/s",
                                                 "arn:aws:iam::000000000001:role/r", NULL };
    static const VirgaPolicyKind kinds[] = { VIRGA_POLICY_IDENTITY, VIRGA_POLICY_TRUST,
                                             VIRGA_POLICY_RESOURCE };
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autofree char *text = g_strndup((const char *) data, size);
    const char *values[] = { "2001:db8::1", "17", text, NULL };
    VirgaPolicyRequest request = { "sts:AssumeRole", "arn:aws:iam::000000000001:role/r", &caller,
                                   key, values };
    size_t length = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        VirgaPolicy *policy = virga_policy_parse(arena, kinds[i], text, NULL);

        if (!policy)
            continue;
        virga_policy_decide(policy, &request);
        virga_policy_principals(policy, visit, &length);
        virga_policy_length(text);
    }
    return 0;
}
