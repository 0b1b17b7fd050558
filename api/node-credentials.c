/* SPDX-License-Identifier: Apache-2.0 */
#include "api/node-credentials.h"

#include "compute/instance-profile.h"
#include "core/error.h"
#include "core/policy.h"

#include <json-glib/json-glib.h>

#define DURATION_S (6 * 3600)
#define SERVICE    "ec2.amazonaws.com"

static char *
time_text(gint64 seconds)
{
    g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);

    return g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ");
}

static void
add_text(JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name(builder, name);
    json_builder_add_string_value(builder, value);
}

/* As AWS's metadata service writes them. */
static char *
make_document(const VirgaCredentials *credentials, gint64 now_s)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autofree char *updated = time_text(now_s), *expires = time_text(credentials->expires_s);
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    add_text(builder, "Code", "Success");
    add_text(builder, "LastUpdated", updated);
    add_text(builder, "Type", "AWS-HMAC");
    add_text(builder, "AccessKeyId", credentials->access_key_id);
    add_text(builder, "SecretAccessKey", credentials->secret);
    add_text(builder, "Token", credentials->token);
    add_text(builder, "Expiration", expires);
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, TRUE);
}

static char *
make_answer(const char *code, const VirgaIamEntity *role, const VirgaCredentials *credentials)
{
    gint64 now_s = g_get_real_time() / G_USEC_PER_SEC;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autofree char *updated = time_text(now_s), *document = NULL;
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    add_text(builder, "code", code);
    add_text(builder, "updated", updated);
    if (credentials) {
        document = make_document(credentials, now_s);
        add_text(builder, "role", role->name);
        add_text(builder, "document", document);
        json_builder_set_member_name(builder, "expires");
        json_builder_add_int_value(builder, credentials->expires_s);
    }
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

/* The role of the instance's profile; NULL if the profile is gone or has none. */
static bool
find_role(VirgaTxn *txn, VirgaArena *arena, const char *host_id, const char *instance_id,
          VirgaIamEntity **ret, GError **error)
{
    VirgaIamEntity *profile, *roles;
    g_autoptr(GError) reason = NULL;
    char *account_id, *profile_id;
    size_t count;

    *ret = NULL;
    if (!virga_instance_profile_on_host(txn, arena, host_id, instance_id, &account_id, &profile_id,
                                        error))
        return false;
    if (!profile_id)
        return virga_fail(error, "instance", VIRGA_ERROR_NOT_FOUND,
                          "instance \"%s\" has no instance profile", instance_id);
    if (!virga_iam_find_id(txn, arena, profile_id, &profile, &reason)) {
        if (virga_error_is(reason, "identity", VIRGA_ERROR_NOT_FOUND))
            return true;
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    if (!virga_iam_profile_partners(txn, arena, profile, NULL, 1, &roles, &count, error))
        return false;
    *ret = count ? roles : NULL;
    return true;
}

static bool
trusts_instances(VirgaArena *arena, const VirgaIamEntity *role)
{
    static const VirgaPolicyPrincipal instances = { .service = SERVICE };
    const VirgaPolicyRequest request = { .action = "sts:AssumeRole",
                                         .resource = role->arn,
                                         .principal = &instances };
    const VirgaPolicy *trust = virga_policy_parse(arena, VIRGA_POLICY_TRUST, role->trust, NULL);

    return trust && virga_policy_decide(trust, &request) == VIRGA_POLICY_ALLOW;
}

char *
virga_node_credentials(const VirgaServices *services, const char *host_id, const char *instance_id,
                       GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(VirgaTxn) txn = virga_db_read(services->db, error);
    VirgaSession session = { .name = (char *) instance_id };
    VirgaCredentials made;
    VirgaIamEntity *role;

    if (!txn || !find_role(txn, arena, host_id, instance_id, &role, error))
        return NULL;
    if (!role)
        return make_answer("InstanceProfileNotFound", NULL, NULL);
    if (!trusts_instances(arena, role))
        return make_answer("AssumeRoleUnauthorizedAccess", NULL, NULL);
    session.account_id = role->account_id;
    session.entity_id = role->id;
    session.source = virga_arena_printf(arena, "arn:aws:ec2:%s:%s:instance/%s", services->region,
                                        role->account_id, instance_id);
    session.issued_s = g_get_real_time() / G_USEC_PER_SEC;
    session.expires_s = session.issued_s + DURATION_S;
    virga_session_seal(services->sealer, arena, &session, &made);
    return make_answer("Success", role, &made);
}
