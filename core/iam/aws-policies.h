/* SPDX-License-Identifier: Apache-2.0 */
/* The managed policies that every account finds there: "arn:aws:iam::aws:policy/…". */
#pragma once

#include <stddef.h>

typedef struct {
    const char *id, *name, *path, *description, *document;
} IamAwsPolicy;

/* Ordered by name. */
extern const IamAwsPolicy iam_aws_policies[];
extern const size_t iam_aws_policy_count;

/* By its ARN, or NULL. */
const IamAwsPolicy *iam_aws_policy_find(const char *arn);
