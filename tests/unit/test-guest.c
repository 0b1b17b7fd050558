/* SPDX-License-Identifier: Apache-2.0 */
/* The choice of a guest's next step: a table, what must hold for every input, and a small world in
 * which the steps are taken until nothing is left to do. */
#include "compute/guest.h"

#include <string.h>

#define STEPS_MAX 32
#define DISKS     2

static VirgaGuestWish
wish_of(const char *wish, bool force, gint64 reboots)
{
    return (VirgaGuestWish){
        .id = (char *) "i-0", .wish = (char *) wish, .force = force, .reboots = reboots
    };
}

static const char *const wishes[] = { "run", "stop", "terminate" };

/* ---- the table ---- */

#define ABSENT  VIRGA_DOMAIN_ABSENT
#define OFF     VIRGA_DOMAIN_OFF
#define PAUSED  VIRGA_DOMAIN_PAUSED
#define RUNNING VIRGA_DOMAIN_RUNNING
#define STUCK   VIRGA_DOMAIN_STUCK
#define BY_SELF VIRGA_DOMAIN_REASON_GUEST

static const struct {
    const char *wish;
    bool force;
    gint64 reboots;
    VirgaGuestFacts is;
    VirgaGuestStep step;
} table[] = {
    /* a launch */
    { "run", false, 0, { .domain = ABSENT }, VIRGA_GUEST_MAKE_DISKS },
    { "run", false, 0, { .domain = ABSENT, .disks_here = true }, VIRGA_GUEST_PREPARE_TAPS },
    { "run",
      false,
      0,
      { .domain = ABSENT, .disks_here = true, .taps_ready = true },
      VIRGA_GUEST_START },
    { "run", false, 0, { .domain = PAUSED }, VIRGA_GUEST_PLUG },
    { "run", false, 0, { .domain = PAUSED, .plugged = true }, VIRGA_GUEST_RESUME },
    { "run", false, 0, { .domain = RUNNING, .plugged = true }, VIRGA_GUEST_SETTLED },
    /* after a restart of the node */
    { "run", false, 0, { .domain = RUNNING }, VIRGA_GUEST_PLUG },
    /* trouble */
    { "run", false, 0, { .domain = STUCK, .plugged = true }, VIRGA_GUEST_RESUME },
    { "run", false, 0, { .domain = STUCK, .plugged = true, .resumed = true }, VIRGA_GUEST_WAIT },
    { "run", false, 0, { .domain = ABSENT, .disk_lost = true }, VIRGA_GUEST_LOST },
    { "run", false, 0, { .domain = OFF, .disk_lost = true, .reason = BY_SELF }, VIRGA_GUEST_LOST },
    { "run",
      false,
      0,
      { .domain = OFF,
        .disks_here = true,
        .taps_ready = true,
        .reason = VIRGA_DOMAIN_REASON_CRASH },
      VIRGA_GUEST_START },
    { "run",
      false,
      0,
      { .domain = OFF, .disks_here = true, .reason = BY_SELF },
      VIRGA_GUEST_OFF_BY_GUEST },
    { "run",
      false,
      0,
      { .domain = OFF, .disks_here = true, .reason = BY_SELF, .former_life = true },
      VIRGA_GUEST_RETIRE },
    /* reboots */
    { "run", false, 1, { .domain = RUNNING, .plugged = true }, VIRGA_GUEST_REBOOT },
    { "run",
      false,
      1,
      { .domain = RUNNING, .plugged = true, .rebooting = true },
      VIRGA_GUEST_WAIT },
    { "run",
      false,
      1,
      { .domain = RUNNING, .plugged = true, .rebooting = true, .reboot_overdue = true },
      VIRGA_GUEST_RESET },
    { "run",
      false,
      1,
      { .domain = RUNNING, .plugged = true, .reboots_done = 1 },
      VIRGA_GUEST_SETTLED },
    { "run",
      false,
      2,
      { .domain = RUNNING, .plugged = true, .reboots_done = 1 },
      VIRGA_GUEST_REBOOT },
    /* ports that come and go */
    { "run",
      false,
      0,
      { .domain = RUNNING, .plugged = true, .device_lacking = true },
      VIRGA_GUEST_ADD_DEVICES },
    { "run", false, 0, { .domain = RUNNING, .device_lacking = true }, VIRGA_GUEST_PLUG },
    { "run",
      false,
      0,
      { .domain = RUNNING, .plugged = true, .device_leaving = true },
      VIRGA_GUEST_DROP_DEVICES },
    { "run",
      false,
      0,
      { .domain = RUNNING, .plugged = true, .device_leaving = true, .device_asked = true },
      VIRGA_GUEST_WAIT },
    { "run",
      false,
      1,
      { .domain = RUNNING, .plugged = true, .device_leaving = true, .device_asked = true },
      VIRGA_GUEST_REBOOT },
    { "stop",
      false,
      0,
      { .domain = RUNNING, .plugged = true, .device_leaving = true },
      VIRGA_GUEST_ASK_SHUTDOWN },
    { "run",
      false,
      0,
      { .domain = RUNNING, .plugged = true, .tune_asked = true },
      VIRGA_GUEST_TUNE },
    /* snapshots, before all else, and what they leave, after it */
    { "run",
      false,
      0,
      { .domain = ABSENT, .disks_here = true, .taps_ready = true, .cut_asked = true },
      VIRGA_GUEST_CUT },
    { "stop",
      false,
      0,
      { .domain = RUNNING, .plugged = true, .cut_asked = true },
      VIRGA_GUEST_CUT },
    { "stop",
      false,
      0,
      { .domain = RUNNING, .plugged = true, .cut_asked = true, .frozen = true },
      VIRGA_GUEST_THAW },
    { "run",
      false,
      0,
      { .domain = RUNNING, .plugged = true, .layer_surplus = true },
      VIRGA_GUEST_JOIN },
    { "run",
      false,
      0,
      { .domain = RUNNING, .plugged = true, .layer_surplus = true, .join_asked = true },
      VIRGA_GUEST_WAIT },
    { "run",
      false,
      1,
      { .domain = RUNNING, .plugged = true, .layer_surplus = true },
      VIRGA_GUEST_REBOOT },
    { "run", false, 0, { .domain = RUNNING, .halt_asked = true }, VIRGA_GUEST_ASK_SHUTDOWN },
    { "run",
      false,
      0,
      { .domain = RUNNING, .halt_asked = true, .shutdown_asked = true },
      VIRGA_GUEST_WAIT },
    { "run",
      false,
      0,
      { .domain = OFF, .halt_asked = true, .reason = BY_SELF, .disks_here = true },
      VIRGA_GUEST_RETIRE },
    /* stopping */
    { "stop", false, 0, { .domain = RUNNING, .plugged = true }, VIRGA_GUEST_ASK_SHUTDOWN },
    { "stop",
      false,
      0,
      { .domain = RUNNING, .plugged = true, .shutdown_asked = true },
      VIRGA_GUEST_WAIT },
    { "stop",
      false,
      0,
      { .domain = RUNNING, .shutdown_asked = true, .shutdown_overdue = true },
      VIRGA_GUEST_POWER_OFF },
    { "stop", true, 0, { .domain = RUNNING, .plugged = true }, VIRGA_GUEST_POWER_OFF },
    { "stop", false, 0, { .domain = PAUSED }, VIRGA_GUEST_POWER_OFF },
    { "stop", false, 0, { .domain = STUCK }, VIRGA_GUEST_POWER_OFF },
    { "stop", false, 0, { .domain = OFF, .disks_here = true }, VIRGA_GUEST_RETIRE },
    { "stop", false, 0, { .domain = ABSENT, .disk_lost = true }, VIRGA_GUEST_RETIRE },
    { "stop",
      false,
      0,
      { .domain = ABSENT, .disks_here = true, .absent = true },
      VIRGA_GUEST_SETTLED },
    /* terminating */
    { "terminate", false, 0, { .domain = RUNNING, .plugged = true }, VIRGA_GUEST_ASK_SHUTDOWN },
    { "terminate", false, 0, { .domain = PAUSED }, VIRGA_GUEST_POWER_OFF },
    { "terminate", false, 0, { .domain = OFF }, VIRGA_GUEST_REMOVE },
    { "terminate", false, 0, { .domain = ABSENT, .disk_lost = true }, VIRGA_GUEST_REMOVE },
    { "terminate", false, 0, { .domain = ABSENT, .absent = true }, VIRGA_GUEST_SETTLED },
};

