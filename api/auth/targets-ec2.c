/* SPDX-License-Identifier: Apache-2.0 */
/* Which resources a request to EC2 is about.
 *
 * A member whose name ends in Id or Ids (or stands in "ids" below) and whose value is an id names a
 * resource: the id's prefix says of which type, so a new action costs nothing here.  An action that
 * makes something has a line in "makers".  Describe actions are about everything, as with AWS. */
#include "authorize-priv.h"

#include "compute/instance-profile.h"
#include "compute/key-pair.h"
#include "core/id.h"
#include "ec2.h"
#include "network/elastic-ip.h"
#include "network/security-group.h"
#include "network/vpc.h"

#include <string.h>

#define TYPES_MAX 8

/* Members that hold ids without being called so. */
static const char *const ids[] = { "Resources", "Groups", NULL };

/* What lies in these is no resource that the caller uses: a peer, a condition, a value. */
static const char *const passed_over[] = {
    "Filters", "IpPermissions", "SecurityGroupRules", "TagSpecifications", "Tags", NULL
};

/* What actions make, and what they use even if no member names it: then any of that type. */
static const struct {
    const char *action;
    const char *makes[TYPES_MAX], *uses[TYPES_MAX];
} makers[] = {
    { "AllocateAddress", { "elastic-ip" } },
    { "CopyImage", { "image", "snapshot" } },
    { "CopySnapshot", { "snapshot" } },
    { "CreateDhcpOptions", { "dhcp-options" } },
    { "CreateFleet", { "fleet", "instance" } },
    { "CreateImage", { "image", "snapshot" } },
    { "CreateInternetGateway", { "internet-gateway" } },
    { "CreateKeyPair", { NULL }, { "key-pair" } },
    { "CreateLaunchTemplate", { "launch-template" } },
    { "CreateNatGateway", { "natgateway" } },
    { "CreateNetworkAcl", { "network-acl" } },
    { "CreateNetworkInterface", { "network-interface" } },
    { "CreatePlacementGroup", { NULL }, { "placement-group" } },
    { "CreateRouteTable", { "route-table" } },
    { "CreateSecurityGroup", { "security-group" }, { "vpc" } },
    { "CreateSnapshot", { "snapshot" } },
    { "CreateSnapshots", { "snapshot" } },
    { "CreateSubnet", { "subnet" } },
    { "CreateVolume", { "volume" } },
    { "CreateVpc", { "vpc" } },
    { "ImportImage", { "image", "import-image-task" } },
    { "ImportKeyPair", { NULL }, { "key-pair" } },
    { "ImportSnapshot", { "snapshot", "import-snapshot-task" } },
    { "RegisterImage", { "image" } },
    { "RunInstances",
      { "instance", "volume", "network-interface" },
      { "subnet", "security-group" } },
};

typedef struct {
    const VirgaCall *call;
    GArray *targets;
    GPtrArray *group_names, *key_ids; /* to be looked up */
    const char *profile_association;  /* likewise, or NULL */
    const char *address_association;  /* likewise */
    const char *vpc_association;      /* likewise */
} Walk;

static const char *
make_arn(const VirgaCall *call, const char *type, const char *name)
{
    bool shared = g_str_equal(type, "image") || g_str_equal(type, "snapshot");

    return virga_arena_printf(call->arena, "arn:aws:ec2:%s:%s:%s/%s", call->region,
                              shared ? "" : call->account_id, type, name);
}

static void
add(Walk *walk, const char *type, const char *name, const char *id, bool created)
{
    Target target = { make_arn(walk->call, type, name), type, id, created };

    g_array_append_val(walk->targets, target);
}

static bool
is_id_member(const char *name)
{
    return g_str_has_suffix(name, "Id") || g_str_has_suffix(name, "Ids") ||
           g_strv_contains(ids, name);
}

