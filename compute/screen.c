/* SPDX-License-Identifier: Apache-2.0 */
#include "screen.h"

#include "core/error.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h> /* needs stdio.h */

#define SIDE_MAX 4096 /* pixels */
#define QUALITY  80

typedef struct {
    guint width, height;
    guint8 *pixels; /* RGB */
} Picture;

static bool
check_size(Picture *picture, gint64 width, gint64 height, GError **error)
{
    if (width < 1 || height < 1 || width > SIDE_MAX || height > SIDE_MAX)
        return virga_fail(error, "screen", VIRGA_ERROR_INVALID, "a picture has an absurd size");
    picture->width = (guint) width;
    picture->height = (guint) height;
    picture->pixels = g_malloc((gsize) width * (gsize) height * 3);
    return true;
}

static bool
read_png(const guint8 *data, gsize size, Picture *picture, GError **error)
{
    png_image image = { .version = PNG_IMAGE_VERSION };
    bool done;

    done = png_image_begin_read_from_memory(&image, data, size) &&
           check_size(picture, image.width, image.height, error);
    image.format = PNG_FORMAT_RGB;
    done = done && png_image_finish_read(&image, NULL, picture->pixels, 0, NULL);
    if (!done && error && !*error)
        virga_fail(error, "screen", VIRGA_ERROR_INVALID, "a picture is no PNG: %s", image.message);
    png_image_free(&image);
    return done;
}

/* The next number of a PPM's head, after blanks and comments; -1: there is none. */
static gint64
ppm_number(const guint8 **at, const guint8 *end)
{
    gint64 number = 0;
    const guint8 *first;

    while (*at < end && (g_ascii_isspace(**at) || **at == '#')) {
        if (**at == '#')
            while (*at < end && **at != '\n')
                (*at)++;
        else
            (*at)++;
    }
    for (first = *at; *at < end && g_ascii_isdigit(**at) && *at - first < 6; (*at)++)
        number = number * 10 + (**at - '0');
    return *at == first ? -1 : number;
}

static bool
read_ppm(const guint8 *data, gsize size, Picture *picture, GError **error)
{
    const guint8 *at = data + 2, *end = data + size;
    gint64 width = ppm_number(&at, end), height = ppm_number(&at, end);
    gsize bytes;

    if (ppm_number(&at, end) != 255 || at == end)
        return virga_fail(error, "screen", VIRGA_ERROR_INVALID, "a picture is no PPM of 8 bits");
    at++; /* one blank */
    if (!check_size(picture, width, height, error))
        return false;
    bytes = (gsize) width * (gsize) height * 3;
    if ((gsize) (end - at) < bytes)
        return virga_fail(error, "screen", VIRGA_ERROR_INVALID, "a picture is cut off");
    memcpy(picture->pixels, at, bytes);
    return true;
}

/* libjpeg's own handler ends the program. */
typedef struct {
    struct jpeg_error_mgr base;
    jmp_buf out;
} JpegErrors;

static void
on_error(j_common_ptr jpeg)
{
    longjmp(((JpegErrors *) (void *) jpeg->err)->out, 1);
}

static void
write_lines(struct jpeg_compress_struct *jpeg, const Picture *picture)
{
    jpeg->image_width = picture->width;
    jpeg->image_height = picture->height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, QUALITY, TRUE);
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        JSAMPROW row = picture->pixels + (gsize) jpeg->next_scanline * picture->width * 3;

        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
}

static GBytes *
encode(const Picture *picture, GError **error)
{
    struct jpeg_compress_struct jpeg;
    JpegErrors errors;
    unsigned char *volatile data = NULL;
    unsigned long size = 0;
    unsigned char *bytes = NULL;
    GBytes *encoded = NULL;

    memset(&jpeg, 0, sizeof jpeg);
    jpeg.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = on_error;
    if (setjmp(errors.out) == 0) {
        jpeg_create_compress(&jpeg);
        jpeg_mem_dest(&jpeg, &bytes, &size);
        write_lines(&jpeg, picture);
        data = bytes;
    }
    jpeg_destroy_compress(&jpeg);
    if (data)
        encoded = g_bytes_new(data, size);
    else
        virga_fail(error, "screen", VIRGA_ERROR_INTERNAL, "could not encode a picture");
    free(data);
    return encoded;
}

GBytes *
virga_screen_to_jpeg(GBytes *source, GError **error)
{
    static const guint8 png[] = { 0x89, 'P', 'N', 'G' };
    Picture picture = { 0 };
    GBytes *encoded = NULL;
    gsize size;
    const guint8 *data = g_bytes_get_data(source, &size);
    bool read;

    if (size > sizeof png && memcmp(data, png, sizeof png) == 0)
        read = read_png(data, size, &picture, error);
    else if (size > 2 && memcmp(data, "P6", 2) == 0)
        read = read_ppm(data, size, &picture, error);
    else
        read = virga_fail(error, "screen", VIRGA_ERROR_INVALID, "a picture is of no known kind");
    if (read)
        encoded = encode(&picture, error);
    g_free(picture.pixels);
    return encoded;
}
