/* SPDX-License-Identifier: Apache-2.0 */
/* What the operator's API asks the database: across accounts, unlike everything else. */
#include "operator-priv.h"

#include "compute/host.h"
#include "core/error.h"

static const char sql_states[] =
    "SELECT state, count(*) FROM instance WHERE state <> 'terminated'"
    " OR state_since > now() - interval '1 hour' GROUP BY state ORDER BY state";
static const char sql_counts[] =
    "SELECT (SELECT count(*) FROM image), (SELECT count(*) FROM volume),"
    " (SELECT count(*) FROM snapshot), (SELECT count(*) FROM vpc),"
    " (SELECT count(*) FROM public_address),"
    " (SELECT count(*) FROM public_address WHERE interface_id IS NULL AND allocation_id IS NULL),"
    " current_setting('server_version')";
/* A damaged base image on which nothing stands is gone soon. */
#define DAMAGE                                                                                     \
    "SELECT 'snapshot ' || id || ' is damaged: its file in the store is not what it was'"          \
    " FROM snapshot WHERE damaged UNION ALL SELECT 'host ' || h.name || ': the base image of '"    \
    " || d.id || ' is damaged, and what stands on it reads wrong data'"                            \
    " FROM host h, unnest(h.damaged_bases) AS d (id)"
static const char sql_damage[] = DAMAGE " LIMIT 100";
static const char sql_troubles[] =
    DAMAGE " UNION ALL SELECT 'volume ' || id || ' has lost its bytes' FROM volume WHERE lost"
           " UNION ALL SELECT 'instance ' || id || ' is ' || state || ' since '"
           " || to_char(state_since AT TIME ZONE 'UTC', 'HH24:MI:SS') || ' UTC' FROM instance"
           " WHERE state IN ('pending', 'stopping', 'shutting-down')"
           " AND state_since < now() - interval '10 minutes' LIMIT 20";
static const char sql_images[] =
    "SELECT i.id, i.name, i.account_id, i.description, i.boot_mode, i.is_public, i.state,"
    " s.size_gib, s.bytes, s.source_sha256, " VIRGA_SQL_TIME(
        "i.created") " FROM image i"
                     " LEFT JOIN image_device d ON d.image_id = i.id AND d.device = "
                     "i.root_device_name"
                     " LEFT JOIN snapshot s ON s.id = d.snapshot_id ORDER BY i.name, i.id";
static const char sql_claim_hosts[] =
    "SELECT h.id, h.name, h.vcpus_claimed, h.memory_claimed_mib, coalesce(sum(i.vcpus), 0)::bigint,"
    " coalesce(sum(i.memory_mib), 0)::bigint FROM host h"
    " LEFT JOIN instance i ON i.host_id = h.id AND i.claimed GROUP BY h.id ORDER BY h.id";
static const char sql_claim_instances[] =
    "SELECT id, host_id, vpc_id, state, wish FROM instance WHERE host_id IS NOT NULL ORDER BY id";
static const char sql_claim_interfaces[] =
    "SELECT n.id, coalesce(i.host_id, d.host_id, f.host_id), n.vpc_id FROM network_interface n"
    " LEFT JOIN instance i ON i.id = n.instance_id"
    " LEFT JOIN load_balancer_node d ON d.interface_id = n.id"
    " LEFT JOIN mount_target m ON m.interface_id = n.id"
    " LEFT JOIN file_system f ON f.id = m.file_system_id"
    " WHERE coalesce(i.host_id, d.host_id, f.host_id) IS NOT NULL ORDER BY n.id";
static const char sql_claim_gateways[] =
    "SELECT id, host_id, vpc_id FROM nat_gateway WHERE host_id IS NOT NULL"
    " AND state IN ('pending', 'available', 'deleting') ORDER BY id";
static const char sql_claim_volumes[] =
    "SELECT id, host_id, snapshot_id FROM volume WHERE host_id IS NOT NULL ORDER BY id";
static const char sql_claim_exports[] =
    "SELECT a.volume_id, a.export_host_id, i.host_id FROM volume_attachment a"
    " JOIN instance i ON i.id = a.instance_id WHERE a.export_host_id IS NOT NULL ORDER BY 1";
