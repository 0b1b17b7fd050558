/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of bandwidth towards guests: a token bucket on the tap, in which packets wait.  What
 * guests send is limited by the filter (policy.c): there it is dropped, for want of a queue. */
#include "kernel-priv.h"

#include "core/error.h"
#include "core/json.h"

#include <string.h>

#define BURST_MIN  (64 * 1024) /* bytes */
#define BURST_MS   20
#define LATENCY_MS 50

/* tap -> bytes/s of the ports of this host that have a limit. */
static GHashTable *
wanted_rates(const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    GHashTable *rates = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);

    for (guint i = 0; i < plan->ports->len; i++) {
        const VirgaVpcPort *port = plan->ports->pdata[i];
        gint64 rate = port->bandwidth_bps / 8;

        if (rate && virga_kernel_is_local(config, port))
            g_hash_table_insert(rates, virga_kernel_tap(config, port->id),
                                g_memdup2(&rate, sizeof rate));
    }
    return rates;
}

bool
virga_shape_wanted(const VirgaKernelConfig *config, const VirgaVpcPlan *plan)
{
    g_autoptr(GHashTable) rates = wanted_rates(config, plan);
    return g_hash_table_size(rates) > 0;
}

static void
append_commands(GString *text, JsonObject *qdisc, GHashTable *rates, const char *taps)
{
    const char *device = json_object_get_string_member_with_default(qdisc, "dev", "");
    const char *kind = json_object_get_string_member_with_default(qdisc, "kind", "");
    JsonObject *options = json_object_has_member(qdisc, "options")
                              ? json_object_get_object_member(qdisc, "options")
                              : NULL;
    bool shaped = g_str_equal(kind, "tbf");
    gint64 is = shaped && options ? json_object_get_int_member_with_default(options, "rate", 0) : 0;
    const gint64 *rate = g_hash_table_lookup(rates, device);

    if (!g_str_has_prefix(device, taps) ||
        !json_object_get_boolean_member_with_default(qdisc, "root", FALSE))
        return;
    if (rate && is != *rate)
        g_string_append_printf(text,
                               "qdisc replace dev %s root tbf rate %" G_GINT64_FORMAT
                               "bit burst %" G_GINT64_FORMAT " latency %dms\n",
                               device, *rate * 8, MAX(*rate * BURST_MS / 1000, BURST_MIN),
                               LATENCY_MS);
    else if (!rate && shaped)
        g_string_append_printf(text, "qdisc del dev %s root\n", device);
}

bool
virga_shape_diff(const VirgaKernelConfig *config, const VirgaVpcPlan *plan, const char *answer,
                 char **ret_batch, GError **error)
{
    g_autoptr(GHashTable) rates = wanted_rates(config, plan);
    g_autofree char *taps = g_strdup_printf("v%s", config->tag);
    g_autoptr(JsonNode) json = virga_json_parse(answer, -1, NULL);
    g_autoptr(GString) text = g_string_new(NULL);
    JsonArray *qdiscs;

    if (!json || !JSON_NODE_HOLDS_ARRAY(json))
        return virga_fail(error, "network", VIRGA_ERROR_INTERNAL,
                          "cannot read the answer of "
                          "\"tc\"");
    qdiscs = json_node_get_array(json);
    for (guint i = 0; i < json_array_get_length(qdiscs); i++)
        if (JSON_NODE_HOLDS_OBJECT(json_array_get_element(qdiscs, i)))
            append_commands(text, json_array_get_object_element(qdiscs, i), rates, taps);
    *ret_batch = text->len ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
    return true;
}
