/* SPDX-License-Identifier: Apache-2.0 */
/* A parsed policy, shared by the files that read and evaluate it. */
#pragma once

#include "core/policy.h"

/* In patterns: what "*" and "?" have become.  Texts that hold these bytes themselves are refused,
 * so that no value can bring a wildcard with it. */
#define POLICY_ANY '\1'
#define POLICY_ONE '\2'

/* A text that is compared.  Without variables it is ready; with them it is made for each request
 * from 'text' as it was written. */
typedef struct {
    const char *text;
    bool variables;
    bool wild; /* "*" and "?" are wildcards */
} PolicyPattern;

typedef struct {
    PolicyPattern *items;
    size_t count;
} PolicyPatterns;

typedef enum { PRINCIPAL_ANY, PRINCIPAL_AWS, PRINCIPAL_SERVICE, PRINCIPAL_FEDERATED } PrincipalType;

typedef struct {
    PrincipalType type;
    const char *text; /* 12 digits, an ARN, "ec2.amazonaws.com" */
} PolicyPrincipal;

typedef struct {
    PolicyPrincipal *items;
    size_t count;
} PolicyPrincipals;

typedef struct PolicyCondition PolicyCondition;

/* True if 'value' fits 'pattern', whose variables are resolved already. */
typedef bool (*PolicyCompare)(const char *pattern, const char *value);

typedef struct {
    const char *name;
    PolicyCompare compare; /* NULL: the operator Null */
    bool negated;
    bool wild;      /* "*" and "?" in its values are wildcards */
    bool variables; /* may stand in its values */
} PolicyOperator;

typedef enum { SET_NONE, SET_ALL, SET_ANY } PolicySet;

struct PolicyCondition {
    const PolicyOperator *test;
    PolicySet set;
    bool if_exists;
    const char *key;
    PolicyPatterns values;
};

typedef struct {
    bool deny;
    bool not_action, not_resource, not_principal;
    const char *sid;
    PolicyPatterns actions, resources;
    PolicyPrincipals principals;
    PolicyCondition *conditions;
    size_t condition_count;
} PolicyStatement;

struct VirgaPolicy {
    VirgaPolicyKind kind;
    bool variables; /* the version knows them */
    PolicyStatement *statements;
    size_t count;
};

/* True if the texts agree, 'pattern' with POLICY_ANY and POLICY_ONE in it. */
bool policy_match(const char *pattern, const char *text, bool fold_case);

/* The operator of "ForAnyValue:StringLikeIfExists" and its manner; NULL: there is none. */
const PolicyOperator *policy_operator(const char *name, PolicySet *ret_set, bool *ret_if_exists);

/* 'text' as a pattern. */
PolicyPattern policy_pattern(VirgaArena *arena, const char *text, bool wild, bool variables);

/* False if a variable of the text has no value: nothing fits it then.  Otherwise the pattern, in
 * 'buffer' or the pattern's own text. */
bool policy_resolve(const PolicyPattern *pattern, const VirgaPolicyRequest *request,
                    GString *buffer, const char **ret);

bool policy_condition_holds(const PolicyCondition *condition, const VirgaPolicyRequest *request);
