/* SPDX-License-Identifier: Apache-2.0 */
/* One call of an API action: what a handler knows besides the request's own members. */
#pragma once

#include "api/wire.h"
#include "core/arena.h"

#include <glib.h>
#include <stdbool.h>

typedef struct VirgaDb VirgaDb;
typedef struct VirgaTxn VirgaTxn;

struct VirgaCaller;

/* Everything is a loan that lives as long as the call. */
struct VirgaCall {
    VirgaArena *arena; /* of request and response; gone once the answer is encoded */
    const char *request_id;
    const char *account_id; /* 12 digits */
    const char *principal_arn;
    const char *user_id;
    const char *access_key_id;
    const char *source_ip;            /* "unix" for local callers */
    const struct VirgaCaller *caller; /* with rights (api/authorize.h) */
    const VirgaWireService *service;
    const VirgaWireAction *wire; /* the action's tables */
    const char *action;
    const char *version; /* of the API, as the caller sent it; NULL if it did not */
    const char *region;
    bool dry_run;
    VirgaDb *db;
    gpointer services; /* what virgad hands to its handlers */
    /* A transaction whose commit a handler has sent (virga_txn_commit_send()): the answer is
     * encoded meanwhile, and given if it succeeds.  Owned by the call; NULL: none. */
    VirgaTxn *committing;
};

/* Waits for the commit that was sent, if one was. */
bool virga_call_commit(VirgaCall *call, GError **error);

/* For handlers of actions with a DryRun member: called after every check and before the first
 * change.  Fails with DryRunOperation if the caller asked for no more than the checks. */
bool virga_call_dry_run(const VirgaCall *call, GError **error);
