/* SPDX-License-Identifier: Apache-2.0 */
/* The metadata service's answers.
 *
 * Everything that a guest may ask for is a list of leaves, "placement/region" = "us-east-1".  A
 * path that is no leaf but begins some is a folder, whose listing follows from the leaves, so that
 * a listing never promises what is not there: cloud-init descends into every entry. */
#include "compute/metadata.h"

#include "core/zone.h"

#include <string.h>

#define TTL_MIN  1
#define TTL_MAX  21600
#define MAC_SIZE 32

typedef struct {
    char *path;
    GBytes *value;
} Leaf;

static const char *const versions[] = {
    "1.0",        "2007-01-19", "2009-04-04", "2016-09-02", "2018-09-24",
    "2019-10-01", "2020-10-27", "2021-01-03", "2021-03-23", "2021-07-15",
    "2022-09-24", "latest",     NULL,
};

static void
leaf_free(Leaf *leaf)
{
    g_free(leaf->path);
    g_bytes_unref(leaf->value);
    g_free(leaf);
}

/* NULL and empty values have no leaf. */
static void
add(GPtrArray *leaves, const char *folder, const char *name, const char *value)
{
    Leaf *leaf;

    if (!value || !*value)
        return;
    leaf = g_new0(Leaf, 1);
    leaf->path = g_strconcat(folder, name, NULL);
    leaf->value = g_bytes_new(value, strlen(value));
    g_ptr_array_add(leaves, leaf);
}

static void
add_number(GPtrArray *leaves, const char *folder, const char *name, gint64 value)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);
    add(leaves, folder, name, text);
}

static void
add_lines(GPtrArray *leaves, const char *folder, const char *name, char **values)
{
    g_autofree char *text = values ? g_strjoinv("\n", values) : NULL;
    add(leaves, folder, name, text);
}

static const char *
first(char **values)
{
    return values ? values[0] : NULL;
}

/* Public addresses, and which private one each leads to. */
static void
add_publics(GPtrArray *leaves, const char *folder, const VirgaMetadataInterface *interface)
{
    char *only[] = { interface->public_address, NULL };
    char **publics = interface->public_addresses ? interface->public_addresses : only;
    g_autoptr(GString) all = g_string_new(NULL);

    for (size_t i = 0; publics[i] && interface->local_addresses && interface->local_addresses[i];
         i++) {
        g_autofree char *name = g_strconcat("ipv4-associations/", publics[i], NULL);

        if (!*publics[i])
            continue;
        add(leaves, folder, name, interface->local_addresses[i]);
        g_string_append_printf(all, "%s%s", all->len ? "\n" : "", publics[i]);
    }
    add(leaves, folder, "public-ipv4s", all->str);
}

static void
add_interface(GPtrArray *leaves, const VirgaMetadataInterface *interface)
{
    g_autofree char *folder =
        g_strdup_printf("meta-data/network/interfaces/macs/%s/", interface->mac);

    add_number(leaves, folder, "device-number", interface->device_number);
    add(leaves, folder, "interface-id", interface->interface_id);
    add_publics(leaves, folder, interface);
    add(leaves, folder, "local-hostname", interface->local_hostname);
    add_lines(leaves, folder, "local-ipv4s", interface->local_addresses);
    add(leaves, folder, "mac", interface->mac);
    add(leaves, folder, "owner-id", interface->owner_id);
    add(leaves, folder, "public-hostname", interface->public_hostname);
    add_lines(leaves, folder, "security-group-ids", interface->group_ids);
    add_lines(leaves, folder, "security-groups", interface->group_names);
    add(leaves, folder, "subnet-id", interface->subnet_id);
    add(leaves, folder, "subnet-ipv4-cidr-block", interface->subnet_cidr);
    add(leaves, folder, "vpc-id", interface->vpc_id);
    add(leaves, folder, "vpc-ipv4-cidr-block", first(interface->vpc_cidrs));
    add_lines(leaves, folder, "vpc-ipv4-cidr-blocks", interface->vpc_cidrs);
}

static void
add_primary(GPtrArray *leaves, const VirgaMetadataInterface *primary)
{
    add(leaves, "meta-data/", "hostname", primary->local_hostname);
    add(leaves, "meta-data/", "local-hostname", primary->local_hostname);
    add(leaves, "meta-data/", "local-ipv4", first(primary->local_addresses));
    add(leaves, "meta-data/", "mac", primary->mac);
    add(leaves, "meta-data/", "public-hostname", primary->public_hostname);
    add(leaves, "meta-data/", "public-ipv4", primary->public_address);
    add_lines(leaves, "meta-data/", "security-groups", primary->group_names);
}

