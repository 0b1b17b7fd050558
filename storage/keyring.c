/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/keyring.h"

#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOUN           "keyring"
#define KEY_BYTES      32
#define NONCE_BYTES    12
#define TAG_BYTES      16
#define HEAD_BYTES     (1 + NONCE_BYTES) /* version, nonce */
#define VERSION        1
#define FILE_BYTES_MAX 65536
#define ID_CHARS_MAX   32

typedef struct {
    char id[ID_CHARS_MAX + 1];
    guint8 bytes[KEY_BYTES];
} Key;

struct VirgaKeyring {
    GArray *keys; /* Key, never empty */
};

/* ---- the file ---- */

char *
virga_keyring_path(const VirgaConfig *config)
{
    const char *path = virga_config_text(config, "storage", "key-encryption-keys");

    return *path ? g_strdup(path) : virga_config_path(config, "keys/volumes");
}

static bool
check_owner(int fd, const char *path, GError **error)
{
    struct stat status;

    if (fstat(fd, &status) < 0)
        return virga_fail_errno(error, NOUN, errno, "could not look at \"%s\"", path);
    if (!S_ISREG(status.st_mode) || status.st_mode & 077)
        return virga_fail(error, NOUN, VIRGA_ERROR_DENIED,
                          "\"%s\" can be read by others than its owner: chmod 600 it", path);
    return true;
}

static int
open_file(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0 && errno == ENOENT)
        virga_fail(error, NOUN, VIRGA_ERROR_NOT_FOUND, "there is no \"%s\"", path);
    else if (fd < 0)
        virga_fail_errno(error, NOUN, errno, "could not open \"%s\"", path);
    return fd;
}

bool
virga_keyring_check(const char *path, GError **error)
{
    int fd = open_file(path, error);
    bool done = fd >= 0 && check_owner(fd, path, error);

    if (fd >= 0)
        close(fd);
    return done;
}

static bool
is_id(const char *text)
{
    gsize length = strlen(text);

    return length > 0 && length <= ID_CHARS_MAX &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-") == length;
}

static bool
add_line(GArray *keys, const char *line)
{
    g_auto(GStrv) words = g_strsplit(line, " ", -1);
    g_autofree guchar *bytes = NULL;
    gsize size;
    Key key = { 0 };
    bool valid = g_strv_length(words) == 2 && is_id(words[0]);

    if (valid) {
        bytes = g_base64_decode(words[1], &size);
        valid = size == KEY_BYTES;
        if (valid)
            memcpy(key.bytes, bytes, size);
        explicit_bzero(bytes, size);
        explicit_bzero(words[1], strlen(words[1]));
    }
    for (guint i = 0; valid && i < keys->len; i++)
        valid = !g_str_equal(g_array_index(keys, Key, i).id, words[0]);
    if (valid) {
        g_strlcpy(key.id, words[0], sizeof key.id);
        g_array_append_val(keys, key);
    }
    explicit_bzero(&key, sizeof key);
    return valid;
}

static bool
read_keys(int fd, const char *path, GArray *keys, GError **error)
{
    g_autofree char *text = g_malloc0(FILE_BYTES_MAX);
    ssize_t got = pread(fd, text, FILE_BYTES_MAX - 1, 0);
    char *rest = text, *line;
    unsigned number = 0;
    bool valid = true;

    if (got < 0)
        return virga_fail_errno(error, NOUN, errno, "could not read \"%s\"", path);
    while (valid && (line = strsep(&rest, "\n"))) {
        number++;
        valid = !*line || *line == '#' || add_line(keys, line);
    }
    explicit_bzero(text, FILE_BYTES_MAX);
    if (!valid)
        return virga_fail(error, NOUN, VIRGA_ERROR_INVALID, "line %u of \"%s\" is no key", number,
                          path);
    return keys->len > 0 ||
           virga_fail(error, NOUN, VIRGA_ERROR_INVALID, "\"%s\" holds no key", path);
}

/* Never over one that is there: the keys in it may be all that opens the volumes. */
static bool
make_file(const char *path, GError **error)
{
    g_autofree char *temporary = g_strdup_printf("%s.%d", path, (int) getpid());
    g_autofree char *encoded = NULL, *text = NULL;
    guint8 bytes[KEY_BYTES], id[4];
    bool made;

    gnutls_rnd(GNUTLS_RND_KEY, bytes, sizeof bytes);
    gnutls_rnd(GNUTLS_RND_NONCE, id, sizeof id);
    encoded = g_base64_encode(bytes, sizeof bytes);
    text = g_strdup_printf("kek-%02x%02x%02x%02x %s\n", id[0], id[1], id[2], id[3], encoded);
    made = g_file_set_contents_full(temporary, text, -1, G_FILE_SET_CONTENTS_DURABLE, 0600, error);
    if (made && link(temporary, path) < 0 && errno != EEXIST)
        made = virga_fail_errno(error, NOUN, errno, "could not make \"%s\"", path);
    unlink(temporary);
    explicit_bzero(bytes, sizeof bytes);
    explicit_bzero(encoded, strlen(encoded));
    explicit_bzero(text, strlen(text));
    return made;
}

