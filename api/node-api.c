/* SPDX-License-Identifier: Apache-2.0 */
/* Long polls of hosts, facts and snapshots.
 *
 * A poll that has nothing to say waits in a list and holds no thread.  A notification marks it;
 * a worker looks at the database; a mark that comes during the look makes it look again, so that
 * no change falls between. */
#include "api/node-api.h"
#include "api/node-balancers.h"
#include "api/node-credentials.h"
#include "api/node-keys.h"
#include "api/node-files.h"
#include "api/node-snapshots.h"

#include "compute/host-wish.h"
#include "compute/host.h"
#include "compute/instance.h"
#include "compute/nat-gateway.h"
#include "compute/question.h"
#include "core/error.h"
#include "core/id.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/log.h"
#include "core/record.h"
#include "network/address.h"
#include "storage/snapshot-check.h"
#include "storage/snapshot.h"
#include "storage/volume-key.h"
#include "storage/volume.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX        "/node/v1/"
#define LOOKERS       2
#define TICK_MS       1000
#define FACTS_MAX     4096 /* guests in one report */
#define HOST_ID_CHARS 64

typedef struct {
    VirgaHttpExchange *exchange;
    char *host_id;
    gint64 after, until; /* generation; monotonic time */
    JsonNode *known;     /* {vpc id: generation} or NULL */
    bool looking, again;
} Poll;

struct VirgaNodeApi {
    VirgaServices *services;
    GMutex lock;
    GCond stopped;
    GPtrArray *polls; /* that wait or are looked at */
    GThreadPool *lookers;
    GThread *ticker;
    bool stopping;
};

static VirgaHttpResponse *
answer(unsigned status, const char *text)
{
    g_autoptr(GBytes) body = g_bytes_new(text, strlen(text));

    return virga_http_response_new(status, "application/json", g_steal_pointer(&body));
}

static VirgaHttpResponse *
answer_error(const GError *error)
{
    unsigned status = virga_error_is(error, NULL, VIRGA_ERROR_INVALID)     ? 400
                      : virga_error_is(error, NULL, VIRGA_ERROR_DENIED)    ? 403
                      : virga_error_is(error, NULL, VIRGA_ERROR_NOT_FOUND) ? 404
                      : virga_error_is(error, NULL, VIRGA_ERROR_RETRY)     ? 503
                                                                           : 500;
    g_autoptr(JsonNode) node = json_node_new(JSON_NODE_VALUE);
    g_autofree char *quoted = NULL, *text = NULL;

    json_node_set_string(node, error->message);
    quoted = json_to_string(node, FALSE);
    text = g_strdup_printf("{\"error\":%s}", quoted);
    return answer(status, text);
}

static void
poll_free(Poll *poll)
{
    g_clear_pointer(&poll->known, json_node_unref);
    g_free(poll->host_id);
    g_free(poll);
}

/* ---- desired ---- */

static void
look_locked(VirgaNodeApi *api, Poll *poll)
{
    if (poll->looking) {
        poll->again = true;
        return;
    }
    poll->looking = true;
    g_thread_pool_push(api->lookers, poll, NULL);
}

void
virga_node_api_wake(VirgaNodeApi *api, const char *host_id)
{
    g_mutex_lock(&api->lock);
    for (guint i = 0; i < api->polls->len && !api->stopping; i++) {
        Poll *poll = api->polls->pdata[i];

        if (!host_id || g_str_equal(host_id, poll->host_id))
            look_locked(api, poll);
    }
    g_mutex_unlock(&api->lock);
}

static VirgaHttpResponse *
look_at_wish(VirgaNodeApi *api, Poll *poll, bool final)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(VirgaTxn) txn = virga_db_read(api->services->db, &error);
    JsonObject *known = poll->known ? json_node_get_object(poll->known) : NULL;
    g_autofree char *json = NULL;

    if (!txn || !virga_host_wish(txn, poll->host_id, poll->after, known, api->services->region,
                                 &json, &error))
        return answer_error(error);
    if (!json && final)
        json = g_strdup_printf("{\"generation\":%" G_GINT64_FORMAT "}", poll->after);
    return json ? answer(200, json) : NULL;
}

