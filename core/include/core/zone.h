/* SPDX-License-Identifier: Apache-2.0 */
/* Ids of availability zones. */
#pragma once

#include <glib.h>

/* The id of the zone 'zone' of 'region' as AWS makes it: "use1-az1" for "us-east-1a".  The caller
 * owns it.  NULL if there is no zone. */
char *virga_zone_id(const char *region, const char *zone);
