/* SPDX-License-Identifier: Apache-2.0 */
/* The inside of messages; for server.c only. */
#pragma once

#include "api/server.h"

struct VirgaHttpResponse {
    unsigned status;
    GArray *headers; /* VirgaHttpHeader, texts owned */
    GBytes *body;
    int fd; /* -1: the answer is 'body' */
    guint64 offset, size;
};
