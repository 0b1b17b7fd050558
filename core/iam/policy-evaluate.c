/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy says to a request: a statement that denies wins, whatever else stands there. */
#include "policy-priv.h"

#include <string.h>

#define ACCOUNT_DIGITS 12

static bool
any_pattern(const PolicyPatterns *patterns, const char *text, bool fold_case,
            const VirgaPolicyRequest *request, GString *buffer)
{
    for (size_t i = 0; i < patterns->count; i++) {
        const char *pattern;

        if (policy_resolve(&patterns->items[i], request, buffer, &pattern) &&
            policy_match(pattern, text, fold_case))
            return true;
    }
    return false;
}

/* The account that "123456789012" or "arn:aws:iam::123456789012:root" stands for as a whole. */
static bool
names_account(const char *text, const char *account_id)
{
    static const char head[] = "arn:aws:iam::", tail[] = ":root";

    if (!account_id)
        return false;
    if (strlen(text) == ACCOUNT_DIGITS)
        return g_str_equal(text, account_id);
    return g_str_has_prefix(text, head) &&
           strncmp(text + strlen(head), account_id, ACCOUNT_DIGITS) == 0 &&
           g_str_equal(text + strlen(head) + ACCOUNT_DIGITS, tail);
}

/* ALLOW: the caller itself is meant; DELEGATE: its account as a whole; SILENT: somebody else. */
static VirgaPolicyDecision
meets(const PolicyPrincipal *listed, const VirgaPolicyPrincipal *caller)
{
    if (listed->type == PRINCIPAL_ANY)
        return VIRGA_POLICY_ALLOW;
    if (listed->type == PRINCIPAL_SERVICE)
        return g_strcmp0(listed->text, caller->service) == 0 ? VIRGA_POLICY_ALLOW
                                                             : VIRGA_POLICY_SILENT;
    if (listed->type != PRINCIPAL_AWS || !caller->arn)
        return VIRGA_POLICY_SILENT;
    if (names_account(listed->text, caller->account_id))
        return VIRGA_POLICY_DELEGATE;
    return g_str_equal(listed->text, caller->arn) || g_strcmp0(listed->text, caller->role_arn) == 0
               ? VIRGA_POLICY_ALLOW
               : VIRGA_POLICY_SILENT;
}

static VirgaPolicyDecision
meets_any(const PolicyStatement *statement, const VirgaPolicyPrincipal *caller)
{
    VirgaPolicyDecision best = VIRGA_POLICY_SILENT;

    if (!caller)
        return VIRGA_POLICY_SILENT;
    for (size_t i = 0; i < statement->principals.count && best != VIRGA_POLICY_ALLOW; i++) {
        VirgaPolicyDecision one = meets(&statement->principals.items[i], caller);

        if (one != VIRGA_POLICY_SILENT)
            best = one;
    }
    if (statement->not_principal)
        return best == VIRGA_POLICY_SILENT ? VIRGA_POLICY_ALLOW : VIRGA_POLICY_SILENT;
    return best;
}

static bool
conditions_hold(const PolicyStatement *statement, const VirgaPolicyRequest *request)
{
    for (size_t i = 0; i < statement->condition_count; i++)
        if (!policy_condition_holds(&statement->conditions[i], request))
            return false;
    return true;
}

static VirgaPolicyDecision
decide_statement(const VirgaPolicy *policy, const PolicyStatement *statement,
                 const VirgaPolicyRequest *request, GString *buffer)
{
    VirgaPolicyDecision who = VIRGA_POLICY_ALLOW;

    if (any_pattern(&statement->actions, request->action, true, request, buffer) ==
        statement->not_action)
        return VIRGA_POLICY_SILENT;
    if (policy->kind != VIRGA_POLICY_TRUST &&
        any_pattern(&statement->resources, request->resource, false, request, buffer) ==
            statement->not_resource)
        return VIRGA_POLICY_SILENT;
    if (policy->kind != VIRGA_POLICY_IDENTITY)
        who = meets_any(statement, request->principal);
    if (who == VIRGA_POLICY_SILENT || !conditions_hold(statement, request))
        return VIRGA_POLICY_SILENT;
    return statement->deny ? VIRGA_POLICY_DENY : who;
}

VirgaPolicyDecision
virga_policy_decide(const VirgaPolicy *policy, const VirgaPolicyRequest *request)
{
    g_autoptr(GString) buffer = g_string_new(NULL);
    VirgaPolicyDecision result = VIRGA_POLICY_SILENT;

    for (size_t i = 0; i < policy->count; i++) {
        VirgaPolicyDecision one = decide_statement(policy, &policy->statements[i], request, buffer);

        if (one == VIRGA_POLICY_DENY)
            return one;
        if (one == VIRGA_POLICY_ALLOW || (one == VIRGA_POLICY_DELEGATE && !result))
            result = one;
    }
    return result;
}
