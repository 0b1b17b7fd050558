/* SPDX-License-Identifier: Apache-2.0 */
#include "choose.h"

#include "core/account.h"
#include "core/error.h"
#include "core/process.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define CLOUDS_PATH      "/etc/virga/clouds" /* state directories of this machine's clouds */
#define PORTS            64
#define POOLS            32 /* of /20 in 198.18.0.0/15 */
#define POOL_BASE        0xc6120000u
#define POOL_BITS        20
#define IP_MS            10000
#define KEY_ID_RANDOM    16
#define SECRET_RANDOM    30 /* bytes; 40 characters */
#define SECRET_CHARS_MAX 1024
#define NOWHERE          "/nonexistent" /* a file or state without settings */

void
credentials_done(Credentials *credentials)
{
    g_clear_pointer(&credentials->account, g_free);
    g_clear_pointer(&credentials->access_key, g_free);
    g_clear_pointer(&credentials->secret, g_free);
}

/* ---- the other clouds of this machine ---- */

/* Their own settings, also of those that do not run. */
static GPtrArray *
other_clouds(const Cli *cli)
{
    GPtrArray *clouds = g_ptr_array_new_with_free_func((GDestroyNotify) virga_config_unref);
    g_autofree char *text = NULL;
    g_auto(GStrv) states = NULL;

    g_file_get_contents(CLOUDS_PATH, &text, NULL, NULL);
    states = g_strsplit(text ? text : "", "\n", -1);
    for (char **state = states; *state; state++) {
        VirgaConfig *config;

        if (!**state || g_str_equal(*state, cli->state) || !g_file_test(*state, G_FILE_TEST_IS_DIR))
            continue;
        config = virga_config_load(cli->config_path, *state, NULL);
        if (config)
            g_ptr_array_add(clouds, config);
    }
    return clouds;
}

static bool
enlist(const Cli *cli, GError **error)
{
    g_autofree char *text = NULL, *more = NULL;
    g_auto(GStrv) states = NULL;

    g_file_get_contents(CLOUDS_PATH, &text, NULL, NULL);
    states = g_strsplit(text ? text : "", "\n", -1);
    if (g_strv_contains((const char *const *) states, cli->state))
        return true;
    more = g_strconcat(text ? text : "", cli->state, "\n", NULL);
    g_mkdir_with_parents("/etc/virga", 0755);
    return g_file_set_contents(CLOUDS_PATH, more, -1, error);
}

static bool
check_tag(const Cli *cli, const GPtrArray *others, GError **error)
{
    for (guint i = 0; i < others->len; i++)
        if (g_str_equal(virga_config_tag(others->pdata[i]), virga_config_tag(cli->config)))
            return virga_fail(error, "configuration", VIRGA_ERROR_CONFLICT,
                              "the names \"%s\" and \"%s\" would give devices the same names: "
                              "choose another state directory",
                              cli->state, virga_config_state(others->pdata[i]));
    return true;
}

/* ---- the port ---- */

static bool
split_address(const char *listen, char **ret_host, unsigned *ret_port)
{
    const char *colon = strrchr(listen, ':');
    guint64 port;

    if (!colon || !g_ascii_string_to_unsigned(colon + 1, 10, 1, 65535, &port, NULL))
        return false;
    *ret_host = g_strndup(listen, (gsize) (colon - listen));
    *ret_port = (unsigned) port;
    return true;
}

static bool
port_is_free(const char *host, unsigned port)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons((uint16_t) port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    bool is_free;

    if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
        address.sin_addr.s_addr = htonl(INADDR_ANY);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    is_free = bind(fd, (struct sockaddr *) &address, sizeof address) == 0 || errno != EADDRINUSE;
    close(fd);
    return is_free;
}

bool
port_can_be_bound(const char *listen)
{
    g_autofree char *host = NULL;
    unsigned port;

    return split_address(listen, &host, &port) && port_is_free(host, port);
}

static bool
port_is_claimed(const GPtrArray *others, unsigned port)
{
    for (guint i = 0; i < others->len; i++) {
        g_autofree char *host = NULL;
        unsigned other;

        if (split_address(virga_config_text(others->pdata[i], "api", "listen"), &host, &other) &&
            other == port)
            return true;
    }
    return false;
}

