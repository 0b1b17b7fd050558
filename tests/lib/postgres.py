# SPDX-License-Identifier: Apache-2.0
"""A private PostgreSQL for tests."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

USER = "nobody"


def run(command, **options):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=120, **options)
    assert done.returncode == 0, "%s: %s" % (command, done.stderr)
    return done


def postgres_bin():
    versions = sorted(os.listdir("/usr/lib/postgresql"), key=float)
    return "/usr/lib/postgresql/%s/bin/" % versions[-1]


class Postgres:
    """Listens on a Unix socket in its own directory and nowhere else."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="virga-db-")
        os.chmod(self.directory, 0o755)
        self.as_user = []
        if os.getuid() == 0:
            shutil.chown(self.directory, USER, "nogroup")
            self.as_user = ["setpriv", "--reuid", USER, "--regid", "nogroup", "--clear-groups"]
        data = self.directory + "/data"
        run(self.as_user + [postgres_bin() + "initdb", "-D", data, "-U", "virga", "-A", "trust",
                            "-E", "UTF8", "--locale=C.UTF-8", "--lc-collate=C", "--no-sync"], cwd="/")
        self.log = open(self.directory + "/log", "wb")
        self.process = subprocess.Popen(
            self.as_user + [postgres_bin() + "postgres", "-D", data, "-h", "",
                            "-k", self.directory, "-c", "fsync=off"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd="/")
        self.dsn = "host=%s user=virga dbname=virga" % self.directory
        self.wait()
        run([postgres_bin() + "createdb", "-h", self.directory, "-U", "virga", "virga"])

    def wait(self):
        end = time.monotonic() + 30
        while subprocess.run([postgres_bin() + "pg_isready", "-q", "-h", self.directory]).returncode:
            assert time.monotonic() < end, "PostgreSQL does not start: see %s/log" % self.directory
            time.sleep(0.05)

    def sql(self, statement):
        """Rows as lists of texts."""
        out = run([postgres_bin() + "psql", "-h", self.directory, "-U", "virga", "-d", "virga",
                   "-AtqX", "-v", "ON_ERROR_STOP=1", "-F", "\t", "-c", statement]).stdout
        return [line.split("\t") for line in out.splitlines()]

    def close(self):
        self.process.terminate()
        self.process.wait(30)
        self.log.close()
        log = pathlib.Path(self.directory, "log").read_text(errors="replace")
        shutil.rmtree(self.directory)
        # Transactions take rows in one order; one that did not would cost a second, and be repeated.
        assert "deadlock detected" not in log, log