/* A thread of the pool. */
static void
look(gpointer data, gpointer user_data)
{
    Poll *poll = data;
    VirgaNodeApi *api = user_data;
    VirgaHttpResponse *response;
    bool final;

    g_mutex_lock(&api->lock);
    poll->again = false;
    final = api->stopping || g_get_monotonic_time() >= poll->until;
    g_mutex_unlock(&api->lock);
    response = look_at_wish(api, poll, final);
    g_mutex_lock(&api->lock);
    poll->looking = false;
    if (response) {
        g_ptr_array_remove_fast(api->polls, poll);
        g_cond_broadcast(&api->stopped);
    } else if (poll->again || api->stopping) {
        look_locked(api, poll);
    }
    g_mutex_unlock(&api->lock);
    if (response) {
        virga_http_reply(poll->exchange, response);
        poll_free(poll);
    }
}

static gpointer
tick_main(gpointer data)
{
    VirgaNodeApi *api = data;

    g_mutex_lock(&api->lock);
    while (!api->stopping) {
        gint64 now = g_get_monotonic_time();

        for (guint i = 0; i < api->polls->len; i++) {
            Poll *poll = api->polls->pdata[i];

            if (now >= poll->until && !poll->looking)
                look_locked(api, poll);
        }
        g_cond_wait_until(&api->stopped, &api->lock, now + TICK_MS * 1000);
    }
    g_mutex_unlock(&api->lock);
    return NULL;
}

static bool
is_host_id(const char *id)
{
    return id && *id && strlen(id) <= HOST_ID_CHARS && virga_id_is(id, "h");
}

/* The body, whose root is an object. */
static JsonNode *
parse_object(const VirgaHttpRequest *request, GError **error)
{
    g_autoptr(JsonNode) root =
        virga_json_parse((const char *) request->body, (gssize) request->body_size, error);

    if (root && !JSON_NODE_HOLDS_OBJECT(root)) {
        virga_fail(error, "request", VIRGA_ERROR_INVALID, "the body is no object");
        return NULL;
    }
    return g_steal_pointer(&root);
}

/* True if 'member' holds an object of integers. */
static bool
holds_numbers(JsonNode *member)
{
    g_autoptr(GList) values = NULL;

    if (!JSON_NODE_HOLDS_OBJECT(member))
        return false;
    values = json_object_get_values(json_node_get_object(member));
    for (GList *value = values; value; value = value->next)
        if (!JSON_NODE_HOLDS_VALUE(value->data) ||
            json_node_get_value_type(value->data) != G_TYPE_INT64)
            return false;
    return true;
}

static const char *
text_member(JsonObject *object, const char *name)
{
    JsonNode *node = json_object_get_member(object, name);

    return node && JSON_NODE_HOLDS_VALUE(node) && json_node_get_value_type(node) == G_TYPE_STRING
               ? json_node_get_string(node)
               : NULL;
}

static Poll *
read_poll(const VirgaHttpRequest *request, GError **error)
{
    g_autoptr(JsonNode) root = parse_object(request, error);
    JsonObject *object = root ? json_node_get_object(root) : NULL;
    JsonNode *known, *after;
    const char *host_id;
    Poll *poll;

    if (!object)
        return NULL;
    host_id = text_member(object, "host");
    known = json_object_get_member(object, "vpcs");
    after = json_object_get_member(object, "after");
    if (!is_host_id(host_id) || (known && !holds_numbers(known)) || !after ||
        !JSON_NODE_HOLDS_VALUE(after) || json_node_get_value_type(after) != G_TYPE_INT64) {
        virga_fail(error, "request", VIRGA_ERROR_INVALID, "host, after or vpcs is malformed");
        return NULL;
    }
    poll = g_new0(Poll, 1);
    poll->host_id = g_strdup(host_id);
    poll->after = json_node_get_int(after);
    poll->until = g_get_monotonic_time() + (gint64) VIRGA_POLL_MS * 1000;
    if (known)
        poll->known = json_node_copy(known);
    return poll;
}

