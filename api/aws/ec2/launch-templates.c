/* SPDX-License-Identifier: Apache-2.0 */
/* Launch templates as a whole: create, describe, modify, delete. */
#include "launch-templates.h"

#include "core/id.h"

#define PAGE_MIN      1
#define PAGE_MAX      200
#define NAME_CHARS    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789()./_-"
#define NAME_SHORTEST 3
#define NAME_LONGEST  128

static const VirgaFilterField template_fields[] = {
    { "create-time", "CreateTime" },
    { "launch-template-name", "LaunchTemplateName" },
};

bool
ec2_launch_template_check(const char *id, const char *name, GError **error)
{
    if (id && name)
        return virga_api_fail(error, "InvalidParameterCombination", 400,
                              "The parameters LaunchTemplateId and LaunchTemplateName cannot be "
                              "used together");
    if (!id && !name)
        return virga_api_fail(error, "MissingParameter", 400,
                              "Either the launch template ID or the launch template name must be "
                              "specified");
    return !id || virga_api_check_id(id, "lt", "InvalidLaunchTemplateId.Malformed", error);
}

VirgaLaunchTemplate *
ec2_launch_template_find(const VirgaCall *call, VirgaTxn *txn, const char *id, const char *name,
                         bool lock, GError **error)
{
    return ec2_launch_template_check(id, name, error)
               ? virga_launch_template_get(txn, call->arena, call->account_id, id, name, lock,
                                           error)
               : NULL;
}

static Ec2LaunchTemplate
show_template(const VirgaCall *call, const VirgaLaunchTemplate *row, Ec2TagList tags)
{
    Ec2OperatorResponse *operator= ec2_new(call, Ec2OperatorResponse);

    operator->has_managed = true;
    return (Ec2LaunchTemplate){ .launch_template_id = row->id,
                                .launch_template_name = row->name,
                                .create_time = row->created,
                                .created_by = row->created_by,
                                .default_version_number = row->default_version,
                                .has_default_version_number = true,
                                .latest_version_number = row->latest_version,
                                .has_latest_version_number = true,
                                .operator= operator,
                                .tags = tags };
}

/* A template's answer, with its tags. */
static bool
show_one(const VirgaCall *call, VirgaTxn *txn, const VirgaLaunchTemplate *row,
         Ec2LaunchTemplate **ret, GError **error)
{
    const char *ids[] = { row->id, NULL };
    Ec2Tags tags;

    if (!ec2_tags_read(call, txn, ids, NULL, &tags, error))
        return false;
    *ret = ec2_new(call, Ec2LaunchTemplate);
    **ret = show_template(call, row, ec2_tags_of(&tags, row->id));
    return true;
}

/* ---- creating ---- */

typedef struct {
    const Ec2CreateLaunchTemplateRequest *request;
    Ec2Token token;
    Ec2NewTags tags;
    const char *data;
    Ec2LaunchTemplate *shown;
} Create;

static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Create *asked = data;
    g_autofree char *id = virga_id_new("lt");
    VirgaLaunchTemplate made = { .id = id,
                                 .account_id = (char *) call->account_id,
                                 .name = (char *) asked->request->launch_template_name,
                                 .created_by = (char *) call->principal_arn };
    const VirgaLaunchTemplate *row;
    char *earlier;

    if (!ec2_token_take(call, txn, &asked->token, id, &earlier, error))
        return false;
    if (!earlier && (!virga_launch_template_create(txn, &made, asked->request->version_description,
                                                   asked->data, error) ||
                     !ec2_tags_set(call, txn, id, &asked->tags, error)))
        return false;
    row = virga_launch_template_get(txn, call->arena, call->account_id, earlier ? earlier : id,
                                    NULL, false, error);
    return row && show_one(call, txn, row, &asked->shown, error);
}

static bool
check_name(const char *name, GError **error)
{
    gsize length = strlen(name);

    if (length >= NAME_SHORTEST && length <= NAME_LONGEST && strspn(name, NAME_CHARS) == length)
        return true;
    return virga_api_fail(error, "InvalidLaunchTemplateName.MalformedException", 400,
                          "A launch template name must be between %d and %d characters, and may "
                          "contain letters, numbers, and the following characters: - ( ) . / _",
                          NAME_SHORTEST, NAME_LONGEST);
}

bool
ec2_create_launch_template(VirgaCall *call, const Ec2CreateLaunchTemplateRequest *request,
                           Ec2CreateLaunchTemplateResponse *response, GError **error)
{
    Create asked = { .request = request };

    if (!check_name(request->launch_template_name, error) ||
        !ec2_token_read(call, &ec2_create_launch_template_request_shape, request,
                        request->client_token, &asked.token, error) ||
        !ec2_tags_for(call, &request->tag_specifications, "launch-template", &asked.tags, error))
        return false;
    if (request->operator)
        return ec2_unsupported(error, "Operator");
    asked.data = virga_wire_to_json(call->arena, &ec2_request_launch_template_data_shape,
                                    request->launch_template_data);
    if (!ec2_transaction(call, create, &asked, error))
        return false;
    response->launch_template = asked.shown;
    return true;
}

