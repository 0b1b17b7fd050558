/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of guests' screens. */
#pragma once

#include <glib.h>

/* A PNG or PPM (P6) picture as JPEG, which EC2 shows.  The caller owns the result; NULL, noun
 * "screen", INVALID, if it is no such picture or too large. */
GBytes *virga_screen_to_jpeg(GBytes *picture, GError **error);