static VirgaHttpOutcome
handle_desired(VirgaNodeApi *api, VirgaHttpExchange *exchange, const VirgaHttpRequest *request,
               VirgaHttpResponse **ret_response)
{
    g_autoptr(GError) error = NULL;
    Poll *poll = read_poll(request, &error);

    if (!poll) {
        *ret_response = answer_error(error);
        return VIRGA_HTTP_NOW;
    }
    poll->exchange = exchange;
    virga_http_set_deadline(exchange, VIRGA_POLL_MS + 10000);
    g_mutex_lock(&api->lock);
    g_ptr_array_add(api->polls, poll);
    look_locked(api, poll);
    g_mutex_unlock(&api->lock);
    return VIRGA_HTTP_LATER;
}

/* ---- facts ---- */

typedef struct {
    char *id, *power, *reachable, *code, *message, *console;
    gint64 generation, reboots_done;
    char **made, **lost, **kept, **ports, **disks;
} GuestFacts;

typedef struct {
    char *id, *name, *zone, *version, *hypervisor, *trouble, *tunnel_address;
    char **damaged;
    gint64 vcpus, memory_mib, disk_free_gib;
} HostFacts;

#define GUEST_FIELD(kind, name, required)                                                          \
    {                                                                                              \
#name, VIRGA_FIELD_##kind, offsetof(GuestFacts, name), required, NULL                      \
    }
#define HOST_FIELD(kind, name, required)                                                           \
    {                                                                                              \
#name, VIRGA_FIELD_##kind, offsetof(HostFacts, name), required, NULL                       \
    }

/* clang-format off */
static const VirgaField guest_fields[] = {
    GUEST_FIELD(STRING, id, true),
    GUEST_FIELD(INTEGER, generation, true),
    GUEST_FIELD(STRING, power, true),
    GUEST_FIELD(INTEGER, reboots_done, false),
    GUEST_FIELD(STRING, reachable, false),
    GUEST_FIELD(STRING, code, false),
    GUEST_FIELD(STRING, message, false),
    GUEST_FIELD(STRING, console, false),
    GUEST_FIELD(STRINGS, made, false),
    GUEST_FIELD(STRINGS, lost, false),
    GUEST_FIELD(STRINGS, kept, false),
    GUEST_FIELD(STRINGS, ports, false),
    GUEST_FIELD(STRINGS, disks, false),
    { NULL, 0, 0, false, NULL },
};
static const VirgaField host_fields[] = {
    HOST_FIELD(STRING, id, true),
    HOST_FIELD(STRING, name, true),
    HOST_FIELD(STRING, zone, true),
    HOST_FIELD(STRING, version, true),
    HOST_FIELD(STRING, hypervisor, true),
    HOST_FIELD(STRING, trouble, false),
    HOST_FIELD(STRING, tunnel_address, false),
    HOST_FIELD(STRINGS, damaged, false),
    HOST_FIELD(INTEGER, vcpus, true),
    HOST_FIELD(INTEGER, memory_mib, true),
    HOST_FIELD(INTEGER, disk_free_gib, true),
    { NULL, 0, 0, false, NULL },
};
/* clang-format on */
static const VirgaRecordType guest_type = { "guest", sizeof(GuestFacts), guest_fields };
static const VirgaRecordType host_type = { "host", sizeof(HostFacts), host_fields };

static bool
read_power(const char *text, VirgaPower *ret)
{
    static const char *const names[] = { "preparing", "running", "off",
                                         "off-guest", "absent",  "failed" };

    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        if (g_str_equal(names[i], text)) {
            *ret = (VirgaPower) i;
            return true;
        }
    return false;
}

static void
free_guest(gpointer data)
{
    virga_record_free(&guest_type, data);
}