static char *
choose_listen(const Cli *cli, const GPtrArray *others, GError **error)
{
    const char *wanted = virga_config_text(cli->config, "api", "listen");
    g_autofree char *host = NULL;
    unsigned first;

    if (!split_address(wanted, &host, &first)) {
        virga_fail(error, "configuration", VIRGA_ERROR_INVALID,
                   "\"%s\" is no address and port to listen on", wanted);
        return NULL;
    }
    for (unsigned port = first; port < first + PORTS && port < 65536; port++)
        if (port_is_free(host, port) && !port_is_claimed(others, port))
            return g_strdup_printf("%s:%u", host, port);
    virga_fail(error, "configuration", VIRGA_ERROR_IN_USE,
               "no port between %u and %u is free on %s: choose one by --listen", first,
               first + PORTS - 1, host);
    return NULL;
}

/* ---- the pool ---- */

static bool
parse_cidr(const char *text, guint32 *ret_base, unsigned *ret_bits)
{
    g_auto(GStrv) parts = g_strsplit(text, "/", 2);
    struct in_addr address;
    guint64 bits = 32;

    if (!parts[0] || inet_pton(AF_INET, parts[0], &address) != 1 ||
        (parts[1] && !g_ascii_string_to_unsigned(parts[1], 10, 0, 32, &bits, NULL)))
        return false;
    *ret_base = ntohl(address.s_addr);
    *ret_bits = (unsigned) bits;
    return true;
}

static bool
overlap(const char *one, const char *other)
{
    guint32 a, b, mask;
    unsigned bits_a, bits_b, bits;

    if (!parse_cidr(one, &a, &bits_a) || !parse_cidr(other, &b, &bits_b))
        return false;
    bits = MIN(bits_a, bits_b);
    mask = bits ? ~0u << (32 - bits) : 0;
    return (a & mask) == (b & mask);
}

/* Networks that this machine knows a way to, the default route aside. */
static char **
known_networks(void)
{
    const char *argv[] = { "ip", "-4", "route", "show", "table", "all", NULL };
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    g_autoptr(GStrvBuilder) networks = g_strv_builder_new();

    if (virga_process_run(argv, NULL, IP_MS, &text, NULL))
        lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; line && *line; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", -1);

        for (char **word = words; *word; word++)
            if (g_ascii_isdigit(**word)) {
                g_strv_builder_add(networks, *word);
                break;
            }
    }
    return g_strv_builder_end(networks);
}

static bool
pool_is_free(const char *pool, char **networks, const GPtrArray *others)
{
    for (char **network = networks; *network; network++)
        if (overlap(pool, *network))
            return false;
    for (guint i = 0; i < others->len; i++)
        if (overlap(pool, virga_config_text(others->pdata[i], "network", "public-pool")))
            return false;
    return true;
}

static char *
choose_pool(const Cli *cli, const GPtrArray *others, GError **error)
{
    const char *wanted = virga_config_text(cli->config, "network", "public-pool");
    g_auto(GStrv) networks = known_networks();

    if (pool_is_free(wanted, networks, others))
        return g_strdup(wanted);
    for (unsigned i = 0; i < POOLS; i++) {
        struct in_addr address = { htonl(POOL_BASE + (i << (32 - POOL_BITS))) };
        char text[INET_ADDRSTRLEN];
        g_autofree char *pool = NULL;

        inet_ntop(AF_INET, &address, text, sizeof text);
        pool = g_strdup_printf("%s/%d", text, POOL_BITS);
        if (pool_is_free(pool, networks, others))
            return g_steal_pointer(&pool);
    }
    virga_fail(error, "configuration", VIRGA_ERROR_IN_USE,
               "no block of public addresses is free: set \"public-pool\" in [network]");
    return NULL;
}

/* ---- STATE/virga.conf ---- */

static GKeyFile *
own_settings(const Cli *cli)
{
    g_autofree char *path = cli_path(cli, "virga.conf");
    GKeyFile *file = g_key_file_new();

    g_key_file_load_from_file(file, path, G_KEY_FILE_KEEP_COMMENTS, NULL);
    return file;
}