/* ---- describing ---- */

static bool
fail_missing_name(const VirgaCall *call, const char *const *names, const VirgaLaunchTemplate *rows,
                  size_t count, GError **error)
{
    return ec2_check_found(
        call, names, rows, count, sizeof *rows, offsetof(VirgaLaunchTemplate, name),
        "InvalidLaunchTemplateName.NotFoundException", "launch template name", error);
}

static bool
read_templates(VirgaCall *call, const Ec2DescribeLaunchTemplatesRequest *request,
               const char *const *ids, Ec2LaunchTemplateSet *list, GError **error)
{
    const char *const *names = ec2_strings(call, &request->launch_template_names);
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    VirgaLaunchTemplate *rows;
    Ec2Tags tags;
    size_t count;

    if (!txn ||
        !virga_launch_template_list(txn, call->arena, call->account_id, ids, names, &rows, &count,
                                    error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaLaunchTemplate, id),
                         "InvalidLaunchTemplateId.NotFound", "launch template ID", error) ||
        !fail_missing_name(call, names, rows, count, error) ||
        !ec2_tags_read(call, txn, NULL, "launch-template", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2LaunchTemplate, count);
    for (; list->count < count; list->count++)
        list->items[list->count] =
            show_template(call, &rows[list->count], ec2_tags_of(&tags, rows[list->count].id));
    return true;
}

bool
ec2_describe_launch_templates(VirgaCall *call, const Ec2DescribeLaunchTemplatesRequest *request,
                              Ec2DescribeLaunchTemplatesResponse *response, GError **error)
{
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->launch_template_ids, "lt", "InvalidLaunchTemplateId.Malformed",
                 &ids, error) ||
        !ec2_page_begin(call, request, PAGE_MIN, PAGE_MAX, &page, error))
        return false;
    filter = virga_filter_new(call->arena, template_fields, &ec2_launch_template_shape,
                              &request->filters, error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_templates(call, request, ids, &response->launch_templates, error))
        return false;
    ec2_answer(call, filter, &page, &response->launch_templates, &ec2_launch_template_shape,
               Ec2LaunchTemplate, launch_template_id, &response->next_token);
    return true;
}

/* ---- modifying and deleting ---- */

typedef struct {
    const char *id, *name, *version;
    Ec2LaunchTemplate *shown;
} Change;

bool
ec2_launch_template_number(const VirgaLaunchTemplate *of, const char *version, gint64 *ret_number,
                           GError **error)
{
    if (g_str_equal(version, "$Latest")) {
        *ret_number = of->latest_version;
        return true;
    }
    if (g_str_equal(version, "$Default")) {
        *ret_number = of->default_version;
        return true;
    }
    if (g_ascii_string_to_signed(version, 10, 1, G_MAXINT64, ret_number, NULL))
        return true;
    return virga_api_fail(error, "InvalidParameterValue", 400,
                          "Invalid launch template version: either '$Default', '$Latest', or a "
                          "numeric version are allowed.");
}

static bool
modify(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Change *asked = data;
    VirgaLaunchTemplate *row =
        ec2_launch_template_find(call, txn, asked->id, asked->name, true, error);

    if (!row)
        return false;
    if (asked->version) {
        gint64 number;

        if (!ec2_launch_template_number(row, asked->version, &number, error) ||
            !virga_launch_template_set_default(txn, row, number, error))
            return false;
        row->default_version = number;
    }
    return show_one(call, txn, row, &asked->shown, error);
}

bool
ec2_modify_launch_template(VirgaCall *call, const Ec2ModifyLaunchTemplateRequest *request,
                           Ec2ModifyLaunchTemplateResponse *response, GError **error)
{
    Change asked = { .id = request->launch_template_id,
                     .name = request->launch_template_name,
                     .version = request->default_version };

    if (!ec2_transaction(call, modify, &asked, error))
        return false;
    response->launch_template = asked.shown;
    return true;
}

static bool delete (VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Change *asked = data;
    VirgaLaunchTemplate *row =
        ec2_launch_template_find(call, txn, asked->id, asked->name, true, error);

    return row && show_one(call, txn, row, &asked->shown, error) &&
           virga_launch_template_delete(txn, row, error);
}

bool
ec2_delete_launch_template(VirgaCall *call, const Ec2DeleteLaunchTemplateRequest *request,
                           Ec2DeleteLaunchTemplateResponse *response, GError **error)
{
    Change asked = { .id = request->launch_template_id, .name = request->launch_template_name };

    if (!ec2_transaction(call, delete, &asked, error))
        return false;
    response->launch_template = asked.shown;
    return true;
}
