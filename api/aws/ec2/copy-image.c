/* SPDX-License-Identifier: Apache-2.0 */
/* CopyImage. */
#include "encryption.h"
#include "images.h"

#include "compute/image-create.h"
#include "core/id.h"

#define MINUTES_STEP 15
#define MINUTES_MAX  2880

typedef struct {
    VirgaImageCopy copy;
    Ec2Token token;
    Ec2NewTags image_tags, snapshot_tags;
    bool copy_tags, encrypted;
    const char *id; /* of the copy, this one's or that of the call before */
} Copy;

/* The caller's own tags of the source, under those that the request has. */
static bool
copy_tags(VirgaCall *call, VirgaTxn *txn, const Copy *asked, GError **error)
{
    const char *ids[] = { asked->copy.source_id, NULL };
    size_t count, kept = 0;
    VirgaTag *tags;

    if (!asked->copy_tags)
        return true;
    if (!virga_tag_list(txn, call->arena, call->account_id, ids, &tags, &count, error))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!g_str_has_prefix(tags[i].key, "aws:"))
            tags[kept++] = tags[i];
    return virga_tag_set(txn, call->account_id, asked->id, tags, kept, error);
}

static bool
copy(VirgaCall *call, VirgaTxn *txn, gpointer data, GError **error)
{
    Copy *asked = data;
    g_autofree char *id = virga_id_new("ami");
    const char *const *snapshot_ids;
    char *earlier;

    asked->id = asked->copy.id = virga_arena_strdup(call->arena, id);
    if (!ec2_token_take(call, txn, &asked->token, id, &earlier, error))
        return false;
    if (earlier) {
        asked->id = earlier;
        return true;
    }
    if (!ec2_settle_encryption(call, txn, asked->encrypted, &asked->copy.encrypted, error) ||
        !virga_image_copy(txn, call->arena, &asked->copy, &snapshot_ids, error) ||
        !copy_tags(call, txn, asked, error) ||
        !ec2_tags_set(call, txn, id, &asked->image_tags, error))
        return false;
    for (; *snapshot_ids; snapshot_ids++)
        if (!ec2_tags_set(call, txn, *snapshot_ids, &asked->snapshot_tags, error))
            return false;
    return true;
}

static bool
check(const VirgaCall *call, const Ec2CopyImageRequest *request, GError **error)
{
    gint64 minutes = request->snapshot_copy_completion_duration_minutes;
    const struct {
        bool given;
        const char *name;
    } others[] = {
        { request->destination_outpost_arn, "DestinationOutpostArn" },
        { request->destination_availability_zone, "DestinationAvailabilityZone" },
        { request->destination_availability_zone_id, "DestinationAvailabilityZoneId" },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(others); i++)
        if (others[i].given)
            return ec2_unsupported(error, others[i].name);
    if (!g_str_equal(request->source_region, call->region))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "Value (%.100s) for parameter sourceRegion is invalid.",
                              request->source_region);
    if (request->has_snapshot_copy_completion_duration_minutes &&
        (minutes < MINUTES_STEP || minutes > MINUTES_MAX || minutes % MINUTES_STEP))
        return virga_api_fail(error, "InvalidParameterValue", 400,
                              "SnapshotCopyCompletionDurationMinutes must be a multiple of %d and "
                              "at most %d",
                              MINUTES_STEP, MINUTES_MAX);
    return ec2_check_kms_key(call, request->encrypted, request->kms_key_id, error) &&
           virga_api_check_id(request->source_image_id, "ami", "InvalidAMIID.Malformed", error) &&
           ec2_check_image_name(request->name, error);
}

bool
ec2_copy_image(VirgaCall *call, const Ec2CopyImageRequest *request, Ec2CopyImageResult *response,
               GError **error)
{
    static const char *const tagged[] = { "image", "snapshot", NULL };
    Copy asked = { .copy = { .account_id = call->account_id,
                             .source_id = request->source_image_id,
                             .name = request->name,
                             .description = request->description },
                   .copy_tags = request->copy_image_tags,
                   .encrypted = request->encrypted };

    if (!check(call, request, error) ||
        !ec2_check_tag_specifications(&request->tag_specifications, tagged, error) ||
        !ec2_token_read(call, &ec2_copy_image_request_shape, request, request->client_token,
                        &asked.token, error))
        return false;
    asked.image_tags = ec2_new_tags(call, &request->tag_specifications, "image");
    asked.snapshot_tags = ec2_new_tags(call, &request->tag_specifications, "snapshot");
    if (!ec2_transaction(call, copy, &asked, error))
        return false;
    response->image_id = asked.id;
    return true;
}
