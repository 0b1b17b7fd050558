/* SPDX-License-Identifier: Apache-2.0 */
/* DescribeVpcAttribute: what every VPC does; nothing can be switched yet. */
#include "common.h"

#include "network/vpc.h"

static Ec2AttributeBooleanValue *
show_flag(const VirgaCall *call, bool value)
{
    Ec2AttributeBooleanValue *shown = ec2_new(call, Ec2AttributeBooleanValue);

    shown->value = value;
    shown->has_value = true;
    return shown;
}

bool
ec2_describe_vpc_attribute(VirgaCall *call, const Ec2DescribeVpcAttributeRequest *request,
                           Ec2DescribeVpcAttributeResponse *response, GError **error)
{
    const char *ids[] = { request->vpc_id, NULL };
    g_autoptr(VirgaTxn) txn = NULL;
    VirgaVpc *rows;
    size_t count;

    if (!virga_api_check_id(request->vpc_id, "vpc", "InvalidVpcId.Malformed", error))
        return false;
    txn = virga_db_read(call->db, error);
    if (!txn || !virga_vpc_list(txn, call->arena, call->account_id, ids, &rows, &count, error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaVpc, id),
                         "InvalidVpcID.NotFound", "vpc ID", error) ||
        !virga_call_dry_run(call, error))
        return false;
    response->vpc_id = rows[0].id;
    if (g_str_equal(request->attribute, "enableDnsSupport"))
        response->enable_dns_support = show_flag(call, true);
    else if (g_str_equal(request->attribute, "enableDnsHostnames"))
        response->enable_dns_hostnames = show_flag(call, false); /* public ones: there are none */
    else
        response->enable_network_address_usage_metrics = show_flag(call, false);
    return true;
}
