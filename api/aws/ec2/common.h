/* SPDX-License-Identifier: Apache-2.0 */
/* What EC2's handlers share: ids, tags, pages, transactions, and the answer's recurring parts. */
#pragma once

#include "api/call.h"
#include "api/errors.h"
#include "api/filter.h"
#include "api/page.h"
#include "api/services.h"
#include "core/db.h"
#include "core/error.h"
#include "core/tag.h"
#include "ec2.h"

#include <string.h>

/* A generated list as the interpreter sees it. */
#define EC2_LIST(list) ((VirgaWireList *) (void *) (list))

static inline const VirgaServices *
ec2_services(const VirgaCall *call)
{
    return call->services;
}

/* A new structure or array of the answer. */
#define ec2_new(call, Type)          virga_arena_new_array((call)->arena, Type, 1)
#define ec2_array(call, Type, count) virga_arena_new_array((call)->arena, Type, count)

/* ---- parameters ---- */

/* Fails with UnsupportedOperation, naming the parameter. */
bool ec2_unsupported(GError **error, const char *parameter);

/* The strings of a list without repetitions, NULL-terminated; NULL if there are none. */
const char *const *ec2_strings(const VirgaCall *call, const void *list);

/* The ids of a list, each checked; *ret_ids is NULL if there are none. */
bool ec2_ids(const VirgaCall *call, const void *list, const char *prefix, const char *malformed,
             const char *const **ret_ids, GError **error);

/* Fails with 'code' naming the ids that are not among 'items' (each of 'size' bytes, its id a
 * string at 'offset').  'what' names their kind: "instance ID". */
bool ec2_check_found(const VirgaCall *call, const char *const *ids, const void *items, size_t count,
                     size_t size, size_t offset, const char *code, const char *what,
                     GError **error);

/* 0 or 1, or -1 of what is not given. */
int ec2_flag_given(const Ec2AttributeBooleanValue *value);

/* Fails if ids ('parameter') are asked for, which are shown all at once, and a page's size, too. */
bool ec2_check_unpaged(const char *const *ids, bool has_max_results, const char *parameter,
                       GError **error);

/* A HttpPutResponseHopLimit, if it is given. */
bool ec2_check_hops(bool given, gint64 hops, GError **error);

/* Tags whose keys become paths of the metadata. */
bool ec2_check_metadata_tags(const VirgaTag *tags, size_t count, GError **error);

/* ---- transactions ---- */

typedef bool (*Ec2Work)(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error);

/* Runs 'work' in a transaction, again if it lost a race; a dry run does all of it and rolls back.
 * 'work' must set all of its results anew each time. */
bool ec2_transaction(VirgaCall *call, Ec2Work work, gpointer data, GError **error);

/* ---- client tokens ---- */

typedef struct {
    const char *token; /* NULL: none */
    const char *digest;
} Ec2Token;

/* Checks the token of 'request', a struct of 'shape', and computes the digest of all the rest. */
bool ec2_token_read(const VirgaCall *call, const VirgaWireShape *shape, const void *request,
                    const char *token, Ec2Token *ret, GError **error);

/* As virga_client_token_take(); without a token there is no earlier call. */
bool ec2_token_take(const VirgaCall *call, VirgaTxn *txn, const Ec2Token *token,
                    const char *resource_id, char **ret_earlier, GError **error);

/* ---- an index over rows ---- */

/* Finds rows by a string in them; several may have the same.  All memory is the arena's. */
typedef struct {
    const void *items;
    size_t size, offset;
    guint32 mask;
    guint32 *heads, *next; /* positions plus 1 */
} Ec2Index;

Ec2Index ec2_index_new(VirgaArena *arena, const void *items, size_t count, size_t size,
                       size_t offset);

/* The row after 'previous' (NULL: the first) with 'key', in the rows' order, or NULL. */
const void *ec2_index_next(const Ec2Index *index, const char *key, const void *previous);

/* ---- tags ---- */

typedef struct {
    Ec2Tag *tags; /* ordered by resource, as 'rows' */
    VirgaTag *rows;
    Ec2Index index;
} Ec2Tags;

/* The tags of 'ids', or of all resources of 'type' if 'ids' is NULL. */
bool ec2_tags_read(const VirgaCall *call, VirgaTxn *txn, const char *const *ids, const char *type,
                   Ec2Tags *ret, GError **error);
/* The two halves of it (virga_txn_send()). */
bool ec2_tags_send(const VirgaCall *call, VirgaTxn *txn, const char *const *ids, const char *type,
                   GError **error);
