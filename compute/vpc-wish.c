/* SPDX-License-Identifier: Apache-2.0 */
/* The plans of a host's VPCs, made by PostgreSQL of the rows; members are those of
 * network/plan.c. */
#include "vpc-wish.h"

#include "compute/file-system.h"
#include "compute/host-wish.h"
#include "core/error.h"
#include "network/load-balancer.h"

static const char sql_vpcs[] =
    "SELECT v.id, v.generation FROM vpc v WHERE EXISTS"
    " (SELECT 1 FROM instance i WHERE i.host_id = $1 AND i.vpc_id = v.id) OR EXISTS"
    " (SELECT 1 FROM load_balancer_node d JOIN load_balancer b ON b.id = d.load_balancer_id"
    "  WHERE d.host_id = $1 AND b.vpc_id = v.id) OR EXISTS"
    " (SELECT 1 FROM mount_target m JOIN file_system f ON f.id = m.file_system_id"
    "  JOIN network_interface n ON n.id = m.interface_id"
    "  WHERE f.host_id = $1 AND n.vpc_id = v.id) OR EXISTS"
    " (SELECT 1 FROM nat_gateway g WHERE g.host_id = $1 AND g.vpc_id = v.id"
    "  AND g.state IN ('pending', 'available')) ORDER BY v.id";
/* The default options are what is said of none; whoever has no options at all gets nothing. */
#define DHCP                                                                                       \
    " 'dhcp_own', NOT coalesce(o.is_default, false),"                                              \
    " 'dhcp_domain', array_to_string(o.domain_name, ' '), 'dhcp_dns', o.domain_name_servers,"      \
    " 'dhcp_ntp', o.ntp_servers, 'dhcp_netbios', o.netbios_name_servers,"                          \
    " 'dhcp_netbios_node', o.netbios_node_type[1]::bigint,"
/* Private ones have nothing to lead to. */
#define NAT_GATEWAYS                                                                               \
    "(SELECT coalesce(json_agg(json_strip_nulls(json_build_object('id', w.id,"                     \
    " 'subnet_id', w.subnet_id, 'address', host(w.private_address),"                               \
    " 'public_address', host(w.public_address), 'host_id', w.host_id,"                             \
    " 'host_address', host(h.tunnel_address))) ORDER BY w.id), '[]'::json)"                        \
    " FROM nat_gateway w LEFT JOIN host h ON h.id = w.host_id WHERE w.vpc_id = v.id"               \
    " AND w.is_public AND w.state IN ('pending', 'available'))"
/* What is sent to an interface that has no host falls into a black hole by itself. */
#define ROUTE_TABLES                                                                               \
    "(SELECT json_agg(json_build_object('id', t.id, 'is_main', EXISTS"                             \
    "   (SELECT 1 FROM route_table_association a WHERE a.route_table_id = t.id"                    \
    "   AND a.subnet_id IS NULL),"                                                                 \
    " 'subnet_ids', (SELECT coalesce(json_agg(a.subnet_id ORDER BY a.subnet_id), '[]'::json)"      \
    "   FROM route_table_association a WHERE a.route_table_id = t.id"                              \
    "   AND a.subnet_id IS NOT NULL),"                                                             \
    " 'routes', (SELECT coalesce(json_agg(json_strip_nulls(json_build_object("                     \
    "   'cidr4', r.destination::text, 'target', CASE left(r.target, 4) WHEN 'igw-' THEN"           \
    "     CASE WHEN r.active THEN 'internet-gateway' ELSE 'blackhole' END"                         \
    "     WHEN 'nat-' THEN 'nat-gateway' ELSE 'interface' END,"                                    \
    "   'target_id', CASE WHEN r.target NOT LIKE 'igw-%' THEN r.target END))"                      \
    "   ORDER BY r.destination), '[]'::json) FROM route_seen r WHERE r.route_table_id = t.id))"    \
    " ORDER BY t.id) FROM route_table t WHERE t.vpc_id = v.id)"
