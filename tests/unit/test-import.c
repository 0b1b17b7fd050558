/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/import.h"

#include "core/error.h"

#include <string.h>

static void
put_big(guint8 *at, guint64 value, int bytes)
{
    for (int i = bytes; i-- > 0; value >>= 8)
        at[i] = (guint8) value;
}

static void
make_qcow2(guint8 head[static VIRGA_IMPORT_HEAD_BYTES])
{
    memset(head, 0, VIRGA_IMPORT_HEAD_BYTES);
    memcpy(head, "QFI\xfb", 4);
    put_big(head + 4, 3, 4);
    put_big(head + 24, 64 << 20, 8);
}

static void
assert_format(const guint8 *head, gsize length, const char *format)
{
    g_autoptr(GError) error = NULL;

    g_assert_cmpstr(virga_import_format(head, length, &error), ==, format);
    g_assert_no_error(error);
}

static void
assert_refused(const guint8 *head, gsize length, VirgaErrorCode code)
{
    g_autoptr(GError) error = NULL;

    g_assert_null(virga_import_format(head, length, &error));
    g_assert_true(virga_error_is(error, "disk image", code));
}

static void
test_qcow2(void)
{
    guint8 head[VIRGA_IMPORT_HEAD_BYTES];

    make_qcow2(head);
    assert_format(head, sizeof head, "qcow2");
    assert_refused(head, 60, VIRGA_ERROR_INVALID);
    put_big(head + 8, 512, 8); /* backing file */
    assert_refused(head, sizeof head, VIRGA_ERROR_INVALID);
    make_qcow2(head);
    put_big(head + 32, 1, 4); /* encryption */
    assert_refused(head, sizeof head, VIRGA_ERROR_UNSUPPORTED);
    make_qcow2(head);
    put_big(head + 72, 4, 8); /* data file */
    assert_refused(head, sizeof head, VIRGA_ERROR_INVALID);
    make_qcow2(head);
    put_big(head + 4, 1, 4); /* version */
    assert_refused(head, sizeof head, VIRGA_ERROR_INVALID);
}

static void
test_vmdk(void)
{
    guint8 head[VIRGA_IMPORT_HEAD_BYTES] = "KDMV";

    assert_refused(head, sizeof head, VIRGA_ERROR_INVALID); /* no capacity: a list of files */
    head[13] = 8;
    assert_format(head, sizeof head, "vmdk");
    assert_refused(head, 40, VIRGA_ERROR_INVALID);
    assert_refused((const guint8 *) "# Disk DescriptorFile\nRW 1 FLAT", 32,
                   VIRGA_ERROR_UNSUPPORTED);
}

static void
test_others(void)
{
    guint8 head[VIRGA_IMPORT_HEAD_BYTES] = { 0 };

    assert_format(head, 512, "raw");
    assert_refused(head, 511, VIRGA_ERROR_INVALID);
    assert_refused(head, 0, VIRGA_ERROR_INVALID);
    memcpy(head, "\x1f\x8b", 2);
    assert_refused(head, sizeof head, VIRGA_ERROR_UNSUPPORTED);
    memcpy(head, "conectix", 8);
    assert_refused(head, sizeof head, VIRGA_ERROR_UNSUPPORTED);
}

/* No length and no byte makes it read beyond what it was given (under ASan). */
static void
test_any_bytes(void)
{
    static const char *const magics[] = { "QFI\xfb", "KDMV", "LUKS", "" };

    for (int i = 0; i < 4000; i++) {
        gsize length = (gsize) g_test_rand_int_range(0, 200);
        g_autofree guint8 *head = g_malloc(MAX(length, 1));
        const char *magic = magics[i % 4];

        for (gsize at = 0; at < length; at++)
            head[at] = (guint8) g_test_rand_int_range(0, 256);
        memcpy(head, magic, MIN(length, strlen(magic)));
        virga_import_format(head, length, NULL);
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/import/qcow2", test_qcow2);
    g_test_add_func("/import/vmdk", test_vmdk);
    g_test_add_func("/import/others", test_others);
    g_test_add_func("/import/any-bytes", test_any_bytes);
    return g_test_run();
}
