/* SPDX-License-Identifier: Apache-2.0 */
/* Between the files of the operator's API. */
#pragma once

#include "api/services.h"
#include "core/arena.h"
#include "core/db.h"

#include <json-glib/json-glib.h>
#include <stdbool.h>

/* Parts of answers, added as members to the object that 'json' is in. */
bool virga_operator_db_status(VirgaTxn *txn, VirgaArena *arena, JsonBuilder *json, GError **error);
/* What scrubbers have found. */
bool virga_operator_db_damage(VirgaTxn *txn, JsonBuilder *json, GError **error);
bool virga_operator_db_images(VirgaTxn *txn, JsonBuilder *json, GError **error);
bool virga_operator_db_claims(VirgaTxn *txn, JsonBuilder *json, GError **error);
/* Fails with NOT_FOUND when nothing is known of 'id'. */
bool virga_operator_db_why(VirgaTxn *txn, JsonBuilder *json, const char *id, GError **error);

/* Deactivates the account's other keys of 'principal'. */
bool virga_operator_db_retire_keys(VirgaTxn *txn, const char *account_id, const char *principal,
                                   const char *key_id, GError **error);

/* The first account, whose images an operator imports; in 'arena', NULL with NOT_FOUND. */
char *virga_operator_db_account(VirgaTxn *txn, VirgaArena *arena, GError **error);

/* The account's image called 'name', if there is one: its id, in 'arena', and what it was
 * imported from. */
bool virga_operator_db_image_named(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                   const char *name, char **ret_id, char **ret_source_sha256,
                                   GError **error);
bool virga_operator_db_set_source(VirgaTxn *txn, const char *snapshot_id, const char *source_sha256,
                                  GError **error);
bool virga_operator_db_has_snapshot(VirgaTxn *txn, const char *id, bool *ret, GError **error);

/* Instances that are to run: pairs of account and id. */
VirgaRows *virga_operator_db_wanted(VirgaTxn *txn, GError **error);

typedef struct {
    const char *account_id, *name, *description, *boot_mode;
    bool is_public;
    int fd; /* the upload */
} VirgaOperatorImport;

/* Makes a snapshot and an image of an upload; adds "image" and "created". */
bool virga_operator_import(VirgaServices *services, VirgaArena *arena,
                           const VirgaOperatorImport *import, JsonBuilder *json, GError **error);
