/* SPDX-License-Identifier: Apache-2.0 */
/* What only the host of an instance can do, while the caller waits: GetConsoleScreenshot,
 * SendDiagnosticInterrupt, and GetConsoleOutput if it shall be the latest. */
#include "instance-view.h"

#include "compute/question.h"

/* The caller's instance, which must be running. */
static bool
find_running(VirgaCall *call, const char *id, VirgaInstance **ret, GError **error)
{
    const char *ids[] = { id, NULL };
    g_autoptr(VirgaTxn) txn = NULL;
    size_t count;

    if (!virga_api_check_id(id, "i", "InvalidInstanceID.Malformed", error))
        return false;
    txn = virga_db_read(call->db, error);
    if (!txn || !ec2_instances_find(call, txn, ids, ret, &count, error))
        return false;
    return ((*ret)->state == VIRGA_INSTANCE_RUNNING && (*ret)->host_id) ||
           virga_api_fail(error, "IncorrectInstanceState", 400,
                          "The instance '%s' is not in the 'running' state.", id);
}

bool
ec2_get_console_screenshot(VirgaCall *call, const Ec2GetConsoleScreenshotRequest *request,
                           Ec2GetConsoleScreenshotResponse *response, GError **error)
{
    VirgaInstance *row;
    char *picture;

    if (!find_running(call, request->instance_id, &row, error) ||
        !virga_call_dry_run(call, error) ||
        !virga_question_ask(call->db, call->arena, row->host_id, row->id, VIRGA_QUESTION_SCREENSHOT,
                            &picture, error))
        return false;
    response->instance_id = row->id;
    response->image_data = picture; /* WakeUp: these guests' screens do not sleep */
    return true;
}

bool
ec2_send_diagnostic_interrupt(VirgaCall *call, const Ec2SendDiagnosticInterruptRequest *request,
                              Ec2SendDiagnosticInterruptResponse *response, GError **error)
{
    VirgaInstance *row;
    char *answer;

    return find_running(call, request->instance_id, &row, error) &&
           virga_call_dry_run(call, error) &&
           virga_question_ask(call->db, call->arena, row->host_id, row->id, VIRGA_QUESTION_NMI,
                              &answer, error);
}

/* What a host has told lies in the database; of a running guest it can be asked anew. */
bool
ec2_get_console_output(VirgaCall *call, const Ec2GetConsoleOutputRequest *request,
                       Ec2GetConsoleOutputResponse *response, GError **error)
{
    const char *ids[] = { request->instance_id, NULL };
    g_autoptr(VirgaTxn) txn = NULL;
    VirgaInstance *row;
    char *console;
    size_t count;

    if (!virga_api_check_id(request->instance_id, "i", "InvalidInstanceID.Malformed", error))
        return false;
    txn = virga_db_read(call->db, error);
    if (!txn || !ec2_instances_find(call, txn, ids, &row, &count, error) ||
        !virga_instance_console(txn, call->arena, call->account_id, row->id, &console,
                                &response->timestamp, error) ||
        !virga_call_dry_run(call, error))
        return false;
    g_clear_pointer(&txn, virga_txn_free);
    if (request->latest && row->state == VIRGA_INSTANCE_RUNNING && row->host_id) {
        if (!virga_question_ask(call->db, call->arena, row->host_id, row->id,
                                VIRGA_QUESTION_CONSOLE, &console, error))
            return false;
        response->timestamp = g_get_real_time();
    }
    response->instance_id = row->id;
    response->output = console; /* base64 already */
    return true;
}
