/* SPDX-License-Identifier: Apache-2.0 */
/* From wish and facts to the state that users see. */
#include "compute/instance.h"

#include <string.h>

static const VirgaInstanceState all_states[] = {
    VIRGA_INSTANCE_PENDING,    VIRGA_INSTANCE_RUNNING,  VIRGA_INSTANCE_SHUTTING_DOWN,
    VIRGA_INSTANCE_TERMINATED, VIRGA_INSTANCE_STOPPING, VIRGA_INSTANCE_STOPPED,
};

#define RUN       VIRGA_WISH_RUN
#define STOP      VIRGA_WISH_STOP
#define TERMINATE VIRGA_WISH_TERMINATE

enum { SHUTDOWN_TERMINATES = 1, PROTECTED = 2, RAN = 4, UNCLAIM = 8, GONE = 16 };

static VirgaInstance
instance_of(VirgaWish wish, VirgaInstanceState state, unsigned flags)
{
    return (VirgaInstance){ .id = (char *) "i-0",
                            .wish = wish,
                            .state = state,
                            .ran = flags & RAN,
                            .disable_termination = flags & PROTECTED,
                            .shutdown_behavior =
                                (char *) (flags & SHUTDOWN_TERMINATES ? "terminate" : "stop") };
}

static const struct {
    VirgaWish wish;
    VirgaInstanceState state;
    VirgaPower power;
    unsigned flags; /* of the instance, and what must come of it */
    VirgaWish then_wish;
    VirgaInstanceState then;
} table[] = {
    { RUN, VIRGA_INSTANCE_PENDING, VIRGA_POWER_PREPARING, 0, RUN, VIRGA_INSTANCE_PENDING },
    { RUN, VIRGA_INSTANCE_PENDING, VIRGA_POWER_RUNNING, 0, RUN, VIRGA_INSTANCE_RUNNING },
    { RUN, VIRGA_INSTANCE_RUNNING, VIRGA_POWER_PREPARING, RAN, RUN, VIRGA_INSTANCE_RUNNING },
    { RUN, VIRGA_INSTANCE_PENDING, VIRGA_POWER_FAILED, 0, TERMINATE, VIRGA_INSTANCE_SHUTTING_DOWN },
    { RUN, VIRGA_INSTANCE_PENDING, VIRGA_POWER_FAILED, RAN | UNCLAIM, STOP,
      VIRGA_INSTANCE_STOPPED },
    { RUN, VIRGA_INSTANCE_RUNNING, VIRGA_POWER_FAILED, RAN | UNCLAIM, STOP,
      VIRGA_INSTANCE_STOPPED },
    { RUN, VIRGA_INSTANCE_RUNNING, VIRGA_POWER_OFF_GUEST, RAN | UNCLAIM, STOP,
      VIRGA_INSTANCE_STOPPED },
    { RUN, VIRGA_INSTANCE_RUNNING, VIRGA_POWER_OFF_GUEST, RAN | SHUTDOWN_TERMINATES, TERMINATE,
      VIRGA_INSTANCE_SHUTTING_DOWN },
    { RUN, VIRGA_INSTANCE_RUNNING, VIRGA_POWER_OFF_GUEST,
      RAN | SHUTDOWN_TERMINATES | PROTECTED | UNCLAIM, STOP, VIRGA_INSTANCE_STOPPED },
    /* What is off or gone while it should run is the host's to mend. */
    { RUN, VIRGA_INSTANCE_RUNNING, VIRGA_POWER_OFF, RAN, RUN, VIRGA_INSTANCE_RUNNING },
    { RUN, VIRGA_INSTANCE_RUNNING, VIRGA_POWER_ABSENT, RAN, RUN, VIRGA_INSTANCE_RUNNING },
    { STOP, VIRGA_INSTANCE_STOPPING, VIRGA_POWER_RUNNING, RAN, STOP, VIRGA_INSTANCE_STOPPING },
    { STOP, VIRGA_INSTANCE_STOPPING, VIRGA_POWER_OFF, RAN | UNCLAIM, STOP, VIRGA_INSTANCE_STOPPED },
    { STOP, VIRGA_INSTANCE_STOPPING, VIRGA_POWER_OFF_GUEST, RAN | UNCLAIM, STOP,
      VIRGA_INSTANCE_STOPPED },
    { STOP, VIRGA_INSTANCE_STOPPING, VIRGA_POWER_FAILED, UNCLAIM, STOP, VIRGA_INSTANCE_STOPPED },
    { TERMINATE, VIRGA_INSTANCE_SHUTTING_DOWN, VIRGA_POWER_RUNNING, RAN, TERMINATE,
      VIRGA_INSTANCE_SHUTTING_DOWN },
    { TERMINATE, VIRGA_INSTANCE_SHUTTING_DOWN, VIRGA_POWER_OFF, RAN, TERMINATE,
      VIRGA_INSTANCE_SHUTTING_DOWN },
    { TERMINATE, VIRGA_INSTANCE_SHUTTING_DOWN, VIRGA_POWER_FAILED, RAN, TERMINATE,
      VIRGA_INSTANCE_SHUTTING_DOWN },
    { TERMINATE, VIRGA_INSTANCE_SHUTTING_DOWN, VIRGA_POWER_ABSENT, RAN | UNCLAIM | GONE, TERMINATE,
      VIRGA_INSTANCE_TERMINATED },
};