static const char sql_claim_snapshots[] = "SELECT id, bytes FROM snapshot ORDER BY id";
static const char sql_claim_groups[] = "SELECT id, vpc_id FROM security_group ORDER BY id";
/* Rows that point at what is gone. */
static const char sql_claim_broken[] =
    "SELECT 'network interface ' || n.id || ' (' || host(n.address) || ') belongs to instance '"
    " || n.instance_id || ', which is ' || coalesce(i.state, 'unknown') FROM network_interface n"
    " LEFT JOIN instance i ON i.id = n.instance_id WHERE n.instance_id IS NOT NULL"
    " AND (i.id IS NULL OR (i.state = 'terminated' AND i.host_id IS NULL))"
    " UNION ALL SELECT 'public address ' || host(p.address) || ' is held by interface '"
    " || p.interface_id || ' of a ' || i.state || ' instance' FROM public_address p"
    " JOIN network_interface n ON n.id = p.interface_id JOIN instance i ON i.id = n.instance_id"
    " WHERE p.allocation_id IS NULL AND (i.state = 'terminated'"
    " OR (i.state = 'stopped' AND i.host_id IS NULL))"
    " UNION ALL SELECT 'network interface ' || n.id || ' is of a ' || n.type || ', which is gone'"
    " FROM network_interface n WHERE n.type = 'nat_gateway' AND NOT EXISTS (SELECT 1 FROM"
    " nat_gateway g WHERE g.interface_id = n.id"
    " AND g.state IN ('pending', 'available', 'deleting'))"
    " UNION ALL SELECT 'network interface ' || n.id || ' counts ' || n.secondary_count ||"
    " ' further addresses and has ' || count(a.address) FROM network_interface n"
    " LEFT JOIN network_interface_address a ON a.interface_id = n.id GROUP BY n.id"
    " HAVING n.secondary_count <> count(a.address)"
    " UNION ALL SELECT 'public address ' || host(p.address) || ' leads to ' ||"
    " host(p.private_address) || ', which interface ' || p.interface_id || ' does not have'"
    " FROM public_address p JOIN network_interface n ON n.id = p.interface_id"
    " WHERE p.private_address <> n.address AND NOT EXISTS (SELECT 1 FROM"
    " network_interface_address a WHERE a.interface_id = n.id AND a.address = p.private_address)"
    " UNION ALL SELECT 'volume ' || a.volume_id || ' is attached to instance ' || a.instance_id"
    " || ', which is ' || coalesce(i.state, 'unknown') FROM volume_attachment a"
    " LEFT JOIN instance i ON i.id = a.instance_id"
    " WHERE i.id IS NULL OR (i.state = 'terminated' AND i.host_id IS NULL)"
    " UNION ALL SELECT 'instance ' || id || ' is terminated and still claims room'"
    " FROM instance WHERE state = 'terminated' AND claimed"
    " UNION ALL SELECT 'tag \"' || key || '\" is on ' || resource_id || ', which is gone' FROM tag"
    " WHERE resource_id LIKE 'vol-%' AND NOT EXISTS (SELECT 1 FROM volume"
    " WHERE volume.id = resource_id)"
    " UNION ALL SELECT 'account ' || coalesce(q.account_id, a.account_id) || ': '"
    " || coalesce(q.used, 0) || ' ' || coalesce(q.resource, a.resource) || ' are counted, it has '"
    " || coalesce(a.used, 0) FROM quota q FULL JOIN quota_actual a"
    " ON a.account_id = q.account_id AND a.resource = q.resource"
    " WHERE coalesce(q.used, 0) <> coalesce(a.used, 0)";
static const char sql_events[] =
    "SELECT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), message FROM ("
    "SELECT sequence, at, message FROM event WHERE subject = $1 ORDER BY sequence DESC LIMIT 200)"
    " last ORDER BY sequence";
static const char sql_why_instance[] =
    "SELECT state, wish, coalesce(reason_code, ''), coalesce(reason_message, ''),"
    " transition_reason, coalesce(host_id, ''), reachable, type, image_id, zone,"
    " to_char(state_since AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"
    " FROM instance WHERE id = $1";
static const char sql_why_host[] =
    "SELECT name, zone, hypervisor, coalesce(trouble, ''), version, vcpus, vcpus_claimed,"
    " memory_mib, memory_claimed_mib, disk_free_gib,"
    " extract(epoch FROM now() - seen)::bigint FROM host WHERE id = $1 OR name = $1";
static const char sql_why_volume[] =
    "SELECT CASE WHEN v.lost THEN 'lost' WHEN v.made THEN 'made' ELSE 'not made yet' END,"
    " v.size_gib, coalesce(v.host_id, ''), coalesce(v.snapshot_id, ''),"
    " coalesce(a.instance_id, ''), coalesce(a.device, '') FROM volume v"
    " LEFT JOIN volume_attachment a ON a.volume_id = v.id WHERE v.id = $1";
