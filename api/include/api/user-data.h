/* SPDX-License-Identifier: Apache-2.0 */
/* The user data of instances, as callers send them. */
#pragma once

#include "core/arena.h"

#include <stdbool.h>

/* Base64 without the encoder's line breaks, in 'arena'; *ret is NULL if there is nothing.  Fails
 * with InvalidUserData.Malformed, and with InvalidParameterValue past VIRGA_USER_DATA_BYTES_MAX
 * bytes of what it stands for. */
bool virga_user_data_read(VirgaArena *arena, const char *text, const char **ret, GError **error);
