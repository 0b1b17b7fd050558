/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "core/process.h"

#include <sys/types.h>

/* Starts 'path', and answers its attempts to use IPv6 as a kernel without it does. */
bool virga_ipv4_spawn(const char *path, const char *const *argv, const int standard[static 3],
                      pid_t *ret_pid, GError **error);

/* Starts 'path' with these descriptors as its standard ones. */
bool virga_confined_spawn(const char *path, const char *const *argv,
                          const VirgaConfinement *confinement, const int standard[static 3],
                          pid_t *ret_pid, GError **error);
