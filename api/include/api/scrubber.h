/* SPDX-License-Identifier: Apache-2.0 */
/* Reads the files of the store, one after the other, and says which are not what they were.  Where
 * it was is in the database: whoever comes next goes on with the file that waits the longest. */
#pragma once

#include "api/services.h"

typedef struct VirgaScrubber VirgaScrubber;

VirgaScrubber *virga_scrubber_new(VirgaServices *services);
void virga_scrubber_free(VirgaScrubber *scrubber);