bool ec2_tags_receive(const VirgaCall *call, VirgaTxn *txn, Ec2Tags *ret, GError **error);
Ec2TagList ec2_tags_of(const Ec2Tags *tags, const char *id);
/* 'rows', ordered by resource, for showing what has just been made; none: 'count' 0. */
Ec2Tags ec2_tags_make(const VirgaCall *call, VirgaTag *rows, size_t count);

/* The tags that a request's TagSpecifications have for 'type'. */
typedef struct {
    VirgaTag *tags;
    size_t count;
} Ec2NewTags;

/* Checks that every specification is for one of 'types' (NULL-terminated), once each, and that its
 * tags may be set. */
bool ec2_check_tag_specifications(const Ec2TagSpecificationList *specifications,
                                  const char *const *types, GError **error);
Ec2NewTags ec2_new_tags(const VirgaCall *call, const Ec2TagSpecificationList *specifications,
                        const char *type);
/* Both, for actions that make one kind of resource. */
bool ec2_tags_for(const VirgaCall *call, const Ec2TagSpecificationList *specifications,
                  const char *type, Ec2NewTags *ret, GError **error);
bool ec2_check_tags(const Ec2TagList *tags, GError **error);
/* Sets them, as core/tag.h does. */
bool ec2_tags_set(const VirgaCall *call, VirgaTxn *txn, const char *id, const Ec2NewTags *tags,
                  GError **error);
/* As an answer shows them. */
Ec2TagList ec2_tags_shown(const VirgaCall *call, const Ec2NewTags *tags);

/* ---- answers of Describe actions ---- */

typedef struct {
    gint64 size;       /* 0: no limit */
    const char *after; /* key of the last item of the page before, or NULL */
} Ec2Page;

#define ec2_page_begin(call, request, min, max, page, error)                                       \
    ec2_page_read((call), (request)->has_max_results, (request)->max_results,                      \
                  (request)->next_token, (min), (max), (page), (error))
bool ec2_page_read(const VirgaCall *call, bool has_max_results, gint64 max_results,
                   const char *next_token, gint64 min, gint64 max, Ec2Page *ret, GError **error);

/* Drops from 'list' (items of 'shape') what the filter refuses, in place. */
void ec2_filter_list(VirgaWireList *list, const VirgaWireShape *shape, const VirgaFilter *filter,
                     VirgaFilterValue value, gpointer data);

/* Orders 'list' by the string at 'offset' in its items and cuts the page out, in place. */
void ec2_page_cut(const VirgaCall *call, const Ec2Page *page, VirgaWireList *list,
                  const VirgaWireShape *shape, size_t offset, const char **ret_next_token);

/* Both, for the usual answer: a list whose items have their id at 'offset'. */
#define ec2_answer(call, filter, page, list, shape, Type, id, ret_next_token)                      \
    do {                                                                                           \
        ec2_filter_list(EC2_LIST(list), (shape), (filter), NULL, NULL);                            \
        ec2_page_cut((call), (page), EC2_LIST(list), (shape), offsetof(Type, id),                  \
                     (ret_next_token));                                                            \
    } while (0)

/* ---- recurring values ---- */

/* As Describe…Attribute shows them. */
Ec2AttributeBooleanValue *ec2_flag_shown(const VirgaCall *call, bool value);
Ec2AttributeValue *ec2_text_shown(const VirgaCall *call, const char *value);

/* "arn:aws:ec2:REGION:ACCOUNT:TYPE/ID" */
const char *ec2_arn(const VirgaCall *call, const char *type, const char *id);

/* "use1-az1" for "us-east-1a". */
const char *ec2_zone_id(const VirgaCall *call, const char *zone);
/* The zone whose id is 'zone_id', or NULL. */
const char *ec2_zone_of_id(const VirgaCall *call, const char *zone_id);
bool ec2_zone_exists(const VirgaCall *call, const char *zone);

/* "ec2.internal": in what private names end. */
const char *ec2_private_domain(const VirgaCall *call);
/* "ip-172-31-1-5.ec2.internal" */
const char *ec2_private_dns_name(const VirgaCall *call, const char *address);

/* "ec2-198-18-0-1.compute-1.amazonaws.com" */
const char *ec2_public_dns_name(const VirgaCall *call, const char *address);

/* 'id' with its prefix replaced: ids of things that have no row of their own. */
const char *ec2_derived_id(const VirgaCall *call, const char *prefix, const char *id);

Ec2GroupIdentifierList ec2_groups(const VirgaCall *call, char **ids, char **names);
