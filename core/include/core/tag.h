/* SPDX-License-Identifier: Apache-2.0 */
/* Tags of any resource, and the events that explain what happened to it. */
#pragma once

#include "core/db.h"

typedef struct {
    char *resource_id, *resource_type, *key, *value;
} VirgaTag;

/* The account's tags, ordered by resource, then key, in 'arena'; 'resource_ids' NULL: all. */
bool virga_tag_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                    const char *const *resource_ids, VirgaTag **ret, size_t *ret_count,
                    GError **error);

/* The halves of it, so that it may share a round trip with others (virga_txn_send()); the first
 * may also be for all resources of one type ("instance"). */
bool virga_tag_list_send(VirgaTxn *txn, const char *account_id, const char *const *resource_ids,
                         GError **error);
bool virga_tag_list_type_send(VirgaTxn *txn, const char *account_id, const char *resource_type,
                              GError **error);
bool virga_tag_list_receive(VirgaTxn *txn, VirgaArena *arena, VirgaTag **ret, size_t *ret_count,
                            GError **error);

/* The ids of the account's resources of a type that have a tag with one of 'values'. */
bool virga_tag_find(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                    const char *resource_type, const char *key, const char *const *values,
                    const char ***ret_ids, GError **error);

/* Sets tags on a resource that the caller has checked to be the account's.
 * Noun "tag": INVALID (reserved "aws:" prefix, too long), QUOTA past 50. */
bool virga_tag_set(VirgaTxn *txn, const char *account_id, const char *resource_id,
                   const VirgaTag *tags, size_t count, GError **error);

/* The same for a resource that this transaction has made: nothing is waited for. */
bool virga_tag_set_first(VirgaTxn *txn, const char *account_id, const char *resource_id,
                         const VirgaTag *tags, size_t count, GError **error);

/* Sets tags of the cloud's own ("aws:ec2launchtemplate:id"), which count for nothing. */
bool virga_tag_set_reserved(VirgaTxn *txn, const char *account_id, const char *resource_id,
                            const VirgaTag *tags, size_t count, GError **error);

/* Takes tags away: by key, by key and value, or all but reserved ones ('count' 0).  A missing one
 * is no error. */
bool virga_tag_unset(VirgaTxn *txn, const char *account_id, const char *resource_id,
                     const VirgaTag *tags, size_t count, GError **error);

/* Tags of a resource that is gone. */
bool virga_tag_forget(VirgaTxn *txn, const char *resource_id, GError **error);

/* True if the account has a resource with this id, of any kind that can be tagged. */
bool virga_tag_owns(VirgaTxn *txn, const char *account_id, const char *resource_id, bool *ret_owns,
                    GError **error);

/* Adds a line to the story of 'subject', a resource or request id. */
bool virga_event_add(VirgaTxn *txn, GError **error, const char *subject, const char *format, ...)
    G_GNUC_PRINTF(4, 5);
