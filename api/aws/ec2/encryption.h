/* SPDX-License-Identifier: Apache-2.0 */
/* What the requests of several actions say of encryption. */
#pragma once

#include "common.h"

/* The account's own key, which is the only one: an ARN. */
const char *ec2_kms_key(const VirgaCall *call);

/* Checks a KmsKeyId beside an Encrypted. */
bool ec2_check_kms_key(const VirgaCall *call, bool encrypted, const char *kms_key_id,
                       GError **error);

/* What is made in this transaction is encrypted: that was asked for, or is the account's rule. */
bool ec2_settle_encryption(VirgaCall *call, VirgaTxn *txn, bool asked, bool *ret, GError **error);
