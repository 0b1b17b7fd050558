/* SPDX-License-Identifier: Apache-2.0 */
/* The moments of snapshots, and what they leave: layers that are joined again.
 *
 * The disks of a guest are its worker's: from one moment on all that wait for it are written to new
 * layers, whether the guest runs or not.  A volume that no guest has is anybody's who claims it; a
 * guest that gets it meanwhile waits for the claim.  Whether the moment has passed is read from the
 * world (storage/driver.h), so that what a crash has cut short is taken up again. */
#include "node-priv.h"

#define CUT_AGAIN_S   2
#define JOIN_LOOK_S   2
#define JOIN_AGAIN_S  300 /* after a failure */
#define JOIN_LOOKS_US (JOIN_LOOK_S * G_USEC_PER_SEC)

/* ---- claims ---- */

void
node_claim_volumes(VirgaNode *node, const char *const *ids)
{
    bool free;

    g_mutex_lock(&node->lock);
    do {
        free = true;
        for (const char *const *id = ids; *id; id++)
            free = free && !g_hash_table_contains(node->busy, *id);
        if (!free)
            g_cond_wait(&node->idle, &node->lock);
    } while (!free);
    for (const char *const *id = ids; *id; id++)
        g_hash_table_add(node->busy, g_strdup(*id));
    g_mutex_unlock(&node->lock);
}

void
node_release_volumes(VirgaNode *node, const char *const *ids)
{
    g_mutex_lock(&node->lock);
    for (const char *const *id = ids; *id; id++)
        g_hash_table_remove(node->busy, *id);
    g_cond_broadcast(&node->idle);
    g_mutex_unlock(&node->lock);
}

/* ---- moments ---- */

static const VirgaGuestDisk *
find_disk(const VirgaGuestWish *want, const char *volume_id)
{
    for (guint i = 0; i < want->disks->len; i++)
        if (g_str_equal(((VirgaGuestDisk *) want->disks->pdata[i])->id, volume_id))
            return want->disks->pdata[i];
    return NULL;
}

/* One that is to be cut, by value: the table may change while a driver works. */
typedef struct {
    char *id, *volume_id, *pool, *path;
    bool begun;                    /* there is a layer; 'path' NULL: its driver made the moment */
    bool made, cut, nothing, lost; /* of Snapshot */
} Cut;

static void
cut_clear(gpointer data)
{
    Cut *cut = data;

    g_free(cut->id);
    g_free(cut->volume_id);
    g_free(cut->pool);
    g_free(cut->path);
}

/* Those of a guest's disks whose time it is; *ret_halting: there are some for which its domain has
 * to go first. */
static GArray *
waiting_cuts(VirgaNode *node, const VirgaGuestWish *want, VirgaDomainState domain,
             bool *ret_halting)
{
    bool run = g_str_equal(want->wish, "run");
    bool off = domain == VIRGA_DOMAIN_ABSENT || (domain == VIRGA_DOMAIN_OFF && !run);
    GArray *cuts = g_array_new(FALSE, TRUE, sizeof(Cut));
    gint64 now = g_get_monotonic_time();

    g_array_set_clear_func(cuts, cut_clear);
    *ret_halting = false;
    g_mutex_lock(&node->lock);
    for (guint i = 0; i < node->snapshots->len; i++) {
        const Snapshot *snapshot = node->snapshots->pdata[i];
        Cut cut = { 0 };

        if (snapshot->cut || snapshot->forgotten || snapshot->try_at > now ||
            !find_disk(want, snapshot->volume_id))
            continue;
        if (snapshot->halt && !off) {
            *ret_halting = true;
            continue;
        }
        cut.id = g_strdup(snapshot->id);
        cut.volume_id = g_strdup(snapshot->volume_id);
        cut.pool = g_strdup(snapshot->pool);
        cut.made = snapshot->made;
        g_array_append_val(cuts, cut);
    }
    g_mutex_unlock(&node->lock);
    return cuts;
}

static Snapshot *
find_locked(VirgaNode *node, const char *id)
{
    for (guint i = 0; i < node->snapshots->len; i++)
        if (g_str_equal(((Snapshot *) node->snapshots->pdata[i])->id, id))
            return node->snapshots->pdata[i];
    return NULL;
}

