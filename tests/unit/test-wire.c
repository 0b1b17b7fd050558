/* SPDX-License-Identifier: Apache-2.0 */
#include "api/errors.h"
#include "api/wire.h"
#include "core/error.h"
#include "tec2.h"

#include <string.h>

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

static void *
decode(VirgaArena *arena, const VirgaWireShape *shape, const char *form, GError **error)
{
    VirgaWireParameters parameters = { 0 };

    if (!virga_wire_parse_form(arena, form, strlen(form), &parameters, error))
        return NULL;
    return virga_wire_decode(arena, VIRGA_WIRE_EC2, shape, &parameters, error);
}

static void
test_run_instances(void)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(GError) error = NULL;
    const Tec2RunInstancesRequest *request =
        decode(arena, &tec2_run_instances_request_shape,
               "Action=RunInstances&Version=2016-11-15&ImageId=ami-1&MinCount=1&MaxCount=+2%20"
               "&X-Amz-Date=1",
               &error);

    g_assert_null(request); /* blanks around a number */
    g_assert_true(virga_api_error_is(error, "InvalidParameterValue"));
    g_clear_error(&error);
    request = decode(arena, &tec2_run_instances_request_shape,
                     "Action=RunInstances&Version=2016-11-15&ImageId=ami-1&MinCount=1&MaxCount=2"
                     "&SecurityGroupId.10=sg-c&SecurityGroupId.2=sg-b&SecurityGroupId.1=sg-a"
                     "&BlockDeviceMapping.1.DeviceName=%2Fdev%2Fvda"
                     "&BlockDeviceMapping.1.Ebs.VolumeSize=20"
                     "&BlockDeviceMapping.1.Ebs.DeleteOnTermination=TRUE"
                     "&NetworkInterface.1.DeviceIndex=0"
                     "&NetworkInterface.1.SecurityGroupId.1=sg-x"
                     "&TagSpecification.1.ResourceType=instance"
                     "&TagSpecification.1.Tag.1.Key=Name&TagSpecification.1.Tag.1.Value=a+b%26c"
                     "&InstanceType=virga.tiny&DryRun=false&Signature=x",
                     &error);
    g_assert_no_error(error);
    g_assert_cmpstr(request->image_id, ==, "ami-1");
    g_assert_true(request->has_max_count);
    g_assert_cmpint(request->max_count, ==, 2);
    g_assert_cmpuint(request->security_group_ids.count, ==, 3);
    g_assert_cmpstr(request->security_group_ids.items[0], ==, "sg-a");
    g_assert_cmpstr(request->security_group_ids.items[2], ==, "sg-c");
    g_assert_cmpint(request->block_device_mappings.items[0].ebs->volume_size, ==, 20);
    g_assert_true(request->block_device_mappings.items[0].ebs->delete_on_termination);
    g_assert_false(request->block_device_mappings.items[0].ebs->has_encrypted);
    g_assert_cmpstr(request->network_interfaces.items[0].groups.items[0], ==, "sg-x");
    g_assert_cmpstr(request->tag_specifications.items[0].tags.items[0].value, ==, "a b&c");
    g_assert_cmpstr(request->instance_type, ==, "virga.tiny"); /* an open enum */
    g_assert_true(request->has_dry_run);
    g_assert_false(request->has_ebs_optimized);
    g_assert_null(request->placement);
}

static void
test_blob(void)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(GError) error = NULL;
    const Tec2ImportKeyPairRequest *request =
        decode(arena, &tec2_import_key_pair_request_shape,
               "KeyName=k&PublicKeyMaterial=c3NoLXJzYQ%3D%3D", &error);

    g_assert_no_error(error);
    g_assert_cmpmem(request->public_key_material.data, request->public_key_material.length,
                    "ssh-rsa", 7);
}

typedef struct {
    const VirgaWireShape *shape;
    const char *form;
    const char *code;
    const char *says;
} Refusal;

