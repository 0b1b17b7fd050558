/* SPDX-License-Identifier: Apache-2.0 */
/* Versions of launch templates: create, describe, delete.  Numbers are never given twice. */
#include "launch-templates.h"

#define PAGE_MIN   1
#define PAGE_MAX   200
#define DELETE_MAX 200 /* AWS's limit of a call */

static const VirgaFilterField version_fields[] = {
    { "create-time", "CreateTime" },
    { "ebs-optimized", "LaunchTemplateData.EbsOptimized" },
    { "host-resource-group-arn", "LaunchTemplateData.Placement.HostResourceGroupArn" },
    { "http-endpoint", "LaunchTemplateData.MetadataOptions.HttpEndpoint" },
    { "http-protocol-ipv4", "LaunchTemplateData.MetadataOptions.HttpEndpoint" },
    { "http-protocol-ipv6", "LaunchTemplateData.MetadataOptions.HttpProtocolIpv6" },
    { "http-tokens", "LaunchTemplateData.MetadataOptions.HttpTokens" },
    { "iam-instance-profile", "LaunchTemplateData.IamInstanceProfile.Arn" },
    { "image-id", "LaunchTemplateData.ImageId" },
    { "instance-type", "LaunchTemplateData.InstanceType" },
    { "is-default-version", "DefaultVersion" },
    { "kernel-id", "LaunchTemplateData.KernelId" },
    { "license-configuration-arn", "LaunchTemplateData.LicenseSpecifications"
                                   ".LicenseConfigurationArn" },
    { "network-card-index", "LaunchTemplateData.NetworkInterfaces.NetworkCardIndex" },
    { "ram-disk-id", "LaunchTemplateData.RamDiskId" },
};

static bool
show_version(const VirgaCall *call, const VirgaLaunchTemplateVersion *row,
             Ec2LaunchTemplateVersion *shown, GError **error)
{
    Ec2ResponseLaunchTemplateData *data = virga_wire_from_json(
        call->arena, &ec2_response_launch_template_data_shape, row->data, error);
    Ec2OperatorResponse *operator= ec2_new(call, Ec2OperatorResponse);

    operator->has_managed = true;
    *shown = (Ec2LaunchTemplateVersion){ .launch_template_id = row->template_id,
                                         .launch_template_name = row->template_name,
                                         .version_number = row->version,
                                         .has_version_number = true,
                                         .version_description = row->description,
                                         .create_time = row->created,
                                         .created_by = row->created_by,
                                         .default_version = row->is_default,
                                         .has_default_version = true,
                                         .launch_template_data = data,
                                         .operator= operator};
    return data != NULL;
}

static bool
check_alias(bool resolve, const Ec2ResponseLaunchTemplateData *data, GError **error)
{
    return !resolve || !data->image_id || !g_str_has_prefix(data->image_id, "resolve:") ||
           ec2_unsupported(error, "ResolveAlias");
}

/* ---- creating ---- */

typedef struct {
    const Ec2CreateLaunchTemplateVersionRequest *request;
    Ec2Token token;
    Ec2LaunchTemplateVersion *shown;
} Create;

/* The source's devices keep everything but their snapshots. */
static void
forget_snapshots(Ec2RequestLaunchTemplateData *data)
{
    for (size_t i = 0; i < data->block_device_mappings.count; i++)
        if (data->block_device_mappings.items[i].ebs)
            data->block_device_mappings.items[i].ebs->snapshot_id = NULL;
}

/* What the new version holds: the source's parameters where the request says nothing. */
static bool
merge_source(VirgaCall *call, VirgaTxn *txn, const VirgaLaunchTemplate *of,
             const Ec2CreateLaunchTemplateVersionRequest *request, const char **ret_data,
             GError **error)
{
    const VirgaWireShape *shape = &ec2_request_launch_template_data_shape;
    Ec2RequestLaunchTemplateData data = *request->launch_template_data, *source;
    const VirgaLaunchTemplateVersion *version;
    gint64 number;

    if (request->source_version && *request->source_version) {
        if (!ec2_launch_template_number(of, request->source_version, &number, error))
            return false;
        version = virga_launch_template_version_get(txn, call->arena, of, number, error);
        source = version ? virga_wire_from_json(call->arena, shape, version->data, error) : NULL;
        if (!source)
            return false;
        forget_snapshots(source);
        virga_wire_inherit(shape, &data, source);
    }
    *ret_data = virga_wire_to_json(call->arena, shape, &data);
    return true;
}