/* Of what is nothing, or lost, virgad hears by its end. */
static void
note_cut_locked(VirgaNode *node, const Cut *cut)
{
    Snapshot *snapshot = find_locked(node, cut->id);

    if (!snapshot || snapshot->cut)
        return;
    snapshot->cut = true;
    snapshot->nothing = cut->nothing;
    snapshot->lost = cut->lost;
    snapshot->try_at = 0;
    snapshot->failures = 0;
    if (!cut->cut)
        return;
    g_ptr_array_add(node->cut, g_strdup(cut->id));
    g_cond_broadcast(&node->changed);
    virga_info("snapshot", cut->id, "cut");
}

/* What has passed is told; the rest is tried again. */
static void
note_cuts(VirgaNode *node, const Cut *cuts, guint count)
{
    g_mutex_lock(&node->lock);
    for (guint i = 0; i < count; i++) {
        Snapshot *snapshot = find_locked(node, cuts[i].id);

        if (cuts[i].cut || cuts[i].nothing || cuts[i].lost)
            note_cut_locked(node, &cuts[i]);
        else if (snapshot)
            snapshot->try_at = g_get_monotonic_time() + CUT_AGAIN_S * G_USEC_PER_SEC;
    }
    node_wake_snapshots_locked(node);
    g_mutex_unlock(&node->lock);
}

/* Of a volume without bytes there is no layer. */
static bool
begin_layer(VirgaNode *node, Cut *cut, GError **error)
{
    VirgaSnapshotWish wish = { .id = cut->id, .volume_id = cut->volume_id };
    VirgaVolumeDriver *pool = node_pool(node, cut->pool, error);
    bool exists;

    if (!pool || !pool->inspect(pool, cut->volume_id, &exists, error))
        return false;
    cut->nothing = !exists && !cut->made;
    cut->lost = !exists && cut->made;
    cut->begun = exists && pool->begin_layer(pool, &wish, &cut->path, error);
    return !exists || cut->begun;
}

static bool
begin_layers(VirgaNode *node, GArray *cuts, GError **error)
{
    for (guint i = 0; i < cuts->len; i++)
        if (!begin_layer(node, &g_array_index(cuts, Cut, i), error))
            return false;
    return true;
}

/* Moves a domain that is on to the new layers, all at the same moment. */
static bool
move_domain(VirgaNode *node, Guest *guest, VirgaDomainState state, GArray *cuts, GError **error)
{
    g_autofree VirgaDomainDisk *disks = g_new0(VirgaDomainDisk, cuts->len);
    g_autofree char *serials = g_malloc0((gsize) cuts->len * VIRGA_DISK_SERIAL_SIZE);
    g_autoptr(GPtrArray) sources =
        g_ptr_array_new_with_free_func((GDestroyNotify) virga_volume_source_free);
    size_t count = 0;

    if (state == VIRGA_DOMAIN_ABSENT || state == VIRGA_DOMAIN_OFF)
        return true;
    for (guint i = 0; i < cuts->len; i++) {
        const Cut *cut = &g_array_index(cuts, Cut, i);
        char *serial = serials + (gsize) i * VIRGA_DISK_SERIAL_SIZE;
        VirgaVolumeDriver *pool;

        node_disk_serial(cut->volume_id, serial);
        if (!cut->path)
            continue;
        for (guint j = i + 1; j < cuts->len && serial; j++) /* the last one of a disk is on top */
            if (g_str_equal(g_array_index(cuts, Cut, j).volume_id, cut->volume_id))
                serial = NULL;
        if (!serial)
            continue;
        disks[count] = (VirgaDomainDisk){ .layer = cut->path, .serial = serial };
        pool = node_pool(node, cut->pool, error);
        disks[count].source = pool ? pool->source(pool, cut->volume_id, error) : NULL;
        if (!disks[count].source)
            return false;
        g_ptr_array_add(sources, (gpointer) disks[count++].source);
    }
    return node->hypervisor->cut(node->hypervisor, guest->id, disks, count, error);
}

static bool
look_at_cuts(VirgaNode *node, GArray *cuts, GError **error)
{
    for (guint i = 0; i < cuts->len; i++) {
        Cut *cut = &g_array_index(cuts, Cut, i);
        VirgaSnapshotWish wish = { .id = cut->id, .volume_id = cut->volume_id };
        VirgaVolumeDriver *pool = node_pool(node, cut->pool, error);

        if (!pool || (cut->begun && !pool->is_cut(pool, &wish, &cut->cut, error)))
            return false;
        if (cut->begun && !cut->cut)
            return virga_fail(error, "volume", VIRGA_ERROR_INTERNAL, "\"%s\" is still written to",
                              cut->volume_id);
    }
    return true;
}

