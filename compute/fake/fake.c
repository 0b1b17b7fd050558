/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/hypervisor.h"

#include "core/error.h"

typedef struct {
    VirgaDomainState state;
    VirgaDomainReason reason;
    GPtrArray *keys[VIRGA_DEVICE_KINDS]; /* of its devices */
    bool frozen;
} Domain;

typedef struct {
    VirgaHypervisor base;
    VirgaHypervisorEvent event;
    gpointer data;
    GMutex lock;
    GHashTable *domains; /* id -> Domain */
    unsigned calls, fail_at;
    bool failed, deaf;
} Fake;

/* Locks and counts a call; false, unlocked, if it is the one that shall fail. */
static bool
enter(Fake *fake, GError **error)
{
    bool fails;

    g_mutex_lock(&fake->lock);
    fails = fake->fail_at && ++fake->calls == fake->fail_at;
    fake->failed = fake->failed || fails;
    if (fails)
        g_mutex_unlock(&fake->lock);
    return !fails || virga_fail(error, "domain", VIRGA_ERROR_RETRY, "told to fail");
}

static void
tell(Fake *fake, const char *id, bool rebooted)
{
    if (fake->event)
        fake->event(id, rebooted, fake->data);
}

static bool
fake_inspect(VirgaHypervisor *hypervisor, const char *id, VirgaDomainState *ret_state,
             VirgaDomainReason *ret_reason, GError **error)
{
    Fake *fake = (Fake *) hypervisor;
    Domain *domain;

    if (!enter(fake, error))
        return false;
    domain = g_hash_table_lookup(fake->domains, id);
    *ret_state = domain ? domain->state : VIRGA_DOMAIN_ABSENT;
    *ret_reason = domain ? domain->reason : VIRGA_DOMAIN_REASON_NONE;
    g_mutex_unlock(&fake->lock);
    return true;
}

static bool
fake_start(VirgaHypervisor *hypervisor, const VirgaDomainSpec *spec, GError **error)
{
    Fake *fake = (Fake *) hypervisor;
    Domain *domain;

    if (!enter(fake, error))
        return false;
    domain = g_hash_table_lookup(fake->domains, spec->id);
    if (!domain) {
        domain = g_new0(Domain, 1);
        domain->state = VIRGA_DOMAIN_OFF;
        for (int kind = 0; kind < VIRGA_DEVICE_KINDS; kind++)
            domain->keys[kind] = g_ptr_array_new_with_free_func(g_free);
        g_hash_table_insert(fake->domains, g_strdup(spec->id), domain);
    }
    if (domain->state == VIRGA_DOMAIN_OFF) {
        domain->state = VIRGA_DOMAIN_PAUSED;
        domain->reason = VIRGA_DOMAIN_REASON_NONE;
        for (int kind = 0; kind < VIRGA_DEVICE_KINDS; kind++)
            g_ptr_array_set_size(domain->keys[kind], 0);
        for (size_t i = 0; i < spec->port_count; i++)
            g_ptr_array_add(domain->keys[VIRGA_DEVICE_PORT], g_strdup(spec->ports[i].mac));
        for (size_t i = 0; i < spec->disk_count; i++)
            g_ptr_array_add(domain->keys[VIRGA_DEVICE_DISK], g_strdup(spec->disks[i].serial));
    }
    g_mutex_unlock(&fake->lock);
    return true;
}

/* Moves a domain that is on to 'state'. */
static bool
set_state(Fake *fake, const char *id, VirgaDomainState state, VirgaDomainReason reason,
          bool rebooted, GError **error)
{
    Domain *domain;

    if (!enter(fake, error))
        return false;
    domain = g_hash_table_lookup(fake->domains, id);
    if (domain && domain->state != VIRGA_DOMAIN_OFF) {
        domain->state = state;
        domain->reason = reason;
    }
    g_mutex_unlock(&fake->lock);
    if (!domain)
        return virga_fail(error, "domain", VIRGA_ERROR_NOT_FOUND, "%s is not defined", id);
    tell(fake, id, rebooted);
    return true;
}

static bool
fake_resume(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    return set_state((Fake *) hypervisor, id, VIRGA_DOMAIN_RUNNING, VIRGA_DOMAIN_REASON_NONE, false,
                     error);
}

static bool
fake_pause(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    return set_state((Fake *) hypervisor, id, VIRGA_DOMAIN_PAUSED, VIRGA_DOMAIN_REASON_NONE, false,
                     error);
}