static void
take_text(Walk *walk, const char *member, bool top, const char *value)
{
    const char *action = walk->call->wire->name;
    const char *type = is_id_member(member) ? virga_id_resource_type(value) : NULL;

    if (g_strcmp0(type, "key-pair") == 0)
        g_ptr_array_add(walk->key_ids, (gpointer) value);
    else if (type)
        add(walk, type, value, value, false);
    else if (g_str_equal(member, "AssociationId") && g_str_has_prefix(value, "iip-assoc-"))
        walk->profile_association = value;
    else if (g_str_equal(member, "AssociationId") && g_str_has_prefix(value, "eipassoc-"))
        walk->address_association = value;
    else if (g_str_equal(member, "AssociationId"))
        walk->vpc_association = value;
    else if (g_str_equal(member, "KeyName"))
        add(walk, "key-pair", value, NULL,
            g_str_has_prefix(action, "Create") || g_str_has_prefix(action, "Import"));
    else if (top && g_str_equal(member, "GroupName") && strstr(action, "PlacementGroup"))
        add(walk, "placement-group", value, NULL, g_str_has_prefix(action, "Create"));
    else if (g_str_equal(member, "SecurityGroups") ||
             (top && g_str_equal(member, "GroupName") && !g_str_has_prefix(action, "Create")))
        g_ptr_array_add(walk->group_names, (gpointer) value);
}

static void
walk_structure(Walk *walk, const VirgaWireShape *shape, const guint8 *structure, bool top)
{
    for (guint i = 0; i < shape->member_count; i++) {
        const VirgaWireMember *member = &shape->members[i];
        const VirgaWireShape *kind = member->shape;
        const void *value = structure + member->offset;
        const VirgaWireList *list = value;

        if (g_strv_contains(passed_over, member->name))
            continue;
        if (kind->type == VIRGA_WIRE_STRING && *(const char *const *) value)
            take_text(walk, member->name, top, *(const char *const *) value);
        else if (kind->type == VIRGA_WIRE_STRUCT && *(const guint8 *const *) value)
            walk_structure(walk, kind, *(const guint8 *const *) value, false);
        for (gsize j = 0; kind->type == VIRGA_WIRE_LIST && j < list->count; j++) {
            const guint8 *item = (const guint8 *) list->items + j * kind->element->size;

            if (kind->element->type == VIRGA_WIRE_STRUCT)
                walk_structure(walk, kind->element, item, false);
            else if (kind->element->type == VIRGA_WIRE_STRING)
                take_text(walk, member->name, top, *(const char *const *) (const void *) item);
        }
    }
}

static bool
has_type(const GArray *targets, const char *type)
{
    for (guint i = 0; i < targets->len; i++)
        if (g_strcmp0(g_array_index(targets, Target, i).type, type) == 0)
            return true;
    return false;
}

/* AWS knows groups by their ids and keys by their names. */
static bool
look_up(Walk *walk, GError **error)
{
    const VirgaCall *call = walk->call;
    g_autoptr(VirgaTxn) txn = NULL;
    VirgaSecurityGroup *groups = NULL;
    VirgaKeyPair *keys = NULL;
    size_t group_count = 0, key_count = 0;

    if (walk->group_names->len + walk->key_ids->len == 0)
        return true;
    txn = virga_db_read(call->db, error);
    g_ptr_array_add(walk->group_names, NULL);
    g_ptr_array_add(walk->key_ids, NULL);
    if (!txn ||
        (walk->group_names->len > 1 &&
         !virga_security_group_list(txn, call->arena, call->account_id, NULL,
                                    (const char *const *) walk->group_names->pdata, NULL, &groups,
                                    &group_count, error)) ||
        (walk->key_ids->len > 1 && !virga_key_pair_list(txn, call->arena, call->account_id, NULL,
                                                        (const char *const *) walk->key_ids->pdata,
                                                        &keys, &key_count, error)))
        return false;
    for (size_t i = 0; i < group_count; i++)
        add(walk, "security-group", groups[i].id, groups[i].id, false);
    for (size_t i = 0; i < key_count; i++)
        add(walk, "key-pair", keys[i].name, keys[i].id, false);
    return true;
}

/* The association of an instance profile is a change of its instance. */
static bool
look_up_association(Walk *walk, GError **error)
{
    const VirgaCall *call = walk->call;
    VirgaProfileAssociation *rows;
    g_autoptr(VirgaTxn) txn = NULL;
    size_t count;

    if (!walk->profile_association)
        return true;
    txn = virga_db_read(call->db, error);
    if (!txn ||
        !virga_instance_profile_list(txn, call->arena, call->account_id, &rows, &count, error))
        return false;
    for (size_t i = 0; i < count; i++)
        if (g_str_equal(rows[i].id, walk->profile_association))
            add(walk, "instance", rows[i].instance_id, rows[i].instance_id, false);
    return true;
}

