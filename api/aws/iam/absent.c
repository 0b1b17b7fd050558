/* SPDX-License-Identifier: Apache-2.0 */
/* What a user of this cloud cannot have: passwords, second factors, SSH keys, certificates,
 * identity providers.  Clients ask for them before they delete a user, and are told that there are
 * none; whoever wants to make one is refused by the edge. */
#include "common.h"

static bool
fail_password(const VirgaCall *call, VirgaTxn *txn, const char *name, GError **error)
{
    VirgaIamEntity *user;

    return iam_find_user(call, txn, name, false, &user, error) &&
           iam_fail(error, "NoSuchEntity", 404, "Login Profile for User %s cannot be found.",
                    user->name);
}

IAM_ACTION(get_login_profile, GetLoginProfile)
{
    return fail_password(call, txn, request->user_name, error);
}

IAM_ACTION(delete_login_profile, DeleteLoginProfile)
{
    return fail_password(call, txn, request->user_name, error);
}

bool
iam_get_account_password_policy(VirgaCall *call, const IamGetAccountPasswordPolicyRequest *request,
                                IamGetAccountPasswordPolicyResponse *response, GError **error)
{
    return iam_fail(error, "NoSuchEntity", 404,
                    "The Password Policy with domain name %s cannot be found.", call->account_id);
}

/* The user must be there, if one is named. */
static bool
nothing_of(const VirgaCall *call, VirgaTxn *txn, const char *name, GError **error)
{
    VirgaIamEntity *user;

    return !name || iam_find_user(call, txn, name, false, &user, error);
}

#define EMPTY_PAGE(action, Action)                                                                 \
    IAM_ACTION(action, Action)                                                                     \
    {                                                                                              \
        response->has_is_truncated = true;                                                         \
        return nothing_of(call, txn, request->user_name, error);                                   \
    }

EMPTY_PAGE(list_mfa_devices, ListMFADevices)
EMPTY_PAGE(list_signing_certificates, ListSigningCertificates)
EMPTY_PAGE(list_ssh_public_keys, ListSSHPublicKeys)

IAM_ACTION(list_service_specific_credentials, ListServiceSpecificCredentials)
{
    return nothing_of(call, txn, request->user_name, error);
}

bool
iam_list_virtual_mfa_devices(VirgaCall *call, const IamListVirtualMFADevicesRequest *request,
                             IamListVirtualMFADevicesResponse *response, GError **error)
{
    response->has_is_truncated = true;
    return true;
}

bool
iam_list_open_id_connect_providers(VirgaCall *call,
                                   const IamListOpenIDConnectProvidersRequest *request,
                                   IamListOpenIDConnectProvidersResponse *response, GError **error)
{
    return true;
}

bool
iam_list_saml_providers(VirgaCall *call, const IamListSAMLProvidersRequest *request,
                        IamListSAMLProvidersResponse *response, GError **error)
{
    return true;
}
