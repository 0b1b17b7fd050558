/* SPDX-License-Identifier: Apache-2.0 */
/* Launching: every row and every claim of a call in one transaction. */
#include "instance-priv.h"
#include "launch-priv.h"

#include "compute/host.h"
#include "compute/instance-profile.h"
#include "core/id.h"
#include "core/limits.h"
#include "core/quota.h"
#include "network/vpc.h"

#include <string.h>

#define ATTEMPTS_MAX 8 /* of a transaction that lost a race */

static const char sql_token[] =
    "INSERT INTO client_token (account_id, action, token, digest, resource_id)"
    " VALUES ($1, 'RunInstances', $2, $3, $4) ON CONFLICT DO NOTHING RETURNING token";
static const char sql_token_get[] =
    "SELECT digest, resource_id FROM client_token"
    " WHERE account_id = $1 AND action = 'RunInstances' AND token = $2";
static const char sql_insert[] =
    "INSERT INTO instance (id, account_id, reservation_id, launch_index, client_token, "
    "image_id,"
    " type, vcpus, memory_mib, architecture, boot_mode, root_device_name, zone, vpc_id, subnet_id,"
    " key_name, public_key, user_data, shutdown_behavior, disable_termination, disable_stop,"
    " ebs_optimized, monitoring, http_tokens, http_endpoint, http_hops, http_tags, wish,"
    " generation, state, host_id, claimed, cpu_credits,"
    " placement_group_id, placement_group, partition, bandwidth_mbit) VALUES ($1, $2, $3, $4, $5, "
    "$6, $7, $8, "
    "$9, $10, $11,"
    " $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, 'run',"
    " (SELECT generation FROM host WHERE id = $28), 'pending', $28, true, $29, $30, $31, $32, $33)"
    " RETURNING " VIRGA_SQL_TIME("launched");

VirgaPlaceRequest
virga_launch_place_request(const Launch *launch, const char *zone)
{
    return (VirgaPlaceRequest){ .zone = zone,
                                .vcpus = launch->type->vcpus,
                                .memory_mib = launch->type->memory_mib,
                                .disk_gib = 1 };
}

static bool
fail_capacity(const Launch *launch, GError **error)
{
    VirgaPlaceRequest request = virga_launch_place_request(launch, launch->subnet->zone);
    g_autofree char *why = virga_place_explain(&request, launch->hosts, launch->host_count);

    return virga_fail(error, "instance", VIRGA_ERROR_CAPACITY,
                      "There is not enough capacity for %" G_GINT64_FORMAT " x %s in %s. %s",
                      launch->spec->count_min, launch->type->name, launch->subnet->zone, why);
}

static bool
join_group(Launch *launch, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;

    if (!spec->placement_group_id && !spec->placement_group)
        return true;
    launch->placement =
        virga_placement_join(launch->txn, launch->arena, spec->account_id, spec->placement_group_id,
                             spec->placement_group, spec->partition, spec->count_max, error);
    return launch->placement != NULL;
}

static VirgaPlaceHost *
choose_host(const Launch *launch, const VirgaPlaceRequest *request, gint64 *ret_partition)
{
    *ret_partition = 0;
    return (VirgaPlaceHost *) (launch->placement
                                   ? virga_placement_choose(launch->placement, request,
                                                            launch->hosts, launch->host_count,
                                                            ret_partition)
                                   : virga_place(request, launch->hosts, launch->host_count));
}

/* Chooses a host for each instance, by what the hosts looked like: the claims decide. */
static bool
place_all(Launch *launch, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;
    VirgaPlaceRequest request = virga_launch_place_request(launch, launch->subnet->zone);

    launch->launched = virga_arena_new_array(launch->arena, Launched, (size_t) spec->count_max);
    for (launch->count = 0; launch->count < (size_t) spec->count_max; launch->count++) {
        g_autofree char *id = virga_id_new("i");
        gint64 partition;
        VirgaPlaceHost *host = choose_host(launch, &request, &partition);

        if (!host)
            break;
        if (launch->placement)
            virga_placement_add(launch->placement, host->id, partition);
        host->vcpus_claimed += request.vcpus;
        host->memory_claimed_mib += request.memory_mib;
        launch->launched[launch->count] = (Launched){ .id = virga_arena_strdup(launch->arena, id),
                                                      .host = host,
                                                      .partition = partition };
    }
    return launch->count >= (size_t) spec->count_min || fail_capacity(launch, error);
}

