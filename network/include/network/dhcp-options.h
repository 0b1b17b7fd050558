/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of DHCP options.  A set never changes; a VPC is given another. */
#pragma once

#include "core/db.h"

#define VIRGA_DHCP_AMAZON_DNS "AmazonProvidedDNS" /* the VPC's own resolver */

typedef struct {
    char *id, *account_id;
    bool is_default; /* of new VPCs; its domain is the region's */
    /* NULL-terminated; NULL: the option is not named */
    char **domain_name, **domain_name_servers, **ntp_servers;
    char **netbios_name_servers, **netbios_node_type;
} VirgaDhcpOptions;

/* Makes a set; 'id' is filled in ('arena').  Noun "dhcp options": INVALID, QUOTA. */
bool virga_dhcp_options_create(VirgaTxn *txn, VirgaArena *arena, VirgaDhcpOptions *options,
                               GError **error);

/* Noun "dhcp options": NOT_FOUND, IN_USE (by VPCs). */
bool virga_dhcp_options_delete(VirgaTxn *txn, const char *account_id, const char *id,
                               GError **error);

/* The account's sets in order of id, in 'arena'; 'ids' NULL: all. */
bool virga_dhcp_options_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                             const char *const *ids, VirgaDhcpOptions **ret, size_t *ret_count,
                             GError **error);

/* The id of the set of new VPCs, made if it is not there. */
bool virga_dhcp_options_default(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                char **ret_id, GError **error);

/* Gives a VPC a set; NULL: none.  Nouns: "vpc", "dhcp options" NOT_FOUND. */
bool virga_dhcp_options_associate(VirgaTxn *txn, const char *account_id, const char *vpc_id,
                                  const char *id, GError **error);
