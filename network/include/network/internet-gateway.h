/* SPDX-License-Identifier: Apache-2.0 */
/* Internet gateways: without one, public addresses of a VPC mean nothing. */
#pragma once

#include "core/db.h"

typedef struct {
    char *id, *account_id, *vpc_id; /* NULL: not attached */
} VirgaInternetGateway;

/* Noun "internet gateway": QUOTA. */
bool virga_internet_gateway_create(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                   char **ret_id, GError **error);

/* Noun "internet gateway": NOT_FOUND, IN_USE while it is attached. */
bool virga_internet_gateway_delete(VirgaTxn *txn, const char *account_id, const char *id,
                                   GError **error);

/* Nouns: "internet gateway" NOT_FOUND, EXISTS (it is attached), INVALID (the VPC has another);
 * "vpc" NOT_FOUND. */
bool virga_internet_gateway_attach(VirgaTxn *txn, const char *account_id, const char *id,
                                   const char *vpc_id, GError **error);

/* Routes to it become black holes.  Noun "internet gateway": NOT_FOUND, STATE (it is not attached
 * there), IN_USE (the VPC has public addresses). */
bool virga_internet_gateway_detach(VirgaTxn *txn, const char *account_id, const char *id,
                                   const char *vpc_id, GError **error);

/* Noun "internet gateway": STATE if the VPC has none. */
bool virga_internet_gateway_require(VirgaTxn *txn, const char *vpc_id, GError **error);

/* The account's gateways in order of id, in 'arena'; 'ids' NULL: all. */
bool virga_internet_gateway_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                 const char *const *ids, VirgaInternetGateway **ret,
                                 size_t *ret_count, GError **error);
