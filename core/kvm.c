/* SPDX-License-Identifier: Apache-2.0 */
#include "core/kvm.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#define DEVICE     "/dev/kvm"
#define GROUPS_MAX 64

/* A whole word of the first "flags" line. */
static bool
has_flag(const char *cpuinfo, const char *flag)
{
    const char *line = strstr(cpuinfo, "\nflags");
    g_autofree char *flags = line ? g_strndup(line + 1, strcspn(line + 1, "\n")) : NULL;
    g_auto(GStrv) words = g_strsplit(flags ? flags : "", " ", -1);

    return g_strv_contains((const char *const *) words, flag);
}

static bool
is_member(uid_t user, gid_t group)
{
    struct passwd *entry = getpwuid(user);
    gid_t groups[GROUPS_MAX];
    int count = GROUPS_MAX;

    if (!entry || getgrouplist(entry->pw_name, entry->pw_gid, groups, &count) < 0)
        return false;
    for (int i = 0; i < count; i++)
        if (groups[i] == group)
            return true;
    return false;
}

static bool
may_open(uid_t user, const struct stat *device)
{
    if (user == 0 || (device->st_mode & 0006) == 0006)
        return true;
    if (device->st_uid == user)
        return (device->st_mode & 0600) == 0600;
    return (device->st_mode & 0060) == 0060 && is_member(user, device->st_gid);
}

static bool
answer(bool usable, char **ret_reason, const char *reason)
{
    if (ret_reason)
        *ret_reason = g_strdup(reason);
    return usable;
}

bool
virga_kvm_usable(uid_t user, char **ret_reason)
{
    g_autofree char *cpuinfo = NULL;
    const char *module;
    struct stat device;

    if (!g_file_get_contents("/proc/cpuinfo", &cpuinfo, NULL, NULL))
        return answer(false, ret_reason, "/proc/cpuinfo cannot be read");
    if (has_flag(cpuinfo, "vmx"))
        module = "/sys/module/kvm_intel";
    else if (has_flag(cpuinfo, "svm"))
        module = "/sys/module/kvm_amd";
    else
        return answer(false, ret_reason,
                      "the CPU shows no virtualisation (vmx or svm): enable it in the firmware, or "
                      "nested virtualisation where this machine is itself a guest");
    if (!g_file_test(module, G_FILE_TEST_IS_DIR))
        return answer(false, ret_reason,
                      g_str_has_suffix(module, "intel")
                          ? "the kernel module kvm_intel is not loaded: modprobe kvm_intel"
                          : "the kernel module kvm_amd is not loaded: modprobe kvm_amd");
    if (stat(DEVICE, &device) < 0 || !S_ISCHR(device.st_mode))
        return answer(false, ret_reason, "there is no " DEVICE);
    if (!may_open(user, &device))
        return answer(false, ret_reason,
                      "the user that guests run as may not open " DEVICE
                      ": adduser libvirt-qemu kvm");
    return answer(true, ret_reason, "the CPU, the kernel and " DEVICE " offer it");
}
