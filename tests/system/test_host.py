# SPDX-License-Identifier: Apache-2.0
"""The simulated host itself: what runs in it is real, and nothing of it outlives it.  And the lanes in
which hosts run."""
import os
import signal
import subprocess

import pytest

from conftest import ROOT, run, wait_for

HOST = os.path.join(ROOT, "tests", "lib", "host")
LANES = os.path.join(ROOT, "tests", "lib", "lanes")
GUEST = os.path.join(ROOT, "tests", "system", "host_guest.py")


def host(*command, **options):
    return run([HOST, "--"] + list(command), **options)


def namespace_processes(inode):
    """Ids of the processes in the network namespace with that inode."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.stat("/proc/%s/ns/net" % pid).st_ino == inode:
                found.append(int(pid))
        except OSError:
            pass  # it has ended
    return found


def mounts():
    """What is mounted where, without ids."""
    with open("/proc/self/mountinfo") as file:
        return sorted(" ".join(line.split()[3:]) for line in file)


def test_exit_status_is_the_commands():
    assert host("sh", "-c", "exit 7", check=False).returncode == 7
    assert host("sh", "-c", "kill -9 $$", check=False).returncode == 137
    assert host("/nonexistent", check=False).returncode == 1


def test_folders_are_private():
    marks = ["/run/virga/mark", "/etc/mark", "/etc/virga/mark", "/var/lib/virga/mark",
             "/var/lib/libvirt/mark", "/var/log/libvirt/mark", "/var/cache/libvirt/mark"]
    host("touch", *marks)
    assert not [mark for mark in marks if os.path.exists(mark)]


def test_two_hosts_do_not_meet():
    script = """
ip netns add vpc && ip link add a0 type veth peer name a1 && hostname && echo ready
read line
ip netns list && ls /sys/class/net && rmdir /run/libvirt"""
    pair = [subprocess.Popen([HOST, "--name", name, "--", "sh", "-c", script], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            for name in ("one", "two.example")]
    for process, name in zip(pair, ("one", "two.example")):
        assert process.stdout.readline() == name + "\n"
        assert process.stdout.readline() == "ready\n"
    for process in pair:
        output = process.communicate("\n", timeout=60)[0].split()
        assert (process.returncode, output) == (0, ["vpc", "a0", "a1", "lo"])


def test_names_are_not_asked_outside():
    assert host("getent", "hosts", "example.org", check=False, deadline_s=30).returncode == 2


def test_database_runs_as_postgres():
    output = host("runuser", "-u", "postgres", "--", "sh", "-ec", """
        PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
        initdb -D $TMPDIR/pg >/dev/null
        pg_ctl -s -w -D $TMPDIR/pg -l $TMPDIR/pg/log -o "-c listen_addresses=" start
        psql -Atc 'SELECT 6 * 7'""").stdout
    assert output == "42\n"


def test_packet_filter():
    assert "virga" in host("sh", "-c", "nft add table inet virga && nft list tables").stdout


def test_signal_reaches_the_command():
    process = subprocess.Popen([HOST, "--", "sh", "-c", "trap 'exit 5' TERM; echo ready; read line"],
                               text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == "ready\n"
    process.terminate()
    assert process.wait(30) == 5
    process.stdin.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_outlives_it(image_micro, number):
    """libvirtd, a guest with its console, a namespace and a daemon: killed from outside."""
    before = (mounts(), run(["ip", "netns", "list"]).stdout)
    process = subprocess.Popen([HOST, "--", "/usr/bin/python3", GUEST, image_micro], text=True,
                               stdout=subprocess.PIPE)
    facts = {}
    for line in process.stdout:
        name, _, value = line.strip().partition("=")
        facts[name] = value
        if name == "ready":
            break
    assert "ready" in facts, "the guest did not come up"
    inode = int(facts["namespace"])
    assert len(namespace_processes(inode)) > 4
    assert os.path.isdir(facts["scratch"])
    process.send_signal(number)
    process.wait(30)
    wait_for(lambda: not namespace_processes(inode), 30, "end of the host's processes")
    wait_for(lambda: not os.path.exists(facts["scratch"]), 30, "removal of the host's files")
    assert (mounts(), run(["ip", "netns", "list"]).stdout) == before


def test_jobs_run_side_by_side(tmp_path):
    """Two that wait for each other; what one says stands together."""
    meet = "meet\tsh -c 'touch a; until [ -e b ]; do sleep 0.01; done; echo one; echo two'\n" \
        "other\tsh -c 'echo three; until [ -e a ]; do sleep 0.01; done; touch b; echo four; exit 3'\n"
    done = run([LANES, str(tmp_path)], input=meet + "last\ttrue\n", cwd=tmp_path, deadline_s=30)
    assert "one\ntwo\n" in done.stdout and "three\nfour\n" in done.stdout
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["last.log", "meet.log", "other.broken",
                                                                  "other.log"]
    assert (tmp_path / "other.broken").read_text() == "3\n"
    assert "other ended with 3" in done.stderr


def test_jobs_end_with_the_lanes(tmp_path):
    process = subprocess.Popen([LANES, str(tmp_path)], text=True, stdin=subprocess.PIPE, cwd=tmp_path)
    process.stdin.write("".join("%s\tsh -c 'echo $$ >%s; exec sleep 1000'\n" % (name, name) for name in "ab"))
    process.stdin.close()
    pids = [int(wait_for(lambda: (tmp_path / name).exists() and (tmp_path / name).read_text(), 30,
                         "job " + name)) for name in "ab"]
    process.kill()
    process.wait(30)
    wait_for(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in pids), 30, "end of the jobs")