static bool
makes_moments(VirgaNode *node, GArray *cuts)
{
    for (guint i = 0; i < cuts->len; i++) {
        VirgaVolumeDriver *pool = node_pool(node, g_array_index(cuts, Cut, i).pool, NULL);

        if (pool && pool->makes_moments)
            return true;
    }
    return false;
}

/* Where drivers make moments by themselves, one after the other, those of several disks are the
 * same while the guest stands still.  If this process ends meanwhile, the next one finds a paused
 * domain that shall run. */
static bool
make_held_moment(VirgaNode *node, Guest *guest, VirgaDomainState domain, GArray *cuts,
                 GError **error)
{
    VirgaHypervisor *hypervisor = node->hypervisor;
    bool hold = cuts->len > 1 && domain == VIRGA_DOMAIN_RUNNING;
    g_autoptr(GError) reason = NULL;
    bool made;

    if (hold && !hypervisor->pause(hypervisor, guest->id, error))
        return false;
    made = begin_layers(node, cuts, error) && move_domain(node, guest, domain, cuts, error);
    if (hold && !hypervisor->resume(hypervisor, guest->id, &reason))
        virga_notice("instance", guest->id, "could not go on: %s", reason->message);
    return made;
}

/* What can be done before is done before the guest is frozen.  What cannot be thawed now is a later
 * step of its worker. */
static bool
make_moment(VirgaNode *node, Guest *guest, VirgaDomainState domain, GArray *cuts, GError **error)
{
    bool by_drivers = makes_moments(node, cuts), made;

    if (!by_drivers && !begin_layers(node, cuts, error))
        return false;
    if (domain == VIRGA_DOMAIN_RUNNING)
        node_freeze(node, guest);
    made = by_drivers ? make_held_moment(node, guest, domain, cuts, error)
                      : move_domain(node, guest, domain, cuts, error);
    node_thaw(node, guest);
    return made;
}

void
node_cut_disks(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, VirgaDomainState domain)
{
    bool halting;
    g_autoptr(GArray) cuts = waiting_cuts(node, want, domain, &halting);
    g_autofree const char **ids = g_new0(const char *, cuts->len + 1);
    g_autoptr(GError) error = NULL;

    for (guint i = 0; i < cuts->len; i++)
        ids[i] = g_array_index(cuts, Cut, i).volume_id;
    node_claim_volumes(node, ids);
    if (!make_moment(node, guest, domain, cuts, &error) || !look_at_cuts(node, cuts, &error))
        virga_notice("instance", guest->id, "could not cut its disks: %s", error->message);
    node_release_volumes(node, ids);
    note_cuts(node, (const Cut *) (void *) cuts->data, cuts->len);
}

bool
node_cut_volume(VirgaNode *node, Snapshot *snapshot, GError **error)
{
    const char *const ids[] = { snapshot->volume_id, NULL };
    VirgaVolumeDriver *pool = node_pool(node, snapshot->pool, error);
    Cut cut = { .id = snapshot->id,
                .volume_id = snapshot->volume_id,
                .pool = snapshot->pool,
                .made = snapshot->made };
    VirgaSnapshotWish wish = node_snapshot_wish(snapshot);
    bool owned, done;

    if (!pool)
        return false;
    node_claim_volumes(node, ids);
    g_mutex_lock(&node->lock);
    owned = node_owner_locked(node, snapshot->volume_id) != NULL;
    g_mutex_unlock(&node->lock);
    owned = owned || node_is_exported(node, snapshot->volume_id);
    done = !owned && begin_layer(node, &cut, error);
    if (done && cut.begun)
        done = pool->is_cut(pool, &wish, &cut.cut, error) &&
               (cut.cut || virga_fail(error, "volume", VIRGA_ERROR_RETRY,
                                      "\"%s\" is still written to", snapshot->volume_id));
    node_release_volumes(node, ids);
    g_free(cut.path);
    g_mutex_lock(&node->lock);
    if (done)
        note_cut_locked(node, &cut);
    g_mutex_unlock(&node->lock);
    return done;
}

