/* SPDX-License-Identifier: Apache-2.0 */
/* Interfaces that come to instances and leave them.
 *
 *     wish             instance         transition    ends when
 *     attach           running          attaching     its host says that it is plugged in
 *     attach           stopped          none          at once: the next start has it
 *     detach           on its host      detaching     its host says that it is not, or it is off
 *     detach           stopped          none          at once
 *
 * Each state is a row; hosts repeat their facts, so that none is lost with a daemon. */
#include "instance-priv.h"

#include "compute/instance-network.h"
#include "compute/instance-type.h"
#include "core/id.h"
#include "network/interface-edit.h"
#include "network/vpc.h"

static const char sql_type[] = "SELECT type FROM instance WHERE id = $1";
static const char sql_attached[] =
    "SELECT count(*), coalesce(bool_or(device_index = $2), false) FROM network_interface"
    " WHERE instance_id = $1";
static const char sql_attach[] =
    "UPDATE network_interface SET instance_id = $2, device_index = $3, attachment_id = $4,"
    " attached = now(), delete_on_termination = $5, transition = $6, force_detach = false"
    " WHERE id = $1";
static const char sql_find[] =
    "SELECT id, requester_id FROM network_interface WHERE attachment_id = $1 AND account_id = $2";
static const char sql_detaching[] =
    "UPDATE network_interface SET transition = 'detaching', force_detach = force_detach OR $2"
    " WHERE id = $1";
#define DETACHED                                                                                   \
    "UPDATE network_interface SET instance_id = NULL, device_index = NULL, attachment_id = NULL,"  \
    " former_attachment_id = attachment_id, attached = NULL, transition = NULL, force_detach = "   \
    "false, wants_public = false"
static const char sql_detach[] = DETACHED " WHERE id = $1";
static const char sql_plugged[] =
    "UPDATE network_interface SET transition = NULL WHERE instance_id = $1"
    " AND transition = 'attaching' AND ($2::text[] IS NULL OR id = ANY ($2))";
static const char sql_unplugged[] =
    DETACHED " WHERE instance_id = $1 AND transition = 'detaching'"
             " AND ($2::text[] IS NULL OR NOT id = ANY ($2)) RETURNING vpc_id";

static bool
fail_addresses(const char *type, gint64 maximum, gint64 count, GError **error)
{
    return virga_fail(error, "private address", VIRGA_ERROR_QUOTA,
                      "Number of private addresses will exceed limit: %" G_GINT64_FORMAT
                      " are more than the %" G_GINT64_FORMAT " of %s",
                      count, maximum, type);
}

bool
virga_interface_check_addresses(VirgaTxn *txn, const VirgaConfig *config,
                                const VirgaInterface *interface, gint64 count, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;
    const VirgaInstanceType *type;

    if (!interface->instance_id)
        return count <= VIRGA_INTERFACE_ADDRESSES_MAX ||
               fail_addresses("a network interface", VIRGA_INTERFACE_ADDRESSES_MAX, count, error);
    rows = virga_txn_query(txn, error, sql_type, "s", interface->instance_id);
    if (!rows)
        return false;
    type = virga_rows_count(rows) ? virga_instance_type_find(config, virga_rows_text(rows, 0, 0))
                                  : NULL;
    return !type || count <= type->addresses_max ||
           fail_addresses(type->name, type->addresses_max, count, error);
}

static bool
check_interface(const VirgaInterface *interface, const VirgaInstance *instance, GError **error)
{
    if (!virga_interface_check_own(interface, error))
        return false;
    if (interface->instance_id)
        return virga_fail(error, "network interface", VIRGA_ERROR_IN_USE, "Interface: [%s] in use.",
                          interface->id);
    if (!g_str_equal(interface->zone, instance->zone))
        return virga_fail(error, "network interface", VIRGA_ERROR_CONFLICT,
                          "You may not attach a network interface to an instance if they are not "
                          "in the same availability zone");
    return g_str_equal(interface->vpc_id, instance->vpc_id) ||
           virga_fail(error, "network interface", VIRGA_ERROR_CONFLICT,
                      "The network interface '%s' and the instance '%s' are not in the same VPC",
                      interface->id, instance->id);
}

static bool
check_instance(const VirgaInstance *instance, GError **error)
{
    return instance->state == VIRGA_INSTANCE_RUNNING || instance->state == VIRGA_INSTANCE_STOPPED ||
           virga_fail(error, "instance", VIRGA_ERROR_STATE,
                      "Instance '%s' is not 'running' or 'stopped'.", instance->id);
}

