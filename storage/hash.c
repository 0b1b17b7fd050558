/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/hash.h"

#include "core/error.h"

#include <errno.h>
#include <gnutls/crypto.h>
#include <unistd.h>

#define BLOCK_BYTES ((gsize) 1 << 20)

struct VirgaHash {
    gnutls_hash_hd_t handle; /* NULL once it is ended */
};

VirgaHash *
virga_hash_new(void)
{
    VirgaHash *hash = g_new0(VirgaHash, 1);

    /* It fails only without memory, and then so does everything. */
    if (gnutls_hash_init(&hash->handle, GNUTLS_DIG_SHA256) < 0)
        g_error("could not begin a hash");
    return hash;
}

void
virga_hash_add(VirgaHash *hash, const void *bytes, gsize size)
{
    gnutls_hash(hash->handle, bytes, size);
}

bool
virga_hash_add_file(VirgaHash *hash, int fd, gint64 end, GError **error)
{
    g_autofree guint8 *block = g_malloc(BLOCK_BYTES);
    gint64 at = 0;

    while (end < 0 || at < end) {
        gsize wanted = end < 0 ? BLOCK_BYTES : (gsize) MIN(end - at, (gint64) BLOCK_BYTES);
        ssize_t got = pread(fd, block, wanted, at);

        if (got < 0)
            return virga_fail_errno(error, "file", errno, "could not read what is to be hashed");
        if (got == 0)
            return end < 0 ||
                   virga_fail(error, "file", VIRGA_ERROR_INTERNAL, "a file is shorter than it was");
        virga_hash_add(hash, block, (gsize) got);
        at += got;
    }
    return true;
}

void
virga_hash_end(VirgaHash *hash, char hex[static VIRGA_SHA256_CHARS])
{
    guint8 digest[VIRGA_SHA256_CHARS / 2];

    gnutls_hash_deinit(g_steal_pointer(&hash->handle), digest);
    for (size_t i = 0; i < sizeof digest; i++)
        g_snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

void
virga_hash_free(VirgaHash *hash)
{
    if (hash->handle)
        gnutls_hash_deinit(hash->handle, NULL);
    g_free(hash);
}

bool
virga_file_sha256(int fd, char hex[static VIRGA_SHA256_CHARS], GError **error)
{
    g_autoptr(VirgaHash) hash = virga_hash_new();

    if (!virga_hash_add_file(hash, fd, -1, error))
        return false;
    virga_hash_end(hash, hex);
    return true;
}
