/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens of temporary credentials: what is sealed comes back, and nothing else does. */
#include "api/errors.h"
#include "api/session.h"
#include "core/error.h"

#include <string.h>

#define NOW_S G_GINT64_CONSTANT(1767323045)

typedef struct {
    VirgaArena *arena;
    VirgaSealer *sealer;
    VirgaCredentials made;
} Fixture;

static const VirgaSession plain = { .account_id = (char *) "000000000001",
                                    .entity_id = (char *) "AROAAAAAAAAAAAAAAAAAA",
                                    .name = (char *) "me",
                                    .issued_s = NOW_S,
                                    .expires_s = NOW_S + 900 };

static void
set_up(Fixture *fixture, gconstpointer data)
{
    fixture->arena = virga_arena_new();
    fixture->sealer = virga_sealer_new("secret", 6);
    virga_session_seal(fixture->sealer, fixture->arena, &plain, &fixture->made);
}

static void
tear_down(Fixture *fixture, gconstpointer data)
{
    virga_sealer_free(fixture->sealer);
    virga_arena_free(fixture->arena);
}

static VirgaSession *
unseal(Fixture *fixture, const char *id, const char *token, gint64 now_s, GError **error)
{
    VirgaSession *session;
    char *secret;

    if (!virga_session_open(fixture->sealer, fixture->arena, id, token, now_s, &session, &secret,
                            error))
        return NULL;
    g_assert_cmpstr(secret, ==, fixture->made.secret);
    return session;
}

static void
test_round_trip(Fixture *fixture, gconstpointer data)
{
    char *strings[] = { (char *) "a", (char *) "b", NULL };
    VirgaSession whole = plain;
    g_autoptr(GError) error = NULL;
    VirgaSession *session;

    whole.policy = (char *) "{}";
    whole.policy_arns = whole.tags = strings;
    whole.source = (char *) "arn:aws:ec2:us-east-1:000000000001:instance/i-1";
    virga_session_seal(fixture->sealer, fixture->arena, &whole, &fixture->made);
    g_assert_cmpuint(strlen(fixture->made.access_key_id), ==, 20);
    g_assert_cmpuint(strlen(fixture->made.secret), ==, 40);
    session = unseal(fixture, fixture->made.access_key_id, fixture->made.token, NOW_S, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(session->account_id, ==, plain.account_id);
    g_assert_cmpstr(session->entity_id, ==, plain.entity_id);
    g_assert_cmpstr(session->name, ==, "me");
    g_assert_cmpstr(session->policy, ==, "{}");
    g_assert_cmpstr(session->source, ==, whole.source);
    g_assert_cmpstr(session->policy_arns[1], ==, "b");
    g_assert_cmpstr(session->tags[0], ==, "a");
    g_assert_null(session->tags[2]);
    g_assert_cmpint(session->expires_s, ==, NOW_S + 900);
}

static void
test_end(Fixture *fixture, gconstpointer data)
{
    g_autoptr(GError) error = NULL;

    g_assert_nonnull(
        unseal(fixture, fixture->made.access_key_id, fixture->made.token, NOW_S + 899, &error));
    g_assert_no_error(error);
    g_assert_null(
        unseal(fixture, fixture->made.access_key_id, fixture->made.token, NOW_S + 900, &error));
    g_assert_true(virga_api_error_is(error, "ExpiredToken"));
}

static void
test_foreign(Fixture *fixture, gconstpointer data)
{
    g_autoptr(VirgaSealer) stranger = virga_sealer_new("another", 7);
    VirgaCredentials foreign, other;
    gsize size;
    g_autofree guint8 *bytes = g_base64_decode(fixture->made.token, &size);

    virga_session_seal(stranger, fixture->arena, &plain, &foreign);
    virga_session_seal(fixture->sealer, fixture->arena, &plain, &other);
    g_assert_cmpstr(other.secret, !=, fixture->made.secret);
    for (gsize i = 0; i < size; i++) {
        g_autofree char *token = NULL;
        g_autoptr(GError) error = NULL;

        bytes[i] ^= 1;
        token = g_base64_encode(bytes, size);
        bytes[i] ^= 1;
        g_assert_null(unseal(fixture, fixture->made.access_key_id, token, NOW_S, &error));
        g_assert_true(virga_error_is(error, "access key", VIRGA_ERROR_NOT_FOUND));
    }
    g_assert_null(unseal(fixture, foreign.access_key_id, foreign.token, NOW_S, NULL));
    g_assert_null(unseal(fixture, other.access_key_id, fixture->made.token, NOW_S, NULL));
    g_assert_null(unseal(fixture, fixture->made.access_key_id, "", NOW_S, NULL));
    g_assert_null(unseal(fixture, fixture->made.access_key_id, "AQID", NOW_S, NULL));
}

static void
test_account(Fixture *fixture, gconstpointer data)
{
    static const char *const accounts[] = { "000000000000", "000000000001", "123456789012",
                                            "999999999999" };

    for (size_t i = 0; i < G_N_ELEMENTS(accounts); i++) {
        VirgaSession session = plain;

        session.account_id = (char *) accounts[i];
        virga_session_seal(fixture->sealer, fixture->arena, &session, &fixture->made);
        g_assert_cmpstr(virga_session_account(fixture->arena, fixture->made.access_key_id), ==,
                        accounts[i]);
    }
    g_assert_null(virga_session_account(fixture->arena, "AKIAVIRGATEST0000001"));
    g_assert_null(virga_session_account(fixture->arena, "ASIA7777777777777777"));
    g_assert_null(virga_session_account(fixture->arena, "ASIA"));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add("/session/round-trip", Fixture, NULL, set_up, test_round_trip, tear_down);
    g_test_add("/session/end", Fixture, NULL, set_up, test_end, tear_down);
    g_test_add("/session/foreign", Fixture, NULL, set_up, test_foreign, tear_down);
    g_test_add("/session/account", Fixture, NULL, set_up, test_account, tear_down);
    return g_test_run();
}