static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Create *asked = data;
    const Ec2CreateLaunchTemplateVersionRequest *request = asked->request;
    const VirgaLaunchTemplate *of = ec2_launch_template_find(
        call, txn, request->launch_template_id, request->launch_template_name, true, error);
    const VirgaLaunchTemplateVersion *row;
    const char *merged, *resource;
    char *earlier;
    gint64 number;

    if (!of)
        return false;
    resource = virga_arena_printf(call->arena, "%s:%" G_GINT64_FORMAT, of->id, of->next_version);
    if (!ec2_token_take(call, txn, &asked->token, resource, &earlier, error))
        return false;
    if (!earlier &&
        (!merge_source(call, txn, of, request, &merged, error) ||
         !virga_launch_template_add_version(txn, of, call->principal_arn,
                                            request->version_description, merged, error)))
        return false;
    number = earlier ? g_ascii_strtoll(strchr(earlier, ':') + 1, NULL, 10) : of->next_version;
    row = virga_launch_template_version_get(txn, call->arena, of, number, error);
    asked->shown = ec2_new(call, Ec2LaunchTemplateVersion);
    return row && show_version(call, row, asked->shown, error) &&
           check_alias(request->resolve_alias, asked->shown->launch_template_data, error);
}

bool
ec2_create_launch_template_version(VirgaCall *call,
                                   const Ec2CreateLaunchTemplateVersionRequest *request,
                                   Ec2CreateLaunchTemplateVersionResponse *response, GError **error)
{
    Create asked = { .request = request };

    if (!ec2_token_read(call, &ec2_create_launch_template_version_request_shape, request,
                        request->client_token, &asked.token, error) ||
        !ec2_transaction(call, create, &asked, error))
        return false;
    response->launch_template_version = asked.shown;
    return true;
}

/* ---- describing ---- */

typedef struct {
    const VirgaCall *call;
    const Ec2DescribeLaunchTemplateVersionsRequest *request;
    const char *const *versions; /* NULL: all */
    VirgaFilter *filter;
    Ec2Page page;
    VirgaLaunchTemplateVersion *rows;
    size_t count;
    const VirgaLaunchTemplate *templates;
    size_t template_count;
} Query;

static const VirgaLaunchTemplate *
template_of(const Query *query, const VirgaLaunchTemplateVersion *row)
{
    for (size_t i = 0; i < query->template_count; i++)
        if (g_str_equal(query->templates[i].id, row->template_id))
            return &query->templates[i];
    return NULL; /* made since the templates were read */
}

static bool
is_named(const Query *query, const VirgaLaunchTemplateVersion *row)
{
    const VirgaLaunchTemplate *of = template_of(query, row);
    gint64 number;

    for (const char *const *version = query->versions; of && *version; version++)
        if (ec2_launch_template_number(of, *version, &number, NULL) && number == row->version)
            return true;
    return false;
}

static bool
read_bound(const char *text, gint64 otherwise, gint64 *ret, GError **error)
{
    *ret = otherwise;
    return !text || g_ascii_string_to_signed(text, 10, 0, G_MAXINT64, ret, NULL) ||
           virga_api_fail(error, "InvalidParameterValue", 400,
                          "Invalid launch template version: a numeric version is expected.");
}

static bool
check_query(Query *query, GError **error)
{
    const Ec2DescribeLaunchTemplateVersionsRequest *request = query->request;
    bool all = !request->launch_template_id && !request->launch_template_name;

    if (query->versions && (request->min_version || request->max_version))
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameter LaunchTemplateVersion cannot be used with the "
                              "parameters MinVersion and MaxVersion");
    if (!all)
        return ec2_launch_template_check(request->launch_template_id, request->launch_template_name,
                                         error);
    if (!query->versions)
        return virga_api_fail(error, "MissingParameter", 400,
                              "Either the launch template ID or the launch template name must be "
                              "specified");
    for (const char *const *version = query->versions; *version; version++)
        if (**version != '$')
            return virga_api_fail(error, "InvalidParameterCombination", 400,
                                  "For all launch templates, only the versions '$Latest' and "
                                  "'$Default' can be described");
    return true;
}