static const Refusal refusals[] = {
    { &tec2_run_instances_request_shape, "MinCount=1", "MissingParameter",
      "The request must contain the parameter MaxCount" },
    { &tec2_create_tags_request_shape, "Tag.1.Key=a", "MissingParameter", "ResourceId" },
    { &tec2_describe_volumes_request_shape, "Nonsense=1", "UnknownParameter",
      "The parameter Nonsense is not recognized" },
    { &tec2_describe_volumes_request_shape, "Filter=a", "UnknownParameter", "Filter" },
    { &tec2_describe_volumes_request_shape, "VolumeId=a&VolumeId.1=a", "UnknownParameter",
      "VolumeId" },
    { &tec2_describe_volumes_request_shape, "VolumeId.01=a", "UnknownParameter", "VolumeId.01" },
    { &tec2_describe_volumes_request_shape, "VolumeId.1.2=a", "UnknownParameter", "VolumeId.1.2" },
    { &tec2_describe_volumes_request_shape, "VolumeId.1=a&VolumeId.1.2=a", "UnknownParameter",
      "VolumeId.1.2" },
    { &tec2_describe_volumes_request_shape, "VolumeId.=a", "UnknownParameter", "VolumeId." },
    { &tec2_describe_volumes_request_shape, "VolumeId.99999999=a", "UnknownParameter", "99999" },
    { &tec2_describe_volumes_request_shape, "VolumeId.x=a", "UnknownParameter", "VolumeId.x" },
    { &tec2_describe_volumes_request_shape, ".=a", "UnknownParameter", "." },
    { &tec2_describe_volumes_request_shape, "Filter.1=", "UnknownParameter", "Filter.1" },
    { &tec2_describe_volumes_request_shape, "MaxResults=5&MaxResults=5",
      "InvalidParameterCombination", "MaxResults" },
    { &tec2_describe_volumes_request_shape, "MaxResults=x", "InvalidParameterValue", "MaxResults" },
    { &tec2_describe_volumes_request_shape, "MaxResults=2147483648", "InvalidParameterValue",
      "MaxResults" },
    { &tec2_describe_volumes_request_shape, "DryRun=maybe", "InvalidParameterValue", "DryRun" },
    { &tec2_describe_volumes_request_shape, "VolumeId.1=%zz", "MalformedQueryString", "hex" },
    { &tec2_describe_volumes_request_shape, "VolumeId.1=%4", "MalformedQueryString", "hex" },
    { &tec2_describe_volumes_request_shape, "VolumeId.1=%ff", "MalformedQueryString", "UTF-8" },
    { &tec2_describe_volumes_request_shape, "VolumeId.1=a%00b", "MalformedQueryString", "UTF-8" },
    { &tec2_describe_volumes_request_shape, "=1", "MalformedQueryString", "no name" },
    { &tec2_run_instances_request_shape,
      "MinCount=1&MaxCount=1&InstanceInitiatedShutdownBehavior=explode", "InvalidParameterValue",
      "Valid values: stop, terminate" },
    { &tec2_import_key_pair_request_shape, "KeyName=k&PublicKeyMaterial=%21%21%21%21",
      "InvalidParameterValue", "base64" },
};

/* python3-libcloud counts from 0, and names a list of one without an index. */
static void
test_old_lists(void)
{
    static const char *const forms[] = { "VolumeId=vol-1", "VolumeId.0=vol-1", "VolumeId.7=vol-1" };

    for (gsize i = 0; i < G_N_ELEMENTS(forms); i++) {
        g_autoptr(VirgaArena) arena = virga_arena_new();
        g_autoptr(GError) error = NULL;
        const Tec2DescribeVolumesRequest *request =
            decode(arena, &tec2_describe_volumes_request_shape, forms[i], &error);

        g_assert_no_error(error);
        g_assert_cmpuint(request->volume_ids.count, ==, 1);
        g_assert_cmpstr(request->volume_ids.items[0], ==, "vol-1");
    }
}

static void
test_refusals(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(refusals); i++) {
        g_autoptr(VirgaArena) arena = virga_arena_new();
        g_autoptr(GError) error = NULL;

        g_test_message("%s", refusals[i].form);
        g_assert_null(decode(arena, refusals[i].shape, refusals[i].form, &error));
        if (!virga_api_error_is(error, refusals[i].code) ||
            !strstr(error->message, refusals[i].says))
            g_error("%s: %s: %s", refusals[i].form, g_quark_to_string(error->domain),
                    error->message);
    }
}

static void
test_many(void)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(GError) error = NULL;
    g_autoptr(GString) form = g_string_new("Action=DescribeVolumes");
    const Tec2DescribeVolumesRequest *request;

    for (int i = VIRGA_WIRE_PARAMETERS_MAX - 1; i > 0; i--)
        g_string_append_printf(form, "&VolumeId.%d=vol-%d", i, i);
    request = decode(arena, &tec2_describe_volumes_request_shape, form->str, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(request->volume_ids.count, ==, VIRGA_WIRE_PARAMETERS_MAX - 1);
    for (int i = 1; i < VIRGA_WIRE_PARAMETERS_MAX; i++) {
        g_autofree char *id = g_strdup_printf("vol-%d", i);
        g_assert_cmpstr(request->volume_ids.items[i - 1], ==, id);
    }
    g_string_append(form, "&DryRun=true");
    g_assert_null(decode(arena, &tec2_describe_volumes_request_shape, form->str, &error));
    g_assert_true(virga_api_error_is(error, "RequestLimitExceeded"));
}

