/* SPDX-License-Identifier: Apache-2.0 */
/* Documents to statements.  Whatever is not known is refused: a policy that is misread allows what
 * its author forbade. */
#include "policy-priv.h"

#include "core/error.h"
#include "core/json.h"

#include <string.h>

#define ARN_COLONS_MIN 5

/* What is read, and where to. */
typedef struct {
    VirgaArena *arena;
    VirgaPolicy *policy;
} Reader;

static bool G_GNUC_PRINTF(2, 3) malformed(GError **error, const char *format, ...)
{
    g_autofree char *message = NULL;
    va_list args;

    va_start(args, format);
    message = g_strdup_vprintf(format, args);
    va_end(args);
    return virga_fail(error, "policy document", VIRGA_ERROR_INVALID, "%s", message);
}

static bool
syntax(GError **error)
{
    return malformed(error, "Syntax errors in policy.");
}

size_t
virga_policy_length(const char *text)
{
    size_t length = 0;

    for (; *text; text = g_utf8_next_char(text))
        length += !g_ascii_isspace(*text);
    return length;
}

/* ---- texts ---- */

static bool
read_text(const Reader *reader, JsonNode *node, const char **ret, GError **error)
{
    const char *text =
        JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING
            ? json_node_get_string(node)
            : NULL;

    if (!text)
        return syntax(error);
    for (const char *byte = text; *byte; byte++)
        if ((guchar) *byte < ' ' && !strchr("\t\r\n", *byte))
            return syntax(error);
    *ret = virga_arena_strdup(reader->arena, text);
    return true;
}

/* A condition's value may be a number or a truth value, too. */
static bool
read_value(const Reader *reader, JsonNode *node, const char **ret, GError **error)
{
    GType type = JSON_NODE_HOLDS_VALUE(node) ? json_node_get_value_type(node) : G_TYPE_INVALID;
    char number[G_ASCII_DTOSTR_BUF_SIZE];

    if (type == G_TYPE_BOOLEAN) {
        *ret = json_node_get_boolean(node) ? "true" : "false";
        return true;
    }
    if (type == G_TYPE_INT64) {
        *ret = virga_arena_printf(reader->arena, "%" G_GINT64_FORMAT, json_node_get_int(node));
        return true;
    }
    if (type == G_TYPE_DOUBLE) {
        g_ascii_dtostr(number, sizeof number, json_node_get_double(node));
        *ret = virga_arena_strdup(reader->arena, number);
        return true;
    }
    return read_text(reader, node, ret, error);
}

typedef bool (*ReadText)(const Reader *reader, JsonNode *node, const char **ret, GError **error);

/* One text or a list of them. */
static bool
read_texts(const Reader *reader, JsonNode *node, ReadText read, const char ***ret,
           size_t *ret_count, GError **error)
{
    JsonArray *array = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    size_t count = array ? json_array_get_length(array) : 1;

    *ret = virga_arena_new_array(reader->arena, const char *, count);
    *ret_count = count;
    for (size_t i = 0; i < count; i++) {
        JsonNode *item = array ? json_array_get_element(array, (guint) i) : node;

        if (!read(reader, item, &(*ret)[i], error))
            return false;
    }
    return true;
}

static bool
read_patterns(const Reader *reader, JsonNode *node, ReadText read, bool wild, bool variables,
              PolicyPatterns *ret, GError **error)
{
    const char **texts;

    if (!read_texts(reader, node, read, &texts, &ret->count, error))
        return false;
    ret->items = virga_arena_new_array(reader->arena, PolicyPattern, ret->count);
    for (size_t i = 0; i < ret->count; i++)
        ret->items[i] =
            policy_pattern(reader->arena, texts[i], wild, variables && reader->policy->variables);
    return true;
}

/* ---- actions and resources ---- */

static bool
is_action(const char *text)
{
    const char *colon = strchr(text, ':');

    if (g_str_equal(text, "*"))
        return true;
    if (!colon || colon == text || !colon[1])
        return false;
    for (const char *at = text; *at; at++)
        if (at != colon && !g_ascii_isalnum(*at) && !strchr("-_*?", *at))
            return false;
    return true;
}

static bool
read_action(const Reader *reader, JsonNode *node, const char **ret, GError **error)
{
    if (!read_text(reader, node, ret, error))
        return false;
    if (!is_action(*ret))
        return malformed(error, "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, "
                                "ec2, etc.");
    if (reader->policy->kind == VIRGA_POLICY_TRUST &&
        g_ascii_strncasecmp(*ret, "sts:", strlen("sts:")) != 0)
        return malformed(error, "AssumeRole policy may only specify STS AssumeRole actions.");
    return true;
}

