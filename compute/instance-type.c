/* SPDX-License-Identifier: Apache-2.0 */
#include "compute/instance-type.h"

#include <string.h>

#define GROUP "instance-type "

/* A family's sizes: memory of 'large' and what each size is of it. */
static const struct {
    const char *family;
    gint64 large_mib;
    bool small_sizes; /* nano to medium */
    bool big_sizes;   /* above 2xlarge */
} families[] = {
    { "t2", 8192, true, false },   { "t3", 8192, true, false },   { "t3a", 8192, true, false },
    { "m4", 8192, false, true },   { "m5", 8192, false, true },   { "m5a", 8192, false, true },
    { "m6i", 8192, false, true },  { "m7i", 8192, false, true },  { "c5", 4096, false, true },
    { "c5a", 4096, false, true },  { "c6i", 4096, false, true },  { "c7i", 4096, false, true },
    { "r5", 16384, false, true },  { "r5a", 16384, false, true }, { "r6i", 16384, false, true },
    { "r7i", 16384, false, true },
};

static const struct {
    const char *size;
    gint64 vcpus;
    gint64 sixteenths; /* of the memory of 'large' */
    enum { SMALL, ALL, BIG } of;
} sizes[] = {
    { "nano", 2, 1, SMALL },      { "micro", 2, 2, SMALL },     { "small", 2, 4, SMALL },
    { "medium", 2, 8, SMALL },    { "large", 2, 16, ALL },      { "xlarge", 4, 32, ALL },
    { "2xlarge", 8, 64, ALL },    { "4xlarge", 16, 128, BIG },  { "8xlarge", 32, 256, BIG },
    { "12xlarge", 48, 384, BIG }, { "16xlarge", 64, 512, BIG }, { "24xlarge", 96, 768, BIG },
};

/* vCPUs and GiB of the plainly named ones: "4c8g". */
static const gint64 plain[][2] = {
    { 1, 1 },   { 1, 2 },   { 1, 4 },   { 2, 2 },   { 2, 4 },    { 2, 8 },
    { 4, 4 },   { 4, 8 },   { 4, 16 },  { 8, 8 },   { 8, 16 },   { 8, 32 },
    { 16, 16 }, { 16, 32 }, { 16, 64 }, { 32, 64 }, { 32, 128 },
};

/* How many network interfaces and addresses EC2 gives to this size. */
static void
set_network(VirgaInstanceType *type)
{
    static const struct {
        gint64 vcpus, memory_mib, interfaces, addresses; /* above either: the next line */
    } limits[] = {
        { 2, 1024, 2, 2 },
        { 2, 2048, 3, 4 },
        { 2, 4096, 3, 6 },
        { 2, G_MAXINT64, 3, 12 },
        { 15, G_MAXINT64, 4, 15 },
        { 63, G_MAXINT64, 8, 30 },
        { G_MAXINT64, G_MAXINT64, 15, 50 },
    };
    size_t i = 0;

    while (type->vcpus > limits[i].vcpus || type->memory_mib > limits[i].memory_mib)
        i++;
    type->interfaces_max = limits[i].interfaces;
    type->addresses_max = limits[i].addresses;
}

static void
add(GHashTable *table, const char *name, gint64 vcpus, gint64 memory_mib, gint64 bandwidth_mbit)
{
    VirgaInstanceType *type = g_new0(VirgaInstanceType, 1);

    type->name = g_intern_string(name);
    type->vcpus = vcpus;
    type->memory_mib = memory_mib;
    type->bandwidth_mbit = bandwidth_mbit;
    set_network(type);
    g_hash_table_replace(table, (gpointer) type->name, type);
}

static GHashTable *
build_table(const VirgaConfig *config)
{
    GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, g_free);
    g_auto(GStrv) groups = virga_config_instance_types(config);

    for (size_t f = 0; f < G_N_ELEMENTS(families); f++)
        for (size_t s = 0; s < G_N_ELEMENTS(sizes); s++) {
            g_autofree char *name = g_strdup_printf("%s.%s", families[f].family, sizes[s].size);

            if ((sizes[s].of == SMALL && !families[f].small_sizes) ||
                (sizes[s].of == BIG && !families[f].big_sizes))
                continue;
            add(table, name, sizes[s].vcpus, families[f].large_mib * sizes[s].sixteenths / 16, 0);
        }
    for (size_t i = 0; i < G_N_ELEMENTS(plain); i++) {
        g_autofree char *name = g_strdup_printf("%dc%dg", (int) plain[i][0], (int) plain[i][1]);
        add(table, name, plain[i][0], plain[i][1] * 1024, 0);
    }
    for (char **group = groups; *group; group++)
        add(table, *group + strlen(GROUP), virga_config_int(config, *group, "vcpus"),
            virga_config_int(config, *group, "memory-mib"),
            virga_config_int(config, *group, "bandwidth-mbit"));
    return table;
}

/* The configuration never changes while the program runs, so neither does the table. */
static GHashTable *
get_table(const VirgaConfig *config)
{
    static GHashTable *table;

    if (g_once_init_enter(&table))
        g_once_init_leave(&table, build_table(config));
    return table;
}

const VirgaInstanceType *
virga_instance_type_find(const VirgaConfig *config, const char *name)
{
    return g_hash_table_lookup(get_table(config), name);
}

static gint
compare_types(gconstpointer a, gconstpointer b)
{
    return strcmp((*(const VirgaInstanceType *const *) a)->name,
                  (*(const VirgaInstanceType *const *) b)->name);
}

GPtrArray *
virga_instance_type_list(const VirgaConfig *config)
{
    GPtrArray *list = g_ptr_array_new();
    GHashTableIter iter;
    gpointer type;

    g_hash_table_iter_init(&iter, get_table(config));
    while (g_hash_table_iter_next(&iter, NULL, &type))
        g_ptr_array_add(list, type);
    g_ptr_array_sort(list, compare_types);
    return list;
}

const char *
virga_instance_type_credits(const char *name)
{
    return g_str_has_prefix(name, "t2.")                                     ? "standard"
           : g_str_has_prefix(name, "t3.") || g_str_has_prefix(name, "t3a.") ? "unlimited"
                                                                             : NULL;
}