static void
test_table(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        VirgaGuestWish want = wish_of(table[i].wish, table[i].force, table[i].reboots);
        VirgaGuestStep step = virga_guest_next_step(&want, &table[i].is);

        if (step != table[i].step)
            g_error("row %zu: \"%s\" instead of \"%s\"", i, virga_guest_step_name(step),
                    virga_guest_step_name(table[i].step));
    }
}

/* ---- for every input ---- */

static void
check_step(const VirgaGuestWish *want, const VirgaGuestFacts *is, VirgaGuestStep step)
{
    bool run = g_str_equal(want->wish, "run");
    bool off = is->domain == ABSENT || is->domain == OFF;

    switch (step) {
    case VIRGA_GUEST_MAKE_DISKS:
        g_assert_true(run && off && !is->disks_here);
        g_assert_false(is->disk_lost);
        break;
    case VIRGA_GUEST_PREPARE_TAPS:
        g_assert_true(run && off && is->disks_here && !is->disk_lost && !is->taps_ready);
        break;
    case VIRGA_GUEST_START:
        g_assert_true(run && off && is->disks_here && !is->disk_lost && is->taps_ready);
        break;
    case VIRGA_GUEST_PLUG:
        g_assert_true(run && !is->plugged && (is->domain == PAUSED || is->domain == RUNNING));
        break;
    case VIRGA_GUEST_RESUME:
        g_assert_true(run && ((is->domain == PAUSED && is->plugged) || is->domain == STUCK));
        break;
    case VIRGA_GUEST_ADD_DEVICES:
        g_assert_true(run && is->domain == RUNNING && is->plugged && is->device_lacking);
        break;
    case VIRGA_GUEST_DROP_DEVICES:
        g_assert_true(run && is->domain == RUNNING && is->device_leaving && !is->device_asked);
        break;
    case VIRGA_GUEST_ASK_SHUTDOWN:
        g_assert_true((!run || is->halt_asked) && is->domain == RUNNING && !want->force &&
                      !is->shutdown_asked);
        break;
    case VIRGA_GUEST_POWER_OFF:
        g_assert_true((!run || is->halt_asked) && !off);
        break;
    case VIRGA_GUEST_REBOOT:
    case VIRGA_GUEST_RESET:
        g_assert_true(run && is->domain == RUNNING && is->plugged);
        break;
    case VIRGA_GUEST_RETIRE:
        g_assert_true(off && !g_str_equal(want->wish, "terminate"));
        break;
    case VIRGA_GUEST_REMOVE:
        g_assert_true(off && g_str_equal(want->wish, "terminate") && !is->absent);
        break;
    case VIRGA_GUEST_TUNE:
        g_assert_true(run && is->domain == RUNNING && is->plugged && is->tune_asked);
        break;
    case VIRGA_GUEST_THAW:
        g_assert_true(is->frozen);
        break;
    case VIRGA_GUEST_CUT:
        g_assert_true(is->cut_asked);
        break;
    case VIRGA_GUEST_JOIN:
        g_assert_true(run && is->domain == RUNNING && is->layer_surplus && !is->join_asked);
        break;
    case VIRGA_GUEST_WAIT:
        g_assert_true(is->domain == RUNNING && (is->rebooting || is->shutdown_asked ||
                                                (run && (is->device_asked || is->join_asked))));
        break;
    case VIRGA_GUEST_LOST:
        g_assert_true(run && off && is->disk_lost);
        break;
    case VIRGA_GUEST_OFF_BY_GUEST:
        g_assert_true(run && is->domain == OFF && is->reason == BY_SELF);
        break;
    case VIRGA_GUEST_SETTLED:
        g_assert_true(run ? is->domain == RUNNING && is->plugged : is->absent && off);
        break;
    }
}