/* Keeps a value that differs from the one that would hold without it. */
static bool
keep(Cli *cli, GKeyFile *own, const char *group, const char *key, const char *value)
{
    if (g_str_equal(virga_config_text(cli->config, group, key), value))
        return false;
    g_key_file_set_string(own, group, key, value);
    return true;
}

/* Settings that exist nowhere else yet are chosen once: at the first start. */
static bool
choose_first(Cli *cli, const ChooseOptions *options, GKeyFile *own, bool *changed, GError **error)
{
    g_autoptr(GPtrArray) others = other_clouds(cli);
    g_autofree char *listen = NULL, *pool = NULL;

    if (!check_tag(cli, others, error))
        return false;
    listen = options->listen ? g_strdup(options->listen) : choose_listen(cli, others, error);
    pool = listen ? choose_pool(cli, others, error) : NULL;
    if (!pool)
        return false;
    *changed = keep(cli, own, "api", "listen", listen) | *changed;
    *changed = keep(cli, own, "network", "public-pool", pool) | *changed;
    return true;
}

/* Who has edited the configuration file must hear why it has no effect. */
static void
tell_hidden(const Cli *cli, GKeyFile *own)
{
    static const char *const keys[][2] = { { "cloud", "region" },
                                           { "api", "listen" },
                                           { "network", "public-pool" } };
    g_autoptr(VirgaConfig) file = virga_config_load(cli->config_path, NOWHERE, NULL);
    g_autoptr(VirgaConfig) defaults = virga_config_load(NOWHERE, NOWHERE, NULL);

    for (size_t i = 0; file && i < G_N_ELEMENTS(keys); i++) {
        const char *group = keys[i][0], *key = keys[i][1];
        g_autofree char *kept = g_key_file_get_string(own, group, key, NULL);
        const char *value = virga_config_text(file, group, key);

        if (kept && !g_str_equal(kept, value) &&
            !g_str_equal(value, virga_config_text(defaults, group, key)))
            g_print("  note: [%s] %s is %s by %s/virga.conf, not %s\n", group, key, kept,
                    cli->state, value);
    }
}

bool
choose_settings(Cli *cli, const ChooseOptions *options, GError **error)
{
    g_autofree char *path = cli_path(cli, "virga.conf");
    g_autofree char *credentials = cli_path(cli, "credentials");
    bool first = !g_file_test(credentials, G_FILE_TEST_EXISTS);
    g_autoptr(GKeyFile) own = own_settings(cli);
    g_autofree char *text = NULL, *host = NULL;
    bool changed = false;
    unsigned port;

    if (options->listen && !split_address(options->listen, &host, &port))
        return virga_fail(error, "configuration", VIRGA_ERROR_INVALID,
                          "\"%s\" is no address and port, like 127.0.0.1:8773", options->listen);
    if (!first && options->region &&
        !g_str_equal(options->region, virga_config_text(cli->config, "cloud", "region")))
        return virga_fail(
            error, "configuration", VIRGA_ERROR_CONFLICT,
            "this cloud is the region \"%s\" already, and its resources bear the name",
            virga_config_text(cli->config, "cloud", "region"));
    if (options->region)
        changed = keep(cli, own, "cloud", "region", options->region);
    if (first && !choose_first(cli, options, own, &changed, error))
        return false;
    if (!first && options->listen)
        changed = keep(cli, own, "api", "listen", options->listen) | changed;
    if (changed) {
        text = g_key_file_to_data(own, NULL, NULL);
        if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, error))
            return false;
    }
    tell_hidden(cli, own);
    return enlist(cli, error) && cli_config(cli, error);
}

/* ---- credentials ---- */

static char *
random_text(const char *alphabet, gsize letters)
{
    g_autofree guint8 *bytes = g_malloc(letters);
    gsize size = strlen(alphabet); /* divides 256 for both alphabets: no letter is likelier */
    char *text = g_malloc0(letters + 1);

    if (getrandom(bytes, letters, 0) != (ssize_t) letters)
        g_error("no random bytes: %s", g_strerror(errno));
    for (gsize i = 0; i < letters; i++)
        text[i] = alphabet[bytes[i] % size];
    return text;
}

