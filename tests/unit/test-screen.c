/* SPDX-License-Identifier: Apache-2.0 */
/* Pictures of screens: what comes in, and that nothing foreign gets through. */
#include "core/error.h"
#include "screen.h"

#include <png.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h> /* needs stdio.h */

/* The size of a JPEG picture, and its first pixel's red. */
static guint
decode(GBytes *picture, guint *width, guint *height)
{
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    guint8 line[64 * 3];
    JSAMPROW row = line;
    gsize size;
    const guint8 *data = g_bytes_get_data(picture, &size);

    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&jpeg);
    jpeg_mem_src(&jpeg, data, size);
    g_assert_cmpint(jpeg_read_header(&jpeg, TRUE), ==, JPEG_HEADER_OK);
    jpeg_start_decompress(&jpeg);
    *width = jpeg.output_width;
    *height = jpeg.output_height;
    g_assert_cmpuint(jpeg.output_width, <=, 64);
    jpeg_read_scanlines(&jpeg, &row, 1);
    jpeg_abort_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    return line[0];
}

static void
test_ppm(void)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) text = g_string_new("P6\n# of a test\n40 20\n255\n");
    g_autoptr(GBytes) picture = NULL, jpeg = NULL;
    guint width, height;

    for (int i = 0; i < 40 * 20; i++)
        g_string_append_len(text, "\xf0\x10\x10", 3);
    picture = g_bytes_new(text->str, text->len);
    jpeg = virga_screen_to_jpeg(picture, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(decode(jpeg, &width, &height), >, 200);
    g_assert_cmpuint(width, ==, 40);
    g_assert_cmpuint(height, ==, 20);
}

static void
test_png(void)
{
    g_autoptr(GError) error = NULL;
    png_image image = {
        .version = PNG_IMAGE_VERSION, .width = 33, .height = 7, .format = PNG_FORMAT_RGB
    };
    guint8 pixels[33 * 7 * 3];
    g_autofree guint8 *data = g_malloc(65536);
    png_alloc_size_t size = 65536;
    g_autoptr(GBytes) picture = NULL, cut = NULL, jpeg = NULL;
    guint width, height;

    memset(pixels, 0xff, sizeof pixels);
    g_assert_cmpint(png_image_write_to_memory(&image, data, &size, 0, pixels, 0, NULL), !=, 0);
    picture = g_bytes_new(data, size);
    jpeg = virga_screen_to_jpeg(picture, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(decode(jpeg, &width, &height), >, 250);
    g_assert_cmpuint(width, ==, 33);
    g_assert_cmpuint(height, ==, 7);
    cut = g_bytes_new(data, size / 2);
    g_assert_null(virga_screen_to_jpeg(cut, &error));
    g_assert_true(virga_error_is(error, "screen", VIRGA_ERROR_INVALID));
}

static void
test_refused(void)
{
    static const char *const refused[] = {
        "",
        "P6",
        "P6\n1 1\n255",
        "P6\n2 2\n255\nabc",
        "P6\n1 1\n65535\nabcdef",
        "P6\n0 1\n255\nabc",
        "P6\n5000 5000\n255\nabc",
        "P6\n999999999999 1\n255\nabc",
        "P5\n1 1\n255\na",
        "\x89PNG\r\n\x1a\n",
        "GIF89a",
    };

    for (size_t i = 0; i < G_N_ELEMENTS(refused); i++) {
        g_autoptr(GBytes) picture = g_bytes_new(refused[i], strlen(refused[i]));
        g_autoptr(GError) error = NULL;

        g_autofree char *shown = g_strescape(refused[i], NULL); /* TAP is lines of text */

        g_test_message("%s", shown);
        g_assert_null(virga_screen_to_jpeg(picture, &error));
        g_assert_true(virga_error_is(error, "screen", VIRGA_ERROR_INVALID));
    }
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/screen/ppm", test_ppm);
    g_test_add_func("/screen/png", test_png);
    g_test_add_func("/screen/refused", test_refused);
    return g_test_run();
}
