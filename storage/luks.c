/* SPDX-License-Identifier: Apache-2.0 */
#include "luks.h"

#include "core/error.h"
#include "core/json.h"
#include "core/process.h"
#include "qcow2.h"
#include "storage/encrypt.h"

#include <errno.h>
#include <fcntl.h>
#include <json-glib/json-glib.h>
#include <string.h>
#include <unistd.h>

#define CRYPT_METHOD_AT   32 /* in the header of a qcow2 file, big-endian */
#define CRYPT_METHOD_LUKS 2
#define FILES_MAX         256
#define MAKE_MS           120000
#define COPY_MS           3600000
/* QEMU measures by a clock that some machines advance in steps too large for it, and gives up. */
#define MAKE_ATTEMPTS 12
#define OBJECT        "secret,id=key,file=/dev/stdin"
/* The passphrase is random: nobody finds it by trying, however fast one try is. */
#define LUKS_OPTIONS "encrypt.format=luks,encrypt.key-secret=key,encrypt.iter-time=10"

bool
luks_is_encrypted(const char *path, bool *ret_encrypted, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    guint32 method;
    bool done = fd >= 0 && pread(fd, &method, sizeof method, CRYPT_METHOD_AT) == sizeof method;

    if (!done)
        virga_fail_errno(error, "volume", errno, "could not read \"%s\"", path);
    else
        *ret_encrypted = GUINT32_FROM_BE(method) == CRYPT_METHOD_LUKS;
    if (fd >= 0)
        close(fd);
    return done;
}

bool
luks_run(const char *const *argv, const char *passphrase, unsigned timeout_ms, GError **error)
{
    g_autoptr(GPtrArray) all = g_ptr_array_new();

    g_ptr_array_add(all, (gpointer) "qemu-img");
    g_ptr_array_add(all, (gpointer) *argv);
    if (passphrase) {
        g_ptr_array_add(all, (gpointer) "--object");
        g_ptr_array_add(all, (gpointer) OBJECT);
    }
    for (argv++; *argv; argv++)
        g_ptr_array_add(all, (gpointer) *argv);
    g_ptr_array_add(all, NULL);
    return virga_process_run((const char *const *) all->pdata, passphrase, timeout_ms, NULL, error);
}

bool
luks_make(const char *path, gint64 bytes, const char *passphrase, GError **error)
{
    g_autofree char *size = g_strdup_printf("%" G_GINT64_FORMAT, bytes);
    const char *argv[] = { "create", "-q", "-f", "qcow2", "-o", LUKS_OPTIONS, path, size, NULL };
    bool made = false;

    for (int i = 0; i < MAKE_ATTEMPTS && !made; i++) {
        g_autoptr(GError) reason = NULL;

        made = luks_run(argv, passphrase, MAKE_MS, &reason);
        if (!made && (i == MAKE_ATTEMPTS - 1 || !strstr(reason->message, "CPU usage"))) {
            g_propagate_error(error, g_steal_pointer(&reason));
            break;
        }
    }
    return made;
}

char **
luks_files(const char *path, GError **error)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    char *next = g_strdup(path);

    while (next && files->len < FILES_MAX) {
        g_ptr_array_add(files, next);
        if (!qcow2_read_header(files->pdata[files->len - 1], NULL, &next, error))
            return NULL;
    }
    if (next) {
        g_free(next);
        virga_fail(error, "volume", VIRGA_ERROR_INTERNAL, "\"%s\" stands on itself", path);
        return NULL;
    }
    g_ptr_array_add(files, NULL);
    return (char **) g_ptr_array_free(g_steal_pointer(&files), FALSE);
}

static void
add_node(JsonBuilder *json, const char *const *files, bool encrypted)
{
    json_builder_begin_object(json);
    json_builder_set_member_name(json, "driver");
    json_builder_add_string_value(json, "qcow2");
    if (encrypted) {
        json_builder_set_member_name(json, "encrypt.key-secret");
        json_builder_add_string_value(json, "key");
    }
    json_builder_set_member_name(json, "file");
    json_builder_begin_object(json);
    json_builder_set_member_name(json, "driver");
    json_builder_add_string_value(json, "file");
    json_builder_set_member_name(json, "filename");
    json_builder_add_string_value(json, *files);
    json_builder_end_object(json);
    json_builder_set_member_name(json, "backing");
    if (files[1])
        add_node(json, files + 1, encrypted);
    else
        json_builder_add_null_value(json);
    json_builder_end_object(json);
}

char *
luks_chain(const char *const *files, bool encrypted)
{
    g_autoptr(JsonBuilder) json = json_builder_new();
    g_autoptr(JsonNode) root = NULL;
    g_autofree char *text = NULL;

    add_node(json, files, encrypted);
    root = json_builder_get_root(json);
    text = json_to_string(root, FALSE);
    return g_strconcat("json:", text, NULL);
}

bool
luks_fill(const char *chain, const char *into, const char *passphrase, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(into, ",", -1);
    g_autofree char *name = g_strjoinv(",,", parts);
    g_autofree char *target = g_strconcat(
        "driver=qcow2,encrypt.key-secret=key,file.driver=file,file.filename=", name, NULL);
    const char *argv[] = { "convert", "-q", "-n", "--target-image-opts", chain, target, NULL };

    return luks_run(argv, passphrase, COPY_MS, error);
}

bool
virga_encrypt_begin(const char *const *files, const char *into, const char *passphrase,
                    GError **error)
{
    gint64 bytes;

    return qcow2_read_header(*files, &bytes, NULL, error) &&
           luks_make(into, bytes, passphrase, error);
}

bool
virga_encrypt_fill(const char *const *files, const char *into, const char *passphrase,
                   GError **error)
{
    g_autofree char *chain = luks_chain(files, false);

    return luks_fill(chain, into, passphrase, error);
}
