/* SPDX-License-Identifier: Apache-2.0 */
/* What a launch has besides one new interface with one address: existing interfaces, further ones,
 * further addresses.  None of it is on the way of a plain launch. */
#include "launch-priv.h"

#include "compute/instance-network.h"
#include "core/id.h"
#include "network/interface-edit.h"
#include "network/security-group.h"
#include "network/subnet.h"

static const char sql_attach[] =
    "UPDATE network_interface SET instance_id = $2, device_index = $3, attachment_id = $4,"
    " attached = now(), delete_on_termination = $5, transition = NULL, force_detach = false"
    " WHERE id = $1";

bool
virga_launch_has_nics(const VirgaInstanceSpec *spec)
{
    return spec->interface_id || spec->nic_count || spec->secondaries || spec->secondary_count;
}

bool
virga_launch_first_subnet(VirgaTxn *txn, VirgaArena *arena, const VirgaInstanceSpec *spec,
                          const char **ret_subnet_id, GError **error)
{
    const char *ids[] = { spec->interface_id, NULL };
    VirgaInterface *row;
    size_t count;

    *ret_subnet_id = spec->subnet_id;
    if (!spec->interface_id)
        return true;
    if (!virga_interface_find(txn, arena, spec->account_id, ids, &row, &count, error))
        return false;
    if (count == 0)
        return virga_fail(error, "network interface", VIRGA_ERROR_NOT_FOUND,
                          "The networkInterface ID '%s' does not exist", spec->interface_id);
    *ret_subnet_id = row->subnet_id;
    return true;
}

/* ---- checks ---- */

static bool
check_count(const Launch *launch, gint64 addresses, GError **error)
{
    return addresses <= launch->type->addresses_max ||
           virga_fail(error, "private address", VIRGA_ERROR_QUOTA,
                      "%" G_GINT64_FORMAT " private addresses are more than the %" G_GINT64_FORMAT
                      " that an interface of %s may have",
                      addresses, launch->type->addresses_max, launch->type->name);
}

static bool
check_place(const Launch *launch, const char *zone, const char *vpc_id, GError **error)
{
    if (!g_str_equal(zone, launch->subnet->zone))
        return virga_fail(error, "network interface", VIRGA_ERROR_CONFLICT,
                          "You may not attach a network interface to an instance if they are not "
                          "in the same availability zone");
    return g_str_equal(vpc_id, launch->subnet->vpc_id) ||
           virga_fail(error, "network interface", VIRGA_ERROR_CONFLICT,
                      "All network interfaces of an instance must be in the same VPC");
}

static bool
check_existing(const Launch *launch, const char *id, GError **error)
{
    VirgaInterface interface;

    if (!virga_interface_lock(launch->txn, launch->arena, launch->spec->account_id, id, &interface,
                              error) ||
        !virga_interface_check_own(&interface, error))
        return false;
    if (interface.instance_id)
        return virga_fail(error, "network interface", VIRGA_ERROR_IN_USE, "Interface: [%s] in use.",
                          id);
    return check_place(launch, interface.zone, interface.vpc_id, error) &&
           check_count(launch, 1 + (gint64) interface.secondary_count, error);
}

static gint64
count_of(const char *const *secondaries, gint64 count)
{
    return 1 + count + (secondaries ? g_strv_length((char **) secondaries) : 0);
}

static bool
check_nic(const Launch *launch, const VirgaNicSpec *nic, GError **error)
{
    VirgaSubnet *subnet;

    if (nic->interface_id)
        return check_existing(launch, nic->interface_id, error);
    if (!check_count(launch, count_of(nic->secondaries, nic->secondary_count), error))
        return false;
    if (!nic->subnet_id)
        return true;
    subnet = virga_subnet_get(launch->txn, launch->arena, launch->spec->account_id, nic->subnet_id,
                              error);
    return subnet && check_place(launch, subnet->zone, subnet->vpc_id, error);
}

