/* SPDX-License-Identifier: Apache-2.0 */
/* The policy language: which documents are policies, and what they say to requests. */
#include "core/error.h"
#include "core/policy.h"

#include <string.h>

#define ACCOUNT "000000000001"
#define ALICE   "arn:aws:iam::" ACCOUNT ":user/alice"

/* ---- what is a policy ---- */

#define IDENTITY VIRGA_POLICY_IDENTITY
#define TRUST    VIRGA_POLICY_TRUST
#define RESOURCE VIRGA_POLICY_RESOURCE

/* 'words': part of the refusal, or NULL. */
static const struct {
    VirgaPolicyKind kind;
    const char *text, *words;
} documents[] = {
    { IDENTITY, "{'Statement':{'Effect':'Allow','Action':'*','Resource':'*'}}", NULL },
    { IDENTITY,
      "{'Version':'2012-10-17','Id':'x','Statement':[{'Sid':'A1','Effect':'Deny',"
      "'NotAction':['ec2:Describe*','iam:*'],'NotResource':'arn:aws:s3:::b/*',"
      "'Condition':{'Bool':{'aws:SecureTransport':false},"
      "'NumericLessThan':{'s3:max-keys':[10,'20']}}}]}",
      NULL },
    { IDENTITY, "", "invalid Json" },
    { IDENTITY, "{'Statement':", "invalid Json" },
    { IDENTITY, "[]", "Syntax" },
    { IDENTITY, "{}", "Syntax" },
    { IDENTITY, "{'Statement':[]}", "Syntax" },
    { IDENTITY, "{'Statement':['x']}", "Syntax" },
    { IDENTITY,
      "{'Version':'2013-01-01','Statement':{'Effect':'Allow','Action':'*',"
      "'Resource':'*'}}",
      "Syntax" },
    { IDENTITY, "{'Statment':{'Effect':'Allow','Action':'*','Resource':'*'}}", "Syntax" },
    { IDENTITY, "{'Statement':{'Effect':'allow','Action':'*','Resource':'*'}}", "Syntax" },
    { IDENTITY, "{'Statement':{'Action':'*','Resource':'*'}}", "Effect" },
    { IDENTITY, "{'Statement':{'Effect':'Allow','Resource':'*'}}", "must contain actions" },
    { IDENTITY, "{'Statement':{'Effect':'Allow','Action':[],'Resource':'*'}}",
      "must contain actions" },
    { IDENTITY, "{'Statement':{'Effect':'Allow','Action':'*'}}", "must contain resources" },
    { IDENTITY, "{'Statement':{'Effect':'Allow','Action':'*','NotAction':'*','Resource':'*'}}",
      "Syntax" },
    { IDENTITY, "{'Statement':{'Effect':'Allow','Action':'RunInstances','Resource':'*'}}",
      "prefaced by a vendor" },
    { IDENTITY, "{'Statement':{'Effect':'Allow','Action':'ec2:Run/x','Resource':'*'}}",
      "prefaced by a vendor" },
    { IDENTITY, "{'Statement':{'Effect':'Allow','Action':'*','Resource':'bucket'}}",
      "must be in ARN format" },
    { IDENTITY, "{'Statement':{'Effect':'Allow','Action':7,'Resource':'*'}}", "Syntax" },
    { IDENTITY, "{'Statement':{'Effect':'Allow','Action':'*','Resource':'*','Principal':'*'}}",
      "should not specify a principal" },
    { IDENTITY, "{'Statement':{'Sid':'a b','Effect':'Allow','Action':'*','Resource':'*'}}",
      "alpha-numeric" },
    { IDENTITY,
      "{'Statement':[{'Sid':'a','Effect':'Allow','Action':'*','Resource':'*'},"
      "{'Sid':'a','Effect':'Allow','Action':'*','Resource':'*'}]}",
      "must be unique" },
    { IDENTITY,
      "{'Statement':{'Effect':'Allow','Action':'*','Resource':'*',"
      "'Condition':{'StringIs':{'aws:username':'x'}}}}",
      "Invalid Condition type : StringIs" },
    { IDENTITY,
      "{'Statement':{'Effect':'Allow','Action':'*','Resource':'*',"
      "'Condition':{'StringEquals':{'username':'x'}}}}",
      "prefaced by a vendor" },
    { IDENTITY,
      "{'Statement':{'Effect':'Allow','Action':'*','Resource':'*',"
      "'Condition':{'NullIfExists':{'aws:username':'true'}}}}",
      "Invalid Condition type" },
    { IDENTITY, "{'Statement':{'Effect':'Allow','Action':'*','Resource':'\\u0001'}}", "Syntax" },
    { TRUST,
      "{'Statement':{'Effect':'Allow','Action':'sts:AssumeRole',"
      "'Principal':{'Service':'ec2.amazonaws.com','AWS':['000000000001','*']}}}",
      NULL },
    { TRUST, "{'Statement':{'Effect':'Allow','Action':'sts:AssumeRole'}}", "Principal" },
    { TRUST,
      "{'Statement':{'Effect':'Allow','Action':'sts:AssumeRole','Principal':'*',"
      "'Resource':'*'}}",
      "prohibited field Resource" },
    { TRUST, "{'Statement':{'Effect':'Allow','Action':'ec2:*','Principal':'*'}}",
      "only specify STS" },
    { TRUST, "{'Statement':{'Effect':'Allow','Action':'sts:AssumeRole','Principal':{'AWS':'me'}}}",
      "Invalid principal" },
    { TRUST, "{'Statement':{'Effect':'Allow','Action':'sts:AssumeRole','Principal':{'Dog':'*'}}}",
      "Invalid principal" },
    { TRUST, "{'Statement':{'Effect':'Allow','Action':'sts:AssumeRole','Principal':{}}}",
      "Principal" },
    { RESOURCE,
      "{'Statement':{'Effect':'Allow','Action':'s3:*','Principal':'*','Resource':"
      "'arn:aws:s3:::b'}}",
      NULL },
};