/* The guests of a report; the facts in 'arena' lend their texts from 'records'. */
static bool
read_guests(JsonArray *array, GPtrArray *records, VirgaArena *arena, VirgaInstanceFacts **ret,
            GError **error)
{
    guint count = json_array_get_length(array);
    VirgaInstanceFacts *facts = virga_arena_new_array(arena, VirgaInstanceFacts, count);

    if (count > FACTS_MAX)
        return virga_fail(error, "request", VIRGA_ERROR_INVALID, "more than %d guests", FACTS_MAX);
    for (guint i = 0; i < count; i++) {
        GuestFacts *guest =
            virga_record_from_json(&guest_type, json_array_get_element(array, i), error);

        if (!guest)
            return false;
        g_ptr_array_add(records, guest);
        facts[i] = (VirgaInstanceFacts){ .id = guest->id,
                                         .generation = guest->generation,
                                         .reboots_done = guest->reboots_done,
                                         .reachable = guest->reachable,
                                         .code = guest->code,
                                         .message = guest->message,
                                         .made = (const char *const *) guest->made,
                                         .lost = (const char *const *) guest->lost,
                                         .kept = (const char *const *) guest->kept,
                                         .ports = (const char *const *) guest->ports,
                                         .disks = (const char *const *) guest->disks,
                                         .console = guest->console };
        if (!read_power(guest->power, &facts[i].power))
            return virga_fail(error, "request", VIRGA_ERROR_INVALID, "\"%s\" is no power state",
                              guest->power);
    }
    *ret = facts;
    return true;
}

static bool
report_host(VirgaNodeApi *api, const char *host_id, JsonNode *node, GError **error)
{
    HostFacts *facts = virga_record_from_json(&host_type, node, error);
    g_autoptr(VirgaTxn) txn = NULL;
    g_autofree char *zone = NULL;
    guint32 tunnel;
    bool done;

    if (!facts)
        return false;
    zone = g_strconcat(api->services->region, facts->zone, NULL);
    txn = virga_db_begin(api->services->db, error);
    done = txn != NULL;
    if (done && !g_str_equal(facts->id, host_id))
        done = virga_fail(error, "request", VIRGA_ERROR_DENIED, "a host reports only itself");
    if (done && facts->tunnel_address && !virga_ipv4_parse(facts->tunnel_address, &tunnel))
        done = virga_fail(error, "request", VIRGA_ERROR_INVALID, "tunnel_address is no address");
    if (done) {
        VirgaHost host = { .id = facts->id,
                           .name = facts->name,
                           .zone = zone,
                           .version = facts->version,
                           .hypervisor = facts->hypervisor,
                           .trouble = facts->trouble,
                           .damaged = facts->damaged,
                           .tunnel_address = facts->tunnel_address,
                           .vcpus = facts->vcpus,
                           .memory_mib = facts->memory_mib,
                           .disk_free_gib = facts->disk_free_gib };
        done = virga_host_report(txn, &host, error) && virga_txn_commit(txn, error);
    }
    virga_record_free(&host_type, facts);
    return done;
}

typedef bool (*TakeIds)(VirgaTxn *txn, const char *host_id, const char *const *ids, GError **error);

/* The volumes whose bytes the host has deleted, or the snapshots whose moment has passed. */
static bool
take_ids(VirgaNodeApi *api, const char *host_id, JsonNode *node, TakeIds take, GError **error)
{
    JsonArray *array = node && JSON_NODE_HOLDS_ARRAY(node) ? json_node_get_array(node) : NULL;
    guint count = array ? json_array_get_length(array) : 0;
    g_autofree const char **ids = g_new0(const char *, count + 1);
    g_autoptr(VirgaTxn) txn = NULL;

    if (count == 0)
        return true;
    if (count > FACTS_MAX)
        return virga_fail(error, "request", VIRGA_ERROR_INVALID, "more than %d ids", FACTS_MAX);
    for (guint i = 0; i < count; i++) {
        JsonNode *id = json_array_get_element(array, i);

        if (!JSON_NODE_HOLDS_VALUE(id) || json_node_get_value_type(id) != G_TYPE_STRING)
            return virga_fail(error, "request", VIRGA_ERROR_INVALID, "a list of ids is malformed");
        ids[i] = json_node_get_string(id);
    }
    txn = virga_db_begin(api->services->db, error);
    return txn && take(txn, host_id, ids, error) && virga_txn_commit(txn, error);
}

