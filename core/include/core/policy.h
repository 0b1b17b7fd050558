/* SPDX-License-Identifier: Apache-2.0 */
/* AWS's policy language: a document in, a decision out.  Pure: the caller says what the request is
 * about, and answers for the condition keys that a policy asks for.
 *
 * Supported: Version 2008-10-17 and 2012-10-17, Sid, Effect, Action, NotAction, Resource,
 * NotResource, Principal, NotPrincipal, and Condition with all of IAM's operators, IfExists,
 * ForAllValues: and ForAnyValue:, and policy variables with defaults. */
#pragma once

#include "core/arena.h"

#include <glib.h>
#include <stdbool.h>

#define VIRGA_POLICY_BYTES_MAX      131072 /* of any document */
#define VIRGA_POLICY_STATEMENTS_MAX 1000

typedef struct VirgaPolicy VirgaPolicy;

/* What a document is for says which elements it must have and must not have. */
typedef enum {
    VIRGA_POLICY_IDENTITY, /* of a user, group or role; also boundaries and session policies */
    VIRGA_POLICY_TRUST,    /* who may assume a role */
    VIRGA_POLICY_RESOURCE, /* who may do what with a thing, such as a bucket */
} VirgaPolicyKind;

/* Reads and checks 'text'.  The result is the arena's and never changes, so threads may share it.
 * Noun "policy document", INVALID, with AWS's words where there are any.  NULL on failure. */
VirgaPolicy *virga_policy_parse(VirgaArena *arena, VirgaPolicyKind kind, const char *text,
                                GError **error);

/* The characters of 'text' that count against AWS's limits: all but white space. */
size_t virga_policy_length(const char *text);

/* Calls 'visit' for each ARN of a user or role that the policy's principals name. */
typedef void (*VirgaPolicyVisit)(const char *arn, gpointer data);
void virga_policy_principals(const VirgaPolicy *policy, VirgaPolicyVisit visit, gpointer data);

/* ---- requests ---- */

/* Who asks.  For policies with principals. */
typedef struct {
    const char *account_id;
    const char *arn;      /* of the user, of the session of a role, or of the account's root */
    const char *role_arn; /* of a session: its role's */
    const char *service;  /* "ec2.amazonaws.com" if a part of the cloud asks; the rest is NULL */
} VirgaPolicyPrincipal;

/* The values of the condition key 'name' ("aws:SourceIp", in any case), NULL-terminated; NULL if
 * the request has no such key.  Loans that live as long as the evaluation. */
typedef const char *const *(*VirgaPolicyKey)(const char *name, gpointer data);

typedef struct {
    const char *action;                    /* "ec2:RunInstances" */
    const char *resource;                  /* ARN, or "*" */
    const VirgaPolicyPrincipal *principal; /* may be NULL for policies of identities */
    VirgaPolicyKey key;
    gpointer key_data;
} VirgaPolicyRequest;

typedef enum {
    VIRGA_POLICY_SILENT, /* no statement applies: denied unless another policy allows */
    VIRGA_POLICY_ALLOW,
    VIRGA_POLICY_DELEGATE, /* allowed to the caller's account as a whole, which must allow it too */
    VIRGA_POLICY_DENY,     /* whatever others say */
} VirgaPolicyDecision;

VirgaPolicyDecision virga_policy_decide(const VirgaPolicy *policy,
                                        const VirgaPolicyRequest *request);