/* Every combination, also those that no world shows. */
static void
test_every_input(void)
{
    for (unsigned bits = 0; bits < 1u << 20; bits++)
        for (int domain = ABSENT; domain <= STUCK; domain++)
            for (int reason = 0; reason <= VIRGA_DOMAIN_REASON_CRASH; reason++)
                for (size_t w = 0; w < G_N_ELEMENTS(wishes); w++) {
                    VirgaGuestWish want = wish_of(wishes[w], bits & 1, bits >> 1 & 1);
                    VirgaGuestFacts is = {
                        .disks_here = bits >> 2 & 1,
                        .disk_lost = bits >> 3 & 1,
                        .former_life = bits >> 4 & 1,
                        .absent = bits >> 5 & 1,
                        .taps_ready = bits >> 6 & 1,
                        .plugged = bits >> 7 & 1,
                        .domain = (VirgaDomainState) domain,
                        .reason = (VirgaDomainReason) reason,
                        .shutdown_asked = bits >> 8 & 1,
                        .shutdown_overdue = bits >> 9 & 1,
                        .rebooting = bits >> 10 & 1,
                        .reboot_overdue = bits >> 11 & 1,
                        .device_lacking = bits >> 12 & 1,
                        .device_leaving = bits >> 13 & 1,
                        .device_asked = bits >> 14 & 1,
                        .cut_asked = bits >> 15 & 1,
                        .layer_surplus = bits >> 16 & 1,
                        .join_asked = bits >> 17 & 1,
                        .halt_asked = bits >> 18 & 1,
                        .tune_asked = bits >> 19 & 1,
                    };

                    check_step(&want, &is, virga_guest_next_step(&want, &is));
                }
}

