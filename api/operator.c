/* SPDX-License-Identifier: Apache-2.0 */
#include "api/operator.h"

#include "operator-priv.h"

#include "compute/instance.h"
#include "core/account.h"
#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "network/vpc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define PREFIX           "/operator/v1/"
#define UPLOAD           PREFIX "snapshots"
#define UPLOAD_BYTES_MAX (1ull << 40)
#define UPLOAD_MS        (3600u * 1000)
#define IMAGE_NAME_CHARS 128

typedef struct {
    VirgaHttpExchange *exchange;
    const VirgaHttpRequest *request;
    VirgaServices *services;
    VirgaArena *arena;
    GHashTable *query; /* of text to text */
    JsonBuilder *json; /* inside the answer's object */
} Call;

typedef struct {
    const char *method, *path;
    bool (*run)(Call *call, GError **error);
} Route;

static VirgaHttpResponse *
answer_json(unsigned status, JsonBuilder *json)
{
    g_autoptr(JsonNode) root = NULL;
    char *text;

    json_builder_end_object(json);
    root = json_builder_get_root(json);
    text = json_to_string(root, FALSE);
    return virga_http_response_new(status, "application/json",
                                   g_bytes_new_take(text, strlen(text)));
}

static JsonBuilder *
object_new(void)
{
    JsonBuilder *json = json_builder_new();

    json_builder_begin_object(json);
    return json;
}

static unsigned
status_of(const GError *error)
{
    if (!virga_error_is_ours(error))
        return 500;
    switch ((VirgaErrorCode) error->code) {
    case VIRGA_ERROR_INVALID:
    case VIRGA_ERROR_UNSUPPORTED:
        return 400;
    case VIRGA_ERROR_DENIED:
        return 403;
    case VIRGA_ERROR_NOT_FOUND:
        return 404;
    case VIRGA_ERROR_EXISTS:
    case VIRGA_ERROR_CONFLICT:
    case VIRGA_ERROR_STATE:
    case VIRGA_ERROR_IN_USE:
        return 409;
    case VIRGA_ERROR_RETRY:
        return 503;
    case VIRGA_ERROR_CAPACITY:
    case VIRGA_ERROR_QUOTA:
        return 507;
    default:
        return 500;
    }
}

static VirgaHttpResponse *
answer_error(const GError *error)
{
    g_autoptr(JsonBuilder) json = object_new();

    json_builder_set_member_name(json, "error");
    json_builder_add_string_value(json, error->message);
    return answer_json(status_of(error), json);
}

static const char *
parameter(const Call *call, const char *name, GError **error)
{
    const char *value = g_hash_table_lookup(call->query, name);

    if (!value || !*value)
        virga_fail(error, "request", VIRGA_ERROR_INVALID, "the parameter \"%s\" is missing", name);
    return value && *value ? value : NULL;
}

/* ---- reading ---- */

/* Answers also while the database is away: that is when one asks. */
static bool
get_status(Call *call, GError **error)
{
    g_autoptr(GError) reason = NULL;
    g_autoptr(VirgaTxn) txn = virga_db_read(call->services->db, &reason);
    g_autoptr(JsonBuilder) part = object_new();
    bool ok = txn && virga_operator_db_status(txn, call->arena, part, &reason);

    if (ok)
        call->json = (g_object_unref(call->json), g_steal_pointer(&part));
    json_builder_set_member_name(call->json, "version");
    json_builder_add_string_value(call->json, VIRGA_VERSION);
    json_builder_set_member_name(call->json, "region");
    json_builder_add_string_value(call->json, call->services->region);
    json_builder_set_member_name(call->json, "database_ok");
    json_builder_add_boolean_value(call->json, ok);
    if (!ok) {
        json_builder_set_member_name(call->json, "database_error");
        json_builder_add_string_value(call->json, reason->message);
    }
    return true;
}

static bool
get_damage(Call *call, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->services->db, error);

    return txn && virga_operator_db_damage(txn, call->json, error);
}

static bool
get_images(Call *call, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->services->db, error);

    return txn && virga_operator_db_images(txn, call->json, error);
}

/* One transaction, so that rows which change meanwhile do not look like leaks. */
static bool
get_claims(Call *call, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(call->services->db, error);

    return txn && virga_operator_db_claims(txn, call->json, error);
}

static bool
get_why(Call *call, GError **error)
{
    const char *id = parameter(call, "id", error);
    g_autoptr(VirgaTxn) txn = id ? virga_db_read(call->services->db, error) : NULL;

    return txn && virga_operator_db_why(txn, call->json, id, error);
}

/* ---- changing ---- */

