/* SPDX-License-Identifier: Apache-2.0 */
/* One worker on one VPC: the driver is given the whole plan and does what is missing. */
#include "node-priv.h"

#include <string.h>

#define METADATA_ADDRESS "169.254.169.254"
#define METADATA_PORT    80

static bool
has_address(const VirgaGuestPort *port, const char *address)
{
    return g_str_equal(port->address, address) ||
           (port->secondaries && g_strv_contains((const char *const *) port->secondaries, address));
}

/* The document of the guest that has 'address' in the VPC. */
static VirgaMetadata *
find_metadata(void *data, const char *vpc_id, const char *address)
{
    VirgaNode *node = data;
    VirgaMetadata *metadata;
    g_autofree char *text = NULL;
    GHashTableIter iter;
    gpointer value;

    g_mutex_lock(&node->lock);
    g_hash_table_iter_init(&iter, node->guests);
    while (!text && g_hash_table_iter_next(&iter, NULL, &value)) {
        const VirgaGuestWish *want = ((Guest *) value)->wish->record;

        for (guint i = 0; i < want->ports->len && !text; i++) {
            const VirgaGuestPort *port = want->ports->pdata[i];

            if (g_str_equal(port->vpc_id, vpc_id) && has_address(port, address))
                text = g_strdup(want->metadata);
        }
    }
    g_mutex_unlock(&node->lock);
    metadata = text ? virga_metadata_from_text(text, NULL) : NULL;
    if (metadata && metadata->profile_id) {
        g_mutex_lock(&node->lock);
        node_credentials_show_locked(node, metadata);
        g_mutex_unlock(&node->lock);
    }
    return metadata;
}

/* The server lives as long as the namespace that it listens in. */
static bool
serve_metadata(VirgaNode *node, Vpc *vpc, guint64 epoch, GError **error)
{
    VirgaMetadataServer *server;
    int fd;

    if (vpc->metadata && vpc->metadata_epoch == epoch)
        return true;
    g_clear_pointer(&vpc->metadata, virga_metadata_server_free);
    if (!virga_network_listen(node->network, vpc->id, METADATA_ADDRESS, METADATA_PORT, &fd, error))
        return false;
    server = virga_metadata_server_new(fd, vpc->id, node->metadata_key, find_metadata, node, error);
    if (!server)
        return false;
    vpc->metadata = server;
    vpc->metadata_epoch = epoch;
    return true;
}

/* A controller makes its NAT gateways available when it hears that they are there. */
static void
note_applied_locked(VirgaNode *node, Vpc *vpc, const VirgaVpcPlan *plan)
{
    bool has = plan->nat_gateways->len > 0;

    if (plan->generation > vpc->applied && (has || vpc->had_gateways)) {
        node->vpcs_dirty = true;
        g_cond_broadcast(&node->changed);
    }
    vpc->had_gateways = has;
    vpc->applied = MAX(vpc->applied, plan->generation);
}

/* One thread at a time on one VPC: the launch path and the pool meet here. */
static bool
apply(VirgaNode *node, Vpc *vpc, GError **error)
{
    g_autoptr(GMutexLocker) locker G_GNUC_UNUSED = g_mutex_locker_new(&vpc->apply_lock);
    g_autoptr(Plan) plan = node_plan(node, vpc->id);
    guint64 epoch = 0;

    if (!plan)
        return virga_fail(error, "vpc", VIRGA_ERROR_RETRY, "the plan of \"%s\" is not here yet",
                          vpc->id);
    if (!virga_network_apply(node->network, plan->record, &epoch, error) ||
        !serve_metadata(node, vpc, epoch, error))
        return false;
    g_mutex_lock(&node->lock);
    note_applied_locked(node, vpc, plan->record);
    vpc->epoch = epoch;
    vpc->checked_at = g_get_monotonic_time();
    g_mutex_unlock(&node->lock);
    return true;
}

bool
node_ensure_vpc(VirgaNode *node, const char *vpc_id, GError **error)
{
    bool fresh;
    Vpc *vpc;

    g_mutex_lock(&node->lock);
    vpc = g_hash_table_lookup(node->vpcs, vpc_id);
    fresh = vpc && vpc->plan && vpc->applied >= vpc->plan->record->generation;
    g_mutex_unlock(&node->lock);
    if (!vpc)
        return virga_fail(error, "vpc", VIRGA_ERROR_RETRY, "the plan of \"%s\" is not here yet",
                          vpc_id);
    return fresh || apply(node, vpc, error);
}

