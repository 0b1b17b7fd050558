/* SPDX-License-Identifier: Apache-2.0 */
/* PostgreSQL makes the JSON: the rows are its own, and their members are the field names of
 * guest.c.  The plans of VPCs: vpc-wish.c. */
#include "compute/host-wish.h"

#include "compute/question.h"
#include "core/error.h"
#include "vpc-wish.h"

static const char sql_generation[] = "SELECT generation, " VIRGA_QUESTIONS_SQL(
    "$1") ","
          " (SELECT coalesce(json_agg(CASE WHEN v.pool = 'local' THEN to_json(v.id)"
          " ELSE json_build_object('id', v.id, 'pool', v.pool) END), '[]'::json) FROM volume v "
          "WHERE v.host_id = $1"
          " AND v.deleting AND NOT EXISTS (SELECT 1 FROM snapshot s WHERE s.volume_id = v.id"
          " AND s.state = 'pending'))::text,"
          " (SELECT coalesce(json_agg(json_build_object('id', a.volume_id, 'port', a.export_port,"
          " 'key', a.export_key) ORDER BY a.volume_id), '[]'::json) FROM volume_attachment a"
          " WHERE a.export_host_id = $1)::text FROM host WHERE id = $1";
/* The moment of a snapshot that was asked for before a guest was to be started comes before that:
 * so they are read after the guests. */
static const char sql_snapshots[] =
    "SELECT coalesce(json_agg(json_strip_nulls(json_build_object('id', s.id, 'volume_id',"
    " s.volume_id, 'pool', nullif(v.pool, 'local'), 'parent_id', s.parent_id, 'cut', s.cut, "
    "'halt', s.halt, 'made', "
    "coalesce(v.made, true),"
    " 'parent_file',"
    " CASE WHEN s.parent_id IS NOT NULL THEN snapshot_files(s.parent_id) -> -1 ->> 'id' END,"
    " 'parent_ready', p.id IS NULL OR p.state = 'completed')) ORDER BY s.created, s.id),"
    " '[]'::json)::text FROM snapshot s LEFT JOIN snapshot p ON p.id = s.parent_id"
    " LEFT JOIN volume v ON v.id = s.volume_id"
    " WHERE s.host_id = $1 AND s.state = 'pending'";
/* All private addresses of the interface n, the primary one first. */
#define ADDRESSES_OF_N                                                                             \
    "SELECT host(n.address) AS address, 0 AS position UNION ALL SELECT host(a.address), "          \
    "a.assigned"                                                                                   \
    " FROM network_interface_address a WHERE a.interface_id = n.id"