static void
test_member_lists(void)
{
    static const VirgaWireShape text = { .name = "S", .type = VIRGA_WIRE_STRING, .size = 8 };
    static const VirgaWireShape list = { .name = "L",
                                         .type = VIRGA_WIRE_LIST,
                                         .size = sizeof(VirgaWireList),
                                         .element = &text,
                                         .element_name = "member" };
    static const VirgaWireMember members[] = { { "Names", "Names", "Names", &list, 0 } };
    static const guint16 order[] = { 0 };
    static const VirgaWireShape shape = { .name = "R",
                                          .type = VIRGA_WIRE_STRUCT,
                                          .size = sizeof(VirgaWireList),
                                          .members = members,
                                          .by_input = order,
                                          .member_count = 1 };
    static const char *const good[] = { "Names.member.1=a&Names.member.2=b", "Names=", NULL };
    static const char *const bad[] = { "Names.1=a", "Names.member=a", "Names.other.1=a",
                                       "Names.member.1=a&Names.other.1=b", NULL };

    for (int i = 0; good[i]; i++) {
        g_autoptr(VirgaArena) arena = virga_arena_new();
        g_autoptr(GError) error = NULL;
        VirgaWireParameters parameters = { 0 };
        VirgaWireList *out;

        virga_wire_parse_form(arena, good[i], strlen(good[i]), &parameters, NULL);
        out = virga_wire_decode(arena, VIRGA_WIRE_QUERY, &shape, &parameters, &error);
        g_assert_no_error(error);
        g_assert_cmpuint(out->count, ==, i == 0 ? 2 : 0);
    }
    for (int i = 0; bad[i]; i++) {
        g_autoptr(VirgaArena) arena = virga_arena_new();
        VirgaWireParameters parameters = { 0 };

        virga_wire_parse_form(arena, bad[i], strlen(bad[i]), &parameters, NULL);
        g_assert_null(virga_wire_decode(arena, VIRGA_WIRE_QUERY, &shape, &parameters, NULL));
    }
}

static void
fill(VirgaArena *arena, Tec2Instance *instance)
{
    instance->instance_id = "i-0123456789abcdef0";
    instance->state = virga_arena_new_array(arena, Tec2InstanceState, 1);
    instance->state->code = 16;
    instance->state->has_code = true;
    instance->state->name = "running";
    instance->launch_time = G_GINT64_CONSTANT(1767323045678000);
    instance->ebs_optimized = false;
    instance->has_ebs_optimized = true;
    instance->tags.items = virga_arena_new_array(arena, Tec2Tag, 1);
    instance->tags.count = 1;
    instance->tags.items[0].key = "Name";
    instance->tags.items[0].value = "<a> & \"b\"\x01\xEF\xBF\xBE\xff\xC3\xA4";
}

static Tec2DescribeInstancesResponse *
describe(VirgaArena *arena, gsize count)
{
    Tec2DescribeInstancesResponse *response =
        virga_arena_new_array(arena, Tec2DescribeInstancesResponse, 1);
    Tec2Reservation *reservation = virga_arena_new_array(arena, Tec2Reservation, 1);

    response->reservations.items = reservation;
    response->reservations.count = 1;
    reservation->reservation_id = "r-1";
    reservation->instances.items = virga_arena_new_array(arena, Tec2Instance, count);
    reservation->instances.count = count;
    for (gsize i = 0; i < count; i++)
        fill(arena, &reservation->instances.items[i]);
    return response;
}

static void
assert_has(const GString *xml, const char *part)
{
    if (!strstr(xml->str, part))
        g_error("no %s in %s", part, xml->str);
}

static void
test_encode(void)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    const VirgaWireAction *action = virga_wire_action(&tec2_service, "DescribeInstances");
    g_autoptr(GString) xml =
        virga_wire_encode(&tec2_service, action, describe(arena, 1), "2014-10-01", "req-1", 0);

    assert_has(xml, "<DescribeInstancesResponse "
                    "xmlns=\"http://ec2.amazonaws.com/doc/2014-10-01/\">"
                    "<requestId>req-1</requestId><reservationSet><item>");
    assert_has(xml, "<instanceState><code>16</code><name>running</name></instanceState>");
    assert_has(xml, "<launchTime>2026-01-02T03:04:05.678Z</launchTime>");
    assert_has(xml, "<ebsOptimized>false</ebsOptimized>");
    assert_has(xml, "<blockDeviceMapping/>");
    assert_has(xml, "<tagSet><item><key>Name</key><value>&lt;a&gt; &amp; &quot;b&quot;"
                    "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xC3\xA4</value></item></tagSet>");
    g_assert_null(strstr(xml->str, "enaSupport"));
    g_assert_null(strstr(xml->str, "placement"));
    g_assert_true(g_utf8_validate(xml->str, (gssize) xml->len, NULL));
}

