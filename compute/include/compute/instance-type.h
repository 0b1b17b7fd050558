/* SPDX-License-Identifier: Apache-2.0 */
/* Instance types: EC2's familiar sizes, NcMg ones, and those of the configuration file. */
#pragma once

#include "core/config.h"

typedef struct {
    const char *name;
    gint64 vcpus, memory_mib;
    gint64 bandwidth_mbit;                /* of each network interface, each way; 0: no limit */
    gint64 interfaces_max, addresses_max; /* network interfaces; private addresses of each */
} VirgaInstanceType;

/* The type of this name, or NULL.  A loan for the life of the program. */
const VirgaInstanceType *virga_instance_type_find(const VirgaConfig *config, const char *name);

/* All types in order of name, a GPtrArray of loans; the caller owns the array. */
GPtrArray *virga_instance_type_list(const VirgaConfig *config);

/* The CPU credits that an instance of this type has unless it says otherwise ("standard",
 * "unlimited"), or NULL if the type is none that has credits. */
const char *virga_instance_type_credits(const char *name);