static gint64
count_on(const Launch *launch, const VirgaPlaceHost *host)
{
    gint64 count = 0;

    for (size_t i = 0; i < launch->count; i++)
        count += launch->launched[i].host == host;
    return count;
}

/* In the order of the hosts' ids, which is every launch's. */
static bool
send_claims(Launch *launch, GError **error)
{
    for (size_t i = 0; i < launch->host_count; i++) {
        const VirgaPlaceHost *host = &launch->hosts[i];
        gint64 count = count_on(launch, host);

        if (count && !virga_host_claim_send(launch->txn, host->id, count * launch->type->vcpus,
                                            count * launch->type->memory_mib, error))
            return false;
    }
    return true;
}

static bool
receive_claims(Launch *launch, GError **error)
{
    for (size_t i = 0; i < launch->host_count; i++) {
        gint64 generation;

        if (count_on(launch, &launch->hosts[i]) == 0)
            continue;
        if (!virga_host_claim_receive(launch->txn, &generation, error))
            return false;
        if (!generation) /* another launch took the room: look again */
            return virga_fail(error, "database", VIRGA_ERROR_RETRY,
                              "could not claim room on host \"%s\"", launch->hosts[i].id);
    }
    return true;
}

/* As it is shown from now on; only the time is PostgreSQL's. */
static VirgaInstance
instance_of(const Launch *launch, const Launched *one, size_t index)
{
    const VirgaInstanceSpec *spec = launch->spec;
    const VirgaImage *image = launch->image;
    const VirgaPlacementGroup *group =
        launch->placement ? virga_placement_group(launch->placement) : NULL;
    bool v2 = g_strcmp0(image->imds_support, "v2.0") == 0;
    const char *tokens = spec->http_tokens ? spec->http_tokens : v2 ? "required" : "optional";

    return (VirgaInstance){
        .id = one->id,
        .reservation_id = launch->made.id,
        .client_token = (char *) (spec->client_token ? spec->client_token : ""),
        .image_id = image->id,
        .type = (char *) launch->type->name,
        .architecture = image->architecture,
        .boot_mode = image->boot_mode,
        .root_device_name = image->root_device_name,
        .zone = launch->subnet->zone,
        .vpc_id = launch->subnet->vpc_id,
        .subnet_id = launch->subnet->id,
        .key_name = (char *) spec->key_name,
        .http_tokens = (char *) tokens,
        .http_endpoint = (char *) (spec->http_endpoint ? spec->http_endpoint : "enabled"),
        .http_tags = (char *) (spec->http_tags ? spec->http_tags : "disabled"),
        .http_hops = spec->http_hops ? spec->http_hops
                     : v2            ? 2
                                     : 1,
        .placement_group_id = group ? group->id : NULL,
        .placement_group = group ? group->name : NULL,
        .partition = one->partition,
        .transition_reason = (char *) "",
        .profile_id = (char *) spec->profile_id,
        .profile_arn = (char *) spec->profile_arn,
        .launch_index = (gint64) index,
        .vcpus = launch->type->vcpus,
        .ebs_optimized = spec->ebs_optimized,
        .monitoring = spec->monitoring,
        .state = VIRGA_INSTANCE_PENDING,
    };
}

static bool
insert_instance(const Launch *launch, const VirgaInstance *row, const char *host_id, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;

    return virga_txn_send(launch->txn, error, sql_insert, "sssisssiissssssssssbbbbssisssssii",
                          row->id, spec->account_id, row->reservation_id, row->launch_index,
                          row->client_token, row->image_id, row->type, row->vcpus,
                          launch->type->memory_mib, row->architecture, row->boot_mode,
                          row->root_device_name, row->zone, row->vpc_id, row->subnet_id,
                          row->key_name, launch->public_key, spec->user_data,
                          spec->shutdown_behavior ? spec->shutdown_behavior : "stop",
                          spec->disable_termination, spec->disable_stop, row->ebs_optimized,
                          row->monitoring, row->http_tokens, row->http_endpoint, row->http_hops,
                          row->http_tags, host_id, spec->cpu_credits, row->placement_group_id,
                          row->placement_group, row->partition, launch->type->bandwidth_mbit);
}

