/* SPDX-License-Identifier: Apache-2.0 */
/* virga image: brings disk images into the cloud. */
#include "cli.h"

#include "core/error.h"
#include "core/http-fetch.h"
#include "storage/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALL_MS         10000
#define FETCH_BYTES_MAX (1ll << 40)
#define FETCH_S         3600

static const char usage[] =
    "Usage: virga image import NAME FILE-OR-URL [OPTION…]   make an image of a disk\n"
    "       virga image list                               show the images\n";

typedef struct {
    char *description, *boot_mode;
    gboolean is_public;
} ImportOptions;

/* The image that has this name and these bytes already, the caller's; "" if the name is free; NULL
 * with an error if it is taken. */
static char *
find_same(Cli *cli, const char *name, const char *sha256, GError **error)
{
    g_autoptr(JsonNode) node = cli_call(cli, "GET", "/operator/v1/images", NULL, CALL_MS, error);
    JsonObject *answer = node ? json_node_get_object(node) : NULL;

    for (guint i = 0; answer && i < cli_length(answer, "images"); i++) {
        JsonObject *image = cli_element(answer, "images", i);

        if (!g_str_equal(cli_text(image, "name"), name))
            continue;
        if (g_str_equal(cli_text(image, "source_sha256"), sha256))
            return g_strdup(cli_text(image, "id"));
        virga_fail(error, "image", VIRGA_ERROR_EXISTS,
                   "there is an image \"%s\" (%s) with other content: choose another name, or "
                   "\"aws ec2 deregister-image --image-id %s\" first",
                   name, cli_text(image, "id"), cli_text(image, "id"));
        return NULL;
    }
    return answer ? g_strdup("") : NULL;
}

static bool
hash_file(const char *file, char hex[static 65], GError **error)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    struct stat status;
    bool done;

    if (fd < 0)
        return virga_fail_errno(error, "disk image", errno, "could not open \"%s\"", file);
    if (fstat(fd, &status) == 0 && !S_ISREG(status.st_mode))
        done = virga_fail(error, "disk image", VIRGA_ERROR_INVALID, "\"%s\" is not a file", file);
    else
        done = virga_file_sha256(fd, hex, error);
    close(fd);
    return done;
}

static void
add_parameter(GString *path, const char *name, const char *value)
{
    g_autofree char *escaped = value ? g_uri_escape_string(value, NULL, FALSE) : NULL;

    if (escaped)
        g_string_append_printf(path, "&%s=%s", name, escaped);
}

static char *
upload(Cli *cli, const char *name, const char *file, const ImportOptions *options, GError **error)
{
    g_autofree char *escaped = g_uri_escape_string(name, NULL, FALSE);
    g_autoptr(GString) path = g_string_new("/operator/v1/snapshots?name=");
    g_autoptr(JsonNode) node = NULL;

    g_string_append(path, escaped);
    add_parameter(path, "description", options->description);
    add_parameter(path, "boot-mode", options->boot_mode);
    add_parameter(path, "public", options->is_public ? "true" : NULL);
    node = cli_upload(cli, path->str, file, error);
    return node ? g_strdup(cli_text(json_node_get_object(node), "image")) : NULL;
}

static char *
import_file(Cli *cli, const char *name, const char *file, const ImportOptions *options,
            GError **error)
{
    g_autofree char *id = NULL;
    struct stat status;
    char sha256[65];

    if (!hash_file(file, sha256, error))
        return NULL;
    id = find_same(cli, name, sha256, error);
    if (!id)
        return NULL;
    if (*id) {
        g_printerr("the image is there already\n");
        return g_steal_pointer(&id);
    }
    if (stat(file, &status) == 0)
        g_printerr("importing %" G_GINT64_FORMAT " MiB\n", (gint64) status.st_size >> 20);
    return upload(cli, name, file, options, error);
}

