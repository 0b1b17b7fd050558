/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers of every dialect find in VirgaCall.services: made once by virgad's main(). */
#pragma once

#include "api/page.h"
#include "api/session.h"
#include "core/config.h"
#include "core/db.h"

typedef struct {
    VirgaConfig *config;
    VirgaDb *db;
    VirgaPager *pager;
    VirgaSealer *sealer; /* of temporary credentials */
    char *region;
    char **zones; /* whole names, "us-east-1a", NULL-terminated */
    char *store;  /* directory of snapshots' files */
} VirgaServices;
