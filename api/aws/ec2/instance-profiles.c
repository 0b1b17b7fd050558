/* SPDX-License-Identifier: Apache-2.0 */
/* Associations of instance profiles with instances. */
#include "instance-profiles.h"

#include "api/authorize.h"
#include "core/id.h"

bool
ec2_instance_profile(const VirgaCall *call, VirgaTxn *txn,
                     const Ec2IamInstanceProfileSpecification *specification, VirgaIamEntity **ret,
                     GError **error)
{
    static const VirgaCallKey keys[] = { { "iam:PassedToService", "ec2.amazonaws.com" },
                                         { NULL, NULL } };
    VirgaIamEntity *role;

    *ret = NULL;
    if (!specification)
        return true;
    if (!specification->arn == !specification->name)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameter 'iamInstanceProfile' must have either an ARN or a "
                              "name");
    return virga_instance_profile_find(txn, call->arena, call->account_id, specification->arn,
                                       specification->name, ret, &role, error) &&
           (!role || virga_call_authorize(call, "iam:PassRole", role->arn, keys, error));
}

static Ec2IamInstanceProfileAssociation
shown(const VirgaCall *call, const VirgaProfileAssociation *row, const char *state)
{
    Ec2IamInstanceProfile *profile = ec2_new(call, Ec2IamInstanceProfile);

    *profile = (Ec2IamInstanceProfile){ .arn = row->profile_arn, .id = row->profile_id };
    return (Ec2IamInstanceProfileAssociation){ .association_id = row->id,
                                               .instance_id = row->instance_id,
                                               .iam_instance_profile = profile,
                                               .state = state,
                                               .timestamp = row->since };
}

/* ---- changes ---- */

typedef struct {
    const Ec2IamInstanceProfileSpecification *profile;
    const char *instance_id, *association_id; /* one of both */
    VirgaProfileAssociation made;
} Change;

static bool
work(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Change *change = data;
    VirgaIamEntity *profile;

    if (!ec2_instance_profile(call, txn, change->profile, &profile, error))
        return false;
    return change->instance_id
               ? virga_instance_profile_associate(txn, call->arena, call->account_id,
                                                  change->instance_id, profile, &change->made,
                                                  error)
               : virga_instance_profile_replace(txn, call->arena, call->account_id,
                                                change->association_id, profile, &change->made,
                                                error);
}

static bool
run(VirgaCall *call, Change *change, const char *state, Ec2IamInstanceProfileAssociation **ret,
    GError **error)
{
    if (!ec2_transaction(call, work, change, error))
        return false;
    *ret = ec2_new(call, Ec2IamInstanceProfileAssociation);
    **ret = shown(call, &change->made, state);
    return true;
}

bool
ec2_associate_iam_instance_profile(VirgaCall *call,
                                   const Ec2AssociateIamInstanceProfileRequest *request,
                                   Ec2AssociateIamInstanceProfileResponse *response, GError **error)
{
    Change change = { .profile = request->iam_instance_profile,
                      .instance_id = request->instance_id };

    return virga_api_check_id(request->instance_id, "i", "InvalidInstanceID.Malformed", error) &&
           run(call, &change, "associating", &response->iam_instance_profile_association, error);
}

bool
ec2_disassociate_iam_instance_profile(VirgaCall *call,
                                      const Ec2DisassociateIamInstanceProfileRequest *request,
                                      Ec2DisassociateIamInstanceProfileResponse *response,
                                      GError **error)
{
    Change change = { .association_id = request->association_id };

    return run(call, &change, "disassociating", &response->iam_instance_profile_association, error);
}

bool
ec2_replace_iam_instance_profile_association(
    VirgaCall *call, const Ec2ReplaceIamInstanceProfileAssociationRequest *request,
    Ec2ReplaceIamInstanceProfileAssociationResponse *response, GError **error)
{
    Change change = { .profile = request->iam_instance_profile,
                      .association_id = request->association_id };

    return run(call, &change, "associating", &response->iam_instance_profile_association, error);
}

/* ---- describing ---- */

static const VirgaFilterField fields[] = {
    { "instance-id", "InstanceId" },
    { "state", "State" },
};

static bool
read_associations(VirgaCall *call, const char *const *ids, VirgaProfileAssociation **ret,
                  size_t *ret_count, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);

    return txn &&
           virga_instance_profile_list(txn, call->arena, call->account_id, ret, ret_count, error) &&
           ec2_check_found(call, ids, *ret, *ret_count, sizeof **ret,
                           offsetof(VirgaProfileAssociation, id), "InvalidAssociationID.NotFound",
                           "association ID", error);
}

bool
ec2_describe_iam_instance_profile_associations(
    VirgaCall *call, const Ec2DescribeIamInstanceProfileAssociationsRequest *request,
    Ec2DescribeIamInstanceProfileAssociationsResponse *response, GError **error)
{
    const char *const *ids = ec2_strings(call, &request->association_ids);
    Ec2IamInstanceProfileAssociationSet *list = &response->iam_instance_profile_associations;
    VirgaProfileAssociation *rows;
    VirgaFilter *filter;
    Ec2Page page;
    size_t count;

    if (!ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter = virga_filter_new(call->arena, fields, &ec2_iam_instance_profile_association_shape,
                              &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_associations(call, ids, &rows, &count, error))
        return false;
    list->items = ec2_array(call, Ec2IamInstanceProfileAssociation, count);
    for (size_t i = 0; i < count; i++)
        if (!ids || g_strv_contains(ids, rows[i].id))
            list->items[list->count++] = shown(call, &rows[i], "associated");
    ec2_answer(call, filter, &page, list, &ec2_iam_instance_profile_association_shape,
               Ec2IamInstanceProfileAssociation, association_id, &response->next_token);
    return true;
}