/* ---- a world in which steps have effects ---- */

typedef struct {
    bool disk[DISKS], made[DISKS];
    bool taps, plugged, retired;
    VirgaDomainState domain;
    VirgaDomainReason reason;
    bool off_seen; /* under an earlier wish */
    bool deaf;     /* the guest does not listen */
    bool asked, overdue, rebooting, reboot_overdue;
    gint64 reboots_done;
} World;

static VirgaGuestFacts
look(const World *world, const VirgaGuestWish *want)
{
    bool off = world->domain == ABSENT || world->domain == OFF, any = false;
    VirgaGuestFacts is = { .domain = world->domain,
                           .reason = world->reason,
                           .former_life = world->off_seen,
                           .taps_ready = world->taps,
                           .plugged = world->plugged,
                           .shutdown_asked = world->asked,
                           .shutdown_overdue = world->overdue,
                           .rebooting = world->rebooting,
                           .reboot_overdue = world->reboot_overdue,
                           .reboots_done = world->reboots_done };

    if (!off) /* disks are looked at only while nobody uses them */
        return is;
    is.disks_here = true;
    for (int i = 0; i < DISKS; i++) {
        is.disks_here = is.disks_here && world->disk[i];
        is.disk_lost = is.disk_lost || (world->made[i] && !world->disk[i]);
        any = any || world->disk[i];
    }
    is.absent =
        world->domain == ABSENT && world->retired && !(any && g_str_equal(want->wish, "terminate"));
    return is;
}

