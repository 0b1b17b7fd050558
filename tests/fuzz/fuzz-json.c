/* SPDX-License-Identifier: Apache-2.0 */
/* Path, query and body of a REST-JSON request to a struct, and JSON out of what was decoded. */
#include "api/wire.h"
#include "tefs.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

#define HANDLER(name, Name)                                                                        \
    bool tefs_##name(VirgaCall *call, const Tefs##Name##Request *request,                          \
                     Tefs##Name##Response *response, GError **error)                               \
    {                                                                                              \
        return true;                                                                               \
    }
HANDLER(create_file_system, CreateFileSystem)
HANDLER(create_mount_target, CreateMountTarget)
HANDLER(describe_file_systems, DescribeFileSystems)
HANDLER(tag_resource, TagResource)

/* The first line is "METHOD PATH?QUERY", the rest is the body. */
int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autofree char *text = g_strndup((const char *) data, size);
    char *body = strchr(text, '\n');
    char *path = strchr(text, ' ');
    VirgaWireParameters parameters = { 0 }, query = { 0 };
    const VirgaWireAction *action;
    VirgaWireAction echo;
    char *asked;
    void *request;

    if (!body || !path || path > body)
        return 0;
    *body++ = *path++ = '\0';
    asked = strchr(path, '?');
    if (asked)
        *asked++ = '\0';
    action = virga_wire_rest_action(arena, &tefs_service, text, path, &parameters, NULL);
    if (!action || !action->handler ||
        (asked && !virga_wire_parse_form(arena, asked, strlen(asked), &query, NULL)) ||
        !virga_wire_rest_query(arena, action->input, &query, &parameters, NULL) ||
        !virga_wire_rest_body(arena, body, strlen(body), &parameters, NULL))
        return 0;
    request = virga_wire_decode(arena, VIRGA_WIRE_REST_JSON, action->input, &parameters, NULL);
    if (!request)
        return 0;
    /* The request's own tables encode it as well. */
    echo = *action;
    echo.output = action->input;
    g_string_free(virga_wire_encode_json(&echo, request), TRUE);
    return 0;
}