/* EC2 refuses tag keys with a slash for instances that show their tags; so do we. */
static void
add_tags(GPtrArray *leaves, const VirgaMetadata *metadata)
{
    for (guint i = 0; metadata->instance_tags && i < metadata->tags->len; i++) {
        const VirgaMetadataTag *tag = metadata->tags->pdata[i];
        Leaf *leaf;

        if (strchr(tag->key, '/') || !*tag->key)
            continue;
        leaf = g_new0(Leaf, 1); /* an empty value is one too */
        leaf->path = g_strconcat("meta-data/tags/instance/", tag->key, NULL);
        leaf->value = g_bytes_new(tag->value, strlen(tag->value));
        g_ptr_array_add(leaves, leaf);
    }
}

static void
add_text_member(JsonBuilder *builder, const char *name, const char *value)
{
    json_builder_set_member_name(builder, name);
    if (value)
        json_builder_add_string_value(builder, value);
    else
        json_builder_add_null_value(builder);
}

static char *
identity_document(const VirgaMetadata *metadata)
{
    const VirgaMetadataInterface *primary =
        metadata->interfaces->len ? metadata->interfaces->pdata[0] : NULL;
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;

    json_builder_begin_object(builder);
    add_text_member(builder, "accountId", metadata->account_id);
    add_text_member(builder, "architecture", metadata->architecture);
    add_text_member(builder, "availabilityZone", metadata->zone);
    add_text_member(builder, "billingProducts", NULL);
    add_text_member(builder, "devpayProductCodes", NULL);
    add_text_member(builder, "marketplaceProductCodes", NULL);
    add_text_member(builder, "imageId", metadata->image_id);
    add_text_member(builder, "instanceId", metadata->instance_id);
    add_text_member(builder, "instanceType", metadata->instance_type);
    add_text_member(builder, "kernelId", NULL);
    add_text_member(builder, "pendingTime", metadata->pending_time);
    add_text_member(builder, "privateIp", primary ? first(primary->local_addresses) : NULL);
    add_text_member(builder, "ramdiskId", NULL);
    add_text_member(builder, "region", metadata->region);
    add_text_member(builder, "version", "2017-09-30");
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    return json_to_string(root, TRUE);
}

/* As long as the host has heard nothing of the profile there is nothing to tell of it. */
static void
add_profile(GPtrArray *leaves, const VirgaMetadata *metadata)
{
    g_autoptr(JsonBuilder) builder = json_builder_new();
    g_autoptr(JsonNode) root = NULL;
    g_autofree char *info = NULL;

    if (!metadata->profile_id || !metadata->profile_code)
        return;
    json_builder_begin_object(builder);
    add_text_member(builder, "Code", metadata->profile_code);
    add_text_member(builder, "LastUpdated", metadata->credentials_updated);
    add_text_member(builder, "InstanceProfileArn", metadata->profile_arn);
    add_text_member(builder, "InstanceProfileId", metadata->profile_id);
    json_builder_end_object(builder);
    root = json_builder_get_root(builder);
    info = json_to_string(root, TRUE);
    add(leaves, "meta-data/iam/", "info", info);
    if (metadata->role_name)
        add(leaves, "meta-data/iam/security-credentials/", metadata->role_name,
            metadata->credentials);
}

static void
add_user_data(GPtrArray *leaves, const char *base64)
{
    Leaf *leaf;
    guchar *bytes;
    gsize length;

    if (!base64)
        return;
    bytes = g_base64_decode(base64, &length);
    leaf = g_new0(Leaf, 1);
    leaf->path = g_strdup("user-data");
    leaf->value = g_bytes_new_take(bytes, length);
    g_ptr_array_add(leaves, leaf);
}

static int
compare_leaves(const void *a, const void *b)
{
    const Leaf *const *x = a, *const *y = b;
    return strcmp((*x)->path, (*y)->path);
}