/* The named versions of one template must exist. */
static bool
check_versions(const Query *query, VirgaTxn *txn, const VirgaLaunchTemplate *of, GError **error)
{
    gint64 number;

    for (const char *const *version = query->versions; version && *version; version++)
        if (!ec2_launch_template_number(of, *version, &number, error) ||
            !virga_launch_template_version_get(txn, query->call->arena, of, number, error))
            return false;
    return true;
}

static bool
read_rows(Query *query, VirgaTxn *txn, GError **error)
{
    const VirgaCall *call = query->call;
    const Ec2DescribeLaunchTemplateVersionsRequest *request = query->request;
    const VirgaLaunchTemplate *one = NULL;
    VirgaLaunchTemplate *all;

    if (request->launch_template_id || request->launch_template_name) {
        one = ec2_launch_template_find(call, txn, request->launch_template_id,
                                       request->launch_template_name, false, error);
        if (!one || !check_versions(query, txn, one, error))
            return false;
        query->templates = one;
        query->template_count = 1;
    } else {
        if (!virga_launch_template_list(txn, call->arena, call->account_id, NULL, NULL, &all,
                                        &query->template_count, error))
            return false;
        query->templates = all;
    }
    return virga_launch_template_versions(txn, call->arena, call->account_id, one ? one->id : NULL,
                                          &query->rows, &query->count, error);
}

/* Newest first, as AWS lists them. */
static const char *
page_key(const Query *query, const VirgaLaunchTemplateVersion *row)
{
    return virga_arena_printf(query->call->arena, "%s/%019" G_GINT64_FORMAT, row->template_id,
                              G_MAXINT64 - row->version);
}

static bool
show_rows(const Query *query, Ec2DescribeLaunchTemplateVersionsResponse *response, GError **error)
{
    Ec2LaunchTemplateVersionSet *list = &response->launch_template_versions;
    const char *last = NULL;
    gint64 min, max;

    if (!read_bound(query->request->min_version, 0, &min, error) ||
        !read_bound(query->request->max_version, G_MAXINT64, &max, error))
        return false;
    list->items = ec2_array(query->call, Ec2LaunchTemplateVersion, query->count);
    for (size_t i = query->count; i-- > 0;) {
        const VirgaLaunchTemplateVersion *row = &query->rows[i];
        Ec2LaunchTemplateVersion *shown = &list->items[list->count];
        const char *key = page_key(query, row);

        if (row->version < min || row->version > max ||
            (query->versions && !is_named(query, row)) ||
            (query->page.after && strcmp(key, query->page.after) <= 0))
            continue;
        if (!show_version(query->call, row, shown, error) ||
            !check_alias(query->request->resolve_alias, shown->launch_template_data, error))
            return false;
        if (!virga_filter_match(query->filter, shown, NULL, NULL))
            continue;
        if (query->page.size && list->count == (size_t) query->page.size) {
            response->next_token =
                virga_page_token(ec2_services(query->call)->pager, query->call->arena,
                                 query->call->account_id, query->call->action, last);
            return true;
        }
        last = key;
        list->count++;
    }
    return true;
}

static gint
compare_rows(gconstpointer a, gconstpointer b)
{
    const VirgaLaunchTemplateVersion *left = a, *right = b;
    int order = strcmp(right->template_id, left->template_id);

    return order ? order : (left->version > right->version) - (left->version < right->version);
}

bool
ec2_describe_launch_template_versions(VirgaCall *call,
                                      const Ec2DescribeLaunchTemplateVersionsRequest *request,
                                      Ec2DescribeLaunchTemplateVersionsResponse *response,
                                      GError **error)
{
    Query query = { .call = call,
                    .request = request,
                    .versions = ec2_strings(call, &request->versions) };
    g_autoptr(VirgaTxn) txn = NULL;

    if (!check_query(&query, error) ||
        !ec2_page_begin(call, request, PAGE_MIN, PAGE_MAX, &query.page, error))
        return false;
    query.filter = virga_filter_new(call->arena, version_fields, &ec2_launch_template_version_shape,
                                    &request->filters, error);
    txn = query.filter ? virga_db_read(call->db, error) : NULL;
    if (!txn || !virga_call_dry_run(call, error) || !read_rows(&query, txn, error))
        return false;
    if (query.count > 1) /* backwards of how they are shown */
        qsort(query.rows, query.count, sizeof *query.rows, compare_rows);
    return show_rows(&query, response, error);
}