/* EC2 gives none by itself to an instance with several interfaces. */
static bool
wants_public(const Launch *launch)
{
    const VirgaInstanceSpec *spec = launch->spec;

    return spec->public_address < 0 ? launch->subnet->map_public && spec->nic_count == 0
                                    : spec->public_address > 0;
}

static bool
send_interface(Launch *launch, Launched *one, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;

    if (spec->interface_id) {
        one->draft =
            (VirgaInterfaceDraft){ .id = virga_arena_strdup(launch->arena, spec->interface_id),
                                   .made = true };
        return virga_launch_attach_first(launch, one->id, error);
    }
    one->interface = (VirgaInterfaceSpec){
        .account_id = spec->account_id,
        .vpc_id = launch->subnet->vpc_id,
        .subnet_id = launch->subnet->id,
        .zone = launch->subnet->zone,
        .cidr = launch->subnet->cidr,
        .address = spec->address,
        .group_ids = launch->group_ids,
        .public_address = wants_public(launch),
        .instance_id = one->id,
        .delete_on_termination = spec->interface_delete_on_termination != 0,
        .description = spec->interface_description,
    };
    return virga_interface_create_send(launch->txn, launch->arena, &one->interface, &one->draft,
                                       error) &&
           virga_tag_set_first(launch->txn, spec->account_id, one->draft.id, spec->interface_tags,
                               spec->interface_tag_count, error);
}

static bool
send_one(Launch *launch, size_t index, GError **error)
{
    Launched *one = &launch->launched[index];
    VirgaInstance *row = &launch->made.instances[index];
    const char *host_id = one->host->id;

    *row = instance_of(launch, one, index);
    return insert_instance(launch, row, host_id, error) &&
           (!launch->spec->profile_id ||
            virga_instance_profile_set(launch->txn, one->id, launch->spec->profile_id,
                                       launch->spec->profile_arn, error)) &&
           virga_launch_add_disks(launch, one->id, host_id, error) &&
           send_interface(launch, one, error) &&
           virga_tag_set_first(launch->txn, launch->spec->account_id, one->id, launch->spec->tags,
                               launch->spec->tag_count, error) &&
           virga_tag_set_reserved(launch->txn, launch->spec->account_id, one->id,
                                  launch->spec->reserved_tags, launch->spec->reserved_tag_count,
                                  error) &&
           virga_event_add(launch->txn, error, one->id, "launched on host %s", host_id);
}

/* In the order of send_one(). */
static bool
receive_all_made(Launch *launch, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;

    for (size_t i = 0; i < launch->count; i++) {
        Launched *one = &launch->launched[i];
        g_autoptr(VirgaRows) rows = virga_txn_receive(launch->txn, error);

        if (!rows)
            return false;
        launch->made.instances[i].launched = virga_rows_time(rows, 0, 0);
        if (!spec->interface_id &&
            !virga_interface_create_receive(launch->txn, launch->arena, &one->interface,
                                            &one->draft, error))
            return false;
    }
    for (size_t i = 0; i < launch->made.attachment_count; i++)
        launch->made.attachments[i].attached = launch->made.instances->launched;
    return true;
}

/* Interfaces as they were made, if each instance has that one only; else as they are now. */
static bool
show_interfaces(Launch *launch, bool more, GError **error)
{
    VirgaReservation *made = &launch->made;
    const char **ids;

    if (!more) {
        made->interfaces = virga_arena_new_array(launch->arena, VirgaInterface, launch->count);
        made->interface_count = launch->count;
        for (size_t i = 0; i < launch->count; i++)
            made->interfaces[i] =
                virga_interface_drafted(&launch->launched[i].interface, &launch->launched[i].draft,
                                        made->instances[i].launched);
        return true;
    }
    ids = virga_arena_new_array(launch->arena, const char *, launch->count + 1);
    for (size_t i = 0; i < launch->count; i++)
        ids[i] = launch->launched[i].id;
    return virga_interface_list(launch->txn, launch->arena, launch->spec->account_id, ids,
                                &made->interfaces, &made->interface_count, error);
}