static void
test_envelopes(void)
{
    static const char golden_return[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<AssociateDhcpOptionsResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">"
        "<requestId>req</requestId><return>true</return></AssociateDhcpOptionsResponse>\n";
    static const char golden_error[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<Response><Errors><Error><Code>Code</Code><Message>a &lt; b</Message></Error></Errors>"
        "<RequestID>req</RequestID></Response>\n";
    static const char golden_query_error[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<ErrorResponse xmlns=\"urn:x\"><Error><Type>Sender</Type><Code>Code</Code>"
        "<Message>no</Message></Error><RequestId>req</RequestId></ErrorResponse>\n";
    const VirgaWireAction *vpn = virga_wire_action(&tec2_service, "DescribeVpnGateways");
    Tec2AssociateDhcpOptionsResponse nothing = { 0 };
    g_autoptr(GString) done =
        virga_wire_encode(&tec2_service, virga_wire_action(&tec2_service, "AssociateDhcpOptions"),
                          &nothing, NULL, "req", 0);
    g_autoptr(GString) failed =
        virga_wire_encode_error(VIRGA_WIRE_EC2, "", 400, "Code", "a < b", "req");
    g_autoptr(GString) failed_query =
        virga_wire_encode_error(VIRGA_WIRE_QUERY, "urn:x", 400, "Code", "no", "req");
    g_autoptr(GString) empty = virga_wire_encode(&tec2_service, vpn, NULL, NULL, "req", 0);

    g_assert_cmpstr(done->str, ==, golden_return);
    g_assert_cmpstr(failed->str, ==, golden_error);
    g_assert_cmpstr(failed_query->str, ==, golden_query_error);
    g_assert_nonnull(vpn->empty);
    assert_has(empty, "<vpnGatewaySet/></DescribeVpnGatewaysResponse>");
    g_assert_null(virga_wire_action(&tec2_service, "CreateVpnGateway")->empty);
    g_assert_null(virga_wire_action(&tec2_service, "DescribeInstanceAttribute")->empty);
    g_assert_null(virga_wire_action(&tec2_service, "Explode"));
}

/* A structure that items share is written for each of them, in whichever member it stands. */
static void
test_shared(void)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    Tec2DescribeInstancesResponse *once = describe(arena, 1), *twice = describe(arena, 1);
    const VirgaWireAction *action = virga_wire_action(&tec2_service, "DescribeInstances");
    g_autoptr(GString) one = NULL, two = NULL;
    Tec2Instance *pair = virga_arena_new_array(arena, Tec2Instance, 2);
    gsize head, whole;

    pair[0] = pair[1] = once->reservations.items[0].instances.items[0];
    twice->reservations.items[0].instances.items = pair;
    twice->reservations.items[0].instances.count = 2;
    one = virga_wire_encode(&tec2_service, action, once, NULL, "req", 0);
    two = virga_wire_encode(&tec2_service, action, twice, NULL, "req", 0);
    head = (gsize) (strstr(one->str, "<instancesSet>") - one->str) + strlen("<instancesSet>");
    whole = (gsize) (strstr(one->str, "</instancesSet>") - one->str) - head;
    g_assert_cmpuint(two->len, ==, one->len + whole);
    g_assert_cmpmem(two->str, head + whole, one->str, head + whole);
    g_assert_cmpmem(two->str + head + whole, one->len - head, one->str + head, one->len - head);
}

static void
test_large(void)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    Tec2DescribeInstancesResponse *response = describe(arena, 1000);
    const VirgaWireAction *action = virga_wire_action(&tec2_service, "DescribeInstances");
    gint64 start = g_get_monotonic_time();
    g_autoptr(GString) xml = virga_wire_encode(&tec2_service, action, response, NULL, "req", 0);

    g_test_message("%" G_GSIZE_FORMAT " bytes in %" G_GINT64_FORMAT " us", xml->len,
                   g_get_monotonic_time() - start);
    g_assert_cmpuint(xml->len, >, 300000);
}

static void
assert_time(gint64 time_us, const char *text)
{
    g_autoptr(GString) out = g_string_new(NULL);

    virga_wire_append_time(out, time_us);
    g_assert_cmpstr(out->str, ==, text);
}

static void
test_times(void)
{
    assert_time(0, "1970-01-01T00:00:00.000Z");
    assert_time(-1000, "1969-12-31T23:59:59.999Z");
    assert_time(G_GINT64_CONSTANT(951782400) * G_USEC_PER_SEC, "2000-02-29T00:00:00.000Z");
    assert_time(G_MAXINT64, "9999-12-31T23:59:59.999Z");
    assert_time(G_MININT64, "0001-01-01T00:00:00.000Z");
}

static bool
collect(const char *text, gpointer user_data)
{
    g_string_append_printf(user_data, "%s ", text);
    return true;
}

static void
test_reflection(void)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(GString) seen = g_string_new(NULL);
    Tec2DescribeInstancesResponse *response = describe(arena, 2);
    const VirgaWireShape *shape = &tec2_describe_instances_result_shape;
    VirgaWirePath path;

    g_assert_true(virga_wire_path(shape, "Reservations.Instances.State.Code", &path));
    g_assert_true(virga_wire_values(&path, response, collect, seen));
    g_assert_cmpstr(seen->str, ==, "16 16 ");
    g_assert_false(virga_wire_path(shape, "Reservations", &path));
    g_assert_false(virga_wire_path(shape, "Reservations.Nothing", &path));
    g_assert_false(virga_wire_path(shape, "NextToken.X", &path));
    g_assert_false(virga_wire_path(shape, "", &path));
}

