/* SPDX-License-Identifier: Apache-2.0 */
/* Names, paths, ids and ARNs. */
#include "core/account.h"
#include "core/error.h"
#include "core/iam.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define PATH_CHARS_MAX 512
#define ID_RANDOM_MAX  64

static const char *const kinds[] = {
    [VIRGA_IAM_USER] = "user",     [VIRGA_IAM_GROUP] = "group",
    [VIRGA_IAM_ROLE] = "role",     [VIRGA_IAM_INSTANCE_PROFILE] = "instance-profile",
    [VIRGA_IAM_POLICY] = "policy",
};

const char *
virga_iam_kind_name(VirgaIamKind kind)
{
    return kinds[kind];
}

char *
virga_iam_arn(VirgaArena *arena, VirgaIamKind kind, const char *account_id, const char *path,
              const char *name)
{
    return virga_arena_printf(arena, "arn:aws:iam::%s:%s%s%s", account_id, kinds[kind], path, name);
}

bool
virga_iam_arn_split(VirgaArena *arena, const char *arn, VirgaIamKind kind, char **ret_account_id,
                    char **ret_path, char **ret_name)
{
    static const char head[] = "arn:aws:iam::";
    size_t kind_length = strlen(kinds[kind]);
    const char *account, *path, *name;

    if (!g_str_has_prefix(arn, head))
        return false;
    account = arn + strlen(head);
    path = strchr(account, ':');
    if (!path || strncmp(path + 1, kinds[kind], kind_length) != 0 || path[1 + kind_length] != '/')
        return false;
    *ret_account_id = virga_arena_strndup(arena, account, (size_t) (path - account));
    path += 1 + kind_length;
    name = strrchr(path, '/') + 1;
    *ret_path = virga_arena_strndup(arena, path, (size_t) (name - path));
    *ret_name = virga_arena_strdup(arena, name);
    return *name && (virga_account_id_is(*ret_account_id) || g_str_equal(*ret_account_id, "aws"));
}

char *
virga_iam_id_new(VirgaArena *arena, const char *prefix, unsigned characters)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    guint8 bytes[ID_RANDOM_MAX];
    char text[ID_RANDOM_MAX + 1];

    g_assert(characters <= ID_RANDOM_MAX);
    if (getrandom(bytes, characters, 0) != (ssize_t) characters)
        g_error("no random bytes: %s", g_strerror(errno));
    for (unsigned i = 0; i < characters; i++)
        text[i] = alphabet[bytes[i] % 32];
    text[characters] = '\0';
    return virga_arena_printf(arena, "%s%s", prefix, text);
}

bool
virga_iam_check_path(const char *path, bool prefix, GError **error)
{
    size_t length = path ? strlen(path) : 0;
    bool good = !path || (length >= 1 && length <= PATH_CHARS_MAX && path[0] == '/' &&
                          (prefix || path[length - 1] == '/'));

    for (size_t i = 0; good && i < length; i++)
        good = path[i] >= '!' && path[i] <= '~';
    return good || virga_fail(error, "identity", VIRGA_ERROR_INVALID,
                              "The specified value for path is invalid. It must begin and end with "
                              "/ and contain only alphanumeric characters and/or / characters.");
}
