/* SPDX-License-Identifier: Apache-2.0 */
/* Condition keys.  What costs a look-up is looked up when a policy asks for it. */
#include "authorize-priv.h"

#include "network/vpc.h"

#include <string.h>

typedef const char *(*Answer)(Context *context);

static const VirgaIamEntity *
entity_of(const Context *context)
{
    return virga_call_entity(context->call);
}

/* ---- the caller ---- */

static const char *
principal_arn(Context *context)
{
    return context->call->caller->arn;
}

static const char *
principal_account(Context *context)
{
    return context->call->account_id;
}

static const char *
principal_type(Context *context)
{
    const VirgaIamEntity *entity = entity_of(context);

    return !entity ? "Account" : entity->kind == VIRGA_IAM_ROLE ? "AssumedRole" : "User";
}

static const char *
user_id(Context *context)
{
    return context->call->user_id;
}

static const char *
user_name(Context *context)
{
    const VirgaIamEntity *entity = entity_of(context);

    return entity && entity->kind == VIRGA_IAM_USER ? entity->name : NULL;
}

static const char *
token_issue_time(Context *context)
{
    const VirgaSession *session = virga_call_session(context->call);
    g_autoptr(GDateTime) time = session ? g_date_time_new_from_unix_utc(session->issued_s) : NULL;
    g_autofree char *text = time ? g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ") : NULL;

    return virga_arena_strdup(context->call->arena, text);
}

/* No caller has shown a second factor; a key that lasts does not say so. */
static const char *
mfa_present(Context *context)
{
    return virga_call_session(context->call) ? "false" : NULL;
}

static const char *
source_instance(Context *context)
{
    const VirgaSession *session = virga_call_session(context->call);

    return session ? session->source : NULL;
}

/* ---- the request ---- */

static const char *
source_ip(Context *context)
{
    const char *peer = context->call->source_ip;

    return peer && strpbrk(peer, ".:") ? peer : NULL;
}

static const char *
current_time(Context *context)
{
    g_autoptr(GDateTime) now = g_date_time_new_now_utc();
    g_autofree char *text = g_date_time_format(now, "%Y-%m-%dT%H:%M:%SZ");

    return virga_arena_strdup(context->call->arena, text);
}

static const char *
epoch_time(Context *context)
{
    return virga_arena_printf(context->call->arena, "%" G_GINT64_FORMAT,
                              g_get_real_time() / G_USEC_PER_SEC);
}

/* virgad speaks plain HTTP; whether something before it speaks TLS is not known here. */
static const char *
secure_transport(Context *context)
{
    return "false";
}

static const char *
user_agent(Context *context)
{
    return virga_http_header(context->call->caller->request, "User-Agent");
}

static const char *
referer(Context *context)
{
    return virga_http_header(context->call->caller->request, "Referer");
}

static const char *
region(Context *context)
{
    return context->call->region;
}

/* ---- the resource ---- */

static const char *
resource_account(Context *context)
{
    g_auto(GStrv) parts = g_strsplit(context->target->arn, ":", 6);

    return g_strv_length(parts) == 6 && *parts[4]
               ? virga_arena_strdup(context->call->arena, parts[4])
               : NULL;
}

static const char *
instance_type(Context *context)
{
    return context->request && context->target->created &&
                   g_strcmp0(context->target->type, "instance") == 0
               ? request_text(context->call, context->request, "InstanceType")
               : NULL;
}

/* The ARN of the VPC in which a subnet, group or interface is. */
static const char *
vpc(Context *context)
{
    const VirgaCall *call = context->call;
    g_autoptr(VirgaTxn) txn = NULL;
    char *vpc_id;

    if (!context->target->id || context->failure)
        return NULL;
    txn = virga_db_read(call->db, &context->failure);
    if (!txn || !virga_vpc_of(txn, call->arena, call->account_id, context->target->id, &vpc_id,
                              &context->failure))
        return NULL;
    return vpc_id ? virga_arena_printf(call->arena, "arn:aws:ec2:%s:%s:vpc/%s", call->region,
                                       call->account_id, vpc_id)
                  : NULL;
}

static const char *
policy_arn(Context *context)
{
    return context->request ? request_text(context->call, context->request, "PolicyArn") : NULL;
}

static const char *
permissions_boundary(Context *context)
{
    return context->request ? request_text(context->call, context->request, "PermissionsBoundary")
                            : NULL;
}