/* JSON with single quotes, which C can be read with. */
static char *
quoted(const char *text)
{
    return g_strdelimit(g_strdup(text), "'", '"');
}

static void
test_documents(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(documents); i++) {
        g_autoptr(VirgaArena) arena = virga_arena_new();
        g_autofree char *text = quoted(documents[i].text);
        g_autoptr(GError) error = NULL;
        VirgaPolicy *policy = virga_policy_parse(arena, documents[i].kind, text, &error);

        if (!documents[i].words) {
            g_assert_no_error(error);
            g_assert_nonnull(policy);
            continue;
        }
        g_test_message("%s", text);
        g_assert_null(policy);
        g_assert_true(virga_error_is(error, "policy document", VIRGA_ERROR_INVALID));
        if (!strstr(error->message, documents[i].words))
            g_error("%s: %s", text, error->message);
    }
}

/* ---- what policies say ---- */

/* Condition keys of a request: "name=value;name=other". */
static const char *const *
keys_of(const char *name, gpointer data)
{
    static const char *values[9];
    static char buffer[512];
    size_t count = 0;
    char *rest = buffer, *pair;

    g_strlcpy(buffer, data, sizeof buffer);
    while ((pair = strsep(&rest, ";"))) {
        char *value = strchr(pair, '=');

        g_assert_nonnull(value);
        *value++ = '\0';
        if (g_ascii_strcasecmp(pair, name) == 0)
            values[count++] = value;
    }
    values[count] = NULL;
    return count ? values : NULL;
}

static VirgaPolicyDecision
decide(VirgaPolicyKind kind, const char *document, VirgaPolicyRequest request, const char *keys)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autofree char *text = quoted(document);
    g_autoptr(GError) error = NULL;
    VirgaPolicy *policy = virga_policy_parse(arena, kind, text, &error);

    g_assert_no_error(error);
    request.key = keys ? keys_of : NULL;
    request.key_data = (gpointer) keys;
    return virga_policy_decide(policy, &request);
}

