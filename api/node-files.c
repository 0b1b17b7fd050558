/* SPDX-License-Identifier: Apache-2.0 */
#include "api/node-files.h"

#include "compute/file-system.h"
#include "core/error.h"
#include "core/json.h"
#include "core/record.h"

typedef struct {
    char *host_id;
    char **ids, **bytes, **serving, **deleted;
} Report;

#define FIELD(kind, name, required)                                                                \
    {                                                                                              \
#name, VIRGA_FIELD_##kind, offsetof(Report, name), required, NULL                          \
    }
/* clang-format off */
static const VirgaField fields[] = {
    FIELD(STRING, host_id, true),
    FIELD(STRINGS, ids, true),
    FIELD(STRINGS, bytes, true),
    FIELD(STRINGS, serving, true),
    FIELD(STRINGS, deleted, true),
    { NULL, 0, 0, false, NULL },
};
/* clang-format on */
static const VirgaRecordType report_type = { "request", sizeof(Report), fields };

static void
report_free(Report *report)
{
    if (report)
        virga_record_free(&report_type, report);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Report, report_free)

static bool
check(const Report *report, GError **error)
{
    bool sound = g_strv_length(report->ids) == g_strv_length(report->bytes);

    for (char **bytes = report->bytes; sound && *bytes; bytes++)
        sound = g_ascii_string_to_signed(*bytes, 10, 0, G_MAXINT64, NULL, NULL);
    return sound || virga_fail(error, "request", VIRGA_ERROR_INVALID, "ids or bytes are malformed");
}

char *
virga_node_file_systems(const VirgaServices *services, const void *body, gsize size, GError **error)
{
    g_autoptr(JsonNode) root = virga_json_parse(body, (gssize) size, error);
    g_autoptr(Report) report = root ? virga_record_from_json(&report_type, root, error) : NULL;
    g_autoptr(VirgaTxn) txn = NULL;
    g_autofree char *wish = NULL;

    if (!report || !check(report, error))
        return NULL;
    txn = virga_db_begin(services->db, error);
    if (!txn || !virga_file_system_report(txn, report->host_id, (const char *const *) report->ids,
                                          (const char *const *) report->bytes,
                                          (const char *const *) report->serving,
                                          (const char *const *) report->deleted, error))
        return NULL;
    wish = virga_file_system_wish(txn, report->host_id, (const char *const *) report->ids, error);
    return wish && virga_txn_commit(txn, error) ? g_steal_pointer(&wish) : NULL;
}