static void
switch_off(World *world, VirgaDomainReason reason)
{
    world->domain = OFF;
    world->reason = reason;
    world->taps = world->plugged = false;
}

/* The guest's own time: it does as it was asked, or its time runs out. */
static void
let_time_pass(World *world)
{
    if (world->asked && !world->deaf)
        switch_off(world, BY_SELF);
    else if (world->asked)
        world->overdue = true;
    else if (world->rebooting && !world->deaf)
        world->rebooting = false, world->reboots_done++;
    else
        world->reboot_overdue = true;
}

static void
take(World *world, VirgaGuestStep step)
{
    switch (step) {
    case VIRGA_GUEST_WAIT:
        let_time_pass(world);
        break;
    case VIRGA_GUEST_MAKE_DISKS:
        for (int i = 0; i < DISKS; i++) {
            g_assert_false(world->made[i] && !world->disk[i]);
            world->disk[i] = world->made[i] = true;
        }
        break;
    case VIRGA_GUEST_PREPARE_TAPS:
        world->taps = true;
        world->retired = false;
        break;
    case VIRGA_GUEST_START:
        world->domain = PAUSED;
        world->reason = VIRGA_DOMAIN_REASON_NONE;
        break;
    case VIRGA_GUEST_PLUG:
        world->plugged = world->taps = true;
        break;
    case VIRGA_GUEST_RESUME:
        world->domain = RUNNING;
        break;
    case VIRGA_GUEST_ASK_SHUTDOWN:
        world->asked = true;
        break;
    case VIRGA_GUEST_POWER_OFF:
        switch_off(world, VIRGA_DOMAIN_REASON_NONE);
        break;
    case VIRGA_GUEST_REBOOT:
        world->rebooting = true;
        break;
    case VIRGA_GUEST_RESET:
        world->rebooting = world->reboot_overdue = false;
        world->reboots_done++;
        break;
    case VIRGA_GUEST_REMOVE:
        memset(world->disk, 0, sizeof world->disk);
        /* fall through */
    case VIRGA_GUEST_RETIRE:
        world->domain = ABSENT;
        world->reason = VIRGA_DOMAIN_REASON_NONE;
        world->taps = world->plugged = world->off_seen = false;
        world->retired = true;
        break;
    default:
        g_assert_not_reached();
    }
}

static bool
is_final(VirgaGuestStep step)
{
    return step == VIRGA_GUEST_SETTLED || step == VIRGA_GUEST_LOST ||
           step == VIRGA_GUEST_OFF_BY_GUEST;
}

static void
check_end(const World *world, const VirgaGuestWish *want, VirgaGuestStep last, VirgaGuestStep end)
{
    if (g_str_equal(want->wish, "run")) {
        if (end == VIRGA_GUEST_SETTLED)
            g_assert_cmpint(world->reboots_done, >=, want->reboots);
        return;
    }
    g_assert_cmpint(end, ==, VIRGA_GUEST_SETTLED);
    g_assert_cmpint(world->domain, ==, ABSENT);
    g_assert_false(world->taps || world->plugged);
    if (!g_str_equal(want->wish, "terminate"))
        return;
    g_assert_false(world->disk[0] || world->disk[1]);
    g_assert_true(last == VIRGA_GUEST_REMOVE || last == VIRGA_GUEST_SETTLED /* nothing was left */);
}

static void
live(World world, const VirgaGuestWish *want)
{
    VirgaGuestStep last = VIRGA_GUEST_SETTLED;

    for (int i = 0; i < STEPS_MAX; i++) {
        VirgaGuestFacts is = look(&world, want);
        VirgaGuestStep step = virga_guest_next_step(want, &is);

        check_step(want, &is, step);
        if (is_final(step)) {
            check_end(&world, want, last, step);
            return;
        }
        take(&world, step);
        last = step;
    }
    g_error("\"%s\" does not end: last \"%s\", domain %d", want->wish, virga_guest_step_name(last),
            world.domain);
}