#define STATEMENT(effect, rest) "{'Effect':'" effect "'," rest "}"
#define POLICY(statements)      "{'Version':'2012-10-17','Statement':[" statements "]}"
#define EVERYTHING              STATEMENT("Allow", "'Action':'*','Resource':'*'")

static const struct {
    const char *document, *action, *resource;
    VirgaPolicyDecision decision;
} decisions[] = {
    { POLICY(EVERYTHING), "ec2:RunInstances", "*", VIRGA_POLICY_ALLOW },
    { POLICY(STATEMENT("Allow", "'Action':'EC2:run*','Resource':'*'")), "ec2:RunInstances", "*",
      VIRGA_POLICY_ALLOW },
    { POLICY(STATEMENT("Allow", "'Action':'ec2:Ru?Instances','Resource':'*'")), "ec2:RunInstances",
      "*", VIRGA_POLICY_ALLOW },
    { POLICY(STATEMENT("Allow", "'Action':'ec2:Run','Resource':'*'")), "ec2:RunInstances", "*",
      VIRGA_POLICY_SILENT },
    { POLICY(STATEMENT("Allow", "'Action':['iam:*','ec2:Stop*'],'Resource':'*'")),
      "ec2:StopInstances", "*", VIRGA_POLICY_ALLOW },
    { POLICY(STATEMENT("Allow", "'NotAction':'iam:*','Resource':'*'")), "ec2:StopInstances", "*",
      VIRGA_POLICY_ALLOW },
    { POLICY(STATEMENT("Allow", "'NotAction':'iam:*','Resource':'*'")), "iam:CreateUser", "*",
      VIRGA_POLICY_SILENT },
    { POLICY(EVERYTHING "," STATEMENT("Deny", "'Action':'iam:*','Resource':'*'")), "iam:CreateUser",
      "*", VIRGA_POLICY_DENY },
    { POLICY(STATEMENT("Deny", "'Action':'iam:*','Resource':'*'") "," EVERYTHING), "iam:CreateUser",
      "*", VIRGA_POLICY_DENY },
    { POLICY(STATEMENT("Allow", "'Action':'ec2:*','Resource':'arn:aws:ec2:*:*:instance/i-1*'")),
      "ec2:StopInstances", "arn:aws:ec2:us-east-1:1:instance/i-12", VIRGA_POLICY_ALLOW },
    { POLICY(STATEMENT("Allow", "'Action':'ec2:*','Resource':'arn:aws:ec2:*:*:instance/i-1*'")),
      "ec2:StopInstances", "arn:aws:ec2:us-east-1:1:instance/I-12", VIRGA_POLICY_SILENT },
    { POLICY(STATEMENT("Allow", "'Action':'ec2:*','NotResource':'arn:aws:ec2:*:*:volume/*'")),
      "ec2:StopInstances", "arn:aws:ec2:us-east-1:1:instance/i-12", VIRGA_POLICY_ALLOW },
    { POLICY(STATEMENT("Allow", "'Action':'ec2:*','NotResource':'arn:aws:ec2:*:*:volume/*'")),
      "ec2:DeleteVolume", "arn:aws:ec2:us-east-1:1:volume/vol-1", VIRGA_POLICY_SILENT },
    { POLICY(STATEMENT("Allow", "'Action':'s3:*','Resource':'arn:aws:s3:::b/a?c'")), "s3:GetObject",
      "arn:aws:s3:::b/a\xc3\xa4"
      "c",
      VIRGA_POLICY_ALLOW },
};

static void
test_decisions(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(decisions); i++) {
        VirgaPolicyRequest request = { .action = decisions[i].action,
                                       .resource = decisions[i].resource };

        g_test_message("%s: %s on %s", decisions[i].document, request.action, request.resource);
        g_assert_cmpint(decide(IDENTITY, decisions[i].document, request, NULL), ==,
                        decisions[i].decision);
    }
}