/* What its type still allows. */
static bool
check_room(VirgaTxn *txn, const VirgaConfig *config, const VirgaInterface *interface,
           const VirgaInstance *instance, gint64 device_index, GError **error)
{
    const VirgaInstanceType *type = virga_instance_type_find(config, instance->type);
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_attached, "si", instance->id, device_index);
    gint64 count;

    if (!rows)
        return false;
    if (virga_rows_bool(rows, 0, 1))
        return virga_fail(error, "network interface", VIRGA_ERROR_INVALID,
                          "Instance '%s' already has an interface attached at device index "
                          "'%" G_GINT64_FORMAT "'.",
                          instance->id, device_index);
    count = virga_rows_int(rows, 0, 0) + 1;
    if (!type)
        return true; /* the configuration no longer has it */
    if (count > type->interfaces_max)
        return virga_fail(error, "network attachment", VIRGA_ERROR_QUOTA,
                          "Interface count %" G_GINT64_FORMAT " exceeds the limit for %s", count,
                          type->name);
    return (gint64) interface->secondary_count + 1 <= type->addresses_max ||
           fail_addresses(type->name, type->addresses_max, (gint64) interface->secondary_count + 1,
                          error);
}

bool
virga_interface_attach(VirgaTxn *txn, VirgaArena *arena, const VirgaConfig *config,
                       const char *account_id, const char *interface_id, const char *instance_id,
                       gint64 device_index, char **ret_attachment_id, GError **error)
{
    const char *ids[] = { instance_id, NULL }, *changed[] = { interface_id, NULL };
    g_autofree char *attachment = virga_id_new("eni-attach");
    VirgaInterface interface;
    VirgaInstance *instance;
    size_t count;

    if (!virga_instance_lock(txn, arena, account_id, ids, &instance, &count, error) ||
        !virga_interface_lock(txn, arena, account_id, interface_id, &interface, error) ||
        !check_instance(instance, error) || !check_interface(&interface, instance, error) ||
        !check_room(txn, config, &interface, instance, device_index, error))
        return false;
    *ret_attachment_id = virga_arena_strdup(arena, attachment);
    return virga_txn_run(txn, error, NULL, sql_attach, "ssisbs", interface_id, instance_id,
                         device_index, attachment, false,
                         instance->state == VIRGA_INSTANCE_RUNNING ? "attaching" : NULL) &&
           virga_event_add(txn, error, instance_id, "network interface %s to be attached",
                           interface_id) &&
           virga_interface_changed(txn, changed, error);
}

static bool
fail_attachment(const char *attachment_id, GError **error)
{
    return virga_fail(error, "network attachment", VIRGA_ERROR_NOT_FOUND,
                      "The interface attachment '%s' does not exist", attachment_id);
}

/* The interface and its instance, both locked. */
static bool
lock_attachment(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *attachment_id,
                VirgaInterface *ret, VirgaInstance **ret_instance, GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_find, "ss", attachment_id, account_id);
    const char *ids[] = { NULL, NULL };
    size_t count;

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return fail_attachment(attachment_id, error);
    if (!virga_rows_is_null(rows, 0, 1))
        return virga_fail(error, "network attachment", VIRGA_ERROR_DENIED,
                          "You are not allowed to manage '%s' attachments.", attachment_id);
    if (!virga_interface_lock(txn, arena, account_id, virga_rows_text(rows, 0, 0), ret, error))
        return false;
    if (g_strcmp0(ret->attachment_id, attachment_id) != 0) /* it went while we waited */
        return fail_attachment(attachment_id, error);
    ids[0] = ret->instance_id;
    return virga_instance_lock(txn, arena, account_id, ids, ret_instance, &count, error);
}

bool
virga_interface_detach(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                       const char *attachment_id, bool force, GError **error)
{
    const char *changed[] = { NULL, NULL };
    VirgaInterface interface;
    VirgaInstance *instance;

    if (!lock_attachment(txn, arena, account_id, attachment_id, &interface, &instance, error))
        return false;
    if (interface.device_index == 0)
        return virga_fail(error, "network attachment", VIRGA_ERROR_DENIED,
                          "The network interface at device index 0 cannot be detached.");
    if (instance->wish == VIRGA_WISH_TERMINATE)
        return virga_fail(error, "instance", VIRGA_ERROR_STATE,
                          "Instance '%s' is not 'running' or 'stopped'.", instance->id);
    changed[0] = interface.id;
    if (!virga_event_add(txn, error, instance->id, "network interface %s to be detached%s",
                         interface.id, force ? " by force" : ""))
        return false;
    if (instance->state != VIRGA_INSTANCE_STOPPED)
        return virga_txn_run(txn, error, NULL, sql_detaching, "sb", interface.id, force) &&
               virga_interface_changed(txn, changed, error);
    /* Its host hears of it while the row still says which one that is. */
    return virga_interface_changed(txn, changed, error) &&
           virga_txn_run(txn, error, NULL, sql_detach, "s", interface.id);
}

bool
virga_interface_settle(VirgaTxn *txn, VirgaArena *arena, const char *instance_id,
                       const char *const *plugged, char **ret_vpc_id, GError **error)
{
    g_autoptr(VirgaRows) gone = NULL;

    if (!virga_txn_run(txn, error, NULL, sql_plugged, "sa", instance_id, plugged))
        return false;
    gone = virga_txn_query(txn, error, sql_unplugged, "sa", instance_id, plugged);
    if (!gone)
        return false;
    *ret_vpc_id = virga_rows_count(gone) ? virga_rows_dup(gone, arena, 0, 0) : NULL;
    return true;
}
