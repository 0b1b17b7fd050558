/* SPDX-License-Identifier: Apache-2.0 */
/* EnableEbsEncryptionByDefault, DisableEbsEncryptionByDefault, GetEbsEncryptionByDefault,
 * GetEbsDefaultKmsKeyId, ModifyEbsDefaultKmsKeyId, ResetEbsDefaultKmsKeyId.
 *
 * There is no KMS: the keys of volumes are the cloud's own (storage/volume-key.h).  An account sees
 * one key, which EC2 would have made for it. */
#include "encryption.h"

#include "storage/volume-key.h"

#define ALIAS "alias/aws/ebs"

/* A function of the account, as nothing else is known of that key. */
static const char *
key_uuid(const VirgaCall *call)
{
    g_autofree char *text = g_strconcat(ALIAS " ", call->account_id, NULL);
    g_autofree char *hash = g_compute_checksum_for_string(G_CHECKSUM_SHA256, text, -1);

    return virga_arena_printf(call->arena, "%.8s-%.4s-8%.3s-8%.3s-%.12s", hash, hash + 8, hash + 12,
                              hash + 15, hash + 18);
}

static const char *
arn_of(const VirgaCall *call, const char *resource)
{
    return virga_arena_printf(call->arena, "arn:aws:kms:%s:%s:%s", call->region, call->account_id,
                              resource);
}

const char *
ec2_kms_key(const VirgaCall *call)
{
    return arn_of(call, virga_arena_printf(call->arena, "key/%s", key_uuid(call)));
}

static bool
check_key(const VirgaCall *call, const char *id, GError **error)
{
    return g_str_equal(id, ALIAS) || g_str_equal(id, key_uuid(call)) ||
           g_str_equal(id, ec2_kms_key(call)) || g_str_equal(id, arn_of(call, ALIAS)) ||
           virga_api_fail(error, "InvalidParameterValue", 400,
                          "The KMS key '%.300s' does not exist: " ALIAS " is the only one", id);
}

bool
ec2_check_kms_key(const VirgaCall *call, bool encrypted, const char *kms_key_id, GError **error)
{
    if (!kms_key_id || !*kms_key_id)
        return true;
    if (!encrypted)
        return virga_api_fail(error, "InvalidParameterDependency", 400,
                              "The parameter KmsKeyId requires the parameter Encrypted to be set.");
    return check_key(call, kms_key_id, error);
}

bool
ec2_settle_encryption(VirgaCall *call, VirgaTxn *txn, bool asked, bool *ret, GError **error)
{
    *ret = asked;
    return asked || virga_encryption_default(txn, call->account_id, ret, error);
}

static bool
set_default(VirgaCall *call, VirgaTxn *txn, gpointer on, GError **error)
{
    return virga_encryption_set_default(txn, call->account_id, on != NULL, error);
}

bool
ec2_enable_ebs_encryption_by_default(VirgaCall *call,
                                     const Ec2EnableEbsEncryptionByDefaultRequest *request,
                                     Ec2EnableEbsEncryptionByDefaultResult *response,
                                     GError **error)
{
    response->ebs_encryption_by_default = response->has_ebs_encryption_by_default = true;
    return ec2_transaction(call, set_default, GINT_TO_POINTER(true), error);
}

bool
ec2_disable_ebs_encryption_by_default(VirgaCall *call,
                                      const Ec2DisableEbsEncryptionByDefaultRequest *request,
                                      Ec2DisableEbsEncryptionByDefaultResult *response,
                                      GError **error)
{
    response->has_ebs_encryption_by_default = true;
    return ec2_transaction(call, set_default, NULL, error);
}

bool
ec2_get_ebs_encryption_by_default(VirgaCall *call,
                                  const Ec2GetEbsEncryptionByDefaultRequest *request,
                                  Ec2GetEbsEncryptionByDefaultResult *response, GError **error)
{
    g_autoptr(VirgaTxn) txn =
        virga_call_dry_run(call, error) ? virga_db_read(call->db, error) : NULL;

    response->has_ebs_encryption_by_default = true;
    return txn && virga_encryption_default(txn, call->account_id,
                                           &response->ebs_encryption_by_default, error);
}

bool
ec2_get_ebs_default_kms_key_id(VirgaCall *call, const Ec2GetEbsDefaultKmsKeyIdRequest *request,
                               Ec2GetEbsDefaultKmsKeyIdResult *response, GError **error)
{
    response->kms_key_id = ALIAS;
    return virga_call_dry_run(call, error);
}

bool
ec2_modify_ebs_default_kms_key_id(VirgaCall *call,
                                  const Ec2ModifyEbsDefaultKmsKeyIdRequest *request,
                                  Ec2ModifyEbsDefaultKmsKeyIdResult *response, GError **error)
{
    response->kms_key_id = ec2_kms_key(call);
    return check_key(call, request->kms_key_id, error) && virga_call_dry_run(call, error);
}

bool
ec2_reset_ebs_default_kms_key_id(VirgaCall *call, const Ec2ResetEbsDefaultKmsKeyIdRequest *request,
                                 Ec2ResetEbsDefaultKmsKeyIdResult *response, GError **error)
{
    response->kms_key_id = ec2_kms_key(call);
    return virga_call_dry_run(call, error);
}
