/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of listeners, their rules and certificates.  Callers hold the balancer's lock
 * (virga_load_balancer_lock()) while they change any of them. */
#pragma once

#include "core/db.h"

typedef struct {
    char *arn; /* of the server certificate */
    bool is_default;
} VirgaListenerCertificate;

typedef struct {
    char *id, *balancer_id, *balancer_name, *balancer_type, *vpc_id;
    char *protocol;
    gint64 port;
    char *ssl_policy, *alpn_policy; /* or NULL */
    char *attributes;               /* a JSON object of texts */
    char *default_rule_id, *default_shown;
    char *certificate_arn; /* the default one, or NULL */
} VirgaListenerRow;

/* In order of ports; 'ids' and 'balancer_id' (NULL: any) restrict them. */
bool virga_listener_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                         const char *const *ids, const char *balancer_id, VirgaListenerRow **ret,
                         size_t *ret_count, GError **error);
/* One, and its balancer locked.  Noun "listener": NOT_FOUND. */
bool virga_listener_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                         VirgaListenerRow **ret, GError **error);
/* 'id', 'balancer_id', 'protocol', 'port', policies and 'attributes' are read.  Noun "listener":
 * EXISTS for a port that is taken. */
bool virga_listener_create(VirgaTxn *txn, const VirgaListenerRow *listener, const char *plan,
                           GError **error);
bool virga_listener_update(VirgaTxn *txn, const VirgaListenerRow *listener, const char *plan,
                           GError **error);
bool virga_listener_delete(VirgaTxn *txn, const VirgaListenerRow *listener, GError **error);

typedef struct {
    char *id, *listener_id, *balancer_id, *balancer_name, *balancer_type, *vpc_id;
    gint64 priority; /* 0: the default */
    char *shown;
} VirgaRuleRow;

/* In order of priority, the default last; 'listener_id' and 'ids' (NULL: any) restrict them. */
bool virga_rule_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                     const char *listener_id, const char *const *ids, VirgaRuleRow **ret,
                     size_t *ret_count, GError **error);
/* One, and its balancer locked.  Noun "listener rule": NOT_FOUND. */
bool virga_rule_lock(VirgaTxn *txn, VirgaArena *arena, const char *account_id, const char *id,
                     VirgaRuleRow **ret, GError **error);
/* Noun "listener rule": EXISTS for a priority that is taken; "target group association": QUOTA for
 * one that another balancer forwards to. */
bool virga_rule_create(VirgaTxn *txn, const char *id, const char *listener_id, gint64 priority,
                       const char *shown, const char *plan, const char *const *target_group_ids,
                       GError **error);
bool virga_rule_update(VirgaTxn *txn, const char *id, const char *shown, const char *plan,
                       const char *const *target_group_ids, GError **error);
bool virga_rule_set_priority(VirgaTxn *txn, const char *id, gint64 priority, GError **error);
/* Looks now whether all priorities differ, which the above may break on their way. */
bool virga_rule_check_priorities(VirgaTxn *txn, GError **error);
bool virga_rule_delete(VirgaTxn *txn, const char *id, GError **error);

/* The default one first. */
bool virga_listener_certificates(VirgaTxn *txn, VirgaArena *arena, const char *listener_id,
                                 VirgaListenerCertificate **ret, size_t *ret_count, GError **error);
/* Noun "server certificate": NOT_FOUND. */
bool virga_listener_add_certificate(VirgaTxn *txn, const char *account_id, const char *listener_id,
                                    const char *arn, bool is_default, GError **error);
bool virga_listener_remove_certificate(VirgaTxn *txn, const char *account_id,
                                       const char *listener_id, const char *arn, GError **error);
bool virga_listener_clear_certificates(VirgaTxn *txn, const char *listener_id, GError **error);
