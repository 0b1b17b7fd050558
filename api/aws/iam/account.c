/* SPDX-License-Identifier: Apache-2.0 */
/* The account: its alias, what it has and may have. */
#include "common.h"

#include "core/limits.h"

IAM_ACTION(create_account_alias, CreateAccountAlias)
{
    return virga_iam_alias_set(txn, call->account_id, request->account_alias, error);
}

IAM_ACTION(delete_account_alias, DeleteAccountAlias)
{
    return virga_iam_alias_unset(txn, call->account_id, request->account_alias, error);
}

IAM_ACTION(list_account_aliases, ListAccountAliases)
{
    char *alias;

    if (!virga_iam_alias(txn, call->arena, call->account_id, &alias, error))
        return false;
    response->account_aliases.items = iam_array(call, const char *, 1);
    if (alias)
        response->account_aliases.items[response->account_aliases.count++] = alias;
    response->has_is_truncated = true;
    return true;
}

IAM_ACTION(get_account_summary, GetAccountSummary)
{
    gint64 counts[VIRGA_IAM_POLICY + 1];
    const struct {
        const char *key;
        gint64 value;
    } facts[] = {
        { "AccessKeysPerUserQuota", VIRGA_IAM_KEYS_MAX },
        { "AccountAccessKeysPresent", 1 },
        { "AccountMFAEnabled", 0 },
        { "AccountSigningCertificatesPresent", 0 },
        { "AssumeRolePolicySizeQuota", 2048 },
        { "AttachedPoliciesPerGroupQuota", 10 },
        { "AttachedPoliciesPerRoleQuota", 10 },
        { "AttachedPoliciesPerUserQuota", 10 },
        { "GroupPolicySizeQuota", 5120 },
        { "GroupsPerUserQuota", 10 },
        { "GroupsQuota", 300 },
        { "InstanceProfilesQuota", 1000 },
        { "MFADevices", 0 },
        { "MFADevicesInUse", 0 },
        { "PoliciesQuota", 1500 },
        { "PolicySizeQuota", 6144 },
        { "Providers", 0 },
        { "RolePolicySizeQuota", 10240 },
        { "RolesQuota", 1000 },
        { "ServerCertificates", 0 },
        { "UserPolicySizeQuota", 2048 },
        { "UsersQuota", 5000 },
        { "VersionsPerPolicyQuota", VIRGA_IAM_VERSIONS_MAX },
    };
    static const char *const names[] = { [VIRGA_IAM_USER] = "Users",
                                         [VIRGA_IAM_GROUP] = "Groups",
                                         [VIRGA_IAM_ROLE] = "Roles",
                                         [VIRGA_IAM_INSTANCE_PROFILE] = "InstanceProfiles",
                                         [VIRGA_IAM_POLICY] = "Policies" };
    IamSummaryMapType *map = &response->summary_map;

    if (!virga_iam_count(txn, call->account_id, counts, error))
        return false;
    map->items = iam_array(call, IamSummaryMapTypeEntry, G_N_ELEMENTS(facts) + G_N_ELEMENTS(names));
    for (size_t i = 0; i < G_N_ELEMENTS(facts); i++)
        map->items[map->count++] =
            (IamSummaryMapTypeEntry){ facts[i].key, facts[i].value, .has_value = true };
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++)
        map->items[map->count++] =
            (IamSummaryMapTypeEntry){ names[i], counts[i], .has_value = true };
    return true;
}
