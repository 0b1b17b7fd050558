/* SPDX-License-Identifier: Apache-2.0 */
/* The SHA-256 of bytes that come in pieces. */
#pragma once

#include <glib.h>
#include <stdbool.h>

#define VIRGA_SHA256_CHARS 65 /* in hex, with the zero at the end */

typedef struct VirgaHash VirgaHash;

VirgaHash *virga_hash_new(void);
void virga_hash_add(VirgaHash *hash, const void *bytes, gsize size);
/* The bytes of a file from its start up to 'end' (-1: all of them).  Noun "file": INTERNAL. */
bool virga_hash_add_file(VirgaHash *hash, int fd, gint64 end, GError **error);
/* Ends it; nothing can be added any more. */
void virga_hash_end(VirgaHash *hash, char hex[static VIRGA_SHA256_CHARS]);
void virga_hash_free(VirgaHash *hash);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VirgaHash, virga_hash_free)

/* That of a whole file. */
bool virga_file_sha256(int fd, char hex[static VIRGA_SHA256_CHARS], GError **error);