static const char sql_guests[] =
    "SELECT json_build_object("
    "'id', i.id, 'wish', i.wish, 'generation', i.generation, 'force', i.force,"
    " 'reboots', i.reboots, 'reboots_done', i.reboots_done, 'vcpus', i.vcpus,"
    " 'memory_mib', i.memory_mib, 'boot_mode', i.boot_mode,"
    " 'disks', (SELECT coalesce(json_agg(json_strip_nulls(json_build_object("
    "   'id', v.id, 'device', a.device, 'size_gib', v.size_gib, 'type', v.type,"
    "   'pool', nullif(v.pool, 'local'),"
    "   'iops', v.iops, 'throughput', v.throughput,"
    "   'encrypted', CASE WHEN v.encrypted THEN true END,"
    /* Of a snapshot that is gone nothing is made, not even something empty. */
    "   'files', CASE WHEN v.made OR v.snapshot_id IS NULL THEN NULL"
    "     WHEN EXISTS (SELECT 1 FROM snapshot s WHERE s.id = v.snapshot_id)"
    "     THEN snapshot_files(v.snapshot_id)"
    "     ELSE json_build_array(json_build_object('id', v.snapshot_id)) END,"
    "   'made', v.made, 'delete_on_termination', a.delete_on_termination,"
    "   'leaving', CASE WHEN a.transition = 'detaching' THEN true END,"
    "   'remote_address', CASE WHEN a.export_port IS NOT NULL THEN (SELECT host(h.tunnel_address)"
    "     FROM host h WHERE h.id = a.export_host_id) END,"
    "   'remote_port', a.export_port, 'remote_key', a.export_key))"
    "   ORDER BY a.device <> i.root_device_name, a.device), '[]'::json)"
    "   FROM volume_attachment a JOIN volume v ON v.id = a.volume_id"
    "   WHERE a.instance_id = i.id),"
    " 'ports', (SELECT coalesce(json_agg(json_strip_nulls(json_build_object("
    "   'id', n.id, 'vpc_id', n.vpc_id, 'mac', n.mac, 'address', host(n.address),"
    "   'secondaries', CASE WHEN n.secondary_count > 0 THEN (SELECT json_agg(host(a.address)"
    "     ORDER BY a.assigned) FROM network_interface_address a WHERE a.interface_id = n.id) END,"
    "   'leaving', CASE WHEN n.transition = 'detaching' THEN true END,"
    "   'forced', CASE WHEN n.force_detach THEN true END,"
    "   'device_index', n.device_index)) ORDER BY n.device_index), '[]'::json)"
    "   FROM network_interface n WHERE n.instance_id = i.id),"
    " 'metadata', json_strip_nulls(json_build_object("
    "   'instance_id', i.id, 'instance_type', i.type, 'image_id', i.image_id,"
    "   'reservation_id', i.reservation_id, 'account_id', i.account_id, 'region', $3::text,"
    "   'zone', i.zone, 'architecture', i.architecture,"
    "   'pending_time', to_char(i.launched AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
    "   'lifecycle', 'on-demand', 'launch_index', i.launch_index,"
    "   'placement_group', i.placement_group, 'placement_partition', i.partition,"
    "   'key_name', i.key_name, 'public_key', i.public_key, 'user_data', i.user_data,"
    "   'profile_id', i.profile_id, 'profile_arn', i.profile_arn,"
    "   'disabled', i.http_endpoint = 'disabled', 'tokens_required', i.http_tokens = 'required',"
    "   'hop_limit', i.http_hops, 'instance_tags', i.http_tags = 'enabled',"
    "   'disks', (SELECT json_agg(d) FROM ("
    "     SELECT json_build_object('name', 'ami', 'device', i.root_device_name) AS d"
    "     UNION ALL SELECT json_build_object('name', 'root', 'device', i.root_device_name)"
    "     UNION ALL SELECT json_build_object('name', 'ebs' || row_number() OVER (ORDER BY "
    "a.device),"
    "       'device', a.device) FROM volume_attachment a"
    "       WHERE a.instance_id = i.id AND a.device <> i.root_device_name) ds),"
    "   'tags', (SELECT coalesce(json_agg(json_build_object('key', t.key, 'value', t.value)"
    "     ORDER BY t.key), '[]'::json) FROM tag t"
    "     WHERE t.resource_id = i.id AND i.http_tags = 'enabled'),"
    "   'interfaces', (SELECT coalesce(json_agg(json_strip_nulls(json_build_object("
    "     'mac', n.mac, 'interface_id', n.id, 'device_number', n.device_index,"
    "     'owner_id', n.account_id, 'local_hostname',"
    "       'ip-' || replace(host(n.address), '.', '-') || '.' ||"
    "       coalesce(array_to_string(o.domain_name, ' '), $4::text),"
    "     'local_addresses', CASE WHEN n.secondary_count = 0 THEN"
    "       json_build_array(host(n.address)) ELSE (SELECT json_agg(x.address ORDER BY x.position)"
    "       FROM (" ADDRESSES_OF_N ") x) END,"
    "     'public_addresses', CASE WHEN n.secondary_count > 0 THEN"
    "       (SELECT json_agg(coalesce(host(q.address), '') ORDER BY x.position)"
    "       FROM (" ADDRESSES_OF_N ") x LEFT JOIN public_address q ON q.interface_id = n.id"
    "       AND q.private_address = x.address::inet) END,"
    "     'public_address', host(p.address), 'public_hostname', CASE WHEN c.dns_hostnames THEN"
    "       'ec2-' || replace(host(p.address), '.', '-') || '.' || $5::text END,"
    "     'subnet_id', n.subnet_id,"
    "     'subnet_cidr', u.cidr::text, 'vpc_id', n.vpc_id,"
    "     'vpc_cidrs', (SELECT json_agg(b.cidr::text ORDER BY NOT b.is_first, b.created, b.cidr)"
    "       FROM vpc_block b WHERE b.vpc_id = n.vpc_id),"
    "     'group_ids', (SELECT json_agg(m.group_id ORDER BY m.position)"
    "       FROM network_interface_group m WHERE m.interface_id = n.id),"
    "     'group_names', (SELECT json_agg(g.name ORDER BY m.position)"
    "       FROM network_interface_group m JOIN security_group g ON g.id = m.group_id"
    "       WHERE m.interface_id = n.id))) ORDER BY n.device_index), '[]'::json)"
    "     FROM network_interface n JOIN subnet u ON u.id = n.subnet_id"
    "     JOIN vpc c ON c.id = n.vpc_id LEFT JOIN dhcp_options o ON o.id = c.dhcp_options_id"
    "     LEFT JOIN public_address p ON p.interface_id = n.id"
    "     AND p.private_address = n.address WHERE n.instance_id = i.id)))::text"
    ")::text FROM instance i WHERE i.host_id = $1 AND i.generation > $2 ORDER BY i.id";