/* Those that let everything pass are left out: a subnet that no ACL names is open. */
#define ACLS                                                                                       \
    "(SELECT coalesce(json_agg(json_build_object('id', c.id,"                                      \
    " 'subnet_ids', (SELECT json_agg(x.subnet_id ORDER BY x.subnet_id)"                            \
    "   FROM network_acl_association x WHERE x.acl_id = c.id),"                                    \
    " 'entries', (SELECT coalesce(json_agg(json_build_object("                                     \
    "   'number', e.number, 'egress', e.egress, 'allow', e.allow, 'protocol', e.protocol,"         \
    "   'from_port', e.from_port, 'to_port', e.to_port, 'cidr4', e.cidr::text)"                    \
    "   ORDER BY e.egress, e.number), '[]'::json) FROM network_acl_entry e"                        \
    "   WHERE e.acl_id = c.id)) ORDER BY c.id), '[]'::json) FROM network_acl c"                    \
    " WHERE c.vpc_id = v.id AND (SELECT o.id FROM network_acl_open o WHERE o.id = c.id) IS NULL"   \
    " AND EXISTS (SELECT 1 FROM network_acl_association x WHERE x.acl_id = c.id))"
#define STRINGIFY_(x)    #x
#define STRINGIFY(x)     STRINGIFY_(x)
#define FILE_SYSTEM_PORT STRINGIFY(VIRGA_FILE_SYSTEM_PORT)
static const char sql_plan[] =
    "SELECT json_strip_nulls(json_build_object("
    "'id', v.id, 'generation', v.generation, 'cidrs',"
    "   (SELECT json_agg(b.cidr::text ORDER BY NOT b.is_first, b.created, b.cidr)"
    "   FROM vpc_block b WHERE b.vpc_id = v.id),"
    " 'vni', v.vni, 'domain', $2::text, 'dns_support', v.dns_support,"
    " 'dns_hostnames', v.dns_hostnames,"
    " 'public_domain', CASE WHEN v.dns_hostnames THEN $3::text END," DHCP
    " 'has_internet_gateway', EXISTS"
    "   (SELECT 1 FROM internet_gateway g WHERE g.vpc_id = v.id),"
    " 'route_tables', " ROUTE_TABLES ", 'acls', " ACLS ","
    " 'nat_gateways', " NAT_GATEWAYS ","
    " 'subnets', (SELECT coalesce(json_agg(json_build_object("
    "   'id', s.id, 'zone', s.zone, 'cidr', s.cidr::text) ORDER BY s.id), '[]'::json)"
    "   FROM subnet s WHERE s.vpc_id = v.id),"
    " 'ports', (SELECT coalesce(json_agg(json_strip_nulls(json_build_object("
    "   'id', n.id, 'instance_id', n.instance_id, 'subnet_id', n.subnet_id, 'mac', n.mac,"
    "   'address', host(n.address), 'public_address', host(p.address),"
    "   'host_id', coalesce(i.host_id, d.host_id, f.host_id),"
    "   'of_balancer', d.interface_id IS NOT NULL OR f.id IS NOT NULL,"
    "   'front_port', CASE WHEN f.id IS NOT NULL THEN " FILE_SYSTEM_PORT " END,"
    "   'service_name', f.id || '.efs.' || $4::text || '.amazonaws.com',"
    "   'host_address', host(h.tunnel_address),"
    "   'source_dest_check', n.source_dest_check,"
    "   'bandwidth_bps', nullif(i.bandwidth_mbit, 0) * 1000000,"
    "   'secondary', CASE WHEN n.secondary_count > 0 THEN (SELECT json_agg(json_strip_nulls("
    "     json_build_object('address', host(a.address), 'public_address', host(q.address)))"
    "     ORDER BY a.assigned) FROM network_interface_address a LEFT JOIN public_address q"
    "     ON q.interface_id = a.interface_id AND q.private_address = a.address"
    "     WHERE a.interface_id = n.id) END,"
    "   'group_ids', (SELECT coalesce(json_agg(m.group_id ORDER BY m.position), '[]'::json)"
    "     FROM network_interface_group m WHERE m.interface_id = n.id))) ORDER BY n.id),"
    "   '[]'::json) FROM network_interface n LEFT JOIN instance i ON i.id = n.instance_id"
    "   LEFT JOIN load_balancer_node d ON d.interface_id = n.id"
    "   LEFT JOIN mount_target m ON m.interface_id = n.id"
    "   LEFT JOIN file_system f ON f.id = m.file_system_id"
    "   LEFT JOIN host h ON h.id = coalesce(i.host_id, d.host_id, f.host_id)"
    "   LEFT JOIN public_address p ON p.interface_id = n.id AND p.private_address = n.address"
    "   WHERE n.vpc_id = v.id AND (n.requester_id IS NULL OR d.interface_id IS NOT NULL"
    "   OR f.id IS NOT NULL)),"
    " 'groups', (SELECT coalesce(json_agg(json_build_object('id', g.id,"
    "   'rules', (SELECT coalesce(json_agg(json_strip_nulls(json_build_object("
    "     'id', r.id, 'direction', CASE WHEN r.is_egress THEN 'egress' ELSE 'ingress' END,"
    "     'protocol', r.protocol, 'from_port', r.from_port, 'to_port', r.to_port,"
    "     'cidr4', r.cidr::text, 'group_id', r.peer_group_id)) ORDER BY r.id), '[]'::json)"
    "     FROM security_group_rule r WHERE r.group_id = g.id)) ORDER BY g.id), '[]'::json)"
    "   FROM security_group g WHERE g.vpc_id = v.id)," VIRGA_LOAD_BALANCERS_SQL(
        "v.id") "))::text FROM vpc v LEFT JOIN dhcp_options o ON o.id = v.dhcp_options_id WHERE "
                "v.id = $1";

