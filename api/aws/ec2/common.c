/* SPDX-License-Identifier: Apache-2.0 */
#include "common.h"

#include "core/client-token.h"
#include "core/limits.h"
#include "core/zone.h"

#define ATTEMPTS_MAX       4
#define HOPS_MAX           64
#define CLIENT_TOKEN_CHARS 64 /* AWS's limit */

/* ---- parameters ---- */

bool
ec2_unsupported(GError **error, const char *parameter)
{
    return virga_api_fail(error, "UnsupportedOperation", 400,
                          "The parameter %s is not supported by this cloud with the value given",
                          parameter);
}

const char *const *
ec2_strings(const VirgaCall *call, const void *list)
{
    const VirgaWireList *wire = list;
    const char *const *items = wire->items;
    const char **copy;
    size_t count = 0;

    if (wire->count == 0)
        return NULL;
    copy = ec2_array(call, const char *, wire->count + 1);
    if (wire->count > 1) {
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

        for (size_t i = 0; i < wire->count; i++)
            if (g_hash_table_add(seen, (gpointer) items[i]))
                copy[count++] = items[i];
    } else {
        copy[0] = items[0];
    }
    return copy;
}

bool
ec2_ids(const VirgaCall *call, const void *list, const char *prefix, const char *malformed,
        const char *const **ret_ids, GError **error)
{
    const char *const *ids = ec2_strings(call, list);

    for (const char *const *id = ids; id && *id; id++)
        if (!virga_api_check_id(*id, prefix, malformed, error))
            return false;
    *ret_ids = ids;
    return true;
}

bool
ec2_check_found(const VirgaCall *call, const char *const *ids, const void *items, size_t count,
                size_t size, size_t offset, const char *code, const char *what, GError **error)
{
    g_autoptr(GString) missing = NULL;
    Ec2Index index;
    size_t lacking = 0;

    if (!ids)
        return true;
    index = ec2_index_new(call->arena, items, count, size, offset);
    for (; *ids; ids++) {
        if (ec2_index_next(&index, *ids, NULL))
            continue;
        if (!missing)
            missing = g_string_new(NULL);
        g_string_append_printf(missing, "%s%s", lacking++ ? ", " : "", *ids);
    }
    return lacking == 0 ||
           virga_api_fail(error, code, 400, "The %s%s '%s' do%s not exist", what,
                          lacking > 1 ? "s" : "", missing->str, lacking > 1 ? "" : "es");
}

bool
ec2_check_hops(bool given, gint64 hops, GError **error)
{
    return !given || (hops >= 1 && hops <= HOPS_MAX) ||
           virga_api_fail(error, "InvalidParameterValue", 400,
                          "Value (%" G_GINT64_FORMAT ") for parameter HttpPutResponseHopLimit is "
                          "invalid. Expecting a value between 1 and %d",
                          hops, HOPS_MAX);
}

int
ec2_flag_given(const Ec2AttributeBooleanValue *value)
{
    return value && value->has_value ? value->value : -1;
}

bool
ec2_check_unpaged(const char *const *ids, bool has_max_results, const char *parameter,
                  GError **error)
{
    return !ids || !has_max_results ||
           virga_api_fail(error, "InvalidParameterCombination", 400,
                          "The parameter %s cannot be used with the parameter maxResults",
                          parameter);
}

