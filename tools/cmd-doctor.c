/* SPDX-License-Identifier: Apache-2.0 */
/* virga doctor: can this machine carry a cloud?  Each line says what was found and what to do. */
#include "choose.h"
#include "cli.h"
#include "core/kvm.h"
#include "core/process.h"
#include "doctor.h"
#include "layout.h"
#include "storage/keyring.h"
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <pwd.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#define MEMORY_MIN_MIB  1536
#define MEMORY_GOOD_MIB 3072
#define DISK_MIN_GIB    5
#define DISK_GOOD_GIB   20
#define NFT_MS          10000
#define CALL_MS         10000

typedef enum { OK, WARNING, PROBLEM } Verdict;

typedef struct {
    Cli *cli;
    int problems;
} Doctor;

static void G_GNUC_PRINTF(4, 5)
    report(Doctor *doctor, Verdict verdict, const char *topic, const char *format, ...)
{
    static const char *const words[] = { "ok", "warning", "PROBLEM" };
    g_autofree char *text = NULL;
    va_list args;

    va_start(args, format);
    text = g_strdup_vprintf(format, args);
    va_end(args);
    g_print("%-8s %-11s %s\n", words[verdict], topic, text);
    doctor->problems += verdict == PROBLEM;
}

static void
check_kvm(Doctor *doctor)
{
    struct passwd *emulator = getpwnam("libvirt-qemu");
    g_autofree char *reason = NULL;

    if (virga_kvm_usable(emulator ? emulator->pw_uid : 0, &reason))
        report(doctor, OK, "KVM", "guests run under KVM: %s", reason);
    else
        report(doctor, WARNING, "KVM", "guests are emulated (TCG), about ten times slower: %s",
               reason);
}

static void
check_programs(Doctor *doctor)
{
    static const char *const names[] = { "qemu-system-x86_64",
                                         "qemu-img",
                                         "libvirtd",
                                         "dnsmasq",
                                         "pdns_recursor",
                                         "haproxy",
                                         "nft",
                                         "ip",
                                         "setpriv",
                                         "prlimit" };
    g_autoptr(GString) missing = g_string_new(NULL);
    g_autofree char *postgresql = NULL;
    g_autoptr(GError) error = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *path = g_find_program_in_path(names[i]);

        if (!path)
            g_string_append_printf(missing, " %s", names[i]);
    }
    if (missing->len)
        report(doctor, PROBLEM, "packages", "missing:%s; run \"tools/packages install run\"",
               missing->str);
    else
        report(doctor, OK, "packages", "every program that is called is there");
    if (!layout_has_database(doctor->cli->config)) {
        report(doctor, OK, "PostgreSQL", "an external one is configured");
        return;
    }
    postgresql = layout_database_programs(doctor->cli->state, &error);
    report(doctor, postgresql ? OK : PROBLEM, "PostgreSQL", "%s",
           postgresql ? postgresql : error->message);
}

