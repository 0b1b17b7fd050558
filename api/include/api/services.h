/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers of every dialect find in VirgaCall.services: made once by virgad's main(). */
#pragma once

#include "api/page.h"
#include "api/session.h"
#include "core/config.h"
#include "core/db.h"
#include "storage/keyring.h"

typedef struct {
    VirgaConfig *config;
    VirgaDb *db;
    VirgaPager *pager;
    VirgaSealer *sealer; /* of temporary credentials */
    char *region;
    char **zones; /* whole names, "us-east-1a", NULL-terminated */
    char *store;  /* directory of snapshots' files */
} VirgaServices;

/* The key-encryption keys, the caller's: they are read for each use, which is seldom, and stay
 * nowhere.  Noun "volume key": STATE. */
VirgaKeyring *virga_services_keyring(const VirgaServices *services, GError **error);
