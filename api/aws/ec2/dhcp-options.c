/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of DHCP options. */
#include "common.h"

#include "compute/instance.h"
#include "network/dhcp-options.h"

#include <string.h>

static const VirgaFilterField fields[] = {
    { "dhcp-options-id", "DhcpOptionsId" },
    { "key", "DhcpConfigurations.Key" },
    { "owner-id", "OwnerId" },
    { "value", "DhcpConfigurations.Values.Value" },
};

/* In the order in which they are shown. */
static const struct {
    const char *key;
    size_t offset;
    bool listed; /* several values may stand in one, with commas between */
} keys[] = {
    { "domain-name", offsetof(VirgaDhcpOptions, domain_name), false },
    { "domain-name-servers", offsetof(VirgaDhcpOptions, domain_name_servers), true },
    { "netbios-name-servers", offsetof(VirgaDhcpOptions, netbios_name_servers), true },
    { "netbios-node-type", offsetof(VirgaDhcpOptions, netbios_node_type), false },
    { "ntp-servers", offsetof(VirgaDhcpOptions, ntp_servers), true },
};

static char ***
values_at(const VirgaDhcpOptions *options, size_t i)
{
    return (char ***) (void *) ((guint8 *) (gpointer) options + keys[i].offset);
}

/* ---- showing ---- */

static Ec2DhcpConfiguration
show_values(const VirgaCall *call, const char *key, char **values)
{
    guint count = g_strv_length(values);
    Ec2DhcpConfiguration shown = { .key = key };

    shown.values.items = ec2_array(call, Ec2AttributeValue, count);
    for (; shown.values.count < count; shown.values.count++)
        shown.values.items[shown.values.count].value = values[shown.values.count];
    return shown;
}

static void
show(const VirgaCall *call, const VirgaDhcpOptions *row, const Ec2Tags *tags, Ec2DhcpOptions *shown)
{
    Ec2DhcpConfigurationList *list = &shown->dhcp_configurations;

    *shown = (Ec2DhcpOptions){ .dhcp_options_id = row->id,
                               .owner_id = row->account_id,
                               .tags = ec2_tags_of(tags, row->id) };
    list->items = ec2_array(call, Ec2DhcpConfiguration, G_N_ELEMENTS(keys));
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        char **values = *values_at(row, i);
        char *domain[] = { (char *) ec2_private_domain(call), NULL };

        if (!values && row->is_default && g_str_equal(keys[i].key, "domain-name"))
            values = domain;
        if (values)
            list->items[list->count++] = show_values(call, keys[i].key, values);
    }
}

static bool
read_all(VirgaCall *call, const char *const *ids, Ec2DhcpOptionsList *list, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    VirgaDhcpOptions *rows;
    Ec2Tags tags;
    size_t count;

    if (!txn ||
        !virga_dhcp_options_list(txn, call->arena, call->account_id, ids, &rows, &count, error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaDhcpOptions, id),
                         "InvalidDhcpOptionID.NotFound", "dhcpOption ID", error) ||
        !ec2_tags_read(call, txn, ids, "dhcp-options", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2DhcpOptions, count);
    for (; list->count < count; list->count++)
        show(call, &rows[list->count], &tags, &list->items[list->count]);
    return true;
}

bool
ec2_describe_dhcp_options(VirgaCall *call, const Ec2DescribeDhcpOptionsRequest *request,
                          Ec2DescribeDhcpOptionsResponse *response, GError **error)
{
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->dhcp_options_ids, "dopt", "InvalidDhcpOptionsId.Malformed", &ids,
                 error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter =
        virga_filter_new(call->arena, fields, &ec2_dhcp_options_shape, &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_all(call, ids, &response->dhcp_options, error))
        return false;
    ec2_answer(call, filter, &page, &response->dhcp_options, &ec2_dhcp_options_shape,
               Ec2DhcpOptions, dhcp_options_id, &response->next_token);
    return true;
}

/* ---- making and deleting ---- */

typedef struct {
    VirgaDhcpOptions options;
    Ec2NewTags tags;
} Create;