/* True if no guest of this host has a port in the VPC. */
static bool
is_empty_locked(VirgaNode *node, const char *vpc_id)
{
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, node->guests);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VirgaGuestWish *want = ((Guest *) value)->wish->record;

        for (guint i = 0; i < want->ports->len; i++)
            if (g_str_equal(((VirgaGuestPort *) want->ports->pdata[i])->vpc_id, vpc_id))
                return false;
    }
    return true;
}

/* The last guest has gone and the controller no longer sends a plan.  Should a guest have come
 * meanwhile, its launch finds that the plan is to be applied again. */
static void
drop(VirgaNode *node, Vpc *vpc)
{
    g_autoptr(GError) error = NULL;
    bool removed;

    g_mutex_lock(&vpc->apply_lock);
    g_clear_pointer(&vpc->metadata, virga_metadata_server_free);
    removed = virga_network_remove(node->network, vpc->id, &error);
    g_mutex_lock(&node->lock);
    node->vpcs_dirty = node->vpcs_dirty || vpc->had_gateways;
    vpc->applied = 0;
    g_mutex_unlock(&node->lock);
    g_mutex_unlock(&vpc->apply_lock);
    if (!removed) {
        virga_notice("vpc", vpc->id, "could not remove: %s", error->message);
        return;
    }
    g_mutex_lock(&node->lock);
    if (!vpc->wanted && !vpc->again && !vpc->queued && !vpc->working)
        g_hash_table_remove(node->vpcs, vpc->id);
    node->store_dirty = true;
    g_mutex_unlock(&node->lock);
}

void
node_work_on_vpc(gpointer data, gpointer user_data)
{
    VirgaNode *node = user_data;
    Vpc *vpc = data;
    g_autoptr(GError) error = NULL;
    bool unwanted;

    g_mutex_lock(&node->lock);
    vpc->queued = false;
    vpc->working = true;
    vpc->again = false;
    vpc->checked_at = g_get_monotonic_time();
    unwanted = !vpc->wanted && is_empty_locked(node, vpc->id);
    g_mutex_unlock(&node->lock);

    if (!unwanted && !apply(node, vpc, &error))
        virga_notice("vpc", vpc->id, "could not apply: %s", error->message);

    g_mutex_lock(&node->lock);
    vpc->working = false;
    if (vpc->again)
        node_wake_vpc_locked(node, vpc);
    g_mutex_unlock(&node->lock);
    if (unwanted)
        drop(node, vpc);
}

/* What the guests of one VPC are reported as. */
static void
note_answering(VirgaNode *node, const char *vpc_id, GStrv addresses)
{
    GHashTableIter iter;
    gpointer value;

    g_mutex_lock(&node->lock);
    g_hash_table_iter_init(&iter, node->guests);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Guest *guest = value;
        const VirgaGuestPort *port =
            guest->wish->record->ports->len ? guest->wish->record->ports->pdata[0] : NULL;
        bool answers;

        if (!port || !g_str_equal(port->vpc_id, vpc_id) || guest->power != VIRGA_POWER_RUNNING)
            continue;
        answers = g_strv_contains((const char *const *) addresses, port->address);
        /* A guest that has not answered yet is starting; one that has stopped to is impaired. */
        if (answers == (g_strcmp0(guest->reachable, "ok") == 0) ||
            (!answers && g_strcmp0(guest->reachable, "ok") != 0))
            continue;
        guest->reachable = answers ? "ok" : "impaired";
        guest->dirty = true;
        g_cond_broadcast(&node->changed);
    }
    g_mutex_unlock(&node->lock);
}

void
node_probe_network(VirgaNode *node)
{
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    GHashTableIter iter;
    gpointer id;

    g_mutex_lock(&node->lock);
    g_hash_table_iter_init(&iter, node->vpcs);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        g_ptr_array_add(ids, g_strdup(id));
    g_mutex_unlock(&node->lock);
    for (guint i = 0; i < ids->len; i++) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Plan) plan = node_plan(node, ids->pdata[i]);
        g_auto(GStrv) addresses =
            plan ? virga_network_answering(node->network, plan->record, &error) : NULL;

        if (addresses)
            note_answering(node, ids->pdata[i], addresses);
    }
}
