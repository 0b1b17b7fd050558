/* SPDX-License-Identifier: Apache-2.0 */
/* What people attach first.  They have AWS's names, so that templates work; the documents are our
 * own and say what this cloud has. */
#include "aws-policies.h"

#include <glib.h>
#include <string.h>

#define ARN_HEAD "arn:aws:iam::aws:policy"

#define POLICY(statements)      "{\"Version\":\"2012-10-17\",\"Statement\":[" statements "]}"
#define STATEMENT(effect, rest) "{\"Effect\":\"" effect "\"," rest ",\"Resource\":\"*\"}"
#define ALLOW(actions)          STATEMENT("Allow", "\"Action\":[" actions "]")

const IamAwsPolicy iam_aws_policies[] = {
    { "ANPAVIRGAAAAADMINISTR", "AdministratorAccess", "/", "Everything, everywhere.",
      POLICY(ALLOW("\"*\"")) },
    { "ANPAVIRGAAAAAEC2FULLA", "AmazonEC2FullAccess", "/",
      "All of EC2, its load balancers, metrics and scaling groups.",
      POLICY(ALLOW("\"ec2:*\",\"elasticloadbalancing:*\",\"cloudwatch:*\",\"autoscaling:*\"")) },
    { "ANPAVIRGAAAAAEC2READO", "AmazonEC2ReadOnlyAccess", "/",
      "Looking at EC2, its load balancers, metrics and scaling groups.",
      POLICY(ALLOW("\"ec2:Describe*\",\"ec2:Get*\",\"elasticloadbalancing:Describe*\","
                   "\"cloudwatch:Describe*\",\"cloudwatch:Get*\",\"cloudwatch:List*\","
                   "\"autoscaling:Describe*\"")) },
    { "ANPAVIRGAAAAAS3FULLAC", "AmazonS3FullAccess", "/", "All of S3.", POLICY(ALLOW("\"s3:*\"")) },
    { "ANPAVIRGAAAAAS3READON", "AmazonS3ReadOnlyAccess", "/", "Looking at and reading from S3.",
      POLICY(ALLOW("\"s3:Get*\",\"s3:List*\",\"s3:Describe*\"")) },
    { "ANPAVIRGAAAAAIAMFULLA", "IAMFullAccess", "/", "All of IAM.", POLICY(ALLOW("\"iam:*\"")) },
    { "ANPAVIRGAAAAAIAMREADO", "IAMReadOnlyAccess", "/", "Looking at IAM.",
      POLICY(ALLOW("\"iam:Get*\",\"iam:List*\",\"iam:Generate*\",\"iam:Simulate*\"")) },
    { "ANPAVIRGAAAAAPOWERUSE", "PowerUserAccess", "/",
      "Everything but the management of users and groups.",
      POLICY(STATEMENT("Allow", "\"NotAction\":[\"iam:*\"]") "," ALLOW(
          "\"iam:GetAccountSummary\",\"iam:ListAccountAliases\",\"iam:ListRoles\"")) },
    { "ANPAVIRGAAAAAREADONLY", "ReadOnlyAccess", "/", "Looking at everything.",
      POLICY(ALLOW("\"ec2:Describe*\",\"ec2:Get*\",\"iam:Get*\",\"iam:List*\",\"s3:Get*\","
                   "\"s3:List*\",\"elasticloadbalancing:Describe*\",\"autoscaling:Describe*\","
                   "\"cloudwatch:Describe*\",\"cloudwatch:Get*\",\"cloudwatch:List*\","
                   "\"sqs:Get*\",\"sqs:List*\",\"sns:Get*\",\"sns:List*\",\"route53:Get*\","
                   "\"route53:List*\",\"eks:Describe*\",\"eks:List*\",\"ecr:Describe*\","
                   "\"ecr:Get*\",\"ecr:List*\",\"sts:Get*\"")) },
};
const size_t iam_aws_policy_count = G_N_ELEMENTS(iam_aws_policies);

const IamAwsPolicy *
iam_aws_policy_find(const char *arn)
{
    if (!g_str_has_prefix(arn, ARN_HEAD))
        return NULL;
    arn += strlen(ARN_HEAD);
    for (size_t i = 0; i < iam_aws_policy_count; i++) {
        const IamAwsPolicy *policy = &iam_aws_policies[i];

        if (g_str_has_prefix(arn, policy->path) &&
            g_str_equal(arn + strlen(policy->path), policy->name))
            return policy;
    }
    return NULL;
}