GStrv
node_needed_disks(VirgaNode *node, const VirgaGuestWish *want)
{
    g_autoptr(GStrvBuilder) ids = g_strv_builder_new();

    g_mutex_lock(&node->lock);
    for (guint i = 0; i < node->snapshots->len; i++) {
        const Snapshot *snapshot = node->snapshots->pdata[i];

        if (!snapshot->forgotten && find_disk(want, snapshot->volume_id))
            g_strv_builder_add(ids, snapshot->volume_id);
    }
    g_mutex_unlock(&node->lock);
    return g_strv_builder_end(ids);
}

/* ---- joining ---- */

static bool
is_needed(VirgaNode *node, const char *volume_id)
{
    bool needed = false;

    g_mutex_lock(&node->lock);
    for (guint i = 0; i < node->snapshots->len; i++)
        needed =
            needed || g_str_equal(((Snapshot *) node->snapshots->pdata[i])->volume_id, volume_id);
    g_mutex_unlock(&node->lock);
    return needed;
}

typedef struct {
    const VirgaGuestDisk *disk; /* NULL: there is nothing to join */
    char *path, *below;
} Surplus;

static void
surplus_clear(Surplus *surplus)
{
    g_free(surplus->path);
    g_free(surplus->below);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Surplus, surplus_clear)

/* The first disk with layers that can be joined, while no snapshot needs any of them. */
static bool
find_surplus(VirgaNode *node, const VirgaGuestWish *want, Surplus *ret, GError **error)
{
    for (guint i = 0; i < want->disks->len; i++) {
        const VirgaGuestDisk *disk = want->disks->pdata[i];
        VirgaVolumeDriver *pool = node_pool(node, disk->pool, error);

        if (!pool)
            return false;
        if (disk->leaving || node_is_remote(disk) || is_needed(node, disk->id))
            continue;
        if (!pool->surplus(pool, disk->id, &ret->path, &ret->below, error))
            return false;
        if (ret->path) {
            ret->disk = disk;
            return true;
        }
    }
    return true;
}

bool
node_look_at_layers(VirgaNode *node, Guest *guest, const VirgaGuestWish *want, VirgaGuestFacts *is,
                    GError **error)
{
    g_autoptr(GArray) cuts = waiting_cuts(node, want, is->domain, &is->halt_asked);
    gint64 now = g_get_monotonic_time();
    g_auto(Surplus) surplus = { 0 };

    is->cut_asked = cuts->len > 0;
    if (is->domain != VIRGA_DOMAIN_RUNNING || !g_str_equal(want->wish, "run") ||
        now < guest->join_next_at)
        return true;
    if (!find_surplus(node, want, &surplus, error))
        return false;
    is->layer_surplus = surplus.disk != NULL;
    is->join_asked =
        is->layer_surplus && guest->join_asked_at && now - guest->join_asked_at < JOIN_LOOKS_US;
    return true;
}

void
node_join_layers(VirgaNode *node, Guest *guest, const VirgaGuestWish *want)
{
    g_auto(Surplus) surplus = { 0 };
    g_autoptr(GError) error = NULL;
    char serial[VIRGA_DISK_SERIAL_SIZE];
    bool done = false;

    guest->join_asked_at = g_get_monotonic_time();
    if (find_surplus(node, want, &surplus, &error) && surplus.disk) {
        node_disk_serial(surplus.disk->id, serial);
        node->hypervisor->join(node->hypervisor, guest->id, serial, surplus.path, surplus.below,
                               &done, &error);
    }
    if (!error)
        return;
    virga_notice("instance", guest->id, "could not join layers: %s", error->message);
    guest->join_next_at = guest->join_asked_at + JOIN_AGAIN_S * G_USEC_PER_SEC;
}

gint64
node_join_again_at(const Guest *guest)
{
    return guest->join_asked_at + JOIN_LOOKS_US;
}

void
node_join_volume(VirgaNode *node, const char *pool_name, const char *volume_id)
{
    VirgaVolumeDriver *pool = node_pool(node, pool_name, NULL);
    const char *const ids[] = { volume_id, NULL };
    g_autoptr(GError) error = NULL;
    bool owned;

    node_claim_volumes(node, ids);
    g_mutex_lock(&node->lock);
    owned = node_owner_locked(node, volume_id) != NULL;
    g_mutex_unlock(&node->lock);
    owned = owned || node_is_exported(node, volume_id);
    if (pool && !owned && !is_needed(node, volume_id) && !pool->join(pool, volume_id, &error))
        virga_notice("volume", volume_id, "could not join its layers: %s", error->message);
    node_release_volumes(node, ids);
}