static char *
random_account(void)
{
    guint64 number;

    if (getrandom(&number, sizeof number, 0) != sizeof number)
        g_error("no random bytes: %s", g_strerror(errno));
    return g_strdup_printf("%012" G_GUINT64_FORMAT,
                           100000000000u + number % G_GUINT64_CONSTANT(900000000000));
}

static char *
random_secret(void)
{
    guint8 bytes[SECRET_RANDOM];

    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        g_error("no random bytes: %s", g_strerror(errno));
    return g_base64_encode(bytes, sizeof bytes);
}

static char *
random_key_id(void)
{
    g_autofree char *tail = random_text("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", KEY_ID_RANDOM);

    return g_strconcat("AKIA", tail, NULL);
}

bool
credentials_read(const Cli *cli, Credentials *ret, GError **error)
{
    g_autofree char *path = cli_path(cli, "credentials");
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autoptr(GError) reason = NULL;
    g_auto(Credentials) read = { 0 };

    if (!g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, &reason)) {
        bool missing = g_error_matches(reason, G_FILE_ERROR, G_FILE_ERROR_NOENT);

        return virga_fail(error, "credentials",
                          missing ? VIRGA_ERROR_NOT_FOUND : VIRGA_ERROR_INVALID,
                          missing ? "there is no cloud in \"%s\" yet: run \"virga up\""
                                  : "\"%s/credentials\" cannot be read",
                          cli->state);
    }
    read.account = g_key_file_get_string(file, "administrator", "account", NULL);
    read.access_key = g_key_file_get_string(file, "administrator", "access-key", NULL);
    read.secret = g_key_file_get_string(file, "administrator", "secret-key", NULL);
    if (!read.account || !read.access_key || !read.secret)
        return virga_fail(error, "credentials", VIRGA_ERROR_INVALID, "\"%s\" is not whole", path);
    *ret = read;
    read = (Credentials){ 0 };
    return true;
}

static bool
credentials_write(const Cli *cli, const Credentials *credentials, GError **error)
{
    g_autofree char *path = cli_path(cli, "credentials");
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_autofree char *text = NULL;

    g_key_file_set_string(file, "administrator", "account", credentials->account);
    g_key_file_set_string(file, "administrator", "access-key", credentials->access_key);
    g_key_file_set_string(file, "administrator", "secret-key", credentials->secret);
    text = g_key_file_to_data(file, NULL, NULL);
    return g_file_set_contents_full(
        path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0600, error);
}

static char *
read_secret(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[SECRET_CHARS_MAX + 2];
    struct stat status;
    ssize_t got = fd >= 0 && fstat(fd, &status) == 0 ? read(fd, text, sizeof text - 1) : -1;
    int failure = errno;

    if (fd >= 0)
        close(fd);
    if (got < 0) {
        virga_fail_errno(error, "credentials", failure, "could not read \"%s\"", path);
        return NULL;
    }
    if (S_ISREG(status.st_mode) && status.st_mode & 0077) {
        virga_fail(error, "credentials", VIRGA_ERROR_INVALID,
                   "\"%s\" can be read by others: chmod 600 it", path);
        return NULL;
    }
    text[got] = '\0';
    return g_strdup(g_strchomp(text));
}

/* Asked for, configured, or what is there: in this order; NULL if none. */
static const char *
first_of(const char *asked, const char *configured, const char *present)
{
    return asked ? asked : present ? present : *configured ? configured : NULL;
}