void
virga_wish_append(GString *json, const VirgaRows *rows)
{
    for (int i = 0; i < virga_rows_count(rows); i++) {
        if (i > 0)
            g_string_append_c(json, ',');
        g_string_append(json, virga_rows_text(rows, i, 0));
    }
}

bool
virga_host_wish(VirgaTxn *txn, const char *host_id, gint64 after, JsonObject *known,
                const char *region, char **ret_json, GError **error)
{
    g_autoptr(VirgaRows) host = virga_txn_query(txn, error, sql_generation, "s", host_id);
    g_autofree char *domain = virga_wish_domain(region);
    g_autofree char *public_domain = virga_wish_public_domain(region);
    g_autoptr(VirgaRows) guests = NULL, snapshots = NULL;
    g_autoptr(GString) plans = g_string_new(NULL);
    g_autoptr(GString) ids = g_string_new(NULL);
    g_autoptr(GString) json = g_string_new(NULL);
    const char *questions;
    gint64 generation;
    bool stale;

    *ret_json = NULL;
    if (!host)
        return false;
    /* The generation is read first: what is committed after it comes again, never too late. */
    generation = virga_rows_count(host) ? virga_rows_int(host, 0, 0) : 0;
    guests = virga_txn_query(txn, error, sql_guests, "sisss", host_id, after, region, domain,
                             public_domain);
    snapshots = guests ? virga_txn_query(txn, error, sql_snapshots, "s", host_id) : NULL;
    if (!snapshots || !virga_wish_plans(txn, host_id, known, region, plans, ids, &stale, error))
        return false;
    questions = virga_rows_count(host) ? virga_rows_text(host, 0, 1) : NULL;
    if (after > 0 && generation <= after && plans->len == 0 && !stale && !questions &&
        virga_rows_count(guests) == 0)
        return true;
    g_string_append_printf(json,
                           "{\"generation\":%" G_GINT64_FORMAT ",\"complete\":%s,\"guests\":[",
                           MAX(generation, after), after == 0 ? "true" : "false");
    virga_wish_append(json, guests);
    g_string_append_printf(json,
                           "],\"vpcs\":[%s],\"vpc_ids\":[%s],\"questions\":%s,\"doomed\":%s,"
                           "\"snapshots\":%s,\"exports\":%s}",
                           plans->str, ids->str, questions ? questions : "[]",
                           virga_rows_count(host) ? virga_rows_text(host, 0, 2) : "[]",
                           virga_rows_text(snapshots, 0, 0),
                           virga_rows_count(host) ? virga_rows_text(host, 0, 3) : "[]");
    *ret_json = g_string_free(g_steal_pointer(&json), FALSE);
    return true;
}