static bool
read_resource(const Reader *reader, JsonNode *node, const char **ret, GError **error)
{
    size_t colons = 0;

    if (!read_text(reader, node, ret, error))
        return false;
    for (const char *at = *ret; *at; at++)
        colons += *at == ':';
    if (g_str_equal(*ret, "*"))
        return true;
    if (!g_str_has_prefix(*ret, "arn:") || (colons < ARN_COLONS_MIN && !strchr(*ret, '*')))
        return malformed(error, "Resource %.200s must be in ARN format or \"*\".", *ret);
    return true;
}

/* ---- principals ---- */

static bool
is_account(const char *text, size_t length)
{
    return length == 12 && strspn(text, "0123456789") >= 12;
}

/* "arn:aws:iam::123456789012:user/x" and the like; 'resource' is what follows the account. */
static bool
split_arn(const char *arn, const char *service, const char **ret_resource)
{
    g_autofree char *head = g_strdup_printf("arn:aws:%s::", service);

    if (!g_str_has_prefix(arn, head) || !is_account(arn + strlen(head), 12) ||
        arn[strlen(head) + 12] != ':')
        return false;
    *ret_resource = arn + strlen(head) + 13;
    return true;
}

static bool
is_aws_principal(const char *text)
{
    const char *resource;

    if (is_account(text, strlen(text)))
        return true;
    if (split_arn(text, "iam", &resource))
        return g_str_equal(resource, "root") || g_str_has_prefix(resource, "user/") ||
               g_str_has_prefix(resource, "role/");
    return split_arn(text, "sts", &resource) && g_str_has_prefix(resource, "assumed-role/");
}

static bool
check_principal(const PolicyPrincipal *principal, GError **error)
{
    if (principal->type == PRINCIPAL_AWS && !is_aws_principal(principal->text))
        return malformed(error, "Invalid principal in policy: \"AWS\":\"%.200s\"", principal->text);
    if (principal->type == PRINCIPAL_SERVICE &&
        !g_str_has_suffix(principal->text, ".amazonaws.com"))
        return malformed(error, "Invalid principal in policy: \"SERVICE\":\"%.200s\"",
                         principal->text);
    return true;
}

static bool
read_principals_of(const Reader *reader, const char *name, JsonNode *node,
                   PolicyPrincipals *principals, GError **error)
{
    static const char *const names[] = { [PRINCIPAL_AWS] = "AWS",
                                         [PRINCIPAL_SERVICE] = "Service",
                                         [PRINCIPAL_FEDERATED] = "Federated" };
    PrincipalType type = PRINCIPAL_AWS;
    const char **texts;
    PolicyPrincipal *items;
    size_t count;

    while (type <= PRINCIPAL_FEDERATED && !g_str_equal(names[type], name))
        type++;
    if (type > PRINCIPAL_FEDERATED)
        return malformed(error, "Invalid principal in policy.");
    if (!read_texts(reader, node, read_text, &texts, &count, error))
        return false;
    items = virga_arena_new_array(reader->arena, PolicyPrincipal, principals->count + count);
    if (principals->count)
        memcpy(items, principals->items, principals->count * sizeof *items);
    for (size_t i = 0; i < count; i++) {
        bool any = type == PRINCIPAL_AWS && g_str_equal(texts[i], "*");
        PolicyPrincipal one = { any ? PRINCIPAL_ANY : type, texts[i] };

        if (!check_principal(&one, error))
            return false;
        items[principals->count++] = one;
    }
    principals->items = items;
    return true;
}

static bool
read_principals(const Reader *reader, JsonNode *node, PolicyPrincipals *ret, GError **error)
{
    g_autoptr(GList) names = NULL;
    const char *text;

    if (!JSON_NODE_HOLDS_OBJECT(node)) {
        if (!read_text(reader, node, &text, error))
            return false;
        if (!g_str_equal(text, "*"))
            return malformed(error, "Invalid principal in policy.");
        ret->items = virga_arena_new_array(reader->arena, PolicyPrincipal, 1);
        ret->items[0] = (PolicyPrincipal){ PRINCIPAL_ANY, text };
        ret->count = 1;
        return true;
    }
    names = json_object_get_members(json_node_get_object(node));
    for (GList *name = names; name; name = name->next)
        if (!read_principals_of(reader, name->data,
                                json_object_get_member(json_node_get_object(node), name->data), ret,
                                error))
            return false;
    return ret->count > 0 || malformed(error, "Missing required field Principal");
}

/* ---- conditions ---- */