bool
choose_credentials(Cli *cli, const ChooseOptions *options, Credentials *ret, GError **error)
{
    g_auto(Credentials) now = { 0 }, next = { 0 };
    g_autoptr(GError) reason = NULL;
    const char *configured = virga_config_text(cli->config, "cloud", "secret-key-file");
    const char *file = options->secret_file;

    if (!credentials_read(cli, &now, &reason) &&
        !virga_error_is(reason, "credentials", VIRGA_ERROR_NOT_FOUND)) {
        g_propagate_error(error, g_steal_pointer(&reason));
        return false;
    }
    if (!file && !now.secret && *configured)
        file = configured;
    next.account = g_strdup(first_of(
        options->account, virga_config_text(cli->config, "cloud", "account"), now.account));
    next.access_key =
        g_strdup(first_of(options->access_key,
                          virga_config_text(cli->config, "cloud", "access-key"), now.access_key));
    next.secret = file ? read_secret(file, error) : g_strdup(now.secret);
    if (file && !next.secret)
        return false;
    if (!next.account)
        next.account = random_account();
    if (!next.access_key)
        next.access_key = random_key_id();
    /* Another key must not have the former one's secret. */
    if (!next.secret ||
        (!file && now.access_key && !g_str_equal(now.access_key, next.access_key))) {
        g_free(next.secret);
        next.secret = random_secret();
    }
    if (!virga_account_id_is(next.account))
        return virga_fail(error, "credentials", VIRGA_ERROR_INVALID,
                          "\"%s\" is no account id: it must have 12 digits", next.account);
    if (now.account && !g_str_equal(now.account, next.account))
        return virga_fail(error, "credentials", VIRGA_ERROR_CONFLICT,
                          "the first account of this cloud is %s and cannot become %s", now.account,
                          next.account);
    if ((g_strcmp0(now.access_key, next.access_key) != 0 ||
         g_strcmp0(now.secret, next.secret) != 0) &&
        !credentials_write(cli, &next, error))
        return false;
    *ret = next;
    next = (Credentials){ 0 };
    return true;
}

/* ---- clients ---- */

char *
cli_endpoint(const Cli *cli)
{
    const char *listen = virga_config_text(cli->config, "api", "listen");

    if (g_str_has_prefix(listen, "0.0.0.0:"))
        return g_strconcat("http://127.0.0.1", listen + strlen("0.0.0.0"), NULL);
    if (g_str_has_prefix(listen, "[::]:"))
        return g_strconcat("http://[::1]", listen + strlen("[::]"), NULL);
    return g_strconcat("http://", listen, NULL);
}

/* An explicit endpoint wins; everything else comes here. */
static const char rule_set[] =
    "{\"version\":\"1.0\",\"parameters\":{"
    "\"Region\":{\"builtIn\":\"AWS::Region\",\"required\":false,\"type\":\"String\"},"
    "\"UseDualStack\":{\"builtIn\":\"AWS::UseDualStack\",\"required\":true,\"default\":false,"
    "\"type\":\"Boolean\"},"
    "\"UseFIPS\":{\"builtIn\":\"AWS::UseFIPS\",\"required\":true,\"default\":false,"
    "\"type\":\"Boolean\"},"
    "%s"
    "\"Endpoint\":{\"builtIn\":\"SDK::Endpoint\",\"required\":false,\"type\":\"String\"}},"
    "\"rules\":["
    "{\"conditions\":[{\"fn\":\"isSet\",\"argv\":[{\"ref\":\"Endpoint\"}]}],"
    "\"endpoint\":{\"url\":{\"ref\":\"Endpoint\"},\"properties\":{},\"headers\":{}},"
    "\"type\":\"endpoint\"},"
    "{\"conditions\":[],\"endpoint\":{\"url\":\"%s\",\"properties\":{},\"headers\":{}},"
    "\"type\":\"endpoint\"}]}\n";

bool
endpoints_write(const Cli *cli, GError **error)
{
    static const char *const services[][2] = {
        { "ec2/2016-11-15", "" },
        { "efs/2015-02-01", "" },
        { "elb/2012-06-01", "" },
        { "elbv2/2015-12-01", "" },
        { "iam/2010-05-08", "" },
        { "sts/2011-06-15",
          "\"UseGlobalEndpoint\":{\"builtIn\":\"AWS::STS::UseGlobalEndpoint\",\"required\":true,"
          "\"default\":false,\"type\":\"Boolean\"}," },
    };
    g_autofree char *endpoint = cli_endpoint(cli);

    for (size_t i = 0; i < G_N_ELEMENTS(services); i++) {
        g_autofree char *directory =
            g_build_filename(cli->state, "endpoints", services[i][0], NULL);
        g_autofree char *path = g_build_filename(directory, "endpoint-rule-set-1.json", NULL);
        g_autofree char *text = g_strdup_printf(rule_set, services[i][1], endpoint);

        if (g_mkdir_with_parents(directory, 0755) < 0)
            return virga_fail_errno(error, "credentials", errno, "could not make \"%s\"",
                                    directory);
        if (!g_file_set_contents_full(path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0644, error))
            return false;
    }
    return true;
}
