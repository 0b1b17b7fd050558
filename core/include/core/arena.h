/* SPDX-License-Identifier: Apache-2.0 */
/* Memory with one lifetime: whatever belongs to a request is taken from its arena and goes with
 * it.  Nothing in an arena is freed alone. */
#pragma once

#include <glib.h>

typedef struct VirgaArena VirgaArena;

VirgaArena *virga_arena_new(void);
void virga_arena_free(VirgaArena *arena);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaArena, virga_arena_free)

/* Zeroed memory for 'count' elements of 'size' bytes, aligned for any type.  Never fails; a count
 * of 0 gives NULL.  Aborts on overflow, so callers bound foreign counts first. */
void *virga_arena_alloc(VirgaArena *arena, gsize count, gsize size);
#define virga_arena_new_array(arena, Type, count)                                                  \
    ((Type *) virga_arena_alloc((arena), (count), sizeof(Type)))

/* Copies of text; NULL stays NULL. */
char *virga_arena_strdup(VirgaArena *arena, const char *text);
char *virga_arena_strndup(VirgaArena *arena, const char *text, gsize length);
char *virga_arena_printf(VirgaArena *arena, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* Calls 'destroy' for 'object' when the arena goes, before any of its memory does. */
void virga_arena_own(VirgaArena *arena, gpointer object, GDestroyNotify destroy);

/* Bytes taken so far, overhead of blocks included: for limits and tests. */
gsize virga_arena_size(const VirgaArena *arena);