static bool
read_condition(const Reader *reader, const char *name, const char *key, JsonNode *values,
               PolicyCondition *ret, GError **error)
{
    ret->test = policy_operator(name, &ret->set, &ret->if_exists);
    if (!ret->test)
        return malformed(error, "Invalid Condition type : %.200s.", name);
    if (!strchr(key, ':'))
        return malformed(error, "Actions/Conditions must be prefaced by a vendor, e.g., "
                                "iam, sdb, ec2, etc.");
    ret->key = virga_arena_strdup(reader->arena, key);
    return read_patterns(reader, values, read_value, ret->test->wild, ret->test->variables,
                         &ret->values, error);
}

static size_t
count_conditions(JsonObject *operators)
{
    g_autoptr(GList) blocks = json_object_get_values(operators);
    size_t count = 0;

    for (GList *block = blocks; block; block = block->next)
        if (JSON_NODE_HOLDS_OBJECT((JsonNode *) block->data))
            count += json_object_get_size(json_node_get_object(block->data));
    return count;
}

static bool
read_conditions(const Reader *reader, JsonNode *node, PolicyStatement *statement, GError **error)
{
    JsonObject *operators = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    g_autoptr(GList) names = operators ? json_object_get_members(operators) : NULL;

    if (!operators)
        return syntax(error);
    statement->conditions =
        virga_arena_new_array(reader->arena, PolicyCondition, count_conditions(operators));
    for (GList *name = names; name; name = name->next) {
        JsonNode *block = json_object_get_member(operators, name->data);
        g_autoptr(GList) keys = NULL;

        if (!JSON_NODE_HOLDS_OBJECT(block))
            return syntax(error);
        keys = json_object_get_members(json_node_get_object(block));
        for (GList *key = keys; key; key = key->next)
            if (!read_condition(reader, name->data, key->data,
                                json_object_get_member(json_node_get_object(block), key->data),
                                &statement->conditions[statement->condition_count++], error))
                return false;
    }
    return true;
}

/* ---- statements ---- */

static bool
is_sid(const char *text, VirgaPolicyKind kind)
{
    for (const char *at = text; *at; at++)
        if (!g_ascii_isalnum(*at) && (kind == VIRGA_POLICY_IDENTITY || !strchr(" -_.", *at)))
            return false;
    return true;
}

static bool
read_element(const Reader *reader, const char *name, JsonNode *node, PolicyStatement *statement,
             GError **error)
{
    const char *text;

    if (g_str_equal(name, "Sid")) {
        if (!read_text(reader, node, &statement->sid, error))
            return false;
        return is_sid(statement->sid, reader->policy->kind) ||
               malformed(error, "Statement IDs (SID) must be alpha-numeric. Check that your "
                                "input satisfies the regular expression [0-9A-Za-z]*");
    }
    if (g_str_equal(name, "Effect")) {
        if (!read_text(reader, node, &text, error))
            return false;
        statement->deny = g_str_equal(text, "Deny");
        return statement->deny || g_str_equal(text, "Allow") || syntax(error);
    }
    if (g_str_equal(name, "Action") || g_str_equal(name, "NotAction")) {
        statement->not_action = *name == 'N';
        return read_patterns(reader, node, read_action, true, false, &statement->actions, error);
    }
    if (g_str_equal(name, "Resource") || g_str_equal(name, "NotResource")) {
        statement->not_resource = *name == 'N';
        return read_patterns(reader, node, read_resource, true, true, &statement->resources, error);
    }
    if (g_str_equal(name, "Principal") || g_str_equal(name, "NotPrincipal")) {
        statement->not_principal = *name == 'N';
        return read_principals(reader, node, &statement->principals, error);
    }
    if (g_str_equal(name, "Condition"))
        return read_conditions(reader, node, statement, error);
    return syntax(error);
}

/* Elements that exclude each other, that are missing, or that this kind of policy has not. */
static bool
check_elements(const Reader *reader, JsonObject *object, GError **error)
{
    static const char *const pairs[][2] = { { "Action", "NotAction" },
                                            { "Resource", "NotResource" },
                                            { "Principal", "NotPrincipal" } };
    VirgaPolicyKind kind = reader->policy->kind;
    int given[3];

    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        given[i] = json_object_has_member(object, pairs[i][0]) +
                   json_object_has_member(object, pairs[i][1]);
        if (given[i] > 1)
            return syntax(error);
    }
    if (!json_object_has_member(object, "Effect"))
        return malformed(error, "Missing required field Effect");
    if (!given[0])
        return malformed(error, "Policy statement must contain actions.");
    if (kind == VIRGA_POLICY_TRUST && given[1])
        return malformed(error, "Has prohibited field Resource");
    if (kind != VIRGA_POLICY_TRUST && !given[1])
        return malformed(error, "Policy statement must contain resources.");
    if (kind == VIRGA_POLICY_IDENTITY && given[2])
        return malformed(error, "Policy document should not specify a principal.");
    if (kind != VIRGA_POLICY_IDENTITY && !given[2])
        return malformed(error, "Missing required field Principal");
    return true;
}