/* 'condition' holds for a request with 'keys'. */
static const struct {
    const char *condition, *keys;
    bool holds;
} conditions[] = {
    { "'StringEquals':{'aws:username':'alice'}", "aws:UserName=alice", true },
    { "'StringEquals':{'aws:username':'Alice'}", "aws:username=alice", false },
    { "'StringEquals':{'aws:username':['bob','alice']}", "aws:username=alice", true },
    { "'StringEquals':{'aws:username':'alice'}", NULL, false },
    { "'StringEqualsIfExists':{'aws:username':'alice'}", NULL, true },
    { "'StringEqualsIfExists':{'aws:username':'alice'}", "aws:username=bob", false },
    { "'StringEquals':{'aws:username':'al*'}", "aws:username=alice", false },
    { "'StringNotEquals':{'aws:username':['bob','alice']}", "aws:username=alice", false },
    { "'StringNotEquals':{'aws:username':['bob','carol']}", "aws:username=alice", true },
    { "'StringNotEquals':{'aws:username':'alice'}", NULL, true },
    { "'StringEqualsIgnoreCase':{'aws:username':'ALICE'}", "aws:username=alice", true },
    { "'StringNotEqualsIgnoreCase':{'aws:username':'ALICE'}", "aws:username=alice", false },
    { "'StringLike':{'aws:username':'al*e'}", "aws:username=alice", true },
    { "'StringLike':{'aws:username':'al?'}", "aws:username=alice", false },
    { "'StringNotLike':{'aws:username':'al*'}", "aws:username=alice", false },
    { "'StringLike':{'aws:username':'x','aws:userid':'*'}", "aws:username=alice;aws:userid=1",
      false },
    { "'NumericLessThan':{'s3:max-keys':10}", "s3:max-keys=9.5", true },
    { "'NumericLessThanEquals':{'s3:max-keys':'10'}", "s3:max-keys=10", true },
    { "'NumericEquals':{'s3:max-keys':['1','10']}", "s3:max-keys=10.0", true },
    { "'NumericNotEquals':{'s3:max-keys':['1','10']}", "s3:max-keys=10", false },
    { "'NumericGreaterThan':{'s3:max-keys':'10'}", "s3:max-keys=10", false },
    { "'NumericGreaterThanEquals':{'s3:max-keys':'10'}", "s3:max-keys=many", false },
    { "'DateGreaterThan':{'aws:CurrentTime':'2026-01-01T00:00:00Z'}",
      "aws:CurrentTime=2026-01-02T03:04:05Z", true },
    { "'DateLessThan':{'aws:CurrentTime':'2026-01-02'}", "aws:CurrentTime=2026-01-02T03:04:05Z",
      false },
    { "'DateLessThanEquals':{'aws:EpochTime':1767323045}", "aws:EpochTime=1767323045", true },
    { "'DateEquals':{'aws:CurrentTime':'2026-01-02T03:04:05Z'}", "aws:CurrentTime=1767323045",
      true },
    { "'DateNotEquals':{'aws:CurrentTime':'2026-01-02T03:04:05Z'}", "aws:CurrentTime=1767323045",
      false },
    { "'DateGreaterThanEquals':{'aws:CurrentTime':'tomorrow'}", "aws:CurrentTime=1", false },
    { "'Bool':{'aws:SecureTransport':true}", "aws:SecureTransport=true", true },
    { "'Bool':{'aws:SecureTransport':'false'}", "aws:SecureTransport=true", false },
    { "'BinaryEquals':{'x:key':'QmluYXJ5'}", "x:key=QmluYXJ5", true },
    { "'IpAddress':{'aws:SourceIp':'192.0.2.0/24'}", "aws:SourceIp=192.0.2.77", true },
    { "'IpAddress':{'aws:SourceIp':'192.0.2.7'}", "aws:SourceIp=192.0.2.77", false },
    { "'IpAddress':{'aws:SourceIp':['10.0.0.0/8','2001:db8::/33']}",
      "aws:SourceIp=2001:db8:7fff::1", true },
    { "'IpAddress':{'aws:SourceIp':'2001:db8::/33'}", "aws:SourceIp=2001:db8:8000::1", false },
    { "'IpAddress':{'aws:SourceIp':'0.0.0.0/0'}", "aws:SourceIp=198.51.100.1", true },
    { "'IpAddress':{'aws:SourceIp':'0.0.0.0/0'}", "aws:SourceIp=2001:db8::1", false },
    { "'NotIpAddress':{'aws:SourceIp':'192.0.2.0/24'}", "aws:SourceIp=192.0.2.77", false },
    { "'NotIpAddress':{'aws:SourceIp':'192.0.2.0/24'}", "aws:SourceIp=192.0.3.77", true },
    { "'IpAddress':{'aws:SourceIp':'nonsense/99'}", "aws:SourceIp=192.0.3.77", false },
    { "'ArnLike':{'aws:PrincipalArn':'arn:aws:iam::*:user/a*'}", "aws:PrincipalArn=" ALICE, true },
    { "'ArnLike':{'aws:PrincipalArn':'arn:*'}", "aws:PrincipalArn=" ALICE, false },
    { "'ArnEquals':{'aws:PrincipalArn':'" ALICE "'}", "aws:PrincipalArn=" ALICE, true },
    { "'ArnNotEquals':{'aws:PrincipalArn':'" ALICE "'}", "aws:PrincipalArn=" ALICE, false },
    { "'ArnNotLike':{'aws:PrincipalArn':'arn:aws:iam::*:role/*'}", "aws:PrincipalArn=" ALICE,
      true },
    { "'Null':{'aws:username':true}", NULL, true },
    { "'Null':{'aws:username':'true'}", "aws:username=alice", false },
    { "'Null':{'aws:username':'false'}", "aws:username=alice", true },
    { "'ForAllValues:StringEquals':{'aws:TagKeys':['a','b']}", "aws:TagKeys=a;aws:TagKeys=b",
      true },
    { "'ForAllValues:StringEquals':{'aws:TagKeys':['a']}", "aws:TagKeys=a;aws:TagKeys=b", false },
    { "'ForAllValues:StringEquals':{'aws:TagKeys':['a']}", NULL, true },
    { "'ForAnyValue:StringEquals':{'aws:TagKeys':['b','c']}", "aws:TagKeys=a;aws:TagKeys=b", true },
    { "'ForAnyValue:StringEquals':{'aws:TagKeys':['c']}", "aws:TagKeys=a;aws:TagKeys=b", false },
    { "'ForAnyValue:StringEquals':{'aws:TagKeys':['c']}", NULL, false },
    { "'ForAnyValue:StringEqualsIfExists':{'aws:TagKeys':['c']}", NULL, true },
    { "'ForAllValues:StringNotEquals':{'aws:TagKeys':['c']}", "aws:TagKeys=a;aws:TagKeys=b", true },
    { "'ForAllValues:StringNotEquals':{'aws:TagKeys':['b']}", "aws:TagKeys=a;aws:TagKeys=b",
      false },
    { "'ForAnyValue:StringNotEquals':{'aws:TagKeys':['b']}", "aws:TagKeys=a;aws:TagKeys=b", true },
    { "'StringEquals':{'ec2:ResourceTag/owner':'${aws:username}'}",
      "aws:username=alice;ec2:ResourceTag/Owner=alice", true },
    { "'StringEquals':{'ec2:ResourceTag/owner':'${aws:username}'}", "ec2:ResourceTag/owner=alice",
      false },
    { "'StringLike':{'x:y':'${aws:username}-*'}", "aws:username=a*;x:y=alice-1", false },
    { "'StringLike':{'x:y':'a${*}'}", "x:y=ab", false },
    { "'StringLike':{'x:y':'a${*}'}", "x:y=a*", true },
    { "'StringEquals':{'x:y':'${$}${?}'}", "x:y=$?", true },
    { "'StringEquals':{'x:y':'team-${aws:PrincipalTag/team, \\u0027none\\u0027}'}", "x:y=team-none",
      true },
    { "'StringEquals':{'x:y':'team-${aws:PrincipalTag/team, \\u0027none\\u0027}'}",
      "x:y=team-red;aws:PrincipalTag/team=red", true },
};

