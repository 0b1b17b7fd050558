/* SPDX-License-Identifier: Apache-2.0 */
/* JSON that somebody else wrote.
 *
 * JSON-GLib recurses for each bracket and allocates for each value, without bounds: a small text
 * can end a daemon.  So all foreign bytes come through here. */
#pragma once

#include <glib.h>
#include <json-glib/json-glib.h>

#define VIRGA_JSON_DEPTH_MAX  32
#define VIRGA_JSON_VALUES_MAX (2u << 20)

/* Parses 'size' bytes (-1: up to the NUL); the caller owns the result, never NULL on success.
 * Noun "request", INVALID: no UTF-8, no JSON, too deep, or too many values. */
JsonNode *virga_json_parse(const char *text, gssize size, GError **error);