static GPtrArray *
leaves_of(const VirgaMetadata *metadata)
{
    GPtrArray *leaves = g_ptr_array_new_with_free_func((GDestroyNotify) leaf_free);
    const char *domain = metadata->services_domain ? metadata->services_domain : "amazonaws.com";
    g_autofree char *identity = identity_document(metadata);
    g_autofree char *zone_id = virga_zone_id(metadata->region, metadata->zone);

    add(leaves, "meta-data/", "ami-id", metadata->image_id);
    add_number(leaves, "meta-data/", "ami-launch-index", metadata->launch_index);
    add(leaves, "meta-data/", "ami-manifest-path", "(unknown)");
    add(leaves, "meta-data/", "instance-action", "none");
    add(leaves, "meta-data/", "instance-id", metadata->instance_id);
    add(leaves, "meta-data/", "instance-life-cycle",
        metadata->lifecycle ? metadata->lifecycle : "on-demand");
    add(leaves, "meta-data/", "instance-type", metadata->instance_type);
    add(leaves, "meta-data/", "placement/availability-zone", metadata->zone);
    add(leaves, "meta-data/", "placement/availability-zone-id", zone_id);
    add(leaves, "meta-data/", "placement/group-name", metadata->placement_group);
    if (metadata->placement_partition)
        add_number(leaves, "meta-data/", "placement/partition-number",
                   metadata->placement_partition);
    add(leaves, "meta-data/", "placement/region", metadata->region);
    add(leaves, "meta-data/", "profile", "default-hvm");
    if (metadata->key_name)
        add(leaves, "meta-data/", "public-keys/0/openssh-key", metadata->public_key);
    add(leaves, "meta-data/", "reservation-id", metadata->reservation_id);
    add(leaves, "meta-data/", "services/domain", domain);
    add(leaves, "meta-data/", "services/partition",
        metadata->partition ? metadata->partition : "aws");
    for (guint i = 0; i < metadata->disks->len; i++) {
        const VirgaMetadataDisk *disk = metadata->disks->pdata[i];
        add(leaves, "meta-data/block-device-mapping/", disk->name, disk->device);
    }
    if (metadata->interfaces->len > 0)
        add_primary(leaves, metadata->interfaces->pdata[0]);
    for (guint i = 0; i < metadata->interfaces->len; i++)
        add_interface(leaves, metadata->interfaces->pdata[i]);
    add_tags(leaves, metadata);
    add_profile(leaves, metadata);
    add(leaves, "dynamic/", "instance-identity/document", identity);
    add_user_data(leaves, metadata->user_data);
    g_ptr_array_sort(leaves, compare_leaves);
    return leaves;
}

/* The entries below a folder ("" or "…/"), or NULL if it has none. */
static char *
list_folder(GPtrArray *leaves, const char *folder, const char *key_name)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    bool keys = g_str_equal(folder, "meta-data/public-keys/");

    for (guint i = 0; i < leaves->len; i++) {
        const char *path = ((Leaf *) leaves->pdata[i])->path, *rest, *slash;
        char *name;

        if (!g_str_has_prefix(path, folder))
            continue;
        rest = path + strlen(folder);
        slash = strchr(rest, '/');
        name = slash ? g_strndup(rest, (gsize) (slash - rest) + 1) : g_strdup(rest);
        if (keys) {
            g_free(name);
            name = g_strdup_printf("0=%s", key_name);
        }
        /* EC2 lists the three halves of the service without a slash. */
        if (!*folder && slash)
            name[strlen(name) - 1] = '\0';
        if (!g_hash_table_contains(seen, name))
            g_string_append_printf(text, "%s%s", text->len ? "\n" : "", name);
        g_hash_table_add(seen, name);
    }
    return text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

static void
answer(VirgaMetadataResponse *ret, unsigned status, const char *text)
{
    ret->status = status;
    ret->content_type = "text/plain";
    ret->body = g_bytes_new(text, strlen(text));
}

static void
answer_error(VirgaMetadataResponse *ret, unsigned status, const char *title)
{
    g_autofree char *text =
        g_strdup_printf("<?xml version=\"1.0\" encoding=\"iso-8859-1\"?>\n<html>\n <head>\n"
                        "  <title>%u - %s</title>\n </head>\n <body>\n  <h1>%u - %s</h1>\n"
                        " </body>\n</html>\n",
                        status, title, status, title);

    answer(ret, status, text);
    ret->content_type = "text/html";
}

/* 'path' is what follows the version. */
static void
answer_path(VirgaMetadataResponse *ret, const VirgaMetadata *metadata, const char *path)
{
    g_autoptr(GPtrArray) leaves = leaves_of(metadata);
    g_autofree char *folder = NULL, *listing = NULL;
    gsize length = strlen(path);

    if (length > 0 && path[length - 1] == '/')
        length--;
    for (guint i = 0; i < leaves->len; i++) {
        const Leaf *leaf = leaves->pdata[i];

        if (strlen(leaf->path) != length || strncmp(leaf->path, path, length) != 0)
            continue;
        ret->status = 200;
        ret->body = g_bytes_ref(leaf->value);
        ret->content_type =
            g_str_equal(leaf->path, "user-data") ? "application/octet-stream" : "text/plain";
        return;
    }
    folder = g_strdup_printf("%.*s%s", (int) length, path, length ? "/" : "");
    listing = list_folder(leaves, folder, metadata->key_name);
    if (listing)
        answer(ret, 200, listing);
    else
        answer_error(ret, 404, "Not Found");
}

