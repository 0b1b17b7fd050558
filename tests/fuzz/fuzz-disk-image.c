/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a disk image that somebody brings: what qemu-img is never shown. */
#include "storage/import.h"

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
    /* As long as it is, so that a byte behind it is seen to be read. */
    g_autofree guint8 *head = g_memdup2(data, size);

    virga_import_format(head, size, NULL);
    return 0;
}