static bool
fake_shutdown(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    if (((Fake *) hypervisor)->deaf)
        return true;
    return set_state((Fake *) hypervisor, id, VIRGA_DOMAIN_OFF, VIRGA_DOMAIN_REASON_GUEST, false,
                     error);
}

static bool
fake_power_off(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    return set_state((Fake *) hypervisor, id, VIRGA_DOMAIN_OFF, VIRGA_DOMAIN_REASON_NONE, false,
                     error);
}

static bool
fake_reboot(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    return set_state((Fake *) hypervisor, id, VIRGA_DOMAIN_RUNNING, VIRGA_DOMAIN_REASON_NONE, true,
                     error);
}

/* The domain of a call, or unlocked and NULL. */
static Domain *
enter_domain(Fake *fake, const char *id, GError **error)
{
    Domain *domain = enter(fake, error) ? g_hash_table_lookup(fake->domains, id) : NULL;

    if (domain || (error && *error))
        return domain;
    g_mutex_unlock(&fake->lock);
    virga_fail(error, "domain", VIRGA_ERROR_NOT_FOUND, "%s is not defined", id);
    return NULL;
}

static char **
fake_devices(VirgaHypervisor *hypervisor, const char *id, VirgaDeviceKind kind, GError **error)
{
    Fake *fake = (Fake *) hypervisor;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    Domain *domain = enter_domain(fake, id, error);

    if (!domain)
        return NULL;
    for (guint i = 0; i < domain->keys[kind]->len; i++)
        g_strv_builder_add(builder, domain->keys[kind]->pdata[i]);
    g_mutex_unlock(&fake->lock);
    return g_strv_builder_end(builder);
}

static bool
attach(VirgaHypervisor *hypervisor, const char *id, VirgaDeviceKind kind, const char *key,
       GError **error)
{
    Fake *fake = (Fake *) hypervisor;
    Domain *domain = enter_domain(fake, id, error);

    if (!domain)
        return false;
    g_ptr_array_add(domain->keys[kind], g_strdup(key));
    g_mutex_unlock(&fake->lock);
    return true;
}

static bool
fake_attach_port(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainPort *port,
                 GError **error)
{
    return attach(hypervisor, id, VIRGA_DEVICE_PORT, port->mac, error);
}

static bool
fake_attach_disk(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainDisk *disk,
                 GError **error)
{
    return attach(hypervisor, id, VIRGA_DEVICE_DISK, disk->serial, error);
}

static bool
fake_detach(VirgaHypervisor *hypervisor, const char *id, VirgaDeviceKind kind, const char *key,
            GError **error)
{
    Fake *fake = (Fake *) hypervisor;
    Domain *domain = enter_domain(fake, id, error);
    guint at;

    if (!domain)
        return false;
    if (!fake->deaf && g_ptr_array_find_with_equal_func(domain->keys[kind], key, g_str_equal, &at))
        g_ptr_array_remove_index(domain->keys[kind], at);
    g_mutex_unlock(&fake->lock);
    tell(fake, id, false);
    return true;
}

static bool
fake_cut(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainDisk *disks, size_t count,
         GError **error)
{
    Fake *fake = (Fake *) hypervisor;

    if (!enter_domain(fake, id, error))
        return false;
    g_mutex_unlock(&fake->lock);
    return true;
}

/* The call that fails freezes, too: that is how an answer is lost. */
static bool
fake_freeze(VirgaHypervisor *hypervisor, const char *id, bool *ret_asked, GError **error)
{
    Fake *fake = (Fake *) hypervisor;
    Domain *domain;

    *ret_asked = true;
    g_mutex_lock(&fake->lock);
    domain = g_hash_table_lookup(fake->domains, id);
    if (domain)
        domain->frozen = true;
    g_mutex_unlock(&fake->lock);
    return fake_cut(hypervisor, id, NULL, 0, error);
}

static bool
fake_thaw(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    Fake *fake = (Fake *) hypervisor;
    Domain *domain = enter_domain(fake, id, error);

    if (!domain)
        return false;
    domain->frozen = false;
    g_mutex_unlock(&fake->lock);
    return true;
}

bool
virga_hypervisor_fake_frozen(VirgaHypervisor *hypervisor, const char *id)
{
    Fake *fake = (Fake *) hypervisor;
    Domain *domain;
    bool frozen;

    g_mutex_lock(&fake->lock);
    domain = g_hash_table_lookup(fake->domains, id);
    frozen = domain && domain->frozen;
    g_mutex_unlock(&fake->lock);
    return frozen;
}

