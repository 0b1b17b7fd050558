/* SPDX-License-Identifier: Apache-2.0 */
/* What an account may have, and has.
 *
 * An object is counted in the transaction that makes it or takes it away; the row that counts is
 * what all of an account's transactions wait for, so it is taken late.  Limits come from the
 * configuration ([quota], [quota ACCOUNT]) and are kept in the database, where claims find them.
 *
 * To count another kind: a value here, its line in quota.c, a key in config.c, a statement for
 * "virga doctor --leaks" in api/operator-db.c, and a claim where it is made and taken away. */
#pragma once

#include "core/config.h"
#include "core/db.h"

typedef enum {
    VIRGA_QUOTA_INSTANCES, /* until nothing of it is left on its host */
    VIRGA_QUOTA_VCPUS,     /* of instances that have room on a host */
    VIRGA_QUOTA_VOLUMES,
    VIRGA_QUOTA_VOLUME_GIB,
    VIRGA_QUOTA_SNAPSHOTS,
    VIRGA_QUOTA_IMAGES,
    VIRGA_QUOTA_KEY_PAIRS,
    VIRGA_QUOTA_LAUNCH_TEMPLATES,
    VIRGA_QUOTA_PLACEMENT_GROUPS,
    VIRGA_QUOTA_ELASTIC_IPS,
    VIRGA_QUOTA_VPCS,
    VIRGA_QUOTA_INTERNET_GATEWAYS,
    VIRGA_QUOTA_DHCP_OPTIONS,
    VIRGA_QUOTA_LOAD_BALANCERS,
    VIRGA_QUOTA_TARGET_GROUPS,
    VIRGA_QUOTA_NAT_GATEWAYS, /* until it is deleted or has failed */
    VIRGA_QUOTA_FILE_SYSTEMS, /* until their bytes are gone */
    VIRGA_QUOTA_COUNTED,
    /* Limits of one object, counted under its lock by who adds to it. */
    VIRGA_QUOTA_GROUPS_PER_VPC = VIRGA_QUOTA_COUNTED,
    VIRGA_QUOTA_RULES_PER_GROUP,
    VIRGA_QUOTA_VERSIONS_PER_TEMPLATE,
    VIRGA_QUOTA_BLOCKS_PER_VPC,
    VIRGA_QUOTA_SUBNETS_PER_VPC,
    VIRGA_QUOTA_ROUTE_TABLES_PER_VPC,
    VIRGA_QUOTA_ROUTES_PER_TABLE,
    VIRGA_QUOTA_ACLS_PER_VPC,
    VIRGA_QUOTA_RULES_PER_ACL,
    VIRGA_QUOTA_IMPORT_TASKS, /* of an account */
    VIRGA_QUOTA_RESOURCES,
} VirgaQuotaResource;

/* Copies the configured limits into the database. */
bool virga_quota_configure(VirgaTxn *txn, const VirgaConfig *config, GError **error);

typedef struct {
    gint64 of[VIRGA_QUOTA_COUNTED]; /* negative: given back */
} VirgaQuotaAmounts;

/* Claims, gives back, or both.  Fails with QUOTA and the noun of what there would be too much of:
 * "instance", "vcpu", "volume", "volume size", "snapshot", "image", "key pair", "launch template",
 * "placement group", "address", "vpc", "internet gateway", "dhcp options", "nat gateway". */
bool virga_quota_change(VirgaTxn *txn, const char *account_id, const VirgaQuotaAmounts *amounts,
                        GError **error);

/* The two halves of it (virga_txn_send()), of the same amounts. */
bool virga_quota_change_send(VirgaTxn *txn, const char *account_id,
                             const VirgaQuotaAmounts *amounts, GError **error);
bool virga_quota_change_receive(VirgaTxn *txn, const VirgaQuotaAmounts *amounts, GError **error);

/* The same for one resource. */
bool virga_quota_claim(VirgaTxn *txn, const char *account_id, VirgaQuotaResource resource,
                       gint64 amount, GError **error);

/* The limit of a resource. */
bool virga_quota_limit(VirgaTxn *txn, const char *account_id, VirgaQuotaResource resource,
                       gint64 *ret_limit, GError **error);

/* Changes of several accounts, summed up so that each row is taken once, at the end. */
typedef struct VirgaQuotaBook VirgaQuotaBook;
VirgaQuotaBook *virga_quota_book_new(void);
void virga_quota_book_free(VirgaQuotaBook *book);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaQuotaBook, virga_quota_book_free)
void virga_quota_book_add(VirgaQuotaBook *book, const char *account_id, VirgaQuotaResource resource,
                          gint64 amount);
bool virga_quota_book_write(VirgaTxn *txn, const VirgaQuotaBook *book, GError **error);