static void
test_worlds(void)
{
    for (unsigned bits = 0; bits < 1u << 14; bits++)
        for (int domain = ABSENT; domain <= STUCK; domain++)
            for (int reason = 0; reason <= VIRGA_DOMAIN_REASON_CRASH; reason++) {
                World world = { .disk = { bits & 1, bits >> 1 & 1 },
                                .made = { bits >> 2 & 1, bits >> 3 & 1 },
                                .plugged = bits >> 4 & 1,
                                .taps = (bits >> 4 & 1) || (bits >> 5 & 1),
                                .retired = bits >> 6 & 1,
                                .domain = (VirgaDomainState) domain,
                                .reason = (VirgaDomainReason) reason,
                                .off_seen = bits >> 7 & 1,
                                .deaf = bits >> 8 & 1,
                                .asked = bits >> 9 & 1,
                                .rebooting = bits >> 10 & 1 };
                VirgaGuestWish want =
                    wish_of(wishes[(bits >> 11) % 3], bits >> 13 & 1, bits >> 10 & 1);

                /* Only a wish to end asks the guest to switch off. */
                world.asked = world.asked && !g_str_equal(want.wish, "run");
                if (domain != OFF && reason != VIRGA_DOMAIN_REASON_NONE)
                    continue;
                if (world.retired && (domain != ABSENT || world.taps))
                    continue; /* those are its opposite */
                if ((domain == OFF || domain == ABSENT) && world.plugged)
                    continue; /* nobody is behind them */
                live(world, &want);
            }
}

static void
test_names(void)
{
    for (int step = VIRGA_GUEST_SETTLED; step <= VIRGA_GUEST_OFF_BY_GUEST; step++)
        g_assert_nonnull(virga_guest_step_name((VirgaGuestStep) step));
    g_assert_cmpstr(virga_guest_step_name(VIRGA_GUEST_OFF_BY_GUEST), ==, "off by guest");
}

/* ---- the wish as it travels ---- */

static void
test_record(void)
{
    const char *text =
        "{\"id\":\"i-1\",\"wish\":\"run\",\"boot_mode\":\"uefi\",\"generation\":7,\"vcpus\":2,"
        "\"memory_mib\":512,\"force\":true,\"a newer member\":{},"
        "\"disks\":[{\"id\":\"vol-1\",\"device\":\"/dev/sda1\",\"size_gib\":8,\"made\":true}],"
        "\"ports\":[{\"id\":\"eni-1\",\"vpc_id\":\"vpc-1\",\"mac\":\"02:00:00:00:00:01\","
        "\"address\":\"172.31.0.4\",\"device_index\":0}]}";
    g_autoptr(GError) error = NULL;
    VirgaGuestWish *want = virga_record_from_text(&virga_guest_wish_type, text, &error);
    g_autofree char *first = NULL, *second = NULL;
    VirgaGuestWish *again;

    g_assert_no_error(error);
    g_assert_cmpint(want->disks->len, ==, 1);
    g_assert_true(((VirgaGuestDisk *) want->disks->pdata[0])->made);
    g_assert_cmpstr(((VirgaGuestPort *) want->ports->pdata[0])->address, ==, "172.31.0.4");
    first = virga_record_to_text(&virga_guest_wish_type, want);
    again = virga_record_from_text(&virga_guest_wish_type, first, &error);
    g_assert_no_error(error);
    second = virga_record_to_text(&virga_guest_wish_type, again);
    g_assert_cmpstr(first, ==, second);
    virga_record_free(&virga_guest_wish_type, want);
    virga_record_free(&virga_guest_wish_type, again);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/guest/table", test_table);
    g_test_add_func("/guest/every-input", test_every_input);
    g_test_add_func("/guest/worlds", test_worlds);
    g_test_add_func("/guest/names", test_names);
    g_test_add_func("/guest/record", test_record);
    return g_test_run();
}