char *
virga_wish_domain(const char *region)
{
    return g_str_equal(region, "us-east-1") ? g_strdup("ec2.internal")
                                            : g_strdup_printf("%s.compute.internal", region);
}

char *
virga_wish_public_domain(const char *region)
{
    return g_str_equal(region, "us-east-1") ? g_strdup("compute-1.amazonaws.com")
                                            : g_strdup_printf("%s.compute.amazonaws.com", region);
}

static bool
append_plan(VirgaTxn *txn, GString *plans, const char *vpc_id, const char *region, GError **error)
{
    g_autofree char *domain = virga_wish_domain(region);
    g_autofree char *public_domain = virga_wish_public_domain(region);
    g_autoptr(VirgaRows) rows =
        virga_txn_query(txn, error, sql_plan, "ssss", vpc_id, domain, public_domain, region);

    if (!rows)
        return false;
    if (plans->len && virga_rows_count(rows))
        g_string_append_c(plans, ',');
    virga_wish_append(plans, rows);
    return true;
}

char *
virga_host_plan(VirgaTxn *txn, const char *vpc_id, const char *region, GError **error)
{
    g_autoptr(GString) plan = g_string_new(NULL);

    return append_plan(txn, plan, vpc_id, region, error)
               ? g_string_free(g_steal_pointer(&plan), FALSE)
               : NULL;
}

/* True if the host knows a VPC that is none of its own any more. */
static bool
has_stale(JsonObject *known, const VirgaRows *vpcs)
{
    g_autoptr(GHashTable) current = g_hash_table_new(g_str_hash, g_str_equal);
    JsonObjectIter iter;
    const char *id;

    if (!known)
        return false;
    for (int i = 0; i < virga_rows_count(vpcs); i++)
        g_hash_table_add(current, (gpointer) virga_rows_text(vpcs, i, 0));
    json_object_iter_init(&iter, known);
    while (json_object_iter_next(&iter, &id, NULL))
        if (!g_hash_table_contains(current, id))
            return true;
    return false;
}

bool
virga_wish_plans(VirgaTxn *txn, const char *host_id, JsonObject *known, const char *region,
                 GString *plans, GString *ids, bool *ret_stale, GError **error)
{
    g_autoptr(VirgaRows) rows = virga_txn_query(txn, error, sql_vpcs, "s", host_id);

    if (!rows)
        return false;
    *ret_stale = has_stale(known, rows);
    for (int i = 0; i < virga_rows_count(rows); i++) {
        const char *id = virga_rows_text(rows, i, 0);
        gint64 has = known ? json_object_get_int_member_with_default(known, id, 0) : 0;

        g_string_append_printf(ids, "%s\"%s\"", i ? "," : "", id);
        if (virga_rows_int(rows, i, 1) > has && !append_plan(txn, plans, id, region, error))
            return false;
    }
    return true;
}