static void
test_conditions(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(conditions); i++) {
        g_autofree char *document =
            g_strdup_printf(POLICY(STATEMENT("Allow", "'Action':'*','Resource':'*',"
                                                      "'Condition':{%s}")),
                            conditions[i].condition);
        VirgaPolicyRequest request = { .action = "ec2:RunInstances", .resource = "*" };

        g_test_message("%s with %s", conditions[i].condition, conditions[i].keys);
        g_assert_cmpint(decide(IDENTITY, document, request, conditions[i].keys), ==,
                        conditions[i].holds ? VIRGA_POLICY_ALLOW : VIRGA_POLICY_SILENT);
    }
}

static void
test_variables(void)
{
    static const char document[] = "'Statement':{'Effect':'Allow','Action':'s3:*',"
                                   "'Resource':'arn:aws:s3:::b/${aws:username}/*'}}";
    VirgaPolicyRequest request = { .action = "s3:GetObject",
                                   .resource = "arn:aws:s3:::b/alice/file" };
    g_autofree char *new = g_strconcat("{'Version':'2012-10-17',", document, NULL);
    g_autofree char *old = g_strconcat("{", document, NULL);

    g_assert_cmpint(decide(IDENTITY, new, request, "aws:username=alice"), ==, VIRGA_POLICY_ALLOW);
    g_assert_cmpint(decide(IDENTITY, new, request, "aws:username=bob"), ==, VIRGA_POLICY_SILENT);
    g_assert_cmpint(decide(IDENTITY, new, request, "aws:username=*"), ==, VIRGA_POLICY_SILENT);
    g_assert_cmpint(decide(IDENTITY, new, request, NULL), ==, VIRGA_POLICY_SILENT);
    /* The older version takes the variable by its letters. */
    g_assert_cmpint(decide(IDENTITY, old, request, "aws:username=alice"), ==, VIRGA_POLICY_SILENT);
    request.resource = "arn:aws:s3:::b/${aws:username}/file";
    g_assert_cmpint(decide(IDENTITY, old, request, NULL), ==, VIRGA_POLICY_ALLOW);
}

