/* SPDX-License-Identifier: Apache-2.0 */
/* Internet gateways. */
#include "common.h"

#include "network/internet-gateway.h"

static const VirgaFilterField fields[] = {
    { "attachment.state", "Attachments.State" },
    { "attachment.vpc-id", "Attachments.VpcId" },
    { "internet-gateway-id", "InternetGatewayId" },
    { "owner-id", "OwnerId" },
};

/* ---- making and deleting ---- */

typedef struct {
    Ec2NewTags tags;
    char *id;
} Create;

static bool
create(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Create *asked = data;

    return virga_internet_gateway_create(txn, call->arena, call->account_id, &asked->id, error) &&
           ec2_tags_set(call, txn, asked->id, &asked->tags, error);
}

bool
ec2_create_internet_gateway(VirgaCall *call, const Ec2CreateInternetGatewayRequest *request,
                            Ec2CreateInternetGatewayResponse *response, GError **error)
{
    Create asked = { 0 };

    if (!ec2_tags_for(call, &request->tag_specifications, "internet-gateway", &asked.tags, error) ||
        !ec2_transaction(call, create, &asked, error))
        return false;
    response->internet_gateway = ec2_new(call, Ec2InternetGateway);
    response->internet_gateway->internet_gateway_id = asked.id;
    response->internet_gateway->owner_id = call->account_id;
    response->internet_gateway->tags = ec2_tags_shown(call, &asked.tags);
    return true;
}

static bool delete (VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    return virga_internet_gateway_delete(txn, call->account_id, data, error);
}

static bool
check_id(const char *id, GError **error)
{
    return virga_api_check_id(id, "igw", "InvalidInternetGatewayId.Malformed", error);
}

bool
ec2_delete_internet_gateway(VirgaCall *call, const Ec2DeleteInternetGatewayRequest *request,
                            Ec2DeleteInternetGatewayResponse *response, GError **error)
{
    return check_id(request->internet_gateway_id, error) &&
           ec2_transaction(call, delete, (gpointer) request->internet_gateway_id, error);
}

/* ---- attaching ---- */

typedef struct {
    const char *id, *vpc_id;
} Attachment;

static bool
check_attachment(const Attachment *asked, GError **error)
{
    return check_id(asked->id, error) &&
           virga_api_check_id(asked->vpc_id, "vpc", "InvalidVpcID.Malformed", error);
}

static bool
attach(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Attachment *asked = data;

    return virga_internet_gateway_attach(txn, call->account_id, asked->id, asked->vpc_id, error);
}

bool
ec2_attach_internet_gateway(VirgaCall *call, const Ec2AttachInternetGatewayRequest *request,
                            Ec2AttachInternetGatewayResponse *response, GError **error)
{
    Attachment asked = { request->internet_gateway_id, request->vpc_id };

    return check_attachment(&asked, error) && ec2_transaction(call, attach, &asked, error);
}

static bool
detach(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    const Attachment *asked = data;

    return virga_internet_gateway_detach(txn, call->account_id, asked->id, asked->vpc_id, error);
}

bool
ec2_detach_internet_gateway(VirgaCall *call, const Ec2DetachInternetGatewayRequest *request,
                            Ec2DetachInternetGatewayResponse *response, GError **error)
{
    Attachment asked = { request->internet_gateway_id, request->vpc_id };

    return check_attachment(&asked, error) && ec2_transaction(call, detach, &asked, error);
}

/* ---- describing ---- */

static void
show(const VirgaCall *call, const VirgaInternetGateway *row, const Ec2Tags *tags,
     Ec2InternetGateway *shown)
{
    *shown = (Ec2InternetGateway){ .internet_gateway_id = row->id,
                                   .owner_id = row->account_id,
                                   .tags = ec2_tags_of(tags, row->id) };
    if (!row->vpc_id)
        return;
    shown->attachments.items = ec2_new(call, Ec2InternetGatewayAttachment);
    shown->attachments.items[0] =
        (Ec2InternetGatewayAttachment){ .state = "available", .vpc_id = row->vpc_id };
    shown->attachments.count = 1;
}

static bool
read_all(VirgaCall *call, const char *const *ids, Ec2InternetGatewayList *list, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_read(call->db, error);
    VirgaInternetGateway *rows;
    Ec2Tags tags;
    size_t count;

    if (!txn ||
        !virga_internet_gateway_list(txn, call->arena, call->account_id, ids, &rows, &count,
                                     error) ||
        !ec2_check_found(call, ids, rows, count, sizeof *rows, offsetof(VirgaInternetGateway, id),
                         "InvalidInternetGatewayID.NotFound", "internetGateway ID", error) ||
        !ec2_tags_read(call, txn, ids, "internet-gateway", &tags, error))
        return false;
    list->items = ec2_array(call, Ec2InternetGateway, count);
    for (; list->count < count; list->count++)
        show(call, &rows[list->count], &tags, &list->items[list->count]);
    return true;
}

bool
ec2_describe_internet_gateways(VirgaCall *call, const Ec2DescribeInternetGatewaysRequest *request,
                               Ec2DescribeInternetGatewaysResponse *response, GError **error)
{
    const char *const *ids;
    VirgaFilter *filter;
    Ec2Page page;

    if (!ec2_ids(call, &request->internet_gateway_ids, "igw", "InvalidInternetGatewayId.Malformed",
                 &ids, error) ||
        !ec2_page_begin(call, request, VIRGA_PAGE_MIN, VIRGA_PAGE_MAX, &page, error))
        return false;
    filter = virga_filter_new(call->arena, fields, &ec2_internet_gateway_shape, &request->filters,
                              error);
    if (!filter || !virga_call_dry_run(call, error) ||
        !read_all(call, ids, &response->internet_gateways, error))
        return false;
    ec2_answer(call, filter, &page, &response->internet_gateways, &ec2_internet_gateway_shape,
               Ec2InternetGateway, internet_gateway_id, &response->next_token);
    return true;
}