bool
ec2_check_metadata_tags(const VirgaTag *tags, size_t count, GError **error)
{
    for (size_t i = 0; i < count; i++) {
        const char *key = tags[i].key;

        if (strspn(key, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-=._,:@") !=
                strlen(key) ||
            g_str_equal(key, ".") || g_str_equal(key, "..") || g_str_equal(key, "_index"))
            return virga_api_fail(error, "InvalidParameterValue", 400,
                                  "'%.200s' is not a valid tag key. Tag keys must match pattern "
                                  "([0-9a-zA-Z\\-_+=,.@:]{1,255}), and must not be a reserved name "
                                  "('.', '..', '_index')",
                                  key);
    }
    return true;
}

/* ---- transactions ---- */

static bool
attempt(VirgaCall *call, Ec2Work work, gpointer data, GError **error)
{
    g_autoptr(VirgaTxn) txn = virga_db_begin(call->db, error);

    return txn && work(call, txn, data, error) && virga_call_dry_run(call, error) &&
           virga_txn_commit(txn, error);
}

bool
ec2_transaction(VirgaCall *call, Ec2Work work, gpointer data, GError **error)
{
    for (int i = 1;; i++) {
        g_autoptr(GError) reason = NULL;

        if (attempt(call, work, data, &reason))
            return true;
        if (i < ATTEMPTS_MAX && virga_error_is(reason, "database", VIRGA_ERROR_RETRY))
            continue;
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
}

/* ---- client tokens ---- */

bool
ec2_token_read(const VirgaCall *call, const VirgaWireShape *shape, const void *request,
               const char *token, Ec2Token *ret, GError **error)
{
    static const char *const except[] = { "ClientToken", "DryRun", NULL };

    *ret = (Ec2Token){ 0 };
    if (!token || !*token)
        return true;
    if (strlen(token) > CLIENT_TOKEN_CHARS || !g_str_is_ascii(token))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "The client token must have at most %d ASCII characters",
                              CLIENT_TOKEN_CHARS);
    ret->token = token;
    ret->digest = virga_wire_digest(call->arena, shape, request, except);
    return true;
}

bool
ec2_token_take(const VirgaCall *call, VirgaTxn *txn, const Ec2Token *token, const char *resource_id,
               char **ret_earlier, GError **error)
{
    *ret_earlier = NULL;
    return !token->token ||
           virga_client_token_take(txn, call->arena, call->account_id, call->action, token->token,
                                   token->digest, resource_id, ret_earlier, error);
}

/* ---- an index over rows ---- */

static const char *
key_at(const Ec2Index *index, size_t position)
{
    return *(const char *const *) ((const guint8 *) index->items + position * index->size +
                                   index->offset);
}

Ec2Index
ec2_index_new(VirgaArena *arena, const void *items, size_t count, size_t size, size_t offset)
{
    Ec2Index index = { .items = items, .size = size, .offset = offset, .mask = 7 };

    g_assert(count < G_MAXINT32);
    while (index.mask < count)
        index.mask = index.mask * 2 + 1;
    index.heads = virga_arena_new_array(arena, guint32, index.mask + 1);
    index.next = virga_arena_new_array(arena, guint32, count + 1);
    for (size_t i = count; i-- > 0;) { /* backwards, so that a chain has the rows' order */
        const char *key = key_at(&index, i);
        guint32 *head;

        if (!key)
            continue;
        head = &index.heads[g_str_hash(key) & index.mask];
        index.next[i] = *head;
        *head = (guint32) i + 1;
    }
    return index;
}

const void *
ec2_index_next(const Ec2Index *index, const char *key, const void *previous)
{
    guint32 at;

    if (previous)
        at = index->next[(size_t) ((const guint8 *) previous - (const guint8 *) index->items) /
                         index->size];
    else
        at = index->heads[g_str_hash(key) & index->mask];
    for (; at; at = index->next[at - 1])
        if (g_str_equal(key_at(index, at - 1), key))
            return (const guint8 *) index->items + (at - 1) * index->size;
    return NULL;
}

/* ---- tags ---- */

bool
ec2_tags_send(const VirgaCall *call, VirgaTxn *txn, const char *const *ids, const char *type,
              GError **error)
{
    return ids ? virga_tag_list_send(txn, call->account_id, ids, error)
               : virga_tag_list_type_send(txn, call->account_id, type, error);
}

Ec2Tags
ec2_tags_make(const VirgaCall *call, VirgaTag *rows, size_t count)
{
    Ec2Tag *tags = ec2_array(call, Ec2Tag, count);

    for (size_t i = 0; i < count; i++)
        tags[i] = (Ec2Tag){ .key = rows[i].key, .value = rows[i].value };
    return (Ec2Tags){ .tags = tags,
                      .rows = rows,
                      .index = ec2_index_new(call->arena, rows, count, sizeof *rows,
                                             offsetof(VirgaTag, resource_id)) };
}

bool
ec2_tags_receive(const VirgaCall *call, VirgaTxn *txn, Ec2Tags *ret, GError **error)
{
    VirgaTag *rows;
    size_t count;

    if (!virga_tag_list_receive(txn, call->arena, &rows, &count, error))
        return false;
    *ret = ec2_tags_make(call, rows, count);
    return true;
}

bool
ec2_tags_read(const VirgaCall *call, VirgaTxn *txn, const char *const *ids, const char *type,
              Ec2Tags *ret, GError **error)
{
    return ec2_tags_send(call, txn, ids, type, error) && ec2_tags_receive(call, txn, ret, error);
}

Ec2TagList
ec2_tags_of(const Ec2Tags *tags, const char *id)
{
    const VirgaTag *first = ec2_index_next(&tags->index, id, NULL);
    Ec2TagList list = { 0 };

    if (!first)
        return list;
    list.items = &tags->tags[first - tags->rows];
    for (const VirgaTag *tag = first; tag; tag = ec2_index_next(&tags->index, id, tag))
        list.count++;
    return list;
}

bool
ec2_check_tags(const Ec2TagList *tags, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (size_t i = 0; i < tags->count; i++) {
        const char *key = tags->items[i].key;

        if (!key || !*key)
            return virga_api_fail(error, "InvalidParameterValue", 400,
                                  "Tag key cannot be null or empty. Expecting a non-empty string.");
        if (!g_hash_table_add(seen, (gpointer) key))
            return virga_api_fail(error, "InvalidParameterValue", 400,
                                  "Duplicate tag key '%.200s' specified.", key);
    }
    return true;
}

bool
ec2_check_tag_specifications(const Ec2TagSpecificationList *specifications,
                             const char *const *types, GError **error)
{
    for (size_t i = 0; i < specifications->count; i++) {
        const Ec2TagSpecification *specification = &specifications->items[i];

        if (!specification->resource_type)
            return virga_api_fail(error, "MissingParameter", 400,
                                  "The request must contain the parameter ResourceType");
        if (!g_strv_contains(types, specification->resource_type))
            return virga_api_fail(error, "InvalidParameterValue", 400,
                                  "'%s' is not a valid taggable resource type for this operation.",
                                  specification->resource_type);
        for (size_t j = 0; j < i; j++)
            if (g_str_equal(specifications->items[j].resource_type, specification->resource_type))
                return virga_api_fail(error, "InvalidParameterValue", 400,
                                      "The same resource type may not be specified more than once "
                                      "in tag specifications");
        if (!ec2_check_tags(&specification->tags, error))
            return false;
    }
    return true;
}

Ec2NewTags
ec2_new_tags(const VirgaCall *call, const Ec2TagSpecificationList *specifications, const char *type)
{
    Ec2NewTags new_tags = { 0 };

    for (size_t i = 0; i < specifications->count; i++) {
        const Ec2TagSpecification *specification = &specifications->items[i];

        if (!g_str_equal(specification->resource_type, type))
            continue;
        new_tags.count = specification->tags.count;
        new_tags.tags = ec2_array(call, VirgaTag, new_tags.count);
        for (size_t j = 0; j < new_tags.count; j++) {
            const char *value = specification->tags.items[j].value;

            new_tags.tags[j] = (VirgaTag){ .key = (char *) specification->tags.items[j].key,
                                           .value = (char *) (value ? value : "") };
        }
    }
    return new_tags;
}

bool
ec2_tags_for(const VirgaCall *call, const Ec2TagSpecificationList *specifications, const char *type,
             Ec2NewTags *ret, GError **error)
{
    const char *const types[] = { type, NULL };

    if (!ec2_check_tag_specifications(specifications, types, error))
        return false;
    *ret = ec2_new_tags(call, specifications, type);
    return true;
}

bool
ec2_tags_set(const VirgaCall *call, VirgaTxn *txn, const char *id, const Ec2NewTags *tags,
             GError **error)
{
    return virga_tag_set(txn, call->account_id, id, tags->tags, tags->count, error);
}

Ec2TagList
ec2_tags_shown(const VirgaCall *call, const Ec2NewTags *tags)
{
    Ec2TagList list = { ec2_array(call, Ec2Tag, tags->count), tags->count };

    for (size_t i = 0; i < tags->count; i++)
        list.items[i] = (Ec2Tag){ .key = tags->tags[i].key, .value = tags->tags[i].value };
    return list;
}

/* ---- answers of Describe actions ---- */

bool
ec2_page_read(const VirgaCall *call, bool has_max_results, gint64 max_results,
              const char *next_token, gint64 min, gint64 max, Ec2Page *ret, GError **error)
{
    return virga_page_size(has_max_results, max_results, min, max, 0, &ret->size, error) &&
           virga_page_key(ec2_services(call)->pager, call->arena, call->account_id, call->action,
                          next_token && *next_token ? next_token : NULL, &ret->after, error);
}

void
ec2_filter_list(VirgaWireList *list, const VirgaWireShape *shape, const VirgaFilter *filter,
                VirgaFilterValue value, gpointer data)
{
    guint8 *items = list->items;
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        if (!virga_filter_match(filter, items + i * shape->size, value, data))
            continue;
        if (kept != i)
            memcpy(items + kept * shape->size, items + i * shape->size, shape->size);
        kept++;
    }
    list->count = kept;
}