/* ---- principals ---- */

static const VirgaPolicyPrincipal alice = { ACCOUNT, ALICE, NULL, NULL };
static const VirgaPolicyPrincipal session = { ACCOUNT,
                                              "arn:aws:sts::" ACCOUNT ":assumed-role/admin/me",
                                              "arn:aws:iam::" ACCOUNT ":role/admin", NULL };
static const VirgaPolicyPrincipal stranger = { "000000000002",
                                               "arn:aws:iam::000000000002:user/alice", NULL, NULL };
static const VirgaPolicyPrincipal service = { NULL, NULL, NULL, "ec2.amazonaws.com" };

static const struct {
    const char *principal;
    const VirgaPolicyPrincipal *caller;
    VirgaPolicyDecision decision;
} principals[] = {
    { "'*'", &stranger, VIRGA_POLICY_ALLOW },
    { "{'AWS':'*'}", &stranger, VIRGA_POLICY_ALLOW },
    { "{'AWS':'" ALICE "'}", &alice, VIRGA_POLICY_ALLOW },
    { "{'AWS':'" ALICE "'}", &stranger, VIRGA_POLICY_SILENT },
    { "{'AWS':'" ACCOUNT "'}", &alice, VIRGA_POLICY_DELEGATE },
    { "{'AWS':'arn:aws:iam::" ACCOUNT ":root'}", &session, VIRGA_POLICY_DELEGATE },
    { "{'AWS':'arn:aws:iam::" ACCOUNT ":root'}", &stranger, VIRGA_POLICY_SILENT },
    { "{'AWS':['" ACCOUNT "','" ALICE "']}", &alice, VIRGA_POLICY_ALLOW },
    { "{'AWS':'arn:aws:iam::" ACCOUNT ":role/admin'}", &session, VIRGA_POLICY_ALLOW },
    { "{'AWS':'arn:aws:sts::" ACCOUNT ":assumed-role/admin/me'}", &session, VIRGA_POLICY_ALLOW },
    { "{'AWS':'arn:aws:sts::" ACCOUNT ":assumed-role/admin/you'}", &session, VIRGA_POLICY_SILENT },
    { "{'Service':'ec2.amazonaws.com'}", &service, VIRGA_POLICY_ALLOW },
    { "{'Service':'ec2.amazonaws.com'}", &alice, VIRGA_POLICY_SILENT },
    { "{'Service':'lambda.amazonaws.com'}", &service, VIRGA_POLICY_SILENT },
    { "{'AWS':'" ACCOUNT "'}", &service, VIRGA_POLICY_SILENT },
    { "{'Federated':'cognito-identity.amazonaws.com'}", &alice, VIRGA_POLICY_SILENT },
};