static bool
sync_directory(const char *path, GError **error)
{
    g_autofree char *directory = g_path_get_dirname(path);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool done = fd >= 0 && fsync(fd) == 0;

    if (!done)
        virga_fail_errno(error, NOUN, errno, "could not sync \"%s\"", directory);
    if (fd >= 0)
        close(fd);
    return done;
}

VirgaKeyring *
virga_keyring_open(const char *path, bool make, GError **error)
{
    g_autoptr(VirgaKeyring) keyring = g_new0(VirgaKeyring, 1);
    bool read;
    int fd;

    keyring->keys = g_array_new(FALSE, TRUE, sizeof(Key));
    if (make && access(path, F_OK) < 0 && errno == ENOENT &&
        (!make_file(path, error) || !sync_directory(path, error)))
        return NULL;
    fd = open_file(path, error);
    if (fd < 0)
        return NULL;
    read = check_owner(fd, path, error) && read_keys(fd, path, keyring->keys, error);
    close(fd);
    return read ? g_steal_pointer(&keyring) : NULL;
}

void
virga_keyring_free(VirgaKeyring *keyring)
{
    if (!keyring)
        return;
    explicit_bzero(keyring->keys->data, keyring->keys->len * sizeof(Key));
    g_array_free(keyring->keys, TRUE);
    g_free(keyring);
}

/* ---- wrapping ---- */

static const Key *
find_key(const VirgaKeyring *keyring, const char *id)
{
    for (guint i = 0; i < keyring->keys->len; i++)
        if (g_str_equal(g_array_index(keyring->keys, Key, i).id, id))
            return &g_array_index(keyring->keys, Key, i);
    return NULL;
}

static gnutls_aead_cipher_hd_t
open_cipher(const Key *key)
{
    gnutls_datum_t datum = { (unsigned char *) key->bytes, KEY_BYTES };
    gnutls_aead_cipher_hd_t cipher;
    int failure = gnutls_aead_cipher_init(&cipher, GNUTLS_CIPHER_AES_256_GCM, &datum);

    if (failure)
        g_error("no AES-256-GCM: %s", gnutls_strerror(failure));
    return cipher;
}

const char *
virga_keyring_current(const VirgaKeyring *keyring)
{
    return g_array_index(keyring->keys, Key, 0).id;
}

char *
virga_keyring_wrap(const VirgaKeyring *keyring, const char *id, const guint8 *bytes, gsize size)
{
    gnutls_aead_cipher_hd_t cipher = open_cipher(&g_array_index(keyring->keys, Key, 0));
    gsize sealed = size + TAG_BYTES;
    g_autofree guint8 *wrapped = g_malloc(HEAD_BYTES + sealed);
    int failure;

    wrapped[0] = VERSION;
    gnutls_rnd(GNUTLS_RND_RANDOM, wrapped + 1, NONCE_BYTES);
    failure = gnutls_aead_cipher_encrypt(cipher, wrapped + 1, NONCE_BYTES, id, strlen(id),
                                         TAG_BYTES, bytes, size, wrapped + HEAD_BYTES, &sealed);
    gnutls_aead_cipher_deinit(cipher);
    if (failure)
        g_error("cannot wrap a key: %s", gnutls_strerror(failure));
    return g_base64_encode(wrapped, HEAD_BYTES + sealed);
}

bool
virga_keyring_unwrap(const VirgaKeyring *keyring, const char *kek_id, const char *id,
                     const char *wrapped, guint8 *bytes, gsize size, GError **error)
{
    const Key *key = find_key(keyring, kek_id);
    gnutls_aead_cipher_hd_t cipher;
    g_autofree guchar *sealed = NULL;
    gsize sealed_size, opened = size;
    int failure = -1;

    if (!key)
        return virga_fail(error, NOUN, VIRGA_ERROR_NOT_FOUND,
                          "the key-encryption key \"%s\" is not in the keyring", kek_id);
    sealed = g_base64_decode(wrapped, &sealed_size);
    if (sealed_size == HEAD_BYTES + size + TAG_BYTES && sealed[0] == VERSION) {
        cipher = open_cipher(key);
        failure =
            gnutls_aead_cipher_decrypt(cipher, sealed + 1, NONCE_BYTES, id, strlen(id), TAG_BYTES,
                                       sealed + HEAD_BYTES, size + TAG_BYTES, bytes, &opened);
        gnutls_aead_cipher_deinit(cipher);
    }
    return (failure == 0 && opened == size) ||
           virga_fail(error, NOUN, VIRGA_ERROR_INVALID,
                      "\"%s\" was not wrapped by the key-encryption key \"%s\" of this keyring", id,
                      kek_id);
}