static void
test_table(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(table); i++) {
        VirgaInstance instance = instance_of(table[i].wish, table[i].state, table[i].flags);
        VirgaInstanceFacts facts = { .id = "i-0", .power = table[i].power };
        VirgaInstanceSettled settled = virga_instance_settle(&instance, &facts);

        if (settled.wish != table[i].then_wish || settled.state != table[i].then ||
            settled.unclaim != !!(table[i].flags & UNCLAIM) ||
            settled.gone != !!(table[i].flags & GONE))
            g_error("row %zu: wish %d, %s, unclaim %d, gone %d", i, settled.wish,
                    virga_instance_state_name(settled.state), settled.unclaim, settled.gone);
    }
}

static void
check_settled(const VirgaInstance *instance, const VirgaInstanceFacts *facts,
              const VirgaInstanceSettled *settled)
{
    /* The end is reached in one way only, and never left. */
    if (settled->state == VIRGA_INSTANCE_TERMINATED &&
        instance->state != VIRGA_INSTANCE_TERMINATED) {
        g_assert_cmpint(instance->wish, ==, TERMINATE);
        g_assert_cmpint(facts->power, ==, VIRGA_POWER_ABSENT);
        g_assert_true(settled->gone);
    }
    if (instance->wish == TERMINATE)
        g_assert_cmpint(settled->wish, ==, TERMINATE);
    g_assert_false(settled->gone && !settled->unclaim);
    /* Room is given back with the state that says so. */
    if (settled->unclaim)
        g_assert_true(settled->state == VIRGA_INSTANCE_STOPPED ||
                      settled->state == VIRGA_INSTANCE_TERMINATED);
    if (instance->disable_termination && instance->ran)
        g_assert_true(settled->wish == instance->wish || settled->wish == STOP);
    /* Nothing but a running guest makes an instance running. */
    if (settled->state == VIRGA_INSTANCE_RUNNING && instance->state != VIRGA_INSTANCE_RUNNING)
        g_assert_cmpint(facts->power, ==, VIRGA_POWER_RUNNING);
    g_assert_false(!settled->reason_code != !settled->reason_message);
}

/* A host repeats its facts: the second time nothing changes. */
static void
check_again(VirgaInstance instance, const VirgaInstanceFacts *facts,
            const VirgaInstanceSettled *first)
{
    VirgaInstanceSettled second;

    instance.wish = first->wish;
    instance.state = first->state;
    instance.ran = instance.ran || facts->power == VIRGA_POWER_RUNNING;
    second = virga_instance_settle(&instance, facts);
    if (first->wish == TERMINATE && facts->power == VIRGA_POWER_ABSENT)
        g_assert_cmpint(second.state, ==, VIRGA_INSTANCE_TERMINATED);
    else
        g_assert_cmpint(second.state, ==, first->state);
    g_assert_cmpint(second.wish, ==, first->wish);
}

static void
test_every_input(void)
{
    for (int wish = RUN; wish <= TERMINATE; wish++)
        for (size_t s = 0; s < G_N_ELEMENTS(all_states); s++)
            for (int power = VIRGA_POWER_PREPARING; power <= VIRGA_POWER_FAILED; power++)
                for (unsigned flags = 0; flags < 8; flags++) {
                    VirgaInstance instance = instance_of((VirgaWish) wish, all_states[s], flags);
                    VirgaInstanceFacts facts = { .id = "i-0", .power = (VirgaPower) power };
                    VirgaInstanceSettled settled = virga_instance_settle(&instance, &facts);

                    check_settled(&instance, &facts, &settled);
                    check_again(instance, &facts, &settled);
                }
}

static void
test_reasons(void)
{
    VirgaInstance instance = instance_of(RUN, VIRGA_INSTANCE_PENDING, 0);
    VirgaInstanceFacts facts = { .id = "i-0",
                                 .power = VIRGA_POWER_FAILED,
                                 .code = "Client.InvalidSnapshot.NotFound",
                                 .message = "gone" };
    VirgaInstanceSettled settled = virga_instance_settle(&instance, &facts);

    g_assert_cmpstr(settled.reason_code, ==, "Client.InvalidSnapshot.NotFound");
    g_assert_cmpstr(settled.reason_message, ==, "gone");
    facts.code = facts.message = NULL;
    settled = virga_instance_settle(&instance, &facts);
    g_assert_cmpstr(settled.reason_code, ==, "Server.InternalError");
    facts.power = VIRGA_POWER_OFF_GUEST;
    settled = virga_instance_settle(&instance, &facts);
    g_assert_cmpstr(settled.reason_code, ==, "Client.InstanceInitiatedShutdown");
    facts.power = VIRGA_POWER_RUNNING; /* an old reason goes, and only once */
    settled = virga_instance_settle(&instance, &facts);
    g_assert_cmpstr(settled.reason_code, ==, "");
    instance.state = VIRGA_INSTANCE_RUNNING;
    settled = virga_instance_settle(&instance, &facts);
    g_assert_null(settled.reason_code);
}

static void
test_states(void)
{
    static const struct {
        int code;
        const char *name;
    } ec2[] = { { 0, "pending" },     { 16, "running" },  { 32, "shutting-down" },
                { 48, "terminated" }, { 64, "stopping" }, { 80, "stopped" } };

    for (size_t i = 0; i < G_N_ELEMENTS(ec2); i++)
        g_assert_cmpstr(virga_instance_state_name((VirgaInstanceState) ec2[i].code), ==,
                        ec2[i].name);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/instance/table", test_table);
    g_test_add_func("/instance/every-input", test_every_input);
    g_test_add_func("/instance/reasons", test_reasons);
    g_test_add_func("/instance/states", test_states);
    return g_test_run();
}