/* What is written as JSON is read back the same, also as another shape. */
static void
test_json(void)
{
    g_autoptr(VirgaArena) arena = virga_arena_new();
    g_autoptr(GError) error = NULL;
    const VirgaWireShape *shape = &tec2_run_instances_request_shape;
    const Tec2RunInstancesRequest *request =
        decode(arena, shape,
               "MinCount=1&MaxCount=2&ImageId=ami-1&SecurityGroupId.1=sg-a&SecurityGroupId.2=sg-b"
               "&BlockDeviceMapping.1.DeviceName=sdf&BlockDeviceMapping.1.Ebs.VolumeSize=0"
               "&BlockDeviceMapping.1.Ebs.Encrypted=false&UserData=%22%C3%A4%0A"
               "&InstanceMarketOptions.SpotOptions.ValidUntil=2026-01-02T03:04:05Z",
               &error);
    Tec2RunInstancesRequest over = { .image_id = "ami-2" };
    const Tec2RunInstancesRequest *read;
    char *text;

    g_assert_no_error(error);
    text = virga_wire_to_json(arena, shape, request);
    read = virga_wire_from_json(arena, shape, text, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(virga_wire_to_json(arena, shape, read), ==, text);
    g_assert_cmpstr(virga_wire_digest(arena, shape, read, NULL), ==,
                    virga_wire_digest(arena, shape, request, NULL));
    g_assert_cmpstr(read->user_data, ==, "\"\303\244\n");
    g_assert_true(read->block_device_mappings.items[0].ebs->has_encrypted);
    g_assert_false(read->block_device_mappings.items[0].ebs->has_delete_on_termination);
    g_assert_cmpint(read->instance_market_options->spot_options->valid_until, ==,
                    request->instance_market_options->spot_options->valid_until);
    virga_wire_inherit(shape, &over, read);
    g_assert_cmpstr(over.image_id, ==, "ami-2");
    g_assert_true(over.has_max_count);
    g_assert_cmpint(over.max_count, ==, 2);
    g_assert_cmpuint(over.security_group_ids.count, ==, 2);

    g_assert_nonnull(virga_wire_from_json(arena, &tec2_create_tags_request_shape, text, &error));
    g_assert_null(virga_wire_from_json(arena, shape, "{\"MinCount\": \"1\"}", &error));
    g_assert_true(virga_error_is(error, "stored request", VIRGA_ERROR_INTERNAL));
}

int
main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire/run-instances", test_run_instances);
    g_test_add_func("/wire/blob", test_blob);
    g_test_add_func("/wire/refusals", test_refusals);
    g_test_add_func("/wire/old-lists", test_old_lists);
    g_test_add_func("/wire/many", test_many);
    g_test_add_func("/wire/member-lists", test_member_lists);
    g_test_add_func("/wire/encode", test_encode);
    g_test_add_func("/wire/envelopes", test_envelopes);
    g_test_add_func("/wire/shared", test_shared);
    g_test_add_func("/wire/large", test_large);
    g_test_add_func("/wire/times", test_times);
    g_test_add_func("/wire/reflection", test_reflection);
    g_test_add_func("/wire/json", test_json);
    return g_test_run();
}