static const char sql_why_snapshot[] =
    "SELECT CASE WHEN deleted THEN 'deleted, others stand on it' WHEN state = 'pending' AND NOT cut"
    " THEN 'pending, waits for its moment' ELSE state END, progress, size_gib, bytes,"
    " coalesce(volume_id, ''), coalesce(parent_id, ''), coalesce(host_id, ''),"
    " CASE WHEN damaged_by IS NULL THEN coalesce(message, '') ELSE 'damaged by ' || damaged_by END"
    " FROM snapshot WHERE id = $1";
static const char sql_retire[] =
    "UPDATE access_key SET active = false"
    " WHERE account_id = $1 AND principal = $2 AND id <> $3 AND active";
static const char sql_account[] = "SELECT id FROM account ORDER BY created, id LIMIT 1";
static const char sql_image_named[] =
    "SELECT i.id, s.source_sha256 FROM image i"
    " LEFT JOIN image_device d ON d.image_id = i.id AND d.device = i.root_device_name"
    " LEFT JOIN snapshot s ON s.id = d.snapshot_id WHERE i.account_id = $1 AND i.name = $2";
static const char sql_set_source[] = "UPDATE snapshot SET source_sha256 = $2 WHERE id = $1";
static const char sql_has_snapshot[] = "SELECT EXISTS (SELECT 1 FROM snapshot WHERE id = $1)";
static const char sql_wanted[] =
    "SELECT account_id, id FROM instance WHERE wish = 'run' ORDER BY account_id, id";

static void
add_text(JsonBuilder *json, const char *name, const char *value)
{
    json_builder_set_member_name(json, name);
    if (value)
        json_builder_add_string_value(json, value);
    else
        json_builder_add_null_value(json);
}

static void
add_int(JsonBuilder *json, const char *name, gint64 value)
{
    json_builder_set_member_name(json, name);
    json_builder_add_int_value(json, value);
}

/* How rows become objects: a name for each column, after a letter that is its kind. */
static void
add_row(JsonBuilder *json, const VirgaRows *rows, int row, const char *const *columns)
{
    json_builder_begin_object(json);
    for (int i = 0; columns[i]; i++) {
        const char *name = columns[i] + 1;

        switch (columns[i][0]) {
        case 'i':
            add_int(json, name, virga_rows_int(rows, row, i));
            break;
        case 'b':
            json_builder_set_member_name(json, name);
            json_builder_add_boolean_value(json, virga_rows_bool(rows, row, i));
            break;
        default:
            add_text(json, name, virga_rows_text(rows, row, i));
        }
    }
    json_builder_end_object(json);
}

static bool
add_rows(VirgaTxn *txn, JsonBuilder *json, const char *member, const char *sql,
         const char *const *columns, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql, "");

    if (!rows)
        return false;
    json_builder_set_member_name(json, member);
    json_builder_begin_array(json);
    for (int i = 0; i < virga_rows_count(rows); i++)
        add_row(json, rows, i, columns);
    json_builder_end_array(json);
    return true;
}

static bool
add_texts(VirgaTxn *txn, JsonBuilder *json, const char *sql, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql, "");

    for (int i = 0; rows && i < virga_rows_count(rows); i++)
        json_builder_add_string_value(json, virga_rows_text(rows, i, 0));
    return rows != NULL;
}

static void
add_host(JsonBuilder *json, const VirgaHost *host)
{
    json_builder_begin_object(json);
    add_text(json, "id", host->id);
    add_text(json, "name", host->name);
    add_text(json, "zone", host->zone);
    add_text(json, "version", host->version);
    add_text(json, "hypervisor", host->hypervisor);
    add_text(json, "trouble", host->trouble);
    json_builder_set_member_name(json, "up");
    json_builder_add_boolean_value(json, host->up);
    add_int(json, "seen_s_ago", (g_get_real_time() - host->seen) / G_USEC_PER_SEC);
    add_int(json, "seen_ms_ago", (g_get_real_time() - host->seen) / 1000);
    add_int(json, "vcpus", host->vcpus);
    add_int(json, "vcpus_claimed", host->vcpus_claimed);
    add_int(json, "memory_mib", host->memory_mib);
    add_int(json, "memory_claimed_mib", host->memory_claimed_mib);
    add_int(json, "disk_free_gib", host->disk_free_gib);
    json_builder_end_object(json);
}