static void
test_principals(void)
{
    VirgaPolicyRequest request = { .action = "sts:AssumeRole", .resource = "*" };

    for (size_t i = 0; i < G_N_ELEMENTS(principals); i++) {
        g_autofree char *document =
            g_strdup_printf(POLICY(STATEMENT("Allow", "'Action':'sts:AssumeRole','Principal':%s")),
                            principals[i].principal);

        request.principal = principals[i].caller;
        g_test_message("%s", document);
        g_assert_cmpint(decide(TRUST, document, request, NULL), ==, principals[i].decision);
    }
    request.principal = &alice;
    g_assert_cmpint(decide(RESOURCE,
                           POLICY(STATEMENT("Deny", "'Action':'*','Resource':'*','NotPrincipal':"
                                                    "{'AWS':['" ACCOUNT "','" ALICE "']}")),
                           request, NULL),
                    ==, VIRGA_POLICY_SILENT);
    request.principal = &stranger;
    g_assert_cmpint(decide(RESOURCE,
                           POLICY(STATEMENT("Deny", "'Action':'*','Resource':'*','NotPrincipal':"
                                                    "{'AWS':['" ACCOUNT "','" ALICE "']}")),
                           request, NULL),
                    ==, VIRGA_POLICY_DENY);
}

static void
add_arn(const char *arn, gpointer data)
{
    g_string_append_printf(data, "%s ", arn);
}

static void
test_names(void)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(GString) found = g_string_new(NULL);
    g_autofree char *text =
        quoted(POLICY(STATEMENT("Allow", "'Action':'sts:AssumeRole','Principal':"
                                         "{'AWS':['*','" ACCOUNT "','" ALICE "']}")));
    VirgaPolicy *policy = virga_policy_parse(arena, TRUST, text, NULL);

    virga_policy_principals(policy, add_arn, found);
    g_assert_cmpstr(found->str, ==, ALICE " ");
    g_assert_cmpuint(virga_policy_length(" a\n\t{ \xc3\xa4 }"), ==, 4);
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/policy/documents", test_documents);
    g_test_add_func("/policy/decisions", test_decisions);
    g_test_add_func("/policy/conditions", test_conditions);
    g_test_add_func("/policy/variables", test_variables);
    g_test_add_func("/policy/principals", test_principals);
    g_test_add_func("/policy/names", test_names);
    return g_test_run();
}
