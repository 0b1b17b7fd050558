/* SPDX-License-Identifier: Apache-2.0 */
/* What a launch names, looked up: its image, key, subnet and groups, and the hosts. */
#include "launch-priv.h"

#include "compute/host.h"
#include "network/security-group.h"
#include "network/subnet.h"

#include <string.h>

static const char sql_key[] = "SELECT public_key FROM key_pair WHERE account_id = $1 AND name = $2";

static bool
receive_key(Launch *launch, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;
    g_autoptr(VirgaRows) rows = NULL;

    if (!spec->key_name)
        return true;
    rows = virga_txn_receive(launch->txn, error);
    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "key pair", VIRGA_ERROR_NOT_FOUND,
                          "The key pair '%s' does not exist", spec->key_name);
    launch->public_key = virga_rows_dup(rows, launch->arena, 0, 0);
    return true;
}

static bool
receive_hosts(Launch *launch, GError **error)
{
    VirgaHost *hosts;

    if (!virga_host_list_receive(launch->txn, launch->arena, &hosts, &launch->host_count, error))
        return false;
    launch->hosts = virga_host_places(launch->arena, hosts, launch->host_count);
    return true;
}

/* How well a launch would go in a zone: 2 there is room, 1 there are hosts, 0 there are none. */
static int
rank_zone(const Launch *launch, const char *zone)
{
    VirgaPlaceRequest request = virga_launch_place_request(launch, zone);

    if (virga_place(&request, launch->hosts, launch->host_count))
        return 2;
    for (size_t i = 0; i < launch->host_count; i++)
        if (g_str_equal(launch->hosts[i].zone, zone))
            return 1;
    return 0;
}

/* The subnet that was named, or the default one in the best zone. */
static bool
receive_subnet(Launch *launch, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;
    VirgaSubnet *subnets;
    int best = -1;
    size_t count;

    if (!virga_subnet_candidates_receive(launch->txn, launch->arena, &subnets, &count, error))
        return false;
    for (size_t i = 0; i < count; i++) {
        int rank = rank_zone(launch, subnets[i].zone);

        if (rank > best) {
            launch->subnet = &subnets[i];
            best = rank;
        }
    }
    if (!launch->subnet && launch->subnet_id)
        return virga_fail(error, "subnet", VIRGA_ERROR_NOT_FOUND,
                          "The subnet ID '%s' does not exist", launch->subnet_id);
    if (!launch->subnet)
        return virga_fail(error, "launch subnet", VIRGA_ERROR_NOT_FOUND,
                          spec->zone ? "No default subnet for availability zone: '%s'."
                                     : "No default subnet%s: please specify a subnet.",
                          spec->zone ? spec->zone : "");
    if (spec->zone && !g_str_equal(spec->zone, launch->subnet->zone))
        return virga_fail(error, "instance", VIRGA_ERROR_INVALID,
                          "The subnet '%s' is in zone '%s', not in '%s'", launch->subnet->id,
                          launch->subnet->zone, spec->zone);
    return true;
}

/* Adds a group unless it is there: a group may be named twice, also by id and by name. */
static void
add_group(const char **ids, size_t *count, const char *id)
{
    for (size_t i = 0; i < *count; i++)
        if (g_str_equal(ids[i], id))
            return;
    ids[(*count)++] = id;
}

static const VirgaSecurityGroup *
group_named(const VirgaSecurityGroup *groups, size_t count, const char *vpc_id, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (g_str_equal(groups[i].name, name) && g_str_equal(groups[i].vpc_id, vpc_id))
            return &groups[i];
    return NULL;
}

/* The names that have to be looked up: none given at all means the group "default". */
static const char *const *
group_names(const VirgaInstanceSpec *spec)
{
    static const char *const default_name[] = { "default", NULL };
    static const char *const nothing[] = { NULL };

    if (spec->group_names && *spec->group_names)
        return spec->group_names;
    return spec->group_ids && *spec->group_ids ? nothing : default_name;
}

/* Ids as given (the interface checks them), names in the subnet's VPC. */
static bool
receive_groups(Launch *launch, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;
    const char *const *names = group_names(spec), *const *ids = spec->group_ids;
    size_t named = ids ? g_strv_length((char **) ids) : 0, found = 0, count = 0;
    VirgaSecurityGroup *groups;
    const char **all;

    if (!virga_security_group_list_receive(launch->txn, launch->arena, &groups, &found, error))
        return false;
    named += g_strv_length((char **) names);
    all = virga_arena_new_array(launch->arena, const char *, named + 1);
    for (; ids && *ids; ids++)
        add_group(all, &count, *ids);
    for (; *names; names++) {
        const VirgaSecurityGroup *group =
            group_named(groups, found, launch->subnet->vpc_id, *names);

        if (!group)
            return virga_fail(error, "security group", VIRGA_ERROR_NOT_FOUND,
                              "The security group '%s' does not exist in VPC '%s'", *names,
                              launch->subnet->vpc_id);
        add_group(all, &count, group->id);
    }
    if (count > VIRGA_GROUPS_PER_INTERFACE_MAX)
        return virga_fail(error, "security group", VIRGA_ERROR_QUOTA,
                          "The maximum number of security groups per interface is %d",
                          VIRGA_GROUPS_PER_INTERFACE_MAX);
    launch->group_ids = all;
    return true;
}

static bool
receive_image(Launch *launch, GError **error)
{
    VirgaImage *image;

    if (!virga_image_launchable_receive(launch->txn, launch->arena, &image, error))
        return false;
    if (!image)
        return virga_fail(error, "image", VIRGA_ERROR_NOT_FOUND,
                          "The image id '[%s]' does not exist", launch->spec->image_id);
    if (!g_str_equal(image->state, "available"))
        return virga_fail(error, "image", VIRGA_ERROR_STATE, "The image ID '%s' is not available",
                          image->id);
    launch->image = image;
    launch->encrypts = image->encrypts;
    return true;
}

bool
virga_launch_ask_send(const Launch *launch, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;
    VirgaTxn *txn = launch->txn;

    return virga_image_launchable_send(txn, spec->account_id, spec->image_id, error) &&
           (!spec->key_name ||
            virga_txn_send(txn, error, sql_key, "ss", spec->account_id, spec->key_name)) &&
           virga_host_list_send(txn, error) &&
           virga_subnet_candidates_send(txn, spec->account_id, launch->subnet_id, spec->zone,
                                        error) &&
           virga_security_group_list_send(txn, spec->account_id, NULL, group_names(spec), NULL,
                                          error);
}

/* In the order of virga_launch_ask_send(). */
bool
virga_launch_ask_receive(Launch *launch, GError **error)
{
    return receive_image(launch, error) && receive_key(launch, error) &&
           receive_hosts(launch, error) && receive_subnet(launch, error) &&
           receive_groups(launch, error) && virga_launch_find_disks(launch, error);
}
