/* SPDX-License-Identifier: Apache-2.0 */
/* The node's tables and its life. */
#include "node-priv.h"

#include <glib/gstdio.h>
#include <string.h>

#define TICK_MS        200
#define GUEST_LOOK_S   10 /* every guest is looked at this often, event or not */
#define VPC_LOOK_S     5  /* what somebody has taken away is back within twice that */
#define GARBAGE_ROUNDS 3  /* looks from one collection to the next */
#define STORE_DELAY_S  1
#define VPC_WORKERS    4

static void
wish_clear(gpointer data)
{
    virga_record_free(&virga_guest_wish_type, ((Wish *) data)->record);
}

static Wish *
wish_new(VirgaGuestWish *record)
{
    Wish *wish = g_atomic_rc_box_new0(Wish);

    wish->record = record;
    return wish;
}

void
wish_release(Wish *wish)
{
    if (wish)
        g_atomic_rc_box_release_full(wish, wish_clear);
}

static void
plan_clear(gpointer data)
{
    virga_vpc_plan_free(((Plan *) data)->record);
}

static Plan *
plan_new(VirgaVpcPlan *record)
{
    Plan *plan = g_atomic_rc_box_new0(Plan);

    plan->record = record;
    return plan;
}

void
plan_release(Plan *plan)
{
    if (plan)
        g_atomic_rc_box_release_full(plan, plan_clear);
}

static void
guest_free(gpointer data)
{
    Guest *guest = data;

    wish_release(guest->wish);
    g_strfreev(guest->made);
    g_strfreev(guest->kept);
    g_free(guest->tuned);
    for (int kind = 0; kind < VIRGA_DEVICE_KINDS; kind++) {
        g_strfreev(guest->present[kind]);
        g_strfreev(guest->plugged_ids[kind]);
    }
    g_strfreev(guest->dropped);
    g_strfreev(guest->lost);
    g_free(guest->code);
    g_free(guest->message);
    g_free(guest->console);
    g_free(guest->id);
    g_free(guest);
}

static void
vpc_free(gpointer data)
{
    Vpc *vpc = data;

    g_clear_pointer(&vpc->metadata, virga_metadata_server_free);
    g_mutex_clear(&vpc->apply_lock);
    plan_release(vpc->plan);
    g_free(vpc->id);
    g_free(vpc);
}

VirgaNode *
virga_node_new(const VirgaNodeSettings *settings)
{
    VirgaNode *node = g_new0(VirgaNode, 1);

    node->config = virga_config_ref(settings->config);
    node->host_id = g_strdup(settings->host_id);
    node->host_name = g_strdup(settings->host_name);
    node->directory = g_strdup(settings->directory);
    node->console_directory = g_build_filename(settings->directory, "console", NULL);
    node->volumes = settings->volumes;
    node->pools = settings->pools;
    node->network = settings->network;
    node->virgad = settings->virgad;
    node->tap_owner = settings->tap_owner;
    node->heartbeat_at = NEVER;
    memcpy(node->metadata_key, settings->metadata_key, sizeof node->metadata_key);
    g_mutex_init(&node->lock);
    g_cond_init(&node->changed);
    node->guests = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, guest_free);
    node->vpcs = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, vpc_free);
    node->deleted = g_ptr_array_new_with_free_func(g_free);
    node->snapshots = g_ptr_array_new_with_free_func(node_snapshot_free);
    node->cut = g_ptr_array_new_with_free_func(g_free);
    node->exports = g_ptr_array_new_with_free_func(node_export_free);
    node->busy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_cond_init(&node->idle);
    node->credentials = node_credentials_new();
    node_keys_init(node);
    node->questions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    node->garbage = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    node->consoles = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_mutex_init(&node->console_lock);
    g_mkdir_with_parents(node->console_directory, 0711);
    return node;
}

void
virga_node_set_hypervisor(VirgaNode *node, VirgaHypervisor *hypervisor)
{
    node->hypervisor = hypervisor;
}

bool
node_stopping(VirgaNode *node)
{
    bool stopping;

    g_mutex_lock(&node->lock);
    stopping = node->stopping;
    g_mutex_unlock(&node->lock);
    return stopping;
}

void
node_wake_guest_locked(VirgaNode *node, Guest *guest)
{
    if (guest->working)
        guest->again = true;
    else if (!guest->queued && !node->stopping) {
        guest->queued = true;
        g_thread_pool_push(node->guest_pool, guest, NULL);
    }
}

void
node_wake_vpc_locked(VirgaNode *node, Vpc *vpc)
{
    if (vpc->working)
        vpc->again = true;
    else if (!vpc->queued && !node->stopping) {
        vpc->queued = true;
        g_thread_pool_push(node->vpc_pool, vpc, NULL);
    }
}

Guest *
node_guest_locked(VirgaNode *node, const char *id)
{
    return g_hash_table_lookup(node->guests, id);
}

