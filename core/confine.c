/* SPDX-License-Identifier: Apache-2.0 */
/* What a confined program may do.  All is prepared before the fork: in the child of a process with
 * threads, nothing but system calls is safe. */
#include "process-priv.h"

#include "core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES_MAX 64
#define NICENESS  10
#define FAILED    127 /* exit status of a child that did not come as far as the program */

/* Newer than the headers that we are built with. */
#define ACCESS_FS_REFER    (1ull << 13) /* since version 2 */
#define ACCESS_FS_TRUNCATE (1ull << 14) /* since version 3 */
#define ACCESS_FS_V1       ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)

#define READ_FILE LANDLOCK_ACCESS_FS_READ_FILE
#define READ_TREE (READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_EXECUTE)

extern char **environ;

/* ---- files ---- */

static const struct {
    const char *path;
    guint64 access;
} system_files[] = {
    { "/usr", READ_TREE },         { "/lib", READ_TREE },
    { "/lib64", READ_TREE },       { "/etc/ld.so.cache", READ_FILE },
    { "/dev/urandom", READ_FILE }, { "/dev/null", READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE },
};

static bool
allow(int rules, int fd, guint64 access)
{
    struct landlock_path_beneath_attr beneath = { .allowed_access = access, .parent_fd = fd };

    return syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0;
}

static bool
allow_path(int rules, const char *path, guint64 access)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    bool done = fd >= 0 && allow(rules, fd, access);

    if (fd >= 0)
        close(fd);
    return done;
}

/* *ret_rules is -1 where the kernel has no Landlock. */
static bool
make_rules(const VirgaConfinement *confinement, int *ret_rules, GError **error)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    guint64 truncate = version >= 3 ? ACCESS_FS_TRUNCATE : 0;
    struct landlock_ruleset_attr handled = {
        .handled_access_fs = ACCESS_FS_V1 | (version >= 2 ? ACCESS_FS_REFER : 0) | truncate
    };
    guint64 write = READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | truncate;
    int rules;

    *ret_rules = -1;
    if (version < 1)
        return true;
    rules = (int) syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0);
    if (rules < 0)
        return virga_fail_errno(error, "process", errno, "could not confine a program");
    for (size_t i = 0; i < G_N_ELEMENTS(system_files); i++)
        allow_path(rules, system_files[i].path, system_files[i].access); /* if it is there */
    if (!allow(rules, confinement->source, READ_FILE) ||
        (confinement->output && !allow_path(rules, confinement->output, write))) {
        virga_fail_errno(error, "process", errno, "could not confine a program");
        close(rules);
        return false;
    }
    *ret_rules = rules;
    return true;
}

/* ---- system calls ---- */

#if defined __x86_64__
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined __aarch64__
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

#ifdef ARCHITECTURE
#define DENY(name)                                                                                 \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1),                                         \
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)

/* No network, no other processes, no change of what it sees; io_uring would go round all of it. */
static const struct sock_filter filter[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), /* x32 has numbers of its own */
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    DENY(socket),
    DENY(socketpair),
    DENY(io_uring_setup),
    DENY(ptrace),
    DENY(process_vm_readv),
    DENY(process_vm_writev),
    DENY(pidfd_open),
    DENY(pidfd_getfd),
    DENY(kill),
    DENY(mount),
    DENY(umount2),
    DENY(move_mount),
    DENY(open_tree),
    DENY(fsopen),
    DENY(pivot_root),
    DENY(chroot),
    DENY(unshare),
    DENY(setns),
    DENY(bpf),
    DENY(perf_event_open),
    DENY(userfaultfd),
    DENY(add_key),
    DENY(request_key),
    DENY(keyctl),
    DENY(open_by_handle_at),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};

/* The lower half of an argument comes first: both architectures are little-endian. */
static const struct sock_filter ipv4_filter[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 3),
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 1),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAFNOSUPPORT),
    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
#endif

/* ---- the child ---- */

static bool
limit(int what, gint64 most)
{
    struct rlimit limit = { (rlim_t) most, (rlim_t) most };

    return setrlimit(what, &limit) == 0;
}

