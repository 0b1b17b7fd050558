/* SPDX-License-Identifier: Apache-2.0 */
/* An instance's whole life: wishes, facts, and what is given back when. */
#include "cloud.h"

#include "core/error.h"
#include "core/tag.h"
#include "network/interface.h"
#include "storage/volume.h"

#include <string.h>

static VirgaInstanceChange
change_of(Cloud *cloud, const char *verb, const char *id)
{
    const char *ids[] = { id, NULL };
    g_autoptr(GError) error = NULL;
    VirgaInstanceChange *change = NULL;

    if (g_str_equal(verb, "start"))
        virga_instance_start(cloud->db, cloud->arena, ACCOUNT, ids, false, &change, &error);
    else if (g_str_equal(verb, "stop"))
        virga_instance_stop(cloud->db, cloud->arena, ACCOUNT, ids, false, false, &change, &error);
    else
        virga_instance_terminate(cloud->db, cloud->arena, ACCOUNT, ids, false, &change, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(change->id, ==, id);
    return *change;
}

static void
assert_refused(Cloud *cloud, const char *account_id, const char *verb, const char *id,
               VirgaErrorCode code)
{
    const char *ids[] = { id, NULL };
    g_autoptr(GError) error = NULL;
    VirgaInstanceChange *change;

    if (g_str_equal(verb, "start"))
        virga_instance_start(cloud->db, cloud->arena, account_id, ids, false, &change, &error);
    else if (g_str_equal(verb, "stop"))
        virga_instance_stop(cloud->db, cloud->arena, account_id, ids, false, false, &change,
                            &error);
    else if (g_str_equal(verb, "reboot"))
        virga_instance_reboot(cloud->db, account_id, ids, false, &error);
    else
        virga_instance_terminate(cloud->db, cloud->arena, account_id, ids, false, &change, &error);
    if (!virga_error_is(error, "instance", code))
        g_error("%s: %s", verb, error ? error->message : "not refused");
}

static void
assert_state(Cloud *cloud, const char *id, VirgaInstanceState state, VirgaWish wish)
{
    VirgaInstance *instance = cloud_instance(cloud, id);

    g_assert_cmpstr(virga_instance_state_name(instance->state), ==,
                    virga_instance_state_name(state));
    g_assert_cmpint(instance->wish, ==, wish);
    cloud_assert_claims(cloud);
}

static const char *
launch(Cloud *cloud)
{
    VirgaInstanceSpec spec = cloud_spec(cloud);

    return cloud_launch(cloud, &spec, 1)[0];
}

static const char *
launch_running(Cloud *cloud)
{
    const char *id = launch(cloud);

    cloud_report(cloud, id, VIRGA_POWER_RUNNING);
    assert_state(cloud, id, VIRGA_INSTANCE_RUNNING, VIRGA_WISH_RUN);
    return id;
}

static void
terminate(Cloud *cloud, const char *id)
{
    change_of(cloud, "terminate", id);
    cloud_report(cloud, id, VIRGA_POWER_ABSENT);
    assert_state(cloud, id, VIRGA_INSTANCE_TERMINATED, VIRGA_WISH_TERMINATE);
    cloud_assert_empty(cloud);
}

#define CLAIMED(cloud) cloud_number(cloud, "SELECT vcpus_claimed FROM host WHERE id = '" HOST "'")
#define PUBLIC(cloud)                                                                              \
    cloud_number(cloud, "SELECT count(*) FROM public_address WHERE interface_id IS NOT NULL")

/* ---- lives ---- */

static void
test_whole(Cloud *cloud, gconstpointer data)
{
    VirgaInstanceSpec spec = cloud_spec(cloud);
    VirgaTag tag = { .key = (char *) "k", .value = (char *) "v" };
    VirgaInstanceChange change;
    const char *id;
    gint64 launched;

    spec.tags = spec.volume_tags = spec.interface_tags = &tag;
    spec.tag_count = spec.volume_tag_count = spec.interface_tag_count = 1;
    id = cloud_launch(cloud, &spec, 1)[0];
    cloud_report(cloud, id, VIRGA_POWER_PREPARING);
    assert_state(cloud, id, VIRGA_INSTANCE_PENDING, VIRGA_WISH_RUN);
    cloud_report(cloud, id, VIRGA_POWER_RUNNING);
    assert_state(cloud, id, VIRGA_INSTANCE_RUNNING, VIRGA_WISH_RUN);
    g_assert_true(cloud_instance(cloud, id)->ran);
    launched = cloud_instance(cloud, id)->launched;

    change = change_of(cloud, "stop", id);
    g_assert_cmpint(change.before, ==, VIRGA_INSTANCE_RUNNING);
    g_assert_cmpint(change.after, ==, VIRGA_INSTANCE_STOPPING);
    g_assert_cmpint(CLAIMED(cloud), ==, VCPUS);
    cloud_report(cloud, id, VIRGA_POWER_RUNNING);
    assert_state(cloud, id, VIRGA_INSTANCE_STOPPING, VIRGA_WISH_STOP);
    cloud_report(cloud, id, VIRGA_POWER_OFF);
    assert_state(cloud, id, VIRGA_INSTANCE_STOPPED, VIRGA_WISH_STOP);
    g_assert_cmpint(CLAIMED(cloud), ==, 0);
    g_assert_cmpint(PUBLIC(cloud), ==, 0);
    cloud_report(cloud, id, VIRGA_POWER_OFF); /* said twice is said once */
    g_assert_cmpint(CLAIMED(cloud), ==, 0);
    g_assert_cmpstr(cloud_instance(cloud, id)->reason_code, ==, "Client.UserInitiatedShutdown");

    change = change_of(cloud, "start", id);
    g_assert_cmpint(change.after, ==, VIRGA_INSTANCE_PENDING);
    g_assert_cmpint(CLAIMED(cloud), ==, VCPUS);
    g_assert_cmpint(PUBLIC(cloud), ==, 1);
    cloud_report(cloud, id, VIRGA_POWER_RUNNING);
    assert_state(cloud, id, VIRGA_INSTANCE_RUNNING, VIRGA_WISH_RUN);
    g_assert_cmpint(cloud_instance(cloud, id)->launched, >, launched);
    g_assert_null(cloud_instance(cloud, id)->reason_code);

    change_of(cloud, "terminate", id);
    assert_state(cloud, id, VIRGA_INSTANCE_SHUTTING_DOWN, VIRGA_WISH_TERMINATE);
    cloud_report(cloud, id, VIRGA_POWER_ABSENT);
    assert_state(cloud, id, VIRGA_INSTANCE_TERMINATED, VIRGA_WISH_TERMINATE);
    cloud_assert_empty(cloud);
    /* The second disk stays, alone and with its tag; the root went. */
    g_assert_cmpint(cloud_number(cloud, "SELECT size_gib FROM volume"), ==, 5);
    g_assert_cmpint(cloud_number(cloud, "SELECT count(*) FROM tag"), ==, 2);
    g_assert_null(cloud_text(cloud, "SELECT host_id FROM instance"));
}

/* Facts about a wish that is no longer the newest say nothing. */
static void
test_old_facts(Cloud *cloud, gconstpointer data)
{
    const char *id = launch_running(cloud);
    VirgaInstanceFacts facts = { .id = id, .power = VIRGA_POWER_RUNNING };
    g_autoptr(GError) error = NULL;
    char **forget;

    facts.generation = cloud_number(cloud, "SELECT generation FROM instance");
    change_of(cloud, "stop", id);
    cloud_report(cloud, id, VIRGA_POWER_OFF);
    change_of(cloud, "start", id);
    facts.power = VIRGA_POWER_OFF_GUEST;
    g_assert_true(virga_instance_report(cloud->db, cloud->arena, HOST, &facts, 1, &forget, &error));
    assert_state(cloud, id, VIRGA_INSTANCE_PENDING, VIRGA_WISH_RUN);
    g_assert_cmpint(CLAIMED(cloud), ==, VCPUS);
    facts.console = "Ynll"; /* but what the guest printed is not said again */
    g_assert_true(virga_instance_report(cloud->db, cloud->arena, HOST, &facts, 1, &forget, &error));
    g_assert_cmpstr(cloud_text(cloud, "SELECT console FROM instance"), ==, "Ynll");
    assert_state(cloud, id, VIRGA_INSTANCE_PENDING, VIRGA_WISH_RUN);
    facts.console = NULL;

    /* Nor do those of a host that does not have it. */
    facts.generation = 1000;
    cloud_host(cloud, "h-08000000000000002", "us-east-1a", 4);
    g_assert_true(virga_instance_report(cloud->db, cloud->arena, "h-08000000000000002", &facts, 1,
                                        &forget, &error));
    g_assert_cmpstr(forget[0], ==, id);
    g_assert_null(forget[1]);
    assert_state(cloud, id, VIRGA_INSTANCE_PENDING, VIRGA_WISH_RUN);
    terminate(cloud, id);
}

static void
test_guest_off(Cloud *cloud, gconstpointer data)
{
    VirgaInstanceSpec spec = cloud_spec(cloud);
    const char *stays = launch_running(cloud), *goes;
    gint64 generation;

    spec.shutdown_behavior = "terminate";
    goes = cloud_launch(cloud, &spec, 1)[0];
    cloud_report(cloud, goes, VIRGA_POWER_RUNNING);
    generation = cloud_number(cloud, "SELECT generation FROM host");
    cloud_report(cloud, stays, VIRGA_POWER_OFF_GUEST);
    assert_state(cloud, stays, VIRGA_INSTANCE_STOPPED, VIRGA_WISH_STOP);
    g_assert_cmpstr(cloud_instance(cloud, stays)->reason_code, ==,
                    "Client.InstanceInitiatedShutdown");
    cloud_report(cloud, goes, VIRGA_POWER_OFF_GUEST);
    assert_state(cloud, goes, VIRGA_INSTANCE_SHUTTING_DOWN, VIRGA_WISH_TERMINATE);
    g_assert_cmpint(CLAIMED(cloud), ==, VCPUS);
    /* Both wishes are new to the host. */
    g_assert_cmpint(cloud_number(cloud, "SELECT generation FROM host"), ==, generation + 2);
    cloud_report(cloud, goes, VIRGA_POWER_ABSENT);
    cloud_report(cloud, stays, VIRGA_POWER_OFF);
    assert_state(cloud, stays, VIRGA_INSTANCE_STOPPED, VIRGA_WISH_STOP);
    g_assert_cmpint(CLAIMED(cloud), ==, 0);
    change_of(cloud, "start", stays);
    cloud_report(cloud, stays, VIRGA_POWER_RUNNING);
    assert_state(cloud, stays, VIRGA_INSTANCE_RUNNING, VIRGA_WISH_RUN);
    terminate(cloud, stays);
}

static void
report_failure(Cloud *cloud, const char *id, const char *code)
{
    VirgaInstanceFacts facts = { .id = id,
                                 .generation = 1 << 20,
                                 .power = VIRGA_POWER_FAILED,
                                 .code = code,
                                 .message = "it is so" };
    g_autoptr(GError) error = NULL;
    char **forget;

    virga_instance_report(cloud->db, cloud->arena, HOST, &facts, 1, &forget, &error);
    g_assert_no_error(error);
}

static void
test_failed_first(Cloud *cloud, gconstpointer data)
{
    const char *id = launch(cloud);

    report_failure(cloud, id, "Client.InvalidSnapshot.NotFound");
    assert_state(cloud, id, VIRGA_INSTANCE_SHUTTING_DOWN, VIRGA_WISH_TERMINATE);
    cloud_report(cloud, id, VIRGA_POWER_ABSENT);
    assert_state(cloud, id, VIRGA_INSTANCE_TERMINATED, VIRGA_WISH_TERMINATE);
    g_assert_cmpstr(cloud_instance(cloud, id)->reason_code, ==, "Client.InvalidSnapshot.NotFound");
    g_assert_cmpstr(cloud_instance(cloud, id)->reason_message, ==, "it is so");
    cloud_assert_empty(cloud);
}

static void
test_failed_later(Cloud *cloud, gconstpointer data)
{
    const char *id = launch_running(cloud);

    change_of(cloud, "stop", id);
    cloud_report(cloud, id, VIRGA_POWER_OFF);
    change_of(cloud, "start", id);
    report_failure(cloud, id, "Server.InternalError");
    assert_state(cloud, id, VIRGA_INSTANCE_STOPPED, VIRGA_WISH_STOP);
    g_assert_cmpstr(cloud_instance(cloud, id)->reason_code, ==, "Server.InternalError");
    g_assert_cmpint(CLAIMED(cloud), ==, 0);
    g_assert_cmpint(PUBLIC(cloud), ==, 0);
    change_of(cloud, "start", id);
    cloud_report(cloud, id, VIRGA_POWER_RUNNING);
    terminate(cloud, id);
}

static void
test_lost_volume(Cloud *cloud, gconstpointer data)
{
    const char *id = launch_running(cloud);
    const char *lost[] = { cloud_text(cloud, "SELECT id FROM volume WHERE size_gib = 2"), NULL };
    VirgaInstanceFacts facts = {
        .id = id, .generation = 1 << 20, .power = VIRGA_POWER_FAILED, .lost = lost, .made = lost
    };
    g_autoptr(GError) error = NULL;
    char **forget;

    change_of(cloud, "stop", id);
    cloud_report(cloud, id, VIRGA_POWER_OFF);
    change_of(cloud, "start", id);
    g_assert_true(virga_instance_report(cloud->db, cloud->arena, HOST, &facts, 1, &forget, &error));
    assert_state(cloud, id, VIRGA_INSTANCE_STOPPED, VIRGA_WISH_STOP);
    g_assert_cmpstr(cloud_text(cloud, "SELECT id FROM volume WHERE lost AND made"), ==, lost[0]);
    g_assert_cmpint(cloud_number(cloud, "SELECT count(*) FROM volume WHERE lost"), ==, 1);
    terminate(cloud, id);
}

/* ---- wishes ---- */

static void
test_wrong_states(Cloud *cloud, gconstpointer data)
{
    const char *id = launch(cloud);

    assert_refused(cloud, STRANGER, "stop", id, VIRGA_ERROR_NOT_FOUND);
    assert_refused(cloud, ACCOUNT, "stop", "i-08000000000000009", VIRGA_ERROR_NOT_FOUND);
    g_assert_cmpint(change_of(cloud, "start", id).after, ==, VIRGA_INSTANCE_PENDING);
    change_of(cloud, "stop", id); /* also while it is on the way */
    assert_refused(cloud, ACCOUNT, "start", id, VIRGA_ERROR_STATE);
    assert_refused(cloud, ACCOUNT, "reboot", id, VIRGA_ERROR_STATE);
    g_assert_cmpint(change_of(cloud, "stop", id).after, ==, VIRGA_INSTANCE_STOPPING);
    cloud_report(cloud, id, VIRGA_POWER_OFF);
    g_assert_cmpint(change_of(cloud, "stop", id).after, ==, VIRGA_INSTANCE_STOPPED);
    assert_refused(cloud, ACCOUNT, "reboot", id, VIRGA_ERROR_STATE);
    cloud_run(cloud, "UPDATE host SET vcpus_claimed = vcpus");
    assert_refused(cloud, ACCOUNT, "start", id, VIRGA_ERROR_CAPACITY);
    cloud_run(cloud, "UPDATE host SET vcpus_claimed = 0");
    change_of(cloud, "start", id);
    change_of(cloud, "terminate", id);
    assert_refused(cloud, ACCOUNT, "start", id, VIRGA_ERROR_STATE);
    assert_refused(cloud, ACCOUNT, "stop", id, VIRGA_ERROR_STATE);
    assert_refused(cloud, ACCOUNT, "reboot", id, VIRGA_ERROR_STATE);
    terminate(cloud, id); /* asking twice is no error */
    g_assert_cmpint(change_of(cloud, "terminate", id).after, ==, VIRGA_INSTANCE_TERMINATED);
    assert_refused(cloud, ACCOUNT, "start", id, VIRGA_ERROR_STATE);
    cloud_run(cloud, "UPDATE instance SET state_since = now() - interval '2 hours'");
    assert_refused(cloud, ACCOUNT, "terminate", id, VIRGA_ERROR_NOT_FOUND);
}

static void
test_protected(Cloud *cloud, gconstpointer data)
{
    const char *id = launch_running(cloud);

    cloud_run(cloud, "UPDATE instance SET disable_termination = true, disable_stop = true");
    assert_refused(cloud, ACCOUNT, "terminate", id, VIRGA_ERROR_DENIED);
    assert_refused(cloud, ACCOUNT, "stop", id, VIRGA_ERROR_DENIED);
    assert_state(cloud, id, VIRGA_INSTANCE_RUNNING, VIRGA_WISH_RUN);
    cloud_run(cloud, "UPDATE instance SET disable_termination = false, disable_stop = false");
    terminate(cloud, id);
}

/* All or none, one answer an id, in the order of the ids. */
static void
test_many(Cloud *cloud, gconstpointer data)
{
    VirgaInstanceSpec spec = cloud_spec(cloud);
    char **made = cloud_launch(cloud, &spec, 3);
    const char *ids[] = { made[2], made[0], made[2], made[1], NULL };
    const char *bad[] = { made[0], "i-08000000000000009", NULL };
    g_autoptr(GError) error = NULL;
    VirgaInstanceChange *changes;
    const char *before = cloud_text(cloud, "SELECT generation::text FROM host");

    g_assert_false(
        virga_instance_terminate(cloud->db, cloud->arena, ACCOUNT, bad, false, &changes, &error));
    g_assert_nonnull(strstr(error->message, "i-08000000000000009"));
    g_assert_null(strstr(error->message, made[0]));
    g_clear_error(&error);
    g_assert_true(
        virga_instance_terminate(cloud->db, cloud->arena, ACCOUNT, ids, true, &changes, &error));
    g_assert_cmpstr(cloud_text(cloud, "SELECT generation::text FROM host"), ==, before);
    g_assert_cmpint(cloud_number(cloud, "SELECT count(*) FROM instance WHERE wish = 'run'"), ==, 3);
    g_assert_true(
        virga_instance_terminate(cloud->db, cloud->arena, ACCOUNT, ids, false, &changes, &error));
    for (int i = 0; ids[i]; i++) {
        g_assert_cmpstr(changes[i].id, ==, ids[i]);
        g_assert_cmpint(changes[i].before, ==, VIRGA_INSTANCE_PENDING);
        g_assert_cmpint(changes[i].after, ==, VIRGA_INSTANCE_SHUTTING_DOWN);
    }
}

static void
test_reboot(Cloud *cloud, gconstpointer data)
{
    const char *id = launch_running(cloud), *ids[] = { id, NULL };
    gint64 generation = cloud_number(cloud, "SELECT generation FROM instance");
    VirgaInstanceFacts facts = { .id = id, .power = VIRGA_POWER_RUNNING, .reboots_done = 1 };
    g_autoptr(GError) error = NULL;
    char **forget;

    g_assert_true(virga_instance_reboot(cloud->db, ACCOUNT, ids, true, &error));
    g_assert_cmpint(cloud_number(cloud, "SELECT reboots FROM instance"), ==, 0);
    g_assert_true(virga_instance_reboot(cloud->db, ACCOUNT, ids, false, &error));
    g_assert_cmpint(cloud_number(cloud, "SELECT reboots FROM instance"), ==, 1);
    facts.generation = cloud_number(cloud, "SELECT generation FROM instance");
    g_assert_cmpint(facts.generation, >, generation);
    g_assert_true(virga_instance_report(cloud->db, cloud->arena, HOST, &facts, 1, &forget, &error));
    g_assert_cmpint(cloud_number(cloud, "SELECT reboots_done FROM instance"), ==, 1);
    assert_state(cloud, id, VIRGA_INSTANCE_RUNNING, VIRGA_WISH_RUN);
    terminate(cloud, id);
}

/* ---- a host that is silent ---- */

static void
sweep(Cloud *cloud)
{
    g_autoptr(GError) error = NULL;

    virga_instance_sweep(cloud->db, &error);
    g_assert_no_error(error);
}

#define AGE(cloud)                                                                                 \
    cloud_run(cloud, "UPDATE host SET seen = now() - interval '1 hour'");                          \
    cloud_run(cloud, "UPDATE instance SET state_since = now() - interval '1 hour'")
#define RETURNS(cloud) cloud_run(cloud, "UPDATE host SET seen = now()")

static void
test_sweep_launch(Cloud *cloud, gconstpointer data)
{
    const char *id = launch(cloud);

    cloud_run(cloud, "UPDATE instance SET state_since = now() - interval '1 hour'");
    sweep(cloud); /* the host lives and does its best */
    assert_state(cloud, id, VIRGA_INSTANCE_PENDING, VIRGA_WISH_RUN);
    AGE(cloud);
    sweep(cloud);
    assert_state(cloud, id, VIRGA_INSTANCE_TERMINATED, VIRGA_WISH_TERMINATE);
    g_assert_cmpint(CLAIMED(cloud), ==, VCPUS); /* it may run there for all we know */
    RETURNS(cloud);
    cloud_report(cloud, id, VIRGA_POWER_ABSENT);
    assert_state(cloud, id, VIRGA_INSTANCE_TERMINATED, VIRGA_WISH_TERMINATE);
    cloud_assert_empty(cloud);
}

static const char *
sweep_while_stopping(Cloud *cloud)
{
    const char *id = launch_running(cloud);

    change_of(cloud, "stop", id);
    AGE(cloud);
    sweep(cloud);
    assert_state(cloud, id, VIRGA_INSTANCE_STOPPED, VIRGA_WISH_STOP);
    g_assert_cmpint(CLAIMED(cloud), ==, VCPUS);
    return id;
}

static void
test_sweep_stop(Cloud *cloud, gconstpointer data)
{
    const char *id = sweep_while_stopping(cloud);

    RETURNS(cloud);
    cloud_report(cloud, id, VIRGA_POWER_OFF);
    g_assert_cmpint(CLAIMED(cloud), ==, 0);
    terminate(cloud, id);
}

static void
test_sweep_stop_terminate(Cloud *cloud, gconstpointer data)
{
    const char *id = sweep_while_stopping(cloud);

    change_of(cloud, "terminate", id);
    cloud_assert_claims(cloud);
    RETURNS(cloud);
    terminate(cloud, id);
}

static void
test_sweep_stop_start(Cloud *cloud, gconstpointer data)
{
    const char *id = sweep_while_stopping(cloud);

    RETURNS(cloud); /* by its heartbeat; its facts come later */
    change_of(cloud, "start", id);
    g_assert_cmpint(CLAIMED(cloud), ==, VCPUS);
    cloud_report(cloud, id, VIRGA_POWER_RUNNING);
    assert_state(cloud, id, VIRGA_INSTANCE_RUNNING, VIRGA_WISH_RUN);
    terminate(cloud, id);
}

static void
test_sweep_old(Cloud *cloud, gconstpointer data)
{
    cloud_run(cloud,
              "INSERT INTO client_token (account_id, action, token, digest, resource_id,"
              " created) VALUES ('" ACCOUNT "', 'x', 'old', '', '', now() - interval '2 days'),"
              " ('" ACCOUNT "', 'x', 'new', '', '', now())");
    cloud_run(cloud, "INSERT INTO event (subject, message, at)"
                     " VALUES ('old', '', now() - interval '30 days'), ('new', '', now())");
    sweep(cloud);
    g_assert_cmpstr(cloud_text(cloud, "SELECT string_agg(token, ',') FROM client_token"), ==,
                    "new");
    g_assert_cmpint(cloud_number(cloud, "SELECT count(*) FROM event WHERE subject = 'old'"), ==, 0);
}

/* Rows of the dead go when nobody can ask for them any more, and with them their tags. */
static void
test_sweep_terminated(Cloud *cloud, gconstpointer data)
{
    VirgaInstanceSpec spec = cloud_spec(cloud);
    VirgaTag tag = { .key = (char *) "k", .value = (char *) "v" };
    const char *id;

    spec.tags = &tag;
    spec.tag_count = 1;
    spec.client_token = "again";
    spec.request_digest = "";
    id = cloud_launch(cloud, &spec, 1)[0];
    AGE(cloud);
    sweep(cloud); /* its host is silent, and may have it */
    cloud_run(cloud, "UPDATE instance SET state_since = now() - interval '2 hours'");
    sweep(cloud);
    g_assert_cmpint(cloud_number(cloud, "SELECT count(*) FROM instance"), ==, 1);
    RETURNS(cloud);
    cloud_report(cloud, id, VIRGA_POWER_ABSENT);
    sweep(cloud); /* its token still stands for it */
    g_assert_cmpint(cloud_number(cloud, "SELECT count(*) FROM instance"), ==, 1);
    cloud_run(cloud, "UPDATE client_token SET created = now() - interval '2 days'");
    cloud_run(cloud, "UPDATE instance SET state_since = now() - interval '1 hour'");
    sweep(cloud); /* a caller may just be turning pages */
    g_assert_cmpint(cloud_number(cloud, "SELECT count(*) FROM tag"), ==, 1);
    cloud_run(cloud, "UPDATE instance SET state_since = now() - interval '2 hours'");
    launch_running(cloud);
    cloud_run(cloud, "UPDATE instance SET state_since = now() - interval '2 hours'");
    sweep(cloud);
    g_assert_cmpstr(cloud_text(cloud, "SELECT string_agg(state, ',') FROM instance"), ==,
                    "running");
    g_assert_cmpint(cloud_number(cloud, "SELECT count(*) FROM tag"), ==, 0);
}

/* Whether an instance has a public address was said at its launch and holds for all its lives. */
static void
test_public_address(Cloud *cloud, gconstpointer data)
{
    VirgaInstanceSpec spec = cloud_spec(cloud);

    for (int wanted = 0; wanted <= 1; wanted++) {
        const char *id;

        cloud_run(cloud, wanted ? "UPDATE subnet SET map_public = false"
                                : "UPDATE subnet SET map_public = true");
        spec.public_address = wanted;
        id = cloud_launch(cloud, &spec, 1)[0];
        cloud_report(cloud, id, VIRGA_POWER_RUNNING);
        g_assert_cmpint(PUBLIC(cloud), ==, wanted);
        change_of(cloud, "stop", id);
        cloud_report(cloud, id, VIRGA_POWER_OFF);
        g_assert_cmpint(PUBLIC(cloud), ==, 0);
        change_of(cloud, "start", id);
        g_assert_cmpint(PUBLIC(cloud), ==, wanted);
        terminate(cloud, id);
    }
}

int
main(int argc, char **argv)
{
    int outcome;

    g_test_init(&argc, &argv, NULL);
    if (!cloud_init())
        return 77;
#define ADD(name, function)                                                                        \
    g_test_add("/life/" name, Cloud, NULL, cloud_set_up, function, cloud_tear_down)
    ADD("whole", test_whole);
    ADD("old-facts", test_old_facts);
    ADD("guest-off", test_guest_off);
    ADD("failed-first", test_failed_first);
    ADD("failed-later", test_failed_later);
    ADD("lost-volume", test_lost_volume);
    ADD("wrong-states", test_wrong_states);
    ADD("protected", test_protected);
    ADD("many", test_many);
    ADD("reboot", test_reboot);
    ADD("sweep-launch", test_sweep_launch);
    ADD("sweep-stop", test_sweep_stop);
    ADD("sweep-stop-terminate", test_sweep_stop_terminate);
    ADD("sweep-stop-start", test_sweep_stop_start);
    ADD("sweep-old", test_sweep_old);
    ADD("sweep-terminated", test_sweep_terminated);
    ADD("public-address", test_public_address);
    outcome = g_test_run();
    cloud_end();
    return outcome;
}
