/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of server certificates: certificates with private keys that load balancers serve. */
#pragma once

#include "core/db.h"

typedef struct {
    char *id, *account_id, *name, *path, *arn;
    char *body, *chain; /* PEM; 'chain' may be NULL */
    char *private_key;  /* PEM; never read back */
    gint64 uploaded, expires;
} VirgaServerCertificate;

/* The account's by name, those whose path begins with 'path_prefix' or that is called 'name' (NULL:
 * all); bodies and chains, but no keys. */
bool virga_server_certificate_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                   const char *path_prefix, const char *name,
                                   VirgaServerCertificate **ret, size_t *ret_count, GError **error);

/* Makes the row; 'id', 'arn' and 'uploaded' are filled in, in 'arena'.  Noun "identity": EXISTS. */
bool virga_server_certificate_create(VirgaTxn *txn, VirgaArena *arena,
                                     VirgaServerCertificate *certificate, GError **error);

/* Noun "identity": NOT_FOUND; EXISTS for a name that is taken; IN_USE. */
bool virga_server_certificate_rename(VirgaTxn *txn, const char *account_id, const char *name,
                                     const char *new_path, const char *new_name, GError **error);
bool virga_server_certificate_delete(VirgaTxn *txn, const char *account_id, const char *name,
                                     GError **error);