static gint
compare_keys(gconstpointer a, gconstpointer b, gpointer offset)
{
    return strcmp(*(const char *const *) ((const guint8 *) a + GPOINTER_TO_SIZE(offset)),
                  *(const char *const *) ((const guint8 *) b + GPOINTER_TO_SIZE(offset)));
}

void
ec2_page_cut(const VirgaCall *call, const Ec2Page *page, VirgaWireList *list,
             const VirgaWireShape *shape, size_t offset, const char **ret_next_token)
{
    guint8 *items = list->items;
    size_t from = 0;

    if (page->size == 0 && !page->after)
        return;
    g_qsort_with_data(items, (gint) list->count, shape->size, compare_keys,
                      GSIZE_TO_POINTER(offset));
    while (page->after && from < list->count &&
           strcmp(*(const char **) (items + from * shape->size + offset), page->after) <= 0)
        from++;
    list->items = items + from * shape->size;
    list->count -= from;
    if (page->size && list->count > (size_t) page->size) {
        items = list->items;
        list->count = (size_t) page->size;
        *ret_next_token =
            virga_page_token(ec2_services(call)->pager, call->arena, call->account_id, call->action,
                             *(const char **) (items + (list->count - 1) * shape->size + offset));
    }
}

/* ---- recurring values ---- */

