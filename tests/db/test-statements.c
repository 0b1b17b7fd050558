/* SPDX-License-Identifier: Apache-2.0 */
/* Every SQL constant of the program is prepared against the migrated schema.  They are found in
 * this program's own symbol table: the libraries are linked whole, and a statement is a constant
 * array whose name begins with "sql_". */
#include "postgres.h"

#include "core/db.h"

#include <elf.h>
#include <libpq-fe.h>
#include <link.h>
#include <string.h>

#define STATEMENTS_MIN 80 /* fewer: they are no longer found */

static int
first_base(struct dl_phdr_info *info, size_t size, void *data)
{
    *(ElfW(Addr) *) data = info->dlpi_addr; /* of the program itself */
    return 1;
}

static const ElfW(Shdr) * section_of(const char *file, ElfW(Word) type)
{
    const ElfW(Ehdr) *head = (const void *) file;
    const ElfW(Shdr) *sections = (const void *) (file + head->e_shoff);

    for (int i = 0; i < head->e_shnum; i++)
        if (sections[i].sh_type == type)
            return &sections[i];
    return NULL;
}

/* The texts of all statements; loans. */
static GPtrArray *
find_statements(GPtrArray *names)
{
    GPtrArray *found = g_ptr_array_new();
    g_autofree char *file = NULL;
    const ElfW(Shdr) * table, *sections;
    const ElfW(Sym) * symbols;
    const char *texts;
    ElfW(Addr) base = 0;

    dl_iterate_phdr(first_base, &base);
    g_assert_true(g_file_get_contents("/proc/self/exe", &file, NULL, NULL));
    table = section_of(file, SHT_SYMTAB);
    g_assert_nonnull(table);
    sections = (const void *) (file + ((const ElfW(Ehdr) *) (const void *) file)->e_shoff);
    symbols = (const void *) (file + table->sh_offset);
    texts = file + sections[table->sh_link].sh_offset;
    for (size_t i = 0; i < table->sh_size / sizeof *symbols; i++) {
        const char *name = texts + symbols[i].st_name;

        if (ELF64_ST_TYPE(symbols[i].st_info) != STT_OBJECT || !g_str_has_prefix(name, "sql_"))
            continue;
        g_ptr_array_add(found, (gpointer) (base + symbols[i].st_value));
        g_ptr_array_add(names, g_strdup(name));
    }
    return found;
}

static Postgres *postgres;

static void
test_prepare(void)
{
    g_autofree char *dsn = postgres_database(postgres);
    g_autoptr(VirgaDb) db = virga_db_new(dsn, 1);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) statements = find_statements(names);
    g_autoptr(GError) error = NULL;
    PGconn *pg;
    guint failed = 0;

    virga_db_migrate(db, &error);
    g_assert_no_error(error);
    pg = PQconnectdb(dsn);
    for (guint i = 0; i < statements->len; i++) {
        PGresult *result = PQprepare(pg, "", statements->pdata[i], 0, NULL);

        if (PQresultStatus(result) != PGRES_COMMAND_OK) {
            g_printerr("%s: %s%s\n", (char *) names->pdata[i], PQerrorMessage(pg),
                       (char *) statements->pdata[i]);
            failed++;
        }
        PQclear(result);
    }
    PQfinish(pg);
    g_test_message("%u statements", statements->len);
    g_assert_cmpuint(statements->len, >, STATEMENTS_MIN);
    g_assert_cmpuint(failed, ==, 0);
}

int
main(int argc, char **argv)
{
    int outcome;

    g_test_init(&argc, &argv, NULL);
    postgres = postgres_new();
    if (!postgres)
        return 77;
    g_test_add_func("/statements/prepare", test_prepare);
    outcome = g_test_run();
    postgres_free(postgres);
    return outcome;
}