static const struct {
    const char *name;
    Answer answer;
} answers[] = {
    { "aws:CurrentTime", current_time },
    { "aws:EpochTime", epoch_time },
    { "aws:MultiFactorAuthPresent", mfa_present },
    { "aws:PrincipalAccount", principal_account },
    { "aws:PrincipalArn", principal_arn },
    { "aws:PrincipalType", principal_type },
    { "aws:Referer", referer },
    { "aws:RequestedRegion", region },
    { "aws:ResourceAccount", resource_account },
    { "aws:SecureTransport", secure_transport },
    { "aws:SourceIp", source_ip },
    { "aws:TokenIssueTime", token_issue_time },
    { "aws:UserAgent", user_agent },
    { "aws:userid", user_id },
    { "aws:username", user_name },
    { "ec2:InstanceType", instance_type },
    { "ec2:Region", region },
    { "ec2:SourceInstanceARN", source_instance },
    { "ec2:Vpc", vpc },
    { "iam:PermissionsBoundary", permissions_boundary },
    { "iam:PolicyARN", policy_arn },
};

/* ---- tags ---- */

static bool
same_key(const char *a, const char *b)
{
    return g_ascii_strcasecmp(a, b) == 0; /* names of condition keys have no case */
}

static const char *
principal_tag(Context *context, const char *key)
{
    const VirgaSession *session = virga_call_session(context->call);
    const VirgaRights *rights = context->call->caller->rights;

    /* What a session brings wins over what its role has. */
    for (char **pair = session ? session->tags : NULL; pair && pair[0] && pair[1]; pair += 2)
        if (same_key(pair[0], key))
            return pair[1];
    for (size_t i = 0; rights && i < rights->of->tag_count; i++)
        if (same_key(rights->of->tags[i].key, key))
            return rights->of->tags[i].value;
    return NULL;
}

static bool
concerns(const Context *context, const RequestTag *tag)
{
    return !tag->type || g_strcmp0(tag->type, context->target->type) == 0;
}

static const char *
request_tag(Context *context, const char *key)
{
    for (guint i = 0; context->tags && i < context->tags->len; i++) {
        const RequestTag *tag = &g_array_index(context->tags, RequestTag, i);

        if (concerns(context, tag) && same_key(tag->key, key))
            return tag->value ? tag->value : "";
    }
    return NULL;
}

static const char *
resource_tag(Context *context, const char *key)
{
    const VirgaCall *call = context->call;

    if (!context->tags_read && context->target->id && context->service && !context->failure) {
        g_autoptr(VirgaTxn) txn = virga_db_read(call->db, &context->failure);

        if (!txn || !context->service->tags(call, txn, context->target->id, &context->resource_tags,
                                            &context->resource_tag_count, &context->failure))
            return NULL;
        context->tags_read = true;
    }
    for (size_t i = 0; i < context->resource_tag_count; i++)
        if (same_key(context->resource_tags[i].key, key))
            return context->resource_tags[i].value;
    return NULL;
}

static const struct {
    const char *prefix;
    const char *(*answer)(Context *context, const char *key);
} tag_answers[] = {
    { "aws:PrincipalTag/", principal_tag }, { "aws:RequestTag/", request_tag },
    { "aws:ResourceTag/", resource_tag },   { "ec2:ResourceTag/", resource_tag },
    { "iam:ResourceTag/", resource_tag },   { "elasticloadbalancing:ResourceTag/", resource_tag },
};

static const char *const *
tag_keys(const Context *context)
{
    const char **keys;
    size_t count = 0;

    if (!context->tags || context->tags->len == 0)
        return NULL;
    keys = virga_arena_new_array(context->call->arena, const char *, context->tags->len + 1);
    for (guint i = 0; i < context->tags->len; i++) {
        const RequestTag *tag = &g_array_index(context->tags, RequestTag, i);

        if (concerns(context, tag))
            keys[count++] = tag->key;
    }
    return count ? keys : NULL;
}

/* ---- */

static const char *
find_answer(Context *context, const char *name)
{
    for (const VirgaCallKey *key = context->keys; key && key->name; key++)
        if (g_ascii_strcasecmp(key->name, name) == 0)
            return key->value;
    for (size_t i = 0; i < G_N_ELEMENTS(answers); i++)
        if (g_ascii_strcasecmp(answers[i].name, name) == 0)
            return answers[i].answer(context);
    for (size_t i = 0; i < G_N_ELEMENTS(tag_answers); i++)
        if (g_ascii_strncasecmp(tag_answers[i].prefix, name, strlen(tag_answers[i].prefix)) == 0)
            return tag_answers[i].answer(context, name + strlen(tag_answers[i].prefix));
    return NULL;
}

const char *const *
context_key(const char *name, gpointer data)
{
    Context *context = data;
    const char *value, **values;

    if (g_ascii_strcasecmp(name, "aws:TagKeys") == 0)
        return tag_keys(context);
    value = find_answer(context, name);
    if (!value)
        return NULL;
    values = virga_arena_new_array(context->call->arena, const char *, 2);
    values[0] = value;
    return values;
}