/* ---- deleting ---- */

typedef struct {
    const Ec2DeleteLaunchTemplateVersionsRequest *request;
    const char *const *versions;
    Ec2DeleteLaunchTemplateVersionsResponse answer;
} Delete;

static void
add_failure(VirgaCall *call, Delete *asked, const VirgaLaunchTemplate *of, gint64 version,
            const char *code, const char *message)
{
    Ec2DeleteLaunchTemplateVersionsResponseErrorSet *list =
        &asked->answer.unsuccessfully_deleted_launch_template_versions;
    Ec2ResponseError *reason = ec2_new(call, Ec2ResponseError);

    reason->code = code;
    reason->message = message;
    list->items[list->count++] =
        (Ec2DeleteLaunchTemplateVersionsResponseErrorItem){ .launch_template_id = of->id,
                                                            .launch_template_name = of->name,
                                                            .version_number = version,
                                                            .has_version_number = true,
                                                            .response_error = reason };
}

static bool
delete_one(VirgaCall *call, VirgaTxn *txn, Delete *asked, const VirgaLaunchTemplate *of,
           const char *version, GError **error)
{
    Ec2DeleteLaunchTemplateVersionsResponseSuccessSet *list =
        &asked->answer.successfully_deleted_launch_template_versions;
    gint64 number;
    bool deleted;

    if (!ec2_launch_template_number(of, version, &number, error))
        return false;
    if (number == of->default_version) {
        add_failure(call, asked, of, number, "unexpectedError",
                    "The default version of a launch template cannot be deleted.");
        return true;
    }
    if (!virga_launch_template_delete_version(txn, of, number, &deleted, error))
        return false;
    if (deleted)
        list->items[list->count++] =
            (Ec2DeleteLaunchTemplateVersionsResponseSuccessItem){ .launch_template_id = of->id,
                                                                  .launch_template_name = of->name,
                                                                  .version_number = number,
                                                                  .has_version_number = true };
    else
        add_failure(call, asked, of, number, "launchTemplateVersionDoesNotExist",
                    virga_arena_printf(call->arena,
                                       "Could not find the specified version %" G_GINT64_FORMAT
                                       " for the launch template with ID %s.",
                                       number, of->id));
    return true;
}

static bool
delete_versions(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Delete *asked = data;
    size_t count = g_strv_length((char **) asked->versions);
    const VirgaLaunchTemplate *of =
        ec2_launch_template_find(call, txn, asked->request->launch_template_id,
                                 asked->request->launch_template_name, true, error);

    asked->answer = (Ec2DeleteLaunchTemplateVersionsResponse){
        .successfully_deleted_launch_template_versions = { ec2_array(
            call, Ec2DeleteLaunchTemplateVersionsResponseSuccessItem, count) },
        .unsuccessfully_deleted_launch_template_versions = { ec2_array(
            call, Ec2DeleteLaunchTemplateVersionsResponseErrorItem, count) }
    };
    if (!of)
        return false;
    for (const char *const *version = asked->versions; *version; version++)
        if (!delete_one(call, txn, asked, of, *version, error))
            return false;
    return true;
}

bool
ec2_delete_launch_template_versions(VirgaCall *call,
                                    const Ec2DeleteLaunchTemplateVersionsRequest *request,
                                    Ec2DeleteLaunchTemplateVersionsResponse *response,
                                    GError **error)
{
    Delete asked = { .request = request, .versions = ec2_strings(call, &request->versions) };

    if (request->versions.count == 0)
        return virga_api_fail(error, "MissingParameter", 400,
                              "The request must contain the parameter LaunchTemplateVersion");
    if (request->versions.count > DELETE_MAX)
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "A request can name at most %d versions", DELETE_MAX);
    if (!ec2_transaction(call, delete_versions, &asked, error))
        return false;
    *response = asked.answer;
    return true;
}