/* Finds other addresses for those that were taken, and gives each instance what it has besides one
 * interface. */
static bool
settle_interfaces(Launch *launch, GError **error)
{
    bool more = virga_launch_has_nics(launch->spec);

    for (size_t i = 0; i < launch->count; i++) {
        Launched *one = &launch->launched[i];

        if (!one->draft.made && !virga_interface_create_again(launch->txn, launch->arena,
                                                              &one->interface, &one->draft, error))
            return false;
        if (more && !virga_launch_add_nics(launch, one->id, one->draft.id, error))
            return false;
    }
    return show_interfaces(launch, more, error);
}

/* Whose reservation the client token stands for, when it was taken before. */
static bool
find_reservation(Launch *launch, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;
    g_autoptr(VirgaTxn) txn = virga_db_read(launch->db, error);
    g_autoptr(VirgaRows) rows =
        txn ? virga_txn_query(txn, error, sql_token_get, "ss", spec->account_id, launch->token)
            : NULL;

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return virga_fail(error, "database", VIRGA_ERROR_RETRY, "the client token has just gone");
    if (g_strcmp0(virga_rows_text(rows, 0, 0), spec->request_digest) != 0)
        return virga_fail(error, "client token", VIRGA_ERROR_CONFLICT,
                          "Arguments on this idempotent request are inconsistent with arguments "
                          "used in previous request(s).");
    launch->made.id = virga_rows_dup(rows, launch->arena, 0, 1);
    return true;
}

static bool
send_token(const Launch *launch, GError **error)
{
    const VirgaInstanceSpec *spec = launch->spec;

    return !launch->token || virga_txn_send(launch->txn, error, sql_token, "ssss", spec->account_id,
                                            launch->token, spec->request_digest, launch->made.id);
}

/* Takes the client token for this reservation; 'ret_repeated': another call has it. */
static bool
receive_token(Launch *launch, bool *ret_repeated, GError **error)
{
    g_autoptr(VirgaRows) rows = NULL;

    *ret_repeated = false;
    if (!launch->token)
        return true;
    rows = virga_txn_receive(launch->txn, error);
    if (!rows)
        return false;
    *ret_repeated = virga_rows_count(rows) == 0;
    return true;
}

static VirgaQuotaAmounts
quota_of(const Launch *launch)
{
    gint64 count = (gint64) launch->count;
    VirgaQuotaAmounts amounts = { 0 };

    amounts.of[VIRGA_QUOTA_INSTANCES] = count;
    amounts.of[VIRGA_QUOTA_VCPUS] = count * launch->type->vcpus;
    amounts.of[VIRGA_QUOTA_VOLUMES] = count * (gint64) launch->disk_count;
    for (size_t i = 0; i < launch->disk_count; i++)
        amounts.of[VIRGA_QUOTA_VOLUME_GIB] += count * launch->disks[i].size_gib;
    return amounts;
}

/* For what is told of the launch. */
static void
make_room(Launch *launch)
{
    launch->made.count = launch->count;
    launch->made.instances = virga_arena_new_array(launch->arena, VirgaInstance, launch->count);
    launch->made.attachments =
        virga_arena_new_array(launch->arena, VirgaAttachment, launch->count * launch->disk_count);
}

/* All rows and claims of all instances go out together; last the rows that all launches of the VPC
 * and of the account wait for, in the order in which a host's report takes them. */
