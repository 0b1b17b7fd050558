/* SPDX-License-Identifier: Apache-2.0 */
/* Start, stop, reboot and terminate instances; their console. */
#include "instance-view.h"

#include "core/limits.h"

bool
ec2_instance_ids(const VirgaCall *call, const Ec2InstanceIdStringList *list,
                 const char *const **ret_ids, GError **error)
{
    if (list->count == 0)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter InstanceId");
    if (list->count > VIRGA_INSTANCES_PER_CALL_MAX)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "A request can name at most %d instances",
                              VIRGA_INSTANCES_PER_CALL_MAX);
    return ec2_ids(call, list, "i", "InvalidInstanceID.Malformed", ret_ids, error);
}

static Ec2InstanceStateChangeList
show_changes(const VirgaCall *call, const char *const *ids, const VirgaInstanceChange *changes)
{
    size_t count = g_strv_length((char **) ids);
    Ec2InstanceStateChangeList list = { ec2_array(call, Ec2InstanceStateChange, count), count };

    for (size_t i = 0; i < count; i++)
        list.items[i] =
            (Ec2InstanceStateChange){ .instance_id = changes[i].id,
                                      .current_state = ec2_instance_state(call, changes[i].after),
                                      .previous_state =
                                          ec2_instance_state(call, changes[i].before) };
    return list;
}

bool
ec2_start_instances(VirgaCall *call, const Ec2StartInstancesRequest *request,
                    Ec2StartInstancesResponse *response, GError **error)
{
    const char *const *ids;
    VirgaInstanceChange *changes;

    if (!ec2_instance_ids(call, &request->instance_ids, &ids, error) ||
        !virga_instance_start(call->db, call->arena, call->account_id, ids, call->dry_run, &changes,
                              error) ||
        !virga_call_dry_run(call, error))
        return false;
    response->starting_instances = show_changes(call, ids, changes);
    return true;
}

bool
ec2_stop_instances(VirgaCall *call, const Ec2StopInstancesRequest *request,
                   Ec2StopInstancesResponse *response, GError **error)
{
    const char *const *ids;
    VirgaInstanceChange *changes;

    if (!ec2_instance_ids(call, &request->instance_ids, &ids, error))
        return false;
    if (request->hibernate)
        return virga_api_fail(error, "UnsupportedHibernationConfiguration", 400,
                              "The instances are not configured for hibernation");
    if (!virga_instance_stop(call->db, call->arena, call->account_id, ids,
                             request->force || request->skip_os_shutdown, call->dry_run, &changes,
                             error) ||
        !virga_call_dry_run(call, error))
        return false;
    response->stopping_instances = show_changes(call, ids, changes);
    return true;
}

bool
ec2_terminate_instances(VirgaCall *call, const Ec2TerminateInstancesRequest *request,
                        Ec2TerminateInstancesResponse *response, GError **error)
{
    const char *const *ids;
    VirgaInstanceChange *changes;

    if (!ec2_instance_ids(call, &request->instance_ids, &ids, error) ||
        !virga_instance_terminate(call->db, call->arena, call->account_id, ids, call->dry_run,
                                  &changes, error) ||
        !virga_call_dry_run(call, error))
        return false;
    response->terminating_instances = show_changes(call, ids, changes);
    return true;
}

bool
ec2_reboot_instances(VirgaCall *call, const Ec2RebootInstancesRequest *request,
                     Ec2RebootInstancesResponse *response, GError **error)
{
    const char *const *ids;

    return ec2_instance_ids(call, &request->instance_ids, &ids, error) &&
           virga_instance_reboot(call->db, call->account_id, ids, call->dry_run, error) &&
           virga_call_dry_run(call, error);
}

/* Guests would post it on their console, encrypted with the key pair: only Windows ones do. */
bool
ec2_get_password_data(VirgaCall *call, const Ec2GetPasswordDataRequest *request,
                      Ec2GetPasswordDataResponse *response, GError **error)
{
    g_autoptr(VirgaTxn) txn = NULL;
    char *console;

    if (!virga_api_check_id(request->instance_id, "i", "InvalidInstanceID.Malformed", error))
        return false;
    txn = virga_db_read(call->db, error);
    if (!txn ||
        !virga_instance_console(txn, call->arena, call->account_id, request->instance_id, &console,
                                &response->timestamp, error) ||
        !virga_call_dry_run(call, error))
        return false;
    response->instance_id = request->instance_id;
    response->password_data = "";
    return true;
}