static void
add_host_troubles(JsonBuilder *json, const VirgaHost *hosts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        g_autofree char *text = NULL;

        if (!hosts[i].up)
            text = g_strdup_printf("host %s has not been heard of for %" G_GINT64_FORMAT " s",
                                   hosts[i].name,
                                   (g_get_real_time() - hosts[i].seen) / G_USEC_PER_SEC);
        else if (hosts[i].trouble && *hosts[i].trouble)
            text = g_strdup_printf("host %s: %s", hosts[i].name, hosts[i].trouble);
        if (text)
            json_builder_add_string_value(json, text);
    }
    if (count == 0)
        json_builder_add_string_value(json, "no host has joined the cloud yet");
}

bool
virga_operator_db_damage(VirgaTxn *txn, JsonBuilder *json, GError **error)
{
    json_builder_set_member_name(json, "damage");
    json_builder_begin_array(json);
    if (!add_texts(txn, json, sql_damage, error))
        return false;
    json_builder_end_array(json);
    return true;
}

bool
virga_operator_db_status(VirgaTxn *txn, VirgaArena *arena, JsonBuilder *json, GError **error)
{
    g_autoptr(VirgaRows) states = virga_txn_query(txn, error, sql_states, "");
    g_autoptr(VirgaRows) counts = states ? virga_txn_query(txn, error, sql_counts, "") : NULL;
    VirgaHost *hosts;
    size_t host_count;

    if (!counts || !virga_host_list(txn, arena, &hosts, &host_count, error))
        return false;
    json_builder_set_member_name(json, "instances");
    json_builder_begin_object(json);
    for (int i = 0; i < virga_rows_count(states); i++)
        add_int(json, virga_rows_text(states, i, 0), virga_rows_int(states, i, 1));
    json_builder_end_object(json);
    add_int(json, "images", virga_rows_int(counts, 0, 0));
    add_int(json, "volumes", virga_rows_int(counts, 0, 1));
    add_int(json, "snapshots", virga_rows_int(counts, 0, 2));
    add_int(json, "vpcs", virga_rows_int(counts, 0, 3));
    add_int(json, "public_addresses", virga_rows_int(counts, 0, 4));
    add_int(json, "public_addresses_free", virga_rows_int(counts, 0, 5));
    add_text(json, "database_version", virga_rows_text(counts, 0, 6));
    json_builder_set_member_name(json, "hosts");
    json_builder_begin_array(json);
    for (size_t i = 0; i < host_count; i++)
        add_host(json, &hosts[i]);
    json_builder_end_array(json);
    json_builder_set_member_name(json, "troubles");
    json_builder_begin_array(json);
    add_host_troubles(json, hosts, host_count);
    if (!add_texts(txn, json, sql_troubles, error))
        return false;
    json_builder_end_array(json);
    return true;
}

bool
virga_operator_db_images(VirgaTxn *txn, JsonBuilder *json, GError **error)
{
    static const char *const columns[] = {
        "tid",    "tname",     "taccount", "tdescription",   "tboot_mode", "bpublic",
        "tstate", "isize_gib", "ibytes",   "tsource_sha256", "icreated",   NULL
    };

    return add_rows(txn, json, "images", sql_images, columns, error);
}

bool
virga_operator_db_claims(VirgaTxn *txn, JsonBuilder *json, GError **error)
{
    static const char *const hosts[] = {
        "tid", "tname", "ivcpus_claimed", "imemory_claimed_mib", "ivcpus_sum", "imemory_sum_mib",
        NULL
    };
    static const char *const instances[] = { "tid", "thost", "tvpc", "tstate", "twish", NULL };
    static const char *const interfaces[] = { "tid", "thost", "tvpc", NULL };
    static const char *const volumes[] = { "tid", "thost", "tsnapshot", NULL };
    static const char *const exports[] = { "tid", "tserver", "tclient", NULL };
    static const char *const snapshots[] = { "tid", "ibytes", NULL };
    static const char *const groups[] = { "tid", "tvpc", NULL };

    if (!add_rows(txn, json, "hosts", sql_claim_hosts, hosts, error) ||
        !add_rows(txn, json, "instances", sql_claim_instances, instances, error) ||
        !add_rows(txn, json, "interfaces", sql_claim_interfaces, interfaces, error) ||
        !add_rows(txn, json, "gateways", sql_claim_gateways, interfaces, error) ||
        !add_rows(txn, json, "volumes", sql_claim_volumes, volumes, error) ||
        !add_rows(txn, json, "exports", sql_claim_exports, exports, error) ||
        !add_rows(txn, json, "snapshots", sql_claim_snapshots, snapshots, error) ||
        !add_rows(txn, json, "groups", sql_claim_groups, groups, error))
        return false;
    json_builder_set_member_name(json, "broken");
    json_builder_begin_array(json);
    if (!add_texts(txn, json, sql_claim_broken, error))
        return false;
    json_builder_end_array(json);
    return true;
}

