/* SPDX-License-Identifier: Apache-2.0 */
/* Key pairs. */
#include "common.h"

#include "compute/key-pair.h"

#define NAME_CHARS 255

static const VirgaFilterField key_fields[] = {
    { "fingerprint", "KeyFingerprint" },
    { "key-name", "KeyName" },
    { "key-pair-id", "KeyPairId" },
    { "key-type", "KeyType" },
};

static bool
check_name(const char *name, GError **error)
{
    gsize length = strlen(name);

    if (length == 0 || length > NAME_CHARS || !g_str_is_ascii(name))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Value (%.300s) for parameter KeyName is invalid. Names have 1 to %d "
                              "ASCII characters.",
                              name, NAME_CHARS);
    for (const char *c = name; *c; c++)
        if (!g_ascii_isprint(*c) || (c == name && *c == ' ') || (!c[1] && *c == ' '))
            return virga_api_fail(error, "InvalidParameterValue", 400,
                                  "Value for parameter KeyName is invalid. Names have no control "
                                  "characters and no blanks at their ends.");
    return true;
}

typedef struct {
    VirgaKeyPair key;
    Ec2NewTags tags;
} NewKey;

static bool
add(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    NewKey *made = data;
    VirgaKeyPair key = made->key; /* as it was: adding changes it, and may be repeated */

    if (!virga_key_pair_add(txn, call->arena, &key, error) ||
        !ec2_tags_set(call, txn, key.id, &made->tags, error))
        return false;
    made->key.id = key.id;
    return true;
}

/* Whether the name is free, before a second of CPU is spent on a key for it. */
static bool
check_free(VirgaCall *call, const char *name, GError **error)
{
    const char *names[] = { name, NULL };
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    VirgaKeyPair *keys;
    size_t count;

    if (!txn ||
        !virga_key_pair_list(txn, call->arena, call->account_id, names, NULL, &keys, &count, error))
        return false;
    return count == 0 || virga_fail(error, "key pair", VIRGA_ERROR_EXISTS,
                                    "The keypair '%s' already exists.", name);
}

bool
ec2_create_key_pair(VirgaCall *call, const Ec2CreateKeyPairRequest *request,
                    Ec2CreateKeyPairResponse *response, GError **error)
{
    NewKey made = { .key = { .account_id = (char *) call->account_id,
                             .name = (char *) request->key_name } };
    const char *type = request->key_type ? request->key_type : "rsa";
    char *private_key;

    if (!check_name(request->key_name, error) ||
        !ec2_tags_for(call, &request->tag_specifications, "key-pair", &made.tags, error))
        return false;
    if (request->key_format && !g_str_equal(request->key_format, "pem"))
        return ec2_unsupported(error, "KeyFormat");
    if (!check_free(call, request->key_name, error) || !virga_call_dry_run(call, error) ||
        !virga_key_pair_generate(call->arena, type, &made.key, &private_key, error) ||
        !ec2_transaction(call, add, &made, error))
        return false;
    response->key_pair_id = made.key.id;
    response->key_name = made.key.name;
    response->key_fingerprint = made.key.fingerprint;
    response->key_material = private_key;
    response->tags = ec2_tags_shown(call, &made.tags);
    return true;
}

bool
ec2_import_key_pair(VirgaCall *call, const Ec2ImportKeyPairRequest *request,
                    Ec2ImportKeyPairResponse *response, GError **error)
{
    NewKey made = { .key = { .account_id = (char *) call->account_id,
                             .name = (char *) request->key_name } };

    if (!check_name(request->key_name, error) ||
        !ec2_tags_for(call, &request->tag_specifications, "key-pair", &made.tags, error) ||
        !virga_key_pair_parse(call->arena, request->public_key_material.data,
                              request->public_key_material.length, &made.key, error) ||
        !ec2_transaction(call, add, &made, error))
        return false;
    response->key_pair_id = made.key.id;
    response->key_name = made.key.name;
    response->key_fingerprint = made.key.fingerprint;
    response->tags = ec2_tags_shown(call, &made.tags);
    return true;
}

/* ---- describing ---- */

static void
show_key(const VirgaKeyPair *row, bool with_public_key, const Ec2Tags *tags, Ec2KeyPairInfo *shown)
{
    *shown = (Ec2KeyPairInfo){ .key_pair_id = row->id,
                               .key_name = row->name,
                               .key_type = row->type,
                               .key_fingerprint = row->fingerprint,
                               .public_key = with_public_key ? row->public_key : NULL,
                               .create_time = row->created,
                               .tags = ec2_tags_of(tags, row->id) };
}

static bool
read_keys(VirgaCall *call, const Ec2DescribeKeyPairsRequest *request, const char *const *ids,
          Ec2KeyPairList *list, GError **error)
{
    const char *const *names = ec2_strings(call, &request->key_names);
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    Ec2Tags tags;
    VirgaKeyPair *rows;
    size_t count;

    if (!txn ||
        !virga_key_pair_list(txn, call->arena, call->account_id, names, ids, &rows, &count,
                             error) ||
        !ec2_check_found(call, names, rows, count, sizeof *rows, offsetof(VirgaKeyPair, name),
                         "InvalidKeyPair.NotFound", "key pair", error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaKeyPair, id),
                         "InvalidKeyPair.NotFound", "key pair", error) ||
        !ec2_tags_read(call, txn, NULL, "key-pair", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2KeyPairInfo, count);
    for (; list->count < count; list->count++)
        show_key(&rows[list->count], request->include_public_key, &tags, &list->items[list->count]);
    return true;
}

bool
ec2_describe_key_pairs(VirgaCall *call, const Ec2DescribeKeyPairsRequest *request,
                       Ec2DescribeKeyPairsResponse *response, GError **error)
{
    const char *const *ids;
    VirgaFilter *filter;

    if (!ec2_ids(call, &request->key_pair_ids, "key", "InvalidKeyPairID.Malformed", &ids, error))
        return false;
    filter = virga_filter_new(call->arena, key_fields, &ec2_key_pair_info_shape, &request->filters,
                              error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_keys(call, request, ids, &response->key_pairs, error))
        return false;
    ec2_filter_list(EC2_LIST(&response->key_pairs), &ec2_key_pair_info_shape, filter, NULL, NULL);
    return true;
}

/* ---- deleting ---- */

typedef struct {
    const char *name, *id;
    char *deleted;
} Delete;

static bool
delete_key(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Delete *asked = data;

    return virga_key_pair_delete(txn, call->arena, call->account_id, asked->name, asked->id,
                                 &asked->deleted, error);
}

bool
ec2_delete_key_pair(VirgaCall *call, const Ec2DeleteKeyPairRequest *request,
                    Ec2DeleteKeyPairResponse *response, GError **error)
{
    Delete asked = { .name = request->key_name, .id = request->key_pair_id };

    if (!asked.name && !asked.id)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter KeyName or KeyPairId");
    if (asked.id && !virga_api_check_id(asked.id, "key", "InvalidKeyPairID.Malformed", error))
        return false;
    if (!ec2_transaction(call, delete_key, &asked, error))
        return false;
    response->return_ = response->has_return_ = true;
    response->key_pair_id = asked.deleted;
    return true;
}