static char *
forget_json(char **forget)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    json_builder_set_member_name(builder, "forget");
    json_builder_begin_array(builder);
    for (; *forget; forget++)
        json_builder_add_string_value(builder, *forget);
    json_builder_end_array(builder);
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, FALSE);
}

/* Which generations of its VPCs a host has applied. */
static bool
report_vpcs(VirgaNodeApi *api, const char *host_id, JsonNode *node, VirgaArena *arena,
            GError **error)
{
    const char **ids, **generations;
    JsonObjectIter iter;
    JsonNode *value;
    const char *id;
    guint count = 0;

    if (!holds_numbers(node))
        return virga_fail(error, "request", VIRGA_ERROR_INVALID, "vpcs is malformed");
    ids = virga_arena_new_array(arena, const char *,
                                json_object_get_size(json_node_get_object(node)) + 1);
    generations = virga_arena_new_array(arena, const char *,
                                        json_object_get_size(json_node_get_object(node)) + 1);
    json_object_iter_init(&iter, json_node_get_object(node));
    while (json_object_iter_next(&iter, &id, &value)) {
        ids[count] = id;
        generations[count++] =
            virga_arena_printf(arena, "%" G_GINT64_FORMAT, json_node_get_int(value));
    }
    return virga_nat_gateway_report(api->services->db, host_id, ids, generations, error);
}

static char *
take_facts(VirgaNodeApi *api, const VirgaHttpRequest *request, GError **error)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(JsonNode) root = parse_object(request, error);
    g_autoptr(GPtrArray) records = g_ptr_array_new_with_free_func(free_guest);
    JsonObject *object = root ? json_node_get_object(root) : NULL;
    VirgaInstanceFacts *facts = NULL;
    const char *host_id;
    JsonNode *guests;
    char **forget;

    if (!object)
        return NULL;
    host_id = text_member(object, "host_id");
    guests = json_object_get_member(object, "guests");
    if (!is_host_id(host_id) || !guests || !JSON_NODE_HOLDS_ARRAY(guests)) {
        virga_fail(error, "request", VIRGA_ERROR_INVALID, "host_id or guests is malformed");
        return NULL;
    }
    if (json_object_has_member(object, "host") &&
        !report_host(api, host_id, json_object_get_member(object, "host"), error))
        return NULL;
    if (json_object_has_member(object, "vpcs") &&
        !report_vpcs(api, host_id, json_object_get_member(object, "vpcs"), arena, error))
        return NULL;
    if (!take_ids(api, host_id, json_object_get_member(object, "deleted"), virga_volume_gone,
                  error) ||
        !take_ids(api, host_id, json_object_get_member(object, "cut"), virga_snapshot_note_cut,
                  error))
        return NULL;
    if (!read_guests(json_node_get_array(guests), records, arena, &facts, error) ||
        !virga_instance_report(api->services->db, arena, host_id, facts, records->len, &forget,
                               error))
        return NULL;
    return forget_json(forget);
}

static VirgaHttpResponse *
handle_facts(VirgaNodeApi *api, const VirgaHttpRequest *request)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *json = take_facts(api, request, &error);

    if (json)
        return answer(200, json);
    if (!virga_error_is(error, NULL, VIRGA_ERROR_RETRY))
        virga_warning("host", NULL, "facts refused: %s", error->message);
    return answer_error(error);
}

static VirgaHttpResponse *
handle_balancers(VirgaNodeApi *api, const VirgaHttpRequest *request)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) root = parse_object(request, &error);

    if (root && virga_node_balancers(api->services, arena, json_node_get_object(root), &error))
        return answer(200, "{}");
    if (!virga_error_is(error, NULL, VIRGA_ERROR_RETRY))
        virga_warning("host", NULL, "a report of load balancers refused: %s", error->message);
    return answer_error(error);
}

/* ---- credentials ---- */

static VirgaHttpResponse *
handle_credentials(VirgaNodeApi *api, const VirgaHttpRequest *request)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) root = parse_object(request, &error);
    const char *host_id, *instance_id;
    g_autofree char *json = NULL;

    if (!root)
        return answer_error(error);
    host_id = text_member(json_node_get_object(root), "host_id");
    instance_id = text_member(json_node_get_object(root), "instance_id");
    if (!is_host_id(host_id) || !instance_id || !virga_id_is(instance_id, "i"))
        virga_fail(&error, "request", VIRGA_ERROR_INVALID, "host_id or instance_id is malformed");
    else
        json = virga_node_credentials(api->services, host_id, instance_id, &error);
    return json ? answer(200, json) : answer_error(error);
}

