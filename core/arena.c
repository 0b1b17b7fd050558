/* SPDX-License-Identifier: Apache-2.0 */
#include "core/arena.h"

#include <string.h>

#define BLOCK_BYTES ((gsize) 8192)
#define ALIGNMENT   ((gsize) 16)

typedef struct Block Block;
struct Block {
    Block *next;
    gsize used, size;
    _Alignas(16) char bytes[];
};

typedef struct Owned Owned;
struct Owned {
    Owned *next;
    gpointer object;
    GDestroyNotify destroy;
};

struct VirgaArena {
    Block *head;
    Owned *owned;
    gsize total;
};

VirgaArena *
virga_arena_new(void)
{
    return g_new0(VirgaArena, 1);
}

void
virga_arena_free(VirgaArena *arena)
{
    if (!arena)
        return;
    for (const Owned *owned = arena->owned; owned; owned = owned->next)
        owned->destroy(owned->object);
    for (Block *block = arena->head, *next; block; block = next) {
        next = block->next;
        g_free(block);
    }
    g_free(arena);
}

static Block *
add_block(VirgaArena *arena, gsize need)
{
    /* Blocks double, so that a large answer costs few of them. */
    gsize size = MAX(need, MIN(MAX(BLOCK_BYTES, arena->total), 64 * BLOCK_BYTES));
    Block *block = g_malloc(sizeof *block + size);

    block->used = 0;
    block->size = size;
    block->next = arena->head;
    arena->head = block;
    arena->total += sizeof *block + size;
    return block;
}

void *
virga_arena_alloc(VirgaArena *arena, gsize count, gsize size)
{
    gsize need;
    Block *block = arena->head;
    void *memory;

    if (!g_size_checked_mul(&need, count, size) || need > G_MAXSIZE / 2)
        g_error("arena: %" G_GSIZE_FORMAT " x %" G_GSIZE_FORMAT " bytes asked", count, size);
    if (need == 0)
        return NULL;
    need = (need + ALIGNMENT - 1) & ~(ALIGNMENT - 1);
    if (!block || block->size - block->used < need)
        block = add_block(arena, need);
    memory = block->bytes + block->used;
    block->used += need;
    return memset(memory, 0, need);
}

char *
virga_arena_strndup(VirgaArena *arena, const char *text, gsize length)
{
    char *copy;

    if (!text)
        return NULL;
    copy = virga_arena_alloc(arena, length + 1, 1);
    memcpy(copy, text, length);
    return copy;
}

char *
virga_arena_strdup(VirgaArena *arena, const char *text)
{
    return text ? virga_arena_strndup(arena, text, strlen(text)) : NULL;
}

char *
virga_arena_printf(VirgaArena *arena, const char *format, ...)
{
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    return virga_arena_strdup(arena, text);
}

void
virga_arena_own(VirgaArena *arena, gpointer object, GDestroyNotify destroy)
{
    Owned *owned = virga_arena_new_array(arena, Owned, 1);

    *owned = (Owned){ arena->owned, object, destroy };
    arena->owned = owned;
}

gsize
virga_arena_size(const VirgaArena *arena)
{
    return arena->total;
}