static bool
launch_all(Launch *launch, GError **error)
{
    VirgaQuotaAmounts amounts;
    /* Whoever adds addresses to a subnet holds it alone. */
    bool more = virga_launch_has_nics(launch->spec);

    if (more && !virga_launch_check_nics(launch, error))
        return false;
    if (!join_group(launch, error) || !place_all(launch, error) || !send_claims(launch, error))
        return false;
    if (!virga_subnet_hold(launch->txn, launch->subnet->id, more, error))
        return false;
    make_room(launch);
    virga_txn_push(launch->txn);
    for (size_t i = 0; i < launch->count; i++)
        if (!send_one(launch, i, error))
            return false;
    amounts = quota_of(launch);
    return virga_image_launched(launch->txn, launch->image, error) &&
           virga_vpc_touch(launch->txn, launch->subnet->vpc_id, error) &&
           virga_quota_change_send(launch->txn, launch->spec->account_id, &amounts, error) &&
           receive_claims(launch, error) && receive_all_made(launch, error) &&
           virga_quota_change_receive(launch->txn, &amounts, error) &&
           settle_interfaces(launch, error);
}

/* 'ret_unsure': it failed while it was being committed, so that it may have happened. */
static bool
attempt(VirgaDb *db, const VirgaConfig *config, VirgaArena *arena, const VirgaInstanceSpec *spec,
        VirgaReservation *ret, VirgaTxn **ret_committing, bool *ret_unsure, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(db, error);
    g_autofree char *id = virga_id_new("r");
    Launch launch = { .db = db,
                      .config = config,
                      .txn = txn,
                      .arena = arena,
                      .spec = spec,
                      .token =
                          spec->client_token && *spec->client_token ? spec->client_token : NULL,
                      .type = virga_instance_type_find(config, spec->type),
                      .made = { .id = virga_arena_strdup(arena, id) } };
    bool repeated;

    *ret = (VirgaReservation){ 0 };
    if (!txn || !virga_launch_first_subnet(txn, arena, spec, &launch.subnet_id, error) ||
        !send_token(&launch, error) || !virga_launch_ask_send(&launch, error) ||
        !receive_token(&launch, &repeated, error))
        return false;
    if (repeated) {
        if (!find_reservation(&launch, error))
            return false;
        ret->id = spec->dry_run ? NULL : launch.made.id;
        return true;
    }
    if (!launch.type)
        return virga_fail(error, "instance type", VIRGA_ERROR_INVALID,
                          "Invalid value '%s' for InstanceType.", spec->type);
    if (!virga_launch_ask_receive(&launch, error) || !launch_all(&launch, error))
        return false;
    if (spec->dry_run)
        return true; /* all of it would have worked; roll back */
    *ret_unsure = !virga_txn_commit_send(txn, error) ||
                  (!ret_committing && !virga_txn_commit_receive(txn, error));
    if (*ret_unsure)
        return false;
    *ret = launch.made;
    if (ret_committing)
        *ret_committing = g_steal_pointer(&txn);
    return true;
}

/* Keeps the reason of a refusal for "virga why REQUEST-ID". */
static void
remember_refusal(VirgaDb *db, const VirgaInstanceSpec *spec, const GError *refusal)
{
    g_autoptr(VirgaTxn) txn = spec->request_id ? virga_db_begin(db, NULL) : NULL;

    if (txn && virga_event_add(txn, NULL, spec->request_id, "refused: %s", refusal->message))
        virga_txn_commit(txn, NULL);
}

bool
virga_instance_create(VirgaDb *db, const VirgaConfig *config, VirgaArena *arena,
                      const VirgaInstanceSpec *spec, VirgaReservation *ret,
                      VirgaTxn **ret_committing, GError **error)
{
    g_autoptr(GError) reason = NULL;

    if (ret_committing)
        *ret_committing = NULL;

    for (int i = 0; i < ATTEMPTS_MAX; i++) {
        bool unsure = false;

        g_clear_error(&reason);
        if (attempt(db, config, arena, spec, ret, ret_committing, &unsure, &reason))
            return true;
        if (!virga_error_is(reason, "database", VIRGA_ERROR_RETRY))
            break;
        if (unsure && !spec->client_token) /* without a token a repetition could launch twice */
            break;
    }
    if (virga_error_is(reason, NULL, VIRGA_ERROR_CAPACITY))
        remember_refusal(db, spec, reason);
    g_propagate_error(error, g_steal_pointer(&reason));
    return false;
}