/* ---- keys ---- */

static VirgaHttpResponse *
handle_keys(VirgaNodeApi *api, const VirgaHttpRequest *request)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) root = parse_object(request, &error);
    const char *host_id, *volume_id;
    VirgaHttpResponse *response;
    char *json = NULL;

    if (!root)
        return answer_error(error);
    host_id = text_member(json_node_get_object(root), "host_id");
    volume_id = text_member(json_node_get_object(root), "volume_id");
    if (!is_host_id(host_id) || !volume_id || !virga_id_is(volume_id, "vol"))
        virga_fail(&error, "request", VIRGA_ERROR_INVALID, "host_id or volume_id is malformed");
    else
        json = virga_node_key(api->services, host_id, volume_id, &error);
    response = json ? answer(200, json) : answer_error(error);
    virga_passphrase_free(json);
    return response;
}

/* ---- answers ---- */

static bool
take_answer(VirgaNodeApi *api, const VirgaHttpRequest *request, GError **error)
{
    g_autoptr(JsonNode) root = parse_object(request, error);
    JsonObject *object = root ? json_node_get_object(root) : NULL;
    const char *host_id, *id, *text, *failure;
    g_autoptr(VirgaTxn) txn = NULL;

    if (!object)
        return false;
    host_id = text_member(object, "host_id");
    id = text_member(object, "question");
    text = text_member(object, "answer");
    failure = text_member(object, "failure");
    if (!is_host_id(host_id) || !virga_id_is(id, "q") || (!text && !failure))
        return virga_fail(error, "request", VIRGA_ERROR_INVALID, "an answer is malformed");
    txn = virga_db_begin(api->services->db, error);
    return txn && virga_question_answer(txn, host_id, id, text, failure, error) &&
           virga_txn_commit(txn, error);
}

static VirgaHttpResponse *
handle_answer(VirgaNodeApi *api, const VirgaHttpRequest *request)
{
    g_autoptr(GError) error = NULL;

    return take_answer(api, request, &error) ? answer(200, "{}") : answer_error(error);
}

/* ---- snapshots ---- */

static bool
may_serve(VirgaNodeApi *api, const char *id, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(api->services->db, error);

    return txn && virga_snapshot_check_serve(txn, id, error);
}

static VirgaHttpResponse *
handle_snapshot(VirgaNodeApi *api, const char *id)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = NULL;
    struct stat status;
    int fd = -1;

    if (virga_id_is(id, "snap")) {
        if (!may_serve(api, id, &error))
            return answer_error(error);
        path = g_strdup_printf("%s/%s.qcow2", api->services->store, id);
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    }
    if (fd < 0 || fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        if (fd >= 0)
            close(fd);
        virga_fail(&error, "snapshot", VIRGA_ERROR_NOT_FOUND, "there is no such snapshot");
        return answer_error(error);
    }
    return virga_http_response_new_fd(200, "application/octet-stream", fd, 0,
                                      (guint64) status.st_size);
}

/* Which of a host's base images are of snapshots that are gone. */
static VirgaHttpResponse *
handle_bases(VirgaNodeApi *api, const VirgaHttpRequest *request)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *json =
        virga_node_snapshot_bases(api->services, request->body, request->body_size, &error);

    return json ? answer(200, json) : answer_error(error);
}

/* What shared file systems a host has, and shall have. */
static VirgaHttpResponse *
handle_file_systems(VirgaNodeApi *api, const VirgaHttpRequest *request)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *json =
        virga_node_file_systems(api->services, request->body, request->body_size, &error);

    return json ? answer(200, json) : answer_error(error);
}

