/* SPDX-License-Identifier: Apache-2.0 */
/* One value between its text and its place in a struct; private to the codec. */
#pragma once

#include "api/wire.h"

/* Large enough for the text of any number or time. */
#define VIRGA_WIRE_TEXT_SIZE 48

/* Parses 'text' into the value at 'out', checking the shape's limits.  'name' is the parameter that
 * an InvalidParameterValue names. */
bool virga_wire_scalar_parse(VirgaArena *arena, const VirgaWireShape *shape, const char *name,
                             const char *text, void *out, GError **error);

/* The text of the value at 'value', in 'buffer' or a loan of the value itself; NULL if a string is
 * absent.  Blobs are not texts: NULL. */
const char *virga_wire_scalar_text(VirgaWireType type, const void *value,
                                   char buffer[static VIRGA_WIRE_TEXT_SIZE]);

/* True if the structure has a value of this member; an empty list is none. */
bool virga_wire_given(const VirgaWireMember *member, const void *structure);