static bool
fake_tune(VirgaHypervisor *hypervisor, const char *id, const VirgaDomainDisk *disks, size_t count,
          GError **error)
{
    return fake_cut(hypervisor, id, disks, count, error);
}

static bool
fake_join(VirgaHypervisor *hypervisor, const char *id, const char *key, const char *layer,
          const char *below, bool *ret_done, GError **error)
{
    *ret_done = true;
    return fake_cut(hypervisor, id, NULL, 0, error);
}

static void
domain_free(gpointer data)
{
    Domain *domain = data;

    for (int kind = 0; kind < VIRGA_DEVICE_KINDS; kind++)
        g_ptr_array_unref(domain->keys[kind]);
    g_free(domain);
}

static bool
fake_remove(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    Fake *fake = (Fake *) hypervisor;

    if (!enter(fake, error))
        return false;
    g_hash_table_remove(fake->domains, id);
    g_mutex_unlock(&fake->lock);
    return true;
}

/* One that was never switched on has no screen. */
static bool
fake_interrupt(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    Fake *fake = (Fake *) hypervisor;
    Domain *domain;
    bool runs;

    if (!enter(fake, error))
        return false;
    domain = g_hash_table_lookup(fake->domains, id);
    runs = domain && domain->state == VIRGA_DOMAIN_RUNNING;
    g_mutex_unlock(&fake->lock);
    return runs || virga_fail(error, "domain", VIRGA_ERROR_STATE, "%s does not run", id);
}

static GBytes *
fake_screenshot(VirgaHypervisor *hypervisor, const char *id, GError **error)
{
    static const char dark[] = "P6\n2 1\n255\n\0\0\0\0\0\0";

    return fake_interrupt(hypervisor, id, error) ? g_bytes_new_static(dark, sizeof dark - 1) : NULL;
}

static char **
fake_list(VirgaHypervisor *hypervisor, GError **error)
{
    Fake *fake = (Fake *) hypervisor;
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    GHashTableIter iter;
    gpointer id;

    if (!enter(fake, error))
        return NULL;
    g_hash_table_iter_init(&iter, fake->domains);
    while (g_hash_table_iter_next(&iter, &id, NULL))
        g_strv_builder_add(builder, id);
    g_mutex_unlock(&fake->lock);
    return g_strv_builder_end(builder);
}

static void
fake_free(VirgaHypervisor *hypervisor)
{
    Fake *fake = (Fake *) hypervisor;

    g_hash_table_destroy(fake->domains);
    g_mutex_clear(&fake->lock);
    g_free(fake);
}

VirgaHypervisor *
virga_hypervisor_fake_new(VirgaHypervisorEvent event, gpointer data)
{
    Fake *fake = g_new0(Fake, 1);

    fake->base = (VirgaHypervisor){ .name = "fake",
                                    .inspect = fake_inspect,
                                    .start = fake_start,
                                    .resume = fake_resume,
                                    .shutdown = fake_shutdown,
                                    .power_off = fake_power_off,
                                    .reboot = fake_reboot,
                                    .reset = fake_reboot,
                                    .devices = fake_devices,
                                    .attach_port = fake_attach_port,
                                    .attach_disk = fake_attach_disk,
                                    .detach = fake_detach,
                                    .pause = fake_pause,
                                    .freeze = fake_freeze,
                                    .thaw = fake_thaw,
                                    .cut = fake_cut,
                                    .join = fake_join,
                                    .tune = fake_tune,
                                    .remove = fake_remove,
                                    .screenshot = fake_screenshot,
                                    .interrupt = fake_interrupt,
                                    .list = fake_list,
                                    .free = fake_free };
    fake->event = event;
    fake->data = data;
    g_mutex_init(&fake->lock);
    fake->domains = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, domain_free);
    return &fake->base;
}

void
virga_hypervisor_fake_fail_at(VirgaHypervisor *hypervisor, unsigned call)
{
    Fake *fake = (Fake *) hypervisor;

    fake->calls = 0;
    fake->fail_at = call;
    fake->failed = false;
}

bool
virga_hypervisor_fake_failed(VirgaHypervisor *hypervisor)
{
    return ((Fake *) hypervisor)->failed;
}

void
virga_hypervisor_fake_set_deaf(VirgaHypervisor *hypervisor, bool deaf)
{
    ((Fake *) hypervisor)->deaf = deaf;
}

void
virga_hypervisor_fake_guest_off(VirgaHypervisor *hypervisor, const char *id)
{
    set_state((Fake *) hypervisor, id, VIRGA_DOMAIN_OFF, VIRGA_DOMAIN_REASON_GUEST, false, NULL);
}
