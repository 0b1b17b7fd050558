/* SPDX-License-Identifier: Apache-2.0 */
/* Which connections of a VPC are translated by addresses that are still theirs. */
#include "kernel-priv.h"

#include "network/address.h"

static void
add_pair(GHashTable *pairs, const char *address, const char *public_address)
{
    guint32 private = 0, public = 0;

    if (!public_address)
        return;
    virga_ipv4_parse(address, &private);
    virga_ipv4_parse(public_address, &public);
    g_hash_table_insert(pairs, GUINT_TO_POINTER(public), GUINT_TO_POINTER(private));
}

GHashTable *
virga_translation_pairs(const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    GHashTable *pairs = g_hash_table_new(NULL, NULL);

    if (!virga_vpc_plan_has_gateway(plan))
        return pairs;
    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];

        if (!virga_kernel_is_local(config, port))
            continue;
        add_pair(pairs, port->address, port->public_address);
        for (guint a = 0; a < port->secondary->len; a++) {
            const VirgaVpcAddress *secondary = port->secondary->pdata[a];
            add_pair(pairs, secondary->address, secondary->public_address);
        }
    }
    for (guint i = 0; i < plan->nat_gateways->len; i++) {
        const VirgaVpcNatGateway *gateway = plan->nat_gateways->pdata[i];

        if (g_strcmp0(gateway->host_id, config->host_id) == 0)
            add_pair(pairs, VIRGA_ANY_ADDRESS, gateway->public_address);
    }
    return pairs;
}

bool
virga_translation_same(GHashTable *a, GHashTable *b)
{
    GHashTableIter iter;
    gpointer public, private, other;

    if (!a || !b || g_hash_table_size(a) != g_hash_table_size(b))
        return false;
    g_hash_table_iter_init(&iter, a);
    while (g_hash_table_iter_next(&iter, &public, &private))
        if (!g_hash_table_lookup_extended(b, public, NULL, &other) || other != private)
            return false;
    return true;
}

GHashTable *
virga_translation_moved(GHashTable *old, GHashTable *new)
{
    GHashTable *moved = g_hash_table_new(NULL, NULL);
    GHashTableIter iter;
    gpointer public, private, other;

    if (!old)
        return moved;
    g_hash_table_iter_init(&iter, old);
    while (g_hash_table_iter_next(&iter, &public, &private))
        if (!g_hash_table_lookup_extended(new, public, NULL, &other) || other != private)
            g_hash_table_add(moved, public);
    return moved;
}

bool
virga_translation_is_moved(const VirgaConnection *connection, void *data)
{
    GHashTable *moved = data;

    return g_hash_table_contains(moved, GUINT_TO_POINTER(connection->source)) ||
           g_hash_table_contains(moved, GUINT_TO_POINTER(connection->destination));
}

/* True if 'public' stands for 'private'. */
static bool
is_pair(GHashTable *pairs, guint32 public, guint32 private, bool gateway)
{
    gpointer its;

    return g_hash_table_lookup_extended(pairs, GUINT_TO_POINTER(public), NULL, &its) &&
           (GPOINTER_TO_UINT(its) == private || (gateway && !its));
}

bool
virga_translation_is_stale(const VirgaConnection *connection, void *data)
{
    GHashTable *pairs = data;

    return (connection->source_translated &&
            !is_pair(pairs, connection->reply_destination, connection->source, true)) ||
           (connection->destination_translated &&
            !is_pair(pairs, connection->destination, connection->reply_source, false));
}