static bool
try_namespaces(void)
{
    pid_t child = fork();
    int status = 1;

    if (child == 0)
        _exit(unshare(CLONE_NEWNET | CLONE_NEWNS) == 0 ? 0 : 1);
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static bool
try_tun(void)
{
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    bool done;

    g_strlcpy(request.ifr_name, "virgadr%d", sizeof request.ifr_name);
    done = fd >= 0 && ioctl(fd, TUNSETIFF, &request) == 0;
    if (fd >= 0)
        close(fd);
    return done;
}

/* A rule set of every kind that is used, checked by the kernel and not applied. */
static bool
try_nftables(char **ret_reason)
{
    static const char rules[] = "table inet virga_doctor {\n"
                                " chain a { type nat hook postrouting priority srcnat;\n"
                                "  ip saddr 198.18.0.0/20 masquerade\n }\n"
                                " chain b { type filter hook forward priority filter;\n"
                                "  ct state established accept\n }\n}\n";
    const char *argv[] = { "nft", "-c", "-f", "-", NULL };
    g_autoptr(GError) error = NULL;
    bool done = virga_process_run(argv, rules, NFT_MS, NULL, &error);

    if (!done)
        *ret_reason = g_strdup(error->message);
    return done;
}

static void
check_kernel(Doctor *doctor)
{
    g_autofree char *forwarding = NULL, *reason = NULL;

    if (geteuid() != 0) {
        report(doctor, WARNING, "kernel", "not checked: run as root");
        return;
    }
    report(doctor, try_namespaces() ? OK : PROBLEM, "namespaces", "%s",
           try_namespaces() ? "network and mount namespaces can be made"
                            : "cannot be made: inside a container, give it more rights");
    report(doctor, try_tun() ? OK : PROBLEM, "tun", "%s",
           try_tun() ? "taps can be made"
                     : "no taps: \"modprobe tun\", and /dev/net/tun must exist");
    if (try_nftables(&reason))
        report(doctor, OK, "nftables", "filters and NAT are there");
    else
        report(doctor, PROBLEM, "nftables", "%s", reason);
    g_file_get_contents("/proc/sys/net/ipv4/ip_forward", &forwarding, NULL, NULL);
    if (forwarding && *forwarding == '1')
        report(doctor, OK, "forwarding", "on");
    else if (access("/proc/sys/net/ipv4/ip_forward", W_OK) == 0)
        report(doctor, OK, "forwarding",
               "off; virga-node switches it on when the first guest needs "
               "it");
    else
        report(doctor, PROBLEM, "forwarding", "off, and cannot be switched on here");
}

static void
check_port(Doctor *doctor)
{
    const char *listen = virga_config_text(doctor->cli->config, "api", "listen");

    if (supervisor_find(doctor->cli->state).pid)
        report(doctor, OK, "port", "the cloud runs and listens on %s", listen);
    else if (port_can_be_bound(listen))
        report(doctor, OK, "port", "%s is free", listen);
    else
        report(doctor, PROBLEM, "port",
               "%s is taken by another program: \"virga up --listen ADDRESS:PORT\"", listen);
}

static void
check_memory(Doctor *doctor)
{
    g_autofree char *text = NULL;
    const char *line;
    gint64 mib;

    if (!g_file_get_contents("/proc/meminfo", &text, NULL, NULL) ||
        !(line = strstr(text, "MemAvailable:")))
        return;
    mib = g_ascii_strtoll(line + strlen("MemAvailable:"), NULL, 10) / 1024;
    report(doctor,
           mib >= MEMORY_GOOD_MIB  ? OK
           : mib >= MEMORY_MIN_MIB ? WARNING
                                   : PROBLEM,
           "memory",
           "%" G_GINT64_FORMAT " MiB available, %" G_GINT64_FORMAT
           " MiB of them are kept from guests%s",
           mib, virga_config_int(doctor->cli->config, "node", "memory-reserved-mib"),
           mib < MEMORY_GOOD_MIB ? ": room for few guests" : "");
}

static void
check_disk(Doctor *doctor)
{
    g_autofree char *path = g_strdup(doctor->cli->state);
    struct statvfs status;
    gint64 gib;

    while (statvfs(path, &status) < 0 && strlen(path) > 1) {
        char *parent = g_path_get_dirname(path);

        g_free(path);
        path = parent;
    }
    gib = (gint64) status.f_bavail * (gint64) status.f_frsize >> 30;
    report(doctor,
           gib >= DISK_GOOD_GIB  ? OK
           : gib >= DISK_MIN_GIB ? WARNING
                                 : PROBLEM,
           "disk", "%" G_GINT64_FORMAT " GiB free for %s%s", gib, doctor->cli->state,
           gib < DISK_GOOD_GIB ? ": give it a larger disk, or --state on another one" : "");
}

/* What the scrubbers of a cloud that runs have found. */
static void
check_data(Doctor *doctor)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(JsonNode) node = NULL;
    JsonObject *answer;

    if (!supervisor_find(doctor->cli->state).pid)
        return;
    if (geteuid() != 0) {
        report(doctor, WARNING, "data", "not checked: run as root");
        return;
    }
    node = cli_call(doctor->cli, "GET", "/operator/v1/damage", NULL, CALL_MS, &error);
    if (!node) {
        report(doctor, WARNING, "data", "not checked: %s", error->message);
        return;
    }
    answer = json_node_get_object(node);
    for (guint i = 0; i < cli_length(answer, "damage"); i++)
        report(doctor, PROBLEM, "data", "%s",
               json_array_get_string_element(json_object_get_array_member(answer, "damage"), i));
    if (cli_length(answer, "damage") == 0)
        report(doctor, OK, "data", "no damage was found");
}

/* A cloud that was up once has them. */
static void
check_keys(Doctor *doctor)
{
    g_autofree char *path = virga_keyring_path(doctor->cli->config);
    g_autofree char *store = g_build_filename(doctor->cli->state, "store", NULL);
    g_autoptr(GError) error = NULL;

    if (access(store, F_OK) < 0 || (access(path, F_OK) < 0 && errno == EACCES))
        return;
    if (virga_keyring_check(path, &error))
        report(doctor, OK, "keys", "the key-encryption keys are in %s: keep a copy elsewhere",
               path);
    else
        report(doctor, PROBLEM, "keys",
               "the key-encryption keys cannot be had, and encrypted volumes not be opened: %s",
               error->message);
}

static int
examine(Cli *cli)
{
    Doctor doctor = { .cli = cli };

    check_kvm(&doctor);
    check_programs(&doctor);
    check_kernel(&doctor);
    check_port(&doctor);
    check_memory(&doctor);
    check_disk(&doctor);
    check_keys(&doctor);
    check_data(&doctor);
    if (doctor.problems)
        g_print("%d %s must be solved before the cloud can work.\n", doctor.problems,
                doctor.problems == 1 ? "problem" : "problems");
    return doctor.problems ? 1 : 0;
}

int
cmd_doctor(int argc, char **argv)
{
    g_auto(Cli) cli = { 0 };
    gboolean leaks = FALSE;
    GOptionEntry entries[] = {
        { "leaks", 0, 0, G_OPTION_ARG_NONE, &leaks, "Compare this host with the database instead",
          NULL },
        { NULL },
    };
    g_autoptr(GError) error = NULL;
    int count;

    cli_parse(
        &cli, &argc, &argv, NULL,
        "Checks whether this machine can carry a cloud; with --leaks, whether anything is left "
        "over\nthat nothing claims.  Exit 1 if there is a problem or a leak.",
        entries, 0, 0);
    if (!cli_config(&cli, &error))
        return cli_fail("%s", error->message);
    if (!leaks)
        return examine(&cli);
    if (!cli_need_root("doctor --leaks"))
        return 1;
    count = doctor_leaks(&cli, &error);
    if (count < 0)
        return cli_fail("%s", error->message);
    g_print(count ? "%d %s.\n" : "No leaks.\n", count, count == 1 ? "leak" : "leaks");
    return count ? 1 : 0;
}