typedef struct {
    const char *account, *name, *access_key, *secret;
} Administrator;

static bool
read_administrator(JsonNode *node, Administrator *ret, GError **error)
{
    static const char *const names[] = { "account", "name", "access_key", "secret" };
    const char **values[] = { &ret->account, &ret->name, &ret->access_key, &ret->secret };

    if (!JSON_NODE_HOLDS_OBJECT(node))
        return virga_fail(error, "request", VIRGA_ERROR_INVALID, "the body is not a JSON object");
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        JsonNode *value = json_object_get_member(json_node_get_object(node), names[i]);

        *values[i] = value && JSON_NODE_HOLDS_VALUE(value) ? json_node_get_string(value) : NULL;
        if (!*values[i])
            return virga_fail(error, "request", VIRGA_ERROR_INVALID, "\"%s\" must be given",
                              names[i]);
    }
    return true;
}

static bool
put_administrator(Call *call, GError **error)
{
    const VirgaHttpRequest *request = call->request;
    g_autoptr(JsonNode) node =
        virga_json_parse((const char *) request->body, (gssize) request->body_size, error);
    g_autoptr(VirgaTxn) txn = NULL;
    Administrator administrator;
    VirgaAccessKey key;

    if (!node || !read_administrator(node, &administrator, error))
        return false;
    key = (VirgaAccessKey){
        .id = (char *) administrator.access_key,
        .secret = (char *) administrator.secret,
        .account_id = (char *) administrator.account,
        .principal = virga_arena_printf(call->arena, "arn:aws:iam::%s:root", administrator.account),
        .user_id = (char *) administrator.account,
    };
    txn = virga_db_begin(call->services->db, error);
    return txn && virga_account_ensure(txn, key.account_id, administrator.name, error) &&
           virga_account_key_ensure(txn, &key, error) &&
           virga_operator_db_retire_keys(txn, key.account_id, key.principal, key.id, error) &&
           virga_vpc_create_default(txn, key.account_id,
                                    (const char *const *) call->services->zones, error) &&
           virga_txn_commit(txn, error);
}

/* The ids of one account, which stand together. */
static bool
stop_account(Call *call, const VirgaRows *rows, int *at, GError **error)
{
    const char *account = virga_rows_text(rows, *at, 0);
    VirgaInstanceChange *changes;

    for (; *at < virga_rows_count(rows) && g_str_equal(virga_rows_text(rows, *at, 0), account);
         ++*at) {
        const char *one[] = { virga_rows_text(rows, *at, 1), NULL };
        g_autoptr(GError) reason = NULL;

        /* Each alone: one that cannot be stopped now does not hold back the others. */
        if (!virga_instance_stop(call->services->db, call->arena, account, one, false, false,
                                 &changes, &reason)) {
            if (virga_error_is(reason, NULL, VIRGA_ERROR_RETRY)) {
                g_propagate_error(error, g_steal_pointer(&reason));
                return false;
            }
            json_builder_begin_object(call->json);
            json_builder_set_member_name(call->json, "id");
            json_builder_add_string_value(call->json, one[0]);
            json_builder_set_member_name(call->json, "error");
            json_builder_add_string_value(call->json, reason->message);
            json_builder_end_object(call->json);
        }
    }
    return true;
}

static bool
post_stop(Call *call, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->services->db, error);
    g_autoptr(VirgaRows) rows = txn ? virga_operator_db_wanted(txn, error) : NULL;

    if (!rows)
        return false;
    g_clear_pointer(&txn, virga_txn_free);
    json_builder_set_member_name(call->json, "asked");
    json_builder_add_int_value(call->json, virga_rows_count(rows));
    json_builder_set_member_name(call->json, "refused");
    json_builder_begin_array(call->json);
    for (int i = 0; i < virga_rows_count(rows);)
        if (!stop_account(call, rows, &i, error))
            return false;
    json_builder_end_array(call->json);
    return true;
}

static bool
check_import(const VirgaOperatorImport *import, GError **error)
{
    size_t chars = strlen(import->name);

    if (chars < 3 || chars > IMAGE_NAME_CHARS ||
        strspn(import->name, G_CSET_A_2_Z G_CSET_a_2_z G_CSET_DIGITS "()[] ./-'@_") != chars)
        return virga_fail(error, "image", VIRGA_ERROR_INVALID,
                          "AMI names must be between 3 and 128 characters long, and may contain "
                          "letters, numbers, '(', ')', '.', '-', '/' and '_'");
    if (!g_str_equal(import->boot_mode, "legacy-bios") && !g_str_equal(import->boot_mode, "uefi") &&
        !g_str_equal(import->boot_mode, "uefi-preferred"))
        return virga_fail(error, "image", VIRGA_ERROR_INVALID,
                          "there is no boot mode \"%s\": it is legacy-bios, uefi or "
                          "uefi-preferred",
                          import->boot_mode);
    return true;
}

