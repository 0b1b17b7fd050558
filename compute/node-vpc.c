/* SPDX-License-Identifier: Apache-2.0 */
/* One worker on one VPC: the driver is given the whole plan and does what is missing. */
#include "node-priv.h"

static bool
apply(VirgaNode *node, Vpc *vpc, GError **error)
{
    g_autoptr(Plan) plan = node_plan(node, vpc->id);
    guint64 epoch = 0;

    if (!plan)
        return virga_fail(error, "vpc", VIRGA_ERROR_RETRY, "the plan of \"%s\" is not here yet",
                          vpc->id);
    if (!virga_network_apply(node->network, plan->record, &epoch, error))
        return false;
    g_mutex_lock(&node->lock);
    vpc->applied = MAX(vpc->applied, plan->record->generation);
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

/* The last guest has gone and the controller no longer sends a plan. */
static void
drop(VirgaNode *node, Vpc *vpc)
{
    g_autoptr(GError) error = NULL;

    if (virga_network_remove(node->network, vpc->id, &error)) {
        g_mutex_lock(&node->lock);
        if (!vpc->wanted && !vpc->again)
            g_hash_table_remove(node->vpcs, vpc->id);
        node->store_dirty = true;
        g_mutex_unlock(&node->lock);
        return;
    }
    virga_notice("vpc", vpc->id, "could not remove: %s", error->message);
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
