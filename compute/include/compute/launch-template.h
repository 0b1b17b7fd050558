/* SPDX-License-Identifier: Apache-2.0 */
/* Launch templates and their numbered versions.  What a version holds is a text to this module:
 * the dialect that was asked to keep it knows how to read it. */
#pragma once

#include "core/db.h"

typedef struct {
    char *id, *account_id, *name, *created_by;
    gint64 default_version, latest_version;
    gint64 next_version; /* no version has had this number */
    gint64 created;
} VirgaLaunchTemplate;

typedef struct {
    char *template_id, *template_name, *description, *created_by, *data;
    gint64 version;
    bool is_default;
    gint64 created;
} VirgaLaunchTemplateVersion;

/* The account's templates in order of id, in 'arena'; ids and names may be NULL. */
bool virga_launch_template_list(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                const char *const *ids, const char *const *names,
                                VirgaLaunchTemplate **ret, size_t *ret_count, GError **error);

/* One template, by id or (id NULL) by name, locked if it is to be changed.  Noun "launch template"
 * or "launch template name": NOT_FOUND. */
VirgaLaunchTemplate *virga_launch_template_get(VirgaTxn *txn, VirgaArena *arena,
                                               const char *account_id, const char *id,
                                               const char *name, bool lock, GError **error);

/* Makes a template with the id, account, name and author of 'made' and its first version.
 * Noun "launch template": EXISTS. */
bool virga_launch_template_create(VirgaTxn *txn, const VirgaLaunchTemplate *made,
                                  const char *description, const char *data, GError **error);

/* Adds the next version to a template that is locked.  Noun "launch template version": QUOTA. */
bool virga_launch_template_add_version(VirgaTxn *txn, const VirgaLaunchTemplate *of,
                                       const char *created_by, const char *description,
                                       const char *data, GError **error);

/* Noun "launch template version": NOT_FOUND. */
bool virga_launch_template_set_default(VirgaTxn *txn, const VirgaLaunchTemplate *of, gint64 version,
                                       GError **error);

/* Takes a version away; 'ret_deleted' is false if there was none.  Not the default one, which the
 * caller checks while the template is locked. */
bool virga_launch_template_delete_version(VirgaTxn *txn, const VirgaLaunchTemplate *of,
                                          gint64 version, bool *ret_deleted, GError **error);

bool virga_launch_template_delete(VirgaTxn *txn, const VirgaLaunchTemplate *gone, GError **error);

/* Versions of the template (NULL: of all of the account's) in order of template and number, in
 * 'arena'. */
bool virga_launch_template_versions(VirgaTxn *txn, VirgaArena *arena, const char *account_id,
                                    const char *template_id, VirgaLaunchTemplateVersion **ret,
                                    size_t *ret_count, GError **error);

/* One version.  Noun "launch template version": NOT_FOUND. */
VirgaLaunchTemplateVersion *virga_launch_template_version_get(VirgaTxn *txn, VirgaArena *arena,
                                                              const VirgaLaunchTemplate *of,
                                                              gint64 version, GError **error);