/* The association of an elastic IP is a change of both. */
static bool
look_up_address(Walk *walk, GError **error)
{
    const VirgaCall *call = walk->call;
    g_autoptr(VirgaTxn) txn = NULL;
    VirgaElasticIp *rows;
    size_t count;

    if (!walk->address_association)
        return true;
    txn = virga_db_read(call->db, error);
    if (!txn || !virga_elastic_ip_list(txn, call->arena, call->account_id, &rows, &count, error))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (g_strcmp0(rows[i].association_id, walk->address_association) != 0)
            continue;
        add(walk, "elastic-ip", rows[i].allocation_id, rows[i].allocation_id, false);
        add(walk, "network-interface", rows[i].interface_id, rows[i].interface_id, false);
    }
    return true;
}

/* That of a route table, an ACL or a block is a change of what it joins. */
static bool
look_up_vpc(Walk *walk, GError **error)
{
    const VirgaCall *call = walk->call;
    g_autoptr(VirgaTxn) txn = NULL;
    const char *const *joined;

    if (!walk->vpc_association)
        return true;
    txn = virga_db_read(call->db, error);
    if (!txn || !virga_vpc_associated(txn, call->arena, call->account_id, walk->vpc_association,
                                      &joined, error))
        return false;
    for (; *joined; joined++)
        add(walk, virga_id_resource_type(*joined), *joined, *joined, false);
    return true;
}

static void
add_made(Walk *walk)
{
    for (size_t i = 0; i < G_N_ELEMENTS(makers); i++) {
        if (!g_str_equal(makers[i].action, walk->call->wire->name))
            continue;
        for (const char *const *type = makers[i].makes; *type; type++)
            add(walk, *type, "*", NULL, true);
        for (const char *const *type = makers[i].uses; *type; type++)
            if (!has_type(walk->targets, *type))
                add(walk, *type, "*", NULL, false);
    }
}

static bool
find_targets(const VirgaCall *call, const void *request, GArray *targets, GError **error)
{
    g_autoptr(GPtrArray) group_names = g_ptr_array_new(), key_ids = g_ptr_array_new();
    Walk walk = { call, targets, group_names, key_ids, NULL, NULL, NULL };
    const char *action = call->wire->name;

    if (g_str_has_prefix(action, "Describe") && !g_str_has_suffix(action, "Attribute"))
        return true;
    walk_structure(&walk, call->wire->input, request, true);
    if (!look_up(&walk, error) || !look_up_association(&walk, error) ||
        !look_up_address(&walk, error) || !look_up_vpc(&walk, error))
        return false;
    add_made(&walk);
    return true;
}

/* ---- tags ---- */

static void
add_tags(const Ec2TagList *list, const char *type, GArray *tags)
{
    for (size_t i = 0; i < list->count; i++) {
        RequestTag tag = { type, list->items[i].key, list->items[i].value };

        if (tag.key)
            g_array_append_val(tags, tag);
    }
}

static void
find_request_tags(const VirgaCall *call, const void *request, GArray *tags)
{
    const VirgaWireMember *member = virga_wire_member(call->wire->input, "TagSpecifications");

    if (member && g_str_equal(member->shape->name, "TagSpecificationList")) {
        const Ec2TagSpecificationList *list =
            (const void *) ((const guint8 *) request + member->offset);

        for (size_t i = 0; i < list->count; i++)
            add_tags(&list->items[i].tags, list->items[i].resource_type, tags);
    }
    request_tags(call, request, tags);
}

/* What the request makes of the type; else anything of it. */
static const char *
tag_right(const VirgaCall *call, const void *request, const GArray *targets, const char *type,
          Target *ret)
{
    if (!type)
        return NULL;
    for (guint i = 0; i < targets->len; i++) {
        *ret = g_array_index(targets, Target, i);
        if (ret->created && g_strcmp0(ret->type, type) == 0)
            return "ec2:CreateTags";
    }
    *ret = (Target){ .arn = virga_arena_printf(call->arena, "arn:aws:ec2:%s:%s:%s/*", call->region,
                                               call->account_id, type),
                     .type = type,
                     .created = true };
    return "ec2:CreateTags";
}

const ServiceTargets targets_ec2 = { "ec2", find_targets, find_request_tags, tag_right,
                                     resource_tags };