static bool
put_snapshot(Call *call, GError **error)
{
    VirgaOperatorImport import = { .name = parameter(call, "name", error) };
    const char *boot_mode = g_hash_table_lookup(call->query, "boot-mode");
    g_autoptr(VirgaTxn) txn = NULL;

    if (!import.name)
        return false;
    import.description = g_hash_table_lookup(call->query, "description");
    import.boot_mode = boot_mode && *boot_mode ? boot_mode : "legacy-bios";
    import.is_public = g_strcmp0(g_hash_table_lookup(call->query, "public"), "true") == 0;
    if (!call->request->body_in_file)
        return virga_fail(error, "request", VIRGA_ERROR_INVALID, "there is no disk image");
    import.fd = call->request->body_fd;
    if (!check_import(&import, error) || !(txn = virga_db_read(call->services->db, error)))
        return false;
    import.account_id = g_hash_table_lookup(call->query, "account");
    if (!import.account_id)
        import.account_id = virga_operator_db_account(txn, call->arena, error);
    g_clear_pointer(&txn, virga_txn_free);
    virga_http_set_deadline(call->exchange, UPLOAD_MS);
    return import.account_id &&
           virga_operator_import(call->services, call->arena, &import, call->json, error);
}

/* ---- hooks ---- */

static const Route routes[] = {
    { "GET", PREFIX "status", get_status }, { "GET", PREFIX "damage", get_damage },
    { "GET", PREFIX "images", get_images }, { "GET", PREFIX "claims", get_claims },
    { "GET", PREFIX "why", get_why },       { "PUT", PREFIX "administrator", put_administrator },
    { "PUT", UPLOAD, put_snapshot },        { "POST", PREFIX "stop-instances", post_stop },
};

static bool
is_operator(const VirgaHttpRequest *request)
{
    return request->is_local && (request->peer_uid == 0 || request->peer_uid == geteuid());
}

static bool
run(Call *call, GError **error)
{
    const VirgaHttpRequest *request = call->request;

    if (!is_operator(request))
        return virga_fail(error, "request", VIRGA_ERROR_DENIED,
                          "only root and virgad's own user may operate the cloud");
    call->query = g_uri_parse_params(request->query, -1, "&", G_URI_PARAMS_NONE, error);
    if (!call->query) {
        g_clear_error(error);
        return virga_fail(error, "request", VIRGA_ERROR_INVALID, "the query cannot be decoded");
    }
    for (size_t i = 0; i < G_N_ELEMENTS(routes); i++)
        if (g_str_equal(request->method, routes[i].method) &&
            g_str_equal(request->path, routes[i].path))
            return routes[i].run(call, error);
    return virga_fail(error, "request", VIRGA_ERROR_NOT_FOUND, "there is no %s %s", request->method,
                      request->path);
}

VirgaHttpOutcome
virga_operator_handle(VirgaHttpExchange *exchange, const VirgaHttpRequest *request,
                      VirgaHttpResponse **ret_response, gpointer services)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(GError) error = NULL;
    Call call = { .exchange = exchange,
                  .request = request,
                  .services = services,
                  .arena = arena,
                  .json = object_new() };

    *ret_response = run(&call, &error) ? answer_json(200, call.json) : answer_error(error);
    g_clear_pointer(&call.query, g_hash_table_unref);
    g_object_unref(call.json);
    return VIRGA_HTTP_NOW;
}

VirgaHttpResponse *
virga_operator_sink(const VirgaHttpRequest *request, VirgaHttpSink *sink, VirgaServices *services)
{
    g_autofree char *path = NULL;

    if (!is_operator(request) || !g_str_equal(request->method, "PUT") ||
        !g_str_equal(request->path, UPLOAD))
        return NULL; /* the handler answers */
    path = g_build_filename(services->store, "upload-XXXXXX.part", NULL);
    sink->fd = g_mkstemp_full(path, O_RDWR | O_CLOEXEC, 0600);
    if (sink->fd < 0) {
        g_autoptr(GError) error = NULL;

        virga_fail_errno(&error, "disk image", errno, "could not write to the store");
        return answer_error(error);
    }
    unlink(path); /* the descriptor is enough, and nothing is left whatever happens */
    sink->limit = UPLOAD_BYTES_MAX;
    return NULL;
}