/* What a former process asked of the guest, out of its record. */
static void
recall_asking(Guest *guest, const VirgaGuestWish *record)
{
    if (!record->asked_at || guest->asked_generation == record->generation)
        return;
    guest->asked_generation = record->generation;
    guest->asked_first_at = g_get_monotonic_time() - MAX(0, g_get_real_time() - record->asked_at);
    guest->asked_at = 0; /* it is asked again at once: nobody knows whether it has heard */
}

/* An older generation never overwrites a newer one. */
void
node_take_wish_locked(VirgaNode *node, VirgaGuestWish *record)
{
    Guest *guest = node_guest_locked(node, record->id);

    if (!guest) {
        guest = g_new0(Guest, 1);
        guest->id = g_strdup(record->id);
        guest->made = g_new0(char *, 1);
        guest->lost = g_new0(char *, 1);
        guest->kept = g_new0(char *, 1);
        g_hash_table_insert(node->guests, guest->id, guest);
    }
    if (guest->wish && guest->wish->record->generation > record->generation) {
        virga_record_free(&virga_guest_wish_type, record);
        return;
    }
    if (!guest->wish || guest->wish->record->generation != record->generation) {
        guest->failures = 0; /* a new wish, a new chance */
        guest->failing_since = 0;
    }
    recall_asking(guest, record);
    wish_release(guest->wish);
    guest->wish = wish_new(record);
    guest->forgotten = false;
    guest->dirty = true; /* the same facts, but now about this wish */
    node->store_dirty = true;
    node_wake_guest_locked(node, guest);
}

void
node_take_plan_locked(VirgaNode *node, VirgaVpcPlan *record)
{
    Vpc *vpc = g_hash_table_lookup(node->vpcs, record->id);

    if (!vpc) {
        vpc = g_new0(Vpc, 1);
        vpc->id = g_strdup(record->id);
        g_mutex_init(&vpc->apply_lock);
        g_hash_table_insert(node->vpcs, vpc->id, vpc);
    }
    if (vpc->plan && vpc->plan->record->generation > record->generation) {
        virga_vpc_plan_free(record);
        return;
    }
    plan_release(vpc->plan);
    vpc->plan = plan_new(record);
    vpc->wanted = true;
    node->store_dirty = true;
    node_wake_vpc_locked(node, vpc);
}

/* A worker may still hold it: then the worker drops it when it is done. */
void
node_drop_guest_locked(VirgaNode *node, const char *id)
{
    Guest *guest = node_guest_locked(node, id);

    if (!guest)
        return;
    guest->forgotten = true;
    node->store_dirty = true;
    if (!guest->queued && !guest->working)
        g_hash_table_remove(node->guests, id);
}

Plan *
node_plan(VirgaNode *node, const char *vpc_id)
{
    Plan *plan = NULL;
    Vpc *vpc;

    g_mutex_lock(&node->lock);
    vpc = g_hash_table_lookup(node->vpcs, vpc_id);
    if (vpc && vpc->plan)
        plan = g_atomic_rc_box_acquire(vpc->plan);
    g_mutex_unlock(&node->lock);
    return plan;
}

VirgaVolumeDriver *
node_pool(VirgaNode *node, const char *name, GError **error)
{
    VirgaVolumeDriver *pool = node->volumes;

    if (name)
        pool = node->pools ? g_hash_table_lookup(node->pools, name) : NULL;
    if (!pool)
        virga_fail(error, "volume", VIRGA_ERROR_INTERNAL, "this host does not have the pool \"%s\"",
                   name);
    return pool;
}

void
virga_node_event(const char *id, bool rebooted, gpointer data)
{
    VirgaNode *node = data;
    GHashTableIter iter;
    gpointer value;
    Guest *guest;

    g_mutex_lock(&node->lock);
    g_hash_table_iter_init(&iter, node->guests);
    if (!id) {
        while (g_hash_table_iter_next(&iter, NULL, &value))
            node_wake_guest_locked(node, value);
    } else if ((guest = node_guest_locked(node, id))) {
        guest->rebooted = guest->rebooted || rebooted;
        node_wake_guest_locked(node, guest);
    }
    g_mutex_unlock(&node->lock);
}

/* A driver may block here without delaying anybody's appointment. */
static gpointer
look_main(gpointer data)
{
    VirgaNode *node = data;
    guint rounds = 0;

    while (!node_stopping(node)) {
        gint64 next = g_get_monotonic_time() + GUEST_LOOK_S * G_USEC_PER_SEC;

        node_probe_network(node);
        if (++rounds % GARBAGE_ROUNDS == 0)
            node_collect_garbage(node);
        while (!node_stopping(node) && g_get_monotonic_time() < next)
            g_usleep(TICK_MS * 1000);
    }
    return NULL;
}