bool
virga_launch_check_nics(const Launch *launch, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;

    if ((gint64) spec->nic_count + 1 > launch->type->interfaces_max)
        return virga_fail(error, "network attachment", VIRGA_ERROR_QUOTA,
                          "Interface count %" G_GSIZE_FORMAT " exceeds the limit for %s",
                          spec->nic_count + 1, launch->type->name);
    if (spec->interface_id && !check_existing(launch, spec->interface_id, error))
        return false;
    if (!check_count(launch, count_of(spec->secondaries, spec->secondary_count), error))
        return false;
    for (size_t i = 0; i < spec->nic_count; i++)
        if (!check_nic(launch, &spec->nics[i], error))
            return false;
    return true;
}

/* ---- rows ---- */

static bool
attach(const Launch *launch, const char *id, const char *instance_id, gint64 device_index,
       bool delete_on_termination, GError **error)
{
    g_autofree char *attachment = virga_id_new("eni-attach");

    return virga_txn_post(launch->txn, error, sql_attach, "ssisb", id, instance_id, device_index,
                          attachment, delete_on_termination);
}

bool
virga_launch_attach_first(const Launch *launch, const char *instance_id, GError **error)
{
    return attach(launch, launch->spec->interface_id, instance_id, 0,
                  launch->spec->interface_delete_on_termination > 0, error);
}

/* The subnet is held alone. */
static bool
add_addresses(const Launch *launch, const char *id, const char *cidr,
              const char *const *secondaries, gint64 count, GError **error)
{
    VirgaInterface interface;
    char **addresses, **formers;

    if (!secondaries && count == 0)
        return true;
    return virga_interface_lock(launch->txn, launch->arena, launch->spec->account_id, id,
                                &interface, error) &&
           virga_interface_assign(launch->txn, launch->arena, &interface, cidr, secondaries, count,
                                  false, &addresses, &formers, error);
}

static bool
choose_groups(const Launch *launch, const VirgaNicSpec *nic, const char *const **ret,
              GError **error)
{
    const char *const names[] = { "default", NULL };
    VirgaSecurityGroup *groups;
    const char **ids;
    size_t count;

    *ret = nic->group_ids;
    if (nic->group_ids)
        return true;
    if (!virga_security_group_list(launch->txn, launch->arena, launch->spec->account_id, NULL,
                                   names, launch->subnet->vpc_id, &groups, &count, error))
        return false;
    ids = virga_arena_new_array(launch->arena, const char *, 2);
    ids[0] = count ? groups[0].id : NULL;
    *ret = ids;
    return true;
}

static bool
make_nic(const Launch *launch, const VirgaNicSpec *nic, const char *instance_id, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;
    VirgaInterfaceSpec made = { .account_id = spec->account_id,
                                .vpc_id = launch->subnet->vpc_id,
                                .subnet_id = launch->subnet->id,
                                .zone = launch->subnet->zone,
                                .cidr = launch->subnet->cidr,
                                .address = nic->address,
                                .instance_id = instance_id,
                                .device_index = nic->device_index,
                                .delete_on_termination = nic->delete_on_termination,
                                .description = nic->description };
    char *id;

    if (nic->subnet_id && !g_str_equal(nic->subnet_id, launch->subnet->id)) {
        VirgaSubnet *subnet =
            virga_subnet_get(launch->txn, launch->arena, spec->account_id, nic->subnet_id, error);

        if (!subnet)
            return false;
        made.subnet_id = subnet->id;
        made.cidr = subnet->cidr;
    }
    return choose_groups(launch, nic, &made.group_ids, error) &&
           virga_subnet_hold(launch->txn, made.subnet_id, true, error) &&
           virga_interface_create(launch->txn, launch->arena, &made, &id, error) &&
           add_addresses(launch, id, made.cidr, nic->secondaries, nic->secondary_count, error) &&
           virga_tag_set_first(launch->txn, spec->account_id, id, spec->interface_tags,
                               spec->interface_tag_count, error);
}

bool
virga_launch_add_nics(const Launch *launch, const char *instance_id, const char *first_id,
                      GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;

    if (!add_addresses(launch, first_id, launch->subnet->cidr, spec->secondaries,
                       spec->secondary_count, error))
        return false;
    for (size_t i = 0; i < spec->nic_count; i++) {
        const VirgaNicSpec *nic = &spec->nics[i];

        if (!(nic->interface_id ? attach(launch, nic->interface_id, instance_id, nic->device_index,
                                         nic->delete_on_termination, error)
                                : make_nic(launch, nic, instance_id, error)))
            return false;
    }
    return true;
}