static char **
copy_values(const VirgaCall *call, const Ec2NewDhcpConfiguration *given, bool listed)
{
    g_autoptr(GStrvBuilder) builder = g_strv_builder_new();
    char **values;

    for (size_t i = 0; i < given->values.count; i++) {
        g_auto(GStrv) parts = g_strsplit(given->values.items[i], listed ? "," : "\n", -1);

        for (char **part = parts; *part; part++)
            g_strv_builder_add(builder, g_strstrip(*part));
    }
    values = g_strv_builder_end(builder);
    virga_arena_own(call->arena, values, (GDestroyNotify) g_strfreev);
    return values;
}

static bool
take(const VirgaCall *call, const Ec2NewDhcpConfiguration *given, VirgaDhcpOptions *options,
     GError **error)
{
    if (!given->key || given->values.count == 0)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter %s",
                              given->key ? "value" : "key");
    if (g_str_equal(given->key, "ipv6-address-preferred-lease-time"))
        return ec2_unsupported(error, "ipv6-address-preferred-lease-time");
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        char ***values = values_at(options, i);

        if (!g_str_equal(keys[i].key, given->key))
            continue;
        if (*values)
            return virga_api_fail(error, "InvalidParameterValue", 400,
                                  "The DHCP option %s is specified more than once", given->key);
        *values = copy_values(call, given, keys[i].listed);
        return true;
    }
    return virga_api_fail(error, "InvalidParameterValue", 400,
                          "Value (%.200s) for parameter key is invalid. Unknown DHCP option",
                          given->key);
}

static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Create *asked = data;

    return virga_dhcp_options_create(txn, call->arena, &asked->options, error) &&
           ec2_tags_set(call, txn, asked->options.id, &asked->tags, error);
}

bool
ec2_create_dhcp_options(VirgaCall *call, const Ec2CreateDhcpOptionsRequest *request,
                        Ec2CreateDhcpOptionsResponse *response, GError **error)
{
    Create asked = { .options.account_id = (char *) call->account_id };
    Ec2Tags none = ec2_tags_make(call, NULL, 0);

    if (request->dhcp_configurations.count == 0)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter dhcpConfiguration");
    for (size_t i = 0; i < request->dhcp_configurations.count; i++)
        if (!take(call, &request->dhcp_configurations.items[i], &asked.options, error))
            return false;
    if (!ec2_tags_for(call, &request->tag_specifications, "dhcp-options", &asked.tags, error) ||
        !ec2_transaction(call, create, &asked, error))
        return false;
    response->dhcp_options = ec2_new(call, Ec2DhcpOptions);
    show(call, &asked.options, &none, response->dhcp_options);
    response->dhcp_options->tags = ec2_tags_shown(call, &asked.tags);
    return true;
}

static bool delete (VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    return virga_dhcp_options_delete(txn, call->account_id, data, error);
}

static bool
check_id(const char *id, GError **error)
{
    return virga_api_check_id(id, "dopt", "InvalidDhcpOptionsId.Malformed", error);
}

bool
ec2_delete_dhcp_options(VirgaCall *call, const Ec2DeleteDhcpOptionsRequest *request,
                        Ec2DeleteDhcpOptionsResponse *response, GError **error)
{
    return check_id(request->dhcp_options_id, error) &&
           ec2_transaction(call, delete, (gpointer) request->dhcp_options_id, error);
}

/* ---- use ---- */

typedef struct {
    const char *vpc_id, *id;
} Association;

/* The names that guests find in their metadata end in the domain, too. */
static bool
associate(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Association *asked = data;

    return virga_instance_vpc_changed(txn, call->account_id, asked->vpc_id, error) &&
           virga_dhcp_options_associate(txn, call->account_id, asked->vpc_id, asked->id, error);
}

bool
ec2_associate_dhcp_options(VirgaCall *call, const Ec2AssociateDhcpOptionsRequest *request,
                           Ec2AssociateDhcpOptionsResponse *response, GError **error)
{
    Association asked = { request->vpc_id, request->dhcp_options_id };

    if (g_str_equal(asked.id, "default"))
        asked.id = NULL;
    return virga_api_check_id(asked.vpc_id, "vpc", "InvalidVpcID.Malformed", error) &&
           (!asked.id || check_id(asked.id, error)) &&
           ec2_transaction(call, associate, &asked, error);
}