/* Appointments that have come, and the regular look at everything. */
static void
tick_locked(VirgaNode *node, bool look)
{
    gint64 now = g_get_monotonic_time();
    GHashTableIter iter;
    gpointer value;

    g_hash_table_iter_init(&iter, node->guests);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Guest *guest = value;

        if ((guest->wake_at && guest->wake_at <= now) || (look && !guest->wake_at))
            node_wake_guest_locked(node, guest);
    }
    g_hash_table_iter_init(&iter, node->vpcs);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Vpc *vpc = value;

        if (now - vpc->checked_at > VPC_LOOK_S * G_USEC_PER_SEC)
            node_wake_vpc_locked(node, vpc);
    }
    node_wake_snapshots_locked(node);
}

static gpointer
tick_main(gpointer data)
{
    VirgaNode *node = data;
    gint64 looked_at = g_get_monotonic_time();

    while (!node_stopping(node)) {
        gint64 now = g_get_monotonic_time();
        bool look = now - looked_at > GUEST_LOOK_S * G_USEC_PER_SEC, save;

        g_mutex_lock(&node->lock);
        tick_locked(node, look);
        if (look)
            node_forget_keys_locked(node);
        save = node->store_dirty && now - node->stored_at > STORE_DELAY_S * G_USEC_PER_SEC;
        g_mutex_unlock(&node->lock);
        if (look)
            looked_at = now;
        if (save) {
            g_autoptr(GError) error = NULL;
            if (!node_store_save(node, &error))
                virga_warning("host", node->host_id, "%s", error->message);
        }
        g_usleep(TICK_MS * 1000);
    }
    return NULL;
}

void
virga_node_start(VirgaNode *node)
{
    gint64 workers = virga_config_int(node->config, "node", "workers");

    node->guest_pool =
        g_thread_pool_new(node_work_on_guest, node, (gint) CLAMP(workers, 1, 256), FALSE, NULL);
    node->vpc_pool = g_thread_pool_new(node_work_on_vpc, node, VPC_WORKERS, FALSE, NULL);
    node_questions_start(node);
    node_snapshots_start(node);
    node_store_load(node);
    node->tick_thread = g_thread_new("tick", tick_main, node);
    node->look_thread = g_thread_new("look", look_main, node);
    node->console_thread = g_thread_new("console", node_console_main, node);
    node->report_thread = g_thread_new("report", node_report_main, node);
    node->balancer_thread = g_thread_new("balancer", node_balancer_main, node);
    node->sync_thread = g_thread_new("sync", node_sync_main, node);
    node->export_thread = g_thread_new("export", node_export_main, node);
    node->credentials_thread = g_thread_new("credentials", node_credentials_main, node);
    node->scrub_thread = g_thread_new("scrub", node_scrub_main, node);
    node->files_thread = g_thread_new("files", node_files_main, node);
}

void
virga_node_free(VirgaNode *node)
{
    g_autoptr(GError) error = NULL;

    g_mutex_lock(&node->lock);
    node->stopping = true;
    g_cond_broadcast(&node->changed);
    g_mutex_unlock(&node->lock);
    virga_http_client_stop(node->virgad);
    if (node->sync_thread) { /* it was started */
        g_thread_join(node->sync_thread);
        g_thread_join(node->report_thread);
        g_thread_join(node->balancer_thread);
        g_thread_join(node->tick_thread);
        g_thread_join(node->look_thread);
        g_thread_join(node->console_thread);
        g_thread_join(node->credentials_thread);
        g_thread_join(node->scrub_thread);
        g_thread_join(node->export_thread);
        g_thread_join(node->files_thread);
    }
    g_thread_pool_free(node->guest_pool, FALSE, TRUE);
    g_thread_pool_free(node->vpc_pool, FALSE, TRUE);
    if (node->question_pool)
        g_thread_pool_free(node->question_pool, FALSE, TRUE);
    if (node->snapshot_pool)
        g_thread_pool_free(node->snapshot_pool, FALSE, TRUE);
    g_hash_table_unref(node->questions);
    if (!node_store_save(node, &error))
        virga_warning("host", node->host_id, "%s", error->message);
    g_hash_table_unref(node->garbage);
    g_hash_table_unref(node->consoles);
    g_mutex_clear(&node->console_lock);
    g_hash_table_unref(node->credentials);
    g_hash_table_unref(node->keys);
    g_hash_table_unref(node->guests);
    g_hash_table_unref(node->vpcs);
    g_mutex_clear(&node->lock);
    g_cond_clear(&node->changed);
    virga_config_unref(node->config);
    g_free(node->trouble);
    g_strfreev(node->damaged);
    g_ptr_array_unref(node->deleted);
    g_ptr_array_unref(node->snapshots);
    g_ptr_array_unref(node->cut);
    g_ptr_array_unref(node->exports);
    g_hash_table_unref(node->busy);
    g_cond_clear(&node->idle);
    g_free(node->console_directory);
    g_free(node->directory);
    g_free(node->host_id);
    g_free(node->host_name);
    g_free(node);
}
