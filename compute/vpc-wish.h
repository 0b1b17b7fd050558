/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a host's wish that is about VPCs, for host-wish.c. */
#pragma once

#include "core/db.h"

#include <json-glib/json-glib.h>

/* What the names of instances end in, as in AWS: private and public ones.  The caller's. */
char *virga_wish_domain(const char *region);
char *virga_wish_public_domain(const char *region);

/* Appends to 'plans' those that are newer than what the host has ('known', id -> generation, may be
 * NULL), and to 'ids' the ids of all of its VPCs, both with commas between; *ret_stale: it has some
 * that are none of its own any more. */
bool virga_wish_plans(VirgaTxn *txn, const char *host_id, JsonObject *known, const char *region,
                      GString *plans, GString *ids, bool *ret_stale, GError **error);

/* Appends the first column of all rows, with commas between. */
void virga_wish_append(GString *json, const VirgaRows *rows);
