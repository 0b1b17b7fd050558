/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files that authorise calls. */
#pragma once

#include "api/authorize.h"
#include "api/session.h"

#define SESSION_POLICIES_MAX 11 /* one of its own, ten managed ones */

struct VirgaCaller {
    VirgaIdentity identity;
    VirgaRights *rights; /* NULL: the administrator */
    const char *arn;     /* of user, role or root: aws:PrincipalArn */
    const VirgaPolicy *session_policies[SESSION_POLICIES_MAX];
    size_t session_policy_count;
    VirgaRights *held[SESSION_POLICIES_MAX]; /* in which the managed ones lie */
    size_t held_count;
    const VirgaHttpRequest *request;
    VirgaPolicyPrincipal principal;
};

/* One resource that a request is about. */
typedef struct {
    const char *arn;  /* or "*" */
    const char *type; /* "instance"; NULL: not known */
    const char *id;   /* of what is there already, for its tags; else NULL */
    bool created;     /* the request makes it */
} Target;

/* The tags that a request wants to set, each for one type of resource (NULL: for any). */
typedef struct {
    const char *type, *key, *value;
} RequestTag;

/* What a service knows of its requests. */
typedef struct {
    const char *name;
    /* Adds the Targets of a request; none stand for "*". */
    bool (*targets)(const VirgaCall *call, const void *request, GArray *targets, GError **error);
    /* Adds the RequestTags. */
    void (*request_tags)(const VirgaCall *call, const void *request, GArray *tags);
    /* The action that tags of 'type' need besides, since the request sets them on what it makes,
     * and on what; NULL: none.  'targets' are the request's, not none. */
    const char *(*tag_right)(const VirgaCall *call, const void *request, const GArray *targets,
                             const char *type, Target *ret);
    /* Finds the tags of what is there. */
    bool (*tags)(const VirgaCall *call, VirgaTxn *txn, const char *id, VirgaTag **ret,
                 size_t *ret_count, GError **error);
} ServiceTargets;

extern const ServiceTargets targets_ec2, targets_efs, targets_elbv2, targets_iam;

/* What condition keys are answered from. */
typedef struct {
    const VirgaCall *call;
    const ServiceTargets *service; /* may be NULL */
    const char *action;
    const Target *target;
    const void *request;      /* of call->wire's input, or NULL */
    const GArray *tags;       /* RequestTags, or NULL */
    const VirgaCallKey *keys; /* may be NULL */
    bool tags_read;
    VirgaTag *resource_tags;
    size_t resource_tag_count;
    GError *failure; /* of a look-up: what was decided does not count */
} Context;

/* A VirgaPolicyKey; 'context' is the Context. */
const char *const *context_key(const char *name, gpointer context);

/* Adds the RequestTags of a list "Tags" of keys and values. */
void request_tags(const VirgaCall *call, const void *request, GArray *tags);

/* The tags of a resource of the account (core/tag.h). */
bool resource_tags(const VirgaCall *call, VirgaTxn *txn, const char *id, VirgaTag **ret,
                   size_t *ret_count, GError **error);

/* A text member of a request, by its model's name; NULL: there is none, or it is not given. */
const char *request_text(const VirgaCall *call, const void *request, const char *name);
