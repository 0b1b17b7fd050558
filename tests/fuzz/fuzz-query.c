/* SPDX-License-Identifier: Apache-2.0 */
/* Form bytes to a request struct, to filters, and XML out of what was decoded. */
#include "api/filter.h"
#include "api/wire.h"
#include "tec2.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const guint8 *data, size_t size);

#define HANDLER(name, Name)                                                                        \
    bool tec2_##name(VirgaCall *call, const Tec2##Name##Request *request,                          \
                     Tec2##Name##Response *response, GError **error)                               \
    {                                                                                              \
        return true;                                                                               \
    }
HANDLER(create_tags, CreateTags)
HANDLER(describe_instances, DescribeInstances)
HANDLER(describe_volumes, DescribeVolumes)
HANDLER(import_key_pair, ImportKeyPair)
HANDLER(run_instances, RunInstances)
HANDLER(associate_dhcp_options, AssociateDhcpOptions)

static const VirgaFilterField fields[] = {
    { "volume-id", "VolumeId" },
    { "size", "Size" },
    { "attachment.device", "Attachments.Device" },
};

static void
filter(VirgaArena *arena, const Tec2DescribeVolumesRequest *request)
{
    Tec2Tag tag = { .key = "Name", .value = "web" };
    Tec2Volume volume = { .volume_id = "vol-1", .size = 8, .has_size = true, .tags = { &tag, 1 } };
    VirgaFilter *compiled =
        virga_filter_new(arena, fields, &tec2_volume_shape, &request->filters, NULL);

    if (compiled)
        virga_filter_match(compiled, &volume, NULL, NULL);
}

int
LLVMFuzzerTestOneInput(const guint8 *data, size_t size)
{
    static const char *const actions[] = { "RunInstances", "DescribeVolumes", "CreateTags",
                                           "ImportKeyPair" };
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(GError) error = NULL;
    VirgaWireParameters parameters = { 0 };
    const VirgaWireAction *action;
    VirgaWireProtocol protocol;
    VirgaWireAction echo;
    void *request;

    if (size == 0)
        return 0;
    action = virga_wire_action(&tec2_service, actions[data[0] % 4]);
    protocol = data[0] & 4 ? VIRGA_WIRE_QUERY : VIRGA_WIRE_EC2;
    if (!virga_wire_parse_form(arena, (const char *) data + 1, size - 1, &parameters, &error))
        return 0;
    request = virga_wire_decode(arena, protocol, action->input, &parameters, &error);
    if (!request)
        return 0;
    /* The request's own tables encode it as well. */
    echo = *action;
    echo.output = action->input;
    g_string_free(virga_wire_encode(&tec2_service, &echo, request, NULL, "r", 0), TRUE);
    if (data[0] % 4 == 1)
        filter(arena, request);
    return 0;
}