Ec2AttributeBooleanValue *
ec2_flag_shown(const VirgaCall *call, bool value)
{
    Ec2AttributeBooleanValue *shown = ec2_new(call, Ec2AttributeBooleanValue);

    *shown = (Ec2AttributeBooleanValue){ .value = value, .has_value = true };
    return shown;
}

Ec2AttributeValue *
ec2_text_shown(const VirgaCall *call, const char *value)
{
    Ec2AttributeValue *shown = ec2_new(call, Ec2AttributeValue);

    shown->value = value;
    return shown;
}

const char *
ec2_arn(const VirgaCall *call, const char *type, const char *id)
{
    return virga_arena_printf(call->arena, "arn:aws:ec2:%s:%s:%s/%s", call->region,
                              call->account_id, type, id);
}

const char *
ec2_zone_id(const VirgaCall *call, const char *zone)
{
    g_autofree char *id = virga_zone_id(call->region, zone);

    return virga_arena_strdup(call->arena, id);
}

const char *
ec2_zone_of_id(const VirgaCall *call, const char *zone_id)
{
    for (char **zone = ec2_services(call)->zones; *zone; zone++)
        if (g_strcmp0(ec2_zone_id(call, *zone), zone_id) == 0)
            return *zone;
    return NULL;
}

bool
ec2_zone_exists(const VirgaCall *call, const char *zone)
{
    return g_strv_contains((const char *const *) ec2_services(call)->zones, zone);
}

const char *
ec2_private_domain(const VirgaCall *call)
{
    return g_str_equal(call->region, "us-east-1")
               ? "ec2.internal"
               : virga_arena_printf(call->arena, "%s.compute.internal", call->region);
}

/* "ip-172-31-1-5.ec2.internal" of its three parts. */
static const char *
name_of(const VirgaCall *call, const char *prefix, const char *address, const char *domain)
{
    char *name = virga_arena_printf(call->arena, "%s%s.%s", prefix, address, domain);

    for (char *c = name; *c && c < name + strlen(prefix) + strlen(address); c++)
        if (*c == '.')
            *c = '-';
    return name;
}

const char *
ec2_private_dns_name(const VirgaCall *call, const char *address)
{
    return name_of(call, "ip-", address, ec2_private_domain(call));
}

const char *
ec2_public_dns_name(const VirgaCall *call, const char *address)
{
    const char *domain = "compute-1.amazonaws.com";

    if (!g_str_equal(call->region, "us-east-1"))
        domain = virga_arena_printf(call->arena, "%s.compute.amazonaws.com", call->region);
    return name_of(call, "ec2-", address, domain);
}

const char *
ec2_derived_id(const VirgaCall *call, const char *prefix, const char *id)
{
    const char *digits = strrchr(id, '-');

    return virga_arena_printf(call->arena, "%s-%s", prefix, digits ? digits + 1 : id);
}

Ec2GroupIdentifierList
ec2_groups(const VirgaCall *call, char **ids, char **names)
{
    guint count = g_strv_length(ids);
    Ec2GroupIdentifierList list = { ec2_array(call, Ec2GroupIdentifier, count), count };

    for (guint i = 0; i < count; i++)
        list.items[i] = (Ec2GroupIdentifier){ .group_id = ids[i], .group_name = names[i] };
    return list;
}