/* Pieces of a snapshot's file, and that it is all. */
static VirgaHttpResponse *
handle_snapshot_part(VirgaNodeApi *api, VirgaHttpExchange *exchange,
                     const VirgaHttpRequest *request)
{
    const char *id = request->path + strlen(PREFIX "snapshots/");
    g_autoptr(GError) error = NULL;
    g_autofree char *json = NULL;

    if (!virga_id_is(id, "snap"))
        virga_fail(&error, "snapshot", VIRGA_ERROR_NOT_FOUND, "there is no such snapshot");
    else if (g_str_equal(request->method, "PUT"))
        json = virga_node_snapshot_piece(api->services, id, request->query, request->body,
                                         request->body_size, &error);
    else if (g_str_equal(request->method, "POST"))
        json = virga_node_snapshot_end(api->services, exchange, id, request->body,
                                       request->body_size, &error);
    else
        virga_fail(&error, "request", VIRGA_ERROR_INVALID, "no such method");
    return json ? answer(200, json) : answer_error(error);
}

/* ---- */

VirgaHttpOutcome
virga_node_api_handle(VirgaNodeApi *api, VirgaHttpExchange *exchange,
                      const VirgaHttpRequest *request, VirgaHttpResponse **ret_response)
{
    const char *path = request->path + strlen(PREFIX);

    /* The Unix socket is the embedded cloud's own host; others will come with a certificate. */
    if (!request->is_local || (request->peer_uid != 0 && request->peer_uid != geteuid()))
        *ret_response = answer(403, "{\"error\":\"only root may\"}");
    else if (g_str_equal(path, "desired") && g_str_equal(request->method, "POST"))
        return handle_desired(api, exchange, request, ret_response);
    else if (g_str_equal(path, "facts") && g_str_equal(request->method, "POST"))
        *ret_response = handle_facts(api, request);
    else if (g_str_equal(path, "balancers") && g_str_equal(request->method, "POST"))
        *ret_response = handle_balancers(api, request);
    else if (g_str_equal(path, "credentials") && g_str_equal(request->method, "POST"))
        *ret_response = handle_credentials(api, request);
    else if (g_str_equal(path, "keys") && g_str_equal(request->method, "POST"))
        *ret_response = handle_keys(api, request);
    else if (g_str_equal(path, "bases") && g_str_equal(request->method, "POST"))
        *ret_response = handle_bases(api, request);
    else if (g_str_equal(path, "file-systems") && g_str_equal(request->method, "POST"))
        *ret_response = handle_file_systems(api, request);
    else if (g_str_equal(path, "answers") && g_str_equal(request->method, "POST"))
        *ret_response = handle_answer(api, request);
    else if (g_str_has_prefix(path, "snapshots/") && !g_str_equal(request->method, "GET"))
        *ret_response = handle_snapshot_part(api, exchange, request);
    else if (g_str_has_prefix(path, "snapshots/"))
        *ret_response = handle_snapshot(api, path + strlen("snapshots/"));
    else
        *ret_response = answer(404, "{\"error\":\"there is no such resource\"}");
    return VIRGA_HTTP_NOW;
}

VirgaNodeApi *
virga_node_api_new(VirgaServices *services)
{
    VirgaNodeApi *api = g_new0(VirgaNodeApi, 1);

    api->services = services;
    g_mutex_init(&api->lock);
    g_cond_init(&api->stopped);
    api->polls = g_ptr_array_new();
    api->lookers = g_thread_pool_new(look, api, LOOKERS, FALSE, NULL);
    api->ticker = g_thread_new("node-api", tick_main, api);
    return api;
}

void
virga_node_api_free(VirgaNodeApi *api)
{
    g_mutex_lock(&api->lock);
    api->stopping = true;
    for (guint i = 0; i < api->polls->len; i++)
        look_locked(api, api->polls->pdata[i]);
    g_cond_broadcast(&api->stopped);
    while (api->polls->len > 0)
        g_cond_wait(&api->stopped, &api->lock);
    g_mutex_unlock(&api->lock);
    g_thread_join(api->ticker);
    g_thread_pool_free(api->lookers, FALSE, TRUE);
    g_ptr_array_unref(api->polls);
    g_mutex_clear(&api->lock);
    g_cond_clear(&api->stopped);
    g_free(api);
}
