/* SPDX-License-Identifier: Apache-2.0 */
/* What Elastic Load Balancing's handlers share: transactions, ARNs, pages, tags, attributes. */
#pragma once

#include "api/call.h"
#include "api/errors.h"
#include "api/query.h"
#include "api/services.h"
#include "core/db.h"
#include "core/error.h"
#include "elbv2.h"
#include "network/balancer.h"
#include "network/listener.h"
#include "network/load-balancer.h"
#include "network/target-group.h"

#include <json-glib/json-glib.h>
#include <string.h>

#define elb_new(call, Type)          virga_arena_new_array((call)->arena, Type, 1)
#define elb_array(call, Type, count) virga_arena_new_array((call)->arena, Type, count)

/* A failure in AWS's words; they all have status 400. */
#define elb_fail(error, code, ...) virga_api_fail((error), (code), 400, __VA_ARGS__)

/* ---- actions ---- */

/* As virga_query_transaction(), with failures in the service's own words. */
bool elb_transaction(VirgaCall *call, VirgaQueryWork work, const void *request, void *response,
                     GError **error);

/* The handler of an action; see api/query.h. */
#define ELB_ACTION(name, Name) VIRGA_QUERY_ACTION(elbv2, Elbv2, elb_transaction, name, Name)

/* Whether hosts can take what the VPC has become; the last step of a change.  What they would
 * refuse is refused with ValidationError instead. */
bool elb_check_plan(VirgaCall *call, VirgaTxn *txn, const char *vpc_id, GError **error);

/* ---- ARNs ---- */

typedef enum { ELB_BALANCER, ELB_TARGET_GROUP, ELB_LISTENER, ELB_RULE } ElbKind;

const char *elb_balancer_arn(const VirgaCall *call, const char *name, const char *type,
                             const char *id);
const char *elb_target_group_arn(const VirgaCall *call, const char *name, const char *id);
const char *elb_listener_arn(const VirgaCall *call, const char *name, const char *type,
                             const char *balancer_id, const char *id);
const char *elb_rule_arn(const VirgaCall *call, const VirgaRuleRow *rule);

/* The id that an ARN of the caller's names.  Fails with ValidationError, or with the kind's
 * NotFound for another account's or region's. */
bool elb_id(const VirgaCall *call, ElbKind kind, const char *arn, const char **ret_id,
            GError **error);
/* Of a list; *ret is NULL for an empty one. */
bool elb_ids(const VirgaCall *call, ElbKind kind, const void *list, const char *const **ret,
             GError **error);
bool elb_fail_not_found(ElbKind kind, GError **error);
/* The strings of a list, NULL-terminated; NULL if there are none. */
const char *const *elb_strings(const VirgaCall *call, const void *list);

/* The same, and the row locked.  An ARN that has the id of something else than it names is of
 * nothing, too. */
bool elb_lock_balancer(const VirgaCall *call, VirgaTxn *txn, const char *arn,
                       VirgaLoadBalancer **ret, GError **error);
bool elb_lock_target_group(const VirgaCall *call, VirgaTxn *txn, const char *arn,
                           VirgaTargetGroupRow **ret, GError **error);
bool elb_lock_listener(const VirgaCall *call, VirgaTxn *txn, const char *arn,
                       VirgaListenerRow **ret, GError **error);
bool elb_lock_rule(const VirgaCall *call, VirgaTxn *txn, const char *arn, VirgaRuleRow **ret,
                   GError **error);

/* "arn:…/app/name/0123…" has this shape of a name: letters, digits and inner dashes. */
bool elb_check_name(const char *name, const char *what, GError **error);

/* ---- pages ---- */

/* Leaves of a list (items of 'size' bytes in an order that does not change, a unique string at
 * 'offset') those of the page. */
bool elb_page(const VirgaCall *call, VirgaWireList *list, size_t size, size_t offset,
              const char *marker, bool has_page_size, gint64 page_size, const char **ret_marker,
              GError **error);
#define ELB_PAGE(call, request, response, member, Type, key, error)                                \
    elb_page((call), (VirgaWireList *) (void *) &(response)->member, sizeof(Type),                 \
             offsetof(Type, key), (request)->marker, (request)->has_page_size,                     \
             (request)->page_size, &(response)->next_marker, (error))

/* ---- tags ---- */

bool elb_tags_set(const VirgaCall *call, VirgaTxn *txn, const char *id, const Elbv2TagList *tags,
                  GError **error);

/* ---- attributes (attributes.c) ---- */

/* What an attribute may be: those of one kind of object, with their defaults. */
typedef struct ElbAttribute ElbAttribute;
const ElbAttribute *elb_balancer_attributes(const char *type);
const ElbAttribute *elb_target_group_attributes(const char *protocol);
/* The value of an attribute in a JSON object of those that were set, or its default. */
const char *elb_attribute(const VirgaCall *call, const ElbAttribute *known, const char *set,
                          const char *key);
gint64 elb_attribute_number(const VirgaCall *call, const ElbAttribute *known, const char *set,
                            const char *key);
bool elb_attribute_is(const VirgaCall *call, const ElbAttribute *known, const char *set,
                      const char *key, const char *value);

/* ---- what hosts need (plan.c); the texts are the arena's ---- */

char *elb_plan_of_balancer(const VirgaCall *call, const char *type, const char *attributes);
/* Checks what the group's health check and attributes say. */
bool elb_plan_of_target_group(const VirgaCall *call, const VirgaTargetGroupRow *group,
                              const Elbv2TargetGroup *shown, char **ret_plan, GError **error);
bool elb_plan_of_listener(const VirgaCall *call, const VirgaListenerRow *listener, char **ret_plan,
                          GError **error);

typedef struct {
    char *shown, *plan;
    const char **target_group_ids; /* NULL-terminated */
} ElbRule;

/* Checks conditions and actions of a rule of 'listener'; conditions are none for a default. */
bool elb_rule_read(const VirgaCall *call, VirgaTxn *txn, const VirgaListenerRow *listener,
                   const Elbv2RuleConditionList *conditions, const Elbv2Actions *actions,
                   ElbRule *ret, GError **error);
/* What was set, as an answer shows it. */
bool elb_rule_shown(const VirgaCall *call, const char *shown, Elbv2Rule *ret, GError **error);

/* ---- TLS (ssl-policies.c) ---- */

typedef struct {
    const char *name, *min, *max,
        *ciphers; /* 'max' NULL: the newest; 'ciphers' as OpenSSL has them */
} ElbSslPolicy;
const ElbSslPolicy *elb_ssl_policy(const char *name); /* or NULL */
#define ELB_SSL_POLICY_DEFAULT "ELBSecurityPolicy-2016-08"