/* The row of 'id' as the member "row", if there is one. */
static bool
add_subject(VirgaTxn *txn, JsonBuilder *json, const char *id, const char *kind, const char *sql,
            const char *const *columns, bool *found, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql, "s", id);

    if (!rows)
        return false;
    if (virga_rows_count(rows) == 0)
        return true;
    *found = true;
    add_text(json, "kind", kind);
    json_builder_set_member_name(json, "row");
    add_row(json, rows, 0, columns);
    return true;
}

bool
virga_operator_db_why(VirgaTxn *txn, JsonBuilder *json, const char *id, GError **error)
{
    static const char *const instance[] = {
        "tstate", "twish",      "treason_code", "treason_message", "ttransition_reason",
        "thost",  "treachable", "ttype",        "timage",          "tzone",
        "tsince", NULL
    };
    static const char *const host[] = { "tname",          "tzone",       "thypervisor",
                                        "ttrouble",       "tversion",    "ivcpus",
                                        "ivcpus_claimed", "imemory_mib", "imemory_claimed_mib",
                                        "idisk_free_gib", "iseen_s_ago", NULL };
    static const char *const volume[] = { "tstate",    "isize_gib", "thost", "tsnapshot",
                                          "tinstance", "tdevice",   NULL };
    static const char *const snapshot[] = { "tstate", "iprogress", "isize_gib",
                                            "ibytes", "tvolume",   "tparent",
                                            "thost",  "tmessage",  NULL };
    g_autoptr(VirgaRows) events = virga_txn_query(txn, error, sql_events, "s", id);
    bool found = false;

    if (!events)
        return false;
    add_text(json, "id", id);
    if (!add_subject(txn, json, id, "instance", sql_why_instance, instance, &found, error) ||
        (!found && !add_subject(txn, json, id, "host", sql_why_host, host, &found, error)) ||
        (!found && !add_subject(txn, json, id, "volume", sql_why_volume, volume, &found, error)) ||
        (!found &&
         !add_subject(txn, json, id, "snapshot", sql_why_snapshot, snapshot, &found, error)))
        return false;
    if (!found && virga_rows_count(events) == 0)
        return virga_fail(error, "resource", VIRGA_ERROR_NOT_FOUND, "nothing is known of \"%s\"",
                          id);
    json_builder_set_member_name(json, "events");
    json_builder_begin_array(json);
    for (int i = 0; i < virga_rows_count(events); i++) {
        static const char *const event[] = { "tat", "tmessage", NULL };

        add_row(json, events, i, event);
    }
    json_builder_end_array(json);
    return true;
}

bool
virga_operator_db_retire_keys(VirgaTxn *txn, const char *account_id, const char *principal,
                              const char *key_id, GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_retire, "sss", account_id, principal, key_id);
}

char *
virga_operator_db_account(VirgaTxn *txn, VirgaArena *arena, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_account, "");

    if (!rows)
        return NULL;
    if (virga_rows_count(rows) == 0) {
        virga_fail(error, "account", VIRGA_ERROR_NOT_FOUND,
                   "the cloud has no account yet: run \"virga up\"");
        return NULL;
    }
    return virga_rows_dup(rows, arena, 0, 0);
}

bool
virga_operator_db_image_named(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                              const char *name, char **ret_id, char **ret_source_sha256,
                              GError **error)
{
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_image_named, "ss", account_id, name);

    if (!rows)
        return false;
    *ret_id = virga_rows_count(rows) ? virga_rows_dup(rows, arena, 0, 0) : NULL;
    *ret_source_sha256 = virga_rows_count(rows) ? virga_rows_dup(rows, arena, 0, 1) : NULL;
    return true;
}

bool
virga_operator_db_set_source(VirgaTxn *txn, const char *snapshot_id, const char *source_sha256,
                             GError **error)
{
    return virga_txn_run(txn, error, NULL, sql_set_source, "ss", snapshot_id, source_sha256);
}

bool
virga_operator_db_has_snapshot(VirgaTxn *txn, const char *id, bool *ret, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_has_snapshot, "s", id);

    if (!rows)
        return false;
    *ret = virga_rows_bool(rows, 0, 0);
    return true;
}

VirgaRows *
virga_operator_db_wanted(VirgaTxn *txn, GError **error)
{
    return virga_txn_query(txn, error, sql_wanted, "");
}