static void
sign_token(const VirgaMetadata *metadata, const guint8 *key, guint64 expiry, guint8 mac[MAC_SIZE])
{
    g_autoptr(GHmac) hmac = g_hmac_new(G_CHECKSUM_SHA256, key, VIRGA_METADATA_KEY_SIZE);
    gsize length = MAC_SIZE;

    g_hmac_update(hmac, (const guchar *) &expiry, sizeof expiry);
    g_hmac_update(hmac, (const guchar *) metadata->instance_id, -1);
    g_hmac_get_digest(hmac, mac, &length);
}

static bool
token_is_valid(const VirgaMetadata *metadata, const guint8 *key, gint64 now, const char *token)
{
    guint8 mac[MAC_SIZE], difference = 0;
    gsize length;
    g_autofree guchar *bytes = g_base64_decode(token, &length);
    guint64 expiry;

    if (length != sizeof expiry + MAC_SIZE)
        return false;
    memcpy(&expiry, bytes, sizeof expiry);
    sign_token(metadata, key, expiry, mac);
    for (unsigned i = 0; i < MAC_SIZE; i++) /* the same time for every guess */
        difference |= mac[i] ^ bytes[sizeof expiry + i];
    return difference == 0 && now < (gint64) GUINT64_FROM_BE(expiry);
}

static void
answer_token(VirgaMetadataResponse *ret, const VirgaMetadata *metadata, const guint8 *key,
             gint64 now, const VirgaMetadataRequest *request)
{
    guint8 bytes[sizeof(guint64) + MAC_SIZE];
    g_autofree char *token = NULL;
    guint64 ttl, expiry;

    /* A proxy in the guest that can be talked into this must not hand out credentials. */
    if (request->forwarded_for) {
        answer_error(ret, 403, "Forbidden");
        return;
    }
    if (!request->token_ttl ||
        !g_ascii_string_to_unsigned(request->token_ttl, 10, TTL_MIN, TTL_MAX, &ttl, NULL)) {
        answer_error(ret, 400, "Bad Request");
        return;
    }
    expiry = GUINT64_TO_BE((guint64) now + ttl);
    memcpy(bytes, &expiry, sizeof expiry);
    sign_token(metadata, key, expiry, bytes + sizeof expiry);
    token = g_base64_encode(bytes, sizeof bytes);
    answer(ret, 200, token);
    ret->token_ttl = g_strdup_printf("%" G_GUINT64_FORMAT, ttl);
}

/* Without a query, with single slashes, without the first one. */
static char *
normalize(const char *path)
{
    GString *text = g_string_new(NULL);

    for (; *path && *path != '?'; path++)
        if (*path != '/' || (text->len > 0 && text->str[text->len - 1] != '/'))
            g_string_append_c(text, *path);
    return g_string_free(text, FALSE);
}

static void
answer_get(VirgaMetadataResponse *ret, const VirgaMetadata *metadata, const char *path)
{
    g_auto(GStrv) parts = g_strsplit(path, "/", 2);

    if (!*path) {
        g_autofree char *text = g_strjoinv("\n", (char **) versions);
        answer(ret, 200, text);
    } else if (!g_strv_contains(versions, parts[0])) {
        answer_error(ret, 404, "Not Found");
    } else {
        answer_path(ret, metadata, parts[1] ? parts[1] : "");
    }
}

void
virga_metadata_respond(const VirgaMetadata *metadata,
                       const guint8 key[static VIRGA_METADATA_KEY_SIZE], gint64 now,
                       const VirgaMetadataRequest *request, VirgaMetadataResponse *ret)
{
    g_autofree char *path = normalize(request->path);
    bool token_path = g_str_equal(path, "latest/api/token");
    bool get = g_str_equal(request->method, "GET") || g_str_equal(request->method, "HEAD");

    *ret = (VirgaMetadataResponse){ 0 };
    if (metadata->disabled)
        answer_error(ret, 403, "Forbidden");
    else if (token_path && g_str_equal(request->method, "PUT"))
        answer_token(ret, metadata, key, now, request);
    else if (token_path || !get)
        answer_error(ret, 405, "Method Not Allowed");
    else if (request->token ? !token_is_valid(metadata, key, now, request->token)
                            : metadata->tokens_required)
        answer_error(ret, 401, "Unauthorized");
    else
        answer_get(ret, metadata, path);
}

void
virga_metadata_response_clear(VirgaMetadataResponse *response)
{
    g_clear_pointer(&response->body, g_bytes_unref);
    g_clear_pointer(&response->token_ttl, g_free);
}