static bool
read_statement(const Reader *reader, JsonNode *node, PolicyStatement *statement, GError **error)
{
    JsonObject *object = JSON_NODE_HOLDS_OBJECT(node) ? json_node_get_object(node) : NULL;
    g_autoptr(GList) names = object ? json_object_get_members(object) : NULL;

    if (!object)
        return syntax(error);
    if (!check_elements(reader, object, error))
        return false;
    for (GList *name = names; name; name = name->next)
        if (!read_element(reader, name->data, json_object_get_member(object, name->data), statement,
                          error))
            return false;
    if (statement->actions.count == 0)
        return malformed(error, "Policy statement must contain actions.");
    if (reader->policy->kind != VIRGA_POLICY_TRUST && statement->resources.count == 0)
        return malformed(error, "Policy statement must contain resources.");
    return !statement->not_principal || statement->deny ||
           reader->policy->kind != VIRGA_POLICY_TRUST ||
           malformed(error, "Allow with NotPrincipal is not allowed.");
}

static bool
read_statements(const Reader *reader, JsonNode *node, GError **error)
{
    VirgaPolicy *policy = reader->policy;
    JsonArray *array = JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    g_autoptr(GHashTable) sids = g_hash_table_new(g_str_hash, g_str_equal);
    size_t count = array ? json_array_get_length(array) : 1;

    if (count == 0 || count > VIRGA_POLICY_STATEMENTS_MAX)
        return syntax(error);
    policy->statements = virga_arena_new_array(reader->arena, PolicyStatement, count);
    for (; policy->count < count; policy->count++) {
        PolicyStatement *statement = &policy->statements[policy->count];
        JsonNode *item = array ? json_array_get_element(array, (guint) policy->count) : node;

        if (!read_statement(reader, item, statement, error))
            return false;
        if (statement->sid && *statement->sid && !g_hash_table_add(sids, (gpointer) statement->sid))
            return malformed(error, "Statement IDs (SID) in a single policy must be unique.");
    }
    return true;
}

static bool
read_version(const Reader *reader, JsonObject *document, GError **error)
{
    const char *version = "2008-10-17";

    if (json_object_has_member(document, "Version") &&
        !read_text(reader, json_object_get_member(document, "Version"), &version, error))
        return false;
    reader->policy->variables = g_str_equal(version, "2012-10-17");
    return reader->policy->variables || g_str_equal(version, "2008-10-17") || syntax(error);
}

static bool
read_document(const Reader *reader, JsonNode *root, GError **error)
{
    JsonObject *document = JSON_NODE_HOLDS_OBJECT(root) ? json_node_get_object(root) : NULL;
    g_autoptr(GList) names = document ? json_object_get_members(document) : NULL;

    if (!document)
        return syntax(error);
    for (GList *name = names; name; name = name->next)
        if (!g_str_equal(name->data, "Version") && !g_str_equal(name->data, "Id") &&
            !g_str_equal(name->data, "Statement"))
            return syntax(error);
    if (!json_object_has_member(document, "Statement"))
        return syntax(error);
    return read_version(reader, document, error) &&
           read_statements(reader, json_object_get_member(document, "Statement"), error);
}

VirgaPolicy *
virga_policy_parse(VirgaArena *arena, VirgaPolicyKind kind, const char *text, GError **error)
{
    Reader reader = { arena, virga_arena_new_array(arena, VirgaPolicy, 1) };
    g_autoptr(JsonNode) root = NULL;
    size_t size = strlen(text);

    reader.policy->kind = kind;
    if (size > VIRGA_POLICY_BYTES_MAX) {
        malformed(error, "The policy is larger than any may be.");
        return NULL;
    }
    root = virga_json_parse(text, (gssize) size, NULL);
    if (!root) {
        malformed(error, "This policy contains invalid Json");
        return NULL;
    }
    return read_document(&reader, root, error) ? reader.policy : NULL;
}

void
virga_policy_principals(const VirgaPolicy *policy, VirgaPolicyVisit visit, gpointer data)
{
    const char *resource;

    for (size_t i = 0; i < policy->count; i++) {
        const PolicyPrincipals *principals = &policy->statements[i].principals;

        for (size_t j = 0; j < principals->count; j++)
            if (principals->items[j].type == PRINCIPAL_AWS &&
                split_arn(principals->items[j].text, "iam", &resource) &&
                !g_str_equal(resource, "root"))
                visit(principals->items[j].text, data);
    }
}
