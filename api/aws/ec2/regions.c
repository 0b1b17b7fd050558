/* SPDX-License-Identifier: Apache-2.0 */
/* A cloud is one region. */
#include "api/call.h"
#include "api/errors.h"
#include "api/filter.h"
#include "ec2.h"

static const VirgaFilterField region_fields[] = {
    { "endpoint", "Endpoint" },
    { "opt-in-status", "OptInStatus" },
    { "region-name", "RegionName" },
};

static bool
check_names(const VirgaCall *call, const Ec2DescribeRegionsRequest *request, GError **error)
{
    for (size_t i = 0; i < request->region_names.count; i++) {
        const char *name = request->region_names.items[i];

        if (!g_str_equal(name, call->region))
            return virga_api_fail(error, "InvalidParameterValue", 400,
                                  "Invalid value '%.200s' for RegionName.", name);
    }
    return true;
}

bool
ec2_describe_regions(VirgaCall *call, const Ec2DescribeRegionsRequest *request,
                     Ec2DescribeRegionsResponse *response, GError **error)
{
    VirgaFilter *filter;
    Ec2Region *region;

    if (!check_names(call, request, error))
        return false;
    filter =
        virga_filter_new(call->arena, region_fields, &ec2_region_shape, &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error))
        return false;
    region = virga_arena_new_array(call->arena, Ec2Region, 1);
    region->region_name = call->region;
    region->endpoint = virga_arena_printf(call->arena, "ec2.%s.amazonaws.com", call->region);
    region->opt_in_status = "opt-in-not-required";
    response->regions.items = region;
    response->regions.count = virga_filter_match(filter, region, NULL, NULL);
    return true;
}