static char *
import_url(Cli *cli, const char *name, const char *url, const ImportOptions *options,
           GError **error)
{
    g_autofree char *file = g_build_filename(g_get_tmp_dir(), "virga-image-XXXXXX", NULL);
    VirgaFetch fetch = { .scope = VIRGA_FETCH_ANY,
                         .bytes_max = FETCH_BYTES_MAX,
                         .timeout_s = FETCH_S };
    int fd = g_mkstemp_full(file, O_RDWR | O_CLOEXEC, 0600);
    char *id = NULL;

    if (fd < 0) {
        virga_fail_errno(error, "disk image", errno, "could not make a file in %s",
                         g_get_tmp_dir());
        return NULL;
    }
    g_printerr("fetching %s\n", url);
    if (virga_http_fetch(url, fd, &fetch, error))
        id = import_file(cli, name, file, options, error);
    close(fd);
    unlink(file);
    return id;
}

static int
image_import(int argc, char **argv)
{
    g_auto(Cli) cli = { 0 };
    ImportOptions options = { 0 };
    GOptionEntry entries[] = {
        { "description", 0, 0, G_OPTION_ARG_STRING, &options.description, "What it is", "TEXT" },
        { "boot-mode", 0, 0, G_OPTION_ARG_STRING, &options.boot_mode,
          "legacy-bios (default), uefi or uefi-preferred", "MODE" },
        { "public", 0, 0, G_OPTION_ARG_NONE, &options.is_public, "For all accounts to use", NULL },
        { NULL },
    };
    g_autofree char *id = NULL;
    g_autoptr(GError) error = NULL;
    bool is_url;

    cli_parse(&cli, &argc, &argv, "NAME FILE-OR-URL",
              "Makes an image of a disk in the formats raw, qcow2 or vmdk and prints its id.  The "
              "same name\nwith the same content is there already and remains.",
              entries, 2, 2);
    if (!cli_need_root("image"))
        return 1;
    is_url = g_str_has_prefix(argv[2], "http://") || g_str_has_prefix(argv[2], "https://");
    id = is_url ? import_url(&cli, argv[1], argv[2], &options, &error)
                : import_file(&cli, argv[1], argv[2], &options, &error);
    g_free(options.description);
    g_free(options.boot_mode);
    if (!id)
        return cli_fail("%s", error->message);
    g_print("%s\n", id);
    return 0;
}

static int
image_list(int argc, char **argv)
{
    g_auto(Cli) cli = { 0 };
    g_autoptr(JsonNode) node = NULL;
    g_autoptr(GError) error = NULL;
    JsonObject *answer;

    cli_parse(&cli, &argc, &argv, NULL, "Shows the images of all accounts.", NULL, 0, 0);
    if (!cli_need_root("image"))
        return 1;
    node = cli_call(&cli, "GET", "/operator/v1/images", NULL, CALL_MS, &error);
    if (!node)
        return cli_fail("%s", error->message);
    answer = json_node_get_object(node);
    for (guint i = 0; i < cli_length(answer, "images"); i++) {
        JsonObject *image = cli_element(answer, "images", i);

        g_print("%s  %-24s %3" G_GINT64_FORMAT " GiB  %-14s %-7s %s\n", cli_text(image, "id"),
                cli_text(image, "name"), cli_int(image, "size_gib"), cli_text(image, "boot_mode"),
                cli_bool(image, "public") ? "public" : "private", cli_text(image, "description"));
    }
    return 0;
}

int
cmd_image(int argc, char **argv)
{
    if (argc >= 2 && g_str_equal(argv[1], "import")) {
        argv[1] = (char *) "virga image import";
        return image_import(argc - 1, argv + 1);
    }
    if (argc >= 2 && g_str_equal(argv[1], "list")) {
        argv[1] = (char *) "virga image list";
        return image_list(argc - 1, argv + 1);
    }
    if (argc >= 2 && (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h"))) {
        g_print("%s", usage);
        return 0;
    }
    g_printerr("%s", usage);
    return CLI_WRONG_USE;
}