static bool
set_limits(const VirgaConfinement *confinement)
{
    return limit(RLIMIT_AS, confinement->memory_bytes) && limit(RLIMIT_CPU, confinement->cpu_s) &&
           limit(RLIMIT_FSIZE, confinement->file_bytes) && limit(RLIMIT_CORE, 0) &&
           limit(RLIMIT_NOFILE, FILES_MAX);
}

static bool
restrict_self(int rules)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
        (rules >= 0 && syscall(SYS_landlock_restrict_self, rules, 0) != 0))
        return false;
#ifdef ARCHITECTURE
    const struct sock_fprog program = { G_N_ELEMENTS(filter), (struct sock_filter *) filter };

    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0 && errno != EINVAL)
        return false; /* EINVAL: a kernel without it */
#endif
    return true;
}

static void
reset_signals(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL); /* daemons ignore it, programs expect it */
    signal(SIGXFSZ, SIG_IGN); /* the write fails instead, and the program says why */
}

static void
run_child(const char *path, const char *const *argv, const VirgaConfinement *confinement,
          const int descriptors[static 4], int rules)
{
    reset_signals();
    /* None of them is below 10. */
    for (int i = 0; i < 4; i++)
        if (dup2(descriptors[i], i) < 0)
            _exit(FAILED);
    if (rules >= 0 && (rules = dup2(rules, 4)) < 0)
        _exit(FAILED);
    close_range(rules >= 0 ? 5 : 4, ~0u, 0);
    setpriority(PRIO_PROCESS, 0, NICENESS);
    if (!set_limits(confinement) || !restrict_self(rules))
        _exit(FAILED);
    if (rules >= 0)
        close(rules);
    execve(path, (char *const *) argv, environ);
    _exit(FAILED);
}

/* Copies that no dup2() onto the low numbers can hit. */
static bool
raise_descriptors(const int *from, int *to, size_t count)
{
    bool done = true;

    for (size_t i = 0; i < count; i++) {
        to[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD_CLOEXEC, 10);
        done = done && (from[i] < 0 || to[i] >= 0);
    }
    return done;
}

bool
virga_confined_spawn(const char *path, const char *const *argv, const VirgaConfinement *confinement,
                     const int standard[static 3], pid_t *ret_pid, GError **error)
{
    int rules, raised[5];

    if (!make_rules(confinement, &rules, error))
        return false;
    const int from[] = { standard[0], standard[1], standard[2], confinement->source, rules };
    bool ready = raise_descriptors(from, raised, G_N_ELEMENTS(from));

    *ret_pid = ready ? fork() : -1;
    if (*ret_pid == 0)
        run_child(path, argv, confinement, raised, raised[4]);
    int failure = errno;
    for (size_t i = 0; i < G_N_ELEMENTS(raised); i++)
        if (raised[i] >= 0)
            close(raised[i]);
    if (rules >= 0)
        close(rules);
    return *ret_pid > 0 ||
           virga_fail_errno(error, "process", failure, "could not run \"%s\"", argv[0]);
}

bool
virga_ipv4_spawn(const char *path, const char *const *argv, const int standard[static 3],
                 pid_t *ret_pid, GError **error)
{
#ifdef ARCHITECTURE
    const struct sock_fprog program = { G_N_ELEMENTS(ipv4_filter),
                                        (struct sock_filter *) ipv4_filter };
    int raised[3];
    bool ready = raise_descriptors(standard, raised, G_N_ELEMENTS(raised));

    *ret_pid = ready ? fork() : -1;
    if (*ret_pid == 0) {
        reset_signals();
        for (int i = 0; i < 3; i++)
            if (dup2(raised[i], i) < 0)
                _exit(FAILED);
        close_range(3, ~0u, 0);
        if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
            prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
            execve(path, (char *const *) argv, environ);
        _exit(FAILED);
    }
    int failure = errno;
    for (size_t i = 0; i < G_N_ELEMENTS(raised); i++)
        if (raised[i] >= 0)
            close(raised[i]);
    return *ret_pid > 0 ||
           virga_fail_errno(error, "process", failure, "could not run \"%s\"", argv[0]);
#else
    return virga_fail(error, "process", VIRGA_ERROR_UNSUPPORTED,
                      "\"%s\" cannot be kept from IPv6 on this architecture", argv[0]);
#endif
}
